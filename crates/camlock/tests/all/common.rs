//! What the tests of the program share: a site in a temporary directory, and cameras.
//! Each test program uses a part of it.

use std::{
    fs::File,
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::Duration,
};

use camera_sim::{Camera, Fault, Model, Options};
use clap::ValueEnum as _;
use serde_json::Value;

/// Longer than anything here takes on the slowest machine: what takes longer hangs.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The models that are met over plain HTTP, and can do without it afterwards.
pub fn models() -> Vec<Model> {
    let all = Model::value_variants().iter().copied();
    all.filter(|model| !model.comes_with_https() && model.switches_http()).collect()
}

/// The way that a key takes to a camera that is met where it lets itself be spoken to.
pub fn transport(model: Model) -> &'static str {
    match (model.makes_key(), model.comes_with_https()) {
        (true, _) => "none",
        (false, true) => "pinned-tls",
        (false, false) => "throw-away-tls",
    }
}

pub struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    pub fn new() -> Site {
        let site = Site { folder: tempfile::tempdir().unwrap() };
        site.keep("passphrase", "a passphrase of several words\n");
        site.keep("password", "camera password\n");
        site
    }

    /// Writes a file with a secret, as careful people do.
    pub fn keep(&self, name: &str, secret: &str) {
        std::fs::write(self.path(name), secret).unwrap();
        self.set_mode(name, 0o600);
    }

    pub fn set_mode(&self, name: &str, mode: u32) {
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(self.path(name), mode).unwrap();
        }
        #[cfg(not(unix))]
        let _ = (name, mode);
    }

    /// Permissions, and the sticky bit.
    #[cfg(unix)]
    pub fn mode(&self, name: &str) -> u32 {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o7777
    }

    pub fn founded() -> Site {
        Site::founded_for("127.0.0.1")
    }

    pub fn founded_for(permitted: &str) -> Site {
        let site = Site::new();
        let made = site.run(&["init", "--site", "Test", "--key", "p256", "--permit", permitted]);
        assert_eq!(made.status.code(), Some(0), "{made:?}");
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program, and nothing of this machine's settings.
    pub fn environment(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("CAMLOCK_DATA", self.path("data"))
            .env("CAMLOCK_PASSPHRASE_FILE", self.path("passphrase"))
            .stdin(Stdio::null());
        command
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.environment(env!("CARGO_BIN_EXE_camlock"));
        command.args(words);
        command
    }

    /// A run that hangs fails by its words, instead of the whole test run by its silence.
    pub fn run(&self, words: &[&str]) -> Output {
        let mut command = self.command(words);
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send(command.output()));
        told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{words:?} hangs")).unwrap()
    }

    pub fn json(&self, words: &[&str], exit: i32) -> Value {
        let output = self.run(&[words, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(exit), "{words:?}: {output:?}");
        document(&output)
    }

    /// `secure` for this address with the password of every camera here, killed if it is forgotten.
    pub fn securing(&self, target: &str, more: &[&str]) -> tokio::process::Command {
        let password = self.path("password");
        let words = ["secure", target, "--user", "admin", "--password-file", password.to_str().unwrap()];
        let mut command = tokio::process::Command::from(self.command(&[&words[..], more].concat()));
        command.kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub async fn secure_at(&self, target: &str, more: &[&str], exit: i32) -> Value {
        let output = self.securing(target, &[more, &["--json"]].concat()).output();
        let output = tokio::time::timeout(PATIENCE, output).await.unwrap().unwrap();
        assert_eq!(output.status.code(), Some(exit), "{target} {more:?}: {output:?}");
        document(&output)[0].clone()
    }

    pub async fn secure(&self, camera: &Camera, more: &[&str], exit: i32) -> Value {
        self.secure_at(&camera.http_url(), more, exit).await
    }
}

/// The one JSON document on standard output.
pub fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

pub fn options(model: Model, faults: &[Fault]) -> Options {
    let mut options = Options::new(model, "admin", "camera password");
    options.faults = faults.to_vec();
    options.key_generation = Duration::from_millis(20);
    options
}

pub async fn camera(model: Model, faults: &[Fault]) -> Camera {
    Camera::start(options(model, faults)).await.unwrap()
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A terminal: the end that a person sits at, and the program's end.
#[cfg(target_os = "linux")]
pub fn terminal() -> (File, File) {
    use std::os::unix::ffi::OsStrExt;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap();
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
    let program = File::options().read(true).write(true).open(path).unwrap();
    (File::from(person), program)
}
