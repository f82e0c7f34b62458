//! The ONVIF Media service (media.wsdl 26.06), as far as a snapshot needs it.

use roxmltree::Node;

use crate::http::{self, Answer};
use crate::soap::{Children, SoapFault, TRT, element, text};

/// Where this camera has it.
pub(crate) const PATH: &str = "/onvif/media";
/// Where the picture is.
pub(crate) const SNAPSHOT: &str = "/snapshot.jpg";

/// Token, width and height of each profile.
const PROFILES: [(&str, u16, u16); 2] = [("main", 1920, 1080), ("sub", 320, 180)];

/// Performs one operation; gives the response element. `base` is scheme and host as the client named them.
pub(crate) fn perform(base: &str, request: Node<'_, '_>) -> Result<String, SoapFault> {
    let operation = request.tag_name().name();
    let mut arguments = Children::of(request, TRT);
    let content = match operation {
        "GetServiceCapabilities" => {
            arguments.end()?;
            "<trt:Capabilities SnapshotUri=\"true\"><trt:ProfileCapabilities MaximumNumberOfProfiles=\"2\"/>\
             <trt:StreamingCapabilities/></trt:Capabilities>"
                .to_owned()
        }
        "GetProfiles" => {
            arguments.end()?;
            PROFILES.iter().map(profile).collect()
        }
        "GetSnapshotUri" => {
            let token = text(arguments.required("ProfileToken")?);
            arguments.end()?;
            if !PROFILES.iter().any(|(known, ..)| *known == token) {
                return Err(SoapFault::invalid("NoProfile", "There is no profile of this token."));
            }
            let uri = element("tt:Uri", format!("{base}{SNAPSHOT}?profile={token}"));
            format!(
                "<trt:MediaUri>{uri}<tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>\
                 <tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout></trt:MediaUri>"
            )
        }
        other => return Err(SoapFault::unsupported(other)),
    };
    Ok(format!("<trt:{operation}Response xmlns:trt=\"{TRT}\">{content}</trt:{operation}Response>"))
}

fn profile((token, width, height): &(&str, u16, u16)) -> String {
    format!(
        "<trt:Profiles token=\"{token}\" fixed=\"true\"><tt:Name>{token}</tt:Name>\
         <tt:VideoEncoderConfiguration token=\"{token}-encoder\"><tt:Name>{token}</tt:Name><tt:UseCount>1</tt:UseCount>\
         <tt:Encoding>H264</tt:Encoding><tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height>\
         </tt:Resolution><tt:Quality>3</tt:Quality><tt:Multicast><tt:Address><tt:Type>IPv4</tt:Type>\
         <tt:IPv4Address>239.0.0.1</tt:IPv4Address></tt:Address><tt:Port>0</tt:Port><tt:TTL>1</tt:TTL>\
         <tt:AutoStart>false</tt:AutoStart></tt:Multicast><tt:SessionTimeout>PT60S</tt:SessionTimeout>\
         </tt:VideoEncoderConfiguration></trt:Profiles>"
    )
}

/// The picture, for whoever is let in; a large profile has a picture that is too large to be read for this.
pub(crate) fn snapshot(query: Option<&str>) -> Answer {
    match query {
        Some("profile=sub") => {
            http::answer(200, "image/jpeg", include_bytes!("scenes/snapshot.jpg").to_vec())
        }
        _ => http::answer(200, "image/jpeg", vec![0xff; 4 << 20]),
    }
}
