//! Trying a run: a few batches of each loader, in a run directory of its own; then everything is as it was.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use catena_chain::State;
use catena_record::fs::Os;
use catena_tensor::native::tensor::copy_;
use catena_tensor::params::variables;
use catena_tensor::rng::{Exclusive, Generators, manual_seed};
use catena_tensor::tch::Tensor;

use super::Runner;
use super::alone::Alone;
use crate::cursor::Cursor;
use crate::disk::Disk;
use crate::error::Error;
use crate::error::RunResult as Result;
use crate::report::Report;

/// A folder that is gone when this is dropped.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> std::io::Result<Self> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let n = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("catena-check-{}-{n}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            log::warn!("{} could not be removed: {error}", self.0.display());
        }
    }
}

/// What a try changes, as it was before.
struct Before {
    variables: Vec<(Tensor, Tensor)>,
    generators: Generators,
    states: Vec<(String, State)>,
    epochs: Vec<u64>,
}

impl Runner {
    /// Does everything work? Runs one epoch of each stage with the first `batches` batches of each loader, evaluations on request included. Every callback hears all of it,
    /// but for loggers, which send and write nothing. Snapshots and files lie in a temporary run directory, which is removed; the run's own is neither made nor locked. Afterwards
    /// the model, torch's generators, the loaders and the callbacks' states are as before, and the run can begin. What a callback keeps beside its state is its own
    /// business: [`Context::checking`](catena_chain::Context::checking) tells it.
    ///
    /// ```
    /// use catena::chain::testing;
    /// use catena::prelude::*;
    ///
    /// let train = testing::tiny_loader(400, 4);
    /// let stage = Stage::new("train").epochs(9).train(train).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1));
    /// let mut runner = Runner::builder(testing::tiny_model()).stage(stage).build()?;
    /// assert_eq!(runner.check(3)?.batches, 3);
    /// assert_eq!(runner.run()?.batches, 900);
    /// # Ok::<(), catena::Error>(())
    /// ```
    pub fn check(&mut self, batches: u64) -> Result<Report> {
        let _exclusive = Exclusive::now()?;
        let _alone = Alone::begin(self.panic_output)?;
        if self.has_run {
            return Err(Error::HasRun);
        }
        let before = self.before_check()?;
        let temporary = match self.place {
            None => None,
            Some(_) => Some(
                Temporary::new()
                    .map_err(|error| Error::Build(format!("no folder can be made to check in: {error}")))?,
            ),
        };
        let checked = self.run_checked(batches, temporary.as_ref().map(Temporary::path));
        self.disk = None;
        drop(temporary);
        let back = self.put_back(before);
        checked.and_then(|report| back.map(|()| report))
    }

    fn run_checked(&mut self, batches: u64, dir: Option<&Path>) -> Result<Report> {
        for stage in &mut self.stages {
            stage.epochs = 1;
            for loader in &mut stage.loaders {
                loader.limit = Some(batches);
            }
        }
        self.driver.reset(dir.map(Path::to_owned), true);
        self.disk = dir.map(|dir| Disk::open(dir, Arc::new(Os))).transpose()?;
        self.begin_on_disk()?;
        manual_seed(self.driver.context().seed());
        self.go_on()
    }

    fn before_check(&self) -> Result<Before> {
        let copy = |(_, tensor): (String, Tensor)| -> Result<(Tensor, Tensor)> {
            let copy = tensor.f_detach_copy()?;
            Ok((tensor, copy))
        };
        let all = variables(self.driver.context().model.var_store());
        let mut states = self.driver.states()?;
        for (_, tensor) in states.iter_mut().flat_map(|(_, state)| &mut state.tensors) {
            *tensor = tensor.f_detach_copy()?;
        }
        Ok(Before {
            variables: all.into_iter().map(copy).collect::<Result<_>>()?,
            generators: Generators::keep()?,
            states,
            epochs: self.stages.iter().map(|stage| stage.epochs).collect(),
        })
    }

    fn put_back(&mut self, before: Before) -> Result<()> {
        let Before { variables, generators, states, epochs } = before;
        for (stage, epochs) in self.stages.iter_mut().zip(epochs) {
            stage.epochs = epochs;
            stage.loaders.iter_mut().for_each(|loader| loader.limit = None);
        }
        for (variable, value) in variables {
            copy_(&variable.f_detach()?, &value, false).map_err(catena_tensor::Error::from)?;
        }
        let dir = self.place.as_ref().map(|(path, _)| path.clone());
        self.driver.reset(dir, false);
        for (key, state) in states {
            self.driver.load_state(&key, state)?;
        }
        (self.at, self.is_leaving, self.looks_for_new) = (Cursor::default(), false, false);
        self.known.clear();
        self.miscounted.clear();
        Ok(generators.put_back()?)
    }
}
