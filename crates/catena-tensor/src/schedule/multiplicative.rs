//! A product of factors from a closure.
use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::Schedule;

/// `base_lr` times the product of what a closure gives for 1, 2, … and the counter.
/// Source: `torch.optim.lr_scheduler.MultiplicativeLR`.
///
/// It lives in code only: a closure can't be read from a file or written to one. The last product is kept, so that counters
/// that go up cost one call each.
///
/// ```
/// use catena_tensor::schedule::{Multiplicative, Schedule};
///
/// let schedule = Multiplicative::new(|step| if step % 2 == 0 { 0.5 } else { 1.0 });
/// assert_eq!([0, 1, 2, 3, 4].map(|step| schedule.lr(1.0, step)), [1.0, 1.0, 0.5, 0.5, 0.25]);
/// ```
pub struct Multiplicative {
    lr_lambda: Box<dyn Fn(u64) -> f64 + Send + Sync>,
    /// A counter and the product up to it: a shortcut, not state.
    product: Mutex<(u64, f64)>,
}

impl Multiplicative {
    /// The closure gives the factor at a counter (from 1), and must give the same one whenever it is asked.
    pub fn new(lr_lambda: impl Fn(u64) -> f64 + Send + Sync + 'static) -> Self {
        Self { lr_lambda: Box::new(lr_lambda), product: Mutex::new((0, 1.0)) }
    }
}

impl fmt::Debug for Multiplicative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Multiplicative(a closure)")
    }
}

impl Schedule for Multiplicative {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        let mut kept = self.product.lock().unwrap_or_else(PoisonError::into_inner);
        let (from, product) = if kept.0 <= counter { *kept } else { (0, 1.0) };
        let product = (from + 1..=counter).fold(product, |product, at| product * (self.lr_lambda)(at));
        *kept = (counter, product);
        base_lr * product
    }

    fn name(&self) -> &'static str {
        "multiplicative"
    }
}
