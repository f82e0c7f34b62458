# Adds one root certificate, the one below, to those that Windows trusts; -Remove takes that one away again.
#
#   powershell -ExecutionPolicy Bypass -File FILE            for your user; Windows asks once
#   powershell -ExecutionPolicy Bypass -File FILE -Machine   for every user, as administrator
#   ... -Remove                                              undoes the same
param([switch]$Machine, [switch]$Remove)
$ErrorActionPreference = 'Stop'

$sha256 = '{{ sha256 }}'
$der = [Convert]::FromBase64String(@'
{{ der }}
'@)
$hash = [Security.Cryptography.SHA256]::Create().ComputeHash($der)
if ([BitConverter]::ToString($hash).Replace('-', '') -ne $sha256) {
    throw 'This file is damaged. Download it again.'
}

$root = New-Object Security.Cryptography.X509Certificates.X509Certificate2 -ArgumentList (, $der)
$location = if ($Machine) { 'LocalMachine' } else { 'CurrentUser' }
$store = New-Object Security.Cryptography.X509Certificates.X509Store -ArgumentList 'Root', $location
$store.Open('ReadWrite')
try {
    # Both compare the whole certificate: no other is touched.
    if ($Remove) { $store.Remove($root) } else { $store.Add($root) }
}
finally {
    $store.Close()
}
if ($Remove) { "Removed: $($root.Subject)" } else { "Trusted from now on: $($root.Subject)" }
'Close the browser and open it again.'
