//! How a pass is run again.
use catena_tensor::tch::Tensor;

use crate::driver::Driver;
use crate::error::Error;
use crate::event::Event;
use crate::flow::{Flow, Skip};
use crate::metrics::LoaderMetrics;
use crate::repetition::Repetition;

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
