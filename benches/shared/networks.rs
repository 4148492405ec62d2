//! The networks that are measured: their sizes, from `benches/peers/networks.json`, their batches, and the models.
use catena::prelude::Layers;
use catena::tch::nn::{self, VarStore};
use catena::tch::{Device, Kind, Tensor};
use catena::tensor::rng::manual_seed;
use serde::Deserialize;

use super::mlp::mlp;
use super::resnet::resnet;
use super::transformer::{Transformer, transformer};

/// A network, and how many ready batches an epoch has.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Network {
    pub(crate) name: String,
    model: Size,
    batch: i64,
    pub(crate) steps: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Size {
    Mlp { widths: Vec<i64> },
    Transformer(Transformer),
    Resnet { side: i64, widths: Vec<i64>, classes: i64 },
}

/// Inputs and targets, ready in a device's memory.
pub(crate) type Batches = Vec<(Tensor, Tensor)>;

impl Network {
    /// The network of this name.
    pub(crate) fn named(name: &str) -> Self {
        let all: Vec<Self> =
            serde_json::from_str(include_str!("../peers/networks.json")).expect("a list of networks");
        let names = all.iter().map(|network| network.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = all.iter().find(|network| network.name == name);
        found.unwrap_or_else(|| panic!("{name} is none of {names}")).clone()
    }

    pub(crate) fn batches(&self, device: Device) -> Batches {
        manual_seed(1);
        let n = self.batch;
        let floats = |size: &[i64]| Tensor::rand(size, (Kind::Float, Device::Cpu));
        let whole = |below, size: &[i64]| Tensor::randint(below, size, (Kind::Int64, Device::Cpu));
        let batch = || match &self.model {
            Size::Mlp { widths } => (floats(&[n, widths[0]]), whole(widths[widths.len() - 1], &[n])),
            Size::Transformer(Transformer { vocabulary, length, .. }) => {
                (whole(*vocabulary, &[n, *length]), whole(*vocabulary, &[n * length]))
            }
            Size::Resnet { side, widths, classes } => {
                (floats(&[n, widths[0], *side, *side]), whole(*classes, &[n]))
            }
        };
        let to_device = |(x, y): (Tensor, Tensor)| (x.to_device(device), y.to_device(device));
        (0..self.steps).map(|_| to_device(batch())).collect()
    }

    /// The model as layers of catena's, where the batches are.
    pub(crate) fn layers(&self, batches: &Batches) -> (VarStore, Layers) {
        manual_seed(0);
        let vs = VarStore::new(batches[0].0.device());
        let made = match &self.model {
            Size::Mlp { widths } => mlp(widths).build(vs.root()),
            Size::Transformer(size) => transformer(vs.root(), *size),
            Size::Resnet { widths, classes, .. } => resnet(widths, *classes).build(vs.root()),
        };
        (vs, made.expect("the sizes are sound"))
    }

    /// The model in tch's own modules, if it is made of linear layers.
    pub(crate) fn of_tch(&self, batches: &Batches) -> Option<(VarStore, nn::SequentialT)> {
        let Size::Mlp { widths } = &self.model else { return None };
        manual_seed(0);
        let vs = VarStore::new(batches[0].0.device());
        let mut net = nn::seq_t();
        for (i, pair) in widths.windows(2).enumerate() {
            if i > 0 {
                net = net.add_fn(|x| x.relu());
            }
            net =
                net.add(nn::linear(vs.root() / format!("fc{}", i + 1), pair[0], pair[1], Default::default()));
        }
        Some((vs, net))
    }
}
