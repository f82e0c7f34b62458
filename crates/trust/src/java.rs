//! Java's `cacerts`, changed by `keytool`.

use std::path::{Path, PathBuf};

use crate::{Act, Machine, Problem, Root, State, Tool, Wish, act::Input, pem};

/// What every `cacerts` comes with.
const PASSWORD: &str = "changeit";

pub(crate) fn look(cacerts: &Path, derived: bool, root: &Root, machine: &Machine) -> Result<State, Problem> {
    let mut found = State::Absent;
    for (alias, der) in aliases(cacerts, machine)? {
        match (alias == root.mark(), der == root.der) {
            (true, false) => {
                return Err(Problem::NameTaken { place: cacerts.display().to_string(), name: alias });
            }
            (true, true) => return Ok(State::Ours),
            (false, true) if derived => return Ok(State::Ours),
            (false, true) => found = State::Foreign { name: alias },
            (false, false) => {}
        }
    }
    Ok(found)
}

pub(crate) fn plan(
    cacerts: &Path,
    derived: bool,
    wish: Wish,
    root: &Root,
    machine: &Machine,
) -> Result<Vec<Act>, Problem> {
    let keytool = keytool(cacerts, machine)?;
    let tool = match wish {
        Wish::Install if derived => return Ok(Vec::new()),
        Wish::Install => {
            let words =
                ["-importcert", "-noprompt", "-alias", &root.mark(), "-storepass", PASSWORD, "-keystore"];
            Tool::new(&keytool, words).given(Input::Standard(root.pem().into_bytes()))
        }
        Wish::Uninstall => {
            // Debian's hook adds what came (as debian:camlock-....pem) and leaves what went.
            let is_ours = |alias: &str| alias == root.mark() || derived && alias.contains(&root.mark());
            let mut aliases = aliases(cacerts, machine)?.into_iter();
            let Some((alias, _)) = aliases.find(|(alias, der)| *der == root.der && is_ours(alias)) else {
                return Ok(Vec::new());
            };
            Tool::new(&keytool, ["-delete", "-alias", &alias, "-storepass", PASSWORD, "-keystore"])
        }
    };
    Ok(vec![Act::Rewrite(cacerts.to_owned(), tool)])
}

/// That of the same Java, else the first.
fn keytool(cacerts: &Path, machine: &Machine) -> Result<PathBuf, Problem> {
    let name = if cfg!(windows) { "keytool.exe" } else { "keytool" };
    // lib/security/cacerts, and in Java 8 jre/lib/security/cacerts.
    let beside = cacerts.ancestors().skip(3).take(2).map(|java| java.join("bin").join(name));
    match beside.into_iter().find(|file| file.is_file()) {
        Some(keytool) => Ok(keytool),
        None => machine.tool("keytool"),
    }
}

/// Each alias with its certificate.
fn aliases(cacerts: &Path, machine: &Machine) -> Result<Vec<(String, Vec<u8>)>, Problem> {
    let words = ["-J-Duser.language=en", "-list", "-rfc", "-storepass", PASSWORD, "-keystore"];
    let mut list = Tool::new(&keytool(cacerts, machine)?, words);
    list.words.push(cacerts.into());
    let entry = |entry: &str| {
        let (alias, rest) = entry.split_once('\n')?;
        Some((alias.trim().to_owned(), pem::decode_all(rest).next()?))
    };
    Ok(list.run()?.split("Alias name: ").skip(1).filter_map(entry).collect())
}
