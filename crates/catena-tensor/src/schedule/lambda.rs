//! Factors from a closure.
use std::fmt;

use super::Schedule;

/// `base_lr` times what a closure gives for the counter. Source: `torch.optim.lr_scheduler.LambdaLR`.
///
/// It lives in code only: a closure can't be read from a file or written to one.
///
/// ```
/// use catena_tensor::schedule::{Lambda, Schedule};
///
/// let schedule = Lambda::new(|step| 1.0 / (step + 1) as f64);
/// assert_eq!([0, 1, 3].map(|step| schedule.lr(1.0, step)), [1.0, 0.5, 0.25]);
/// ```
pub struct Lambda {
    lr_lambda: Box<dyn Fn(u64) -> f64 + Send + Sync>,
}

impl Lambda {
    /// The closure gives the factor at a counter, and must give the same one whenever it is asked.
    pub fn new(lr_lambda: impl Fn(u64) -> f64 + Send + Sync + 'static) -> Self {
        Self { lr_lambda: Box::new(lr_lambda) }
    }
}

impl fmt::Debug for Lambda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lambda(a closure)")
    }
}

impl Schedule for Lambda {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        base_lr * (self.lr_lambda)(counter)
    }

    fn name(&self) -> &'static str {
        "lambda"
    }
}
