//! The files of a run directory, one type each. The training side writes these types and every reader reads them, so a field that
//! changes breaks the build of both. `docs/formats.md` describes the files field by field for other programs.
//!
//! | file | module | type |
//! |---|---|---|
//! | `run.json` | [`run`] | [`RunFile`](run::RunFile) |
//! | `journal.jsonl` | [`journal`] | [`JournalRow`](journal::JournalRow) |
//! | `metrics.jsonl` | [`metrics`] | [`MetricsRow`](metrics::MetricsRow) |
//! | `timing.jsonl` | [`timing`] | [`TimingRow`](timing::TimingRow) |
//! | `manifest.json` of a snapshot | [`manifest`] | [`Manifest`](manifest::Manifest) |
//! | `state.json` of a snapshot, its outer form | [`state`] | [`StateFile`](state::StateFile) |
//!
//! Reading is tolerant: fields that are not known are passed over, and fields that a version did not write yet have defaults. Only
//! `manifest.json` is read to the letter, as it vouches for the other files.
pub mod journal;
pub mod manifest;
pub mod metrics;
pub mod run;
pub mod state;
mod text;
pub mod timing;

#[cfg(test)]
mod tests;
