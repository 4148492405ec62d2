//! What a model is made of, as a table.
use std::fmt;

use catena_chain::BoxError;
use catena_tensor::batch::Batch;
use catena_tensor::layers::{self, LayerOutput};
use catena_tensor::model::{Mode, Model};
use catena_tensor::params::{buffers, parameters};
use catena_tensor::tch::nn::VarStore;
use catena_tensor::tch::{self, Tensor};

use crate::profiling::table::table;

/// What a model is made of. As text it is a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its layers: those whose outputs were seen in the order of the forward pass, else in order of creation.
    pub layers: Vec<Layer>,
}

/// The tensors of one layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// The name in the `VarStore` up to the last dot; empty for tensors at the root.
    pub name: String,
    /// The module's type, such as `Linear`, if the layer told it.
    pub kind: String,
    /// The shapes of its outputs, the batch's size included, if the layer told them: one each time it was used.
    pub outputs: Vec<Vec<i64>>,
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

    /// As [`Summary::of`], with the outputs of the named layers when this batch goes through, in Eval mode and without gradients.
    pub fn of_batch(model: &mut dyn Model, batch: &Batch) -> Result<Self, BoxError> {
        let _no_grad = tch::no_grad_guard();
        let (outputs, seen) = layers::record(|| model.forward(batch, Mode::Eval));
        outputs?;
        Ok(Self::of(model.var_store()).with_outputs(&seen))
    }

    /// The layers that told their outputs, in that order; others stand before the one that they are a part of, or at the end.
    pub(super) fn with_outputs(mut self, seen: &[LayerOutput]) -> Self {
        let mut told: Vec<Layer> = Vec::new();
        for LayerOutput { layer, kind, shape, .. } in seen {
            if let Some(known) = told.iter_mut().find(|known| known.name == *layer) {
                known.outputs.push(shape.clone());
                continue;
            }
            let own = self.layers.iter().position(|known| known.name == *layer);
            let own = own.map(|at| self.layers.remove(at));
            let own = own.unwrap_or_else(|| Layer { name: layer.clone(), ..Layer::default() });
            told.push(Layer { kind: kind.clone(), outputs: vec![shape.clone()], ..own });
        }
        for layer in self.layers {
            let whole = told.iter().position(|whole| layer.name.starts_with(&format!("{}.", whole.name)));
            told.insert(whole.unwrap_or(told.len()), layer);
        }
        Self { layers: told }
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
            let kind = if layer.kind.is_empty() { String::new() } else { format!(" ({})", layer.kind) };
            let outputs = layer.outputs.iter().map(|shape| format!("{shape:?}"));
            [
                format!("{name}{kind}"),
                outputs.collect::<Vec<_>>().join(" "),
                tensors.chain(buffers).collect::<Vec<_>>().join(" "),
                trained(layer.parameters, layer.trainable).to_owned(),
                layer.parameters.to_string(),
                layer.bytes.to_string(),
            ]
        };
        let (parameters, trainable) = (self.parameters(), self.trainable());
        let total = [
            "total".to_owned(),
            String::new(),
            format!("{trainable} trained, {} frozen", parameters - trainable),
            trained(parameters, trainable).to_owned(),
            parameters.to_string(),
            self.bytes().to_string(),
        ];
        let heads = ["layer", "output", "shapes", "trained", "parameters", "bytes"];
        let rows = self.layers.iter().map(row).chain([total]);
        if self.layers.iter().any(|layer| !layer.outputs.is_empty()) {
            return f.write_str(&table(heads, 4, rows));
        }
        let without = |[layer, _, shapes, trained, parameters, bytes]: [String; 6]| {
            [layer, shapes, trained, parameters, bytes]
        };
        f.write_str(&table(
            without(heads.map(str::to_owned)).each_ref().map(String::as_str),
            3,
            rows.map(without),
        ))
    }
}

#[cfg(test)]
mod tests {
    use catena_tensor::layers::{Layers, Named};
    use catena_tensor::model::Net;
    use catena_tensor::tch::nn::ModuleT;
    use catena_tensor::tch::{Device, Kind, nn};

    use catena_tensor::rng::Exclusive;

    use super::*;

    #[test]
    fn the_table_has_layers_in_order_of_creation_and_totals() {
        // layers are made with numbers of the generator that other tests seed
        let _exclusive = Exclusive::wait();
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
    fn the_table_has_outputs_in_the_order_of_the_forward_pass_where_layers_have_names() {
        // layers are made with numbers of the generator that other tests seed
        let _exclusive = Exclusive::wait();
        let vs = nn::VarStore::new(Device::Cpu);
        let stem = |p: nn::Path<'_>| {
            let conv = nn::ConvConfig { bias: false, ..Default::default() };
            nn::seq_t().add(nn::conv2d(&p / "conv", 1, 8, 3, conv)).add(nn::batch_norm2d(
                &p / "bn",
                8,
                Default::default(),
            ))
        };
        // made after the head, used before it
        let head = Named::new(vs.root() / "head", |p| nn::linear(p, 8, 10, Default::default()));
        let stem = Named::new(vs.root() / "stem", stem);
        let block = Layers::new()
            .add(vs.root() / "block" / "fc", |p| nn::linear(p, 8, 8, Default::default()))
            .add_fn("block.relu", Tensor::relu);
        let _scale = vs.root().ones("scale", &[1]);
        let mut net = Net::from_fn(vs, move |batch, mode| {
            let pooled = stem.forward_t(batch.get("input")?, mode.is_train()).f_mean_dim(
                [2i64, 3].as_slice(),
                false,
                Kind::Float,
            )?;
            let twice = block.forward_t(&block.forward_t(&pooled, true), true);
            Ok(head.forward_t(&twice, true).into())
        });
        let images = Tensor::zeros([4, 1, 28, 28], (Kind::Float, Device::Cpu));
        let summary = Summary::of_batch(&mut net, &Batch::new([("input", images)])).unwrap();
        insta::assert_snapshot!(summary);
        assert_eq!(summary.parameters(), Summary::of(net.var_store()).parameters());
        assert_eq!(summary.bytes(), Summary::of(net.var_store()).bytes());
    }
}
