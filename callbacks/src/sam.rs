//! Looks for weights whose neighbours are good too.
use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, State};
use catena_tensor::loss::Loss;
use catena_tensor::model::Mode;
use catena_tensor::native::precision::Autocast;
use catena_tensor::native::tensor::set_grad;
use catena_tensor::params::buffers;
use catena_tensor::tch::{self, Kind, Tensor};
use serde::{Deserialize, Serialize};

use crate::Losses;
use crate::average::in_f32;
use crate::backward::add_gradients;

/// Sharpness-aware minimisation (Foret et al. 2021, "Sharpness-aware minimization for efficiently improving generalization"):
/// the gradient that the optimizer steps along is taken not at the weights, but a distance `rho` up the loss's own gradient.
/// With [`Sam::adaptive`] the distance is measured relative to each weight (Kwon et al. 2021, "ASAM").
///
/// At `backward` it takes the gradient of `cx.loss` for the parameters of the pass's optimizer, climbs, runs the model and the
/// pass's loss again on the batch, adds the gradients of that, and puts the weights back, to the bit. [`Backward`] then finds
/// nothing to do, because the loss's scale is 0. It works with whatever optimizer the pass has, and costs a second forward and
/// backward pass. What is logged is the loss at the weights.
///
/// * In an accumulation window each micro-batch climbs along its own gradient (the paper's m-sharpness).
/// * Dropout draws anew in the second forward pass, as in the implementations for PyTorch. Buffers (a batch norm's running mean,
///   …) keep what the first made of them.
/// * Under [`Autocast`](crate::Autocast) both forward passes are in half precision. The climb doesn't depend on
///   [`LossScaler`](crate::LossScaler)'s scale; one that overflows gives gradients that are not finite, and a skipped step.
///
/// It needs the stage's [`Criterion`](crate::Criterion), or a callback that leaves [`Losses`] in `cx.ext`. On resume: nothing to
/// keep, for between two batches the weights are always their own.
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
    #[serde(default = "default_rho")]
    rho: f64,
    #[serde(default)]
    adaptive: bool,
    #[serde(skip)]
    buffers: Vec<Tensor>,
    #[serde(skip)]
    autocast: Option<Kind>,
    /// Tensors that are changed just now, and what they are to be again.
    #[serde(skip)]
    kept: Vec<(Tensor, Tensor)>,
}

fn default_rho() -> f64 {
    0.05
}

impl Sam {
    /// With this distance; the paper's is 0.05.
    pub fn new(rho: f64) -> Self {
        Self { rho, adaptive: false, buffers: Vec::new(), autocast: None, kept: Vec::new() }
    }

    /// Measures the distance relative to each weight (default false). ASAM's `rho` is some ten times as large.
    #[must_use]
    pub fn adaptive(mut self) -> Self {
        self.adaptive = true;
        self
    }

    /// Changes the weights to where the gradient is to be taken.
    fn climb(&mut self, cx: &Context, loss: &Loss) -> Result<()> {
        let optimizer = cx.optimizer().ok_or("this pass has no optimizer whose parameters could climb")?;
        // what the window has gathered so far is put aside: the climb is this micro-batch's own
        let gathered: Vec<Tensor> =
            optimizer.params().iter().map(Tensor::f_grad).collect::<std::result::Result<_, _>>()?;
        optimizer.zero_grad()?;
        optimizer.backward(&loss.value.f_mul_scalar(loss.scale)?)?;
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
            return Ok(());
        }
        // the gradients carry the loss's scale, so the guard against 0 does too
        let norm = Tensor::f_stack(&norms, 0)?.f_norm()?.f_add_scalar(1e-12 * loss.scale)?;
        let share = norm.f_reciprocal()?.f_mul_scalar(self.rho)?;
        for (param, gradient) in up {
            // a number without dimensions: the step has the gradient's dtype, whatever that of the share is
            let share = share.f_to_device(param.device())?;
            let step = gradient.f_mul(&share)?;
            let step = if self.adaptive { step.f_mul(&param.f_square()?)? } else { step };
            let mut weights = param.f_detach()?;
            self.kept.push((weights.shallow_clone(), weights.f_detach_copy()?));
            let _up = weights.f_add_(&step)?;
        }
        Ok(())
    }

    /// Adds the gradients of the batch's loss at the weights as they are now.
    fn add_gradients_here(&mut self, cx: &mut Context, scale: f64) -> Result<()> {
        for buffer in &self.buffers {
            self.kept.push((buffer.shallow_clone(), buffer.f_detach_copy()?));
        }
        let autocast = self.autocast.map(|kind| Autocast::enter(cx.device(), kind));
        let autocast = autocast.transpose().map_err(catena_tensor::Error::from)?;
        let outputs = cx.model.forward(&cx.batch, Mode::Train)?;
        let losses = cx.ext.get::<Losses>().ok_or(
            "Sam needs the loss a second time, but no callback has left `Losses` in cx.ext; name the stage's loss with `.loss(…)`",
        )?;
        let loss = losses.loss(cx.pass(), &outputs, &cx.batch)?;
        drop(autocast);
        let loss = loss.ok_or_else(|| format!("pass `{}` has no loss to take the gradient of", cx.pass()))?;
        add_gradients(cx, &Loss { scale, ..loss })
    }

    fn put_back(&mut self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        self.kept.drain(..).try_for_each(|(mut tensor, kept)| Ok(tensor.f_copy_(&kept)?))
    }
}

impl Callback for Sam {
    fn about(&self) -> About {
        About::of::<Self>()
            .phase(Phase::Loss)
            .hears([Event::StageStart, Event::Loss, Event::Backward, Event::Exception])
            .logs_nothing()
            .settings(self)
            .note(format!("rho {}{}", self.rho, if self.adaptive { ", adaptive" } else { "" }))
    }

    fn state(&self) -> State {
        State::none()
    }

    // before Backward

    fn check(&self) -> Result<()> {
        if self.rho.is_finite() && self.rho >= 0.0 {
            return Ok(());
        }
        Err(format!("`rho` is {}, but must be a number of at least 0", self.rho).into())
    }

    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        self.buffers = buffers(cx.model.var_store()).into_iter().map(|(_, tensor)| tensor).collect();
        Ok(Flow::GO)
    }

    fn on_loss(&mut self, cx: &mut Context) -> Result<Flow> {
        // it ends before the backward pass, but the second forward pass is to be as the first
        self.autocast = Autocast::current(cx.device()).map_err(catena_tensor::Error::from)?;
        Ok(Flow::GO)
    }

    fn on_backward(&mut self, cx: &mut Context) -> Result<Flow> {
        let Some(loss) = cx.loss.take() else { return Ok(Flow::GO) };
        let scale = loss.scale;
        if scale != 0.0 {
            let added = self.climb(cx, &loss).and_then(|()| self.add_gradients_here(cx, scale));
            self.put_back()?;
            added?;
        }
        cx.loss = Some(Loss { scale: 0.0, ..loss });
        Ok(Flow::GO)
    }

    fn on_exception(&mut self, _: &mut Context) -> Result<Flow> {
        self.put_back()?;
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::testing;
    use catena_tensor::loss::{CrossEntropy, from_fn};

    use super::*;
    use crate::{Backward, Criterion, Forward};

    fn chain(criterion: Criterion) -> Vec<Box<dyn Callback>> {
        vec![Box::new(Forward), Box::new(criterion), Box::new(Sam::new(0.1)), Box::new(Backward)]
    }

    fn weights(driver: &catena_chain::Driver) -> Tensor {
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
        assert!(text.starts_with("Sam failed at backward"), "{text}");
        assert_eq!(weights(&driver), before);
    }

    #[test]
    fn a_loss_of_an_unknown_criterion_is_an_error_that_says_what_to_do() {
        let mut driver = testing::driver(vec![Box::new(Sam::new(0.1))]).unwrap();
        let cx = driver.context_mut();
        let outputs = cx.model.forward(&cx.batch, Mode::Train).unwrap();
        let value = outputs.get("output").unwrap().square().mean(Kind::Float);
        cx.loss = Some(Loss::new(value, 6.0));
        let text = driver.fire(Event::Backward).unwrap_err().to_string();
        assert!(text.contains("name the stage's loss with `.loss(…)`"), "{text}");
    }

    #[test]
    fn a_micro_batch_that_counts_nothing_climbs_nowhere() {
        let mut driver = testing::driver(chain(Criterion::new(CrossEntropy::new()))).unwrap();
        driver.fire(Event::Forward).unwrap();
        driver.fire(Event::Loss).unwrap();
        driver.context_mut().loss.as_mut().unwrap().scale = 0.0;
        driver.fire(Event::Backward).unwrap();
        let main = driver.context().optimizer().unwrap();
        assert!(main.params().iter().all(|p| !p.grad().defined()));
    }
}
