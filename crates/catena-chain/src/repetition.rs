//! A pass that is run again with other values in the model: the same callbacks compute the same loss, elsewhere.
use catena_tensor::tch::Tensor;

use crate::driver::Driver;
use crate::metrics::LoaderMetrics;
use crate::{Context, Error, Event, Flow, Skip};

/// What a callback has asked for, and whether it is running.
#[derive(Debug, Default)]
pub(crate) struct Repetition {
    asked: Option<Vec<(Tensor, Tensor)>>,
    is_running: bool,
}

impl Repetition {
    pub(crate) fn is_running(&self) -> bool {
        self.is_running
    }
}

impl Context {
    /// In `backward`, asks for the pass once more with these values in these tensors: when everybody has heard `backward`, those that act
    /// hear `forward`, `loss` and `backward` again, so the loss is computed by the whole chain, penalties and all. Then the tensors have
    /// their own values again.
    ///
    /// Gradients add up: set [`Context::loss_scale`] to 0 to have those of the second time alone. What is logged meanwhile counts nothing,
    /// the batch counts in its window once, and `outputs` and `loss` are those of the first time again afterwards. A dropout draws anew.
    ///
    /// ```
    /// use catena_chain::{Callback, Event, Flow, on, testing};
    ///
    /// let again = on(Event::Backward, |cx| {
    ///     if !cx.is_repeated() {
    ///         cx.repeat_with([]);
    ///     }
    ///     Ok(Flow::GO)
    /// });
    /// let (told, heard) = std::sync::mpsc::channel();
    /// let counts = on(Event::Loss, move |cx| {
    ///     told.send(cx.is_repeated())?;
    ///     Ok(Flow::GO)
    /// });
    /// let mut driver = testing::driver(vec![Box::new(again), Box::new(counts.named("counts"))])?;
    /// for event in [Event::Forward, Event::Loss, Event::Backward] {
    ///     driver.fire(event)?;
    /// }
    /// drop(driver);
    /// assert_eq!(heard.iter().collect::<Vec<bool>>(), [false, true]);
    /// # Ok::<(), catena_chain::BoxError>(())
    /// ```
    pub fn repeat_with(&mut self, values: impl IntoIterator<Item = (Tensor, Tensor)>) {
        self.repetition.asked.get_or_insert_default().extend(values);
    }

    /// Whether the pass is being run again because of [`Context::repeat_with`].
    pub fn is_repeated(&self) -> bool {
        self.repetition.is_running
    }
}

impl Driver {
    /// Runs the pass again if somebody has asked for it.
    pub(crate) fn repeat(&mut self, flow: Flow) -> Result<Flow, Error> {
        let Some(values) = self.cx.repetition.asked.take() else { return Ok(flow) };
        if flow.skip > Skip::None || self.cx.repetition.is_running {
            return Ok(flow);
        }
        let cx = &mut self.cx;
        let first = (std::mem::take(&mut cx.outputs), cx.loss.take(), cx.loss_scale, cx.grad_norm.take());
        let metrics: LoaderMetrics = std::mem::take(&mut cx.metrics.current);
        cx.window = self.window_before;
        cx.loss_scale = 1.0;
        cx.repetition.is_running = true;
        let repeated = self.with_values(values, |driver| {
            for event in [Event::Forward, Event::Loss, Event::Backward] {
                if driver.fire_once(event)?.skip > Skip::None {
                    break;
                }
            }
            Ok(())
        });
        let cx = &mut self.cx;
        cx.repetition = Repetition::default();
        (cx.outputs, cx.loss, cx.loss_scale, cx.grad_norm) = first;
        cx.metrics.current = metrics;
        repeated.map(|()| self.cx.flow)
    }

    fn with_values(
        &mut self,
        values: Vec<(Tensor, Tensor)>,
        call: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (id, put_in) = self.cx.begin_values(values);
        let called = put_in.map_err(Error::PutBack).and_then(|()| call(self));
        called.and(self.cx.end_values(id).map_err(Error::PutBack))
    }
}
