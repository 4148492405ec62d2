//! What the reader of the page should know of the reading.
use crate::report;

/// Sentences about the reading of a run.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) texts: Vec<String>,
    /// Whether something is damaged.
    pub(crate) damaged: bool,
}

impl Notes {
    /// Adds a sentence, if it is not there yet.
    pub(crate) fn add(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.texts.contains(&text) {
            self.texts.push(text);
        }
    }

    /// Tells of lines that were left out.
    pub(crate) fn damaged_lines(&mut self, file: &str, lines: u64) {
        if lines > 0 {
            let lines = report::count(usize::try_from(lines).unwrap_or(usize::MAX), "line");
            self.add(format!("{file}: {lines} left out that can't be read"));
            self.damaged = true;
        }
    }

    /// Adds what was found in another file.
    pub(crate) fn join(&mut self, other: Self) {
        other.texts.into_iter().for_each(|text| self.add(text));
        self.damaged |= other.damaged;
    }
}
