//! The loop. Everything that acts on a batch is a callback; here is only what happens when.
mod alone;
mod check;
mod compare;
mod edges;
mod freezing;
pub(crate) mod frozen;
mod loaders;
mod logs;
mod quiet;
mod resume;
mod safe_points;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use catena_chain::drive::Driver;
use catena_chain::{Event, Skip, Stop};
use catena_record::fs::FileSystem;
use catena_tensor::batch::Batch;
use catena_tensor::model::{Mode, Model};
use catena_tensor::native::memory;
use catena_tensor::rng::{Exclusive, manual_seed};
use catena_tensor::tch::Tensor;

use self::alone::Alone;
use self::quiet::Quiet;
use crate::cursor::{Cursor, Open};
use crate::disk::{Description, Disk, SafePoint};
use crate::ended_stage::{EndedStage, Stopped};
use crate::error::RunResult as Result;
use crate::plan;
use crate::report::Report;
use crate::stage::Stage;

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
    at: Cursor,
    frozen: Vec<Tensor>,
    frozen_buffers: frozen::FrozenBuffers,
    /// The parameters at the stage's start, by identity.
    known: HashSet<usize>,
    /// Whether a batch of the stage is still to come that may make the model's parameters.
    looks_for_new: bool,
    /// The run directory and what stands before it, and what is open of it while a run has it.
    place: Option<(PathBuf, Arc<dyn FileSystem>)>,
    disk: Option<Disk>,
    allowed: Vec<String>,
    panic_output: bool,
    keep_memory: u64,
    /// Loaders, by stage and place, of which it was told that they give another number of batches than they say.
    miscounted: HashSet<(usize, usize)>,
    has_run: bool,
    resumed_from: Option<u64>,
    /// What a run before this one was made of, and how many stages it had ended.
    before: Option<(Description, usize)>,
    is_leaving: bool,
}

impl Runner {
    pub(crate) fn new(
        driver: Driver,
        stages: Vec<Stage>,
        place: Option<(PathBuf, Arc<dyn FileSystem>)>,
        allowed: Vec<String>,
        panic_output: bool,
        keep_memory: u64,
    ) -> Self {
        Self {
            driver,
            stages,
            at: Cursor::default(),
            frozen: Vec::new(),
            frozen_buffers: frozen::FrozenBuffers::default(),
            known: HashSet::new(),
            miscounted: HashSet::new(),
            panic_output,
            keep_memory,
            looks_for_new: false,
            place,
            disk: None,
            allowed,
            has_run: false,
            resumed_from: None,
            before: None,
            is_leaving: false,
        }
    }

    /// Stages, loaders, passes, and for each event the callbacks that hear it, in order.
    pub fn plan(&self) -> String {
        plan::plan(&self.stages, &self.driver)
    }

    /// The model.
    pub fn model(&self) -> &dyn Model {
        self.driver.context().model.as_ref()
    }

    /// The model, to let batches go through it: `runner.model_mut().forward(&batch, Mode::Eval)`. It has the weights of the last step; evaluations of a run with an
    /// average saw [`Runner::with_averages`].
    pub fn model_mut(&mut self) -> &mut dyn Model {
        self.driver.context_mut().model.as_mut()
    }

    /// Lets a call see the model whose metrics were reported, after a run with [`Ema`](catena_callbacks::Ema), [`Swa`](catena_callbacks::Swa) or a callback of yours
    /// that puts other values into the model for evaluations ([`Runner::model_mut`] has the weights of the last step). Without such a callback it is the
    /// model as it is. To keep the averages as a file, see [`averaged`](catena_callbacks::averaged).
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
    /// let mut runner = Runner::builder(testing::tiny_model()).stage(stage).callback(Ema::new(0.9)).build()?;
    /// runner.run()?;
    /// let batch = testing::tiny_batch(4);
    /// let last = runner.model_mut().forward(&batch, Mode::Eval)?;
    /// let average = runner.with_averages(|model| model.forward(&batch, Mode::Eval))??;
    /// assert!(!last.get("output")?.equal(average.get("output")?));
    /// # Ok::<(), catena::chain::BoxError>(())
    /// ```
    pub fn with_averages<T>(&mut self, call: impl FnOnce(&mut dyn Model) -> T) -> Result<T> {
        Ok(self.driver.with_averages(call)?)
    }

    /// The driver: context and chain, as the run left them.
    pub fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Runs every stage. It seeds torch's generators with the run's seed, and holds them (and torch's thread count) until it
    /// ends: a run on another thread meanwhile is an error, and so is a run directory that holds snapshots already.
    pub fn run(&mut self) -> Result<Report> {
        let _exclusive = Exclusive::now()?;
        let _alone = Alone::begin(self.panic_output)?;
        self.run_anew()
    }

    /// Opens the run directory, and locks it for as long as the runner lives.
    fn open_disk(&mut self) -> Result<()> {
        if let (None, Some((path, file_system))) = (&self.disk, &self.place) {
            self.disk = Some(Disk::open(path, file_system.clone())?);
        }
        Ok(())
    }

    fn run_anew(&mut self) -> Result<Report> {
        self.claim()?;
        self.open_disk()?;
        self.begin_on_disk()?;
        manual_seed(self.driver.context().seed());
        self.go_on()
    }

    /// From wherever the loop is to the end.
    fn go_on(&mut self) -> Result<Report> {
        let went = self.run_stages().and_then(|()| self.end_on_disk());
        if let Err(error) = &went {
            self.driver.fire_exception(error);
            self.save_crash(error);
            self.fail_on_disk(error);
        }
        self.leave_loaders();
        let left = self.leave_nothing_behind();
        went.and(left).map(|()| Report::new(self.driver.context(), &self.at, self.resumed_from))
    }

    fn run_stages(&mut self) -> Result<()> {
        if self.at.open == Open::Nothing {
            self.driver.fire(Event::RunStart)?;
            self.at.open = Open::Run;
        }
        if self.at.open == Open::Ended {
            return Ok(());
        }
        // what a snapshot has left open is closed, whatever was stopped
        while self.at.open > Open::Run || self.driver.stop() < Stop::Run && self.at.stage < self.stages.len()
        {
            self.run_stage()?;
        }
        // a stop of the last stage has ended the run too
        let is_left = self.at.stage < self.stages.len() || self.at.cut_short;
        self.end(Event::RunEnd, is_left)?;
        self.at.open = Open::Ended;
        if self.driver.return_to_stage().is_some() {
            self.safe_point(SafePoint::Run)?;
            self.driver.leave_stage();
        }
        Ok(())
    }

    fn run_stage(&mut self) -> Result<()> {
        let _kept = memory::keep(self.keep_memory).map_err(catena_tensor::Error::from)?;
        let (stage, epochs) = (self.at.stage, self.stages[self.at.stage].epochs);
        if self.at.open == Open::Run {
            self.enter_stage(stage)?;
            self.start_stage(stage)?;
            self.at.open = Open::Stage;
            self.driver.fire(Event::StageStart)?;
        }
        while self.at.open > Open::Stage || self.driver.stop() < Stop::Stage && self.at.epochs < epochs {
            self.run_epoch()?;
        }
        let is_left = self.at.epochs < epochs || self.at.cut_short;
        let is_stopped = self.driver.stop() >= Stop::Stage && is_left;
        self.end(Event::StageEnd, is_stopped)?;
        self.note_end(is_stopped);
        self.at.next_stage();
        self.safe_point(SafePoint::Stage)?;
        self.leave_stage()
    }

    /// Notes how a stage ended, and tells it if somebody stopped it.
    fn note_end(&mut self, is_stopped: bool) {
        let cx = self.driver.context();
        if cx.interrupted().is_some() {
            return;
        }
        let by = cx.stopped_by().filter(|_| is_stopped);
        let stopped = by.map(|(by, why)| Stopped { by: by.into(), why: why.map(Into::into) });
        let ended =
            EndedStage { stage: cx.stage().to_owned(), epoch: cx.epoch(), epochs: cx.epochs(), stopped };
        if ended.stopped.is_some() {
            log::info!("{ended}");
        }
        self.at.ended.retain(|other| other.stage != ended.stage);
        self.at.ended.push(ended);
    }

    fn run_epoch(&mut self) -> Result<()> {
        if self.at.open == Open::Stage {
            self.driver.enter_epoch();
            self.at.begin_epoch();
            self.driver.fire(Event::EpochStart)?;
        }
        while self.at.open > Open::Epoch || self.driver.stop() < Stop::Epoch && self.has_loader() {
            let before = self.keep_before(self.at.loader)?;
            self.run_loader(self.at.loader)?;
            self.save_if_left(before)?;
            self.driver.clear_stop(Stop::Loader);
            self.at.next_loader();
        }
        let is_left = self.has_loader() || self.at.cut_short;
        self.end(Event::EpochEnd, self.driver.stop() >= Stop::Epoch && is_left)?;
        self.at.next_epoch();
        self.safe_point(SafePoint::Epoch)
    }

    fn run_loader(&mut self, loader: usize) -> Result<()> {
        let mode = self.stages[self.stage_index()].loaders[loader].mode;
        let _quiet = (mode != Mode::Train).then(Quiet::new).transpose()?;
        if mode != Mode::Train || self.at.open < Open::Loader {
            self.enter_loader(loader, 0, None)?;
            self.at.open = self.at.open.max(if mode == Mode::Train { Open::Loader } else { Open::Epoch });
            self.driver.fire(Event::LoaderStart)?;
        }
        let mut exhausted = false;
        while !self.leaves_loader(mode) && !exhausted {
            match self.next_batch(loader)? {
                Some(batch) => self.run_batch(batch, mode)?,
                None => exhausted = true,
            }
        }
        if mode == Mode::Train && self.driver.stop() < Stop::Run {
            self.close_open_windows()?;
        }
        if exhausted {
            self.check_count(loader);
        } else {
            self.leave_early(loader);
        }
        let cut_short = !exhausted && !self.driver.context().is_last_batch();
        self.end(Event::LoaderEnd, cut_short)?;
        self.driver.leave_loader().map_err(|source| self.at(source))
    }

    fn run_batch(&mut self, batch: Batch, mode: Mode) -> Result<()> {
        if mode == Mode::Train {
            self.keep_buffers()?;
        }
        self.driver.enter_batch(batch);
        self.driver.fire(Event::BatchStart)?;
        self.driver.end_batch_start();
        for pass in 0..self.driver.context().passes() {
            if self.driver.context().flow().skip == Skip::Batch {
                break;
            }
            self.driver.enter_pass(pass).map_err(|source| self.at(source))?;
            self.run_pass(mode)?;
        }
        if mode == Mode::Train {
            self.put_buffers_back()?;
        }
        self.driver.fire(Event::BatchEnd)?;
        self.driver.end_batch();
        if self.looks_for_new && mode == Mode::Train {
            self.check_for_new_parameters()?;
        }
        if mode == Mode::Train { self.safe_point(SafePoint::Batch) } else { Ok(()) }
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
                return self.driver.leave_pass().map_err(|source| self.at(source));
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
            self.driver.enter_open_window(pass).map_err(|source| self.at(source))?;
            match self.driver.fire(Event::Step)?.skip {
                Skip::None => self.driver.close_window(),
                Skip::Step | Skip::Batch => self.drop_window()?,
            }
            self.driver.end_batch();
        }
        Ok(())
    }

    /// Something ends, cut short or not.
    fn end(&mut self, event: Event, cut_short: bool) -> Result<()> {
        self.at.cut_short = cut_short;
        self.driver.set_cut_short(cut_short);
        self.driver.fire(event)?;
        Ok(())
    }
}
