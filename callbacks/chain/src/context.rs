//! What callbacks work on.
use std::path::Path;
use std::time::Duration;

use catena_tensor::batch::{Batch, Outputs};
use catena_tensor::loss::Loss;
use catena_tensor::model::{Mode, Model};
use catena_tensor::optim::Optimizer;
use catena_tensor::tch::Device;

use crate::metrics::Now;
use crate::put_in::PutIn;
use crate::repetition::Repetition;
use crate::scope::{LoaderScope, PassScope, Settings, StageScope};
use crate::{
    Event, Extensions, Flow, Metrics, Optimizers, Outcome, Place, Reduce, Result, Skip, Value, Window,
};

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

    pub(crate) settings: Settings,
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
    pub(crate) other_settings: bool,
    pub(crate) exception: Option<String>,
    pub(crate) put_in: PutIn,
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
    pub(crate) fn new(model: Box<dyn Model>, settings: Settings) -> Self {
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
            other_settings: false,
            exception: None,
            put_in: PutIn::default(),
            repetition: Repetition::default(),
            in_batch: false,
            weight_outside: 1.0,
            last_weight: 1.0,
            probe: Probe::default(),
        }
    }

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

    /// Asks for an evaluation on an Eval loader of the stage, at the cut after this batch (or epoch, or stage). Asking twice
    /// is asking once.
    pub fn request_evaluation(&mut self, loader: impl Into<String>) {
        let loader = loader.into();
        if !self.evaluations.contains(&loader) {
            self.evaluations.push(loader);
        }
    }

    /// Asks for a snapshot, at the next cut: after a Train batch, an epoch, a stage or the run, when everybody has heard the
    /// end event. However many ask, one is taken. Without a run directory nothing is.
    pub fn request_snapshot(&mut self, why: impl Into<String>) {
        self.snapshots.push(why.into());
    }

    /// What the last snapshot took of the training thread's time: copying, and waiting for the one before it.
    pub fn snapshot_cost(&self) -> Option<Duration> {
        self.snapshot_cost
    }

    /// Ends the run at the next cut, in the middle of whatever is going on, and takes a snapshot there: a resumed run goes on
    /// as if nothing had been. A signal does this; a decision of the training is [`Flow::STOP_RUN`].
    ///
    /// An evaluation is left after its batch, and run again from its beginning at resume. End events are fired all the same,
    /// with [`Context::interrupted`] set: what they are told is not the end. A run whose last event has begun just ends.
    pub fn interrupt(&mut self, why: impl Into<String>) {
        self.interruption.get_or_insert(why.into());
    }

    /// Why the run is being left, from the cut on at which an interruption was found.
    pub fn interrupted(&self) -> Option<&str> {
        self.interrupted.as_deref()
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

    /// The names of the stage's Eval loaders: what [`Context::request_evaluation`] can be asked for.
    pub fn evaluations(&self) -> &[String] {
        self.stage.as_ref().map_or(&[], |stage| &stage.evaluations)
    }

    /// The stage's name; empty outside of stages.
    pub fn stage(&self) -> &str {
        self.stage.as_ref().map_or("", |stage| &stage.name)
    }

    /// The stage's number, from 0.
    pub fn stage_index(&self) -> usize {
        self.stage.as_ref().map_or(0, |stage| stage.index)
    }

    /// The epoch in its stage, from 1; 0 before the first.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How many epochs the stage has.
    pub fn epochs(&self) -> u64 {
        self.stage.as_ref().map_or(0, |stage| stage.epochs)
    }

    /// The epoch in the run, from 1; 0 before the first.
    pub fn global_epoch(&self) -> u64 {
        self.global_epoch
    }

    /// The loader's name; empty outside of loaders.
    pub fn loader(&self) -> &str {
        self.loader.as_ref().map_or("", |loader| &loader.name)
    }

    /// What the loader's batches are for; Infer outside of loaders.
    pub fn mode(&self) -> Mode {
        self.loader.as_ref().map_or(Mode::Infer, |loader| loader.mode)
    }

    /// Whether the loader's mode is Train.
    pub fn is_train(&self) -> bool {
        self.mode() == Mode::Train
    }

    /// Whether the running loader is an evaluation that somebody asked for with [`Context::request_evaluation`]. One in the middle of an
    /// epoch is one, and one at an epoch's or a stage's end.
    pub fn is_on_request(&self) -> bool {
        self.on_request
    }

    /// The batch in its loader's epoch, from 1; 0 before the first.
    pub fn loader_batch(&self) -> u64 {
        self.loader.as_ref().map_or(0, |loader| loader.batch)
    }

    /// How many batches the loader's epoch has, if known.
    pub fn loader_batches(&self) -> Option<u64> {
        self.loader.as_ref().and_then(|loader| loader.batches)
    }

    /// How many samples the loader has given in this epoch, this batch included.
    pub fn loader_samples(&self) -> u64 {
        self.loader.as_ref().map_or(0, |loader| loader.samples)
    }

    /// Whether this is known to be the loader's last batch.
    pub fn is_last_batch(&self) -> bool {
        self.loader.as_ref().is_some_and(|loader| loader.batches == Some(loader.batch))
    }

    /// Train batches of the run, this one included; counts from 1 in the first.
    pub fn global_batch(&self) -> u64 {
        self.global_batch
    }

    /// Steps that the first pass's optimizer has made in the run; counts after the step's event.
    pub fn global_step(&self) -> u64 {
        self.global_step
    }

    /// Train samples of the run, this batch's included.
    pub fn global_samples(&self) -> u64 {
        self.global_samples
    }

    /// The current pass's name; `main` unless the stage says otherwise.
    pub fn pass(&self) -> &str {
        self.pass_scope().map_or("", |pass| &pass.name)
    }

    /// The current pass's number, from 0.
    pub fn pass_index(&self) -> usize {
        self.pass
    }

    /// How many passes a batch has.
    pub fn passes(&self) -> usize {
        self.stage.as_ref().map_or(0, |stage| stage.passes.len())
    }

    fn pass_scope(&self) -> Option<&PassScope> {
        self.stage.as_ref().and_then(|stage| stage.passes.get(self.pass))
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

    /// The device that batches are moved to.
    pub fn device(&self) -> Device {
        self.settings.device
    }

    /// The run's seed.
    pub fn seed(&self) -> u64 {
        self.settings.seed
    }

    /// The run directory, if there is one.
    pub fn run_dir(&self) -> Option<&Path> {
        self.settings.run_dir.as_deref()
    }

    /// In `exception`: the error's text.
    pub fn exception(&self) -> Option<&str> {
        self.exception.as_deref()
    }

    /// Where the run is, for messages.
    pub fn place(&self) -> Place {
        Place {
            stage: self.stage.as_ref().map(|stage| stage.name.clone()),
            epoch: self.epoch,
            loader: self.loader.as_ref().map(|loader| loader.name.clone()),
            batch: self.loader_batch(),
            pass: (self.passes() > 1).then(|| self.pass().to_owned()),
        }
    }

    /// What a hook that isn't written does: nothing.
    #[doc(hidden)]
    pub fn default_hook(&mut self) -> Result<Flow> {
        self.probe.default_hook = true;
        Ok(Flow::GO)
    }

    #[doc(hidden)]
    pub fn default_dispatch(&mut self) {
        self.probe.default_dispatch = true;
    }

    pub(crate) fn can_still_skip(&self, event: Event) -> bool {
        event != Event::Step || *self.outcome() != Outcome::Stepped
    }
}
