//! Where the run is: stage, epoch, loader, batch, pass, and their counts.
use std::path::Path;

use catena_tensor::data::Start;
use catena_tensor::model::Mode;
use catena_tensor::tch::Device;

use crate::context::Context;
use crate::place::Place;
use crate::scope::PassScope;

impl Context {
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

    /// What the loader was started with, but for the batch: what a callback's draws are keyed by, such as those of
    /// [`draws::of_occurrence`](catena_tensor::data::draws::of_occurrence).
    pub fn data_start(&self) -> Start<'static> {
        let loader = self.loader.as_ref().map_or(0, |loader| loader.number);
        let stage = self.stage_index() as u64;
        Start { seed: self.seed(), stage, loader, epoch: self.epoch, ..Start::default() }
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

    pub(super) fn pass_scope(&self) -> Option<&PassScope> {
        self.stage.as_ref().and_then(|stage| stage.passes.get(self.pass))
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
}
