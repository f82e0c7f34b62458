"""zeep, an ONVIF client that shares no code with Camlock, on the official WSDL files."""

from pathlib import Path
from typing import Any

import requests
import zeep
from requests.auth import HTTPDigestAuth
from zeep.transports import Transport
from zeep.wsse.username import UsernameToken

from onvif_schema import DEVICE_WSDL, SECURITY_WSDL

# The official files have bindings but neither service nor port, so each client gets a WSDL around them.
WRAPPER = """<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/"
    xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap12/" xmlns:official="{namespace}" targetNamespace="urn:wrapper">
  <wsdl:import namespace="{namespace}" location="{wsdl}"/>
  <wsdl:service name="Service">
    <wsdl:port name="Port" binding="official:{binding}"><soap:address location="{address}"/></wsdl:port>
  </wsdl:service>
</wsdl:definitions>
"""
DEVICE = "http://www.onvif.org/ver10/device/wsdl"
SECURITY = "http://www.onvif.org/ver10/advancedsecurity/wsdl"


class OnvifClient:
    """The services of one camera, in the name of one user, by HTTP Digest or by a token in each message."""

    def __init__(self, camera: dict[str, str], folder: Path, *, by_token: bool = False) -> None:
        self._folder = folder
        session = requests.Session()
        user, password = camera["user"], camera["password"]
        self._token = UsernameToken(user, password, use_digest=True) if by_token else None
        session.auth = None if by_token else HTTPDigestAuth(user, password)
        self._transport = Transport(session=session, timeout=10, operation_timeout=20)
        self.device = self._client(
            DEVICE, DEVICE_WSDL, "DeviceBinding", camera["http"] + "/onvif/device_service"
        )

    def _client(self, namespace: str, wsdl: Path, binding: str, address: str) -> Any:
        wrapper = self._folder / f"{binding}.wsdl"
        wrapper.write_text(
            WRAPPER.format(namespace=namespace, wsdl=wsdl, binding=binding, address=address)
        )
        return zeep.Client(str(wrapper), transport=self._transport, wsse=self._token).service

    def security(self, binding: str) -> Any:
        """A binding of the Security service, where GetServices says that it is."""
        services = self.device.GetServices(IncludeCapability=True)
        address = next(service.XAddr for service in services if service.Namespace == SECURITY)
        return self._client(SECURITY, SECURITY_WSDL, binding, address)
