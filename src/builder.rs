//! From a description to a runner: everything that can be found wrong before anything runs is found here.
mod chain_checks;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use catena_callbacks::{
    Backward, Criterion, CsvFiles, FiniteModel, Forward, Journal, JsonLines, Loggers, LrSchedule, Optimize,
    Throughput, ToDevice, ZeroGrad,
};
use catena_chain::drive::{Driver, Member, RunSettings};
use catena_chain::{Callback, Event, Role};
use catena_tensor::data::Loader;
use catena_tensor::gemm;
use catena_tensor::model::{Mode, Model};
use catena_tensor::native::memory;
use catena_tensor::params::{check_can_be_saved, check_memory, matching_parameters, parameters, variables};

use catena_record::fs::{FileSystem, Os};

use crate::error::Error;
use crate::error::RunResult as Result;
use crate::runner::Runner;
use crate::stage::Stage;

/// What a [`Runner`] is made from. Made by [`Runner::builder`].
///
/// ```
/// use catena::chain::testing;
/// use catena::prelude::*;
///
/// let stage = || Stage::new("train").train(testing::tiny_loader(40, 4)).loss(CrossEntropy::new());
/// let builder = Runner::builder(testing::tiny_model()).seed(1);
/// assert_eq!(builder.stage(stage().optimizer(Sgd::new(0.1))).build()?.run()?.batches, 10);
///
/// let builder = Runner::builder(testing::tiny_model()).stage(stage());
/// assert_eq!(
///     builder.build().unwrap_err().to_string(),
///     "stage `train`: pass `main` has no optimizer to step with; add one with `.optimizer(…)`",
/// );
/// # Ok::<(), catena::Error>(())
/// ```
pub struct RunnerBuilder {
    model: Box<dyn Model>,
    stages: Vec<Stage>,
    callbacks: Vec<Box<dyn Callback>>,
    seed: u64,
    run_dir: Option<PathBuf>,
    file_system: Arc<dyn FileSystem>,
    allowed: Vec<String>,
    panic_output: bool,
    keep_memory: u64,
}

impl Runner {
    /// Describes a runner of this model; batches go to the device of its variables.
    pub fn builder(model: impl Model + 'static) -> RunnerBuilder {
        RunnerBuilder::new(Box::new(model))
    }
}

impl fmt::Debug for RunnerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunnerBuilder")
            .field("stages", &self.stages)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl RunnerBuilder {
    pub(crate) fn new(model: Box<dyn Model>) -> Self {
        Self {
            model,
            stages: Vec::new(),
            callbacks: Vec::new(),
            seed: 0,
            run_dir: None,
            panic_output: false,
            keep_memory: memory::DEFAULT,
            file_system: Arc::new(Os),
            allowed: Vec::new(),
        }
    }

    /// Adds a stage; they run in this order.
    #[must_use]
    pub fn stage(mut self, stage: Stage) -> Self {
        self.stages.push(stage);
        self
    }

    /// Adds a callback that takes part in every stage.
    #[must_use]
    pub fn callback(mut self, callback: impl Callback + 'static) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// The run's seed (default 0): of the data order, and of torch's generators, which [`Runner::run`] seeds with it. Weights
    /// are drawn before that, when the model is made: seed them yourself, with `catena::tensor::rng::manual_seed`.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The run directory (none by default: nothing is written). It is made if it is missing, and locked from the
    /// run's beginning for as long as the runner lives; a relative path is meant from the program's current folder at [`build`](Self::build). The runner puts in the
    /// journal ([`Journal`]), the metric files ([`Loggers`] with [`JsonLines`] and [`CsvFiles`]) and [`Throughput`], unless callbacks of
    /// these roles are there.
    #[must_use]
    pub fn run_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.run_dir = Some(path.into());
        self
    }

    /// What stands between the run directory and the disk (default: the operating system).
    #[must_use]
    pub fn file_system(mut self, file_system: Arc<dyn FileSystem>) -> Self {
        self.file_system = file_system;
        self
    }

    /// Lets [`Runner::resume`] go on although the run differs in this from the one that was saved: `epochs`, `data`, `optimizer`,
    /// `seed`, a callback's name, … as the refusal names it. `stop` forgets that somebody had stopped the run: it goes on from the newest
    /// snapshot that was not taken after the stop had ended something.
    #[must_use]
    pub fn allow(mut self, difference: impl Into<String>) -> Self {
        self.allowed.push(difference.into());
        self
    }

    /// Whether a panic of a hook, a model or a loader is printed as other panics are (default false). While a run lasts, it becomes an error that says where it was,
    /// and the program's panic hook is told of all other panics only.
    #[must_use]
    pub fn panic_output(mut self, panic_output: bool) -> Self {
        self.panic_output = panic_output;
        self
    }

    /// How many bytes of freed memory of CPU tensors a stage keeps for the next ones, at most (default 1 GiB; 0 keeps nothing). The system gets them back when the stage
    /// ends. No number changes by it; large networks are some percent faster ([`memory`](catena_tensor::native::memory)).
    #[must_use]
    pub fn keep_memory(mut self, at_most: u64) -> Self {
        self.keep_memory = at_most;
        self
    }

    /// The runner, or what is wrong with its description.
    pub fn build(self) -> Result<Runner> {
        let Self { model, mut stages, mut callbacks, seed, run_dir, file_system, allowed, .. } = self;
        if stages.is_empty() {
            return Err(Error::Build("the runner has no stage; add one with `.stage(Stage::new(…))`".into()));
        }
        // a wrong word would be taken for `auto`, and the run would have other bits than were asked for
        gemm::from_environment().map_err(|why| Error::Build(why.to_string()))?;
        // a program that changes its folder later means the directory that it named now
        let run_dir = run_dir.map(absolute).transpose()?;
        if run_dir.is_some() {
            let all = variables(model.var_store());
            check_can_be_saved(all.iter().map(|(name, tensor)| (name.as_str(), tensor)))?;
            put_in_files(&mut callbacks);
        }
        let mut members: Vec<Member> = callbacks.into_iter().map(Member::new).collect();
        for (i, stage) in stages.iter_mut().enumerate() {
            let wrong = |source| Error::Stage { stage: stage.name.clone(), source };
            check(stage).map_err(|text| wrong(text.into()))?;
            check_params(stage, model.as_ref()).map_err(|error| wrong(error.into()))?;
            let acts = stage.acts();
            for callback in stage.callbacks.drain(..) {
                members.push(Member::new(callback).in_stage(i));
            }
            check_losses(stage, &members, i).map_err(|text| wrong(text.into()))?;
            if let Some(schedule) = stage.schedule.take() {
                members.push(Member::new(Box::new(LrSchedule::boxed(schedule))).in_stage(i));
            }
            if acts {
                put_in_acting(&mut members, stage, i);
            }
            check_steps(&members, stage, i)?;
        }
        for (i, stage) in stages.iter().enumerate() {
            if stages[..i].iter().any(|other| other.name == stage.name) {
                return Err(Error::Build(format!(
                    "two stages are named `{}`; give one another name",
                    stage.name
                )));
            }
        }
        for member in &members {
            let settings = |source| Error::Settings { callback: member.name().to_owned(), source };
            member.callback().check().map_err(settings)?;
        }
        chain_checks::check(&members, &stages)?;
        let place = run_dir.clone().map(|path| (path, file_system));
        let settings = RunSettings { seed, device: model.var_store().device(), run_dir };
        let driver = Driver::new(model, members, settings)?;
        Ok(Runner::new(driver, stages, place, allowed, self.panic_output, self.keep_memory))
    }
}

fn absolute(path: PathBuf) -> Result<PathBuf> {
    std::path::absolute(&path).map_err(|error| {
        Error::Build(format!("the run directory `{}` has no absolute path: {error}", path.display()))
    })
}

/// What writes the files of a run directory, unless the user has put in his own.
fn put_in_files(callbacks: &mut Vec<Box<dyn Callback>>) {
    let files = Loggers::new().with(JsonLines::new()).with(CsvFiles::new());
    let own: [Box<dyn Callback>; 3] =
        [Box::new(Journal::new()), Box::new(files), Box::new(Throughput::new())];
    for callback in own {
        let role = callback.about().role;
        if callbacks.iter().all(|other| other.about().role != role) {
            callbacks.push(callback);
        }
    }
}

/// Puts in what acts on a batch, first in its phase, unless a callback of the user's has that role.
fn put_in_acting(members: &mut Vec<Member>, stage: &mut Stage, index: usize) {
    let mut acting: Vec<Box<dyn Callback>> = vec![Box::new(ToDevice), Box::new(Forward)];
    let losses = stage.passes.iter_mut().filter_map(|pass| Some((pass.name.clone(), pass.loss.take()?)));
    let losses: Vec<_> = losses.collect();
    if !losses.is_empty() {
        acting.push(Box::new(Criterion::for_passes(losses)));
    }
    if stage.trains() {
        acting.push(Box::new(Backward));
        acting.push(Box::new(Optimize));
        acting.push(Box::new(ZeroGrad));
        acting.push(Box::new(FiniteModel::new()));
    }
    for callback in acting {
        let member = Member::new(callback).in_stage(index).first_in_phase();
        if !has_role(members, member.about().role, index) {
            members.push(member);
        }
    }
}

fn has_role(members: &[Member], role: Option<Role>, stage: usize) -> bool {
    role.is_some() && members.iter().any(|member| member.about().role == role && member.hears_in(stage))
}

fn check(stage: &Stage) -> std::result::Result<(), String> {
    if stage.epochs == 0 {
        return Err("it has no epochs; give at least 1 with `.epochs(n)`".into());
    }
    if stage.loaders.iter().all(|loader| loader.on_request) {
        return Err("it has no loader; add one with `.train(loader)`, `.valid(loader)` or `.loader(name, mode, loader)`".into());
    }
    for (i, loader) in stage.loaders.iter().enumerate() {
        if stage.loaders[..i].iter().any(|other| other.name == loader.name) {
            return Err(format!(
                "two loaders are named `{}`; give one another name with `.loader(name, …)`",
                loader.name
            ));
        }
        let begins = |end: &str| {
            let start = format!("{}{end}", loader.name);
            stage
                .loaders
                .iter()
                .find(|other| if end == "/" { other.name.starts_with(&start) } else { other.name == start })
        };
        if let Some(other) = begins("/").or_else(|| begins(".batches")) {
            return Err(format!(
                "the loaders `{}` and `{}` could have metrics of one name, for a metric is called `<loader>/<metric>`, and \
                 `<loader>.batches/<metric>` for batches; give one another name with `.loader(name, …)`",
                loader.name, other.name
            ));
        }
        if let Err(wrong) = loader.source.check_settings() {
            return Err(format!("loader `{}`: {wrong}", loader.name));
        }
        if loader.source.batches() == Some(0) {
            return Err(format!("loader `{}` is empty: it has no batch", loader.name));
        }
    }
    for (i, pass) in stage.passes.iter().enumerate() {
        if stage.passes[..i].iter().any(|other| other.name == pass.name) {
            return Err(format!("two passes are named `{}`; give one another name", pass.name));
        }
        if stage.acts() && stage.trains() && pass.optimizer.is_none() {
            return Err(format!(
                "pass `{}` has no optimizer to step with; add one with `.optimizer(…)`",
                pass.name
            ));
        }
    }
    Ok(())
}

/// Each pass of a stage that trains has a loss, unless a callback of the user's sets it.
fn check_losses(stage: &Stage, members: &[Member], index: usize) -> std::result::Result<(), String> {
    if !stage.acts() || !stage.trains() || has_role(members, Some(Role::Criterion), index) {
        return Ok(());
    }
    match stage.passes.iter().find(|pass| pass.loss.is_none()) {
        Some(pass) => Err(format!("pass `{}` has no loss; add one with `.loss(…)`", pass.name)),
        None => Ok(()),
    }
}

fn check_params(stage: &Stage, model: &dyn Model) -> catena_tensor::Result<()> {
    check_memory(variables(model.var_store()).iter().map(|(name, tensor)| (name.as_str(), tensor)))?;
    let params = parameters(model.var_store());
    let all_frozen = stage.all_frozen();
    for pattern in &all_frozen {
        matching_parameters(pattern, &params)?;
    }
    for pass in &stage.passes {
        if let Some(optimizer) = &pass.optimizer {
            let own = crate::runner::frozen::params_of(pass, &all_frozen, model)?;
            if own.is_empty() && !params.is_empty() && !all_frozen.is_empty() {
                return Err(catena_tensor::Error::Variables(format!(
                    "it freezes every parameter of pass `{}`, so that nothing is left to train: {}; freeze less, or leave the optimizer out",
                    pass.name,
                    all_frozen.join(", ")
                )));
            }
            optimizer.check_for(&own)?;
        }
    }
    Ok(())
}

/// A Train loader whose windows nobody steps would train nothing.
fn check_steps(members: &[Member], stage: &Stage, index: usize) -> Result<()> {
    let trains = stage.loaders.iter().any(|loader| loader.mode == Mode::Train);
    if !trains || members.iter().any(|member| member.hears(Event::Step, Some(index))) {
        return Ok(());
    }
    let source = "it has a Train loader, but no optimizer and no callback that hears step; add `.loss(…)` and `.optimizer(…)`, or \
                  make the loader Eval";
    Err(Error::Stage { stage: stage.name.clone(), source: source.into() })
}
