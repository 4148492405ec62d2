//! The one trait that everything in a chain implements.
use catena_record::logs::Marks;

use crate::about::About;
use crate::context::Context;
use crate::error::Result;
use crate::event::Event;
use crate::flow::Flow;
use crate::work::{Edge, Work};
use catena_tensor::state::State;

/// Takes part in a run: hears events, works on the [`Context`], answers with a [`Flow`].
///
/// Only [`Callback::state`] must be written; write the hooks you need. Each hook's error ends the run, after everybody has
/// heard `exception`. What is set when, and what the answers mean: [`Event`] and [`Flow`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a callback",
    note = "a closure becomes one with `on(Event::BatchEnd, |cx| …)`"
)]
pub trait Callback {
    /// What must survive a resume, or [`State::none`].
    fn state(&self) -> State;

    /// Takes back what [`Callback::state`] gave.
    fn load_state(&mut self, state: State) -> Result<()> {
        if state.is_none() {
            return Ok(());
        }
        let name = self.about().name;
        Err(format!("{name} was saved with state, but has no load_state to take it back").into())
    }

    /// What it is: its name, phase, events, effect, metrics, settings. By default the type's name and nothing else, which means that
    /// it hears everything and acts. Asked once, when the chain is built.
    fn about(&self) -> About {
        About::of::<Self>()
    }

    /// A piece of work begins or ends, such as another callback's hook. For who measures: it has no answer, and a panic in it is
    /// logged and ends no run.
    fn on_work(&mut self, work: Work<'_>, edge: Edge, cx: &Context) {
        let _ = (work, edge, cx);
    }

    /// Whether its settings make sense; asked at `build()`.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Which logs it needs to go on from a state: those of the state, unless it says that it does without some.
    fn needed_logs(&self, state: &State) -> Marks {
        state.logs.clone()
    }

    /// Writes out what it holds back, such as lines of a log: asked before a snapshot is taken, whose
    /// [`Callback::state`] then names how far the log went, in [`State::logs`].
    fn flush(&mut self, cx: &mut Context) -> Result<()> {
        let _ = cx;
        Ok(())
    }

    /// The run goes on from a snapshot: the start events of what is open have been heard again, everything is loaded, and nothing can refuse
    /// the resume any more. A callback that writes files begins to write here, and not at a start event with [`Context::resuming`] set: a
    /// resume that is refused leaves the run directory as it was. A callback that derives something from its settings computes it anew here
    /// if [`Context::has_other_settings`] says so.
    fn on_resumed(&mut self, cx: &mut Context) -> Result<()> {
        let _ = cx;
        Ok(())
    }

    /// The run begins.
    fn on_run_start(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.default_hook()
    }
    /// A stage begins: its optimizers are there, frozen parameters are frozen.
    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.default_hook()
    }
    /// An epoch begins.
    fn on_epoch_start(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.default_hook()
    }
    /// A loader begins.
    fn on_loader_start(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.default_hook()
    }
    /// `cx.batch` is there.
    fn on_batch_start(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.default_hook()
    }
    /// `cx.outputs` is set.
    fn on_forward(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.default_hook()
    }
    /// `cx.loss` is set. Train and Eval.
    fn on_loss(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.default_hook()
    }
    /// The gradients of this micro-batch are added. Train only.
    fn on_backward(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.default_hook()
    }
    /// The window closes: the optimizer steps. Train only.
    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.default_hook()
    }
    /// The batch is done; `cx.outcome()` tells what became of its step.
    fn on_batch_end(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.default_hook()
    }
    /// The loader is done; its metrics can be read.
    fn on_loader_end(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.default_hook()
    }
    /// The epoch is done.
    fn on_epoch_end(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.default_hook()
    }
    /// The stage is done.
    fn on_stage_end(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.default_hook()
    }
    /// The run is done.
    fn on_run_end(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.default_hook()
    }
    /// An error is about to end the run: `cx.exception()` has its text. Errors in here are logged and go no further.
    fn on_exception(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.default_hook()
    }

    /// Sends an event to its hook. Wrappers override this alone; who overrides it without wrapping ignores the events that
    /// [`About::hears`] leaves out.
    fn on_event(&mut self, event: Event, cx: &mut Context) -> Result<Flow> {
        cx.default_dispatch();
        match event {
            Event::RunStart => self.on_run_start(cx),
            Event::StageStart => self.on_stage_start(cx),
            Event::EpochStart => self.on_epoch_start(cx),
            Event::LoaderStart => self.on_loader_start(cx),
            Event::BatchStart => self.on_batch_start(cx),
            Event::Forward => self.on_forward(cx),
            Event::Loss => self.on_loss(cx),
            Event::Backward => self.on_backward(cx),
            Event::Step => self.on_step(cx),
            Event::BatchEnd => self.on_batch_end(cx),
            Event::LoaderEnd => self.on_loader_end(cx),
            Event::EpochEnd => self.on_epoch_end(cx),
            Event::StageEnd => self.on_stage_end(cx),
            Event::RunEnd => self.on_run_end(cx),
            Event::Exception => self.on_exception(cx),
        }
    }
}

fn _is_object_safe(_: &dyn Callback) {}

impl<C: Callback + ?Sized> Callback for Box<C> {
    fn state(&self) -> State {
        (**self).state()
    }
    fn load_state(&mut self, state: State) -> Result<()> {
        (**self).load_state(state)
    }
    fn about(&self) -> About {
        (**self).about()
    }
    fn check(&self) -> Result<()> {
        (**self).check()
    }
    fn flush(&mut self, cx: &mut Context) -> Result<()> {
        (**self).flush(cx)
    }
    fn needed_logs(&self, state: &State) -> Marks {
        (**self).needed_logs(state)
    }

    fn on_resumed(&mut self, cx: &mut Context) -> Result<()> {
        (**self).on_resumed(cx)
    }
    fn on_work(&mut self, work: Work<'_>, edge: Edge, cx: &Context) {
        (**self).on_work(work, edge, cx);
    }
    fn on_event(&mut self, event: Event, cx: &mut Context) -> Result<Flow> {
        (**self).on_event(event, cx)
    }
}
