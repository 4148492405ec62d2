//! Several metrics as one.
use std::fmt;

use catena_chain::{About, Callback, Context, Event, Flow, Phase, Reduce, Result, State};

/// A closure that makes one number of several.
pub type CombineNumbers = Box<dyn Fn(&[f64]) -> f64>;

/// How several values become one.
pub enum Combine {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The sum of each times its weight, in their order.
    WeightedSum(Vec<f64>),
    /// That sum divided by the sum of the weights.
    WeightedMean(Vec<f64>),
    /// Whatever a closure makes of them, in their order.
    By(CombineNumbers),
}

impl fmt::Debug for Combine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sum => f.write_str("Sum"),
            Self::Mean => f.write_str("Mean"),
            Self::WeightedSum(weights) => f.debug_tuple("WeightedSum").field(weights).finish(),
            Self::WeightedMean(weights) => f.debug_tuple("WeightedMean").field(weights).finish(),
            Self::By(_) => f.write_str("By(closure)"),
        }
    }
}

impl Combine {
    fn of(&self, values: &[f64]) -> f64 {
        let dot = |weights: &[f64]| weights.iter().zip(values).map(|(w, x)| w * x).sum::<f64>();
        match self {
            Self::Sum => values.iter().sum(),
            Self::Mean => values.iter().sum::<f64>() / values.len() as f64,
            Self::WeightedSum(weights) => dot(weights),
            Self::WeightedMean(weights) => dot(weights) / weights.iter().sum::<f64>(),
            Self::By(closure) => closure(values),
        }
    }

    fn check(&self, values: usize) -> Result<()> {
        match self {
            Self::WeightedSum(weights) | Self::WeightedMean(weights) if weights.len() != values => {
                Err(format!("there are {} weights for {values} values", weights.len()).into())
            }
            _ => Ok(()),
        }
    }
}

/// Logs one value made of others of the same loader, at the loader's end: of their values over the loader, so a closure sees
/// means and not batches.
///
/// Those that are made at `loader_end` too (by [`Measure`](super::Measure)) must stand before it in the chain. A value that is
/// not there is an error that lists those that are; for one loader only, use `.only("valid")`. On resume: nothing to keep.
///
/// ```
/// use catena_callbacks::metrics::{Aggregate, Combine};
/// use catena_chain::{Event, Reduce, testing};
///
/// let both = Aggregate::new("both", ["a", "b"], Combine::WeightedSum(vec![1.0, 0.5]));
/// let mut driver = testing::driver(vec![Box::new(both)])?;
/// driver.context_mut().log("a", 1.0, Reduce::Mean)?;
/// driver.context_mut().log("b", 4.0, Reduce::Mean)?;
/// driver.fire(Event::LoaderEnd)?;
/// driver.leave_loader()?;
/// assert_eq!(driver.context().metrics.get("train/both"), Some(3.0));
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Debug)]
pub struct Aggregate {
    name: String,
    of: Vec<String>,
    combine: Combine,
}

impl Aggregate {
    /// Under this name, of these values. The name is the callback's too.
    pub fn new<S: Into<String>>(
        name: impl Into<String>,
        of: impl IntoIterator<Item = S>,
        combine: Combine,
    ) -> Self {
        Self { name: name.into(), of: of.into_iter().map(Into::into).collect(), combine }
    }
}

impl Callback for Aggregate {
    fn about(&self) -> About {
        About::named(&self.name)
            .phase(Phase::Measure)
            .hears([Event::LoaderEnd])
            .looks()
            .logs([self.name.clone()])
            .note(self.of.join(", "))
    }

    fn state(&self) -> State {
        State::none()
    }

    fn check(&self) -> Result<()> {
        if self.of.is_empty() {
            return Err("it is made of no values".into());
        }
        self.combine.check(self.of.len())
    }

    fn on_loader_end(&mut self, cx: &mut Context) -> Result<Flow> {
        let mut values = Vec::with_capacity(self.of.len());
        for name in &self.of {
            match cx.metrics.so_far(name)? {
                Some(value) => values.push(value),
                None => {
                    let known: Vec<&str> = cx.metrics.all_so_far()?.map(|(name, _)| name).collect();
                    let known = known.join(", ");
                    return Err(format!("`{}` needs `{name}`, but the loader has: {known}", self.name).into());
                }
            }
        }
        cx.log(&self.name, self.combine.of(&values), Reduce::Last)?;
        Ok(Flow::GO)
    }
}
