//! The catalogue of sentences. Everything that is said to people is a code with typed arguments until it
//! reaches an edge of the program; here it becomes a sentence: what happened, why, and what to do.
//!
//! A language is one file of [Fluent](https://projectfluent.org) messages in `languages/`: the message's name is
//! the code, its attribute `.fix` says what to do.

use std::borrow::Cow;

use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};
use serde::Serialize;
use serde_json::Value;
use unic_langid::LanguageIdentifier;

const ENGLISH: &str = include_str!("../languages/en.ftl");

/// The catalogue in one language.
pub struct Words {
    bundle: FluentBundle<FluentResource>,
}

/// What is said of one thing.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Sentence {
    /// The code, for machines and for searching.
    pub code: String,
    /// What happened, and why.
    pub text: String,
    /// What to do about it, if there is something to do.
    pub fix: Option<String>,
}

impl Words {
    /// English.
    pub fn english() -> Words {
        Words::read(ENGLISH)
    }

    fn read(source: &str) -> Words {
        // The file is part of the program and a test reads every message of it, so what does not parse here
        // is left out rather than handled.
        let resource = FluentResource::try_new(source.to_owned()).unwrap_or_else(|(partial, _)| partial);
        let mut bundle = FluentBundle::new_concurrent(vec![LanguageIdentifier::default()]);
        bundle.set_use_isolating(false);
        let _ = bundle.add_resource(resource);
        Words { bundle }
    }

    /// The sentence for anything that serialises to an object with a `code` and arguments beside it.
    pub fn say(&self, thing: &impl Serialize) -> Sentence {
        self.say_of(thing, "ADDRESS")
    }

    /// The same of what was seen at a device, or went wrong there: a command that helps has the device in it, as the command
    /// line takes it.
    pub fn say_of(&self, thing: &impl Serialize, target: &str) -> Sentence {
        let value = serde_json::to_value(thing).unwrap_or_default();
        let code = value.get("code").and_then(Value::as_str).unwrap_or("unknown").to_owned();
        let mut args = self.arguments(&value);
        if args.get("target").is_none() {
            args.set("target", target.to_owned());
        }
        let message = self.bundle.get_message(&code);
        let fix = message.as_ref().and_then(|m| m.get_attribute("fix"));
        let [text, fix] = [message.as_ref().and_then(|m| m.value()), fix.map(|a| a.value())].map(|pattern| {
            let format = |p| self.bundle.format_pattern(p, Some(&args), &mut Vec::new()).into_owned();
            pattern.map(format)
        });
        Sentence { text: text.unwrap_or_else(|| format!("{code}: {value}")), fix, code }
    }

    fn arguments(&self, value: &Value) -> FluentArgs<'static> {
        let mut args = FluentArgs::new();
        let fields = value.as_object().into_iter().flatten().filter(|(name, _)| *name != "code");
        for (name, value) in fields {
            args.set(Cow::Owned(name.clone()), self.argument(value));
        }
        args
    }

    fn argument(&self, value: &Value) -> FluentValue<'static> {
        match value {
            Value::Number(n) => FluentValue::from(n.as_f64().unwrap_or_default()),
            Value::Array(items) => {
                let item = |item: &Value| match item {
                    Value::String(text) => text.clone(),
                    reason if reason.get("code").is_some() => self.say(reason).text,
                    other => other.to_string(),
                };
                FluentValue::from(items.iter().map(item).collect::<Vec<_>>().join(", "))
            }
            Value::String(s) => FluentValue::from(s.clone()),
            Value::Null => FluentValue::from(""),
            // A reason is itself something that can be said.
            reason if reason.get("code").is_some() => FluentValue::from(self.say(reason).text),
            other => FluentValue::from(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::Finding;
    use fluent_syntax::{ast::Entry, parser};

    use super::*;

    #[test]
    fn a_code_with_arguments_becomes_a_sentence() {
        let words = Words::english();
        let said = words.say(&Finding::WrongName {
            wanted: "192.168.1.64".into(),
            names: vec!["IP:192.168.1.65".into(), "DNS:gate.lan".into()],
        });
        assert_eq!(said.code, "wrong-name");
        assert_eq!(
            said.text,
            "The certificate is for IP:192.168.1.65, DNS:gate.lan and not for 192.168.1.64."
        );
        assert!(said.fix.unwrap().contains("192.168.1.64"));
    }

    #[test]
    fn numbers_choose_their_plural_and_have_no_separators() {
        let words = Words::english();
        assert!(words.say(&Finding::Expiring { days: 1 }).text.contains("1 day."));
        assert!(words.say(&Finding::TooLongForApple { days: 36500 }).text.contains("36500 days"));
    }

    #[test]
    fn what_has_no_sentence_is_still_shown() {
        let said = Words::english().say(&serde_json::json!({"code": "no-such-code", "port": 80}));
        assert!(said.text.contains("no-such-code") && said.text.contains("80"));
    }

    #[test]
    fn a_reason_is_a_sentence_of_its_own() {
        let reason = serde_json::json!({"code": "connection-lost", "operation": "DeleteKey"});
        let said = Words::english().say(&Finding::NotPutBack { reason });
        assert!(said.text.contains("The connection broke during DeleteKey."), "{}", said.text);
    }

    /// Every message of every language parses, has a text, and no message is there twice.
    #[test]
    fn every_message_is_whole() {
        let resource = parser::parse(ENGLISH).expect("the catalogue parses");
        let mut seen = std::collections::BTreeSet::new();
        for entry in &resource.body {
            match entry {
                Entry::Message(message) => {
                    assert!(message.value.is_some(), "{}", message.id.name);
                    assert!(seen.insert(message.id.name), "{} is there twice", message.id.name);
                    assert!(message.attributes.iter().all(|a| a.id.name == "fix"));
                }
                Entry::Junk { content } => panic!("{content}"),
                _ => {}
            }
        }
        assert!(seen.len() > 90);
    }
}
