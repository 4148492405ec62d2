//! What a transform is, and what settings of several have in common.
use std::fmt::Debug;

use serde_json::{Value, json};

use super::frame::Frame;
use crate::draws::Draws;
use crate::{Result, Settings};

/// Something that changes an image, and its mask alike. What it draws it takes of `draws.of(self.name())` alone, and it takes that each time, so that a sample is the same on any thread.
pub trait Transform: Debug + Send + Sync {
    /// Its name, such as `RandomCrop`.
    fn name(&self) -> &'static str;

    /// What it does, as data: a resume compares it.
    fn settings(&self) -> Settings;

    /// Refuses settings that can't be meant.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Changes an image.
    fn apply(&self, frame: &mut Frame, draws: &mut Draws) -> Result<()>;
}

pub(super) fn settings(object: Value) -> Settings {
    match object {
        Value::Object(settings) => settings,
        other => Settings::from_iter([("settings".to_owned(), json!(other))]),
    }
}

pub(super) fn probability(p: f64) -> Result<()> {
    if (0.0..=1.0).contains(&p) { Ok(()) } else { Err(format!("`p` is {p}: a probability is 0 to 1").into()) }
}

pub(super) fn range(name: &str, [least, greatest]: [f64; 2]) -> Result<()> {
    if least > 0.0 && least <= greatest && greatest.is_finite() {
        return Ok(());
    }
    Err(format!("`{name}` is {least} to {greatest}: two numbers above 0 are needed, the smaller first")
        .into())
}

/// Sizes that an image may be given.
pub(super) fn sizes(size: [usize; 2]) -> Result<()> {
    let most = 1 << 16;
    if size.iter().all(|side| (1..=most).contains(side)) {
        return Ok(());
    }
    Err(format!("the size {size:?} was asked for; a height and a width of 1 to {most} can be made").into())
}
