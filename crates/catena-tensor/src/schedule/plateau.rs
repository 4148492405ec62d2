//! Down when a metric no longer gets better.
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::settings::Range::{AtLeast, ClosedOpen, Count};
use crate::settings::{self, Configured, Setting, require};

/// Which way a metric gets better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlateauMode {
    /// Lower is better.
    #[default]
    Min,
    /// Higher is better.
    Max,
}

/// What [`Plateau`]'s `threshold` is measured in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThresholdMode {
    /// Shares of the best value.
    #[default]
    Rel,
    /// The metric's own unit.
    Abs,
}

/// One learning rate for all groups, or one for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number is needed, or a list with a number for each group")]
pub enum MinLr {
    /// For all groups.
    All(#[serde(with = "catena_record::float")] f64),
    /// In the order of the groups.
    Each(#[serde(with = "catena_record::float::list")] Vec<f64>),
}

/// What [`Plateau`] must remember: this and the optimizer's rates are all that a resume needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlateauState {
    /// The best value so far; none at first.
    #[serde(default, with = "catena_record::float::option")]
    pub best: Option<f64>,
    /// How many values in a row were not better.
    pub num_bad_epochs: u64,
    /// For how many values more bad ones don't count.
    pub cooldown_counter: u64,
}

/// Multiplies the learning rate by `factor` when a metric has not got better for more than `patience` values.
/// Source: `torch.optim.lr_scheduler.ReduceLROnPlateau`.
///
/// Defaults are torch's: `mode` min, `factor` 0.1, `patience` 10, `threshold` 1e-4, `threshold_mode` rel, `cooldown` 0,
/// `min_lr` 0, `eps` 1e-8. A value that is not a number is not better.
///
/// ```
/// use catena_tensor::schedule::Plateau;
///
/// let mut plateau = Plateau::new().factor(0.5).patience(1);
/// let mut lr = 1.0;
/// for (loss, expected) in [(3.0, 1.0), (2.0, 1.0), (2.0, 1.0), (2.0, 0.5), (1.0, 0.5)] {
///     lr = plateau.step(loss, lr);
///     assert_eq!(lr, expected);
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plateau {
    mode: PlateauMode,
    factor: f64,
    patience: u64,
    threshold: f64,
    threshold_mode: ThresholdMode,
    cooldown: u64,
    min_lr: MinLr,
    eps: f64,
    #[serde(skip)]
    state: PlateauState,
}

impl Default for Plateau {
    fn default() -> Self {
        Self {
            mode: PlateauMode::Min,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            threshold_mode: ThresholdMode::Rel,
            cooldown: 0,
            min_lr: MinLr::All(0.0),
            eps: 1e-8,
            state: PlateauState::default(),
        }
    }
}

impl Plateau {
    /// With torch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads torch's arguments, with or without `"name": "reduce_on_plateau"`, and checks them.
    ///
    /// ```
    /// use catena_tensor::schedule::Plateau;
    /// use serde_json::json;
    ///
    /// let plateau = Plateau::from_value(json!({"name": "reduce_on_plateau", "patience": 4}))?;
    /// assert_eq!(plateau, Plateau::new().patience(4));
    /// # Ok::<(), catena_tensor::Error>(())
    /// ```
    pub fn from_value(mut settings: Value) -> Result<Self> {
        let wrong = |why: String| Error::Settings { of: Self::NAME.into(), why };
        if let Some(name) = settings.as_object_mut().and_then(|settings| settings.remove("name"))
            && name != Self::NAME
        {
            return Err(wrong(format!("its `name` is {name}, but must be \"{}\"", Self::NAME)));
        }
        let plateau: Self = settings::read(Self::NAME, settings)?;
        plateau.check()?;
        Ok(plateau)
    }

    /// Whether lower or higher is better (default lower).
    #[must_use]
    pub fn mode(mut self, mode: PlateauMode) -> Self {
        self.mode = mode;
        self
    }

    /// The factor (default 0.1).
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// How many values in a row may be no better (default 10).
    #[must_use]
    pub fn patience(mut self, patience: u64) -> Self {
        self.patience = patience;
        self
    }

    /// By how much a value must be better than the best, and in what unit (default 1e-4 of the best).
    #[must_use]
    pub fn threshold(mut self, threshold: f64, threshold_mode: ThresholdMode) -> Self {
        (self.threshold, self.threshold_mode) = (threshold, threshold_mode);
        self
    }

    /// For how many values after a reduction bad ones don't count (default 0).
    #[must_use]
    pub fn cooldown(mut self, cooldown: u64) -> Self {
        self.cooldown = cooldown;
        self
    }

    /// The lowest learning rate (default 0) of all groups.
    #[must_use]
    pub fn min_lr(mut self, min_lr: f64) -> Self {
        self.min_lr = MinLr::All(min_lr);
        self
    }

    /// The lowest learning rate of each group.
    #[must_use]
    pub fn min_lrs(mut self, min_lrs: impl Into<Vec<f64>>) -> Self {
        self.min_lr = MinLr::Each(min_lrs.into());
        self
    }

    /// A reduction by no more than this is left out (default 1e-8).
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// Takes the next value and gives the learning rate from here on, for an optimizer with one group.
    pub fn step(&mut self, metric: f64, lr: f64) -> f64 {
        if self.observe(metric) { self.reduced(lr, 0) } else { lr }
    }

    /// Takes the next value; whether the learning rates are to be [`reduced`](Self::reduced) now.
    pub fn observe(&mut self, metric: f64) -> bool {
        let is_better = self.is_better(metric);
        let state = &mut self.state;
        if is_better {
            state.best = Some(metric);
            state.num_bad_epochs = 0;
        } else {
            state.num_bad_epochs += 1;
        }
        if state.cooldown_counter > 0 {
            state.cooldown_counter -= 1;
            state.num_bad_epochs = 0;
        }
        let reduces = state.num_bad_epochs > self.patience;
        if reduces {
            state.cooldown_counter = self.cooldown;
            state.num_bad_epochs = 0;
        }
        reduces
    }

    /// The reduced learning rate of a group, by its place among the optimizer's groups.
    pub fn reduced(&self, lr: f64, group: usize) -> f64 {
        let min_lr = match &self.min_lr {
            MinLr::All(min_lr) => *min_lr,
            MinLr::Each(min_lrs) => min_lrs.get(group).copied().unwrap_or(0.0),
        };
        let new = (lr * self.factor).max(min_lr);
        if lr - new > self.eps { new } else { lr }
    }

    /// Which way the metric gets better.
    pub fn metric_mode(&self) -> PlateauMode {
        self.mode
    }

    /// What [`Plateau::reduced`] multiplies a learning rate by: `factor`, 1 if it leaves the rate, or what reaches `min_lr`.
    pub fn factor_from(&self, lr: f64, group: usize) -> f64 {
        match self.reduced(lr, group) {
            new if new == lr => 1.0,
            new if new == lr * self.factor => self.factor,
            new => new / lr,
        }
    }

    fn is_better(&self, metric: f64) -> bool {
        match (self.mode, self.threshold_mode) {
            (PlateauMode::Min, ThresholdMode::Rel) => metric < self.best() * (1.0 - self.threshold),
            (PlateauMode::Min, ThresholdMode::Abs) => metric < self.best() - self.threshold,
            (PlateauMode::Max, ThresholdMode::Rel) => metric > self.best() * (1.0 + self.threshold),
            (PlateauMode::Max, ThresholdMode::Abs) => metric > self.best() + self.threshold,
        }
    }

    fn best(&self) -> f64 {
        self.state.best.unwrap_or(match self.mode {
            PlateauMode::Min => f64::INFINITY,
            PlateauMode::Max => f64::NEG_INFINITY,
        })
    }

    /// What it remembers.
    pub fn state(&self) -> &PlateauState {
        &self.state
    }

    /// Goes on from what it remembered. A best value that is NaN is none: nothing could ever be better than it.
    pub fn set_state(&mut self, state: PlateauState) {
        self.state = PlateauState { best: state.best.filter(|best| !best.is_nan()), ..state };
    }

    /// Whether every setting is in its range.
    pub fn check(&self) -> Result<()> {
        self.check_settings()
    }

    /// As [`Plateau::check`], and whether a list of `min_lr` has as many numbers as the optimizer has groups.
    pub fn check_for(&self, groups: usize) -> Result<()> {
        self.check()?;
        match &self.min_lr {
            MinLr::Each(each) if each.len() != groups => {
                let allowed = format!("one number, or one for each of the {groups} groups");
                require(Self::NAME, "min_lr", format!("{each:?}"), allowed, false)
            }
            _ => Ok(()),
        }
    }

    /// `reduce_on_plateau`.
    pub fn name(&self) -> &'static str {
        Self::NAME
    }
}

impl Configured for Plateau {
    const NAME: &'static str = "reduce_on_plateau";
    const SETTINGS: &'static [Setting<Self>] = &[
        Setting::one_of("mode", &["min", "max"], "Whether less is better, or more"),
        Setting::number("factor", |s| &mut s.factor, ClosedOpen(0.0, 1.0), "What the rate is multiplied by"),
        Setting::whole("patience", |s| Some(s.patience), Count(0), "How many bad epochs are borne"),
        Setting::number("threshold", |s| &mut s.threshold, AtLeast(0.0), "What counts as better"),
        Setting::one_of("threshold_mode", &["rel", "abs"], "Whether the threshold is a share"),
        Setting::whole("cooldown", |s| Some(s.cooldown), Count(0), "How many epochs it rests afterwards"),
        Setting::other("min_lr", "a number, or one for each group", "0", "The lowest rate"),
        Setting::number("eps", |s| &mut s.eps, AtLeast(0.0), "The least change that is made"),
    ];

    fn check_together(&self) -> Result<()> {
        let all = match &self.min_lr {
            MinLr::All(min_lr) => std::slice::from_ref(min_lr),
            MinLr::Each(each) => each,
        };
        all.iter().try_for_each(|min_lr| AtLeast(0.0).check(Self::NAME, "min_lr", *min_lr))
    }
}
