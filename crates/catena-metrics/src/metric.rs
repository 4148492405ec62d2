//! What every metric is: fed with batches, merged with others of its kind, asked for its value.
use std::fmt::Debug;

use catena_tensor::state::State;
use catena_tensor::tch::Tensor;
use catena_tensor::{Error, Result};
use serde_json::Value;

use crate::memory::Memory;

/// A number (or several) over all that was seen, however it was split into batches and ranks.
///
/// Write [`Metric::update`] and [`Metric::compute`], and put all that is kept between them into a [`Memory`]: merging, saving
/// and restoring follow from it. `update` does not wait for the device: what is wrong with a value (a label out of range) is
/// noted on the device and becomes an error in `compute`.
///
/// ```
/// use catena_metrics::{Computed, Memory, Metric, Seen};
/// use catena_tensor::{Result, tch::{Kind, Tensor}};
///
/// /// The share of values above 0.
/// #[derive(Debug, Default)]
/// struct Positive(Memory);
///
/// impl Metric for Positive {
///     fn name(&self) -> &str {
///         "positive"
///     }
///     fn memory(&self) -> &Memory {
///         &self.0
///     }
///     fn memory_mut(&mut self) -> &mut Memory {
///         &mut self.0
///     }
///     fn update(&mut self, seen: &Seen) -> Result<()> {
///         let above = seen.input.f_gt(0)?.f_to_kind(Kind::Double)?;
///         self.0.add("above", above.f_sum(Kind::Double)?)?;
///         self.0.add("all", above.f_ones_like()?.f_sum(Kind::Double)?)
///     }
///     fn compute(&self) -> Result<Computed> {
///         Ok(Computed::Number(self.0.number("above")? / self.0.number("all")?))
///     }
/// }
///
/// let mut positive = Positive::default();
/// positive.update(&Seen::new(&Tensor::from_slice(&[1.0, -1.0, 2.0])))?;
/// positive.update(&Seen::new(&Tensor::from_slice(&[-3.0])))?;
/// assert_eq!(positive.compute()?.number(), Some(0.5));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
pub trait Metric: Debug {
    /// What it is called where it is logged.
    fn name(&self) -> &str;

    /// What it keeps.
    fn memory(&self) -> &Memory;

    /// What it keeps, to be changed.
    fn memory_mut(&mut self) -> &mut Memory;

    /// Takes a batch in, without waiting for the device.
    fn update(&mut self, seen: &Seen) -> Result<()>;

    /// The value over all that was seen. Waits for the device.
    fn compute(&self) -> Result<Computed>;

    /// What [`from_value`](super::from_value) reads; null for a metric that lives in code only.
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

    /// What must be kept to go on later: JSON and named tensors, exact.
    fn state(&self) -> State {
        self.memory().state()
    }

    /// Takes back what [`Metric::state`] gave, in place of what was seen.
    fn load_state(&mut self, state: State) -> Result<()> {
        *self.memory_mut() = Memory::from_state(state)?;
        Ok(())
    }

    /// Takes in what another metric of the same settings has seen (its [`Metric::state`]), as if it were seen here.
    fn merge(&mut self, other: State) -> Result<()> {
        self.memory_mut().merge(Memory::from_state(other)?)
    }

    /// Forgets all that was seen.
    fn reset(&mut self) {
        self.memory_mut().clear();
    }
}

fn _is_object_safe(_: &dyn Metric) {}

impl<M: Metric + ?Sized> Metric for Box<M> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn memory(&self) -> &Memory {
        (**self).memory()
    }
    fn memory_mut(&mut self) -> &mut Memory {
        (**self).memory_mut()
    }
    fn update(&mut self, seen: &Seen) -> Result<()> {
        (**self).update(seen)
    }
    fn compute(&self) -> Result<Computed> {
        (**self).compute()
    }
    fn settings(&self) -> Value {
        (**self).settings()
    }
    fn check(&self) -> Result<()> {
        (**self).check()
    }
    fn parts(&self) -> Option<Vec<String>> {
        (**self).parts()
    }
    fn state(&self) -> State {
        (**self).state()
    }
    fn load_state(&mut self, state: State) -> Result<()> {
        (**self).load_state(state)
    }
    fn merge(&mut self, other: State) -> Result<()> {
        (**self).merge(other)
    }
    fn reset(&mut self) {
        (**self).reset();
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
