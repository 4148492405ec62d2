//! Noise on the inputs.
use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, State};
use catena_tensor::Error;
use catena_tensor::batch::INPUT;
use catena_tensor::data::{Start, draws};
use catena_tensor::settings::Range;
use catena_tensor::tch::{Kind, Tensor};
use serde::{Deserialize, Serialize};

/// Adds Gaussian noise of mean 0 to an input of each Train batch, at `batch_start`.
///
/// The noise of a sample is a function of the run's seed, the stage, the epoch and the sample's number: it is the same for any
/// batch size, and after a resume. A batch without sample numbers is an error. Source: `torchvision.transforms.v2.GaussianNoise`,
/// without its clipping. Default: `sigma` 0.1, on `input`. On resume: nothing to keep.
///
/// ```
/// use catena_callbacks::GaussianNoise;
/// use catena_chain::{Event, testing};
///
/// let noisy = |sigma| {
///     let mut driver = testing::driver(vec![Box::new(GaussianNoise::new(sigma))])?;
///     let batch = testing::tiny_batch(6).ids((0..6).collect());
///     driver.enter_batch(batch);
///     driver.fire(Event::BatchStart)?;
///     Ok::<_, catena_chain::BoxError>(driver.context().batch.get("input")?.shallow_clone())
/// };
/// let (none, some) = (noisy(0.0)?, noisy(0.5)?);
/// assert_ne!(none, some);
/// assert_eq!(some, noisy(0.5)?);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GaussianNoise {
    /// The standard deviation of the noise.
    sigma: f64,
    input: String,
}

impl Default for GaussianNoise {
    fn default() -> Self {
        Self { sigma: 0.1, input: INPUT.into() }
    }
}

impl GaussianNoise {
    /// With this standard deviation.
    pub fn new(sigma: f64) -> Self {
        Self { sigma, ..Self::default() }
    }

    /// On another tensor of the batch (default `input`).
    #[must_use]
    pub fn input(mut self, name: impl Into<String>) -> Self {
        self.input = name.into();
        self
    }
}

impl Callback for GaussianNoise {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Input, [Event::BatchStart]).logs_nothing().settings(self)
    }

    fn state(&self) -> State {
        State::none()
    }

    fn check(&self) -> Result<()> {
        Ok(Range::AtLeast(0.0).setting("sigma", self.sigma)?)
    }

    fn on_batch_start(&mut self, cx: &mut Context) -> Result<Flow> {
        if !cx.is_train() || self.sigma == 0.0 {
            return Ok(Flow::GO);
        }
        let input = cx.batch.get(&self.input)?.shallow_clone();
        let kind = input.f_kind().map_err(Error::from)?;
        if !matches!(kind, Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double) {
            return Err(format!(
                "noise is added to floating-point numbers, but `{}` is {kind:?}; make them numbers before, such as with \
                 `input.to_kind(Kind::Float)` in the loader or in a callback at `batch_start`",
                self.input
            )
            .into());
        }
        let (size, ids) = (input.size(), &cx.batch.ids);
        if ids.is_empty() || size.first() != Some(&(ids.len() as i64)) {
            return Err(format!(
                "the noise of a sample is a function of its number, but the batch has {} sample numbers for `{}` of shape \
                 {size:?}; give them with `Batch::ids`",
                ids.len(),
                self.input
            )
            .into());
        }
        let start = Start { seed: cx.seed(), stage: cx.stage_index() as u64, epoch: cx.epoch(), batch: 0 };
        let noise = draws::normal(start, ids, input.numel() / ids.len(), *b"catena/n");
        let noisy = || {
            let noise = Tensor::f_from_slice(&noise)?.f_view(size.as_slice())?;
            let noise = noise.f_to_device(input.device())?.f_to_kind(kind)?;
            input.f_add(&noise.f_mul_scalar(self.sigma)?)
        };
        cx.batch.tensors.insert(self.input.clone(), noisy().map_err(Error::from)?);
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::testing;

    use super::*;

    #[test]
    fn a_samples_noise_does_not_depend_on_its_batch() {
        let noise = |ids: Vec<u64>| {
            let mut driver = testing::driver(vec![Box::new(GaussianNoise::new(1.0))]).unwrap();
            let mut batch = testing::tiny_batch(ids.len() as i64).ids(ids);
            for tensor in batch.tensors.tensors_mut() {
                let _zeroed = tensor.zero_();
            }
            driver.enter_batch(batch);
            driver.fire(Event::BatchStart).unwrap();
            driver.context().batch.get("input").unwrap().shallow_clone()
        };
        let (pair, alone) = (noise(vec![4, 11]), noise(vec![11]));
        assert_eq!(pair.get(1), alone.get(0));
        assert_ne!(pair.get(0), pair.get(1));
    }

    #[test]
    fn a_batch_without_sample_numbers_is_refused() {
        let mut driver = testing::driver(vec![Box::new(GaussianNoise::new(1.0))]).unwrap();
        let text = driver.fire(Event::BatchStart).unwrap_err().to_string();
        assert!(text.contains("the batch has 0 sample numbers for `input` of shape [6, 4]"), "{text}");
    }
}
