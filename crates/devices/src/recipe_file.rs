//! Recipes, read: those of the program, and the operator's own in `recipes` in the data directory. Every mistake is named
//! with its file and line.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use domain::{ErrorKind, Told};
use serde::{Deserialize, Serialize};

use crate::{http::Answer, recipe::Recipe};

/// Every recipe that is part of the program.
pub(crate) const SHIPPED: [&str; 1] = [include_str!("../recipes/pem-page.toml")];
/// The folder in the data directory.
const FOLDER: &str = "recipes";
/// The largest recipe that is read, bytes.
const MAX_RECIPE: u64 = 64 * 1024;
/// The most recipes that are read.
const MAX_RECIPES: usize = 100;

/// Why the operator's recipes cannot be used.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum RecipeError {
    #[error("{file}, line {line}: {mistake}")]
    RecipeFile { file: String, line: usize, mistake: RecipeMistake },
    #[error("{file} cannot be read: {reason}")]
    RecipeUnreadable { file: String, reason: String },
    #[error("{file} has more than {limit} bytes")]
    RecipeTooLarge { file: String, limit: u64 },
    #[error("{folder} has more than {limit} recipes")]
    TooManyRecipes { folder: String, limit: usize },
    #[error("{file} and another file both hold a recipe {name}")]
    RecipeTwice { file: String, name: String },
}

impl RecipeError {
    /// What it asks of whoever meets it: the operator's own files are not in order.
    pub fn kind(&self) -> ErrorKind {
        match self {
            RecipeError::RecipeFile { .. }
            | RecipeError::RecipeUnreadable { .. }
            | RecipeError::RecipeTooLarge { .. }
            | RecipeError::TooManyRecipes { .. }
            | RecipeError::RecipeTwice { .. } => ErrorKind::Broken,
        }
    }
}

/// What is wrong in a recipe.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum RecipeMistake {
    #[error("{detail}")]
    RecipeSyntax { detail: Told },
    #[error("unknown key {key:?}; allowed: {allowed:?}")]
    RecipeUnknownKey { key: Told, allowed: Vec<String> },
    #[error("not a name of a recipe")]
    RecipeName,
    #[error("not a path on the device")]
    RecipePath,
    #[error("not the name of a field or file")]
    RecipeField,
    #[error("not kinds of key")]
    RecipeKeyKinds,
    #[error("nothing that tells this device from others")]
    RecipeSigns,
    #[error("neither field and file_name nor a list of files")]
    RecipeUpload,
    #[error("key and certificate are not both uploaded")]
    RecipeFiles,
    #[error("not a value")]
    RecipeValue,
    #[error("not a switch")]
    RecipeSwitch,
}

/// The recipes to recognise devices by.
#[derive(Clone, Debug)]
pub struct Recipes {
    own: Vec<Recipe>,
    shipped: Vec<Recipe>,
}

impl Default for Recipes {
    /// Those of the program.
    fn default() -> Recipes {
        // A test reads them all, so none is left out here.
        let shipped = SHIPPED.iter().filter_map(|text| toml::from_str(text).ok()).collect();
        Recipes { own: Vec::new(), shipped }
    }
}

impl Recipes {
    /// Those of the program, and before them every `*.toml` of the folder `recipes` in the data directory.
    pub fn read(directory: &Path) -> Result<Recipes, RecipeError> {
        let mut recipes = Recipes::default();
        for path in files(&directory.join(FOLDER))? {
            let file = path.display().to_string();
            let recipe = parse(&file, &read(&path, &file)?)?;
            if recipes.own.iter().any(|other| other.name.0 == recipe.name.0) {
                return Err(RecipeError::RecipeTwice { file, name: recipe.name.0 });
            }
            recipes.own.push(recipe);
        }
        Ok(recipes)
    }

    /// In the order in which they are tried.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Recipe> {
        self.own.iter().chain(&self.shipped)
    }
}

/// Every recipe of the folder, by name. Other files, and those that a system hides, are none.
fn files(folder: &Path) -> Result<Vec<PathBuf>, RecipeError> {
    let failed = |e: std::io::Error| RecipeError::RecipeUnreadable {
        file: folder.display().to_string(),
        reason: e.to_string(),
    };
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_hidden || path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        if files.len() >= MAX_RECIPES {
            let folder = folder.display().to_string();
            return Err(RecipeError::TooManyRecipes { folder, limit: MAX_RECIPES });
        }
        files.push(path);
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path, file: &str) -> Result<Vec<u8>, RecipeError> {
    let unreadable = |reason: String| RecipeError::RecipeUnreadable { file: file.to_owned(), reason };
    // Opening a pipe would wait for whoever writes to it.
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(unreadable("not a file".to_owned())),
        Err(e) => return Err(unreadable(e.to_string())),
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|f| f.take(MAX_RECIPE + 1).read_to_end(&mut bytes));
    match read {
        Err(e) => Err(unreadable(e.to_string())),
        Ok(size) if size as u64 > MAX_RECIPE => {
            Err(RecipeError::RecipeTooLarge { file: file.to_owned(), limit: MAX_RECIPE })
        }
        Ok(_) => Ok(bytes),
    }
}

fn parse(file: &str, bytes: &[u8]) -> Result<Recipe, RecipeError> {
    let failed = |before: &[u8], mistake| {
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        RecipeError::RecipeFile { file: file.to_owned(), line, mistake }
    };
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let before = bytes.get(..e.valid_up_to()).unwrap_or_default();
        failed(before, RecipeMistake::RecipeSyntax { detail: "not UTF-8".into() })
    })?;
    toml::from_str(text).map_err(|e: toml::de::Error| {
        let start = e.span().map_or(0, |span| span.start);
        failed(bytes.get(..start).unwrap_or(bytes), mistake(e.message()))
    })
}

/// What the library could not read, or what a rule of ours said through it.
fn mistake(message: &str) -> RecipeMistake {
    use RecipeMistake::{
        RecipeField, RecipeFiles, RecipeKeyKinds, RecipeName, RecipePath, RecipeSigns, RecipeSwitch,
        RecipeSyntax, RecipeUnknownKey, RecipeUpload, RecipeValue,
    };
    let ours = [RecipeName, RecipePath, RecipeField, RecipeKeyKinds, RecipeSigns, RecipeUpload, RecipeFiles];
    if let Some(ours) = ours.into_iter().find(|mistake| mistake.to_string() == message) {
        return ours;
    }
    match message {
        m if m.ends_with("untagged enum Value") => return RecipeValue,
        m if m.ends_with("untagged enum Switch") => return RecipeSwitch,
        _ => {}
    }
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.as_slice() {
        [key, allowed @ ..] if message.starts_with("unknown field") => RecipeUnknownKey {
            key: Told::new(key),
            allowed: allowed.iter().map(|key| (*key).to_owned()).collect(),
        },
        _ => RecipeSyntax { detail: Told::new(message) },
    }
}

/// Reads a recipe, and with it a page as if a device had answered so. How long the longest text is that it takes from
/// the page. For the fuzz target.
#[doc(hidden)]
pub fn try_recipe(recipe: &[u8], page: &str) -> Result<usize, RecipeError> {
    let recipe = parse("recipe", recipe)?;
    let answer = Answer {
        status: hyper::StatusCode::OK,
        headers: hyper::HeaderMap::new(),
        body: hyper::body::Bytes::copy_from_slice(page.as_bytes()),
    };
    let _ = recipe.recognises(&answer);
    Ok(recipe.read_page(page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_recipe_is_read() {
        assert_eq!(Recipes::default().all().count(), SHIPPED.len());
        assert!(Recipes::default().all().all(|r| !r.abilities().restarts && r.abilities().one_slot));
    }

    /// Line and code of what is wrong once `from` is `to`.
    fn refused(from: &str, to: &str) -> (usize, String) {
        let changed = SHIPPED[0].replacen(from, to, 1);
        assert_ne!(changed, SHIPPED[0]);
        match parse("f", changed.as_bytes()) {
            Err(RecipeError::RecipeFile { line, mistake, .. }) => {
                (line, serde_json::to_value(&mistake).unwrap()["code"].as_str().unwrap().to_owned())
            }
            other => panic!("{to}: {other:?}"),
        }
    }

    fn line_of(text: &str) -> usize {
        SHIPPED[0].lines().position(|line| line.starts_with(text)).unwrap() + 1
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let key_kinds = "key_kinds = [\"rsa-2048\", \"p256\"]";
        for (at, from, to, code) in [
            ("one_slot", "one_slot = true", "one_slots = true", "recipe-unknown-key"),
            ("one_slot", "one_slot = true", "one_slot = maybe", "recipe-syntax"),
            ("name", "name = \"pem-page\"", "name = \"Pem Page\"", "recipe-name"),
            ("key_kinds", key_kinds, "key_kinds = [\"dsa\"]", "recipe-key-kinds"),
            ("path = \"/settings/https\"", "\"/settings/https\"", "\"http://x/\"", "recipe-path"),
            ("path = \"/settings/https\"", "\"/settings/https\"", "\"//x/\"", "recipe-path"),
            ("path = \"/settings/https\"", "\"/settings/https\"", "\"/a b\"", "recipe-path"),
            ("[recognise]", "server = \"PemCam/\"", "", "recipe-signs"),
            ("[recognise]", "server = \"PemCam/\"", "server = \"\"", "recipe-signs"),
            ("https_port", "{ input = \"https_port\" }", "{ after = \"x\" }", "recipe-value"),
            ("https_on", "{ checkbox = \"https\" }", "{ checkbox = \"x\", text = \"x\" }", "recipe-switch"),
            ("field", "field = \"certificate\"", "field = 'a\"b'", "recipe-field"),
            ("[upload]", "field = \"certificate\"", "", "recipe-upload"),
        ] {
            assert_eq!(refused(from, to), (line_of(at), code.to_owned()), "{to}");
        }
        let files = "file = [{ field = 'a', file_name = 'b', content = 'key' }]";
        let refused = refused("field = \"certificate\"\nfile_name = \"camlock.pem\"", files);
        assert_eq!(refused, (line_of("[upload]"), "recipe-files".to_owned()));
    }
}
