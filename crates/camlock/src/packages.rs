//! What `issue` writes: which files, in which form, under which passphrase.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use domain::slug;
use pki::{
    Certificate, PrivateKey,
    package::{self, Content, Form, Protection},
};
use serde_json::json;
use site::write_all_new;
use zeroize::Zeroizing;

use crate::{
    args::{Format, Issue, KeyForm, Order},
    failure::Failure,
    setting::{ask_twice, first_line, tried},
    talk::warn,
};

/// Endings that the key's file has in place of its own.
const ENDINGS: [&str; 4] = ["pem", "crt", "cer", "der"];

/// A package before there is anything to put into it.
pub struct Plan {
    format: Format,
    order: package::Order,
    key_form: package::KeyForm,
    out: PathBuf,
}

impl Plan {
    /// What the command line asks for, if it makes sense.
    pub fn new(issue: &Issue) -> Result<Plan, Failure> {
        let is_p12 = matches!(issue.format, Format::P12 | Format::P12Legacy);
        for (given, has_use, option) in [
            (issue.order.is_some(), issue.format == Format::Pem, "--order"),
            (issue.key_form.is_some(), !is_p12, "--key-form"),
            // Whoever gives it takes the key in the file for encrypted.
            (issue.package_passphrase_file.is_some(), is_p12, "--package-passphrase-file"),
        ] {
            if given && !has_use {
                let format = issue.format.to_possible_value().map(|v| v.get_name().to_owned());
                let said = json!({"code": "option-without-use", "option": option, "format": format});
                return Err(Failure { said, exit: 2 });
            }
        }
        let order = match issue.order {
            None | Some(Order::KeyFirst) => package::Order::KeyFirst,
            Some(Order::CertificateFirst) => package::Order::CertificateFirst,
            Some(Order::Separate) => package::Order::Separate,
        };
        let key_form = match issue.key_form {
            None | Some(KeyForm::Pkcs8) => package::KeyForm::Pkcs8,
            Some(KeyForm::Traditional) => package::KeyForm::Traditional,
        };
        let ending = match issue.format {
            Format::Pem if order == package::Order::Separate => "crt",
            Format::Pem => "pem",
            Format::P12 | Format::P12Legacy => "p12",
            Format::Der => "der",
        };
        let out = issue.out.clone().unwrap_or_else(|| format!("{}.{ending}", stem(&issue.name)).into());
        Ok(Plan { format: issue.format, order, key_form, out })
    }

    /// Where its files go; issuers in files of their own, which only DER has, are not among them yet.
    pub fn paths(&self) -> Vec<PathBuf> {
        let contents: &[Content] = match (self.format, self.order) {
            (Format::Pem, package::Order::Separate) | (Format::Der, _) => {
                &[Content::Certificate, Content::Key]
            }
            _ => &[Content::Whole],
        };
        contents.iter().map(|content| self.path(*content)).collect()
    }

    /// The package's passphrase, from its file or asked for twice; empty for what has none.
    pub fn passphrase(&self, issue: &Issue) -> Result<Zeroizing<String>, Failure> {
        if !matches!(self.format, Format::P12 | Format::P12Legacy) {
            return Ok(Zeroizing::default());
        }
        let passphrase = match &issue.package_passphrase_file {
            Some(file) => first_line(file)?,
            None => tried(|| ask_twice("Passphrase of the package: ", "package-passphrase-missing"))?,
        };
        if passphrase.is_empty() {
            return Err(vault::Error::PassphraseEmpty.into());
        }
        if !passphrase.is_ascii() {
            warn(&json!({"code": "package-passphrase-not-ascii"}));
        }
        Ok(passphrase)
    }

    /// Writes all files or none; says which.
    pub fn write(
        &self,
        key: &PrivateKey,
        certificates: &[&Certificate],
        passphrase: &str,
    ) -> Result<Vec<PathBuf>, Failure> {
        let pkcs12 = |protection| Form::Pkcs12 { protection, passphrase };
        let form = match self.format {
            Format::Pem => Form::Pem { order: self.order, key: self.key_form },
            Format::Der => Form::Der { key: self.key_form },
            Format::P12 => pkcs12(Protection::Modern),
            Format::P12Legacy => pkcs12(Protection::Legacy),
        };
        let parts = package::write(key, certificates, &form)?;
        let paths: Vec<PathBuf> = parts.iter().map(|part| self.path(part.content)).collect();
        let mode = |content: Content| if content.has_key() { 0o600 } else { 0o644 };
        let files: Vec<_> = parts
            .iter()
            .zip(&paths)
            .map(|(part, path)| (path.as_path(), part.bytes.as_slice(), mode(part.content)))
            .collect();
        write_all_new(&files)?;
        Ok(paths)
    }

    /// The file that was named holds all, or the certificate, unless its name says that it is for the key.
    fn path(&self, content: Content) -> PathBuf {
        let is_key = ending(&self.out) == "key";
        let others = if self.format == Format::Der { "der" } else { "crt" };
        match content {
            Content::Certificate if is_key => self.out.with_extension(others),
            Content::Key if !is_key => self.beside("key"),
            Content::Issuer(n) => self.beside(&format!("issuer{n}.{others}")),
            Content::Whole | Content::Certificate | Content::Key => self.out.clone(),
        }
    }

    fn beside(&self, new: &str) -> PathBuf {
        match ending(&self.out).as_str() {
            old if ENDINGS.contains(&old) || old == "key" => self.out.with_extension(new),
            _ => [self.out.as_os_str(), ".".as_ref(), new.as_ref()].into_iter().collect::<OsString>().into(),
        }
    }
}

/// A file's name from a name for people.
fn stem(name: &str) -> String {
    match slug(name) {
        empty if empty.is_empty() => "camera".to_owned(),
        _ => name.replace(['/', '\\'], "-").trim_start_matches('.').to_owned(),
    }
}

fn ending(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}
