//! A result that goes into a file or to standard output, and its rows as spreadsheets read them.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use domain::visible;
use tempfile::TempPath;

use crate::failure::Failure;

/// What is being written.
pub struct Out {
    to: BufWriter<Box<dyn Write + Send>>,
    file: PathBuf,
    /// Where it is until it is whole.
    beside: Option<TempPath>,
}

impl Out {
    /// Begins a file, or standard output for `-`. A file is there once it is whole.
    pub fn create(file: &Path) -> Result<Out, Failure> {
        let (to, beside): (Box<dyn Write + Send>, _) = match is_standard_output(file) {
            true => (Box::new(io::stdout()), None),
            false => {
                let opened = site::begin_over(file);
                let (to, beside) = opened.map_err(|e| Failure::file("file-unwritable", file, &e))?;
                (Box::new(to), beside)
            }
        };
        Ok(Out { to: BufWriter::new(to), file: file.to_owned(), beside })
    }

    /// A line of CSV.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) -> Result<(), Failure> {
        let cells: Vec<String> = cells.into_iter().map(|text| csv_cell(&text)).collect();
        self.with(|to| write!(to, "{}\r\n", cells.join(",")))
    }

    /// What writes itself.
    pub fn with(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
        write(&mut self.to).map_err(|e| self.failure(&e))
    }

    /// It is whole.
    pub fn end(&mut self) -> Result<(), Failure> {
        self.to.flush().map_err(|e| self.failure(&e))?;
        match self.beside.take() {
            Some(written) => written.persist(&self.file).map_err(|e| self.failure(&e.error)),
            None => Ok(()),
        }
    }

    fn failure(&self, reason: &io::Error) -> Failure {
        Failure::file("file-unwritable", &self.file, reason)
    }
}

/// Whether this name stands for it.
pub fn is_standard_output(file: &Path) -> bool {
    file == Path::new("-")
}

/// A cell (RFC 4180) that no spreadsheet takes for a formula, whatever a certificate brought into it.
fn csv_cell(text: &str) -> String {
    const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    let text = visible(text).replace('"', "\"\"");
    let mark = if text.trim_start().starts_with(FORMULA) { "'" } else { "" };
    format!("\"{mark}{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_never_a_formula_nor_two_cells() {
        for (text, cell) in [
            ("gate.lan", "\"gate.lan\""),
            ("", "\"\""),
            ("CN=\"a\",O=b", "\"CN=\"\"a\"\",O=b\""),
            ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
            (" @SUM(1)", "\"' @SUM(1)\""),
            ("-2+3", "\"'-2+3\""),
            ("\t=1", "\"\\u{9}=1\""),
            ("a\r\n=1", "\"a\\u{d}\\u{a}=1\""),
        ] {
            assert_eq!(csv_cell(text), cell);
        }
    }
}
