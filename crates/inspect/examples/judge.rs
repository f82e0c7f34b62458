//! Judges chains from files: for each line of standard input one line that says what Chromium and Firefox show for a server
//! with these certificates at <https://127.0.0.1/>, or `null`.
//!
//! ```console
//! $ echo 'one root.der leaf.der issuer.der' | cargo run --release -p inspect --example judge
//! one null null
//! ```

use std::{
    error::Error,
    fs,
    io::{BufWriter, Write, stdin, stdout},
    net::Ipv4Addr,
};

use domain::AltName;
use inspect::{Roots, pages};
use time::OffsetDateTime;

fn main() -> Result<(), Box<dyn Error>> {
    let name = AltName::Ip(Ipv4Addr::LOCALHOST.into());
    let now = OffsetDateTime::now_utc();
    let mut out = BufWriter::new(stdout().lock());
    for line in stdin().lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let (Some(id), Some(root)) = (words.next(), words.next()) else { continue };
        let roots = Roots::read([fs::read(root)?.as_slice()]);
        let chain = words.map(fs::read).collect::<Result<Vec<_>, _>>()?;
        let (chromium, firefox) = pages(&roots, &chain, &name, now);
        writeln!(out, "{id} {} {}", chromium.unwrap_or("null"), firefox.unwrap_or("null"))?;
    }
    Ok(out.flush()?)
}
