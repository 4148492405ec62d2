//! What must survive a resume, besides the tensors: how far the run is, and the callbacks' states.
use catena_record::logs::Marks;
use catena_tensor::panics::caught;
use serde::{Deserialize, Serialize};

use crate::driver::Driver;
use crate::error::{Error, Result};
use crate::flow::{Outcome, Stop};
use crate::metrics::SavedMetrics;
use crate::window::Window;
use catena_tensor::state::State;

/// How far a run is at a safe point: counters, windows, metrics, and stops that have not been reached.
///
/// They are loaded into a driver that stands in the same stage, epoch and loader, by [`Driver::load_progress`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunProgress {
    epoch: u64,
    global_epoch: u64,
    global_batch: u64,
    global_step: u64,
    global_samples: u64,
    loader_batch: u64,
    loader_samples: u64,
    pass: usize,
    steps_before: u64,
    outcome: Outcome,
    window: Window,
    windows: Vec<Window>,
    stop: Stop,
    stopped_by: Option<(String, Option<String>)>,
    skipped_by: Option<String>,
    cut_short: bool,
    /// What the last batch of the loader counted: a window that the loader's end closes logs with it.
    #[serde(with = "catena_record::float")]
    last_weight: f64,
    metrics: SavedMetrics,
}

impl RunProgress {
    /// Train batches of the run.
    pub fn global_batch(&self) -> u64 {
        self.global_batch
    }

    /// How many batches of its loader are done.
    pub fn loader_batch(&self) -> u64 {
        self.loader_batch
    }

    /// The epoch in its stage, from 1.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The stop that was asked for and not reached.
    pub fn stop(&self) -> Stop {
        self.stop
    }

    /// Forgets a stop, so that the run goes on.
    pub fn clear_stop(&mut self) {
        (self.stop, self.stopped_by) = (Stop::None, None);
    }

    /// How many windows there are: one a pass.
    pub fn windows(&self) -> usize {
        self.windows.len()
    }

    /// Whether gradients wait in a window.
    pub fn has_open_window(&self) -> bool {
        self.windows.iter().any(Window::is_open)
    }
}

impl Driver {
    /// How far the run is. Metrics that wait are read.
    pub fn progress(&mut self) -> Result<RunProgress> {
        let metrics = self.cx.metrics.save()?;
        let cx = &self.cx;
        let loader = cx.loader.as_ref();
        Ok(RunProgress {
            epoch: cx.epoch,
            global_epoch: cx.global_epoch,
            global_batch: cx.global_batch,
            global_step: cx.global_step,
            global_samples: cx.global_samples,
            loader_batch: loader.map_or(0, |loader| loader.batch),
            loader_samples: loader.map_or(0, |loader| loader.samples),
            pass: cx.pass,
            steps_before: cx.steps_before,
            outcome: cx.outcome.clone(),
            window: cx.window,
            windows: self.windows.clone(),
            stop: cx.flow.stop,
            stopped_by: cx.stopped_by.clone(),
            skipped_by: cx.skipped_by.clone(),
            cut_short: cx.cut_short,
            last_weight: cx.last_weight,
            metrics,
        })
    }

    /// Takes it back, in the stage, epoch and loader they were kept in.
    pub fn load_progress(&mut self, progress: RunProgress) {
        let RunProgress {
            epoch,
            global_epoch,
            global_batch,
            global_step,
            global_samples,
            loader_batch,
            loader_samples,
            pass,
            steps_before,
            outcome,
            window,
            windows,
            stop,
            stopped_by,
            skipped_by,
            cut_short,
            last_weight,
            metrics,
        } = progress;
        self.windows = windows;
        let cx = &mut self.cx;
        (cx.epoch, cx.global_epoch) = (epoch, global_epoch);
        (cx.global_batch, cx.global_step, cx.global_samples) = (global_batch, global_step, global_samples);
        if let Some(loader) = &mut cx.loader {
            (loader.batch, loader.samples) = (loader_batch, loader_samples);
        }
        (cx.pass, cx.steps_before, cx.outcome, cx.window) = (pass, steps_before, outcome, window);
        (cx.flow.stop, cx.stopped_by) = (stop, stopped_by);
        (cx.skipped_by, cx.cut_short) = (skipped_by, cut_short);
        cx.last_weight = last_weight;
        cx.metrics.load(metrics);
    }

    /// Lets every callback write out what it holds back.
    pub fn flush(&mut self) -> std::result::Result<(), Error> {
        let Self { cx, chain, .. } = self;
        for member in chain.members_mut() {
            let name = member.name().to_owned();
            guarded(&name, "flush", || member.callback_mut().flush(cx))?;
        }
        Ok(())
    }

    /// Tells every callback that takes part here that the run goes on, with other settings than before or with the same.
    pub fn tell_resumed(&mut self, other_settings: bool) -> std::result::Result<(), Error> {
        let Self { cx, chain, .. } = self;
        cx.other_settings = other_settings;
        let stage = cx.stage.as_ref().map(|stage| stage.index);
        let here = chain
            .members_mut()
            .iter_mut()
            .filter(|member| member.stage().is_none_or(|own| Some(own) == stage));
        for member in here {
            let name = member.name().to_owned();
            guarded(&name, "on_resumed", || member.callback_mut().on_resumed(cx))?;
        }
        cx.other_settings = false;
        Ok(())
    }

    /// The logs that the callback of this key needs to go on from a state; none if there is no such callback.
    pub fn needed_logs(&self, key: &str, state: &State) -> std::result::Result<Marks, Error> {
        match self.chain.members().iter().find(|member| member.key() == key) {
            Some(member) => {
                guarded(member.name(), "needed_logs", || Ok(member.callback().needed_logs(state)))
            }
            None => Ok(Marks::new()),
        }
    }

    /// Every callback's state by its key, in the chain's order; those that keep nothing are left out.
    ///
    /// The key is the name, and for a callback of one stage `<number of the stage>/<name>`.
    pub fn states(&self) -> std::result::Result<Vec<(String, State)>, Error> {
        let mut states = Vec::new();
        for member in self.chain.members() {
            let state = guarded(member.name(), "state", || Ok(member.callback().state()))?;
            if !state.is_none() {
                states.push((member.key(), state));
            }
        }
        Ok(states)
    }

    /// Gives every callback of the stage of this number whose state belongs to a stage the state that it had when the chain was built.
    pub fn begin_states(&mut self, stage: usize) -> std::result::Result<(), Error> {
        for member in self.chain.members_mut().iter_mut().filter(|member| member.hears_in(stage)) {
            if let Some(initial) = member.initial() {
                let name = member.name().to_owned();
                guarded(&name, "load_state", || member.callback_mut().load_state(initial))?;
            }
        }
        Ok(())
    }

    /// Gives a callback its state back. False if the chain has no callback of this key.
    pub fn load_state(&mut self, key: &str, state: State) -> std::result::Result<bool, Error> {
        let Some(member) = self.chain.members_mut().iter_mut().find(|member| member.key() == key) else {
            return Ok(false);
        };
        let name = member.name().to_owned();
        guarded(&name, "load_state", || member.callback_mut().load_state(state))?;
        Ok(true)
    }
}

/// A callback's answer; an error names it, and a panic is one.
fn guarded<T>(
    name: &str,
    what: &'static str,
    call: impl FnOnce() -> Result<T>,
) -> std::result::Result<T, Error> {
    let wrong = |source| Error::Saving { callback: name.to_owned(), what, source };
    match caught(call) {
        Ok(answer) => answer.map_err(wrong),
        Err(message) => Err(wrong(format!("panicked: {message}").into())),
    }
}
