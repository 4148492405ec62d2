//! Where runs go, and under which names.
use std::path::PathBuf;

/// Where runs go, and under which names.
#[derive(Clone, Default)]
pub(super) struct Settings {
    pub(super) server: String,
    pub(super) experiment: String,
    pub(super) run_name: Option<String>,
    pub(super) authorization: Option<String>,
    /// The run directory.
    pub(super) dir: Option<PathBuf>,
}
