//! The values that a setting may have, and the error where it has another.
use std::cell::RefCell;
use std::fmt;

use crate::error::{Error, Result};

/// The values that a setting may have. It prints as errors say it, after "must be". Numbers that are not finite are in none.
///
/// ```
/// use catena_tensor::settings::Range;
///
/// let range = Range::ClosedOpen(0.0, 1.0);
/// assert_eq!(range.to_string(), "in [0, 1)");
/// assert!(range.contains(0.0) && !range.contains(1.0) && !range.contains(f64::NAN));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Range {
    /// Any finite number.
    Finite,
    /// This number, or a larger one.
    AtLeast(f64),
    /// A larger number than this.
    Above(f64),
    /// A larger number than this, or infinity.
    AboveOrInfinite(f64),
    /// This number, or a smaller one.
    AtMost(f64),
    /// From the first number to the second, both included.
    Closed(f64, f64),
    /// From the first number, included, to the second, excluded.
    ClosedOpen(f64, f64),
    /// From the first number, excluded, to the second, included.
    OpenClosed(f64, f64),
    /// Between the two numbers.
    Open(f64, f64),
    /// A count of at least so many.
    Count(u64),
    /// A count below this.
    CountBelow(u64),
}

impl Range {
    /// Whether this value is in the range.
    pub fn contains(self, value: f64) -> bool {
        let fits = match self {
            Self::Finite => true,
            Self::AtLeast(low) => value >= low,
            Self::Above(low) | Self::AboveOrInfinite(low) => value > low,
            Self::AtMost(high) => value <= high,
            Self::Closed(low, high) => value >= low && value <= high,
            Self::ClosedOpen(low, high) => value >= low && value < high,
            Self::OpenClosed(low, high) => value > low && value <= high,
            Self::Open(low, high) => value > low && value < high,
            Self::Count(least) => value >= least as f64,
            Self::CountBelow(end) => value >= 0.0 && value < end as f64,
        };
        fits && (value.is_finite() || matches!(self, Self::AboveOrInfinite(_)))
    }

    /// An error if the value is not in the range. `of` is whose setting it is.
    ///
    /// ```
    /// use catena_tensor::settings::Range;
    ///
    /// let error = Range::AtLeast(0.0).check("adamw", "lr", -0.1).unwrap_err();
    /// assert_eq!(error.to_string(), "adamw: `lr` is -0.1, but must be a number of at least 0");
    /// ```
    pub fn check(self, of: &str, name: &str, value: f64) -> Result<()> {
        self.note(name);
        require(of, name, value, self, self.contains(value))
    }

    /// An error, in words, if a setting's value is not in the range, for who says elsewhere whose setting it is. Where the fields of a thing are asked for, the range
    /// is noted as the setting's.
    ///
    /// ```
    /// use catena_tensor::settings::Range;
    ///
    /// assert!(Range::Count(1).setting("patience", 3.0).is_ok());
    /// let why = Range::Count(1).setting("patience", 0.0).unwrap_err();
    /// assert_eq!(why, "`patience` is 0, but must be at least 1");
    /// ```
    pub fn setting(self, name: &str, value: f64) -> std::result::Result<(), String> {
        self.note(name);
        if self.contains(value) { Ok(()) } else { Err(format!("`{name}` is {value}, but must be {self}")) }
    }

    fn note(self, name: &str) {
        NOTED.with_borrow_mut(|noted| {
            if let Some(noted) = noted {
                noted.push((name.to_owned(), self));
            }
        });
    }
}

thread_local! {
    /// The ranges that were checked, by the settings' names, while they are noted.
    static NOTED: RefCell<Option<Vec<(String, Range)>>> = const { RefCell::new(None) };
}

/// The ranges that a call checks, by the settings' names: a check says so what may stand in a field.
pub(super) fn noted(check: impl FnOnce()) -> Vec<(String, Range)> {
    NOTED.set(Some(Vec::new()));
    check();
    NOTED.take().unwrap_or_default()
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finite => write!(f, "a finite number"),
            Self::AtLeast(low) => write!(f, "a number of at least {low}"),
            Self::Above(low) | Self::AboveOrInfinite(low) => write!(f, "a number above {low}"),
            Self::AtMost(high) => write!(f, "a number of at most {high}"),
            Self::Closed(low, high) => write!(f, "in [{low}, {high}]"),
            Self::ClosedOpen(low, high) => write!(f, "in [{low}, {high})"),
            Self::OpenClosed(low, high) => write!(f, "in ({low}, {high}]"),
            Self::Open(low, high) => write!(f, "in ({low}, {high})"),
            Self::Count(least) => write!(f, "at least {least}"),
            Self::CountBelow(end) => write!(f, "below {end}"),
        }
    }
}

/// An error for a setting that has a value which it must not have: `of` is whose setting it is, `allowed` says in words (or as a
/// [`Range`]) what it must be.
///
/// ```
/// use catena_tensor::settings::require;
///
/// let milestones = [3, 2];
/// let error = require("multi_step", "milestones", "[3, 2]", "in ascending order", milestones.is_sorted());
/// assert_eq!(error.unwrap_err().to_string(), "multi_step: `milestones` is [3, 2], but must be in ascending order");
/// ```
pub fn require(
    of: &str,
    name: &str,
    got: impl fmt::Display,
    allowed: impl fmt::Display,
    is_allowed: bool,
) -> Result<()> {
    if is_allowed {
        return Ok(());
    }
    let (got, allowed) = (got.to_string(), allowed.to_string());
    Err(Error::Setting { of: of.into(), name: name.into(), got, allowed })
}
