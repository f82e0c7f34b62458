### English. Another language is another file with the same message names.
### A message says what happened and why; `.fix` says what to do. Browsers' own codes stand beside them elsewhere.

## What was seen at a device

plain-http = The page comes over plain HTTP: whoever is on the network can read the password and change the page.
    .fix = Secure the device: camlock secure, or upload a certificate by hand (camlock issue).
http-open = HTTPS works, and the page also answers over plain HTTP on port { $port }, where a password would be readable.
    .fix = Once nothing needs plain HTTP any more, switch it off: camlock secure with --disable-http.
connection-refused = { $host } refuses connections on port { $port }.
    .fix = Check the address and the port, and that the device is switched on and its web page enabled.
timed-out = { $host } did not answer on port { $port } within { $seconds } seconds.
    .fix = Check the address, and that no firewall or other network stands between; then try again.
no-connection = No connection to { $host } on port { $port }: { $reason }.
    .fix = Check the address and this computer's network.
name-not-found = The name { $host } has no address in this network.
    .fix = Check the spelling, or use the IP address.
not-a-web-server = Something answers on port { $port }, but it is no web page.
    .fix = Check the port; a camera's page is usually on 80 or 443.
not-tls = Port { $port } does not speak TLS, so no https page can open there.
    .fix = Check the port, or switch HTTPS on: camlock secure.
tls-too-old = The device speaks only versions of TLS that browsers have given up ({ $reason }).
    .fix = Update the device's firmware, or allow TLS 1.2 in its settings.
no-common-cipher = Browser and device have no cipher in common ({ $reason }).
    .fix = Update the device's firmware, or allow modern ciphers in its settings.
handshake-failed = The TLS connection broke while it was being set up ({ $reason }).
    .fix = Try again; if it stays so, restart the device.
unknown-issuer = The certificate was issued by { $issuer }, which this computer does not trust, or its chain is incomplete.
    .fix = Introduce the issuer's root to this computer, or give the device a certificate of your own authority: camlock secure.
self-signed = The device vouches for itself: its certificate ({ $subject }) is signed by nobody else, so nobody can tell it from an impostor's.
    .fix = Give the device a certificate of your own authority: camlock secure.
expired = The certificate ended on { $not_after }.
    .fix = Renew it: camlock secure. If the date is wrong, set this computer's clock.
not-yet-valid = The certificate begins only on { $not_before }.
    .fix = Set this computer's clock, or renew the certificate: camlock secure.
issuer-not-valid = The issuer { $issuer } is itself past its end or has not begun.
    .fix = Set this computer's clock, or give the device a certificate of a valid authority.
wrong-name = The certificate is for { $names } and not for { $wanted }.
    .fix = Open the device by a name of its certificate, or renew it for { $wanted }: camlock secure.
no-alt-name = The certificate names { $wanted } in no subjectAltName; browsers ignore the common name ({ $subject }).
    .fix = Give the device a certificate with its address: camlock secure.
outside-constraints = The certificate holds a name ({ $names }) that its authority may not speak for.
    .fix = Use an address or a name inside the authority's ranges, or make an authority with --permit for it.
not-for-servers = The certificate is not meant for a web server (no serverAuth in its extended key usage).
    .fix = Give the device a certificate for web servers: camlock secure.
invalid-certificate = Browsers refuse the certificate: { $reason }.
    .fix = Give the device another certificate: camlock secure.
too-long-for-apple = The certificate is valid for { $days } days; iPhones, iPads and Macs refuse more than 825.
    .fix = Renew it with a shorter validity: camlock secure.
expiring = The certificate ends in { $days ->
        [one] 1 day
       *[other] { $days } days
    }.
    .fix = Renew it: camlock secure.
weak-key = The certificate's key is weak ({ $key }); Apple's systems and OpenSSL refuse it.
    .fix = Renew it with a key of 2048 bits: camlock secure.
key-sent-in-clear = The private key crossed plain HTTP, because this device can take it no other way the first time: whoever listened at that moment has it.
    .fix = Do this on a network that you trust.
clock-behind = The device's clock is { $hours } hours behind; the certificate was dated back for it.
    .fix = Set the device's clock, or give it a time server.
clock-off = The device's clock is { $hours } hours off, further than a certificate can be dated for.
    .fix = Set the device's clock, or give it a time server, then run camlock secure again.
driver-unproven = The driver { $driver } was written from { $source } and was not tried on hardware.
one-slot = The device has room for one certificate: installing replaces the present one, which cannot be read back.
slot-overwritten = The certificate that the device had before may be gone: it has room for one, and the old one could not be read.
not-put-back = The device could not be put back as it was. { $reason }
    .fix = Run camlock secure again: it takes this up first.
not-tidied = What earlier runs left on the device could not be removed. { $reason }
    .fix = Nothing at the moment: the next renewal tries again. A full keystore is emptied in the device's settings.

## Speaking to a device

not-http = { $host } answers on port { $port }, but it does not speak HTTP there.
    .fix = Check the port; if the page is https, name it as https://{ $host }:{ $port }.
not-the-pinned-key = { $host } shows another key than the one that Camlock knows it by. Nothing was sent to it.
    .fix = If the device was reset or replaced, name its http address; else find out who answers at this address.
moved-to-https = { $host } sends every plain page on to https (port { $port }).
    .fix = Camlock meets a device for the first time over plain HTTP: allow HTTP in its settings for the moment, or upload a certificate by hand (camlock issue).
not-a-camera = The web server of { $host } (port { $port }) is none that Camlock has a driver for: no ONVIF, and no page that it knows.
    .fix = Check the address. If it is the camera, switch ONVIF on in its settings, or upload a certificate by hand (camlock issue).
no-certificate-service = { $host } speaks ONVIF, but offers neither of its two services for certificates.
    .fix = Look for newer firmware, or upload a certificate by hand (camlock issue).
no-digest = The device asks for a way to sign in that would show the password or that Camlock does not speak ({ $offered }). The password was not sent.
    .fix = Set the device's authentication to Digest (MD5), or upload a certificate by hand (camlock issue).
wrong-password = The device refuses the user name or the password of { $user }. It was tried once, so that the account is not locked.
    .fix = Check both; ONVIF users are often a list of their own in the camera's settings. Then try again.
not-allowed = The device knows { $user } but does not allow this user to do it ({ $operation }).
    .fix = Use a user with administrator's rights.
refused = The device refused { $operation }: { $fault } { $reason }
    .fix = Restart the device and try again; if it stays so, upload a certificate by hand (camlock issue).
unexpected-answer = The device's answer to { $operation } makes no sense: { $detail }.
    .fix = Restart the device and try again; if it stays so, upload a certificate by hand (camlock issue).
connection-lost = The connection broke during { $operation }.
    .fix = Check the cable and the device's power, then try again.
key-not-ready = The device was still making its key after { $seconds } seconds.
    .fix = Wait a little, then try again.
key-broken = The device says that the key it made is broken.
    .fix = Try again.
page-refused = The device's page { $page } says: { $answer }
    .fix = Open that page in a browser to see what it wants, or upload a certificate by hand (camlock issue).
not-offered = This driver cannot do { $operation }.

## An enrolment

would-overwrite = This device has room for one certificate, and installing a new one replaces it for good. Nothing was changed.
    .fix = If that is what you want, say so: --yes.
found = driver { $driver }
looked-at = { $page } is secure already
already-secure = secure already, until { $until }
key-on-device = the camera made its key ({ $key }) and a request; no secret crosses the network
key-made-here = Camlock made the key ({ $key }): this camera cannot
signed = certificate for { $names }, until { $until }
packaged-pem = key and certificate in one package
packaged-certificate = the certificate alone: the camera has its key
installed = uploaded, assigned, HTTPS on (port { $port })
resumed = done by an earlier run
verified = a browser that trusts { $issuer } shows no warning
verified-http-off = a browser that trusts { $issuer } shows no warning; plain HTTP is off
watching = valid until { $until }; renew from { $renew } on
taken-back = taken back
busy = Another run of Camlock works on { $target } at this moment.
    .fix = Wait until it has ended, then try again.
no-first-contact = { $host } answers only over https, with a certificate that Camlock did not issue, so Camlock cannot tell it from an impostor.
    .fix = Name its http address (http://{ $host }/), or upload a certificate by hand (camlock issue).
other-certificate-served = The device said that all was done, and port { $port } still serves another certificate.
    .fix = Restart the device and try again; if it stays so, upload the certificate by hand (camlock issue).
still-not-secure = The certificate is installed, and a browser would still show { $page }.
    .fix = See what camlock check says of it.
https-does-not-answer = The device said that HTTPS is on, and nothing answers on port { $port }.
    .fix = Restart the device and try again.
http-still-open = HTTPS is secure, and plain HTTP still answers on port { $port } after it was switched off.
    .fix = Switch HTTP off in the device's own settings.

## Requests, certificates, keys

not-a-request = This is not a certificate request: { $detail }.
    .fix = A request begins with -----BEGIN CERTIFICATE REQUEST----- (or is its DER form). Make it again on the device.
request-too-large = { $bytes } bytes are too many for a certificate request; at most { $limit } are read.
    .fix = Check that the file is the request: a camera's has about 1000 bytes.
several-requests = The file holds { $count } requests.
    .fix = Give each in a file of its own.
bad-request-signature = The request's signature does not fit its public key, so whoever made it does not have the key, or the file is damaged.
    .fix = Make the request again on the device.
unsupported-signature = The request is signed with an algorithm that is not accepted ({ $algorithm }).
    .fix = Make the request with SHA-256.
key-too-weak = The key ({ $key }) is too weak: today's browsers and systems ask for RSA of 2048 bits or more.
    .fix = Make a request with a 2048-bit RSA key or a P-256 key.
unsupported-key = Keys of this kind ({ $key }) are not accepted: browsers refuse them in web servers.
    .fix = Use RSA of 2048 to 8192 bits, P-256 or P-384.
not-a-certificate = This is not a certificate: { $detail }.
    .fix = Give a file in PEM (-----BEGIN CERTIFICATE-----) or DER.
invalid-constraint = { $text } is neither a range of addresses, an address nor a domain.
    .fix = Write for example 81.2.3.0/24, 81.2.3.4, cams.example.com or nvr.
lint-failed = The certificate would break rules and was not signed: { $rules }.
crypto = The system's cryptography failed ({ $operation }).
    .fix = Try again; if it stays so, this machine is not in order.
encoding = The certificate could not be written: { $detail }.
invalid-name = { $name } is neither an IP address nor a host name.
    .fix = Use letters, digits, hyphens and dots; a wildcard is not possible.
invalid-target = { $target } is no address, host name or URL.
    .fix = Write for example 192.168.1.64, gate.lan:8443 or https://192.168.1.64/.
invalid-scheme = { $target } is neither an http nor an https address.
credentials-in-url = A user name or password does not belong in the address: it would stay in the shell's history.
    .fix = Give them by --user and --password-file.
added-from-common-name = added { $name }: browsers ignore the common name
added-name = added { $name }: named on the command line
added-host-name = added { $name }: some programs otherwise take the common name for a host name
dropped-name = dropped { $name }: not among the names on the command line
dropped-unusable-name = dropped { $name }: no browser would accept it
dropped-common-name = dropped the common name { $name }: it looks like a host name, which belongs in the subjectAltName
dropped-ca = dropped CA:TRUE: a camera is no authority
dropped-extension = dropped the extension { $extension }: the profile does not have it

## The authority and its data

site-name = A site's name has 1 to { $limit } characters, none of them invisible.
no-names = There is no address and no host name to issue for.
    .fix = Name one with --ip or --dns.
names-outside = The authority may not speak for { $names }. It may for { $permitted }.
    .fix = Use an address or a name inside these ranges. They cannot be widened later: another range needs an authority made with --permit.
days = { $days } days are not possible: 1 to { $limit } are. iPhones, iPads and Macs refuse more.
common-name = { $name } is not possible as a name: 1 to { $limit } characters, none of them invisible.
outlives-root = The certificate would outlive the root, which ends on { $root_ends }.
    .fix = Ask for fewer days.
root-ends = The root ends on { $root_ends }: nothing can be issued under it any more.
    .fix = Make a new authority (camlock init with another --data) and introduce its root to the computers.
no-constraints = The root has no name constraints: whoever steals its key can speak for any web site.
passphrase-short = The passphrase is short: whoever steals this machine's disk can try many.
    .fix = Choose one of several words.
ask-permit = Also company domains or other address ranges? (space separated, empty for none):
root-written = Wrote the root to { $file }
passphrase-empty = The passphrase is empty.
    .fix = Choose one of several words.
wrong-passphrase = The passphrase is wrong.
    .fix = Try again, or give the recovery key in its place (AGE-SECRET-KEY-1...).
wrong-recovery-key = This recovery key does not belong to this authority.
    .fix = Check every letter against the print.
vault-damaged = The stored keys are damaged ({ $detail }).
    .fix = Restore a backup of the data directory.
vault-crypto = The system's cryptography failed ({ $operation }).
no-data-directory = There is no authority in { $directory }.
    .fix = Make one with camlock init, or name its place with --data.
data-directory = The data directory { $directory } cannot be used: { $reason }.
    .fix = Check its permissions, or name another with --data.
other-version = The data was written by another version of Camlock ({ $found }; this one knows { $known }).
    .fix = Use the newer version.
database = The database failed: { $reason }.
    .fix = Check the disk's free space and health.
stored-data = Stored data is damaged: { $detail }.
    .fix = Restore a backup of the data directory.
authority-exists = There is an authority already, for the site { $site }; it was not touched.
    .fix = Name another data directory with --data to make a second one.
no-authority = There is no authority yet.
    .fix = Make one with camlock init.

## The command line

passphrase-missing = The passphrase is needed, and there is no terminal to ask for it.
    .fix = Give it in a file: --passphrase-file FILE, or CAMLOCK_PASSPHRASE_FILE.
passphrases-differ = The two passphrases differ.
password-missing = The device's password is needed, and there is no terminal to ask for it.
    .fix = Give it in a file: --password-file FILE.
user-missing = The device's user name is needed, and there is no terminal to ask for it.
    .fix = Give it: --user NAME.
file-exists = { $file } is there already and was not touched.
    .fix = Name another file with --out.
file-unreadable = { $file } cannot be read: { $reason }.
file-unwritable = { $file } cannot be written: { $reason }.
key-to-terminal = A private key is not written to a terminal or a pipe.
    .fix = Name a file with --out.
no-home = There is no home directory for the data.
    .fix = Name a data directory with --data, or CAMLOCK_DATA.
cannot-start = The program could not start: { $reason }.
    .fix = The system may be short of memory; end something and try again.
demo-failed = The demonstration could not run: { $reason }.

## The service

already-serving = Another camlock serve runs on the data in { $directory }.
    .fix = End that one first, or name another data directory with --data.
cannot-listen = { $address } cannot be listened on: { $reason }.
    .fix = Something else may use this port: name another with --listen (https) and --http-listen (http).
cannot-serve = The pages cannot be served: { $reason }.
page-certificate = The page's certificate cannot be used: { $reason }.
    .fix = Delete page.pem in the data directory and start once with the passphrase.
page-certificate-missing = The page has no certificate yet, and the authority is locked.
    .fix = Start once with the passphrase: --passphrase-file FILE, or CAMLOCK_PASSPHRASE_FILE.
page-certificate-issued = the page has a new certificate for { $names }, until { $until }
page-certificate-old = The page's certificate (until { $until }) does not fit { $names } or ends soon, and the authority is locked.
    .fix = Start once with the passphrase: --passphrase-file FILE, or CAMLOCK_PASSPHRASE_FILE.
serving = serving the page at { $page } and the root at { $trust }
serving-locked = serving the page at { $page } and the root at { $trust }; the authority is locked, so nothing is issued
stopping = stopping
no-warning = Connection is secure, no warning.
