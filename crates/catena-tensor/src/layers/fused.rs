//! Runs of known layers, each computed as one node of autograd.
use catena_native::fused::{Layer as FusedLayer, Run};
use tch::Tensor;

use super::define::Compute;

/// What a layer is within a run, with its tensors.
#[derive(Debug)]
pub(super) enum Part<'a> {
    Linear(&'a Tensor, Option<&'a Tensor>),
    LayerNorm {
        weight: Option<&'a Tensor>,
        bias: Option<&'a Tensor>,
        eps: f64,
    },
    /// One without tensors.
    Plain(FusedLayer),
}

/// The runs among layers, each with the places of its first layer and of the one behind its last.
#[derive(Debug, Default)]
pub(super) struct Plan(Vec<(usize, usize, Run)>);

impl Plan {
    /// The longest runs that have a linear layer: others gain nothing.
    pub(super) fn of<'a>(layers: impl Iterator<Item = &'a dyn Compute>) -> Self {
        let (mut plan, mut parts, mut first) = (Self::default(), Vec::new(), 0);
        let mut all = layers.map(Compute::part).chain([None]).enumerate();
        for (at, part) in &mut all {
            match part {
                Some(part) => parts.push(part),
                None => {
                    plan.add(first, at, &std::mem::take(&mut parts));
                    first = at + 1;
                }
            }
        }
        plan
    }

    fn add<'a>(&mut self, first: usize, end: usize, parts: &[Part<'a>]) {
        if !parts.iter().any(|part| matches!(part, Part::Linear(..))) {
            return;
        }
        let mut params: Vec<&'a Tensor> = Vec::new();
        let mut layers = Vec::with_capacity(parts.len());
        for part in parts {
            layers.push(match *part {
                Part::Linear(weight, bias) => {
                    let (weight, bias) =
                        (place(&mut params, weight), bias.map(|bias| place(&mut params, bias)));
                    FusedLayer::Linear { weight, bias }
                }
                Part::LayerNorm { weight, bias, eps } => {
                    let mut own =
                        |tensor: Option<&'a Tensor>| tensor.map(|tensor| place(&mut params, tensor));
                    FusedLayer::LayerNorm { weight: own(weight), bias: own(bias), eps }
                }
                Part::Plain(layer) => layer,
            });
        }
        // without a run its layers are computed one by one, which says what is wrong
        if let Ok(run) = Run::new(&layers, &params) {
            self.0.push((first, end, run));
        }
    }

    /// The run that begins with the layer at this place, and the place behind it.
    pub(super) fn at(&self, place: usize) -> Option<(&Run, usize)> {
        self.0.iter().find(|(first, ..)| *first == place).map(|(_, end, run)| (run, *end))
    }
}

/// The place of one more parameter.
fn place<'a>(params: &mut Vec<&'a Tensor>, tensor: &'a Tensor) -> usize {
    params.push(tensor);
    params.len() - 1
}
