//! Reads path-validation cases in the format of C2SP/x509-limbo and prints that suite's result format.
//!
//! ```console
//! $ cargo run --release -p inspect --example limbo -- CASES.json
//! ```
//!
//! A case is judged by [`inspect::verify`], as `camlock check` judges what a server shows: with any finding it fails.

use std::{error::Error, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("usage: limbo CASES.json")?;
    println!("{}", limbo::results(&fs::read_to_string(file)?)?);
    Ok(())
}

#[path = "limbo/cases.rs"]
mod limbo;
