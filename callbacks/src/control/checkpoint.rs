//! When snapshots are taken, and which are kept.
use catena_chain::{
    About, Callback, Context, Event, Every, Flow, Phase, Result, Role, State, Trigger, Watch,
};
use catena_record::float;
use catena_record::retention::{Goal, KeepBest, Retention};
use catena_tensor::schedule::PlateauMode;
use serde_json::{Value, json};

use super::never_due;

/// Asks for snapshots, and says which are kept. Only the runner takes them, at the safe point after everybody has heard the end event.
///
/// Defaults: at each epoch's end and at the run's end; the last 2 are kept. With [`Checkpoint::keep_best`] each measurement that is a new best asks for a
/// snapshot too, wherever it is made ([`Validate`](crate::Validate) measures in the middle of epochs). Snapshots are written in the background: the run
/// waits for one copy of the tensors, and at a safe point that wants a snapshot while one is being written. It belongs to the run: given to a
/// stage it is an error when that begins. On resume: when each trigger was due last, and the best so far.
///
/// ```
/// use catena_callbacks::Checkpoint;
/// use catena_chain::{Event, Every, testing};
/// use catena_tensor::schedule::PlateauMode;
///
/// let checkpoint = Checkpoint::new()
///     .every(Every::Batches(2))
///     .every(Every::Epochs(1))
///     .keep_last(3)
///     .keep_best(2, "valid/loss", PlateauMode::Min);
/// let mut driver = testing::driver(vec![Box::new(checkpoint)])?; // at batch 1
/// driver.fire(Event::BatchEnd)?;
/// assert!(driver.take_snapshots().is_empty());
/// driver.enter_batch(testing::tiny_batch(6));
/// driver.fire(Event::BatchEnd)?;
/// assert_eq!(driver.take_snapshots(), ["2 batches"]);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Debug)]
pub struct Checkpoint {
    triggers: Vec<Trigger>,
    at_end: bool,
    policy: SnapshotPolicy,
    of_run: bool,
    /// The best measurement so far by what is kept by it, and which measurements were looked at.
    best: Option<f64>,
    watch: Watch,
}

/// How snapshots are taken and kept: what [`Checkpoint`] leaves in the context's extensions for the runner.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotPolicy {
    /// Which are kept.
    pub retention: Retention,
    /// Whether they are written in the background (default), or the run waits.
    pub background: bool,
    /// Whether an error inside a batch leaves what was there in `crash/` (default).
    pub crash: bool,
}

impl Default for SnapshotPolicy {
    fn default() -> Self {
        Self { retention: Retention::default(), background: true, crash: true }
    }
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self {
            triggers: Vec::new(),
            at_end: true,
            policy: SnapshotPolicy::default(),
            of_run: false,
            best: None,
            watch: Watch::default(),
        }
    }
}

impl Checkpoint {
    /// At each epoch's end, and at the run's.
    pub fn new() -> Self {
        Self::default()
    }

    /// So often; several may be given. Without any it is each epoch's end.
    #[must_use]
    pub fn every(mut self, every: Every) -> Self {
        self.triggers.push(Trigger::new(every));
        self
    }

    /// Whether the run's end is saved (default true).
    #[must_use]
    pub fn at_end(mut self, at_end: bool) -> Self {
        self.at_end = at_end;
        self
    }

    /// How many of the newest are kept (default 2). Those that are taken at one batch, such as at the last epoch's end and at the run's, have the same
    /// parameters: of these the newest stands for all. One after a stop does not stand for one before it, which `allow("stop")` needs.
    #[must_use]
    pub fn keep_last(mut self, n: usize) -> Self {
        self.policy.retention.keep_last = n;
        self
    }

    /// Keeps the best `k` by a metric too. A snapshot counts if the metric was measured of just its parameters; of two equal ones
    /// the older is better, and NaN is never among the best.
    #[must_use]
    pub fn keep_best(mut self, k: usize, metric: impl Into<String>, mode: PlateauMode) -> Self {
        self.policy.retention.best = Some(KeepBest { k, metric: metric.into(), goal: goal(mode) });
        self
    }

    /// Keeps every `m`-th for ever.
    #[must_use]
    pub fn keep_every(mut self, m: u64) -> Self {
        self.policy.retention.every = Some(m);
        self
    }

    /// Lets the run wait until each snapshot is durable.
    #[must_use]
    pub fn synchronous(mut self) -> Self {
        self.policy.background = false;
        self
    }

    /// How many of the newest folders in `crash/` stay, which errors leave (default 3).
    #[must_use]
    pub fn keep_crashes(mut self, n: usize) -> Self {
        self.policy.retention.crashes = n;
        self
    }

    /// How many of the newest folders in `checkpoints/superseded` stay: going on from an older snapshot moves the newer ones there, each time into a
    /// folder of its own (default 8).
    #[must_use]
    pub fn keep_superseded(mut self, n: usize) -> Self {
        self.policy.retention.superseded = n;
        self
    }

    /// Whether an error inside a batch leaves what was there in `crash/` (default true). It is never gone on from.
    #[must_use]
    pub fn crash(mut self, crash: bool) -> Self {
        self.policy.crash = crash;
        self
    }

    /// How often, in words.
    fn texts(&self) -> Vec<String> {
        match self.triggers.is_empty() {
            true => vec![Every::Epochs(1).to_string()],
            false => self.triggers.iter().map(|trigger| trigger.every().to_string()).collect(),
        }
    }

    /// A measurement that is better than all before asks for a snapshot of what was measured.
    fn ask_for_best(&mut self, cx: &mut Context) -> Result<()> {
        let Some(KeepBest { metric, goal, .. }) = &self.policy.retention.best else { return Ok(()) };
        // which loaders have the metric is the stages' business
        let Some(value) = self.watch.measured(metric, cx).unwrap_or_default().filter(|value| !value.is_nan())
        else {
            return Ok(());
        };
        let is_better = |best: f64| if *goal == Goal::Min { value < best } else { value > best };
        if self.best.is_none_or(is_better) {
            self.best = Some(value);
            cx.request_snapshot(format!("the best {metric} so far"));
        }
        Ok(())
    }

    fn ask(&mut self, cx: &mut Context, by_epoch: bool) -> Result<Flow> {
        for trigger in &mut self.triggers {
            if matches!(trigger.every(), Every::Epochs(_)) == by_epoch && trigger.due(cx) {
                cx.request_snapshot(trigger.every().to_string());
            }
        }
        Ok(Flow::GO)
    }
}

/// The same direction, as the run on disk has it.
pub fn goal(mode: PlateauMode) -> Goal {
    match mode {
        PlateauMode::Min => Goal::Min,
        PlateauMode::Max => Goal::Max,
    }
}

impl Callback for Checkpoint {
    fn about(&self) -> About {
        let SnapshotPolicy { retention, background, crash } = &self.policy;
        let (every, at_end) = (self.texts(), self.at_end);
        let how = if *background { "" } else { ", synchronous" };
        let note = format!("every {}; keeps {retention}{how}", every.join(" and "));
        let settings = json!({ "every": every, "at_end": at_end, "keep": retention, "background": background, "crash": crash });
        use Event::{BatchEnd, EpochEnd, LoaderEnd, RunEnd, RunStart, StageStart};
        About::new::<Self>(Phase::Decide, [RunStart, StageStart, BatchEnd, LoaderEnd, EpochEnd, RunEnd])
            .looks()
            .role(Role::Checkpoint)
            .logs_nothing()
            .watches(retention.best.iter().map(|best| best.metric.clone()))
            .settings(&settings)
            .note(note)
    }

    fn state(&self) -> State {
        let Self { triggers, at_end: _, policy, of_run: _, best, watch } = self;
        let seen = triggers.iter().map(|trigger| (trigger.every().to_string(), trigger.state().json));
        let mut seen: serde_json::Map<String, Value> = seen.collect();
        if policy.retention.best.is_some() {
            seen.insert("best".into(), json!({ "value": best.map(float::value), "watch": watch }));
        }
        State::json(seen.into())
    }

    fn load_state(&mut self, state: State) -> Result<()> {
        for trigger in &mut self.triggers {
            // one that is new looks at the counter for the first time
            if let Some(seen) = state.json.get(trigger.every().to_string()) {
                trigger.load_state(&State::json(seen.clone()))?;
            }
        }
        if let Some(best) = state.json.get("best") {
            self.watch = State::json(best["watch"].clone()).read()?;
            self.best = State::json(best["value"].clone()).read()?;
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        self.triggers.iter().try_for_each(|trigger| trigger.every().check())
    }

    fn on_run_start(&mut self, cx: &mut Context) -> Result<Flow> {
        self.of_run = true;
        if cx.run_dir().is_none() {
            return Err(
                "there is no place for snapshots; give the run a directory with `.run_dir(path)`".into()
            );
        }
        if self.triggers.is_empty() {
            self.triggers.push(Trigger::new(Every::Epochs(1)));
        }
        cx.ext.insert(self.policy.clone());
        Ok(Flow::GO)
    }

    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        if self.of_run {
            if let Some(KeepBest { metric, .. }) = &self.policy.retention.best {
                self.watch.begin(metric, cx);
            }
            let never =
                self.triggers.iter().map(|trigger| never_due::in_stage("Checkpoint", trigger.every(), cx));
            if let Some(texts) = never.collect::<Option<Vec<String>>>() {
                texts.iter().for_each(|text| log::warn!("{text}"));
            }
            return Ok(Flow::GO);
        }
        Err("it says which snapshots of all stages are kept, so it belongs to the run: give it to \
             `Runner::builder(…).callback(…)`, not to a stage"
            .into())
    }

    fn on_batch_end(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.is_train() { self.ask(cx, false) } else { Ok(Flow::GO) }
    }

    fn on_loader_end(&mut self, cx: &mut Context) -> Result<Flow> {
        self.ask_for_best(cx)?;
        // the loader's end may have made a step
        self.on_batch_end(cx)
    }

    fn on_epoch_end(&mut self, cx: &mut Context) -> Result<Flow> {
        self.ask_for_best(cx)?;
        self.ask(cx, true)
    }

    fn on_run_end(&mut self, cx: &mut Context) -> Result<Flow> {
        if self.at_end && cx.interrupted().is_none() {
            cx.request_snapshot("the end");
        }
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use catena_chain::CallbackExt;

    #[test]
    fn its_settings_are_data_however_it_is_wrapped() {
        let checkpoint =
            Checkpoint::new().every(Every::Batches(3)).keep_best(2, "valid/auc", PlateauMode::Max);
        let wrapped = checkpoint.named("mine").in_phase(Phase::User).only("train").every(Every::Batches(1));
        let boxed: Box<dyn Callback> = Box::new(wrapped);
        let best = json!({ "k": 2, "metric": "valid/auc", "goal": "max" });
        let keep = json!({ "keep_last": 2, "best": best, "every": null, "crashes": 3, "superseded": 8 });
        let expected = json!({ "every": ["3 batches"], "at_end": true, "keep": keep, "background": true, "crash": true });
        assert_eq!(boxed.about().settings, expected);
        assert_eq!(Checkpoint::new().about().settings["every"], json!(["1 epoch"]));
    }
}
