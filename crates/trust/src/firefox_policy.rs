//! Firefox's `policies.json`: the root is a file beside it, and its path is in `Certificates.Install`.
//!
//! The file is edited as text (`jsonc-parser`), so that other policies stay as they were written, in their order;
//! `serde_json` judges first whether it is the JSON that Firefox would read.

use std::path::{Path, PathBuf};

use jsonc_parser::{
    ParseOptions,
    cst::{CstArray, CstInputValue, CstNode, CstObject, CstRootNode},
};
use serde_json::Value;

use crate::{
    Act, Problem, Root, State, Wish,
    act::emptied,
    machine::{read, read_text},
    pem,
};

pub(crate) fn look(policies: &Path, root: &Root) -> Result<State, Problem> {
    let file = certificate_file(policies, root);
    let held = read(&file)?;
    if held.as_ref().is_some_and(|bytes| !is(bytes, root)) {
        let (place, name) = (folder(policies).display().to_string(), root.mark());
        return Err(Problem::NameTaken { place, name });
    }
    let installed = match read_text(policies)? {
        Some(text) => installed(policies, &text)?,
        None => Vec::new(),
    };
    let named = installed.iter().any(|path| *path == file.display().to_string());
    // Of a path that is not absolute Firefox knows the folders.
    let other = installed.iter().filter(|path| **path != file.display().to_string()).find(|path| {
        Path::new(path).is_absolute()
            && read(Path::new(path)).ok().flatten().is_some_and(|bytes| is(&bytes, root))
    });
    Ok(match (named, held.is_some(), other) {
        (true, true, _) => State::Ours,
        (_, _, Some(other)) => State::Foreign { name: other.clone() },
        (false, false, None) => State::Absent,
        _ => State::Partial,
    })
}

pub(crate) fn plan(policies: &Path, wish: Wish, root: &Root) -> Result<Vec<Act>, Problem> {
    let file = certificate_file(policies, root);
    let path = file.display().to_string();
    let text = read_text(policies)?;
    let mut acts = Vec::new();
    if wish == Wish::Install {
        if !folder(policies).is_dir() {
            acts.push(Act::MakeFolder(folder(policies)));
        }
        acts.push(Act::WriteFile(file, root.pem().into_bytes()));
        let text = match text {
            Some(text) => with(policies, &text, &path)?,
            None => alone(&path),
        };
        acts.push(Act::WriteFile(policies.to_owned(), text.into_bytes()));
        return Ok(acts);
    }
    let mut gone = Vec::new();
    match text {
        Some(text) if text == alone(&path) => gone.push(policies.to_owned()),
        Some(text) if installed(policies, &text)?.contains(&path) => {
            acts.push(Act::WriteFile(policies.to_owned(), without(policies, &text, &path)?.into_bytes()));
        }
        _ => {}
    }
    if file.exists() {
        gone.push(file);
    }
    acts.extend(gone.iter().cloned().map(Act::RemoveFile));
    acts.extend(emptied(&folder(policies), 2, gone));
    Ok(acts)
}

fn folder(policies: &Path) -> PathBuf {
    policies.parent().unwrap_or(policies).to_owned()
}

fn certificate_file(policies: &Path, root: &Root) -> PathBuf {
    folder(policies).join(format!("{}.pem", root.mark()))
}

/// Firefox takes PEM and DER.
fn is(bytes: &[u8], root: &Root) -> bool {
    bytes == root.der || pem::decode_all(&String::from_utf8_lossy(bytes)).eq([root.der.clone()])
}

/// What a file says that holds nothing else.
fn alone(path: &str) -> String {
    let path = Value::from(path);
    format!(
        "{{\n  \"policies\": {{\n    \"Certificates\": {{\n      \"Install\": [\n        {path}\n      ]\n    }}\n  }}\n}}\n"
    )
}

/// The paths in `Certificates.Install`.
fn installed(policies: &Path, text: &str) -> Result<Vec<String>, Problem> {
    let document: Value = serde_json::from_str(text).map_err(|e| Problem::odd(policies, e))?;
    let mut value = &document;
    for key in ["policies", "Certificates", "Install"] {
        let object =
            value.as_object().ok_or_else(|| Problem::odd(policies, format!("no object around {key}")))?;
        match object.get(key) {
            Some(inner) => value = inner,
            None => return Ok(Vec::new()),
        }
    }
    let list = value.as_array().ok_or_else(|| Problem::odd(policies, "Install is no list"))?;
    Ok(list.iter().filter_map(|path| Some(path.as_str()?.to_owned())).collect())
}

/// The text with one path more.
fn with(policies: &Path, text: &str, path: &str) -> Result<String, Problem> {
    let (document, ..) = parsed(policies, text)?;
    let certificates =
        document.object_value_or_set().object_value_or_set("policies").object_value_or_set("Certificates");
    let install = certificates.array_value_or_set("Install");
    if !installed(policies, text)?.iter().any(|there| there == path) {
        if install.elements().is_empty() {
            install.ensure_multiline();
        }
        install.append(CstInputValue::String(path.to_owned()));
    }
    Ok(document.to_string())
}

/// The text without that path, and without the lists and objects that held nothing else.
fn without(policies: &Path, text: &str, path: &str) -> Result<String, Problem> {
    let (document, object) = parsed(policies, text)?;
    let held = object.object_value("policies").and_then(|policies| policies.get("Certificates"));
    let list = held.as_ref().and_then(|held| held.object_value()?.get("Install"));
    let (Some(certificates), Some(install)) = (held, list) else { return Ok(text.to_owned()) };
    if let Some(paths) = install.array_value() {
        remove(&paths, path);
        if paths.elements().is_empty() {
            install.remove();
        }
    }
    if certificates.object_value().is_some_and(|object| object.properties().is_empty()) {
        certificates.remove();
    }
    Ok(document.to_string())
}

fn remove(install: &CstArray, path: &str) {
    let is =
        |node: &CstNode| node.as_string_lit().and_then(|s| s.decoded_value().ok()).as_deref() == Some(path);
    install.elements().into_iter().filter(is).for_each(CstNode::remove);
}

/// Judged by `installed` first, which reads it as strictly as Firefox does, and not too deep.
fn parsed(policies: &Path, text: &str) -> Result<(CstRootNode, CstObject), Problem> {
    installed(policies, text)?;
    let document =
        CstRootNode::parse(text, &ParseOptions::default()).map_err(|e| Problem::odd(policies, e))?;
    let object = document.object_value().ok_or_else(|| Problem::odd(policies, "no object"))?;
    Ok((document, object))
}
