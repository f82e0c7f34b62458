use std::{fmt, ops::Deref};

use serde::{Deserialize, Serialize};

/// The longest [`Told`], characters.
const LONGEST: usize = 200;
/// The longest run of base64 or hexadecimal digits in it: a device may quote in its fault the request, private key
/// included.
const LONGEST_RUN: usize = 40;

/// A text that somebody else told us (a device its model, its reason for a fault), as it may be shown, stored and signed:
/// one line of bounded length that looks like what it is, and holds no key.
///
/// Also what was stored before this type was: it is made clean as it is read.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(from = "String")]
pub struct Told(String);

impl Told {
    /// What may be kept of `text`.
    pub fn new(text: &str) -> Told {
        // First of all, so that nothing invisible divides a key.
        let seen: String = text.chars().filter(|c| c.is_whitespace() || !is_invisible(*c)).collect();
        let words: Vec<String> = seen.split_whitespace().map(without_keys).collect();
        let line: String = words.join(" ").chars().take(LONGEST).collect();
        Told(line.trim_end().to_owned())
    }
}

fn without_keys(word: &str) -> String {
    let encoded = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let shorter = |run| {
        let length = str::chars(run).filter(|c| encoded(*c)).count();
        if length > LONGEST_RUN { "…" } else { run }
    };
    word.split_inclusive(|c| !encoded(c)).map(shorter).collect()
}

impl Deref for Told {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl PartialEq<&str> for Told {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl From<&str> for Told {
    fn from(text: &str) -> Told {
        Told::new(text)
    }
}

impl From<String> for Told {
    fn from(text: String) -> Told {
        Told::new(&text)
    }
}

/// Text that may come from outside and has to be told as it is: what would change how it is shown is written as an
/// escape.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_invisible(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether it has no shape of its own: control characters, those that only say how others are to be shown (direction,
/// joining, variation), and those that mean nothing to everybody (private, unassigned). With them a text looks like
/// another.
pub fn is_invisible(c: char) -> bool {
    match c {
        _ if c.is_ascii() => c.is_ascii_control(),
        // Letters, marks and a symbol by their category (Unicode's Default_Ignorable_Code_Point; the empty cell of
        // Braille).
        '\u{34f}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{ffa0}'
        | '\u{e0000}'..='\u{e0fff}' => true,
        // Spaces of many widths.
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => false,
        // Debug escapes the categories Cc, Cf, Cn, Co, Zl and Zp; of a combining mark only one that has no letter.
        _ => format!("a{c}").escape_debug().nth(1) == Some('\\'),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_told_is_short_and_holds_no_key() {
        let key = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ";
        assert_eq!(Told::new(&format!("bad\r\n  <Data>{key}</Data>")), "bad <Data>…/Data>");
        assert_eq!(Told::new(&format!("{}\u{200b}{}", &key[..30], &key[30..])), "…");
        assert_eq!(Told::new("plain\0 text"), "plain text");
        assert_eq!(Told::new(&"ab ".repeat(500)).chars().count(), LONGEST);
    }

    #[test]
    fn what_is_told_looks_like_what_it_is() {
        assert_eq!(Told::new("P32\u{202e}gpj\u{2028}\u{ad}1\u{e0041}\u{fe0f}"), "P32gpj 1");
        for plain in ["Kapu (é) ①", "e\u{301}", "東京 カメラ", "שער", "\u{1f3a5}", "\"a'\\b", ""] {
            assert_eq!(Told::new(plain), plain);
        }
    }

    #[test]
    fn no_kind_of_invisible_character_is_forgotten() {
        let kinds = "\0\t\n\u{1b}\u{7f}\u{85}\u{9b}\u{ad}\u{34f}\u{600}\u{61c}\u{70f}\u{115f}\u{17b4}\u{180b}\u{180e}\
            \u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2060}\u{2066}\
            \u{2067}\u{2068}\u{2069}\u{206f}\u{2800}\u{3164}\u{e000}\u{fdd0}\u{fe00}\u{fe0f}\u{feff}\u{ffa0}\u{fff9}\u{fffa}\
            \u{fffb}\u{fffe}\u{110bd}\u{13430}\u{1bca0}\u{1d173}\u{e0001}\u{e0020}\u{e007f}\u{e0100}\u{f0000}\u{10ffff}";
        assert_eq!(kinds.chars().find(|c| !is_invisible(*c)), None);
        assert_eq!(" aé\u{301}\u{a0}\u{3000}東\u{fffd}\\\"'".chars().find(|c| is_invisible(*c)), None);
        assert_eq!(visible("a\u{202e}\n"), r"a\u{202e}\u{a}");
    }

    #[test]
    fn it_is_a_plain_string_in_json_and_is_read_clean() {
        assert_eq!(serde_json::to_string(&Told::new("X-1")).unwrap(), r#""X-1""#);
        assert_eq!(serde_json::from_str::<Told>(r#""X\u202e-1""#).unwrap(), Told::new("X-1"));
    }

    /// Texts of all characters, and of those that matter.
    fn text() -> impl Strategy<Value = String> {
        let characters = prop_oneof![
            any::<char>(),
            Just(' '),
            prop::char::range('/', 'z'),
            prop::char::range('\u{2000}', '\u{2070}'),
            prop::char::range('\u{e0000}', '\u{e0200}'),
        ];
        let any_text = prop::collection::vec(characters, 0..400).prop_map(|text| text.into_iter().collect());
        prop_oneof![any_text, "[A-Za-z0-9+/=\u{200b}]{30,60}[ -~]{0,200}"]
    }

    proptest! {
        #[test]
        fn it_is_one_bounded_line_and_stays_as_it_is(text in text()) {
            let told = Told::new(&text);
            prop_assert!(told.chars().count() <= LONGEST);
            prop_assert!(!told.chars().any(is_invisible), "{told:?}");
            prop_assert!(!told.chars().any(|c| c.is_whitespace() && c != ' '), "{told:?}");
            prop_assert_eq!(Told::new(&told), told);
        }
    }
}
