//! The keychains of macOS, read and changed by `security`. Written from its manual page and mkcert's experience, not
//! tried on macOS. Since macOS 11 the user confirms it in a window, also for root.

use std::path::Path;

use crate::{Act, Machine, Problem, Root, State, Tool, Wish, act::Input, pem};

pub(crate) fn look(keychain: &Path, root: &Root, machine: &Machine) -> Result<State, Problem> {
    let security = machine.tool("security")?;
    let mut list = Tool::new(&security, ["find-certificate", "-a", "-p"]);
    list.words.push(keychain.into());
    if !pem::decode_all(&list.run()?).any(|der| der == root.der) {
        return Ok(State::Absent);
    }
    // In a keychain is not yet trusted.
    let verify = Tool::new(&security, ["verify-cert", "-l", "-L", "-q", "-c"]);
    match verify.given(Input::File(root.pem().into_bytes())).run() {
        Ok(_) => Ok(State::Ours),
        Err(Problem::ToolFailed { .. }) => {
            Err(Problem::WithoutTrust { place: keychain.display().to_string(), name: root.sha256.clone() })
        }
        Err(problem) => Err(problem),
    }
}

pub(crate) fn plan(
    keychain: &Path,
    system: bool,
    wish: Wish,
    root: &Root,
    machine: &Machine,
) -> Result<Vec<Act>, Problem> {
    let security = machine.tool("security")?;
    let domain: &[&str] = if system { &["-d"] } else { &[] };
    let pem = Input::File(root.pem().into_bytes());
    let mut delete = Tool::new(&security, ["delete-certificate", "-Z", &root.sha256.to_uppercase()]);
    delete.words.push(keychain.into());
    let delete = Act::Run(delete, Vec::new());
    if wish == Wish::Install {
        let mut add =
            Tool::new(&security, [&["add-trusted-cert"], domain, &["-r", "trustRoot", "-k"]].concat());
        add.words.push(keychain.into());
        // Without the user's word it is in the keychain already, and not trusted.
        return Ok(vec![Act::Run(add.given(pem), vec![delete])]);
    }
    let distrust = Tool::new(&security, [&["remove-trusted-cert"], domain].concat()).given(pem);
    Ok(vec![Act::Run(distrust, Vec::new()), delete])
}
