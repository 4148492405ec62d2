//! The loaders in the loop: entered, asked for batches, left.
use catena_chain::drive::LoaderScope;
use catena_chain::{BoxError, Edge, Stop, Work};
use catena_tensor::batch::Batch;
use catena_tensor::data::{Position, Start};
use catena_tensor::model::Mode;
use catena_tensor::panics::caught;

use super::Runner;
use crate::cursor::Open;
use crate::error::Error;
use crate::error::RunResult as Result;
use crate::stage::StageLoader;

impl Runner {
    /// Whether the epoch has a loader left; those that run on request only are passed over.
    pub(super) fn has_loader(&mut self) -> bool {
        let loaders = &self.stages[self.at.stage].loaders;
        // a check tries those too
        let checking = self.driver.context().checking();
        while loaders.get(self.at.loader).is_some_and(|loader| loader.on_request && !checking) {
            self.at.loader += 1;
        }
        self.at.loader < loaders.len()
    }

    /// Whether no more batches are wanted: between those of an evaluation, which has no safe points, an interruption holds at once.
    pub(super) fn leaves_loader(&mut self, mode: Mode) -> bool {
        if mode != Mode::Train {
            self.driver.take_interruption();
        }
        self.driver.stop() >= Stop::Loader
    }

    /// Enters a loader, where `batch` batches of its epoch are done.
    pub(super) fn enter_loader(
        &mut self,
        loader: usize,
        batch: u64,
        position: Option<&Position>,
    ) -> Result<()> {
        let stage = self.stage_index();
        let start = self.data_start(stage, loader, self.driver.context().epoch());
        let start = Start { batch, position, ..start };
        let own = &mut self.stages[stage].loaders[loader];
        own.is_started = true;
        let batches = caught(|| own.batches_of(&start));
        let scope = LoaderScope::new(own.name.clone(), own.mode, batches.clone().unwrap_or_default());
        self.driver.enter_loader(scope.number(start.loader));
        guarded(|| batches.map_err(panicked).and_then(|_| own.source.start(start)))
            .map_err(|source| Error::Loader { place: Box::new(self.driver.context().place()), source })
    }

    /// What a loader of a stage is started with, at the beginning of an epoch.
    pub(super) fn data_start(&self, stage: usize, loader: usize, epoch: u64) -> Start<'static> {
        let loaders = &self.stages[stage].loaders;
        let trains = |loader: &StageLoader| loader.mode.is_train();
        // Train loaders have the first numbers, so that an evaluation that is put in changes no order of theirs
        let is_before = |(at, other): &(usize, &StageLoader)| match (trains(other), trains(&loaders[loader]))
        {
            (other, own) if other == own => *at < loader,
            (other, _) => other,
        };
        let number = loaders.iter().enumerate().filter(is_before).count();
        let until = loaders[loader].limit;
        let seed = self.driver.context().seed();
        Start { seed, stage: stage as u64, loader: number as u64, epoch, until, ..Start::default() }
    }

    /// What the Train loader that is open says of where it is.
    pub(super) fn position(&self) -> Result<Option<Position>> {
        if self.at.open != Open::Loader {
            return Ok(None);
        }
        let source = &self.stages[self.stage_index()].loaders[self.at.loader].source;
        guarded(|| Ok(source.position()))
            .map_err(|source| Error::Loader { place: Box::new(self.driver.context().place()), source })
    }

    /// A loader's pass has ended before its epoch.
    pub(super) fn leave_early(&mut self, loader: usize) {
        let stage = self.stage_index();
        leave(&mut self.stages[stage].loaders[loader]);
    }

    /// No loader is needed any more: the stage has ended, or the run.
    pub(super) fn leave_loaders(&mut self) {
        self.stages.iter_mut().flat_map(|stage| &mut stage.loaders).for_each(leave);
    }

    pub(super) fn next_batch(&mut self, loader: usize) -> Result<Option<Batch>> {
        let stage = self.stage_index();
        let StageLoader { source, limit, .. } = &mut self.stages[stage].loaders[loader];
        if limit.is_some_and(|limit| self.driver.context().loader_batch() >= limit) {
            return Ok(None);
        }
        self.driver.tell(Work::Data, Edge::Begin);
        let batch = guarded(|| source.next_batch()).and_then(|batch| {
            match batch.as_ref().map(|batch| batch.weight) {
            Some(weight) if !weight.is_finite() || weight < 0.0 => Err(format!(
                "it gave a batch of weight {weight}, but what a batch counts must be a number of at least 0"
            )
            .into()),
            _ => Ok(batch),
        }
        });
        self.driver.tell(Work::Data, Edge::End);
        batch.map_err(|source| Error::Loader { place: Box::new(self.driver.context().place()), source })
    }

    /// A loader that gives another number of batches than it says is told once: by that number an epoch's last batch is known, and a resume inside an epoch that
    /// it does not pass over shows there.
    pub(super) fn check_count(&mut self, loader: usize) {
        let stage = self.stage_index();
        let start = self.data_start(stage, loader, self.driver.context().epoch());
        let own = &self.stages[stage].loaders[loader];
        let (name, gave) = (&own.name, self.driver.context().loader_batch());
        let Some(said) = own.batches_of(&start).filter(|said| *said != gave) else { return };
        if self.miscounted.insert((stage, loader)) {
            log::warn!(
                "loader `{name}` said that an epoch has {said} batches, and has given {gave} in epoch {}: windows, schedules and a resume inside an epoch go by what \
                 it says; `testing::check_loader` tells what it does wrong",
                self.driver.context().epoch()
            );
        }
    }
}

/// A loader's answer; a panic is an error.
fn guarded<T>(call: impl FnOnce() -> std::result::Result<T, BoxError>) -> std::result::Result<T, BoxError> {
    caught(call).unwrap_or_else(|message| Err(panicked(message)))
}

fn panicked(message: String) -> BoxError {
    format!("panicked: {message}").into()
}

/// Lets go of what a loader holds; what goes wrong there ends no run.
fn leave(loader: &mut StageLoader) {
    if !std::mem::take(&mut loader.is_started) {
        return;
    }
    if let Err(message) = caught(|| loader.source.leave()) {
        log::warn!("loader `{}` panicked when it was left: {message}", loader.name);
    }
}
