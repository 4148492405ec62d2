//! The loop. Everything that acts on a batch is a callback; here is only what happens when.
mod edges;

use catena_chain::{Driver, Event, Skip, Stop};
use catena_tensor::batch::Batch;
use catena_tensor::model::{Mode, Model};
use catena_tensor::rng::{Exclusive, manual_seed};
use catena_tensor::tch::Tensor;

use self::edges::Quiet;
pub(crate) use self::edges::params_of;
use crate::stage::StageLoader;
use crate::{Error, Report, Result, RunnerBuilder, Stage, Stopped, plan};

/// Runs stages, epochs, loaders and batches, and tells the chain of callbacks.
///
/// ```
/// use catena::chain::testing;
/// use catena::prelude::*;
///
/// let stage = Stage::new("train")
///     .epochs(3)
///     .train(testing::tiny_loader(12, 4))
///     .loss(CrossEntropy::new())
///     .optimizer(Sgd::new(0.1));
/// let mut runner = Runner::builder(testing::tiny_model()).stage(stage).callback(Console::new()).build()?;
/// println!("{}", runner.plan());
/// let report = runner.run()?;
/// assert_eq!((report.epochs, report.batches, report.steps), (3, 9, 9));
/// # Ok::<(), catena::Error>(())
/// ```
#[derive(Debug)]
pub struct Runner {
    driver: Driver,
    stages: Vec<Stage>,
    has_run: bool,
    frozen: Vec<Tensor>,
}

impl Runner {
    /// Describes a runner of this model; batches go to the device of its variables.
    pub fn builder(model: impl Model + 'static) -> RunnerBuilder {
        RunnerBuilder::new(Box::new(model))
    }

    pub(crate) fn new(driver: Driver, stages: Vec<Stage>) -> Self {
        Self { driver, stages, has_run: false, frozen: Vec::new() }
    }

    /// Stages, loaders, passes, and for each event the callbacks that hear it, in order.
    pub fn plan(&self) -> String {
        plan::plan(&self.stages, &self.driver)
    }

    /// The model.
    pub fn model(&self) -> &dyn Model {
        self.driver.context().model.as_ref()
    }

    /// The driver: context and chain, as the run left them.
    pub fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Runs every stage. It seeds torch's generators with the run's seed, and holds them (and torch's thread count) until it
    /// ends: a run on another thread meanwhile is an error.
    pub fn run(&mut self) -> Result<Report> {
        let _exclusive = Exclusive::now()?;
        if std::mem::replace(&mut self.has_run, true) {
            return Err(Error::HasRun);
        }
        manual_seed(self.driver.context().seed());
        let stopped = self.run_stages().inspect_err(|error| self.driver.fire_exception(error))?;
        Ok(Report::new(self.driver.context(), stopped))
    }

    fn run_stages(&mut self) -> Result<Option<Stopped>> {
        self.driver.fire(Event::RunStart)?;
        let mut cut_short = false;
        for stage in 0..self.stages.len() {
            cut_short |= self.driver.stop() == Stop::Run;
            if cut_short {
                break;
            }
            cut_short = self.run_stage(stage)? && self.driver.stop() == Stop::Run;
            self.driver.clear_stop(Stop::Stage);
        }
        let stopped = self.driver.stopped_by().filter(|_| cut_short);
        let stopped = stopped.map(|(by, why)| Stopped { by: by.into(), why: why.map(Into::into) });
        self.driver.set_cut_short(cut_short);
        self.driver.fire(Event::RunEnd)?;
        if let Some(stage) = self.driver.return_to_stage() {
            self.cut(stage)?;
            self.driver.leave_stage();
        }
        Ok(stopped)
    }

    fn run_stage(&mut self, stage: usize) -> Result<bool> {
        self.enter_stage(stage)?;
        self.driver.fire(Event::StageStart)?;
        let (mut epochs, mut cut_short) = (0, false);
        while self.driver.stop() < Stop::Stage && epochs < self.stages[stage].epochs {
            cut_short = self.run_epoch(stage)?;
            self.driver.clear_stop(Stop::Epoch);
            epochs += 1;
        }
        cut_short = self.driver.stop() >= Stop::Stage && (cut_short || epochs < self.stages[stage].epochs);
        self.driver.set_cut_short(cut_short);
        self.driver.fire(Event::StageEnd)?;
        self.cut(stage)?;
        self.leave_stage()?;
        Ok(cut_short)
    }

    fn run_epoch(&mut self, stage: usize) -> Result<bool> {
        self.driver.enter_epoch();
        self.driver.fire(Event::EpochStart)?;
        let mut cut_short = false;
        for loader in 0..self.stages[stage].loaders.len() {
            if self.stages[stage].loaders[loader].on_request {
                continue;
            }
            cut_short |= self.driver.stop() >= Stop::Epoch;
            if cut_short {
                break;
            }
            cut_short = self.run_loader(stage, loader)? && self.driver.stop() >= Stop::Epoch;
            self.driver.clear_stop(Stop::Loader);
        }
        self.driver.set_cut_short(cut_short);
        self.driver.fire(Event::EpochEnd)?;
        self.cut(stage)?;
        Ok(cut_short)
    }

    fn run_loader(&mut self, stage: usize, loader: usize) -> Result<bool> {
        let mode = self.stages[stage].loaders[loader].mode;
        let _quiet = (mode != Mode::Train).then(Quiet::new).transpose()?;
        self.enter_loader(stage, loader)?;
        self.driver.fire(Event::LoaderStart)?;
        let mut exhausted = false;
        while self.driver.stop() < Stop::Loader && !exhausted {
            match self.next_batch(stage, loader)? {
                Some(batch) => self.run_batch(batch, mode, stage)?,
                None => exhausted = true,
            }
        }
        if mode == Mode::Train && self.driver.stop() < Stop::Run {
            self.close_open_windows()?;
        }
        let cut_short = !exhausted && !self.driver.context().is_last_batch();
        self.driver.set_cut_short(cut_short);
        self.driver.fire(Event::LoaderEnd)?;
        self.driver.leave_loader().map_err(|source| self.at(source))?;
        Ok(cut_short)
    }

    fn run_batch(&mut self, batch: Batch, mode: Mode, stage: usize) -> Result<()> {
        self.driver.enter_batch(batch);
        self.driver.fire(Event::BatchStart)?;
        self.driver.end_batch_start();
        for pass in 0..self.stages[stage].passes.len() {
            if self.driver.context().flow().skip == Skip::Batch {
                break;
            }
            self.driver.enter_pass(pass);
            self.run_pass(mode)?;
        }
        self.driver.fire(Event::BatchEnd)?;
        self.driver.end_batch();
        if mode == Mode::Train { self.cut(stage) } else { Ok(()) }
    }

    fn run_pass(&mut self, mode: Mode) -> Result<()> {
        let events: &[Event] = match mode {
            Mode::Train => &[Event::Forward, Event::Loss, Event::Backward, Event::Step],
            Mode::Eval => &[Event::Forward, Event::Loss],
            Mode::Infer => &[Event::Forward],
        };
        if mode == Mode::Train && self.driver.context().skips_step() {
            return self.drop_window();
        }
        for &event in events {
            if event == Event::Step && self.driver.context().window.is_held() {
                self.driver.leave_pass();
                return Ok(());
            }
            let has_gradients = matches!(event, Event::Backward | Event::Step);
            match self.driver.fire(event)?.skip {
                Skip::None => {}
                Skip::Step if mode != Mode::Train => {}
                Skip::Batch if !has_gradients => return Ok(()),
                Skip::Step | Skip::Batch => return self.drop_window(),
            }
        }
        if mode == Mode::Train {
            self.driver.close_window();
        }
        Ok(())
    }

    /// Steps the windows that the end of a loader leaves open.
    fn close_open_windows(&mut self) -> Result<()> {
        for pass in self.driver.open_windows() {
            self.driver.enter_pass(pass);
            match self.driver.fire(Event::Step)?.skip {
                Skip::None => self.driver.close_window(),
                Skip::Step | Skip::Batch => self.drop_window()?,
            }
            self.driver.end_batch();
        }
        Ok(())
    }

    /// Everybody has heard the end event: now the evaluations that were asked for.
    fn cut(&mut self, stage: usize) -> Result<()> {
        for name in self.driver.take_evaluations() {
            let is_it = |l: &StageLoader| l.name == name && l.mode == Mode::Eval;
            let Some(loader) = self.stages[stage].loaders.iter().position(is_it) else {
                return Err(self.no_evaluation(name, stage));
            };
            self.driver.put_loader_aside();
            self.run_loader(stage, loader)?;
            self.driver.clear_stop(Stop::Loader);
            self.driver.take_loader_back();
        }
        Ok(())
    }
}
