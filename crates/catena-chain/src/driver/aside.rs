//! How a loader is put aside for an evaluation in its middle.
use crate::aside::Aside;
use crate::driver::Driver;
use crate::flow::Flow;

impl Driver {
    /// Puts the loader's view aside for an evaluation in its middle.
    pub fn put_loader_aside(&mut self) {
        let cx = &mut self.cx;
        cx.on_request = true;
        cx.undo.put_loader_aside();
        self.aside.push(Aside {
            loader: cx.loader.take(),
            batch: std::mem::take(&mut cx.batch),
            outputs: std::mem::take(&mut cx.outputs),
            loss: cx.loss.take(),
            window: cx.window,
            outcome: std::mem::take(&mut cx.outcome),
            flow: std::mem::take(&mut cx.flow),
            cut_short: std::mem::take(&mut cx.cut_short),
            pass: cx.pass,
            steps_before: cx.steps_before,
            metrics: std::mem::take(&mut cx.metrics.current),
            last_weight: cx.last_weight,
        });
    }

    /// Takes it back; a stop of the evaluation beyond its loader is merged in.
    pub fn take_loader_back(&mut self) {
        let Some(aside) = self.aside.pop() else { return };
        let cx = &mut self.cx;
        cx.on_request = !self.aside.is_empty();
        cx.undo.take_loader_back();
        let Aside {
            loader,
            batch,
            outputs,
            loss,
            window,
            outcome,
            flow,
            cut_short,
            pass,
            steps_before,
            metrics,
            last_weight,
        } = aside;
        (cx.loader, cx.batch, cx.outputs, cx.loss) = (loader, batch, outputs, loss);
        (cx.window, cx.outcome, cx.cut_short) = (window, outcome, cut_short);
        (cx.pass, cx.steps_before, cx.metrics.current) = (pass, steps_before, metrics);
        cx.last_weight = last_weight;
        cx.flow = Flow { skip: flow.skip, stop: flow.stop.max(cx.flow.stop) };
    }
}
