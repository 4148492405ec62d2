//! What is sent to MLflow.
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// One thing to send to MLflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Item {
    /// One value of a metric.
    Metric { key: String, value: Json, timestamp: u64, step: u64 },
    /// A hyper-parameter.
    Param { key: String, value: String },
    /// An artifact of these bytes.
    Bytes {
        name: String,
        #[serde(with = "base64_text")]
        bytes: Vec<u8>,
    },
    /// An artifact that is read from a file.
    File { name: String, path: PathBuf },
    /// How the run is.
    Status { status: String, end_time: Option<u64> },
}

/// Bytes as text, which is a third longer than they are.
mod base64_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// The longest value of a parameter, and the longest name, that MLflow takes.
const LONGEST_PARAM: usize = 6000;
const LONGEST_KEY: usize = 250;

/// A name as MLflow allows it: the same for a name that is allowed. In another one what isn't allowed becomes `_`, and a hash of the
/// name is added, so that two names stay two.
pub(super) fn key(name: &str) -> String {
    let letters: String = name.chars().map(|c| if is_allowed(c) { c } else { '_' }).collect();
    // as a path it has to be in its shortest form, and to stay below where it begins
    let parts = letters.split('/').map(|part| if matches!(part, "" | "." | "..") { "_" } else { part });
    let plain = parts.collect::<Vec<_>>().join("/");
    if plain == name && plain.chars().count() <= LONGEST_KEY && !ends_in_hash(&plain) {
        return plain;
    }
    let start: String = plain.chars().take(LONGEST_KEY - HASH).collect();
    format!("{start}_{:08x}", crc32c::crc32c(name.as_bytes()))
}

/// The length of a `_` and a hash.
const HASH: usize = 9;

/// Such a name could be another one's, if it stayed as it is.
fn ends_in_hash(name: &str) -> bool {
    let is_digit = |c: &u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    name.as_bytes()
        .last_chunk::<HASH>()
        .is_some_and(|[first, rest @ ..]| *first == b'_' && rest.iter().all(is_digit))
}

/// What MLflow's pattern `[/\w.\- ]` takes. Of letters beyond ASCII those are taken whose alphabets have no marks that Rust counts among
/// letters and Python doesn't.
fn is_allowed(c: char) -> bool {
    let known = matches!(
        c,
        '\u{c0}'..='\u{24f}' | '\u{386}'..='\u{52f}' | '\u{3041}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}'
    );
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '/') || (known && c.is_alphanumeric())
}

/// A number as protocol buffers have it in JSON.
pub(super) fn number(value: f64) -> Json {
    match value {
        x if x.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        x => x.into(),
    }
}

/// A parameter's value as text.
pub(super) fn param(value: &Json) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.chars().take(LONGEST_PARAM).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// As `mlflow.utils.validation` has it: the pattern, the length, and `posixpath.normpath(name) == name`.
    fn is_legal(name: &str) -> bool {
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '/');
        let is_normal = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        is_normal && name.chars().all(is_word) && name.chars().count() <= 250
    }

    #[test]
    fn a_name_that_is_allowed_stays_and_another_one_gets_a_hash() {
        let longest = "x".repeat(250);
        for name in ["valid/loss", "train.batches/grad norm", "a-b_c", "...", "précision", "损失", &longest]
        {
            assert!(is_legal(name));
            assert_eq!(key(name), name);
        }
        for (name, start) in [
            ("train/accuracy@1", "train/accuracy_1_"),
            ("loss/", "loss/__"),
            ("a//b", "a/_/b_"),
            ("/abs", "_/abs_"),
            ("../up", "_/up_"),
            (".", "__"),
            ("", "__"),
            ("x_0123abcd", "x_0123abcd_"),
            ("re: mark", "re_ mark_"),
        ] {
            let key = key(name);
            assert!(
                key.starts_with(start) && key.len() == start.len() + 8 && is_legal(&key),
                "{name}: {key}"
            );
        }
    }

    #[test]
    fn names_that_were_one_are_two() {
        let long = |end: &str| format!("{}{end}", "layer.".repeat(50));
        for (a, b) in [
            ("accuracy@1".to_owned(), "accuracy_1".to_owned()),
            ("accuracy@1".to_owned(), "accuracy:1".to_owned()),
            ("a//b".to_owned(), "a/_/b".to_owned()),
            ("loss/".to_owned(), "loss/_".to_owned()),
            (long("weight"), long("bias")),
            ("accuracy@1".to_owned(), key("accuracy@1")),
        ] {
            assert_ne!(key(&a), key(&b), "{a} and {b}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn any_names_have_legal_keys_and_each_its_own(names in prop::collection::hash_set("[a_/.@: é\u{301}]{0,6}", 1..60)) {
            let mut keys = HashMap::new();
            for name in &names {
                let key = key(name);
                prop_assert!(is_legal(&key), "{:?} from {:?}", key, name);
                let other = keys.insert(key, name);
                prop_assert!(other.is_none(), "{:?} and {:?}", name, other);
            }
        }
    }
}
