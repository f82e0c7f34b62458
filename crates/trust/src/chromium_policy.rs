//! The managed policies of Chromium and its relatives: files in a folder, one of them our own.
//!
//! `CACertificates` is one list of all files' making: where two files set it, the browser takes one of them.

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    Act, Problem, Root, State, Wish,
    act::emptied,
    machine::{entries, read, read_text},
};

const POLICY: &str = "CACertificates";

pub(crate) fn look(folder: &Path, root: &Root) -> Result<State, Problem> {
    let wanted = STANDARD.encode(&root.der);
    if ours(folder)?.contains(&wanted) {
        return Ok(State::Ours);
    }
    let holds =
        |list: &Value| list.as_array().is_some_and(|list| list.iter().any(|one| *one == json!(wanted)));
    let other = others(folder).into_iter().find(|(_, list)| holds(list));
    Ok(other.map_or(State::Absent, |(file, _)| State::Foreign { name: file.display().to_string() }))
}

pub(crate) fn plan(folder: &Path, wish: Wish, root: &Root) -> Result<Vec<Act>, Problem> {
    let mut list = ours(folder)?;
    let mut acts = Vec::new();
    match wish {
        Wish::Install => {
            if let Some((file, _)) = others(folder).into_iter().next() {
                return Err(Problem::PolicyTaken { file: file.display().to_string() });
            }
            if !folder.is_dir() {
                acts.push(Act::MakeFolder(folder.to_owned()));
            }
            list.push(STANDARD.encode(&root.der));
        }
        Wish::Uninstall => list.retain(|one| *one != STANDARD.encode(&root.der)),
    }
    let file = our_file(folder);
    if !list.is_empty() {
        let text = serde_json::to_string_pretty(&json!({ POLICY: list })).unwrap_or_default() + "\n";
        acts.push(Act::WriteFile(file, text.into_bytes()));
        return Ok(acts);
    }
    acts.push(Act::RemoveFile(file.clone()));
    acts.extend(emptied(folder, 3, vec![file]));
    Ok(acts)
}

fn our_file(folder: &Path) -> PathBuf {
    folder.join("camlock.json")
}

/// The certificates in our own file, which holds nothing else.
fn ours(folder: &Path) -> Result<Vec<String>, Problem> {
    let file = our_file(folder);
    let Some(text) = read_text(&file)? else { return Ok(Vec::new()) };
    let odd = || Problem::odd(&file, "not written by Camlock");
    let document: Value = serde_json::from_str(&text).map_err(|e| Problem::odd(&file, e))?;
    let object = document.as_object().filter(|o| o.len() == 1).ok_or_else(odd)?;
    let list = object.get(POLICY).and_then(Value::as_array).ok_or_else(odd)?;
    list.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(odd)).collect()
}

/// The files of others that set the policy. What is no JSON sets nothing.
fn others(folder: &Path) -> Vec<(PathBuf, Value)> {
    let files = entries(folder).into_iter().filter(|file| *file != our_file(folder));
    let read = |file: PathBuf| {
        let document: Value = serde_json::from_slice(&read(&file).ok()??).ok()?;
        Some((file, document.get(POLICY)?.clone()))
    };
    files.filter_map(read).collect()
}
