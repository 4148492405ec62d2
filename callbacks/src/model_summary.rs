//! What a model is made of, as a table.
use std::fmt;

use catena_chain::{Callback, Context, Event, Events, Flow, Phase, Result, State};
use catena_tensor::params::{buffers, parameters};
use catena_tensor::tch::Tensor;
use catena_tensor::tch::nn::VarStore;
use serde::{Deserialize, Serialize};

use crate::machine::table;

/// Logs a table of the model's layers when a stage begins: their tensors' shapes, how many parameters they have, whether these are
/// trained or frozen, and their bytes. The table is in `cx.ext` too, as [`Summary`], which can be had without a run:
///
/// ```
/// use catena_callbacks::Summary;
/// use catena_tensor::tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let _ = nn::linear(vs.root() / "fc1", 64, 128, Default::default());
/// let _ = nn::batch_norm1d(vs.root() / "bn", 128, Default::default());
/// let summary = Summary::of(&vs);
/// assert_eq!((summary.parameters(), summary.trainable()), (8576, 8576));
/// assert!(summary.to_string().contains("weight [128, 64]"));
/// ```
///
/// Layers are the names in the `VarStore` up to their last dot, in order of creation; buffers (a batch norm's running mean, …) stand
/// in parentheses and are no parameters. What a layer computes, and the shapes of its outputs, a `VarStore` doesn't know. On
/// resume: nothing to keep.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSummary {
    #[serde(skip)]
    logged: Option<Summary>,
}

/// What a model is made of. As text it is a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its layers, in order of creation.
    pub layers: Vec<Layer>,
}

/// The tensors of one layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// The name in the `VarStore` up to the last dot; empty for tensors at the root.
    pub name: String,
    /// Names and shapes of its parameters.
    pub tensors: Vec<(String, Vec<i64>)>,
    /// Names and shapes of its buffers.
    pub buffers: Vec<(String, Vec<i64>)>,
    /// How many numbers its parameters have.
    pub parameters: u64,
    /// How many of those are trained; the others are frozen.
    pub trainable: u64,
    /// How many bytes its parameters and buffers have.
    pub bytes: u64,
}

impl ModelSummary {
    /// Of the whole model.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Summary {
    /// As it is now: what is frozen may change from stage to stage.
    pub fn of(vs: &VarStore) -> Self {
        let mut summary = Self { layers: Vec::new() };
        for param in parameters(vs) {
            let (layer, name) = summary.layer(&param.name);
            layer.tensors.push((name, param.tensor.size()));
            let numel = param.tensor.numel() as u64;
            layer.parameters += numel;
            layer.trainable += if param.tensor.requires_grad() { numel } else { 0 };
            layer.bytes += bytes(&param.tensor);
        }
        for (name, buffer) in buffers(vs) {
            let (layer, name) = summary.layer(&name);
            layer.buffers.push((name, buffer.size()));
            layer.bytes += bytes(&buffer);
        }
        summary
    }

    /// How many numbers its parameters have.
    pub fn parameters(&self) -> u64 {
        self.layers.iter().map(|layer| layer.parameters).sum()
    }

    /// How many of those are trained.
    pub fn trainable(&self) -> u64 {
        self.layers.iter().map(|layer| layer.trainable).sum()
    }

    /// How many bytes its parameters and buffers have.
    pub fn bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.bytes).sum()
    }

    fn layer(&mut self, name: &str) -> (&mut Layer, String) {
        let (layer, tensor) = name.rsplit_once('.').unwrap_or(("", name));
        let known = self.layers.iter().position(|known| known.name == layer);
        let at = known.unwrap_or_else(|| {
            self.layers.push(Layer { name: layer.to_owned(), ..Layer::default() });
            self.layers.len() - 1
        });
        (&mut self.layers[at], tensor.to_owned())
    }
}

fn bytes(tensor: &Tensor) -> u64 {
    (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64
}

/// Whether parameters are trained.
fn trained(parameters: u64, trainable: u64) -> &'static str {
    match trainable {
        _ if parameters == 0 => "-",
        0 => "no",
        n if n == parameters => "yes",
        _ => "partly",
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |layer: &Layer| {
            let tensors = layer.tensors.iter().map(|(name, shape)| format!("{name} {shape:?}"));
            let buffers = layer.buffers.iter().map(|(name, shape)| format!("({name} {shape:?})"));
            let name = if layer.name.is_empty() { "-" } else { &layer.name };
            [
                name.to_owned(),
                tensors.chain(buffers).collect::<Vec<_>>().join(" "),
                trained(layer.parameters, layer.trainable).to_owned(),
                layer.parameters.to_string(),
                layer.bytes.to_string(),
            ]
        };
        let (parameters, trainable) = (self.parameters(), self.trainable());
        let total = [
            "total".to_owned(),
            format!("{trainable} trained, {} frozen", parameters - trainable),
            trained(parameters, trainable).to_owned(),
            parameters.to_string(),
            self.bytes().to_string(),
        ];
        let heads = ["layer", "shapes", "trained", "parameters", "bytes"];
        f.write_str(&table(heads, 3, self.layers.iter().map(row).chain([total])))
    }
}

impl Callback for ModelSummary {
    fn state(&self) -> State {
        State::none()
    }

    fn phase(&self) -> Phase {
        Phase::Report
    }

    fn hears(&self) -> Events {
        Events::of(&[Event::StageStart])
    }

    fn logs(&self) -> Option<Vec<String>> {
        Some(Vec::new())
    }

    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        let summary = Summary::of(cx.model.var_store());
        if self.logged.as_ref() != Some(&summary) {
            log::info!("the model in stage `{}`:\n{summary}", cx.stage());
            cx.ext.insert(summary.clone());
            self.logged = Some(summary);
        }
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::testing;
    use catena_tensor::tch::{Device, Kind, nn};

    use super::*;

    #[test]
    fn the_table_has_layers_in_order_of_creation_and_totals() {
        let vs = nn::VarStore::new(Device::Cpu);
        let conv = nn::ConvConfig { bias: false, ..Default::default() };
        let _conv = nn::conv2d(vs.root() / "stem" / "conv", 1, 8, 3, conv);
        let _bn = nn::batch_norm2d(vs.root() / "stem" / "bn", 8, Default::default());
        let mut fc = nn::linear(vs.root() / "head" / "fc", 8, 10, Default::default());
        let _scale = vs.root().ones("scale", &[1]);
        let _count = vs.root().add("count", Tensor::zeros([2], (Kind::Int64, Device::Cpu)), false);
        fc.ws = fc.ws.set_requires_grad(false);
        insta::assert_snapshot!(Summary::of(&vs), @"
        layer      shapes                                                    trained  parameters  bytes
        stem.conv  weight [8, 1, 3, 3]                                       yes              72    288
        stem.bn    weight [8] bias [8] (running_mean [8]) (running_var [8])  yes              16    128
        head.fc    bias [10] weight [10, 8]                                  partly           90    360
        -          scale [1] (count [2])                                     yes               1     20
        total      99 trained, 80 frozen                                     partly          179    796
        ");
    }

    #[test]
    fn it_is_logged_when_a_stage_begins_and_the_model_has_changed() {
        let mut driver = testing::driver(vec![Box::new(ModelSummary::new())]).unwrap();
        driver.fire(Event::StageStart).unwrap();
        let first = driver.context_mut().ext.remove::<Summary>().unwrap();
        assert_eq!((first.parameters(), first.trainable(), first.bytes()), (15, 15, 60));
        driver.fire(Event::StageStart).unwrap();
        assert!(driver.context().ext.get::<Summary>().is_none(), "nothing has changed");
        let bias = &driver.context().model.var_store().variables()["fc.bias"];
        let _frozen = bias.set_requires_grad(false);
        driver.fire(Event::StageStart).unwrap();
        assert_eq!(driver.context().ext.get::<Summary>().unwrap().trainable(), 12);
    }
}
