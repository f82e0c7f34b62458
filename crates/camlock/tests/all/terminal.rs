//! On a terminal: what is asked there, and colours.

use std::{
    io::{Read, Write},
    process::{Output, Stdio},
};

use crate::common::{Site, camera, document, terminal};
use camera_sim::Model;

#[tokio::test(flavor = "multi_thread")]
async fn the_user_is_asked_for() {
    let site = Site::founded();
    let camera = camera(Model::OnvifSecurity, &[]).await;
    let (url, password) = (camera.http_url(), site.path("password"));
    let words = ["secure", &url, "--password-file", password.to_str().unwrap(), "--json"];
    let answered = |line: &'static [u8]| {
        let (mut person, program) = terminal();
        person.write_all(line).unwrap();
        tokio::process::Command::from(site.command(&words)).stdin(Stdio::from(program)).output()
    };
    let output = answered(b"admin\n").await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(document(&output)[0]["verdict"], "secure");
    assert!(crate::common::text(&output).starts_with("User name on the device: "), "{output:?}");

    // Nothing, and the end of the input.
    for nothing in [&b"\n"[..], b"\x04"] {
        assert_eq!(answered(nothing).await.unwrap().status.code(), Some(2));
    }
}

/// What a command shows on a terminal, and its end.
fn shown_by(site: &Site, words: &[&str], variable: &str) -> (Vec<u8>, Output) {
    let (mut person, program) = terminal();
    let mut command = site.command(words);
    let output = command.env(variable, "1").stdout(Stdio::from(program)).output().unwrap();
    drop(command);
    // The program's end is closed now, so reading ends with an error once all was read.
    let (mut shown, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(more @ 1..) = person.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..more]);
    }
    (shown, output)
}

#[test]
fn colours_are_for_a_terminal_that_wants_them() {
    let site = Site::founded();
    let run = |words: &[&str], variable: &str| {
        let (shown, output) = shown_by(&site, words, variable);
        (shown.contains(&0x1b), output.stderr.contains(&0x1b))
    };
    assert_eq!(run(&["check", "127.0.0.1:1"], "TERM_OF_NO_MEANING"), (true, false));
    assert_eq!(run(&["check", "127.0.0.1:1"], "NO_COLOR"), (false, false));
    // Standard error is no terminal here, whatever standard output is.
    assert_eq!(run(&["init"], "TERM_OF_NO_MEANING"), (false, false));
}

#[test]
fn how_far_a_sweep_is_stands_on_the_terminal() {
    let site = Site::new();
    let (mut person, program) = terminal();
    let mut command = site.command(&["check", "127.9.9.0/28"]);
    let output = command.env("TERM", "xterm").stderr(Stdio::from(program)).output().unwrap();
    drop(command);
    let (mut shown, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(more @ 1..) = person.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..more]);
    }
    let shown = String::from_utf8_lossy(&shown);
    assert!(["of 14", "/s"].iter().all(|part| shown.contains(part)), "{shown}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("/s"), "{output:?}");
}

/// Escape codes have no width.
#[test]
fn a_coloured_table_keeps_its_shape() {
    let site = Site::new();
    for (variable, coloured) in [("TERM_OF_NO_MEANING", true), ("NO_COLOR", false)] {
        let (shown, output) = shown_by(&site, &["demo", "--once", "--cameras", "1"], variable);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = String::from_utf8(shown).unwrap();
        assert_eq!(text.contains('\x1b'), coloured);
        let mut pieces = text.split('\x1b');
        let mut plain = pieces.next().unwrap().to_owned();
        plain.extend(pieces.filter_map(|piece| piece.split_once('m')).map(|(_, rest)| rest));
        let widths: Vec<usize> = plain
            .lines()
            .filter(|line| line.starts_with(['┌', '│', '╞', '└']))
            .map(|line| line.trim_end().chars().count())
            .collect();
        assert!(widths.len() >= 5 && widths.iter().all(|w| *w == widths[0]), "{plain}");
        let root = plain.lines().find_map(|l| l.strip_prefix("Root")).unwrap().trim();
        std::fs::remove_dir_all(std::path::Path::new(root).parent().unwrap()).unwrap();
    }
}
