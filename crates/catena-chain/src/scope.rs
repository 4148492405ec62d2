//! What a driver is told of the stage, the pass and the loader that it enters.
use std::path::PathBuf;

use catena_tensor::model::Mode;
use catena_tensor::tch::Device;

/// What a run is made with.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// The one seed.
    pub seed: u64,
    /// The device that batches are moved to.
    pub device: Device,
    /// The run directory.
    pub run_dir: Option<PathBuf>,
}

/// A pass: a forward pass, a loss and a step of one optimizer.
#[derive(Clone, Debug, Default)]
pub struct PassScope {
    /// Its name; `main` unless the stage says otherwise.
    pub name: String,
    /// The name of its optimizer.
    pub optimizer: Option<String>,
}

/// A stage that is entered.
#[derive(Clone, Debug, Default)]
pub struct StageScope {
    /// Its number, from 0.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// How many epochs it has.
    pub epochs: u64,
    /// What happens to each batch.
    pub passes: Vec<PassScope>,
    /// The names of its Eval loaders, those on request included.
    pub evaluations: Vec<String>,
}

/// A loader that is entered.
#[derive(Clone, Debug)]
pub struct LoaderScope {
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) batches: Option<u64>,
    pub(crate) batch: u64,
    pub(crate) samples: u64,
    pub(crate) number: u64,
}

impl LoaderScope {
    /// At its beginning, with as many batches an epoch, if that is known.
    pub fn new(name: impl Into<String>, mode: Mode, batches: Option<u64>) -> Self {
        Self { name: name.into(), mode, batches, batch: 0, samples: 0, number: 0 }
    }

    /// Sets the number that its order and draws are keyed by, as [`Start::loader`](catena_tensor::data::Start::loader) has it (0).
    #[must_use]
    pub fn number(mut self, number: u64) -> Self {
        self.number = number;
        self
    }
}
