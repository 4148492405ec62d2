//! What drives a chain: a runner, or a test. All that changes a [`Context`]'s place and counters is here.
mod aside;
mod averages;
mod gradients;
mod repeating;
mod reset;
mod saved;

use std::time::Duration;

use catena_tensor::batch::Batch;
use catena_tensor::model::Model;
use catena_tensor::panics::caught;
use catena_tensor::params::parameters;

use crate::aside::Aside;
use crate::chain::{Chain, Member};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::flow::{Flow, Outcome, Skip, Stop};
use crate::gradients::Gradients;
use crate::optimizers::Optimizers;
use crate::scope::{LoaderScope, RunSettings, StageScope};
use crate::window::Window;
use crate::work::{Edge, Work};

pub use self::saved::RunProgress;

/// Owns the context and the chain, sends events, and keeps the counters between them.
///
/// ```
/// use catena_chain::{Event, testing};
///
/// let (recorder, record) = testing::Recorder::new();
/// let mut driver = testing::driver(vec![Box::new(recorder)])?;
/// driver.fire(Event::Forward)?;
/// driver.fire(Event::Loss)?;
/// assert_eq!(record.events(), ["forward", "loss"]);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Debug)]
pub struct Driver {
    pub(crate) cx: Context,
    pub(crate) chain: Chain,
    pub(crate) windows: Vec<Window>,
    pub(crate) skip_of_batch: Skip,
    /// The current pass's window, as it was when the pass began.
    pub(crate) window_before: Window,
    pub(crate) gradients: Gradients,
    pub(crate) aside: Vec<Aside>,
    pub(crate) left: Option<(StageScope, u64)>,
}

impl Driver {
    /// A driver outside of any stage.
    pub fn new(
        model: Box<dyn Model>,
        members: Vec<Member>,
        settings: RunSettings,
    ) -> std::result::Result<Self, Error> {
        let (cx, chain) = (Context::new(model, settings), Chain::new(members)?);
        let (windows, window_before, aside, left) = (Vec::new(), Window::default(), Vec::new(), None);
        let gradients = Gradients::default();
        Ok(Self { cx, chain, windows, skip_of_batch: Skip::None, window_before, gradients, aside, left })
    }

    /// The context.
    pub fn context(&self) -> &Context {
        &self.cx
    }

    /// The context, to be changed.
    pub fn context_mut(&mut self) -> &mut Context {
        &mut self.cx
    }

    /// The chain.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Tells everybody who hears the event, and gives the merged answer. An error or a panic stops it at once.
    pub fn fire(&mut self, event: Event) -> std::result::Result<Flow, Error> {
        let flow = self.fire_once(event)?;
        if event == Event::Backward { self.repeat(flow) } else { Ok(flow) }
    }

    pub(crate) fn fire_once(&mut self, event: Event) -> std::result::Result<Flow, Error> {
        let Self { cx, chain, .. } = self;
        cx.metrics.enter_event();
        let mut at = 0;
        cx.undo_at(event).map_err(Error::PutBack)?;
        let heard = caught(|| chain.dispatch(event, cx, &mut at));
        match heard {
            Ok(Ok(())) => Ok(cx.flow),
            Ok(Err(failure)) => Err(match failure.error.downcast::<Error>() {
                Ok(own) => *own,
                Err(source) => {
                    let callback = chain.members()[failure.member].name().to_owned();
                    Error::Callback { callback, event, place: Box::new(cx.place()), source }
                }
            }),
            Err(message) => {
                let callback = chain.members().get(at).map_or("the chain", Member::name).to_owned();
                Err(Error::Panic { callback, event, place: Box::new(cx.place()), message })
            }
        }
    }

    /// Tells those who observe that a piece of work begins or ends: of all but hooks, which [`Driver::fire`] tells of.
    pub fn tell(&mut self, work: Work<'_>, edge: Edge) {
        self.chain.tell(work, edge, &self.cx);
    }

    /// Tells everybody of an error that is about to end the run.
    pub fn fire_exception(&mut self, error: &dyn std::error::Error) {
        self.cx.exception = Some(error.to_string());
        self.chain.tell_exception(&mut self.cx);
        if let Err(error) = self.cx.undo_everything() {
            log::error!("what was to hold for a while could not be undone: {error}");
        }
    }

    /// Enters a stage with its optimizers; its callbacks join in. Those whose state belongs to a stage should begin anew before, by
    /// [`Driver::begin_states`].
    pub fn enter_stage(&mut self, stage: StageScope, optimizers: Optimizers) {
        self.chain.enter(Some(stage.index));
        self.cx.ext.enter_stage();
        self.windows = vec![Window::default(); stage.passes.len().max(1)];
        self.cx.window = Window::default();
        self.cx.optimizers = optimizers;
        self.gradients = Gradients::of_stage(&self.cx, self.windows.len());
        self.cx.stage = Some(stage);
        self.cx.epoch = 0;
    }

    /// Leaves the stage.
    pub fn leave_stage(&mut self) {
        self.chain.enter(None);
        self.cx.ext.leave_stage();
        self.left = self.cx.stage.take().map(|stage| (stage, self.cx.epoch));
        self.cx.epoch = 0;
    }

    /// Goes back into the stage that was left last, for an evaluation after the run's end, and gives its number.
    pub fn return_to_stage(&mut self) -> Option<usize> {
        let (stage, epoch) = self.left.take()?;
        let index = stage.index;
        self.chain.enter(Some(index));
        (self.cx.stage, self.cx.epoch) = (Some(stage), epoch);
        Some(index)
    }

    /// Counts an epoch.
    pub fn enter_epoch(&mut self) {
        self.cx.epoch += 1;
        self.cx.global_epoch += 1;
    }

    /// Enters a loader.
    pub fn enter_loader(&mut self, loader: LoaderScope) {
        self.cx.loader = Some(loader);
        self.cx.cut_short = false;
        self.cx.pass = 0;
    }

    /// Leaves the loader: its metrics have ended.
    pub fn leave_loader(&mut self) -> Result<()> {
        if let Some(loader) = self.cx.loader.take() {
            self.cx.metrics.end_loader(&loader.name, self.cx.now())?;
        }
        self.cx.in_batch = false;
        self.cx.batch = Batch::default();
        self.cx.outputs.clear();
        self.cx.loss = None;
        self.cx.pass = 0;
        Ok(())
    }

    /// Takes a batch in, and counts it if it is a Train batch.
    pub fn enter_batch(&mut self, batch: Batch) {
        let cx = &mut self.cx;
        let samples = batch.samples();
        cx.batch = batch;
        cx.in_batch = true;
        cx.outputs.clear();
        cx.loss = None;
        cx.flow.skip = Skip::None;
        self.skip_of_batch = Skip::None;
        cx.skipped_by = None;
        cx.outcome = Outcome::Accumulating;
        cx.loss_scale = 1.0;
        cx.pass = 0;
        cx.metrics.current.enter_batch();
        let Some(loader) = &mut cx.loader else { return };
        loader.batch += 1;
        loader.samples += samples;
        if loader.mode.is_train() {
            cx.global_batch += 1;
            cx.global_samples += samples;
        }
    }

    /// What `batch_start` said holds for every pass.
    pub fn end_batch_start(&mut self) {
        self.skip_of_batch = self.cx.flow.skip;
    }

    /// Enters a pass: its window is the context's.
    pub fn enter_pass(&mut self, pass: usize) -> Result<()> {
        self.cx.undo_pass()?;
        let cx = &mut self.cx;
        cx.pass = pass;
        cx.flow.skip = self.skip_of_batch;
        cx.outcome = Outcome::Accumulating;
        cx.loss_scale = 1.0;
        cx.grad_norm = None;
        if self.aside.is_empty() {
            cx.window = self.windows.get(pass).copied().unwrap_or_default();
            cx.window.release();
        }
        self.window_before = cx.window;
        cx.steps_before = cx.optimizer().map_or(0, |optimizer| optimizer.steps());
        if self.aside.is_empty() { self.gradients.take_back(cx) } else { Ok(()) }
    }

    /// Enters a pass whose window the loader's end leaves open, to step it: what is logged counts as in the loader's last batch.
    pub fn enter_open_window(&mut self, pass: usize) -> Result<()> {
        self.cx.weight_outside = self.cx.last_weight;
        self.enter_pass(pass)
    }

    /// Leaves the pass: its window stays open. Gradients of parameters that other passes train too are put aside.
    pub fn leave_pass(&mut self) -> Result<()> {
        self.keep_window();
        self.gradients.put_aside(&self.cx)
    }

    fn keep_window(&mut self) {
        if let Some(window) = self.windows.get_mut(self.cx.pass) {
            *window = self.cx.window;
        }
    }

    /// Leaves the pass after its step: the window is new, and the step counts if it was made.
    pub fn close_window(&mut self) {
        let cx = &mut self.cx;
        cx.outcome = cx.outcome().clone();
        if cx.outcome == Outcome::Stepped && cx.pass == 0 {
            cx.global_step += 1;
        }
        cx.window = Window::default();
        self.keep_window();
    }

    /// Leaves the pass because its step was skipped: the window's gradients are gone, and it is new.
    pub fn drop_window(&mut self) -> Result<()> {
        match self.cx.optimizer() {
            Some(optimizer) => optimizer.zero_grad()?,
            // somebody steps with an optimizer of his own
            None => {
                for param in parameters(self.cx.model.var_store()) {
                    catena_tensor::native::tensor::set_grad(&param.tensor, None)?;
                }
            }
        }
        self.cx.outcome = match std::mem::take(&mut self.cx.overflow) {
            true => Outcome::SkippedByScaler,
            false => Outcome::SkippedBy(self.cx.skipped_by.clone().unwrap_or_default()),
        };
        self.cx.window = Window::default();
        self.keep_window();
        Ok(())
    }

    /// The passes whose windows are open.
    pub fn open_windows(&self) -> impl Iterator<Item = usize> + use<> {
        let open: Vec<usize> = (0..self.windows.len()).filter(|&i| self.windows[i].is_open()).collect();
        open.into_iter()
    }

    /// The batch is done: what was skipped is cleared, and so are its tensors, which no later event may depend on.
    pub fn end_batch(&mut self) {
        self.cx.flow.skip = Skip::None;
        self.skip_of_batch = Skip::None;
        if std::mem::take(&mut self.cx.in_batch) {
            self.cx.last_weight = self.cx.batch.weight;
        }
        self.cx.weight_outside = 1.0;
        self.cx.batch = Batch::default();
        self.cx.outputs.clear();
        self.cx.loss = None;
        self.cx.grad_norm = None;
    }

    /// At a safe point, or between the batches of an evaluation: an interruption that was asked for holds from now on.
    pub fn take_interruption(&mut self) {
        if self.cx.interrupted.is_none() {
            self.cx.interrupted = self.cx.interruption.clone();
        }
    }

    /// The stop that has been asked for; an interruption that holds is one of the run.
    pub fn stop(&self) -> Stop {
        if self.cx.interrupted.is_some() { Stop::Run } else { self.cx.flow.stop }
    }

    /// Something has ended: says for its end event whether it was cut short.
    pub fn set_cut_short(&mut self, cut_short: bool) {
        self.cx.cut_short = cut_short;
    }

    /// Something has ended: a stop that named no more than that is done with.
    pub fn clear_stop(&mut self, ended: Stop) {
        if self.cx.flow.stop <= ended {
            self.cx.flow.stop = Stop::None;
        }
    }

    /// The evaluations that were asked for since the last safe point.
    pub fn take_evaluations(&mut self) -> Vec<String> {
        std::mem::take(&mut self.cx.evaluations)
    }

    /// Asks again for evaluations that were not run, in their order.
    pub fn put_back_evaluations(&mut self, evaluations: Vec<String>) {
        self.cx.evaluations = evaluations;
    }

    /// Why snapshots were asked for since the last safe point.
    pub fn take_snapshots(&mut self) -> Vec<String> {
        std::mem::take(&mut self.cx.snapshots)
    }

    /// Tells what a snapshot took of the training thread's time.
    pub fn set_snapshot_cost(&mut self, cost: Duration) {
        self.cx.snapshot_cost = Some(cost);
    }

    /// Whether start events are fired again because the run goes on from a snapshot.
    pub fn set_resuming(&mut self, resuming: bool) {
        self.cx.resuming = resuming;
    }
}
