//! What callbacks work on.
mod logging;
mod reading;
mod repeating;
mod undoing;

use std::time::Duration;

use catena_tensor::batch::{Batch, Outputs};
use catena_tensor::loss::Loss;
use catena_tensor::model::Model;
use catena_tensor::optim::Optimizer;

use crate::error::Result;
use crate::event::Event;
use crate::extensions::Extensions;
use crate::flow::{Flow, Outcome, Skip};
use crate::metrics::{Metrics, Value};
use crate::optimizers::Optimizers;
use crate::repetition::Repetition;
use crate::scope::{LoaderScope, RunSettings, StageScope};
use crate::undo::Undo;
use crate::window::Window;

/// What callbacks work on: the only argument of a hook.
///
/// What a callback may change are public fields, so that Rust borrows them apart; counters and place are read with methods.
/// A context comes from a runner, or in tests from [`testing::driver`](crate::testing::driver).
pub struct Context {
    /// The model.
    pub model: Box<dyn Model>,
    /// The stage's optimizers by name.
    pub optimizers: Optimizers,
    /// The current batch.
    pub batch: Batch,
    /// What the model returned for it; empty before `forward`.
    pub outputs: Outputs,
    /// The loss of the current pass; none before `loss`.
    pub loss: Option<Loss>,
    /// What the backward pass multiplies the loss by; 1 at each pass's start. It stands beside the loss, so that whoever replaces that keeps it.
    pub loss_scale: f64,
    /// What was measured; log with [`Context::log`].
    pub metrics: Metrics,
    /// The accumulation window of the current pass.
    pub window: Window,
    /// The norm of the step's gradients before clipping, if a callback computed it; none again at the next pass.
    pub grad_norm: Option<Value>,
    /// What callbacks tell each other, by type.
    pub ext: Extensions,

    pub(crate) settings: RunSettings,
    pub(crate) stage: Option<StageScope>,
    pub(crate) epoch: u64,
    pub(crate) global_epoch: u64,
    pub(crate) loader: Option<LoaderScope>,
    pub(crate) pass: usize,
    pub(crate) steps_before: u64,
    pub(crate) outcome: Outcome,
    pub(crate) flow: Flow,
    pub(crate) on_request: bool,
    pub(crate) cut_short: bool,
    pub(crate) global_batch: u64,
    pub(crate) global_step: u64,
    pub(crate) global_samples: u64,
    pub(crate) reason: Option<String>,
    pub(crate) skipped_by: Option<String>,
    pub(crate) overflow: bool,
    pub(crate) stopped_by: Option<(String, Option<String>)>,
    pub(crate) evaluations: Vec<String>,
    pub(crate) snapshots: Vec<String>,
    pub(crate) snapshot_cost: Option<Duration>,
    pub(crate) interruption: Option<String>,
    pub(crate) interrupted: Option<String>,
    pub(crate) resuming: bool,
    pub(crate) checking: bool,
    pub(crate) other_settings: bool,
    pub(crate) exception: Option<String>,
    pub(crate) undo: Undo<Context>,
    pub(crate) repetition: Repetition,
    /// Whether `batch` is one that the loader gave.
    pub(crate) in_batch: bool,
    /// What a mean counts that is logged outside of batches.
    pub(crate) weight_outside: f64,
    /// What the loader's last batch counted.
    pub(crate) last_weight: f64,
    pub(crate) probe: Probe,
}

/// Whether the event just sent met a default: how debug builds find a hook that `about()` leaves out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Probe {
    pub(crate) default_dispatch: bool,
    pub(crate) default_hook: bool,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("place", &self.place())
            .field("global_batch", &self.global_batch)
            .field("global_step", &self.global_step)
            .field("flow", &self.flow)
            .finish_non_exhaustive()
    }
}

impl Context {
    pub(crate) fn new(model: Box<dyn Model>, settings: RunSettings) -> Self {
        Self {
            model,
            optimizers: Optimizers::default(),
            batch: Batch::default(),
            outputs: Outputs::new(),
            loss: None,
            loss_scale: 1.0,
            metrics: Metrics::default(),
            window: Window::default(),
            grad_norm: None,
            ext: Extensions::default(),
            settings,
            stage: None,
            epoch: 0,
            global_epoch: 0,
            loader: None,
            pass: 0,
            steps_before: 0,
            outcome: Outcome::default(),
            flow: Flow::GO,
            on_request: false,
            cut_short: false,
            global_batch: 0,
            global_step: 0,
            global_samples: 0,
            reason: None,
            skipped_by: None,
            overflow: false,
            stopped_by: None,
            evaluations: Vec::new(),
            snapshots: Vec::new(),
            snapshot_cost: None,
            interruption: None,
            interrupted: None,
            resuming: false,
            checking: false,
            other_settings: false,
            exception: None,
            undo: Undo::default(),
            repetition: Repetition::default(),
            in_batch: false,
            weight_outside: 1.0,
            last_weight: 1.0,
            probe: Probe::default(),
        }
    }

    /// The optimizer of the current pass, or an error that says that there is none.
    pub fn optimizer_mut(&mut self) -> Result<&mut Optimizer> {
        let pass = self.stage.as_ref().and_then(|stage| stage.passes.get(self.pass));
        let name = pass.and_then(|pass| pass.optimizer.as_deref());
        name.and_then(|name| self.optimizers.get_mut(name)).ok_or_else(|| "this pass has no optimizer".into())
    }

    /// The optimizer of the current pass, if there is one.
    pub fn optimizer(&self) -> Option<&Optimizer> {
        self.pass_scope()
            .and_then(|pass| pass.optimizer.as_deref())
            .and_then(|name| self.optimizers.get(name))
    }

    /// The name of the current pass's optimizer, if there is one: its key in [`Context::optimizers`].
    pub fn optimizer_name(&self) -> Option<&str> {
        self.pass_scope().and_then(|pass| pass.optimizer.as_deref())
    }

    /// Tells that the parameters were updated. Only who steps something else than an optimizer of [`Context::optimizers`]
    /// needs it: their steps are seen.
    pub fn mark_stepped(&mut self) {
        self.outcome = Outcome::Stepped;
    }

    /// Tells that the gradients are not finite because of the loss scale: a step that is skipped now is
    /// [`Outcome::SkippedByScaler`].
    pub fn mark_overflow(&mut self) {
        self.overflow = true;
    }

    /// Says why: the text stands beside the callback's name if its answer stops something.
    pub fn because(&mut self, reason: impl Into<String>) {
        self.reason = Some(reason.into());
    }

    /// Asks for an evaluation on an Eval loader of the stage, at the safe point after this batch (or epoch, or stage). Asking twice
    /// is asking once.
    pub fn request_evaluation(&mut self, loader: impl Into<String>) {
        let loader = loader.into();
        if !self.evaluations.contains(&loader) {
            self.evaluations.push(loader);
        }
    }

    /// Asks for a snapshot, at the next safe point: after a Train batch, an epoch, a stage or the run, when everybody has heard the
    /// end event. However many ask, one is taken. Without a run directory nothing is.
    pub fn request_snapshot(&mut self, why: impl Into<String>) {
        self.snapshots.push(why.into());
    }

    /// What the last snapshot took of the training thread's time: copying, and waiting for the one before it.
    pub fn snapshot_cost(&self) -> Option<Duration> {
        self.snapshot_cost
    }

    /// Ends the run at the next safe point, in the middle of whatever is going on, and takes a snapshot there: a resumed run goes on
    /// as if nothing had been. A signal does this; a decision of the training is [`Flow::STOP_RUN`].
    ///
    /// An evaluation is left after its batch, and run again from its beginning at resume. End events are fired all the same,
    /// with [`Context::interrupted`] set: what they are told is not the end. A run whose last event has begun just ends.
    pub fn interrupt(&mut self, why: impl Into<String>) {
        self.interruption.get_or_insert(why.into());
    }

    /// Why the run is being left, from the safe point on at which an interruption was found.
    pub fn interrupted(&self) -> Option<&str> {
        self.interrupted.as_deref()
    }

    /// Whether the runner only tries whether everything works: what is sent or written to other places than the run directory, which is a temporary one, is left out.
    pub fn checking(&self) -> bool {
        self.checking
    }

    /// In a start event: whether it is fired again because the run goes on from a snapshot, whose state is loaded after it. The resume may
    /// still be refused: nothing is written before [`Callback::on_resumed`](crate::Callback::on_resumed).
    pub fn resuming(&self) -> bool {
        self.resuming
    }

    /// In [`Callback::on_resumed`](crate::Callback::on_resumed): whether the run goes on with other settings than the snapshot's, which were
    /// allowed.
    pub fn has_other_settings(&self) -> bool {
        self.other_settings
    }

    /// What became of the step of the current (or last) window.
    pub fn outcome(&self) -> &Outcome {
        static STEPPED: Outcome = Outcome::Stepped;
        let has_stepped = || self.optimizer().is_some_and(|optimizer| optimizer.steps() > self.steps_before);
        if self.outcome == Outcome::Accumulating && has_stepped() { &STEPPED } else { &self.outcome }
    }

    /// The answers so far: skips of this batch, and stops that have not been reached.
    pub fn flow(&self) -> Flow {
        self.flow
    }

    /// Who asked for the last stop that counted, and why.
    pub fn stopped_by(&self) -> Option<(&str, Option<&str>)> {
        self.stopped_by.as_ref().map(|(name, why)| (name.as_str(), why.as_deref()))
    }

    /// Whether somebody skips this step (or the whole batch): who acts in `step` must not step then.
    pub fn skips_step(&self) -> bool {
        self.flow.skip >= Skip::Step
    }

    /// At an end event: whether what ends was cut short by a stop.
    pub fn cut_short(&self) -> bool {
        self.cut_short
    }

    /// The learning rate that the last step used (the first group's of the pass's optimizer); before the first step, the one
    /// that it will use.
    pub fn lr(&self) -> Option<f64> {
        self.optimizer().map(|optimizer| optimizer.last_lr().unwrap_or_else(|| optimizer.lr()))
    }

    /// In `exception`: the error's text.
    pub fn exception(&self) -> Option<&str> {
        self.exception.as_deref()
    }

    /// What a hook that isn't written does: nothing.
    pub(crate) fn default_hook(&mut self) -> Result<Flow> {
        self.probe.default_hook = true;
        Ok(Flow::GO)
    }

    pub(crate) fn default_dispatch(&mut self) {
        self.probe.default_dispatch = true;
    }

    /// What a batch or its loss counts is a number of at least 0, where it is made: a mean over batches would hide another one.
    pub(crate) fn check_weight(&self, event: Event) -> Result<()> {
        let (what, weight) = match (event, &self.loss) {
            (Event::BatchStart, _) => ("batch", self.batch.weight),
            (Event::Loss, Some(loss)) => ("loss", loss.weight),
            _ => return Ok(()),
        };
        if weight.is_finite() && weight >= 0.0 {
            return Ok(());
        }
        Err(format!(
            "the {what}'s weight is {weight}, but what a {what} counts must be a number of at least 0"
        )
        .into())
    }

    pub(crate) fn can_still_skip(&self, event: Event) -> bool {
        event != Event::Step || *self.outcome() != Outcome::Stepped
    }
}
