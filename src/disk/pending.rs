//! What a snapshot is made of: `state.json` as a type, and the tensors by file.
use std::collections::BTreeMap;

use catena_chain::drive::RunProgress;
use catena_chain::{State, Stop};
use catena_record::SafePoint;
use catena_record::logs::Marks;
use catena_record::tensors::Metadata;
use catena_tensor::data::Position;
use catena_tensor::device;
use catena_tensor::native::tensor::identity;
use catena_tensor::optim::{Optimizer, StateDict};
use catena_tensor::params::{Parameter, shared, state_dict};
use catena_tensor::rng::Generators;
use catena_tensor::tch::nn::VarStore;
use catena_tensor::tch::{Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::description::Description;
use crate::cursor::Cursor;
use crate::error::RunResult as Result;

/// The file of a snapshot's parameters and buffers.
pub(crate) const MODEL: &str = "model.safetensors";
/// The file of the gradients of an open window.
pub(crate) const GRADIENTS: &str = "gradients.safetensors";
/// The file of torch's generators.
pub(crate) const RNG: &str = "rng.safetensors";
/// The file of the callbacks' tensors.
pub(crate) const CALLBACKS: &str = "callbacks.safetensors";

/// The file of an optimizer's tensors.
pub(crate) fn optimizer_file(name: &str) -> String {
    format!("optimizer.{name}.safetensors")
}

/// The file of the gradients in a pass's window, by its number.
pub(crate) fn gradients_file(pass: usize) -> String {
    format!("gradients.{pass}.safetensors")
}

/// `state.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedState {
    /// When it was taken.
    pub(crate) time: String,
    /// Who asked for it.
    pub(crate) why: Vec<String>,
    /// After what.
    // as older snapshots call it
    #[serde(alias = "cut")]
    pub(crate) point: SafePoint,
    /// The next thing to do, the flow applied already.
    pub(crate) cursor: Cursor,
    /// What the open loader says of where it is, besides the number of its batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<Position>,
    /// The number of the stage whose optimizers are saved.
    pub(crate) stage: usize,
    /// Its name.
    pub(crate) stage_name: String,
    /// Evaluations that were asked for at this safe point and are not done.
    pub(crate) evaluations: Vec<String>,
    /// The counters, windows and metrics.
    #[serde(alias = "books")]
    pub(crate) progress: RunProgress,
    /// What was measured of just these parameters.
    #[serde(with = "catena_record::float::map")]
    pub(crate) measured: BTreeMap<String, f64>,
    /// The optimizers' settings and counts.
    pub(crate) optimizers: BTreeMap<String, StateDict>,
    /// The names of each of the model's tensors that has several: the file has it under each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) shared: Vec<Vec<String>>,
    /// The parameters that need no gradient though the stage does not freeze them, and those that it does and that need one all the same:
    /// somebody has set `requires_grad` by hand. None in a snapshot from before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by_hand: Option<ByHand>,
    /// The passes whose windows have gradients apart from the parameters, which other passes train too: a file each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) gradients_aside: Vec<usize>,
    /// The callbacks' states, in the chain's order.
    pub(crate) callbacks: Vec<SavedCallback>,
    /// What the run is made of.
    pub(crate) run: Description,
}

impl SavedState {
    /// Whether it was taken after the end of something that a stop had cut short.
    pub(crate) fn has_stopped(&self) -> bool {
        let Self { point, cursor, progress, run, .. } = self;
        let is_over = cursor.stage == run.0.stages.len();
        *point != SafePoint::Batch && cursor.cut_short && (progress.stop() > Stop::None || is_over)
    }
}

/// Parameters whose `requires_grad` is not what their stage says, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ByHand {
    pub(crate) frozen: Vec<String>,
    pub(crate) freed: Vec<String>,
}

/// A callback's state. Its tensors are in a file, under `<key>/<name>`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedCallback {
    pub(crate) key: String,
    pub(crate) json: Value,
    /// Their names, and whether they were on the run's device.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tensors: Vec<(String, bool)>,
    /// The logs that it goes on with.
    #[serde(default, skip_serializing_if = "Marks::is_empty")]
    pub(crate) logs: Marks,
}

/// A snapshot to be written: its state, and its tensors by file and name.
#[derive(Debug)]
pub(crate) struct PendingSnapshot {
    pub(crate) state: SavedState,
    pub(crate) files: Vec<(String, Vec<(String, Tensor)>)>,
    /// The texts in the files' heads, by file.
    pub(crate) metadata: BTreeMap<String, Metadata>,
}

impl PendingSnapshot {
    pub(crate) fn new(
        mut state: SavedState,
        callbacks: Vec<(String, State)>,
        generators: &Generators,
    ) -> Self {
        let mut tensors = Vec::new();
        for (key, State { json, tensors: own, logs }) in callbacks {
            let names = own.iter().map(|(name, tensor)| (name.clone(), tensor.device() != Device::Cpu));
            let saved = SavedCallback { key, json, tensors: names.collect(), logs };
            tensors.extend(own.into_iter().map(|(name, tensor)| (format!("{}/{name}", saved.key), tensor)));
            state.callbacks.push(saved);
        }
        let rng = generators.states().map(|(at, state)| (device::name(at), state.shallow_clone())).collect();
        let files = vec![(RNG.into(), rng), (CALLBACKS.into(), tensors)];
        Self { state, files, metadata: BTreeMap::new() }
    }

    /// Makes copies of the tensors, so that what happens to the originals changes nothing here.
    pub(crate) fn detach(&mut self) -> Result<()> {
        for (_, tensors) in &mut self.files {
            for (_, tensor) in tensors {
                *tensor = tensor.f_detach_copy()?;
            }
        }
        Ok(())
    }

    pub(crate) fn add_model(&mut self, vs: &VarStore) {
        self.state.shared = shared(vs);
        self.files.push((MODEL.into(), state_dict(vs)));
    }

    pub(crate) fn add_optimizer(&mut self, name: &str, optimizer: &Optimizer) -> Result<()> {
        let mut dict = optimizer.state_dict()?;
        // with which the file alone is what `Optimizer::load` and PyTorch programs read
        self.metadata.insert(optimizer_file(name), optimizer.metadata()?);
        self.files.push((optimizer_file(name), std::mem::take(&mut dict.tensors)));
        self.state.optimizers.insert(name.into(), dict);
        Ok(())
    }

    /// Adds the gradients of a pass's window that are not in the parameters.
    pub(crate) fn add_gradients_aside(
        &mut self,
        pass: usize,
        params: &[Parameter],
        gradients: &[(Tensor, Tensor)],
    ) {
        let name = |tensor: &Tensor| params.iter().find(|param| identity(&param.tensor) == identity(tensor));
        let named = gradients
            .iter()
            .filter_map(|(param, gradient)| Some((name(param)?.name.clone(), gradient.shallow_clone())));
        self.files.push((gradients_file(pass), named.collect()));
        self.state.gradients_aside.push(pass);
    }

    pub(crate) fn add_gradients(&mut self, params: &[Parameter]) -> Result<()> {
        let mut gradients = Vec::new();
        for param in params {
            let gradient = param.tensor.f_grad()?;
            if gradient.defined() {
                gradients.push((param.name.clone(), gradient));
            }
        }
        self.files.push((GRADIENTS.into(), gradients));
        Ok(())
    }
}
