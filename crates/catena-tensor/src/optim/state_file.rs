//! PyTorch's `optimizer.state_dict()` in a safetensors file.
use std::collections::BTreeSet;
use std::path::Path;

use catena_record::float;
use catena_record::tensors::Metadata;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tch::{Device, Tensor};

use super::group::Group;
use super::optimizer::Optimizer;
use super::state_dict::{GroupDict, StateDict};
use crate::bytes::dtype_name;
use crate::error::{Error, Result};
use crate::tensor_file::TensorFile;

/// The metadata's key.
const KEY: &str = "optimizer";
/// How torch runs a group rather than what it computes, and what its schedulers keep there.
const NOT_SETTINGS: [&str; 10] = [
    "foreach",
    "capturable",
    "differentiable",
    "fused",
    "initial_lr",
    "param_names",
    "base_momentum",
    "max_momentum",
    "max_lr",
    "min_lr",
];

/// What the metadata holds under [`KEY`], as JSON.
#[derive(Serialize, Deserialize)]
struct Head {
    /// The rule's name.
    name: String,
    /// How many steps have been made. PyTorch has no such count: the largest `step` of the state stands in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    steps: Option<u64>,
    /// torch's, with names for numbers in `params`.
    param_groups: Vec<ParamGroups>,
}

#[derive(Serialize, Deserialize)]
struct ParamGroups {
    params: Vec<String>,
    #[serde(flatten)]
    settings: Map<String, Value>,
}

/// # PyTorch's files
///
/// A safetensors file has the state as tensors named `<parameter>.<name as in torch>` (`fc.weight.exp_avg`), and in its
/// metadata under `optimizer` the JSON `{"name": "adamw", "steps": 5, "param_groups": [{"params": ["fc.weight"], "lr": 0.001,
/// "initial_lr": 0.001, …}]}`: torch's `param_groups`, with names where torch has numbers. `tests/interop/optim.py` writes and
/// reads it in Python, in thirty lines.
impl Optimizer {
    /// Writes state and settings as a safetensors file that PyTorch can take on. For going on in catena itself,
    /// [`Optimizer::state_dict`] keeps more.
    ///
    /// ```
    /// use catena_tensor::optim::{AdamW, Optimizer};
    /// use catena_tensor::params::parameters;
    /// use tch::{Device, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let _ = nn::linear(vs.root() / "fc", 4, 2, Default::default());
    /// let mut optimizer = Optimizer::new(AdamW::new(1e-3), &parameters(&vs))?;
    /// let path = std::env::temp_dir().join(format!("catena-{}.safetensors", std::process::id()));
    /// optimizer.save(&path)?;
    /// optimizer.load(&path)?;
    /// std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let file = file_of(&self.metadata()?, &self.state())?;
        std::fs::write(path, file).map_err(|error| in_file(path, error))
    }

    /// What the head of a file that [`Optimizer::save`] writes has beside the tensors: a checkpoint's `optimizer.<pass>.safetensors` has it too.
    pub fn metadata(&self) -> Result<Metadata> {
        let StateDict { name, steps, last_lr: _, groups, tensors: _ } = self.state_dict()?;
        let torchs = |group: GroupDict| {
            let GroupDict {
                pattern: _,
                max_dimensions: _,
                params,
                stepped: _,
                mut settings,
                initial,
                lr_factor: _,
            } = group;
            settings.extend(initial.get("lr").map(|lr| ("initial_lr".to_owned(), lr.clone())));
            ParamGroups { params, settings }
        };
        let head = Head { name, steps: Some(steps), param_groups: groups.into_iter().map(torchs).collect() };
        let head =
            serde_json::to_string(&float::Words(&head)).map_err(|error| Error::State(error.to_string()))?;
        Ok(Metadata::from([(KEY.to_owned(), head)]))
    }

    /// Takes state and settings from a file that [`Optimizer::save`] or a PyTorch program wrote, or from a checkpoint's `optimizer.<pass>.safetensors`.
    ///
    /// The rule has to be the same, and groups hold the same parameters, in any order and by any of their names. Nothing is
    /// changed if anything doesn't fit. Settings are those of the file; what schedules are relative to is its `initial_lr`, or `lr` where there is none.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let TensorFile { tensors, metadata } = TensorFile::read(path)?;
        let Some(head) = metadata.get(KEY) else {
            let why = format!(
                "its metadata have no `{KEY}`, so no settings are known: take a file that `Optimizer::save` wrote, or a checkpoint's \
                 `optimizer.<pass>.safetensors`"
            );
            return Err(in_file(path, why));
        };
        let mut head: Head = serde_json::from_str(head).map_err(|error| in_file(path, error))?;
        let tensors = self.counters_as_kept(self.state_by_own_names(&tensors)?)?;
        for group in &mut head.param_groups {
            group.params = self.own_names(&group.params)?;
        }
        let steps = head.steps.map_or_else(|| largest_step(&tensors), Ok)?;
        let groups = self.groups.iter().map(|group| {
            let names: BTreeSet<&String> = group.names.iter().collect();
            match head.param_groups.iter().find(|saved| saved.params.iter().collect::<BTreeSet<_>>() == names)
            {
                Some(saved) => group_dict(group, saved, &tensors, steps),
                None => {
                    let some: Vec<&str> = names.iter().take(4).map(|name| name.as_str()).collect();
                    Err(in_file(
                        path,
                        format!("no group of its has the parameters {} and no others", some.join(", ")),
                    ))
                }
            }
        });
        let groups = groups.collect::<Result<Vec<_>>>()?;
        if head.param_groups.len() != groups.len() {
            let (its, own) = (head.param_groups.len(), groups.len());
            return Err(in_file(path, format!("it has {its} groups, but this optimizer has {own}")));
        }
        self.load_state_dict(&StateDict { name: head.name, steps, last_lr: None, groups, tensors })
    }

    /// Counters and other numbers of state in the dtype they are kept in: torch's depends on its default dtype.
    fn counters_as_kept(&self, mut tensors: Vec<(String, Tensor)>) -> Result<Vec<(String, Tensor)>> {
        for (name, tensor) in &mut tensors {
            let slot = self.groups.iter().find_map(|group| Some((group, group.slot_of(name)?)));
            if let Some((group, (param, slot))) =
                slot.filter(|(group, (_, slot))| group.slots[*slot].is_number())
            {
                let kept = &group.state[slot].tensors()[param];
                *tensor = tensor.f_to_kind(kept.f_kind()?)?.f_reshape(kept.size())?;
            }
        }
        Ok(tensors)
    }
}

/// What a file has of a group, as a state dict has it.
fn group_dict(
    group: &Group,
    saved: &ParamGroups,
    tensors: &[(String, Tensor)],
    steps: u64,
) -> Result<GroupDict> {
    let own = group.dict()?;
    let has_state = |name: &String| {
        let of = |key: &str| key.rsplit_once('.').is_some_and(|(param, _)| param == name);
        tensors.iter().any(|(key, _)| of(key))
    };
    let stateless = group.slots.is_empty();
    let mut settings = saved.settings.clone();
    let initial_lr = settings.get("initial_lr").or_else(|| settings.get("lr")).cloned();
    // AdamW is Adam with this one set, in torch too
    settings.retain(|name, _| {
        own.settings.contains_key(name)
            || !(NOT_SETTINGS.contains(&name.as_str()) || name == "decoupled_weight_decay")
    });
    let mut initial = own.initial.clone();
    initial.extend(initial_lr.map(|lr| ("lr".to_owned(), lr)));
    let stepped = own.params.iter().map(|name| if stateless { steps > 0 } else { has_state(name) }).collect();
    Ok(GroupDict { stepped, settings, initial, ..own })
}

fn largest_step(tensors: &[(String, Tensor)]) -> Result<u64> {
    tensors
        .iter()
        .filter(|(name, _)| name.ends_with(".step"))
        .try_fold(0, |most, (_, step)| Ok(most.max(step.f_double_value(&[])? as u64)))
}

/// The file's bytes. safetensors' own writer, in tch's version, makes a header that can't be read if there are no tensors.
fn file_of(metadata: &Metadata, tensors: &[(String, Tensor)]) -> Result<Vec<u8>> {
    let (mut header, mut data) = (Map::new(), Vec::new());
    header.insert("__metadata__".into(), json!(metadata));
    // the largest elements first, so that all are aligned
    let mut sorted: Vec<(usize, &String, &Tensor)> = Vec::new();
    for (name, tensor) in tensors {
        sorted.push((tensor.f_kind()?.elt_size_in_bytes(), name, tensor));
    }
    sorted.sort_by_key(|(size, name, _)| (std::cmp::Reverse(*size), *name));
    for (size, name, tensor) in sorted {
        let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
        let (begin, end) = (data.len(), data.len() + tensor.numel() * size);
        data.resize(end, 0);
        tensor.f_copy_data_u8(&mut data[begin..], tensor.numel())?;
        let dtype = dtype_name(tensor.f_kind()?)?;
        let info = json!({"dtype": dtype, "shape": tensor.size(), "data_offsets": [begin, end]});
        header.insert(name.clone(), info);
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok([&(header.len() as u64).to_le_bytes(), &header[..], &data[..]].concat())
}

fn in_file(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::State(format!("{}: {why}", path.display()))
}
