//! Looks for weights whose neighbours are good too.
use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, State};
use catena_tensor::loss::Loss;
use catena_tensor::native::tensor::set_grad;
use catena_tensor::params::buffers;
use catena_tensor::settings::Range;
use catena_tensor::tch::{self, Tensor};
use serde::{Deserialize, Serialize};

use crate::averaging::average::in_f32;

/// Sharpness-aware minimisation (Foret et al. 2021, "Sharpness-aware minimization for efficiently improving generalization"):
/// the gradient that the optimizer steps along is taken not at the weights, but a distance `rho` up the loss's own gradient.
/// With [`Sam::adaptive`] the distance is measured relative to each weight (Kwon et al. 2021, "ASAM").
///
/// At `backward` it takes the gradient of `cx.loss` for the parameters of the pass's optimizer, climbs, and has the pass run again
/// there ([`Context::repeat_with`]): the same chain computes the loss, with its penalties and what else it does, and [`Backward`] adds
/// the gradients of that. Then the weights are back, to the bit. It works with whatever optimizer the pass has, and costs a second
/// forward and backward pass. What is logged is the loss at the weights.
///
/// * In an accumulation window each micro-batch climbs along its own gradient (the paper's m-sharpness).
/// * Dropout draws anew in the second forward pass, as in the implementations for PyTorch. Buffers (a batch norm's running mean,
///   …) keep what the first made of them.
/// * Under [`Autocast`](crate::Autocast) both forward passes are in half precision. The climb doesn't depend on
///   [`LossScaler`](crate::LossScaler)'s scale; one that overflows gives gradients that are not finite, and a skipped step.
///
/// On resume: nothing to keep, for between two batches the weights are always their own.
///
/// [`Backward`]: crate::Backward
///
/// ```
/// use catena_callbacks::{Backward, Criterion, Forward, Sam};
/// use catena_chain::{Callback, Event, testing};
/// use catena_tensor::loss::CrossEntropy;
///
/// let chain: Vec<Box<dyn Callback>> = vec![
///     Box::new(Forward),
///     Box::new(Criterion::new(CrossEntropy::new())),
///     Box::new(Sam::new(0.05)),
///     Box::new(Backward),
/// ];
/// let mut driver = testing::driver(chain)?;
/// for event in [Event::Forward, Event::Loss, Event::Backward] {
///     driver.fire(event)?;
/// }
/// let main = driver.context().optimizer().unwrap();
/// assert!(main.params().iter().all(|p| p.grad().defined()));
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sam {
    /// How far the weights move along their gradients for the second look.
    #[serde(default = "default_rho")]
    rho: f64,
    #[serde(default)]
    adaptive: bool,
    #[serde(skip)]
    buffers: Vec<Tensor>,
}

fn default_rho() -> f64 {
    0.05
}

impl Sam {
    /// With this distance; the paper's is 0.05.
    pub fn new(rho: f64) -> Self {
        Self { rho, adaptive: false, buffers: Vec::new() }
    }

    /// Measures the distance relative to each weight (default false). ASAM's `rho` is some ten times as large.
    #[must_use]
    pub fn adaptive(mut self) -> Self {
        self.adaptive = true;
        self
    }

    /// The weights, and where the gradient is to be taken.
    fn climb(&self, cx: &Context, loss: &Loss, scale: f64) -> Result<Vec<(Tensor, Tensor)>> {
        let optimizer = cx.optimizer().ok_or("this pass has no optimizer whose parameters could climb")?;
        // what the window has gathered so far is put aside: the climb is this micro-batch's own
        let gathered: Vec<Tensor> =
            optimizer.params().iter().map(Tensor::f_grad).collect::<std::result::Result<_, _>>()?;
        optimizer.zero_grad()?;
        optimizer.backward(&loss.value.f_mul_scalar(scale)?)?;
        let _no_grad = tch::no_grad_guard();
        let mut up = Vec::new();
        for (param, gathered) in optimizer.params().iter().zip(gathered) {
            let gradient = param.f_grad()?;
            set_grad(param, gathered.defined().then_some(&gathered)).map_err(catena_tensor::Error::from)?;
            if gradient.defined() {
                up.push((param, gradient));
            }
        }
        let norms = up.iter().map(|(param, gradient)| {
            let gradient = in_f32(gradient)?;
            let measured = if self.adaptive { gradient.f_mul(&param.f_abs()?)? } else { gradient };
            Ok(measured.f_norm()?.f_to_device(cx.device())?)
        });
        let norms = norms.collect::<Result<Vec<_>>>()?;
        if norms.is_empty() {
            return Ok(Vec::new());
        }
        // the gradients carry the loss's scale, so the guard against 0 does too
        let norm = Tensor::f_stack(&norms, 0)?.f_norm()?.f_add_scalar(1e-12 * scale)?;
        let share = norm.f_reciprocal()?.f_mul_scalar(self.rho)?;
        let mut climbed = Vec::new();
        for (param, gradient) in up {
            // a number without dimensions: the step has the gradient's dtype, whatever that of the share is
            let share = share.f_to_device(param.device())?;
            let step = gradient.f_mul(&share)?;
            let step = if self.adaptive { step.f_mul(&param.f_square()?)? } else { step };
            let weights = param.f_detach()?;
            let there = weights.f_add(&step)?;
            climbed.push((weights, there));
        }
        Ok(climbed)
    }
}

impl Callback for Sam {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Loss, [Event::StageStart, Event::Backward]).logs_nothing().settings(self)
    }

    fn state(&self) -> State {
        State::none()
    }

    // before Backward

    fn check(&self) -> Result<()> {
        Ok(Range::AtLeast(0.0).setting("rho", self.rho)?)
    }

    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        self.buffers = buffers(cx.model.var_store()).into_iter().map(|(_, tensor)| tensor).collect();
        Ok(Flow::GO)
    }

    fn on_backward(&mut self, cx: &mut Context) -> Result<Flow> {
        // the second time, `Backward` takes the gradients that count
        if cx.is_repeated() || cx.loss_scale == 0.0 {
            return Ok(Flow::GO);
        }
        let Some(loss) = &cx.loss else { return Ok(Flow::GO) };
        let climbed = self.climb(cx, loss, cx.loss_scale)?;
        // the second forward pass moves no buffer
        let buffers = self.buffers.iter().map(|buffer| (buffer.shallow_clone(), buffer.shallow_clone()));
        cx.repeat_with(climbed.into_iter().chain(buffers));
        cx.loss_scale = 0.0;
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::testing;
    use catena_tensor::loss::{CrossEntropy, from_fn};
    use catena_tensor::tch::Kind;

    use super::*;
    use crate::{Backward, Criterion, Forward};
    use catena_chain::CallbackExt;

    fn chain(criterion: Criterion) -> Vec<Box<dyn Callback>> {
        vec![Box::new(Forward), Box::new(criterion), Box::new(Sam::new(0.1)), Box::new(Backward)]
    }

    fn weights(driver: &catena_chain::drive::Driver) -> Tensor {
        driver.context().model.var_store().variables()["fc.weight"].detach().copy()
    }

    #[test]
    fn the_weights_are_back_after_an_error_in_the_middle() {
        let mut calls = 0;
        let fails = from_fn("fails", move |outputs, _| {
            calls += 1;
            Ok(outputs.get(if calls == 1 { "output" } else { "lost" })?.f_square()?.f_mean(Kind::Float)?)
        });
        let mut driver = testing::driver(chain(Criterion::new(fails))).unwrap();
        let before = weights(&driver);
        driver.fire(Event::Forward).unwrap();
        driver.fire(Event::Loss).unwrap();
        let text = driver.fire(Event::Backward).unwrap_err().to_string();
        assert!(text.starts_with("Criterion failed at loss"), "{text}");
        assert_eq!(weights(&driver), before);
    }

    #[test]
    fn a_loss_that_nobody_named_is_computed_again_by_whoever_set_it() {
        let own = catena_chain::on(Event::Loss, |cx| {
            let value = cx.outputs.get("output")?.square().mean(Kind::Float);
            cx.loss = Some(Loss::new(value, 6.0));
            Ok(Flow::GO)
        });
        let chain: Vec<Box<dyn Callback>> = vec![
            Box::new(Forward),
            Box::new(own.in_phase(Phase::Loss)),
            Box::new(Sam::new(0.1)),
            Box::new(Backward),
        ];
        let mut driver = testing::driver(chain).unwrap();
        let before = weights(&driver);
        for event in [Event::Forward, Event::Loss, Event::Backward] {
            driver.fire(event).unwrap();
        }
        assert_eq!(weights(&driver), before);
        let main = driver.context().optimizer().unwrap();
        assert!(main.params().iter().all(|p| p.grad().defined()));
    }

    #[test]
    fn a_micro_batch_that_counts_nothing_climbs_nowhere() {
        let mut driver = testing::driver(chain(Criterion::new(CrossEntropy::new()))).unwrap();
        driver.fire(Event::Forward).unwrap();
        driver.fire(Event::Loss).unwrap();
        driver.context_mut().loss_scale = 0.0;
        driver.fire(Event::Backward).unwrap();
        let main = driver.context().optimizer().unwrap();
        assert!(main.params().iter().all(|p| !p.grad().defined()));
    }
}
