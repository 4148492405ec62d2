//! What every metric is: a rule that takes batches into a memory, and makes a value of it.
use std::fmt::Debug;

use catena_tensor::tch::Tensor;
use catena_tensor::{Error, Result};
use serde_json::Value;

use crate::memory::Memory;

/// A rule for a number (or several) over all that was seen, however it was split into batches and ranks.
///
/// A metric keeps nothing itself: [`Metric::update`] puts all that is kept into a [`Memory`], and [`Metric::compute`] makes the value of it. Memories can be
/// merged, saved and restored, so every metric can. Who drives the metric owns the memory: a [`Meter`](crate::meter::Meter) by hand, the callback `Measure` in a
/// chain. `update` does not wait for the device: what is wrong with a value (a label out of range) is noted on the device and becomes an error in `compute`.
///
/// ```
/// use catena_metrics::{Computed, Memory, Meter, Metric, Seen};
/// use catena_tensor::{Result, tch::{Kind, Tensor}};
///
/// /// The share of values above 0.
/// #[derive(Debug)]
/// struct Positive;
///
/// impl Metric for Positive {
///     fn name(&self) -> &str {
///         "positive"
///     }
///     fn update(&self, seen: &Seen, memory: &mut Memory) -> Result<()> {
///         let above = seen.input.f_gt(0)?.f_to_kind(Kind::Double)?;
///         memory.add("above", above.f_sum(Kind::Double)?)?;
///         memory.add("all", above.f_ones_like()?.f_sum(Kind::Double)?)
///     }
///     fn compute(&self, memory: &Memory) -> Result<Computed> {
///         Ok(Computed::Number(memory.number("above")? / memory.number("all")?))
///     }
/// }
///
/// let mut positive = Meter::new(Positive);
/// positive.update(&Seen::new(&Tensor::from_slice(&[1.0, -1.0, 2.0])))?;
/// positive.update(&Seen::new(&Tensor::from_slice(&[-3.0])))?;
/// assert_eq!(positive.compute()?.number(), Some(0.5));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
pub trait Metric: Debug {
    /// The name under which it is logged.
    fn name(&self) -> &str;

    /// Takes a batch into the memory, without waiting for the device.
    fn update(&self, seen: &Seen, memory: &mut Memory) -> Result<()>;

    /// The value over all that the memory has taken in. Waits for the device.
    fn compute(&self, memory: &Memory) -> Result<Computed>;

    /// What [`from_value`](crate::registry::from_value) reads; null for a metric that lives in code only.
    fn settings(&self) -> Value {
        Value::Null
    }

    /// Whether the settings make sense.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The names of the numbers that [`Metric::compute`] gives, below the metric's own (empty for a number alone, none for a
    /// tensor), if they are known before.
    fn parts(&self) -> Option<Vec<String>> {
        Some(vec![String::new()])
    }
}

impl<M: Metric + 'static> From<M> for Box<dyn Metric> {
    fn from(metric: M) -> Self {
        Box::new(metric)
    }
}

/// What a metric sees of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// What the model says: scores, labels, values, token ids.
    pub input: &'a Tensor,
    /// What is true.
    pub target: Option<&'a Tensor>,
    /// What each item counts: of the target's shape, or one number a row. Items of weight 0 may hold anything.
    pub weight: Option<&'a Tensor>,
    /// Which query each item belongs to, for retrieval.
    pub indexes: Option<&'a Tensor>,
}

impl<'a> Seen<'a> {
    /// An input alone.
    pub fn new(input: &'a Tensor) -> Self {
        Self { input, target: None, weight: None, indexes: None }
    }

    /// Adds what is true.
    #[must_use]
    pub fn target(mut self, target: &'a Tensor) -> Self {
        self.target = Some(target);
        self
    }

    /// Adds what each item counts.
    #[must_use]
    pub fn weight(mut self, weight: &'a Tensor) -> Self {
        self.weight = Some(weight);
        self
    }

    /// Adds which query each item belongs to.
    #[must_use]
    pub fn indexes(mut self, indexes: &'a Tensor) -> Self {
        self.indexes = Some(indexes);
        self
    }

    /// The target, or an error that says that there is none.
    pub fn need_target(&self) -> Result<&'a Tensor> {
        let known = || vec!["input".to_owned()];
        self.target.ok_or_else(|| Error::MissingTensor { name: "target".into(), known: known() })
    }
}

/// What a metric gives.
#[derive(Debug)]
pub enum Computed {
    /// A number. NaN where there is none (a mean of nothing).
    Number(f64),
    /// Numbers by name: of each class, `0`, `1`, ….
    Numbers(Vec<(String, f64)>),
    /// A tensor (f64, on the CPU), such as a confusion matrix.
    Tensor(Tensor),
}

impl Computed {
    /// Numbers named 0, 1, ….
    pub fn numbered(numbers: impl IntoIterator<Item = f64>) -> Self {
        Self::Numbers(numbers.into_iter().enumerate().map(|(i, number)| (i.to_string(), number)).collect())
    }

    /// The number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Numbers(_) | Self::Tensor(_) => None,
        }
    }
}
