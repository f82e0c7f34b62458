//! `onvif-peer HOST PORT USER PASSWORD`: an ONVIF device built on the crate `onvif-server`.

use async_trait::async_trait;
use onvif_server::{DeviceInfo, DeviceService, MediaService, OnvifError, OnvifServer};

struct Peer;

#[async_trait]
impl DeviceService for Peer {
    async fn get_device_information(&self) -> Result<DeviceInfo, OnvifError> {
        Ok(DeviceInfo {
            manufacturer: "Another Hand".into(),
            model: "Peer-1".into(),
            firmware_version: "1.2.3".into(),
            serial_number: "SN-0001".into(),
            hardware_id: "peer".into(),
        })
    }
}

#[async_trait]
impl MediaService for Peer {}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let [host, port, user, password] = std::env::args().skip(1).collect::<Vec<_>>().try_into().expect("four arguments");
    let server = OnvifServer::builder()
        .port(port.parse().expect("a port"))
        .advertised_host(&host)
        .device_service(Peer)
        .media_service(Peer)
        .auth(&user, &password)
        .build()
        .expect("a server");
    println!("\"ready\"");
    server.run().await.expect("a running server");
}
