use std::{
    collections::BTreeSet,
    env,
    fs::{File, Metadata},
    io::{IsTerminal, Read, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use authority::doubt_of_clock;
use serde_json::{Value, json};
use site::{DataDir, Site};
use store::Store;
use time::OffsetDateTime;
use words::Words;
use zeroize::Zeroizing;

use crate::{args::Args, failure::Failure, talk::warn};

/// Fewer characters than this are said to be few.
const SHORT_PASSPHRASE: usize = 12;
/// How often somebody at a terminal may mistype.
const TRIES: usize = 3;

/// What holds for every command: where the data is, and how secrets come in.
pub struct Setting {
    data: Option<PathBuf>,
    passphrase_file: Option<PathBuf>,
    pub json: bool,
    /// Nothing is asked that can be left out, and what is destroyed is accepted.
    pub yes: bool,
}

impl Setting {
    pub fn new(args: &Args) -> Setting {
        Setting {
            data: args.data.clone(),
            passphrase_file: args.passphrase_file.clone(),
            json: args.json,
            yes: args.yes,
        }
    }

    /// The data directory: named, or the platform's.
    pub fn directory(&self) -> Result<PathBuf, Failure> {
        if let Some(data) = &self.data {
            return Ok(data.clone());
        }
        let home = || env::home_dir().filter(|h| !h.as_os_str().is_empty());
        let base = if cfg!(windows) {
            env::var_os("LOCALAPPDATA").map(PathBuf::from)
        } else if cfg!(target_os = "macos") {
            home().map(|h| h.join("Library/Application Support"))
        } else {
            let xdg = env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
            xdg.or_else(|| home().map(|h| h.join(".local/share")))
        };
        base.map(|b| b.join("camlock")).ok_or_else(|| Failure::usage("no-home"))
    }

    /// The ledger, which must be there.
    pub async fn store(&self) -> Result<Store, Failure> {
        Ok(Store::open(&self.directory()?).await?)
    }

    /// The data directory, as a site's.
    pub fn files(&self) -> Result<DataDir, Failure> {
        Ok(DataDir::new(self.directory()?))
    }

    /// The site, whose authority must be there; locked.
    pub async fn site(&self) -> Result<Site, Failure> {
        Ok(Site::open(self.files()?).await?)
    }

    /// The site with its authority open for signing.
    pub async fn unlocked(&self) -> Result<Site, Failure> {
        let site = self.site().await?;
        self.unlock(&site).await?;
        Ok(site)
    }

    /// Opens the site's authority for signing.
    pub async fn unlock(&self, site: &Site) -> Result<(), Failure> {
        let mut tries = TRIES;
        loop {
            let secret = self.passphrase("Passphrase of Camlock: ")?;
            tries -= 1;
            match site.unlock(&secret).await {
                Ok(()) => break,
                Err(e) if tries == 0 || self.passphrase_file.is_some() => return Err(e.into()),
                // What is broken does not get better by another passphrase.
                Err(e) => match &e {
                    site::Error::Authority(authority::Error::Vault(vault::Error::WrongPassphrase)) => {
                        warn(&e)
                    }
                    _ => return Err(e.into()),
                },
            }
        }
        // It is done all the same: somebody asked for it.
        if let Some(doubt) = doubt_of_clock(site.store(), OffsetDateTime::now_utc()).await? {
            warn(&doubt);
        }
        Ok(())
    }

    /// Opens the authority if its passphrase is in a file or is typed in; otherwise it stays locked.
    pub async fn unlock_if_told(&self, site: &Site) -> Result<(), Failure> {
        if self.passphrase_file.is_none() && !std::io::stdin().is_terminal() {
            return Ok(());
        }
        let secret = self.passphrase("Passphrase of Camlock (none: serve locked): ")?;
        if !secret.is_empty() {
            site.unlock(&secret).await?;
        }
        Ok(())
    }

    /// The passphrase, from its file or the terminal.
    pub fn passphrase(&self, prompt: &str) -> Result<Zeroizing<String>, Failure> {
        match &self.passphrase_file {
            Some(file) => first_line(file),
            None => ask(prompt, "passphrase-missing"),
        }
    }

    /// What is in the passphrase file, if there is one: the passphrase, the recovery key or the key of a key file.
    pub fn told(&self) -> Result<Option<Zeroizing<String>>, Failure> {
        self.passphrase_file.as_deref().map(first_line).transpose()
    }

    /// The passphrase of a new authority, from the passphrase file or the terminal.
    pub fn first_passphrase(&self) -> Result<Zeroizing<String>, Failure> {
        new_passphrase(self.passphrase_file.as_deref(), "passphrase-missing")
    }
}

/// A new passphrase, from its file or the terminal, where it is asked for twice. A short one is said to be short.
pub fn new_passphrase(file: Option<&Path>, missing: &str) -> Result<Zeroizing<String>, Failure> {
    let good = |passphrase: Zeroizing<String>| match passphrase.is_empty() {
        true => Err(Failure::from(vault::Error::PassphraseEmpty)),
        false => Ok(passphrase),
    };
    let is_short = |passphrase: &str| passphrase.chars().count() < SHORT_PASSPHRASE;
    let Some(file) = file else {
        return tried(|| {
            let passphrase = match ask_twice("New passphrase of Camlock: ", missing)? {
                Ok(passphrase) => good(passphrase),
                Err(e) => Err(e),
            };
            match passphrase {
                Ok(passphrase) if is_short(&passphrase) => {
                    warn(&json!({"code": "passphrase-short"}));
                    Ok(match agrees(&json!({"code": "ask-short"})).unwrap_or(false) {
                        true => Ok(passphrase),
                        false => Err(Failure::usage("passphrase-again")),
                    })
                }
                passphrase => Ok(passphrase),
            }
        });
    };
    let passphrase = good(first_line(file)?)?;
    if is_short(&passphrase) {
        warn(&json!({"code": "passphrase-short"}));
    }
    Ok(passphrase)
}

/// Asks again for what was mistyped, which is the inner error; the last one counts.
pub fn tried<T>(mut ask: impl FnMut() -> Result<Result<T, Failure>, Failure>) -> Result<T, Failure> {
    for _ in 1..TRIES {
        match ask()? {
            Ok(answer) => return Ok(answer),
            Err(mistyped) => warn(&mistyped.said),
        }
    }
    ask()?
}

/// Asks on the terminal for what nobody could find out later if it was mistyped, which is the inner error.
pub fn ask_twice(prompt: &str, missing: &str) -> Result<Result<Zeroizing<String>, Failure>, Failure> {
    let first = ask(prompt, missing)?;
    Ok(match *ask("The same again: ", missing)? == *first {
        true => Ok(first),
        false => Err(Failure::usage("passphrases-differ")),
    })
}

/// Asks on the terminal for what is no secret; without one, what is missing is wrong use.
pub fn ask_openly(question: &str, missing: &str) -> Result<String, Failure> {
    let mut answer = String::new();
    if std::io::stdin().is_terminal() {
        // Like a password's prompt: the answer stands beside it, and standard output is for the result.
        let _ = write!(std::io::stderr(), "{question}");
        std::io::stdin().read_line(&mut answer).map_err(|_| Failure::usage(missing))?;
    }
    match answer.trim() {
        "" => Err(Failure::usage(missing)),
        answer => Ok(answer.to_owned()),
    }
}

/// Asks on the terminal for a yes to this question, a code with arguments.
pub fn agrees(question: &Value) -> Result<bool, Failure> {
    let question = Words::english().say(question).text;
    Ok(ask_openly(&format!("{question} "), "nothing-done")?.eq_ignore_ascii_case("y"))
}

/// Asks on the terminal; without one, what is missing is wrong use.
pub fn ask(prompt: &str, missing: &str) -> Result<Zeroizing<String>, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(missing));
    }
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|_| Failure::usage(missing))
}

/// The first line of a file that holds a secret. If others can read it, too, that is said, once for each file.
pub fn first_line(file: &Path) -> Result<Zeroizing<String>, Failure> {
    static TOLD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let unreadable = |e| Failure::file("file-unreadable", file, &e);
    let mut open = File::open(file).map_err(unreadable)?;
    if let Some(said) = open_to_others(file, &open.metadata().map_err(unreadable)?)
        && TOLD.lock().unwrap_or_else(PoisonError::into_inner).insert(file.to_owned())
    {
        warn(&said);
    }
    let mut text = Zeroizing::new(String::new());
    open.read_to_string(&mut text).map_err(unreadable)?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// What is to be said of a secret file, or of the data directory, if others on this computer can use it.
#[cfg(unix)]
pub fn open_to_others(path: &Path, metadata: &Metadata) -> Option<Value> {
    use std::os::unix::fs::PermissionsExt;

    use crate::talk::quoted;

    let mode = metadata.permissions().mode();
    let (path, quoted) = (path.display().to_string(), quoted(path));
    if metadata.is_dir() && mode & 0o077 != 0 {
        return Some(json!({"code": "directory-open", "path": path, "quoted": quoted}));
    }
    // A pipe has one reader, whatever its mode says.
    let is_open = metadata.is_file() && mode & 0o066 != 0;
    is_open.then(|| json!({"code": "secret-open", "path": path, "quoted": quoted}))
}

#[cfg(not(unix))]
pub fn open_to_others(_: &Path, _: &Metadata) -> Option<Value> {
    None
}
