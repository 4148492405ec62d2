//! A text that is borrowed from what it is read from where that is possible.
use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

/// serde borrows a `Cow` only where it is the whole field, and not inside of an `Option` or a map. This wrapper borrows there too.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A text that may be missing.
pub(super) fn maybe<'de: 'a, 'a, D: Deserializer<'de>>(reader: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    Ok(Option::<Text<'de>>::deserialize(reader)?.map(|text| text.0))
}
