//! How often.
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::context::Context;
use crate::error::Result;
use catena_tensor::state::State;

/// How often: a count of Train batches, of steps or of epochs, or a time.
///
/// It is due when the counter has passed a multiple of its number since it was last asked. A time may choose when something is
/// logged or saved, never what is computed.
///
/// ```
/// use catena_chain::Every;
///
/// assert_eq!("100 steps".parse::<Every>()?, Every::Steps(100));
/// assert_eq!("1 epoch".parse::<Every>()?, Every::Epochs(1));
/// assert_eq!(Every::Seconds(30.0).to_string(), "30 seconds");
/// assert!("0 batches".parse::<Every>().is_err());
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Every {
    /// Train batches of the run.
    Batches(u64),
    /// Steps of the run (the first pass's).
    Steps(u64),
    /// Epochs of the run.
    Epochs(u64),
    /// Seconds since it was first asked.
    Seconds(f64),
    /// As often as snapshots may be taken at this share of the run's time, measured by what the last one took of it. For
    /// snapshots only: made by [`Every::overhead`].
    Overhead(f64),
    /// Never.
    Never,
}

impl Every {
    /// As often as it costs that share of the run's time, such as `"1%"`.
    ///
    /// ```
    /// use catena_chain::Every;
    ///
    /// assert_eq!(Every::overhead("1%")?, Every::Overhead(0.01));
    /// assert_eq!("0.5% overhead".parse::<Every>()?, Every::Overhead(0.005));
    /// # Ok::<(), catena_chain::BoxError>(())
    /// ```
    pub fn overhead(share: &str) -> Result<Self> {
        let percent = share.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        match percent.filter(|percent| *percent > 0.0 && *percent <= 100.0) {
            Some(percent) => Ok(Self::Overhead(percent / 100.0)),
            None => {
                Err(format!("`{share}` is not a share; give a percentage above 0%, for example \"1%\"")
                    .into())
            }
        }
    }

    /// Whether it ever comes: the number is above 0, and a share is at most the whole.
    ///
    /// ```
    /// use catena_chain::Every;
    ///
    /// let text = Every::Steps(0).check().unwrap_err().to_string();
    /// assert_eq!(text, "`every` is 0 steps, but its number must be above 0");
    /// ```
    pub fn check(&self) -> Result<()> {
        let is_good = match *self {
            Self::Batches(n) | Self::Steps(n) | Self::Epochs(n) => n > 0,
            Self::Seconds(s) => s.is_finite() && s > 0.0,
            Self::Overhead(share) => share > 0.0 && share <= 1.0,
            Self::Never => true,
        };
        match self {
            _ if is_good => Ok(()),
            Self::Overhead(_) => {
                Err(format!("`every` is {self}, but must be above 0% and at most 100%").into())
            }
            _ => Err(format!("`every` is {self}, but its number must be above 0").into()),
        }
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut count =
            |n: u64, unit: &str, units: &str| write!(f, "{n} {}", if n == 1 { unit } else { units });
        match *self {
            Self::Batches(n) => count(n, "batch", "batches"),
            Self::Steps(n) => count(n, "step", "steps"),
            Self::Epochs(n) => count(n, "epoch", "epochs"),
            Self::Seconds(s) => write!(f, "{s} {}", if s == 1.0 { "second" } else { "seconds" }),
            Self::Overhead(share) => write!(f, "{}% overhead", percent(share)),
            Self::Never => f.write_str("never"),
        }
    }
}

/// A share in percent, in the fewest digits that are read back as the same share.
fn percent(share: f64) -> String {
    let mut texts = (0..=17).map(|digits| format!("{:.digits$}", share * 100.0));
    let is_it = |text: &String| text.parse::<f64>().is_ok_and(|percent| percent / 100.0 == share);
    texts.find(is_it).unwrap_or_else(|| (share * 100.0).to_string())
}

impl FromStr for Every {
    type Err = crate::error::BoxError;

    fn from_str(text: &str) -> Result<Self> {
        let error = || {
            format!(
                "`{text}` is not a frequency; give for example \"100 steps\", \"1 epoch\", \"7 batches\", \"30 seconds\", \"1% overhead\" or \"never\", with a number above 0"
            )
        };
        if text.trim() == "never" {
            return Ok(Self::Never);
        }
        let (number, unit) = text.trim().split_once(' ').ok_or_else(error)?;
        if unit.trim() == "overhead" {
            return Self::overhead(number);
        }
        let count = || number.parse::<u64>().ok().filter(|&n| n > 0).ok_or_else(error);
        Ok(match unit.trim() {
            "batch" | "batches" => Self::Batches(count()?),
            "step" | "steps" => Self::Steps(count()?),
            "epoch" | "epochs" => Self::Epochs(count()?),
            "second" | "seconds" => Self::Seconds(
                number.parse().ok().filter(|s: &f64| s.is_finite() && *s > 0.0).ok_or_else(error)?,
            ),
            _ => return Err(error().into()),
        })
    }
}

impl Serialize for Every {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Every {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An [`Every`] that remembers when it was last asked.
///
/// ```
/// use catena_chain::{Every, Trigger, testing};
///
/// let driver = testing::driver(vec![])?; // in epoch 1
/// let mut trigger = Trigger::new(Every::Epochs(1));
/// assert!(trigger.due(driver.context()));
/// assert!(!trigger.due(driver.context()));
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Debug)]
pub struct Trigger {
    every: Every,
    /// The counter at the last call (of a clock, how many spans had passed); none if it was not asked yet.
    asked: Option<u64>,
    since: Option<Instant>,
}

impl Trigger {
    /// Not asked yet.
    pub fn new(every: Every) -> Self {
        Self { every, asked: None, since: None }
    }

    /// How often.
    pub fn every(&self) -> Every {
        self.every
    }

    /// Whether it is due: the counter has passed a multiple since the last call. At the first call it must be at one, so that what
    /// begins late (in the second stage, say) does not begin with what was passed before.
    pub fn due(&mut self, cx: &Context) -> bool {
        let (counter, n) = match self.every {
            Every::Batches(n) => (cx.global_batch(), n),
            Every::Steps(n) => (cx.global_step(), n),
            Every::Epochs(n) => (cx.global_epoch(), n),
            Every::Seconds(s) => {
                let since = *self.since.get_or_insert_with(Instant::now);
                let passed = (since.elapsed().as_secs_f64() / s) as u64;
                return passed > self.asked.replace(passed).unwrap_or(0);
            }
            Every::Overhead(share) => return self.affordable(cx, share),
            Every::Never => return false,
        };
        let before = self.asked.replace(counter).unwrap_or_else(|| counter.saturating_sub(1));
        n > 0 && counter / n > before / n
    }

    /// The first one is due at once, since only it tells the cost; then one when enough time has passed to pay for it.
    fn affordable(&mut self, cx: &Context, share: f64) -> bool {
        let due = match (self.since, cx.snapshot_cost()) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(since), Some(cost)) => since.elapsed().as_secs_f64() * share >= cost.as_secs_f64(),
        };
        if due {
            self.since = Some(Instant::now());
        }
        due
    }

    /// The counter's name; none of a clock.
    fn unit(&self) -> Option<&'static str> {
        match self.every {
            Every::Batches(_) => Some("batches"),
            Every::Steps(_) => Some("steps"),
            Every::Epochs(_) => Some("epochs"),
            Every::Seconds(_) | Every::Overhead(_) | Every::Never => None,
        }
    }

    /// What must survive a resume: the counter at the last call, whatever the number is. A clock begins anew.
    pub fn state(&self) -> State {
        let Self { every: _, asked, since: _ } = self;
        let json = match (self.unit(), asked) {
            (Some(unit), Some(asked)) => serde_json::json!({ unit: asked }),
            _ => serde_json::Value::Null,
        };
        State::json(json)
    }

    /// Takes it back. The state of a trigger that went by another counter is none: this one then begins late.
    pub fn load_state(&mut self, state: &State) -> Result<()> {
        let asked: Option<BTreeMap<String, u64>> = state.read()?;
        self.asked = asked.zip(self.unit()).and_then(|(asked, unit)| asked.get(unit).copied());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    #[test]
    fn text_and_value_are_the_same_in_both_directions() {
        for every in [
            Every::Batches(7),
            Every::Steps(1),
            Every::Epochs(2),
            Every::Seconds(0.5),
            Every::Overhead(0.01),
            Every::Overhead(0.07),
            Every::Overhead(0.29),
            Every::Epochs(400_007_000_400_007_001),
            Every::Steps(u64::MAX),
            Every::Seconds(1e300),
            Every::Never,
        ] {
            assert_eq!(every.to_string().parse::<Every>().unwrap(), every);
            let json = serde_json::to_string(&every).unwrap();
            assert_eq!(serde_json::from_str::<Every>(&json).unwrap(), every);
        }
        for wrong in ["", "7", "batches", "-1 steps", "1.5 epochs", "nan seconds", "3 fortnights"] {
            let text = wrong.parse::<Every>().unwrap_err().to_string();
            assert!(text.contains("is not a frequency"), "{wrong}: {text}");
        }
    }

    proptest! {
        #[test]
        fn it_is_due_once_for_each_multiple_that_is_passed(n in 1u64..9, jumps in prop::collection::vec(0u64..20, 1..30)) {
            let mut driver = testing::driver(vec![]).unwrap();
            let (mut trigger, mut counter) = (Trigger::new(Every::Batches(n)), 0);
            driver.context_mut().global_batch = 0;
            prop_assert!(!trigger.due(driver.context()), "it begins with the run");
            for jump in jumps {
                let before = counter;
                counter += jump;
                driver.context_mut().global_batch = counter;
                prop_assert_eq!(trigger.due(driver.context()), counter / n > before / n);
            }
        }

        #[test]
        fn another_number_holds_from_the_resume_on(n in 1u64..9, m in 1u64..9, at in 0u64..40, further in 1u64..40) {
            let mut driver = testing::driver(vec![]).unwrap();
            let mut trigger = Trigger::new(Every::Batches(n));
            driver.context_mut().global_batch = at;
            trigger.due(driver.context());
            let mut resumed = Trigger::new(Every::Batches(m));
            resumed.load_state(&trigger.state()).unwrap();
            driver.context_mut().global_batch = at + further;
            prop_assert_eq!(resumed.due(driver.context()), (at + further) / m > at / m);
            let mut other = Trigger::new(Every::Epochs(m));
            other.load_state(&trigger.state()).unwrap();
            prop_assert!(other.asked.is_none(), "epochs are no batches");
        }

        #[test]
        fn what_begins_late_is_due_at_the_next_multiple(n in 1u64..9, start in 0u64..100) {
            let mut driver = testing::driver(vec![]).unwrap();
            let mut trigger = Trigger::new(Every::Batches(n));
            for counter in start..start + 20 {
                driver.context_mut().global_batch = counter;
                prop_assert_eq!(trigger.due(driver.context()), counter > 0 && counter % n == 0, "at {}", counter);
            }
        }
    }
}
