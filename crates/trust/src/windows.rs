//! The Root store of Windows: read by PowerShell, which tells the bytes of each certificate in every language of Windows;
//! changed by `certutil.exe`. Written from Microsoft's documents, not tried on Windows.

use crate::{Act, Machine, Problem, Root, State, Tool, Wish, act::Input};
use base64::{Engine, engine::general_purpose::STANDARD};

pub(crate) fn look(of_machine: bool, root: &Root, machine: &Machine) -> Result<State, Problem> {
    Ok(match thumbprint(&listing(of_machine, machine)?.run()?, root) {
        Some(_) => State::Ours,
        None => State::Absent,
    })
}

pub(crate) fn plan(
    of_machine: bool,
    wish: Wish,
    root: &Root,
    machine: &Machine,
) -> Result<Vec<Act>, Problem> {
    let certutil = machine.tool("certutil")?;
    let user: &[&str] = if of_machine { &[] } else { &["-user"] };
    let words = |more: &[&str]| [user, more].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    let tool = match wish {
        Wish::Install => {
            Tool::new(&certutil, words(&["-addstore", "-f", "Root"])).given(Input::File(root.der.clone()))
        }
        Wish::Uninstall => {
            let listed = listing(of_machine, machine)?.run()?;
            let Some(thumbprint) = thumbprint(&listed, root) else { return Ok(Vec::new()) };
            Tool::new(&certutil, words(&["-delstore", "Root", thumbprint]))
        }
    };
    Ok(vec![Act::Run(tool, Vec::new())])
}

/// Whether this process has an administrator's rights: the security identifiers of its integrity level say so.
pub(crate) fn is_elevated(machine: &Machine) -> bool {
    let groups =
        machine.tool("whoami").and_then(|whoami| Tool::new(&whoami, ["/groups", "/fo", "csv", "/nh"]).run());
    groups.is_ok_and(|groups| ["S-1-16-12288", "S-1-16-16384"].iter().any(|high| groups.contains(high)))
}

/// Thumbprint and base64 of every certificate, one a line.
fn listing(of_machine: bool, machine: &Machine) -> Result<Tool, Problem> {
    let store = if of_machine { "LocalMachine" } else { "CurrentUser" };
    let script = format!(
        "Get-ChildItem Cert:\\{store}\\Root | ForEach-Object {{ $_.Thumbprint + ' ' + [Convert]::ToBase64String($_.RawData) }}"
    );
    Ok(Tool::new(&machine.tool("powershell")?, ["-NoProfile", "-NonInteractive", "-Command", &script]))
}

fn thumbprint<'a>(listed: &'a str, root: &Root) -> Option<&'a str> {
    let wanted = STANDARD.encode(&root.der);
    listed
        .lines()
        .find_map(|line| line.trim().split_once(' ').filter(|(_, der)| *der == wanted))
        .map(|(t, _)| t)
}
