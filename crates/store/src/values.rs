//! Values of the domain as columns hold them.

use time::OffsetDateTime;

use crate::Error;

/// A type of the domain whose serialised form is one word, as that word.
pub(crate) fn word<T: serde::Serialize>(value: &T) -> Result<String, Error> {
    match serde_json::to_value(value)? {
        serde_json::Value::String(word) => Ok(word),
        other => Err(Error::StoredData { detail: format!("{other} is no word") }),
    }
}

pub(crate) fn from_word<T: serde::de::DeserializeOwned>(word: &str) -> Result<T, Error> {
    Ok(serde_json::from_value(serde_json::Value::String(word.to_owned()))?)
}

/// Seconds since 1970.
pub(crate) fn date(seconds: i64) -> Result<OffsetDateTime, Error> {
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_err(|_| Error::StoredData { detail: "a date out of range".into() })
}
