//! Java's `cacerts`, changed by `keytool`.

use std::path::{Path, PathBuf};

use crate::{Act, Machine, Problem, Root, State, Tool, Wish, act::Input, pem};

/// What every `cacerts` comes with.
const PASSWORD: &str = "changeit";

pub(crate) fn look(cacerts: &Path, derived: bool, root: &Root, machine: &Machine) -> Result<State, Problem> {
    let keytool = keytool(cacerts, machine)?;
    let words = ["-J-Duser.language=en", "-list", "-rfc", "-storepass", PASSWORD, "-keystore"];
    let mut list = Tool::new(&keytool, words);
    list.words.push(cacerts.into());
    let listed = list.run()?;
    let mut found = State::Absent;
    for (alias, der) in aliases(&listed) {
        match (alias == root.mark(), der == root.der) {
            (true, false) => {
                return Err(Problem::NameTaken { place: cacerts.display().to_string(), name: alias.to_owned() });
            }
            (true, true) => return Ok(State::Ours),
            (false, true) if derived => return Ok(State::Ours),
            (false, true) => found = State::Foreign { name: alias.to_owned() },
            (false, false) => {}
        }
    }
    Ok(found)
}

pub(crate) fn plan(cacerts: &Path, wish: Wish, root: &Root, machine: &Machine) -> Result<Vec<Act>, Problem> {
    let (mark, keytool) = (root.mark(), keytool(cacerts, machine)?);
    let tool = match wish {
        Wish::Install => {
            let words = ["-importcert", "-noprompt", "-alias", &mark, "-storepass", PASSWORD, "-keystore"];
            Tool::new(&keytool, words).given(Input::Standard(root.pem().into_bytes()))
        }
        Wish::Uninstall => Tool::new(&keytool, ["-delete", "-alias", &mark, "-storepass", PASSWORD, "-keystore"]),
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
fn aliases(listed: &str) -> impl Iterator<Item = (&str, Vec<u8>)> {
    listed.split("Alias name: ").skip(1).filter_map(|entry| {
        let (alias, rest) = entry.split_once('\n')?;
        Some((alias.trim(), pem::decode_all(rest).next()?))
    })
}
