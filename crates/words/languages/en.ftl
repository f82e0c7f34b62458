### English. Another language is another file with the same message names.
### A message says what happened and why; `.fix` says what to do. Browsers' own codes stand beside them elsewhere.

## What was seen at a device

plain-http = The page comes over plain HTTP: whoever is on the network can read the password and change the page.
    .fix = Secure the device: camlock secure { $target } --user admin, or upload a certificate by hand (camlock secure { $target } --by-hand).
http-open = HTTPS works, and the page also answers over plain HTTP on port { $port }, where a password would be readable.
    .fix = Once nothing needs plain HTTP any more, switch it off: camlock secure { $target } --user admin --disable-http.
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
    .fix = Check the port, or switch HTTPS on: camlock secure { $target } --user admin.
tls-too-old = The device speaks only versions of TLS that browsers have given up ({ $reason }).
    .fix = Update the device's firmware, or allow TLS 1.2 in its settings.
no-common-cipher = Browser and device have no cipher in common ({ $reason }).
    .fix = Update the device's firmware, or allow modern ciphers in its settings.
handshake-failed = The TLS connection broke while it was being set up ({ $reason }).
    .fix = Try again; if it stays so, restart the device.
wants-client-certificate = The page is only for browsers with a certificate of their own: the device refuses all others.
    .fix = Switch client certificates for the web page (mutual TLS) off in the device's settings.
unknown-issuer = The certificate was issued by { $issuer }, which this computer does not trust, or its chain is incomplete.
    .fix = Introduce the issuer's root to this computer, or give the device a certificate of your own authority: camlock secure { $target } --user admin.
self-signed = The device vouches for itself: its certificate ({ $subject }) is signed by nobody else, so nobody can tell it from an impostor's.
    .fix = Give the device a certificate of your own authority: camlock secure { $target } --user admin.
revoked-certificate = The certificate was revoked on { $revoked }.
    .fix = Give the device another one: camlock secure { $target } --user admin.
expired = The certificate ended on { $not_after }.
    .fix = Renew it: camlock secure { $target } --user admin. If the date is wrong, set this computer's clock.
not-yet-valid = The certificate begins only on { $not_before }.
    .fix = Set this computer's clock, or renew the certificate: camlock secure { $target } --user admin.
computer-clock = Today is { $today } by this computer's clock, and neither the certificate nor its root has begun: the clock is behind.
    .fix = Set this computer's clock, or let it be set over the network (NTP).
issuer-not-valid = The issuer { $issuer } is itself past its end or has not begun.
    .fix = Set this computer's clock, or give the device a certificate of a valid authority.
wrong-name = The certificate is for { $names } and not for { $wanted }.
    .fix = Open the device by a name of its certificate, or renew it for { $wanted }: camlock secure { $target } --user admin.
no-alt-name = The certificate names { $wanted } in no subjectAltName; browsers ignore the common name ({ $subject }).
    .fix = Give the device a certificate with its address: camlock secure { $target } --user admin.
outside-constraints = The certificate holds a name ({ $names }) that its authority may not speak for.
    .fix = Use an address or a name inside the authority's ranges, or make an authority with --permit for it.
not-for-servers = The certificate is not meant for a web server (no serverAuth in its extended key usage).
    .fix = Give the device a certificate for web servers: camlock secure { $target } --user admin.
issuer-not-for-servers = The issuer { $issuer } may not vouch for web servers (no serverAuth in its extended key usage).
    .fix = Give the device a certificate of another authority: camlock secure { $target } --user admin.
missing-intermediate = The device does not send the certificate of { $issuer }, which stands between its own and the root, and says only where it can be had.
    .fix = Install the issuer's certificate beside the device's own, or give it a certificate directly below the root: camlock secure { $target } --user admin.
invalid-certificate = Browsers refuse the certificate ({ $subject }): { $rule }.
    .fix = Give the device another certificate: camlock secure { $target } --user admin. If it is an issuer's, make a new authority.
against-standard = Browsers accept it, stricter programs may not: in the certificate ({ $subject }) { $rule }.
    .fix = Give the device another certificate at the next renewal: camlock secure { $target } --user admin.
no-purpose-for-apple = The certificate does not say that it is for web servers (extended key usage); iPhones, iPads and Macs refuse it.
    .fix = Renew it: camlock secure { $target } --user admin.
common-name-outside = The certificate's common name ({ $common_name }) is outside the domains of its authority, and there is no host name in its subjectAltName: programs on GnuTLS refuse it, and those on OpenSSL if it looks like a host name.
    .fix = Renew it with a host name inside the domains: camlock secure { $target } --user admin.
old-cipher = Browsers still speak the only cipher that the device offers ({ $suite }), and call it obsolete.
    .fix = Update the device's firmware, or allow modern ciphers in its settings.
too-long-for-apple = The certificate is valid for { $days } days; iPhones, iPads and Macs refuse more than 825.
    .fix = Renew it with a shorter validity: camlock secure { $target } --user admin.
expiring = The certificate ends in { $days ->
        [one] 1 day
       *[other] { $days } days
    }.
    .fix = Renew it: camlock secure { $target } --user admin.
weak-issuer-key = The key of the issuer { $issuer } is weak ({ $key }); Apple's systems and OpenSSL refuse it.
    .fix = Make a new authority with a key of 2048 bits or more: camlock init.
weak-key = The certificate's key is weak ({ $key }); Apple's systems and OpenSSL refuse it.
    .fix = Renew it with a key of 2048 bits: camlock secure { $target } --user admin.
key-sent-in-clear = The private key once crossed plain HTTP: whoever listened at that moment has it.
    .fix = Renew the certificate: camlock secure { $target } --user admin.
first-contact-unchecked = Camlock met this device for the first time and had to take it at its word: its key crossed the network where nobody can listen in, but nobody could check that it was not another device's answer.
    .fix = Nothing, on a network of your own. From now on Camlock recognises the device by its key.
moved = { $name } has another address than before: it is at { $to } now, and no longer at { $from }. Camlock knows it by its key.
names-left-out = Your authority may not vouch for { $names }, so the device has no certificate for that.
    .fix = Use another of its names or addresses; or let a new root vouch for it: camlock authority rollover --permit NAME
given-away-revoked = The certificate { $serial } was made for whoever answered at this first contact, and the device was not seen to show it. It was revoked at once, so that nobody can use it.
    .fix = Find out why the device did not take it, then let Camlock make another one: camlock secure { $target } --user admin
given-away = The certificate { $serial } was made for whoever answered at this first contact, and the device was not seen to show it. It could not be revoked: { $reason }
    .fix = Revoke it yourself: camlock revoke { $serial } --reason key-compromise
factory-identity = The private key crossed the network inside TLS to a genuine device of its maker: { $subject }, by { $issuer }.
    .fix = Compare the number with the label on the device, if somebody might have put another one of the same maker in its place.
clock-behind = The device's clock is { $hours } hours behind this computer's; the certificate was dated back for it.
    .fix = If several devices differ alike, it is this computer's clock that is wrong. Otherwise let Camlock set theirs: camlock secure { $target } --user admin --set-clock. Or give the device a time server.
clock-off = The device's clock is { $hours } hours off this computer's, further than a certificate can be dated for.
    .fix = If several devices differ alike, it is this computer's clock that is wrong: set that, and secure them again. Otherwise let Camlock set it: camlock secure { $target } --user admin --set-clock. Or give the device a time server, then: camlock secure { $target } --user admin
clock-set = The device's clock was { $hours } hours off; it was set to this computer's time.
clock-follows = The device takes its time from { $server } from now on.
clock-not-set = The device's clock could not be set. { $reason }
    .fix = Set it in the device's settings, or give the device a time server.
driver-unproven = The driver { $driver } was written from { $source } and was not tried on hardware.
one-slot = The device has room for one certificate: installing replaces the present one, which cannot be read back.
restarts = The device restarts each time it is given a certificate, and shows neither page nor picture for some minutes.
slot-overwritten = The certificate that the device had before may be gone: it has room for one, and the old one could not be read.
upload-in-clear = The device has no https page yet: while you upload the file over http, whoever listens on the network gets the private key.
    .fix = If the device can make a certificate of its own, let it, and upload over https, past the browser's warning. Else do it on a cable of your own.
no-password = The device asked for no password: it is as it left the factory, and whoever reaches it may change anything.
    .fix = Give it its first one, inside TLS: camlock secure { $target } --user admin --new-password-file FILE; or on its own https page.
http-off = Plain HTTP is off. Recorders and programs that reached the device over http stop until they are given its https address.
    .fix = If something important stopped, switch HTTP on again: camlock secure { $target } --user admin --enable-http.
password-changed = The device has the new password, and let it in. Recorders and programs that sign in to the device need it too.
password-set = The device has its first password, and asks for it from now on. Keep it well: Camlock does not.
tls-floor = The device's web server speaks TLS { $versions } alone. Recorders and programs that know older versions alone stop until they are brought up to date.
    .fix = If something important stopped, let older versions in again: camlock secure { $target } --user admin --tls-floor 1.0.
certificate-left = The device keeps the certificate that it was just given: its place can be overwritten, not emptied. HTTPS is off as before, so nothing uses it.
not-put-back = The device could not be put back as it was. { $reason }
    .fix = The next run takes this up first: camlock secure { $target } --user admin
not-tidied = What earlier runs left on the device could not be removed. { $reason }
    .fix = Nothing at the moment: the next renewal tries again. A full keystore is emptied in the device's settings.

## Rules that a certificate breaks

unreadable = it cannot be read ({ $detail })
unreadable-extension = the extension { $extension } cannot be read
browser-refuses = its form is not what a browser demands ({ $page })
unknown-critical = it has a critical extension that nobody knows
old-signature = it is signed with MD5, SHA-1 or something that browsers do not know
wrong-signature = its signature is not by its issuer's key
issuer-is-no-authority = it is an issuer and not marked as an authority (basicConstraints)
may-not-certify = it is an issuer that may not sign certificates (keyUsage without keyCertSign)
path-too-long = more authorities stand below it than it allows (path length)
server-is-authority = it is a server's and marked as an authority (basicConstraints CA:TRUE)
may-not-sign = its key may not be used to sign (keyUsage without digitalSignature)
empty-subject = its subject is empty, and its subjectAltName is not critical
needlessly-critical-names = the subjectAltName is critical, though there is a subject
old-version = the version is not 3
algorithms-differ = the signature's algorithm is named twice, and differently
extension-twice = the extension { $extension } is there twice
critical = { $extension } is critical and must not be
not-critical = { $extension } is not critical and must be
no-authority-key-identifier = the issuer's key identifier is missing
odd-authority-key-identifier = the issuer's key identifier is not as it must be
no-subject-key-identifier = an authority's key identifier is missing
empty-issuer = the issuer's name is empty
nameless-authority = an authority has no name
certifies-without-authority = keyUsage has keyCertSign, though it is no authority
empty-key-usage = keyUsage allows nothing
constraints-in-leaf = there are name constraints, though it is no authority
empty-constraints = the name constraints say nothing
malformed-constraint = a name constraint is malformed
malformed-name = the name { $name } is malformed
serial-number = the serial number is zero, negative or longer than 20 octets
key-too-short = its key is so short ({ $key }) that others can compute it
too-many-issuers = more than six authorities stand between the root and the server, which is more than Firefox follows
excluded-directory-name = its name constraints exclude a directory name, which Firefox takes to exclude everybody
root-without-authority = it is among the trusted roots and not marked as an authority
unknown-key = its key is of a kind that browsers do not know ({ $key })
odd-modulus = the key's length is no multiple of eight bits

## Speaking to a device

not-http = { $host } answers on port { $port }, but it does not speak HTTP there.
    .fix = Check the port; if the page is https, name it as https://{ $host }:{ $port }.
not-the-pinned-key = { $host } shows another key than the one that Camlock knows it by. Nothing was sent to it.
    .fix = Find out who answers at this address. If you reset or replaced the device yourself: camlock secure { $host } --user admin --new-device
device-changed = What answers at { $host } is not the device that Camlock knows as { $device }, or it was reset: { $changes } It gets no key and no certificate.
    .fix = If you reset this device to its factory settings, or put a new one in its place, say so: camlock secure { $host } --user admin --new-device (if you upload its certificate by hand, with --by-hand, too). If nobody did, somebody may be trying to get its password: look at the device itself first, and at who has this address.
other-key = it cannot show the secret key that the device has (its own begins with { $is }). Your password was not sent.
lost-key = its key is one that others may have: you, or a run that failed, revoked the certificate for that reason. Your password was not sent.
no-https = it has no https any more, only plain http. Your password was not sent.
key-from-outside = it wants to be given its secret key, while the device makes its own ({ $was } before, { $is } now).
other-maker = its maker is { $is }, and was { $was }.
other-model = its model is { $is }, and was { $was }.
other-serial-number = its serial number is { $is }, and was { $was }: it is another device. It said so after it was asked in your user's name.
other-mac = its network card is { $is }, and was { $was }: it is another device.
same-mac = its network card is the one that the device has ({ $mac }), so it may be the same one after a reset.
readable-password = { $host } can take your password only unscrambled, and Camlock meets it for the first time: if somebody else's device answers at this address, it would learn the password. It was not sent.
    .fix = On a network that you trust, name this device and agree: camlock secure { $host } --user admin, and answer y (or give --yes). Safer: on a cable between this computer and the device; or compare the fingerprint of its certificate with the one on the device, and give it with --fingerprint.
weaker-sign-in = { $host } took the password { $was ->
    [digest-sha256] well scrambled (SHA-256)
   *[digest] scrambled (MD5)
} before, and wants it { $is ->
    [readable] unscrambled
   *[digest] less well scrambled (MD5)
} now. Camlock did not send it.
    .fix = If you changed this in the device's settings, change it back to Digest. If this is how the device is, or you reset or replaced it: camlock secure { $host } --user admin --new-device, on a network that you trust. Otherwise find out who answers there.
not-accepted = { $host } was found, but you never said that it is yours, or it looks different now. Nobody signed in to it.
    .fix = If it is yours, name it once: camlock secure { $host } --user admin
clock-ahead = { $host } wants a proof of the password dated by its own clock, which is { $hours } hours ahead. Such a proof would stay good for that long for whoever collects it. It was not sent.
    .fix = Set the device's clock on its own page, or let it take its time from a time server.
first-key-unknown = While it takes a certificate, { $host } shows a key of its own that Camlock has never seen: it could not tell it from an impostor. Nothing was changed.
    .fix = Meet it as a new device, on a network that you trust: camlock secure { $host } --user admin --new-device
moved-to-https = { $host } sends every plain page on to https (port { $port }).
    .fix = Name that address: https://{ $host }:{ $port }/
not-a-camera = The web server of { $host } (port { $port }) is none that Camlock has a driver for: no ONVIF, and no page that it knows.
    .fix = Check the address. If it is the camera, switch ONVIF on in its settings, or upload a certificate by hand (camlock secure { $target } --by-hand).
tells-users-only = { $target } answers its users only, so that no driver can be chosen.
    .fix = Name one of its users: camlock find { $target } --user NAME
no-certificate-service = { $host } speaks ONVIF, but offers neither of its two services for certificates.
    .fix = Look for newer firmware, or upload a certificate by hand (camlock secure { $target } --by-hand).
no-digest = The device asks for a way to sign in that would show the password or that Camlock does not speak ({ $offered }). The password was not sent.
    .fix = Set the device's authentication to Digest, or upload a certificate by hand (camlock secure { $target } --by-hand).
password-in-clear = { $host } takes the password only as it is, and over plain HTTP everyone on the network could read it. It was not sent.
    .fix = Switch HTTPS on in the device's settings (its own certificate will do), then name its https address: https://{ $host }
wrong-password = The device refuses the user name or the password of { $user }. It was tried once, so that the account is not locked.
    .fix = Check both; ONVIF users are often a list of their own in the camera's settings. Then try again.
clock-unknown = The device refuses the sign-in of { $user }: the user name or the password is wrong, or the device's clock is. It takes no sign-in that its clock calls too old, and does not tell what its clock says. It was tried once, so that the account is not locked.
    .fix = Look at the clock on the device's own page and set it, or let it take its time from a time server. If it is right, check user and password.
clock-doubtful = The device refuses the sign-in of { $user }: the user name or the password is wrong, or what the device says of its clock is. It takes no sign-in that its clock calls too old, and says a time that is { $minutes } minutes from this computer's. It was tried once, so that the account is not locked.
    .fix = Set clock and time zone on the device's own page, or let it take its time from a time server. If they are right, check user and password.
token-under-basic = The device offers only a sign-in that shows the password (Basic). One that hides it (UsernameToken) was sent once as { $user }, and refused: the user name or the password is wrong, or the device does not know such a sign-in.
    .fix = Check user and password; or set the device's authentication to Digest, or upload a certificate by hand (camlock secure { $target } --by-hand).
not-allowed = The device knows { $user } but does not allow this user to do it ({ $operation }).
    .fix = Use a user with administrator's rights.
second-factor = The password is right, but the account { $user } wants a one-time code, and none was given or it was not the right one.
    .fix = Give the code that your telephone shows now (camlock secure { $target } --user admin --otp CODE), or make an account of its own for Camlock on the device, without a second factor, in the group of administrators.
password-expired = The password of { $user } has expired or must be changed; until then the device lets this user do nothing.
    .fix = Sign in on the device's own page, change the password, and try again.
refused = The device refused { $operation }: { $fault } { $reason }
    .fix = Restart the device and try again; if it stays so, upload a certificate by hand (camlock secure { $target } --by-hand).
unexpected-answer = The device's answer to { $operation } makes no sense: { $detail }.
    .fix = Restart the device and try again; if it stays so, upload a certificate by hand (camlock secure { $target } --by-hand).
connection-lost = The connection broke during { $operation }.
    .fix = Check the cable and the device's power, then try again.
key-not-ready = The device was still making its key after { $seconds } seconds.
    .fix = Wait a little, then try again.
no-random-numbers = This computer gives no random numbers, without which nobody can sign in safely. It has nothing to do with the device or its password.
    .fix = Restart this computer; if it stays so, its system is not in order.
key-broken = The device says that the key it made is broken.
    .fix = Try again.
page-refused = The device's page { $page } says: { $answer }
    .fix = Open that page in a browser to see what it wants, or upload a certificate by hand (camlock secure { $target } --by-hand).
place-taken = The device has one place for a certificate, and { $certificate } in it could not be brought back. Nothing was changed.
    .fix = If it is not needed any more, remove it on the device's own page and try again.
cannot-undo = The certificate { $certificate }, which the device showed before, is gone, and the device has no way to show it again.
    .fix = Upload it by hand, or try again: another certificate of Camlock takes its place.
not-offered = This driver cannot do { $operation }.

## An enrolment

outside-the-site = { $host } leads to { $address }, an address that your authority was not made for: perhaps not on your network at all. Nothing was sent.
    .fix = Check the name, or name the device by its address. If it is right: --yes.
other-device-there = The device says that its https page is on port { $port }, and there another device answers that Camlock knows. Nothing was changed.
    .fix = Look who answers at this address: a device that tells another's port is broken, or lies.
other-fingerprint = { $host } shows another certificate than the one whose fingerprint you gave. Nothing was sent.
    .fix = Read the fingerprint (SHA-256) on the device itself once more. If it is right, somebody else answers at this address.
would-overwrite = This device has room for one certificate, and installing a new one replaces it for good. Nothing was changed.
    .fix = If that is what you want, say so: --yes.
found = driver { $driver }
looked-at = { $page } is secure already
already-secure = secure already, until { $until }
key-on-device = the camera made its key ({ $key }) and a request; no secret crosses the network
key-made-here = Camlock made the key ({ $key }), not the camera
signed = certificate for { $names }, until { $until }
packaged-pem = key and certificate in one package
packaged-certificate = the certificate alone: the camera has its key
packaged-file = key and certificate in { $file }, for your eyes alone
waits-for-hand = waiting for you: open { $page } as administrator, find where it takes a certificate (often Network, HTTPS or Security, Certificates), upload { $file }, choose it and switch HTTPS on
password-unsure = The device took the new password and did not let it in afterwards. { $reason }
    .fix = Try the old password and the new one on the device's page, once each, before it locks the account.
password-not-asked = The device said that it took the password, and still lets everyone in without one.
    .fix = Set its password on its own https page.
no-such-tls = The device has no TLS { $version } or later, only { $has }. Nothing was changed.
    .fix = Choose a lower version: --tls-floor.
tls-still-spoken = The device said that it speaks TLS { $version } no longer, and it still does. What was on before is on again.
    .fix = Look for the setting on the device's own page, or for newer firmware.
nothing-done = Nothing was done.
one-device = A new password, and a one-time code, is for one device at a time.
    .fix = Name one device.
ask-outside = { $targets }: this name leads to an address that your authority was not made for. Send user and password there? [y/N]
ask-readable = { $count ->
    [one] { $targets } can
   *[other] { $count } devices ({ $targets }) can
} take your password only unscrambled, and Camlock has never met { $count ->
    [one] it. If somebody else's device sits at that address at this moment, it would learn the password
   *[other] them. If somebody else's device sits at one of these addresses at this moment, it would learn the password
}. Send the password? [y/N]
ask-import-refused = Take it over all the same? [y/N]
ask-overwrite = { $count ->
    [one] { $targets } has
   *[other] { $count } devices ({ $targets }) have
} room for one certificate: the present one is overwritten and cannot be brought back. Do it? [y/N]
ask-http-off = Recorders and programs that reach these devices over http will stop until they are given an https address. Switch HTTP off? [y/N]
ask-tls-floor = Recorders and programs that speak older TLS alone will stop until they are brought up to date. Go on? [y/N]
ask-new-password = Recorders and programs that sign in to this device will stop until they are given the new password. Go on? [y/N]
package-not-written = The package could not be written, so nothing was given out. { $reason }
    .fix = Name a place that can be written: --out.
installed = uploaded, assigned, HTTPS on (port { $port })
resumed = done by an earlier run
verified = a browser that trusts { $issuer } shows no warning
verified-http-off = a browser that trusts { $issuer } shows no warning; plain HTTP is off
watching = valid until { $until }; renew from { $renew } on
taken-back = taken back
busy = Another run of Camlock works on { $target } at this moment.
    .fix = Wait until it has ended, then try again.
refused-before = Nothing was sent here: { $target }, which may be the same device, refused the password a moment ago, and a second try could lock the account.
    .fix = If it is another device, secure it in a run of its own.
interrupted = The run was stopped before this device was secure.
    .fix = Run the same again: what is secure stays, and what was begun is taken up.
tls-unusable = Camlock could not speak TLS with { $host }, so nothing secret was sent there. { $reason }
    .fix = Update the device's firmware, or allow modern ciphers in its settings (TLS 1.2 with ECDHE, or TLS 1.3).
two-tier-leaf-alone = Some cameras send their own certificate alone: under an authority with two tiers browsers refuse their pages, and Camlock changes nothing on them.
    .fix = Try it with one camera of each kind after the move; the way back is camlock authority rollover --one-tier
import-outside = The CA may not speak for addresses of this computer's networks: { $addresses }. Devices there get no certificate of it.
    .fix = If there are devices, move to a root that may: camlock authority rollover --permit RANGE, bring it to every computer, then camlock authority rollover --confirm
serves-leaf-alone = This device sends its own certificate alone, and this authority has two tiers: without the issuer's certificate beside it every browser refuses the page. Nothing was changed.
    .fix = Such devices need an authority with one tier: move to one (camlock authority rollover --one-tier), or make a second one in another data directory (--data).
other-certificate-served = The device said that all was done, and port { $port } still serves another certificate.
    .fix = Restart the device and try again; if it stays so, upload the certificate by hand (camlock secure { $target } --by-hand).
still-not-secure = The certificate is installed, and a browser would still show { $page }.
    .fix = See what camlock check says of it.
https-does-not-answer = The device said that HTTPS is on, and nothing answers on port { $port }.
    .fix = Restart the device and try again. If a router stands before it and forwards ports, HTTPS is at another one there: let it forward one to port { $port } of the device, then camlock secure https://HOST:PORT --user admin
http-still-open = HTTPS is secure, and plain HTTP still answers on port { $port } after it was switched off.
    .fix = Switch HTTP off in the device's own settings.

## Requests, certificates, keys

not-a-request = This is not a certificate request: { $detail }.
    .fix = A request begins with -----BEGIN CERTIFICATE REQUEST----- (or is its DER form). Make it again on the device.
request-too-large = { $bytes } bytes are too many for a certificate request; at most { $limit } are read.
    .fix = Check that the file is the request: a camera's has about 1000 bytes.
several-requests = The file holds { $count } requests.
    .fix = Give each in a file of its own.
too-many-names = The request asks for { $count } names; at most { $limit } are read.
    .fix = Name those that the device needs, by --ip and --dns, in a request made again.
too-many-extensions = The request asks for { $count } extensions; at most { $limit } are read.
    .fix = Make the request again on the device, or let Camlock make key and certificate (camlock issue --name NAME --ip IP).
repeated-extension = The request asks for the extension { $extension } more than once, so what it wants is not clear.
    .fix = Make the request again on the device, or let Camlock make key and certificate (camlock issue --name NAME --ip IP).
private-key-alone = The file holds a private key, and no certificate request.
    .fix = Give the request. The private key is a secret: if it has left the device, or anyone else has seen the file, make a new one.
bad-request-signature = The request's signature does not fit its public key, so whoever made it does not have the key, or the file is damaged.
    .fix = Make the request again on the device.
unsupported-signature = The request is signed with an algorithm that is not accepted ({ $algorithm }).
    .fix = Make the request with SHA-256. If the device cannot, let Camlock make key and certificate (camlock issue --name NAME --ip IP).
key-too-weak = The key ({ $key }) is too weak: today's browsers and systems ask for RSA of 2048 bits or more.
    .fix = Use an RSA key of 2048 bits or a P-256 key.
key-exponent = The key ({ $key }) has a public exponent with which RSA does not hold: it must be odd, at least 3 and at most 32 bits long.
    .fix = Make a new key on the device; 65537 is the usual exponent.
key-small-factor = The key ({ $key }) protects nothing: its modulus can be divided by { $factor }.
    .fix = Make a new key. If it is as bad, the device's firmware makes broken keys: let Camlock make it (camlock issue --name NAME --ip IP).
key-close-primes = The key ({ $key }) protects nothing: its two primes are so close to each other that they can be computed.
    .fix = Make a new key. If it is as bad, the device's firmware makes broken keys: let Camlock make it (camlock issue --name NAME --ip IP).
key-roca = The key ({ $key }) was made by a chip whose keys can be computed (ROCA, CVE-2017-15361).
    .fix = Update the device's firmware and make a new key, or let Camlock make it (camlock issue --name NAME --ip IP).
key-negative = The key ({ $key }) cannot be used: a number of it is written without its leading zero byte, and so as a negative one, which browsers refuse.
    .fix = The size of the key is right; the device's firmware writes it wrongly. Look for newer firmware, or let Camlock make key and certificate (camlock issue --name NAME --ip IP).
key-damaged = The key ({ $key }) cannot be read: its numbers are not written as the standard demands.
    .fix = Make the request again on the device. If it stays so, look for newer firmware, or let Camlock make key and certificate (camlock issue --name NAME --ip IP).
curve-not-named = The key's curve is not named but written out in numbers, which browsers refuse.
    .fix = Make a new key on a named curve, P-256 or P-384 (openssl ecparam -name prime256v1 -param_enc named_curve), and with it a new certificate.
unsupported-key = Keys of this kind ({ $key }) are not accepted: browsers refuse them in web servers.
    .fix = Use RSA of 2048 to 8192 bits, P-256 or P-384.
file-too-large = { $bytes } bytes are too many for a key or a package: at most { $limit } are read.
    .fix = Give the file with the key alone.
not-a-private-key = This is not a private key: { $detail }.
    .fix = Give a file in PEM (-----BEGIN PRIVATE KEY----- and its like) or DER.
several-private-keys = The file holds { $count } private keys; it must be clear which one is meant.
    .fix = Give each in a file of its own.
not-a-package = This is not a PKCS#12 package of a key: { $detail }.
    .fix = Export key and certificate together (.p12, .pfx).
file-passphrase-missing = The file is encrypted, and its passphrase was not given.
file-passphrase-wrong = The file's passphrase is wrong, or the file is damaged.
    .fix = Try again, or export the file anew.
unsupported-encryption = The file is encrypted in a way that is not supported ({ $algorithm }).
    .fix = Export it with AES-256, or encrypt it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc, openssl pkcs12 -export.
encryption-damaged = The file does not say properly how it is encrypted.
    .fix = Export it anew.
too-costly = Opening the file would take { $cost }, more than a small machine should be made to spend.
    .fix = Export it anew with the usual settings of the program that made it.
not-a-certificate = This is not a certificate: { $detail }.
    .fix = Give a file in PEM (-----BEGIN CERTIFICATE-----) or DER.
invalid-constraint = { $text } is neither a range of addresses, an address nor a domain.
    .fix = Write for example 81.2.3.0/24, 81.2.3.4, cams.example.com or nvr.
unsupported-constraint = A name constraint of the certificate cannot be kept here: { $constraint }.
    .fix = Make an authority of Camlock's own: camlock init.
permit-outside = The certificate's own name constraints do not allow { $text }.
    .fix = Leave it out: what a certificate does not allow, browsers do not accept.
no-host-name-left = The certificate's name constraints leave no host name, and each certificate has one beside its addresses.
    .fix = Make an authority of Camlock's own: camlock init.
lint-failed = The certificate would break rules and was not signed: { $findings }
lint-version = It is not of version 3 ({ $source }).
lint-serial = Its serial number has fewer than 64 or more than 160 bits ({ $source }).
lint-validity = It ends before it begins ({ $source }).
lint-extension-twice = It has an extension twice ({ $source }).
lint-key = Its key is weak or of a kind that browsers refuse ({ $source }).
lint-signature = It is signed with an old algorithm, SHA-1 or MD5 ({ $source }).
lint-key-id = It has no subject key identifier ({ $source }).
lint-common-name-length = Its common name has more than 64 characters ({ $source }).
lint-subject-invisible = A name in its subject has characters that are invisible, change the direction of the text or mean nothing, so that it looks like another ({ $source }).
lint-not-self-issued = A root is its own issuer, and this one is not ({ $source }).
lint-self-issued = It has the same name as its issuer ({ $source }).
lint-path-length = It does not limit, or limits wrongly, how many authorities may stand below it ({ $source }).
lint-root-long = It is valid for more than 25 years, longer than its key can be trusted to hold ({ $source }).
lint-no-common-name = It has no common name ({ $source }).
lint-not-ca = It is not marked as an authority in a critical extension ({ $source }).
lint-ca-usage = Its critical key usage does not allow exactly what an authority does: sign certificates and lists ({ $source }).
lint-ca-purposes = It is not limited to TLS servers and clients ({ $source }).
lint-constraints = Its name constraints are not critical, or leave one kind of name free ({ $source }).
lint-unreadable = It is written so that browsers cannot read it ({ $source }).
lint-name-characters = Its name has a character for which that kind of text has no place, such as _, & or @ in a PrintableString ({ $source }).
lint-name-kind = A part of its name is written as a kind of value that is not taken for text ({ $source }).
lint-name-damaged = Its name is not put together as names are ({ $source }).
lint-name-empty = It has no name ({ $source }).
lint-critical-false = It says of an extension that it is not critical, which must be left unsaid ({ $source }).
lint-critical-unknown = It calls an extension critical that browsers do not know how to heed ({ $source }).
lint-extension-damaged = An extension of it is written so that browsers do not read it ({ $source }).
lint-tls-feature = It demands a TLS feature (must-staple) of all servers below it, which cameras do not have ({ $source }).
lint-explicit-policy = It demands a certificate policy of all that is below it, and cameras have none ({ $source }).
lint-any-purpose = It allows any purpose instead of naming web servers ({ $source }).
lint-signature-differs = Its signature's algorithm is not the one that was signed ({ $source }).
lint-leaf-ca = It is not marked as no authority ({ $source }).
lint-leaf-usage = Its key usage is not digitalSignature, with keyEncipherment for RSA alone ({ $source }).
lint-leaf-purposes = Its extended key usage is not that of its profile ({ $source }).
lint-extension = It has an extension that its profile does not have ({ $source }).
lint-too-long = It is valid for more than 824 days ({ $source }).
lint-issuer-name = Its issuer is not the issuer's own name ({ $source }).
lint-issuer-key-id = Its authority key identifier is not the issuer's own ({ $source }).
lint-outlives-issuer = Its validity is not within its issuer's ({ $source }).
lint-no-names = It has no subjectAltName ({ $source }).
lint-odd-names = Its subjectAltName holds something other than addresses and host names ({ $source }).
lint-no-host-name = There is no host name beside its addresses ({ $source }).
lint-names-outside = It holds a name that the authority may not speak for ({ $source }).
lint-names-critical = Its subjectAltName is critical with a subject, or not critical without one ({ $source }).
lint-common-name-host = Its common name is a host name ({ $source }).
crypto = The system's cryptography failed ({ $operation }).
    .fix = Try again; if it stays so, this machine is not in order.
encoding = The certificate could not be written: { $detail }.
invalid-name = { $name } is neither an IP address nor a host name.
    .fix = Use letters, digits, hyphens and dots; a wildcard is not possible.
invalid-target = { $target } is no address, host name or URL.
    .fix = Write for example 192.168.1.64, gate.lan:8443 or https://192.168.1.64/.
leading-zero = { $target } has a number that begins with a zero, which programs read in two ways.
    .fix = Write it without, such as 192.168.1.64.
invalid-port = { $port } is no port: those are 1 to 65535.
invalid-scheme = { $target } is neither an http nor an https address.
credentials-in-url = A user name or password does not belong in the address: it would stay in the shell's history.
    .fix = Give them by --user and --password-file.
added-from-common-name = added { $name }: browsers ignore the common name
added-name = added { $name }: named on the command line
added-host-name = added { $name }: some programs otherwise take the common name for a host name
dropped-name = dropped { $name }: not among the names on the command line
dropped-unusable-name = dropped { $name }: no browser would accept it
dropped-letters = dropped the host name { $name }: in certificates a host name with such letters is written in its form that begins with xn--; that can be given with --dns
dropped-address-as-text = dropped the request's own { $name }: the address is written as text, where browsers look for its 4 or 16 bytes; --ip writes it so
dropped-damaged-name = dropped { $name }: it is not written as names of its kind are, so nobody can read it
cut-short = it ends on { $ends }, with the authority, and earlier than usual (a next root: camlock authority rollover)
names-damaged = dropped the rest of the request's names: their list breaks off, so nobody can read it; they can be given with --ip and --dns
dropped-common-name = dropped the common name { $name }: it looks like a host name, which belongs in the subjectAltName
unusable-common-name = dropped the common name { $name }: it cannot be read, is too long or has invisible characters
address-as-host-name = { $name } was written as a host name, where browsers do not look for an address; it is an address now
beside-private-key = the file holds a private key, too. It was not read; whoever has the file has the key, so if anyone else may have seen it, make a new key and a new request
dropped-ca = dropped CA:TRUE: a camera is no authority
dropped-extension = dropped the extension { $extension }: the profile does not have it

## The authority and its data

site-name = A site's name has 1 to { $limit } characters, none of them invisible.
no-names = There is no address and no host name to issue for.
    .fix = Name one with --ip or --dns.
no-usable-names = The request's names cannot be used ({ $names }), and there is no other to issue for.
    .fix = Name the device's address with --ip, or its host name with --dns.
names-outside = The authority may not speak for { $names }. It may for { $permitted }.
    .fix = Use an address or a name inside these ranges. A root cannot be widened: for another one that may speak for more, camlock authority rollover --permit RANGE-OR-NAME, bring it to every computer, then camlock authority rollover --confirm
days = { $days } days are not possible: 1 to { $limit } are. iPhones, iPads and Macs refuse more.
common-name = { $name } is not possible as a name: 1 to { $limit } characters, none of them invisible.
outlives-issuer = The certificate would outlive the authority, which ends on { $issuer_ends }.
    .fix = Ask for fewer days, or move to a new root: camlock authority rollover.
issuer-ends = The authority ends on { $issuer_ends }: nothing can be issued under it any more.
    .fix = If there is a next root (camlock authority show), bring it to every computer, then camlock authority rollover --confirm; if not, make one: camlock authority rollover. With two tiers, and a root that lasts longer: camlock authority issuer --root-key FILE
key-elsewhere = The key of { $authority } is not on this machine.
    .fix = With two tiers the root's key is in the file that was carried away: camlock authority issuer --root-key FILE.
unknown-serial = No certificate of this authority has the serial number { $serial }.
    .fix = See camlock list certificates.
one-tier = This authority has one tier: the root issues by itself, and there is no issuer to replace.
    .fix = To get a new key, move to a new root: camlock authority rollover.
other-root-key = This is not the key of { $root }.
    .fix = Give the file that was written when that root was made.
rollover-under-way = There is a next root already.
    .fix = Once it is on every computer, camlock authority rollover --confirm; to forget it, --cancel.
no-rollover = There is no next root.
    .fix = Make one: camlock authority rollover.
not-the-issuer = Another authority issues now: it was replaced while this ran.
    .fix = Try again.
root-key-written = The root's key is in { $file }, encrypted to the recovery key, and not on this machine any more. Carry the file away: who has it and the recovery key can sign.
next-root-waits = Nothing moves yet. Bring both roots to every computer (camlock trust export, or the trust page), then camlock authority rollover --confirm.
rollover-confirmed = Everything is issued under the new root from now on. A device moves when it is secured the next time.
rollover-cancelled = The next root is forgotten: { $root }, SHA-256 { $sha256 }. Remove it from the computers that have it already.
ask-rollover = Computers that do not trust the new root will warn of every device that moves to it, and there is no way back. Is it on every computer? [y/N]
issuer-replaced = A new issuer signs from now on. Devices that need the issuer beside their certificate get it when they are secured the next time.
recovery-key-missing = The recovery key is needed, and there is no terminal to ask for it.
    .fix = Give it in a file: --recovery-key-file FILE.
revoked = Revoked { $serial }; the list of revoked certificates is signed anew.
revoked-in-use = { $device } goes on with this certificate until it has another one.
    .fix = If the device is yours still, give it another one: camlock secure --all --user admin. If it is gone for good: camlock device forget { $place }
ask-revoke = This is the certificate for { $name } ({ $names }), valid until { $until }. Once it is revoked there is no way back. Revoke it? [y/N]
ask-revoke-lost = No certificate of this ledger has the serial number { $serial }. If it was issued after the backup that you restored, it can be revoked all the same. Is every digit right? [y/N]
serial-ambiguous = Several certificates have serial numbers that begin with { $serial }.
    .fix = Type more of it, as it stands there: camlock list certificates
already-revoked = { $serial } was revoked before.
crl-not-published = This site publishes no list of revoked certificates, and certificates name none: nobody learns of it by himself.
    .fix = Set url under [crl] in policy.toml; certificates issued after that name the list. Browsers ask for such lists only where they are told to; a device that was stolen is best removed from the network.

## A CA that was made elsewhere

import-archive = { $file } is an archive that cannot be read: { $detail }.
    .fix = Export it again, or unpack it and give the files that were in it.
import-database = { $file } is a database; XCA, for example, keeps its keys in one, each encrypted.
    .fix = In XCA, select the CA's certificate and export it as PEM + key or as PKCS #12 (.p12). Give that file.
import-encrypted-configuration = { $file } is an encrypted configuration.
    .fix = Export it without encryption, or export the CA's certificate and its private key by themselves.
import-passphrase-missing = { $file } is encrypted, and its passphrase was not given.
    .fix = Give it in a file: --import-passphrase-file FILE.
import-passphrase-wrong = The passphrase of { $file } is wrong, or the file is damaged.
    .fix = Try again, or export it anew.
import-unread = { $file } cannot be used. { $reason }
    .fix = Give another file with the CA's certificate or its private key, or make a new authority: camlock init.
import-too-much = There are more than { $limit } files or things of one kind in them.
    .fix = Name the files with the CA's certificate and its private key.
import-nothing = There is neither a certificate nor a private key in these files; at most { $limit } bytes of each are read.
    .fix = Give the CA's certificate and its private key, in PEM, DER or PKCS#12.
import-no-key = There is no private key beside { $certificates }.
    .fix = Give the file with the CA's private key, too. If nobody has it any more, make a new authority: camlock init.
import-no-certificate = There is no certificate beside the private key: { $keys }.
    .fix = Give the file with the CA's certificate, too.
import-no-match = No private key belongs to a certificate here. Keys: { $keys }. Certificates: { $certificates }.
    .fix = Give the private key that was made together with the CA's certificate.
import-several = There are several CAs with their keys: { $candidates }.
    .fix = Say which one: --ca NAME, or the beginning of its SHA-256.
import-unknown-ca = None of the CAs with their keys is { $wanted }: { $candidates }.
    .fix = Say which one: --ca NAME, or the beginning of its SHA-256.
import-java = { $file } is a key store of Java (JKS or JCEKS), which only Java reads.
    .fix = Make a package of it and give that: keytool -importkeystore -srckeystore { $file } -destkeystore ca.p12 -deststoretype PKCS12
import-no-root = { $certificate } is its own issuer and is not marked as a CA (basicConstraints){ $version ->
    [3] {""}
   *[other] , which a certificate of version { $version } cannot be
}: browsers accept nothing that is issued under it, and no other certificate can mend that.
    .fix = Make a new authority, and put its root on the computers: camlock init.
import-not-ca = { $certificate } is no CA: it is not marked as one (basicConstraints).
    .fix = Give the certificate of the CA that issued it, and that one's private key.
import-key-usage = { $certificate } may not sign certificates: its key usage lacks keyCertSign.
    .fix = Make a new authority: camlock init.
import-purposes = { $certificate } may not vouch for web servers: its extended key usage lacks serverAuth.
    .fix = Make a new authority: camlock init.
import-ended = { $certificate } ends on { $ends }: too late to issue under it.
    .fix = Make a new authority: camlock init.
import-not-begun = { $certificate } begins only on { $begins }.
    .fix = Set this computer's clock.
import-unusable = { $certificate } cannot be used. { $reason }
    .fix = Make a new authority: camlock init.
import-refused = A browser refuses every page under { $certificate }. { $reasons } Nothing was taken over.
    .fix = This cannot be mended in a certificate that exists: make a new authority (camlock init). For programs that do not mind, take it over all the same with --yes.
import-subject = The subject of { $certificate } is written in a way that cannot be kept byte for byte, and browsers would not find what it issues to be its own.
    .fix = Make a new authority: camlock init.
import-root-missing = { $certificate } is not a root: { $issuer } issued it, and its certificate is not among the files.
    .fix = Give that certificate, too. Its private key is not needed.
import-too-many-tiers = Above { $certificate } stands { $issuer }, which is not a root either. A root and one issuer below it are possible.
    .fix = Take over the issuer directly below the root, or make a new authority: camlock init.
import-path-length = { $issuer } allows no issuer below it (path length 0), and { $certificate } is one: browsers refuse what it issues.
    .fix = Take over the root itself, or make a new authority: camlock init.
import-signature = The signature on { $certificate } is not by { $issuer }.
    .fix = The file may be damaged, or another certificate has the same name: export both again.
import-old-signature = { $issuer } signed { $certificate } with an old algorithm ({ $algorithm }): browsers refuse what it issues.
    .fix = Have it signed again with SHA-256, or make a new authority: camlock init.
import-left-out = The name constraints of the CA also allow { $constraints }, but not all of it can be kept exactly, so nothing is issued for it.
import-own-limit = The certificate itself has no name constraints. Camlock keeps to these names; whoever has the key need not.
import-own-limit-too = The certificate's name constraints leave a kind of name free. There Camlock keeps to these names; whoever has the key need not.
import-advice = These cannot be mended in a certificate that computers trust already. To move to a root without them, later: camlock authority rollover.
import-old-key = The files were not touched. Once everything works, destroy the old key's file and its copies, or take them off the network: whoever has one can still sign.

policy-denies = The policy denies { $names }.
    .fix = Use other names, or change deny in policy.toml.
policy-permits = The policy does not permit { $names }. Permitted are { $lists }.
    .fix = Use names inside these lists, or add to permit in policy.toml.
policy-key = The policy's profile { $profile } does not take a key of the kind { $key }, but { $allowed }.
    .fix = Use another key, or change keys in policy.toml.
policy-days = The policy's profile { $profile } allows { $limit } days, and { $days } were asked for.
    .fix = Ask for fewer days, or change days in policy.toml.
policy-file = policy.toml, line { $line }: { $mistake }
    .fix = Correct that line. Until then nothing is issued.
policy-syntax = this cannot be read: { $detail }.
policy-unknown-key = { $key } is not known here. Allowed are { $allowed }.
policy-misspelt-key = { $key } is not known here; { $nearest } is. Allowed are { $allowed }.
policy-number = { $key } is { $value }; a whole number from { $least } to { $most } is allowed.
policy-entry = { $entry } in { $key } is nothing that a certificate's name can be in. Allowed are ranges (192.168.1.0/24), addresses (192.168.1.64) and domains (cams.example.com, which includes what is below it).
policy-key-kind = { $key } is no kind of key. Allowed are { $allowed }.
policy-url = { $url } is not possible as the address of the revocation lists. Allowed is a plain http address, with a port and a path if needed (http://nas.lan:8080), without user, query and fragment, of 200 characters at most.
policy-folder = { $folder } is not the whole path of a folder. Allowed is a path from the root on (/volume1/backup).
policy-unreadable = { $file } cannot be read: { $reason }.
    .fix = Check its permissions, or remove it: without it the defaults hold.
policy-too-large = { $file } is too large; at most { $limit } bytes are read.
    .fix = Shorten it: a range or a domain stands for all that is in it.
recipe-file = { $file }, line { $line }: { $mistake }
    .fix = Correct that line, or move the file out of the folder. docs/recipes.md tells what a recipe may say.
recipe-syntax = this cannot be read: { $detail }.
recipe-unknown-key = { $key } is not known here. Allowed are { $allowed }.
recipe-name = this is no name of a recipe. Allowed are small letters, digits and hyphens, 40 at most.
recipe-path = this is no path on the device. It begins with one slash and is written as it stands in a URL; scheme and host are not given, since there is one device.
recipe-field = this is no name of a form's field or of its file. Allowed are 1 to 100 characters without quotation marks.
recipe-key-kinds = these are not kinds of key. Allowed are rsa-2048, rsa-3072 and p256, one at least.
recipe-signs = nothing here tells this device from others. Give server, realm or body.
recipe-upload = an upload has either field and file_name, for one PEM file with everything, or a list of files, each in [[upload.file]].
recipe-files = the private key and the certificate are not both uploaded.
recipe-value = this is no value. Allowed are {"{"} input = "name" {"}"} and {"{"} after = "text", until = "text" {"}"}.
recipe-switch = this is no switch. Allowed are {"{"} checkbox = "name" {"}"} and {"{"} text = "text" {"}"}.
recipe-unreadable = { $file } cannot be read: { $reason }.
    .fix = Check its permissions, or remove it.
recipe-too-large = { $file } is too large; at most { $limit } bytes are read.
    .fix = A recipe is a page or two of text. Move what is none out of the folder.
folder-too-full = { $folder } has more than { $limit } files of the kind that is read from it, and none of them was.
    .fix = Move those that no device here needs out of the folder. Certificates may stand in one file together.
too-many-recipes = { $folder } has more than { $limit } recipes.
    .fix = Move those that no device here needs out of the folder.
recipe-twice = { $file } holds the recipe { $name }, and so does another file.
    .fix = Give one of them another name.
no-constraints = The root has no name constraints: whoever steals its key can speak for any web site.
passphrase-short = The passphrase is short: whoever steals this machine's disk can try many.
    .fix = Choose one of several words.
host-name-permitted = The authority will also speak for this machine's host name, { $name }. It cannot be changed later; camlock init --no-host-name leaves it out.
ask-permit = The authority may speak for private addresses (such as 192.168.1.64) and local names (such as nas.lan). If devices have other names or addresses, type those now, with spaces between them (such as nas cams.example.com 81.2.3.0/24); if not, press Enter:
ask-permit-own = The authority may speak for private addresses (such as 192.168.1.64) and local names (such as nas.lan). This network calls itself { $domains }: type that if devices are to be reached by such names, and whatever other names or addresses they have, with spaces between them; if not, press Enter:
ask-short = Keep it all the same? [y/N]
passphrase-again = Choose another one.
ask-recovery-end = Print or write down the recovery key. To show that you have it, type its last 4 characters (Enter: later):
recovery-end-differs = The recovery key ends otherwise.
    .fix = Compare what you wrote down with what is shown above.
root-written = Wrote the root to { $file }
passphrase-empty = The passphrase is empty.
    .fix = Choose one of several words.
locked = The authority is locked.
    .fix = Open it with its passphrase: --passphrase-file FILE, or CAMLOCK_PASSPHRASE_FILE.
wrong-passphrase = The passphrase is wrong.
    .fix = Try again, or give the recovery key in its place (AGE-SECRET-KEY-1...).
passphrase-is-key = The new passphrase has the form of a recovery key or of a key file, and would be taken for one.
    .fix = Choose one of several words.
wrong-recovery-key = This recovery key does not belong to this authority.
    .fix = Check every letter against the print.
wrong-key-file = This key file does not open the authority (any more).
    .fix = Give the passphrase or the recovery key in its place; another one is made by camlock vault key-file FILE.
vault-damaged = The stored keys are damaged, or somebody changed them ({ $detail }). Nothing is opened with them.
    .fix = Restore a backup into another data directory: camlock restore FILE --data DIR. If the disk is in order, look who can write to this one.
escrow-damaged = What was encrypted to the recovery key is damaged ({ $detail }).
    .fix = Use another copy of it.
escrow-header = The header of this age file has more than { $limit } bytes: nothing that is encrypted to a recovery key has one like it.
    .fix = Use another copy of it.
recovery-unsigned = The authority has not signed yet which recovery key is the site's: its ledger is of an older version.
    .fix = Open it once with the passphrase: camlock backup FILE, which asks for it, or camlock doctor --passphrase-file FILE. Then compare the short form (camlock vault show) with the print.
recovery-forged = { $authority } has not signed what the ledger keeps for its recovery ({ $recovery }): the recovery key there, or the key that is kept for it, is not what this authority put there. Somebody may have changed the data. Nothing is encrypted to it.
    .fix = Compare { $recovery } with the print. If it is the right one, make a new recovery key and all that belongs to it: camlock vault recovery-key. If not, restore a backup into another data directory, and look who can write to this one.
foreign-schema = The ledger holds something that no ledger of Camlock has, or lacks something ({ $object }). It was not opened.
    .fix = Somebody may have changed it, or it comes from somebody else: restore a backup of your own. A tool that was used on it (indexes, statistics) can be asked to take its work back.
vault-crypto = The system's cryptography failed ({ $operation }).
no-data-directory = There is no authority in { $directory }.
    .fix = Make one with camlock init, or name its place with --data.
data-directory = The data directory { $directory } cannot be used: { $reason }.
    .fix = Check its permissions, or name another with --data.
directory-in-use = { $directory } is somebody else's: { $file } is in it. A data directory is closed to all others, so nothing was changed.
    .fix = Name an empty folder, or one that is not there yet, with --data.
older-version = The data is of an earlier version of Camlock ({ $found }; this one writes { $known }), and doctor changes nothing.
    .fix = Back up the folder, and run another command once, which takes it along: camlock authority show.
other-version = The data was written by another version of Camlock ({ $found }; this one knows { $known }).
    .fix = Use the newer version.
database = The database failed: { $reason }.
    .fix = Check the disk's free space and health.
stored-data = Stored data is damaged: { $detail }.
    .fix = Restore a backup into another data directory: camlock restore FILE --data DIR.
authority-exists = There is an authority already, for the site { $site }; it was not touched.
    .fix = Name another data directory with --data to make a second one.
secrets-changed = Another command changed the passphrase, the recovery key or the key file at this moment; nothing was changed by this one.
    .fix = Run it again. A recovery key that was just shown here does not hold.
no-authority = There is no authority yet.
    .fix = Make one with camlock init.

## Doctor

this-clock-behind = This computer's clock says { $now }, and the ledger has seen { $seen }. Nothing is begun unasked: no renewal, no list of revoked certificates, no next root, no backup.
    .fix = Set the clock, and let a time server keep it (NTP). If it is right and the date in the ledger is not: a certificate and a backup that you ask for (camlock issue --name NAME --ip IP, camlock backup FILE) set the ledger right.
this-clock-ahead = This computer's clock says { $now }, more than a year after the last that the ledger has seen, on { $seen }. Nothing is begun unasked: no renewal, no list of revoked certificates, no next root, no backup.
    .fix = Set the clock, and let a time server keep it (NTP). If it is right, say so by a backup: camlock backup FILE.
directory-open = The data directory { $path } is open to others on this computer.
    .fix = chmod 700 { $quoted }
secret-open = { $path } holds a secret, and others on this computer can read or change it.
    .fix = chmod 600 { $quoted }
rollover-due = { $root } ends on { $ends }. The next root should be on its way to the computers by now.
    .fix = Make it: camlock authority rollover; camlock serve does so if it has a passphrase or a key file (not with two tiers, nor for a root without name constraints). Nothing moves to it before you confirm.
rollover-begun = made the next root, { $root }; nothing moves to it yet
    .fix = Bring it to every computer (camlock trust export, or the trust page), then camlock authority rollover --confirm.
root-ended = { $root } ended on { $ends }: browsers refuse everything under it.
    .fix = Move to a new root: camlock authority rollover.
next-root = { $root } waits to be on every computer.
    .fix = Bring it there (camlock trust export, or the trust page), then camlock authority rollover --confirm.
old-root = { $root } is still needed: by devices ({ $devices }), by certificates carried by hand ({ $certificates }).
    .fix = Secure these devices again (camlock secure --all --user admin) and replace what was carried by hand; both are listed by camlock authority show. After that, remove this root from the computers.
old-issuer = Devices ({ $devices }) and certificates carried by hand ({ $certificates }) are of an earlier issuer below { $root }. Browsers take them as before.
    .fix = Nothing, unless its key is in wrong hands: then revoke them, secure these devices again (camlock secure --all --user admin) and replace what was carried by hand.
issuer-ends-soon = The issuer { $issuer } ends on { $ends }, and shortens what it issues.
    .fix = Replace it: camlock authority issuer --root-key FILE.
next-root-due = { $root } ends on { $ends }, and its successor is not in use yet.
    .fix = Bring the next root to every computer (camlock trust export, or the trust page), then camlock authority rollover --confirm.
crl-missing = policy.toml publishes the list of what { $issuer } revoked, and none is signed yet.
    .fix = Run camlock serve with a passphrase or a key file once, so that it can sign.
crl-late = The list of what { $issuer } revoked ends on { $ends } and was not signed anew.
    .fix = Run camlock serve with a passphrase or a key file, so that it can sign.
unconstrained = { $root } has no name constraints: whoever steals its key can speak for any web site.
    .fix = If no device needs it so, move to a root that has them: camlock authority rollover --constraints default
root-lint = { $root } is weaker than it should be. { $reason }
    .fix = Move to a new root: camlock authority rollover.
no-backup = There is no backup yet.
    .fix = Make one: camlock backup FILE, onto another disk. camlock serve makes them by itself if policy.toml says where ([backup]).
backup-old = The last backup is of { $at } ({ $file }).
    .fix = Make one: camlock backup FILE. camlock serve makes them by itself if policy.toml says where ([backup]).
device-joined = { $device } stood in the list twice, the other time as { $place }: it is one device, and one entry now.
device-unverified = The certificate { $serial } went to { $device } at a first contact, and the device was never seen to show it.
    .fix = Secure it again: camlock secure --all --user admin. Or make the certificate worthless: camlock revoke { $serial } --reason key-compromise
device-unverified-revoked = The certificate { $serial } went to { $device } at a first contact, and the device was never seen to show it. It is revoked.
backup-late = The last backup is of { $at } ({ $file }): those that policy.toml asks for in { $folder } do not come.
    .fix = Look whether camlock serve runs, and what its log says. Until then make one: camlock backup FILE.
backup-untried = The last backup is of { $at } ({ $file }). Nobody has tried yet whether the recovery key on paper opens it.
    .fix = Try it, which changes nothing: camlock restore "{ $file }" --check
backup-checked = This recovery key opens the backup of { $at }, and everything in it is whole. Nothing was restored.
last-backup = The last backup is of { $at } ({ $file }).
key-file = A key file opens the vault without a passphrase: whoever takes it and the data directory has the authority.
recovery-signed = The recovery key is { $recovery }, as the authority has signed: compare it with the print.
browsers-refuse = A browser refuses every page under { $certificate }. { $reason }
    .fix = This cannot be mended in a certificate that exists. Move to a new root: camlock authority rollover.
issuer-lint = { $issuer } is weaker than it should be. { $reason }
    .fix = Move to a new root: camlock authority rollover.
intent-without-certificate = A certificate for { $names } (serial { $serial }) was begun and never handed out: the program ended in between.
    .fix = Nothing, if that is known: this number is never used again.
digest-differs = The stored certificate { $serial } is not what was stored.
    .fix = Check the disk, and restore a backup of the data directory.
intent-differs = The stored certificate { $serial } is not what was intended ({ $what }).
    .fix = Somebody may have changed the data: restore a backup, and revoke it.
signed-by-another = The stored certificate { $serial } is not signed by the authority that the ledger names.
    .fix = Somebody may have changed the data: restore a backup.
stored-lint = The certificate { $serial } breaks a rule. { $reason }
    .fix = Replace it: camlock secure --all --user admin, or issue another one.
more-flaws = And { $count } more of this kind.
certificates-checked = Read all { $count } certificates again.
nothing-wrong = Nothing is wrong.

root-begins = { $root } begins only on { $begins } by this computer's clock: until then browsers refuse everything under it.
    .fix = If the date is wrong, set this computer's clock. If the clock was wrong when the root was made, make another root: camlock authority rollover
root-ended-next = { $root } ended on { $ends }: browsers refuse everything under it. Its successor is there and not in use yet.
    .fix = Bring the next root to every computer (camlock trust export, or the trust page), then camlock authority rollover --confirm
issuer-ended = The issuer { $issuer } ended on { $ends }: nothing can be issued, and browsers refuse what it signed.
    .fix = Replace it: camlock authority issuer --root-key FILE. If the root's key is lost, move to a new root: camlock authority rollover
crl-begins = The list of what { $issuer } revoked holds only from { $begins } on: it was signed while this computer's clock was ahead.
    .fix = Run camlock serve with a passphrase or a key file, so that it can sign another one.
backup-gone = The last backup, of { $at }, is not where it was written ({ $file }).
    .fix = If it is on a disk that is not connected, connect it. Otherwise make another: camlock backup FILE
backup-of-other-root = The last backup, of { $at } ({ $file }), is older than the move to the present root: it would bring the former one back.
    .fix = Make another: camlock backup FILE
backup-for-other-key = The last backup, of { $at } ({ $file }), is opened only by a recovery key that was replaced since.
    .fix = Make another: camlock backup FILE. Until then keep the former print.

data-read-only = Nothing can be stored in { $directory }: { $reason }.
    .fix = Give the user of Camlock the right to write there, or have the disk looked at: file systems with errors are often made read-only.
disk-full = The disk with { $directory } is full: { $free } MB are left.
    .fix = Make room. Until then certificates, backups and looks cannot be stored.

## What is in use

device-revoked = { $device } ({ $place }) goes on with a certificate that was revoked on { $on }.
    .fix = Give it another one: { $way ->
        [by-hand] camlock secure { $place } --by-hand
       *[driver] camlock secure { $place } --user admin
    }
device-ended = The certificate of { $device } ({ $place }) ended on { $ends }: browsers warn of its page.
    .fix = Give it another one: { $way ->
        [by-hand] camlock secure { $place } --by-hand
       *[driver] camlock secure { $place } --user admin
    }
device-due = The certificate of { $device } ({ $place }) ends on { $ends }.
    .fix = Renew it: { $way ->
        [by-hand] camlock secure { $place } --by-hand
       *[driver] camlock secure { $place } --user admin
    }
device-not-secure = { $device } ({ $place }) was not secure when it was last looked at, on { $seen }.
    .fix = See why: camlock check { $place }. Then secure it: { $way ->
        [by-hand] camlock secure { $place } --by-hand
       *[driver] camlock secure { $place } --user admin
    }
device-unreachable = { $device } ({ $place }) does not answer, since { $since } at least.
    .fix = Look whether it has power and network; camlock find looks for it elsewhere. If it is gone for good: camlock device forget { $place } --revoke
device-away = { $device } is not at { $was } any more, since { $since }, and was met nowhere else.
    .fix = Look for it: camlock find. If it is gone for good: camlock device forget { $was } --revoke
certificate-ended = The certificate for { $name } ended on { $ends }: browsers warn of whatever serves it.
    .fix = Make another and upload it: camlock issue { $options }. If it is out of use: camlock revoke { $serial } --yes
certificate-due = The certificate for { $name }, which you carry by hand, ends on { $ends }.
    .fix = Make another and upload it: camlock issue { $options }. If it is out of use: camlock revoke { $serial } --yes
more-in-use = { $count } more devices or certificates have the same troubles.
    .fix = See all of them: camlock list devices, camlock list certificates --expiring 30d

## The status

status-devices = { $count ->
        [0] none yet
       *[other] { $secure } of { $count } secure, as last seen on { $seen } or later
    }{ $strange ->
        [0] { "" }
       *[other] ; { $strange } more found and not yours yet
    }
status-due = { $count ->
        [0] nothing
        [one] 1 certificate ends soon, has ended or was revoked
       *[other] { $count } certificates end soon, have ended or were revoked
    }
status-no-backup = none yet
status-served = camlock serve runs
status-not-served = camlock serve does not run here: no page, no scheduled backup
status-more = and { $count ->
        [one] 1 more thing
       *[other] { $count } more things
    } to see to: camlock doctor
no-command = Which command?
    .fix = Begin with camlock demo, or with camlock init.

## The command line

passphrase-missing = The passphrase is needed, and there is no terminal to ask for it.
    .fix = Give it in a file: --passphrase-file FILE, or CAMLOCK_PASSPHRASE_FILE.
new-passphrase-missing = The new passphrase is needed, and there is no terminal to ask for it.
    .fix = Give it in a file: --new-passphrase-file FILE.
passphrases-differ = The two passphrases differ.
package-passphrase-missing = The package's passphrase is needed, and there is no terminal to ask for it. There is no default one.
    .fix = Give it in a file: --package-passphrase-file FILE.
package-passphrase-not-ascii = The package's passphrase has letters beyond ASCII: Java cannot open the package at all, and old firmware may not.
    .fix = Unless the device is known to take it, make the package with another passphrase.
option-without-use = { $option } means nothing with --format { $format }.
    .fix = Leave it out, or choose another --format.
password-missing = The device's password is needed, and there is no terminal to ask for it.
    .fix = Give it in a file: --password-file FILE.
user-missing = The device's user name is needed, and there is no terminal to ask for it.
    .fix = Give it: --user NAME.
file-exists = { $file } is there already and was not touched.
    .fix = Name another file.
range-too-large = { $range } has more than 65,536 addresses, or is one of IPv6, whose ranges are too large to ask.
    .fix = Name smaller ranges, such as 192.168.1.0/24, or the addresses.
range-backwards = The range { $range } ends before it begins.
too-many-targets = These are more than { $limit } targets.
    .fix = Look at them in several runs.
check-stopped = Stopped: { $seen } of { $count } targets were looked at.
check-counts = { $count ->
        [one] 1 target
       *[other] { $count } targets
    }: { $secure } secure, { $not_secure } not secure, { $unreachable } unreachable.
check-silent = { $count ->
        [one] 1 address of the ranges has no web page.
       *[other] { $count } addresses of the ranges have no web page.
    }
check-one-output = Standard output takes one form: --json, --csv - or, of check, --html -.
    .fix = Give the others a file.
not-noted = What was found could not be noted: camlock secure --all knows nothing of it.
multicast-silent = No camera answered to multicast. Some are set not to, and networks with several segments do not pass it on.
    .fix = Name the range in which the cameras are, and each address is asked: camlock find 192.168.1.0/24
no-network = This computer has no network in which devices could be found.
    .fix = Check its cable or its wireless network, or name the addresses.
no-interfaces = The network could not be asked: { $reason }
file-unreadable = { $file } cannot be read: { $reason }.
list-line = Line { $line } of { $file }: { $reason }
list-lines = { $count ->
        [one] One line
       *[other] { $count } lines
    } of { $file } name no device. Nothing was done.
    .fix = Correct them, or begin each with # to leave it out. Each line has an address, such as 192.168.1.64 or gate.lan:8080, in a column of that name or in one of its own.
list-login-half = The list has a user or a password for { $target }, and not both.
    .fix = Write both into its line, or neither: then --user and --password-file go for it.
list-logins-unused = The users and passwords in { $file } are not used: this command signs in to nothing with them.
list-empty = { $file } lists no device.
    .fix = Write an address on each line, such as 192.168.1.64 or gate.lan:8080.
list-too-large = { $file } has more than 1 MB and is no list of devices.
stopping-devices = No further device is begun; those under way come to their end. Ctrl-C once more stops at once.
no-device-known = No device is known yet.
    .fix = Look for them: camlock find. Then secure each once by its address: camlock secure ADDRESS --user admin
nothing-due = Every device that you accepted shows its certificate, and none is due.
not-accepted-yet = { $count ->
    [one] One device that camlock find met was left out: you have not said yet that it is yours. If it is
   *[other] { $count } devices that camlock find met were left out: you have not said yet that they are yours. If they are
}: camlock secure { $targets }
range-unknown = No known device has an address in this range.
    .fix = Look for them first: camlock find RANGE
device-named = { $was } is called { $name } from now on.
device-forgotten = { $name } is out of the list.
device-forgotten-valid = { $name } is out of the list. Its certificate is still valid.
    .fix = If the device is gone for good, revoke it by its serial number, of camlock list certificates: camlock revoke SERIAL
device-forgotten-revoked = { $name } is out of the list, and its certificate is revoked.
device-unknown = No device of the list is called { $device } or has that address.
    .fix = See what there is: camlock list devices
device-ambiguous = Several devices of the list are called { $device }.
    .fix = Name one by its address and port, as they stand in camlock list devices.
device-name = A name for a device has 1 to 64 characters, and none that cannot be seen.
file-unwritable = { $file } cannot be written: { $reason }.
one-file-each = One file cannot hold the packages of several devices.
    .fix = Leave --out away: each package gets a name of its own.
key-to-terminal = A private key is not written to a terminal or a pipe.
    .fix = Name a file.
no-home = There is no home directory for the data.
    .fix = Name a data directory with --data, or CAMLOCK_DATA.
cannot-start = The program could not start: { $reason }.
    .fix = The system may be short of memory; end something and try again.
demo-failed = The demonstration could not run: { $reason }.

## Secrets, backup and restore

passphrase-changed = The new passphrase holds; the one before opens nothing any more. A copy of the data directory from before is still opened by the old one.
recovery-key-changed = From now on this recovery key holds, and the one before opens only what was encrypted to it: keep the old print for as long as you keep backups, or the file of an offline root's key, from before.
key-file-written = The key file is { $file }. Unattended start: camlock serve --passphrase-file { $file }
key-file-thief = Whoever takes this machine together with { $file } has everything without a passphrase: the authority's key, and with it certificates for every name that the root may speak for.
    .fix = Keep it on a medium that does not leave with the machine, or start by hand: camlock vault key-file --remove. After a theft make a new authority and remove the old root from the computers.
key-file-removed = No key file opens the authority any more; a file that is left can be deleted. A copy of the data directory from before is still opened by it.
backup-running = Another backup of { $directory } is being made at this moment.
    .fix = Wait until it has ended, then try again.
backup-folder = Backups cannot be written to { $file }: { $reason }.
    .fix = The folder must be there, and belong to the user of the service. Under systemd the service writes to its data directory alone, until sudo systemctl edit camlock has the two lines [Service] and ReadWritePaths={ $unit_path }, and after it sudo systemctl restart camlock.
backup-written = wrote the backup { $file }
backup-other-key = This recovery key does not open { $file }.
    .fix = Check every letter against the print; a backup is opened by the recovery key that held when it was made.
backup-damaged = The backup { $file } is damaged, or a part of it is missing: { $reason }. Nothing was restored.
    .fix = Use another copy, or an earlier backup.
not-a-backup = { $file } is no backup of Camlock: { $detail }. Nothing was restored.
    .fix = Name a file that camlock backup made.
restore-running = Another restore into { $directory } runs at this moment.
    .fix = Wait until it has ended.
restore-unfinished = A restore into { $directory } was interrupted.
    .fix = Run camlock restore again, or delete what is in that directory.
restore-not-empty = { $file } is there already, so this is no empty data directory. Nothing was restored.
    .fix = Move it away, or name another data directory with --data.
restored = Next: compare the fingerprint above with the root that your computers trust. The passphrase is the one of that day; if nobody knows it, set another with the recovery key: camlock vault passphrase. Then start camlock serve. What was issued after { $at } is not in the ledger: renew those cameras (camlock secure). What was revoked after that counts as valid again: revoke it once more.

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
page-certificate-old = The page's certificate (until { $until }) does not fit { $names }, ends soon or is of an earlier root, and the authority is locked.
    .fix = Start once with the passphrase: --passphrase-file FILE, or CAMLOCK_PASSPHRASE_FILE.
crls-signed = signed { $count } { $count ->
        [one] list
       *[other] lists
    } of revoked certificates anew
serving = serving the page at { $page } and the root at { $trust }
serving-locked = serving the page at { $page } and the root at { $trust }; the authority is locked, so nothing is issued
client-refused = { $address } is not a private address and gets no answer; nor do others like it, of which nothing more is said here. camlock serve --public answers everybody.
stopping = stopping
no-warning = Connection is secure, no warning.

root-proven = { $computers ->
        [one] A browser at 1 address has
       *[other] Browsers at { $computers } addresses have
    } proven on the trust page that the newest root is trusted there, the last one on { $last }.
root-proven-limit = Whether the newest root is trusted on your computers cannot be told: more addresses than are counted have said so on the trust page. Somebody may have made them up, so their number means nothing. (The last one was on { $last }.)
root-unproven = No browser has proven on the trust page yet that it trusts the new root.

## The trust page. What stands between two asterisks is a name that the reader's system shows, or something to type.

trust-title = Let this computer trust your cameras
trust-title-phone = Let this phone trust your cameras
trust-title-firefox = Let Firefox trust your cameras
trust-title-office = Let every computer trust your cameras
trust-title-unknown = Let your browser trust your cameras
trust-lead = Three short steps, once on each computer. Then the cameras of this site open without a warning.
trust-lead-phone = Three short steps, once on each phone. Then the cameras of this site open in its browser without a warning.
trust-lead-office = For who looks after many computers: one file, brought to all of them at once.
trust-lead-unknown = Three short steps, once on each computer or phone. Choose yours to see them.
trust-choose = Which one is it?
trust-system-windows = Windows
trust-system-mac = Mac
trust-system-iphone = iPhone, iPad
trust-system-android = Android
trust-system-linux = Linux
trust-system-firefox = Firefox by hand
trust-system-office = Many computers
trust-step-download = Download
trust-step-install = Install
trust-step-test = Test
trust-throw-away = This is a demonstration with a throw-away authority: do not keep its root. Remove it when you are done.
trust-moving = This site is moving to a new root, and its cameras move once every computer has it. A computer that was here before needs the new one alone; another needs each of them, one after the other.
trust-moved = This site has moved to a new root. A computer that was here before needs the new one alone; another needs each of them, one after the other, until the last camera has moved.
trust-role-new = New root
trust-role-present = Present root
trust-role-earlier = Earlier root
trust-file-name = Its name is *{ $root }*, and it is valid until { $until }.
trust-download = Download { $file }
trust-also = Also as
trust-all = All of them in one file:
trust-compare = Is it the right one?
trust-compare-why = This number must be the one that *camlock authority show* prints on the machine with Camlock; who set it up can tell you. If one group differs, stop: somebody is in between.
trust-compare-demo = This number must be the one that Camlock printed in the terminal. If one group differs, stop: somebody is in between.
trust-compare-plain = This page came over plain HTTP, as your browser does not know the root yet. Whoever sits in between could hand you another root. The number tells.
trust-compare-windows = The number of the downloaded file, in a command prompt:
trust-compare-mac = The number of the downloaded file, in the Terminal:
trust-compare-phone = Before you install it, *More Details* shows the certificate with its SHA-256 number.
trust-compare-android = Compare it here, before you install: if this page is the right one, so is its file. Once installed, the number also stands in the settings, beside the certificate, as SHA-256.
trust-compare-linux = The number of the root in the downloaded file, in a terminal:
trust-compare-firefox = *View* in the window in which Firefox asks shows the number, as SHA-256.
trust-compare-file = It is SHA-256 over the .crt file: *sha256sum* on Linux, *shasum -a 256* on a Mac, *certutil -hashfile FILE SHA256* on Windows.
trust-windows-open = Open the downloaded file *{ $file }*, and choose *Install Certificate…*, *Current User*, *Next*.
trust-windows-place = Choose *Place all certificates in the following store*, *Browse…*, *Trusted Root Certification Authorities*, *OK*.
trust-windows-finish = Choose *Next* and *Finish*. Windows shows the name { $root } and asks once more: *Yes*. Then close the browser and open it again.
trust-windows-script = Or by a script, for your user; *-Remove* at the end undoes it. It was written from Microsoft's documents and not tried on Windows by us. In a command prompt:
trust-windows-remove = Press the Windows key and R, type *certmgr.msc*, open *Trusted Root Certification Authorities* and *Certificates*, and delete *{ $root }*.
trust-firefox-follows = A current Firefox on Windows and on a Mac follows the system. If yours does not, see *Firefox by hand* above.
trust-mac-open = Open the downloaded file *{ $file }*: it is added to *Keychain Access*.
trust-mac-trust = There, find *{ $root }*, open it with a double click, and open *Trust*.
trust-mac-finish = Set *Secure Sockets Layer (SSL)* to *Always Trust*, close the window, and type your password. Then close the browser and open it again.
trust-mac-terminal = Or in the Terminal, for every user of this Mac; it asks for an administrator's password:
trust-mac-profile = Or as a configuration profile: open it, then *System Settings*, *Privacy & Security*, *Profiles*. If Safari still warns, set the trust as above.
trust-mac-ipad = An iPad says that it is a Mac: if this is one, choose *iPhone, iPad* above.
trust-mac-remove = Delete *{ $root }* in *Keychain Access*, or its profile in the settings.
trust-phone-open = Tap the button in *Safari*, and allow the download of the profile.
trust-phone-install = Open *Settings*, tap *Profile Downloaded*, and *Install*.
trust-phone-switch = The step that is easily missed: *Settings*, *General*, *About*, all the way down to *Certificate Trust Settings*, and turn the switch beside *{ $root }* on.
trust-phone-apps = This is for web pages. An app for cameras decides by itself whom it trusts, and may go on as before.
trust-phone-remove = *Settings*, *General*, *VPN & Device Management*, the profile *{ $root }*, *Remove Profile*.
trust-android-settings = Open *Settings* and search there for *certificate*. The menus differ from maker to maker; often it is *Security*, *Encryption & credentials*, *Install a certificate*.
trust-android-install = Choose *CA certificate*. Android warns of what such a certificate could do: *Install anyway*.
trust-android-choose = Choose the downloaded file *{ $file }*. Then close the browser and open it again.
trust-android-apps = *Apps ignore it, the camera makers' too*: Android lets an app use what you install here only if its maker allowed that. It helps in a browser alone.
trust-android-browsers = Firefox uses it from version 120 on. Chrome on Android was not tried by us: the test below tells.
trust-android-remove = The same place in *Settings*, *User credentials* or *Trusted credentials*, *User*: remove *{ $root }*.
trust-linux-run = Run the downloaded file in a terminal. It tells every Chrome, Chromium, Edge, Brave and Firefox of your user. Then close the browser and open it again.
trust-linux-certutil = If the tool *certutil* is missing, it says which package to install. Firefox must have been started once before.
trust-script = A script may do anything on this computer. Before you run one that came over plain HTTP, read it, or be sure of the network.
trust-linux-system = The same file tells the system, for curl, Python and other programs (Debian, Ubuntu, Fedora, Arch, openSUSE). Browsers do not look there, and programs built on mbedTLS may not be able to read what is there afterwards.
trust-linux-remove = The same file undoes what it did, and touches no other certificate:
trust-firefox-settings = Open *Settings*, *Privacy & Security*, and at the end *View Certificates…*.
trust-firefox-import = Choose *Authorities*, *Import…*, and the downloaded file *{ $file }*.
trust-firefox-tick = Tick *Trust this CA to identify websites*, and choose *OK*.
trust-firefox-remove = In the same list choose *{ $root }*, then *Delete or Distrust…*.
trust-office-policy = Windows with a domain: a group policy, *Computer Configuration*, *Windows Settings*, *Security Settings*, *Public Key Policies*, *Trusted Root Certification Authorities*, *Import…*.
trust-office-intune = Intune: a configuration profile of the kind *Trusted certificate*, with the .crt file; for Windows into *Computer certificate store - Root*.
trust-office-test = Then open this page on one of the computers: the test below tells.
trust-office-manage = The steps for group policies and Intune were written from documents, and not tried by us.
trust-office-firefox = Firefox, on every system: policies.json. Put the .crt files, under the names that stand in it, into a folder that Firefox looks in (on Linux */usr/lib/mozilla/certificates*), and the policy to */etc/firefox/policies/policies.json*, or into *distribution* beside the program. If there is a policy already, put the two together by hand.
trust-office-chrome = Chrome, Chromium and Edge, on Linux without any tool: put it into */etc/opt/chrome/policies/managed* or */etc/chromium/policies/managed*. The browser then says that it is managed.
trust-office-apple = Macs, iPhones and iPads: a configuration profile. A device management that installs it also turns the switch on.
trust-office-script = Windows without a domain: a script, for every user of a computer, as administrator; *-Remove* undoes it. Written from Microsoft's documents, and not tried on Windows by us.
trust-office-remove = By the way it came. Then delete the file from the folders named here.
trust-unknown-choose = Choose your system above; or import the file where your browser or your system keeps its certificate authorities.
trust-unknown-remove = Where it was imported, by its name *{ $root }*.
trust-other = Other ways
trust-undo = To remove it again
trust-test-not-yet = Not yet
trust-test-not-yet-why = This browser does not trust the root yet, or has not been closed and opened since. Do steps 1 and 2, then test again.
trust-test-proven = Done
trust-test-proven-why = This browser trusts the root. The cameras of this site open without a warning.
trust-test-again = Test again
trust-test-how = The test asks for a tiny file over https that only a browser with the root can read.
trust-test-away = You opened this page under an address that its certificate does not hold, so the test cannot run here. Open it under one of these:
trust-test-none = The test cannot run now: Camlock has no certificate for it yet. It gets one when it is started with its passphrase.
trust-test-old-root = The test cannot run now: Camlock has no certificate under this root yet. It gets one when it is started with its passphrase.
trust-test-link = The site's own page tells, too: if it comes without a warning, it is done.
trust-open = Open the site's page over https
trust-phone = A phone, too?
trust-phone-scan = Point its camera at this picture, and follow the steps on the phone.
trust-honest = What you hand over, and what not
trust-constrained = The root can speak only for the private addresses and local names of this site. Browsers refuse what it might sign for a bank or a mail service.
trust-unconstrained = There is a root here without limits (name constraints): whoever stole its key could speak for any web site.
trust-no-key = Only the root is handed out here. Its key never is.
trust-earlier-gone = A root that is not shown here any more is needed no more: remove it, as above, by its name.
trust-section = Let your browser trust the cameras
trust-section-why = A browser trusts the cameras' certificates once it knows the root that signed them. This is done once on each computer and phone, not for each camera.
trust-section-moving = This site is moving to a new root. Computers that trust the present one need the new one, too.
trust-section-open = Show me the three steps

## The root in this computer's trust stores

no-trust-stores = No trust store was found on this computer.
    .fix = Install the system's package ca-certificates, or a browser; or trust the root by hand: camlock trust export.
reader-system = curl, Python, Go and others
reader-computer = browsers and other programs
reader-policy = { $program }, every user
trust-absent = not in it
trust-ours = trusted
trust-foreign = trusted, put there by another hand
trust-partial = half there
trust-follows = follows the system's
trust-will-add = will be added
trust-will-remove = will be removed
trust-added = added
trust-removed = removed
act-make-folder = make { $file }
act-write = write { $file }
act-remove = remove { $file }
act-remove-folder = remove { $file }, which is then empty
act-run = run { $command }
act-rewrite = change { $file } by { $tool }, on a copy that then takes its place
ask-trust = Do this? [y/N]
ask-mbedtls = Change the system's store in spite of the software with mbedTLS? (n: all the rest is done) [y/N]
trust-consent = Without a terminal nobody can be asked whether this may be done. Nothing was done.
    .fix = If that is what you want, say so: --yes. To see it first: --dry-run.
nothing-to-do = There is nothing to do.
restart-browsers = Browsers and programs that are open see it when they are started again.
firefox-keeps = A Firefox that was opened meanwhile keeps the root in its profile. Every user of this computer who has one: camlock trust uninstall, with Firefox closed.
as-root = For the stores that only root may change: { $command }
mbedtls-found = The root limits itself to the house's names and addresses, and mbedTLS cannot read such a root: given the system's store with it, mbedTLS trusts no certificate at all any more. On this computer there is { $libraries }. { $count ->
        [0] No installed package asks for it.
       *[other] Packages that ask for it: { $packages }.
    }
    .fix = Find out whether they read the system's store. Browsers do not need it: their own stores will do.
mbedtls-not-found = No mbedTLS was found on this computer; it could not read a root with name constraints, and would lose the system's whole store by it. Programs that have it built in, and containers, cannot be seen from here.
needs-root = Only root may change this store.
home-of-another = { $home } belongs to another user; what root put there would be root's, and closed to that user's browser.
    .fix = Run it as that user, for the browsers of that user.
tool-missing = The program { $tool }, which changes this store, is not installed.
    .fix = Install it: { $install }
tool-absent = The program { $tool }, which changes this store, is not installed.
    .fix = Install it; certutil is in a package of the name nss-tools in most distributions, keytool in Java's.
tool-failed = { $tool } failed: { $said }
    .fix = What it had done in this store was taken back. If it asks for a password of the database (Firefox's primary password): trust the root in the browser's own settings, or for all users as root.
tool-hangs = { $tool } did not end within { $seconds } seconds, and was stopped.
    .fix = Close the programs that use this store, and try again.
store-file = { $file } cannot be read or written: { $reason }.
    .fix = Check who owns it and that the disk is not full; then try again.
odd-file = { $file } is not what its program reads ({ $detail }). It was left as it is.
    .fix = Repair or remove it, then try again.
name-taken = { $name } in { $place } is another certificate, or cannot be told from one. It was left as it is.
    .fix = Remove it by hand if it is not needed, then try again.
put-by-another = The root is in { $place } as { $name }, and Camlock did not put it there. It was left.
    .fix = Remove it by hand if it should not be trusted.
without-trust = The root is in { $place } as { $name }, and its trust was taken away by hand. It was left so.
    .fix = Trust it in the browser's own settings if that was a mistake.
policy-taken = { $file } sets the browser's list of certificates already, and the browser takes one list. It was left as it is.
    .fix = Add the root to that file by hand (CACertificates, base64), or let each user install it.
not-taken = Every tool said that all is well, and { $place } is not as it should be.
    .fix = Look at it by hand, and tell us.
