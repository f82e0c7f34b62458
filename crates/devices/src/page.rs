//! Text out of web pages, as recipes need it: no HTML parser, since firmware writes no HTML that one would
//! accept, and what is looked for is known word by word.

use domain::Told;

/// The text between the first `after` and the next `until`.
pub(crate) fn between<'a>(page: &'a str, after: &str, until: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(after)?;
    rest.split_once(until).map(|(found, _)| found)
}

/// An `<input>` of a form.
#[derive(Default)]
struct Input {
    value: Option<String>,
    checked: bool,
    is_checkbox: bool,
}

/// The value of the first `<input>` with that name.
pub(crate) fn value(page: &str, name: &str) -> Option<String> {
    inputs(page, name).find_map(|input| input.value)
}

/// Whether the checkbox of that name is checked; `None` if there is none. Pages put a hidden field of the
/// same name before it, so that "off" is sent too.
pub(crate) fn checked(page: &str, name: &str) -> Option<bool> {
    inputs(page, name).find(|input| input.is_checkbox).map(|input| input.checked)
}

/// Every `<input>` with that name, whatever the order of its attributes.
fn inputs<'a>(page: &'a str, name: &'a str) -> impl Iterator<Item = Input> + 'a {
    page.split('<').skip(1).filter_map(move |tag| {
        let attributes = strip_prefix_ignoring_case(tag, "input")?;
        if attributes.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return None;
        }
        let mut named = false;
        let mut found = Input::default();
        for (attribute, value) in Attributes(attributes) {
            match attribute.to_ascii_lowercase().as_str() {
                "name" => named = unescape(value) == name,
                "value" => found.value = Some(unescape(value)),
                "checked" => found.checked = true,
                "type" => found.is_checkbox = value.eq_ignore_ascii_case("checkbox"),
                _ => {}
            }
        }
        if named { Some(found) } else { None }
    })
}

/// A piece of a page as people read it: without tags, on one line, shortened.
pub(crate) fn plain(html: &str) -> Told {
    let mut text = String::with_capacity(html.len());
    let mut in_tag = false;
    for c in html.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                text.push(' ');
            }
            _ if in_tag => {}
            _ => text.push(c),
        }
    }
    Told::new(&unescape(&text))
}

/// The attributes of a tag, up to its `>`.
struct Attributes<'a>(&'a str);

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        let rest = self.0.trim_start_matches(|c: char| c.is_whitespace() || c == '/' || c == '=');
        if rest.is_empty() || rest.starts_with('>') {
            return None;
        }
        let end =
            rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/')).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let Some(value) = after.trim_start().strip_prefix('=').map(str::trim_start) else {
            self.0 = after;
            return Some((name, ""));
        };
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, after) = match quote {
            Some(quote) => value[1..].split_once(quote).unwrap_or((&value[1..], "")),
            None => {
                value.split_at(value.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(value.len()))
            }
        };
        self.0 = after;
        Some((name, value))
    }
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    if head.eq_ignore_ascii_case(prefix) { text.get(prefix.len()..) } else { None }
}

/// The five entities of XML and the space: more is not needed for numbers and plain sentences.
fn unescape(text: &str) -> String {
    // The ampersand last, so that "&amp;lt;" stays "&lt;".
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_found_however_they_are_written() {
        for page in [
            r#"<p><input type="text" name="https_port" value="8443" size=5></p>"#,
            r#"<INPUT VALUE='8443' NAME='https_port'/>"#,
            "<inputs name=https_port value=1><input name=other value=2>\n<input\nvalue=8443 name=https_port>",
            r#"a < b <input title="a > b" name = "https_port" value = "8443" checked>"#,
        ] {
            assert_eq!(value(page, "https_port").as_deref(), Some("8443"), "{page}");
        }
        for (page, is_checked) in [
            (r#"<input type="checkbox" name="https" checked>"#, Some(true)),
            (r#"<input checked="checked" name="https" type=CHECKBOX>"#, Some(true)),
            (r#"<input name="https" type="checkbox"> checked"#, Some(false)),
            (
                r#"<input type=hidden name=https value=off><input type=checkbox name=https checked>"#,
                Some(true),
            ),
            (r#"<input type=hidden name=https checked><input type=checkbox name=http>"#, None),
            ("", None),
        ] {
            assert_eq!(checked(page, "https"), is_checked, "{page}");
        }
        assert_eq!(value(r#"<input name="https_port">"#, "https_port"), None);
    }

    #[test]
    fn text_is_taken_between_two_texts() {
        assert_eq!(between("a <b>c</b> <b>d</b>", "<b>", "</b>"), Some("c"));
        assert_eq!(between("a <b>c", "<b>", "</b>"), None);
        assert_eq!(between("", "<b>", "</b>"), None);
    }

    #[test]
    fn a_sentence_is_what_people_read() {
        assert_eq!(
            plain("Not a <b>certificate</b>:\n key &amp; leaf &lt;3 &amp;lt;"),
            "Not a certificate : key & leaf <3 &lt;"
        );
        assert_eq!(plain("cut <b"), "cut");
    }

    #[test]
    fn no_page_makes_the_reader_panic_or_hang() {
        let whole = "<input é name=\"https\" value='8é' checked= ><p class=\"error\">x&am</p>".to_owned();
        let cuts = (0..=whole.len()).filter(|at| whole.is_char_boundary(*at));
        for at in cuts {
            for extra in ["", "<", ">", "\"", "'", "=", "é", "<input ", "&"] {
                let page = format!("{}{extra}{}", &whole[..at], &whole[at..]);
                drop((
                    value(&page, "https"),
                    checked(&page, "https"),
                    plain(&page),
                    between(&page, "<p", "</p>"),
                ));
                drop((value(&page[..at], "https"), plain(&page[..at])));
            }
        }
    }
}
