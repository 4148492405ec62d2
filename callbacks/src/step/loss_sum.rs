//! Several losses as one.
use std::fmt;

use catena_chain::{About, Callback, Context, Event, Flow, Phase, Reduce, Result, Role, State};
use catena_tensor::loss::{AnyLoss, Loss, LossFn};
use catena_tensor::tch::{Kind, Tensor};
use serde::{Deserialize, Serialize};

/// Several losses as one, in place of the runner's criterion: sets `cx.loss` at `loss`, and logs it as `loss` and each part
/// under its name.
///
/// Its weight in a mean over batches is that of the first part that counts anything; a part of weight 0 (all of its labels are ignored)
/// adds nothing. Parts of low precision are added up in f32. Put it into a stage with `.callback(…)`; it takes the role of
/// `Criterion`. On resume: nothing to keep.
///
/// ```
/// use catena_callbacks::Forward;
/// use catena_callbacks::metrics::LossSum;
/// use catena_chain::tensor::loss::{self, CrossEntropy};
/// use catena_chain::{Event, testing};
///
/// let size = loss::from_fn("Size", |outputs, _| Ok(outputs.get("output")?.f_abs()?.f_mean(None)?));
/// let losses = LossSum::new().add("ce", 1.0, CrossEntropy::new()).add("size", 0.1, size);
/// let mut driver = testing::driver(vec![Box::new(Forward), Box::new(losses)])?;
/// driver.fire(Event::Forward)?;
/// driver.fire(Event::Loss)?;
/// let metrics = &mut driver.context_mut().metrics;
/// let [loss, ce, size] = ["loss", "ce", "size"].map(|name| metrics.last(name).ok().flatten().unwrap_or_default());
/// assert!((loss - (ce + 0.1 * size)).abs() < 1e-6);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
///
/// As data: `{"parts": [{"name": "ce", "weight": 1.0, "loss": {"name": "cross_entropy"}}, …], "mean": false}`.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossSum {
    /// The losses, each with its name and its weight.
    parts: Vec<Part>,
    #[serde(skip_deserializing, serialize_with = "in_code", skip_serializing_if = "Option::is_none")]
    combine: Option<CombineTensors>,
    #[serde(default)]
    mean: bool,
}

fn in_code<S: serde::Serializer>(_: &Option<CombineTensors>, _: S) -> std::result::Result<S::Ok, S::Error> {
    Err(serde::ser::Error::custom("a loss made with `.by(…)` lives in code only, so it can't be written"))
}

fn one() -> f64 {
    1.0
}

type CombineTensors = Box<dyn Fn(&[Tensor]) -> catena_tensor::Result<Tensor>>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    name: String,
    #[serde(default = "one")]
    weight: f64,
    loss: AnyLoss,
}

impl fmt::Debug for LossSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parts.iter().map(|part| (&part.name, part.weight))).finish()
    }
}

impl LossSum {
    /// Of no parts yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part, which counts `weight` times.
    #[must_use]
    pub fn add(mut self, name: impl Into<String>, weight: f64, loss: impl LossFn + 'static) -> Self {
        self.parts.push(Part { name: name.into(), weight, loss: AnyLoss(Box::new(loss)) });
        self
    }

    /// Divides the sum by the sum of the weights (default false).
    #[must_use]
    pub fn mean(mut self) -> Self {
        self.mean = true;
        self
    }

    /// Makes the loss of the parts (each times its weight, in their order) with a closure (default: their sum).
    #[must_use]
    pub fn by(mut self, combine: impl Fn(&[Tensor]) -> catena_tensor::Result<Tensor> + 'static) -> Self {
        self.combine = Some(Box::new(combine));
        self
    }

    fn total(&self, values: &[Tensor]) -> catena_tensor::Result<Tensor> {
        if let Some(combine) = &self.combine {
            return combine(values);
        }
        let mut values = values.iter();
        let first = values.next().map(Tensor::shallow_clone).unwrap_or_default();
        let total = values.try_fold(first, |sum, value| sum.f_add(value))?;
        let weights: f64 = self.parts.iter().map(|part| part.weight).sum();
        Ok(if self.mean { total.f_div_scalar(weights)? } else { total })
    }
}

/// A sum of low precision would lose small parts beside large ones.
fn at_least_f32(value: Tensor) -> catena_tensor::Result<Tensor> {
    Ok(match value.f_kind()? {
        Kind::Half | Kind::BFloat16 => value.f_to_kind(Kind::Float)?,
        _ => value,
    })
}

impl Callback for LossSum {
    fn about(&self) -> About {
        let parts = self.parts.iter().map(|part| part.name.as_str());
        let text = |part: &Part| format!("{} {} {}", part.weight, part.name, part.loss.name());
        let note = self.parts.iter().map(text).collect::<Vec<_>>().join(" + ");
        let about = About::new::<Self>(Phase::Loss, [Event::Loss]).role(Role::Criterion);
        about.logs(std::iter::once("loss").chain(parts)).settings(self).note(note)
    }

    fn state(&self) -> State {
        State::none()
    }

    fn check(&self) -> Result<()> {
        if self.parts.is_empty() {
            return Err("`parts` is empty, but must have at least one: `.add(name, weight, loss)`".into());
        }
        match self.parts.iter().find(|part| !part.weight.is_finite()) {
            Some(part) => {
                Err(format!("the `weight` of `{}` is {}, but must be a number", part.name, part.weight)
                    .into())
            }
            None if self.mean
                && self.combine.is_none()
                && self.parts.iter().map(|part| part.weight).sum::<f64>() == 0.0 =>
            {
                Err("the weights add up to 0, so they have no mean".into())
            }
            None => self.parts.iter().try_for_each(|part| Ok(part.loss.check()?)),
        }
    }

    fn on_loss(&mut self, cx: &mut Context) -> Result<Flow> {
        let mut parts = Vec::with_capacity(self.parts.len());
        for Part { name, weight: factor, loss } in &mut self.parts {
            let Loss { value, weight, .. } = loss.loss(&cx.outputs, &cx.batch)?;
            cx.log(name, &value, Reduce::MeanBy(weight))?;
            parts.push((value, weight, *factor));
        }
        let weight = parts.iter().map(|(_, weight, _)| *weight).find(|weight| *weight != 0.0);
        let mut values = Vec::with_capacity(parts.len());
        for (value, own, factor) in parts {
            // beside parts that count, one that counts nothing may be anything, NaN included
            let value = if own == 0.0 && weight.is_some() { value.f_zeros_like()? } else { value };
            let value = at_least_f32(value)?;
            values.push(if factor == 1.0 { value } else { value.f_mul_scalar(factor)? });
        }
        let loss = Loss::new(self.total(&values)?, weight.unwrap_or(0.0));
        cx.log("loss", &loss.value, Reduce::MeanBy(loss.weight))?;
        cx.loss = Some(loss);
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::testing;
    use catena_tensor::loss;
    use catena_tensor::tch::{Device, Kind};

    use super::*;

    #[test]
    fn a_sum_of_bfloat16_losses_keeps_the_small_ones() {
        let part = |value: f64| {
            loss::from_fn("Fixed", move |_, _| {
                Ok(Tensor::full([0i64; 0], value, (Kind::BFloat16, Device::Cpu)))
            })
        };
        let losses =
            LossSum::new().add("a", 1.0, part(256.0)).add("b", 1.0, part(0.5)).add("c", 0.25, part(1.0));
        let mut driver = testing::driver(vec![Box::new(losses)]).unwrap();
        driver.fire(Event::Loss).unwrap();
        // bfloat16 has nothing between 256 and 258
        assert_eq!(driver.context().loss.as_ref().unwrap().value.double_value(&[]), 256.75);
    }
}
