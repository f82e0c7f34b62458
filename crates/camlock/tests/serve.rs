//! The service from outside: whom it answers, and what it does by itself.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStderr, Stdio},
};

use common::{PATIENCE, Site};
use serde_json::Value;
use tokio::net::TcpSocket;

/// A running `camlock serve`; killed if it is forgotten.
struct Service {
    child: Child,
    log: BufReader<ChildStderr>,
    /// What it said before it served.
    before: Vec<Value>,
    page: String,
    trust: String,
}

impl Service {
    fn start(site: &Site) -> Service {
        let words = ["serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"];
        let mut child = site.command(&words).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut service = Service { child, log, before: Vec::new(), page: String::new(), trust: String::new() };
        loop {
            let line = service.line();
            if line["code"].as_str().unwrap().starts_with("serving") {
                service.page = line["page"].as_str().unwrap().to_owned();
                service.trust = line["trust"].as_str().unwrap().to_owned();
                return service;
            }
            service.before.push(line);
        }
    }

    /// The next line of its log.
    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.log.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// What is between `//` and the next slash.
fn address(url: &str) -> &str {
    url.split('/').nth(2).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_shuts_nobody_out() {
    let site = Site::founded();
    let service = tokio::task::block_in_place(|| Service::start(&site));
    let mut crowd = Vec::new();
    for from in 2..=4 {
        for url in [&service.page, &service.trust] {
            for _ in 0..300 {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind(([127, 0, 0, from], 0).into()).unwrap();
                crowd.push(socket.connect(address(url).parse().unwrap()).await.unwrap());
            }
        }
        tokio::task::block_in_place(|| {
            assert_eq!(site.json(&["check", &service.page], 0)[0]["verdict"], "secure");
            let mut plain = TcpStream::connect(address(&service.trust)).unwrap();
            plain.set_read_timeout(Some(PATIENCE)).unwrap();
            plain.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
            let mut page = String::new();
            plain.read_to_string(&mut page).unwrap();
            assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        });
    }
}
