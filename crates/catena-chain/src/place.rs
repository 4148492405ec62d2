//! Where a run is, for messages.
use std::fmt;

/// Where a run is: what an error and a log line name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The stage's name; none outside of stages.
    pub stage: Option<String>,
    /// The epoch in its stage, from 1; 0 outside of epochs.
    pub epoch: u64,
    /// The loader's name; none outside of loaders.
    pub loader: Option<String>,
    /// The batch in its loader's epoch, from 1; 0 before the first.
    pub batch: u64,
    /// The pass, where a stage has more than one.
    pub pass: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(stage) = &self.stage else { return f.write_str("outside of stages") };
        write!(f, "stage `{stage}`")?;
        if self.epoch > 0 {
            write!(f, ", epoch {}", self.epoch)?;
        }
        if let Some(loader) = &self.loader {
            write!(f, ", loader `{loader}`")?;
            if self.batch > 0 {
                write!(f, ", batch {}", self.batch)?;
            }
        }
        match &self.pass {
            Some(pass) => write!(f, ", pass `{pass}`"),
            None => Ok(()),
        }
    }
}
