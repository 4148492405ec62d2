//! Which libtorch is needed, and what the user asked of the set-up.

/// The libtorch that tch 0.26 is written for.
pub(crate) const VERSION: &str = "2.13.0";

/// What the user asked of the set-up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted {
    /// The build with CUDA; without it either build serves.
    pub(crate) cuda: bool,
    /// Not what an earlier set-up left.
    pub(crate) force: bool,
}

/// Whether a version such as `2.13.0+cpu` is the one that is needed.
pub(super) fn is_version(text: &str) -> bool {
    text.trim().split('+').next() == Some(VERSION)
}
