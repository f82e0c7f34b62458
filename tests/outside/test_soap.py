"""Camlock's SOAP and the simulator's, judged from outside: by the official ONVIF schema, and by zeep."""

import socket
import ssl
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import zeep.exceptions

from conftest import Site, StartCamera
from onvif_client import OnvifClient
from onvif_schema import Exchange, OfficialSchema, summary
from openssl import TestAuthority, der, openssl, served_certificate
from processes import REPOSITORY, run, wait_for

SHA256_WITH_RSA = "1.2.840.113549.1.1.11"
NAMESPACES = (
    'xmlns:env="http://www.w3.org/2003/05/soap-envelope" xmlns:tt="http://www.onvif.org/ver10/schema" '
    'xmlns:tas="http://www.onvif.org/ver10/advancedsecurity/wsdl" '
    'xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:ter="http://www.onvif.org/ver10/error"'
)


def envelope(body: str) -> str:
    """A SOAP 1.2 message."""
    return f"<env:Envelope {NAMESPACES}><env:Body>{body}</env:Body></env:Envelope>"


def fault(code: str, subcode: str, reason: str = '<env:Text xml:lang="en">No.</env:Text>') -> str:
    """A SOAP 1.2 fault."""
    return envelope(
        f"<env:Fault><env:Code><env:Value>{code}</env:Value><env:Subcode><env:Value>{subcode}</env:Value>"
        f"</env:Subcode></env:Code><env:Reason>{reason}</env:Reason></env:Fault>"
    )


def assert_official(exchanges: list[Exchange], expected: set[str]) -> None:
    """Nothing is wrong with any message, and every expected operation was asked for and not only refused."""
    print(summary(exchanges))
    wrong = [f"{exchange.operation}: {what}" for exchange in exchanges for what in exchange.complaints]
    assert not wrong, "\n".join(wrong)
    done = {exchange.operation for exchange in exchanges if not exchange.fault}
    assert not expected - done, f"never done: {sorted(expected - done)}"


GOOD = {
    "request": envelope("<tas:CreateRSAKeyPair><tas:KeyLength>2048</tas:KeyLength></tas:CreateRSAKeyPair>"),
    "answer": envelope(
        "<tas:CreateRSAKeyPairResponse><tas:KeyID>K1</tas:KeyID>"
        "<tas:EstimatedCreationTime>PT5S</tas:EstimatedCreationTime></tas:CreateRSAKeyPairResponse>"
    ),
    "fault": fault("env:Sender", "ter:InvalidArgVal"),
}
# A broken message, and what the judge must say of it: refused for another reason would prove nothing.
BROKEN = {
    "not XML": ("<a>", "not XML"),
    "SOAP 1.1": (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body/></e:Envelope>',
        "not a SOAP 1.2 envelope",
    ),
    "no body": (f"<env:Envelope {NAMESPACES}/>", "Body' expected"),
    "empty body": (envelope(""), "0 elements in the body"),
    "two operations": (envelope("<tds:GetHostname/><tds:GetHostname/>"), "2 elements in the body"),
    "mandatory element missing": (
        envelope("<tas:CreateRSAKeyPairResponse><tas:KeyID>K1</tas:KeyID></tas:CreateRSAKeyPairResponse>"),
        "'tas:EstimatedCreationTime' expected",
    ),
    "KeyID that is no NCName": (
        envelope("<tas:GetKeyStatus><tas:KeyID>1 a</tas:KeyID></tas:GetKeyStatus>"),
        "value doesn't match any pattern",
    ),
    "wrong order": (
        envelope(
            "<tas:CreateRSAKeyPair><tas:Alias>a</tas:Alias><tas:KeyLength>2048</tas:KeyLength>"
            "</tas:CreateRSAKeyPair>"
        ),
        "Unexpected child with tag 'tas:Alias'",
    ),
    "child without its namespace": (
        envelope("<tas:GetKeyStatus><KeyID>K1</KeyID></tas:GetKeyStatus>"),
        "Unexpected child with tag 'KeyID'",
    ),
    "no base64": (
        envelope("<tas:UploadCertificate><tas:Certificate>%</tas:Certificate></tas:UploadCertificate>"),
        "invalid value '%'",
    ),
    "unknown operation": (envelope("<tas:CreatePadlock/>"), "CreatePadlock is declared nowhere"),
    # The schema allows any element here, which hides the slip of the pen from it.
    "misspelt optional element": (
        envelope(
            "<tas:GetCertificateResponse><tas:Certificate><tas:CertificateID>C1</tas:CertificateID>"
            "<tas:KeyID>K1</tas:KeyID><tas:CertificateContent>AAAA</tas:CertificateContent>"
            "<tas:HasPrivatKey>true</tas:HasPrivatKey></tas:Certificate></tas:GetCertificateResponse>"
        ),
        "HasPrivatKey is declared nowhere",
    ),
    "unknown fault code": (fault("env:Client", "ter:InvalidArgVal"), "value must be one of"),
    "subcode of no namespace": (fault("env:Sender", "InvalidArgVal"), "not one of ONVIF's"),
    "subcode of another namespace": (fault("env:Sender", "tds:InvalidArgVal"), "not one of ONVIF's"),
    "fault without a reason": (fault("env:Sender", "ter:InvalidArgVal", ""), "Text' expected"),
}


@pytest.mark.parametrize("kind", GOOD)
def test_the_judge_accepts_what_is_right(official_schema: OfficialSchema, kind: str) -> None:
    """Else the next test would prove nothing."""
    assert official_schema.judge(GOOD[kind])[1] == []


@pytest.mark.parametrize("kind", BROKEN)
def test_the_judge_catches(official_schema: OfficialSchema, kind: str) -> None:
    """The judge can say no, and says why: one broken message of each kind."""
    message, expected = BROKEN[kind]
    complaints = official_schema.judge(message)[1]
    assert any(expected in complaint for complaint in complaints), complaints


def test_the_judge_wants_the_answer_to_its_request(official_schema: OfficialSchema) -> None:
    """An answer that is right in itself but belongs to another operation is caught, and so is a lone answer."""
    assert official_schema.judge_exchange(GOOD["request"], GOOD["answer"]).complaints == []
    assert official_schema.judge_exchange(GOOD["request"], GOOD["fault"]).complaints == []
    assert official_schema.judge_exchange(GOOD["request"], envelope("<tds:GetHostname/>")).complaints
    assert official_schema.judge_exchange(GOOD["answer"], GOOD["answer"]).complaints


def test_a_missing_operation_is_noticed(official_schema: OfficialSchema) -> None:
    """Neither an operation that never happened nor one that was only refused counts as done."""
    refused = official_schema.judge_exchange(GOOD["request"], GOOD["fault"])
    for exchanges in ([], [refused]):
        with pytest.raises(AssertionError, match="never done"):
            assert_official(exchanges, {"CreateRSAKeyPair"})


def https_port(camera: dict[str, Any]) -> int:
    """The port of the camera's https address."""
    port = urlsplit(camera["https"]).port
    assert port is not None
    return port


def enable_https(client: OnvifClient, camera: dict[str, Any]) -> None:
    """SetNetworkProtocols, with the port that the camera has."""
    client.device.SetNetworkProtocols(
        NetworkProtocols=[{"Name": "HTTPS", "Enabled": True, "Port": [https_port(camera)]}]
    )


def test_zeep_gives_the_security_service_a_certificate(
    start_camera: StartCamera, official_schema: OfficialSchema, tmp_path: Path
) -> None:
    """The simulator is what the WSDL says: a client made of the WSDL alone takes it from key pair to TLS."""
    camera = start_camera("onvif-security")
    client = OnvifClient(camera, tmp_path)
    keystore, tls = client.security("KeystoreBinding"), client.security("TLSServerBinding")
    authority = TestAuthority(tmp_path)

    key = keystore.CreateRSAKeyPair(KeyLength=2048, Alias="outside").KeyID
    wait_for("the key", 30, lambda: keystore.GetKeyStatus(KeyID=key) == "ok" or None)
    asked = keystore.CreatePKCS10CSR(
        Subject={"CommonName": ["127.0.0.1"]},
        KeyID=key,
        SignatureAlgorithm={"algorithm": SHA256_WITH_RSA},
    )
    request, leaf = tmp_path / "request.pem", tmp_path / "leaf.pem"
    openssl("req", "-inform", "DER", "-verify", "-out", request, stdin=asked)
    authority.sign(request, leaf)
    uploaded = keystore.UploadCertificate(Certificate=der(leaf), PrivateKeyRequired=True)
    assert uploaded.KeyID == key
    path = keystore.CreateCertificationPath(CertificateIDs={"CertificateID": [uploaded.CertificateID]})
    tls.AddServerCertificateAssignment(CertificationPathID=path)
    enable_https(client, camera)
    assert served_certificate(https_port(camera), authority.root) == der(leaf)

    with pytest.raises(zeep.exceptions.Fault) as refusal:
        keystore.DeleteKey(KeyID=key)
    assert refusal.value.code == "env:Sender"
    exchanges = official_schema.judge_transcript(camera["transcript"])
    assert_official(exchanges, {"GetServices", "CreatePKCS10CSR", "UploadCertificate", "SetNetworkProtocols"})


def test_zeep_gives_the_device_service_a_certificate(
    start_camera: StartCamera, official_schema: OfficialSchema, tmp_path: Path
) -> None:
    """The same for the old service, which takes certificate and private key."""
    camera = start_camera("onvif-device")
    client = OnvifClient(camera, tmp_path)
    authority = TestAuthority(tmp_path)
    key, request, leaf = tmp_path / "leaf.key", tmp_path / "request.pem", tmp_path / "leaf.pem"
    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Gate", "-keyout", key, "-out", request)
    authority.sign(request, leaf)
    pkcs8 = tmp_path / "leaf.pkcs8"
    openssl("pkcs8", "-topk8", "-nocrypt", "-in", key, "-outform", "DER", "-out", pkcs8)

    client.device.LoadCertificateWithPrivateKey(
        CertificateWithPrivateKey=[
            {
                "CertificateID": "outside",
                "Certificate": {"Data": der(leaf)},
                "PrivateKey": {"Data": pkcs8.read_bytes()},
            }
        ]
    )
    client.device.SetCertificatesStatus(CertificateStatus=[{"CertificateID": "outside", "Status": True}])
    enable_https(client, camera)
    assert served_certificate(https_port(camera), authority.root) == der(leaf)
    assert client.device.GetCertificates()[0].CertificateID == "outside"
    exchanges = official_schema.judge_transcript(camera["transcript"])
    assert_official(exchanges, {"LoadCertificateWithPrivateKey", "SetCertificatesStatus", "GetCertificates"})


@pytest.mark.parametrize("fault", ["sha256-digest", "username-token"])
def test_other_signs_of_a_user_are_what_others_make(start_camera: StartCamera, tmp_path: Path, fault: str) -> None:
    """requests (SHA-256) and zeep (UsernameToken) are let in, and nobody with another password."""
    camera = start_camera("onvif-device", "--fault", fault)
    by_token = fault == "username-token"
    client = OnvifClient(camera, tmp_path, by_token=by_token)
    assert client.device.GetDeviceInformation().Model == "onvif-device"
    wrong = OnvifClient(camera | {"password": "wrong"}, tmp_path, by_token=by_token)
    with pytest.raises((zeep.exceptions.Fault, zeep.exceptions.TransportError)):
        wrong.device.GetDeviceInformation()


# onvif-zeep 0.2.12, as programs of today still use it: the WSDL of 2013 and the UsernameToken.
OF_2013 = """
import socket
import ssl
import sys
from onvif import ONVIFCamera
host, port, user, password, wsdl, certificate, key = sys.argv[1:]
device = ONVIFCamera(host, int(port), user, password, wsdl).devicemgmt
read = lambda path: open(path, "rb").read()
device.LoadCertificateWithPrivateKey({"CertificateWithPrivateKey": [{
    "CertificateID": "of-2013", "Certificate": {"Data": read(certificate)}, "PrivateKey": {"Data": read(key)},
}]})
device.SetCertificatesStatus({"CertificateStatus": [{"CertificateID": "of-2013", "Status": True}]})
(status,) = device.GetCertificatesStatus()
print(device.GetDeviceInformation().Model, status.CertificateID, status.Status)
"""


def test_a_client_of_2013_agrees_with_the_simulator(start_camera: StartCamera, tmp_path: Path) -> None:
    """onvif-zeep with its own WSDL: certificate and key go in, and are what the camera shows to have."""
    camera = start_camera("onvif-device", "--fault", "username-token")
    address = urlsplit(camera["http"])
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.der"
    openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Gate", "-outform", "DER",
        "-keyout", key, "-out", certificate,
    )  # fmt: skip
    pkcs8 = tmp_path / "key.der"
    openssl("pkcs8", "-topk8", "-nocrypt", "-in", key, "-outform", "DER", "-out", pkcs8)
    package = REPOSITORY / ".venv" / "onvif-zeep"
    script = tmp_path / "client.py"
    script.write_text(f"import sys; sys.path.insert(0, {str(package)!r})\n" + OF_2013)
    arguments = [address.hostname, address.port, camera["user"], camera["password"], package / "wsdl", certificate, pkcs8]
    done = run([sys.executable, script, *map(str, arguments)], tmp_path, seconds=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["onvif-device", "of-2013", "True"]


COMMON = {"GetSystemDateAndTime", "GetServices", "GetDeviceInformation", "GetNetworkProtocols", "SetNetworkProtocols"}
SECURITY = {
    "GetServiceCapabilities",
    "GetAssignedServerCertificates",
    "CreateRSAKeyPair",
    "GetKeyStatus",
    "CreatePKCS10CSR",
    "UploadCertificate",
    "CreateCertificationPath",
    "AddServerCertificateAssignment",
}
DEVICE = {"GetCertificatesStatus", "LoadCertificateWithPrivateKey", "SetCertificatesStatus"}


@pytest.mark.parametrize(("model", "expected"), [("onvif-security", SECURITY), ("onvif-device", DEVICE)])
def test_camlock_and_the_camera_speak_by_the_schema(
    start_camera: StartCamera, official_schema: OfficialSchema, site: Site, model: str, expected: set[str]
) -> None:
    """Every message that driver and simulator exchange in an enrolment, and in switching HTTP off after it."""
    camera = start_camera(model)
    site.secure(camera)
    site.secure(camera, "--disable-http")
    assert_official(official_schema.judge_transcript(camera["transcript"]), COMMON | expected)


# What a camera is started with, how the enrolment ends, and what must have been done on the way.
OTHER_WAYS = {
    "a factory certificate is replaced": (
        ["onvif-security", "--factory-certificate"],
        0,
        {"CreateRSAKeyPair", "UploadCertificate", "ReplaceServerCertificateAssignment"},
    ),
    "a factory certificate is switched off": (["onvif-device", "--factory-certificate"], 0, DEVICE),
    "old capability names": (["onvif-security", "--capability-names", "old"], 0, SECURITY),
    "new capability names": (["onvif-security", "--capability-names", "new"], 0, SECURITY),
    "Digest with SHA-256": (["onvif-security", "--fault", "sha256-digest"], 0, SECURITY),
    "a token in each message": (["onvif-device", "--fault", "username-token"], 0, DEVICE),
    "a wrong clock is set": (["onvif-security", "--fault", "wrong-clock"], 0, {"SetSystemDateAndTime"}),
    "a keystore that makes no keys": (
        ["onvif-security", "--fault", "no-key-generation"],
        0,
        {"UploadKeyPairInPKCS8", "UploadCertificate", "AddServerCertificateAssignment"},
    ),
    "a keystore that takes PKCS#12 under a passphrase of its own": (
        ["onvif-security", "--fault", "pkcs12-alone", "--capability-names", "old"],
        0,
        {"UploadPassphrase", "UploadCertificateWithPrivateKeyInPKCS12", "DeletePassphrase"},
    ),
    "a keystore that takes PKCS#12 with its passphrase": (
        ["onvif-security", "--fault", "pkcs12-alone"],
        0,
        {"UploadCertificateWithPrivateKeyInPKCS12"},
    ),
    "stale nonces": (["onvif-security", "--fault", "short-nonces"], 0, SECURITY),
    "no HTTPS, so all is taken back": (
        ["onvif-security", "--fault", "https-refused"],
        1,
        {
            "RemoveServerCertificateAssignment",
            "GetAllCertificationPaths",
            "GetCertificationPath",
            "DeleteCertificationPath",
            "GetAllCertificates",
            "DeleteCertificate",
            "GetAllKeys",
            "DeleteKey",
        },
    ),
    "no HTTPS, so all is taken back, old service": (
        ["onvif-device", "--fault", "https-refused"],
        1,
        {"SetCertificatesStatus", "DeleteCertificates"},
    ),
    "no request, so the key is taken back": (["onvif-security", "--fault", "csr-fails"], 1, {"DeleteKey"}),
    "the old certificate is served for ever": (
        ["onvif-security", "--fault", "serves-old-certificate"],
        1,
        {"DeleteCertificationPath", "DeleteCertificate", "DeleteKey"},
    ),
}


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_other_ways_speak_by_the_schema(
    start_camera: StartCamera, official_schema: OfficialSchema, site: Site, way: str
) -> None:
    """A factory certificate, old firmware, and every way back: operations that a good day never needs."""
    options, status, expected = OTHER_WAYS[way]
    camera = start_camera(*options)
    # No other clock than a wrong one is set.
    site.secure(camera, "--set-clock", status=status)
    assert_official(official_schema.judge_transcript(camera["transcript"]), expected)


def test_a_new_password_speaks_by_the_schema(
    start_camera: StartCamera, official_schema: OfficialSchema, site: Site, tmp_path: Path
) -> None:
    """GetUsers and SetUser; zeep is let in with the new password and not with the old."""
    camera = start_camera("onvif-device")
    new = tmp_path / "new-password"
    new.write_text("another password\n")
    site.secure(camera, "--new-password-file", str(new))
    changed = camera | {"password": "another password"}
    assert OnvifClient(changed, tmp_path).device.GetUsers()[0].Username == camera["user"]
    with pytest.raises((zeep.exceptions.Fault, zeep.exceptions.TransportError)):
        OnvifClient(camera, tmp_path).device.GetUsers()
    assert_official(official_schema.judge_transcript(camera["transcript"]), {"GetUsers", "SetUser"})


def test_what_comes_after_https_speaks_by_the_schema(
    start_camera: StartCamera, official_schema: OfficialSchema, site: Site, tmp_path: Path
) -> None:
    """A first user, a time server and a floor under TLS; zeep reads back what was set."""
    camera = start_camera("onvif-security", "--fault", "no-password")
    new = tmp_path / "new-password"
    new.write_text("first password\n")
    options = ("--new-password-file", str(new), "--ntp", "192.0.2.7", "--tls-floor", "1.3")
    (outcome,) = site.secure(camera | {"user": "owner", "password": ""}, *options)
    codes = {finding["code"] for finding in outcome["findings"]}
    assert {"password-set", "clock-follows", "tls-floor"} <= codes and "no-password" not in codes
    client = OnvifClient(camera | {"user": "owner", "password": "first password"}, tmp_path)
    assert [user.Username for user in client.device.GetUsers()] == ["owner"]
    assert client.device.GetNTP().NTPManual[0].IPv4Address == "192.0.2.7"
    expected = {"CreateUsers", "SetNTP", "SetSystemDateAndTime", "GetEnabledTLSVersions", "SetEnabledTLSVersions"}
    assert_official(official_schema.judge_transcript(camera["transcript"]), expected)
    context = ssl.create_default_context(cafile=site.root)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    port = urlsplit(camera["https"]).port
    with socket.create_connection(("127.0.0.1", port)) as wire, pytest.raises(ssl.SSLError):
        context.wrap_socket(wire, server_hostname="127.0.0.1")


TIDY = {
    "onvif-security": {"DeleteCertificationPath", "DeleteCertificate", "DeleteKey"},
    "onvif-device": {"DeleteCertificates"},
}


@pytest.mark.parametrize("model", TIDY)
def test_a_renewal_speaks_by_the_schema(
    start_camera: StartCamera, official_schema: OfficialSchema, site: Site, model: str
) -> None:
    """The second certificate takes the place of the first over HTTPS, and what it replaced is removed."""
    camera = start_camera(model)
    (first,) = site.secure(camera)
    site.age(20)
    (second,) = site.secure(camera)
    assert second["verdict"] == "secure" and second["serial"] != first["serial"]
    assert not {"not-tidied", "key-sent-in-clear"} & {finding["code"] for finding in second["findings"]}
    assert_official(official_schema.judge_transcript(camera["transcript"]), COMMON | TIDY[model])
