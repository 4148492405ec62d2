//! What callbacks log.
use crate::context::Context;
use crate::error::Result;
use crate::metrics::Now;
use crate::metrics::{Reduce, Value};

impl Context {
    /// Logs a value of the running loader, under the loader's name: in `train`, `log("loss", …)` becomes `train/loss`.
    ///
    /// A mean counts a value by the batch's weight; at a loader's start and end, where there is no batch, it counts 1.
    /// A tensor is detached and kept, and read later, many at once: nothing waits for the device. Outside of loaders the value
    /// is set at once, under its own name; loggers write it as a value of the run at this epoch and step.
    pub fn log(&mut self, name: &str, value: impl Into<Value>, reduce: Reduce) -> Result<()> {
        if self.loader.is_none() {
            return self.metrics.set(name, value.into(), self.now());
        }
        let weight = match reduce {
            Reduce::MeanBy(weight) => weight,
            _ if self.in_batch => self.batch.weight,
            _ => self.weight_outside,
        };
        self.metrics.log(name, value.into(), reduce, weight.into())
    }

    /// As [`Context::log`], for what each pass has of its own: with several passes the pass's name stands after the metric's, as in
    /// `grad_norm/generator`.
    pub fn log_of_pass(&mut self, name: &str, value: impl Into<Value>, reduce: Reduce) -> Result<()> {
        if self.passes() < 2 {
            return self.log(name, value, reduce);
        }
        let name = format!("{name}/{}", self.pass());
        self.log(&name, value, reduce)
    }

    /// Logs a value of the running loader that counts by a weight of its own, which may be on a device too: as
    /// [`Context::log`] with [`Reduce::MeanBy`], for weights that nobody has to wait for. A value of weight 0 may be anything.
    ///
    /// ```
    /// use catena_chain::tensor::tch::Tensor;
    /// use catena_chain::testing;
    ///
    /// let mut driver = testing::driver(vec![])?;
    /// for (share, labels) in [(0.5, 4.0), (f64::NAN, 0.0), (1.0, 1.0)] {
    ///     driver.context_mut().log_mean_by("right", share, Tensor::from(labels))?;
    /// }
    /// driver.leave_loader()?;
    /// assert_eq!(driver.context().metrics.get("train/right"), Some(0.6));
    /// # Ok::<(), catena_chain::BoxError>(())
    /// ```
    pub fn log_mean_by(
        &mut self,
        name: &str,
        value: impl Into<Value>,
        weight: impl Into<Value>,
    ) -> Result<()> {
        if self.loader.is_none() {
            return self.metrics.set(name, value.into(), self.now());
        }
        self.metrics.log(name, value.into(), Reduce::MeanBy(1.0), weight.into())
    }

    pub(crate) fn now(&self) -> Now {
        Now { epoch: self.global_epoch, batch: self.global_batch }
    }
}
