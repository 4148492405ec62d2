//! Clips gradients by their global norm.
use catena_chain::{About, Callback, Context, Event, Flow, Phase, Reduce, Result, State};
use catena_tensor::settings::Range;
use serde::{Deserialize, Serialize};

use crate::control::nan_guard::OnNan;

/// Scales the gradients of the pass's optimizer, once a window, so that their norm is at most `max_norm`; logs the norm
/// before that as `grad_norm`. Source: `torch.nn.utils.clip_grad_norm_`. On resume: nothing to keep.
///
/// ```
/// use catena_callbacks::{Backward, ClipGradNorm, Criterion, Forward};
/// use catena_chain::{Callback, Event, testing};
/// use catena_tensor::loss::CrossEntropy;
///
/// let chain: Vec<Box<dyn Callback>> = vec![
///     Box::new(Forward),
///     Box::new(Criterion::new(CrossEntropy::new())),
///     Box::new(Backward),
///     Box::new(ClipGradNorm::new(0.01)),
/// ];
/// let mut driver = testing::driver(chain)?;
/// for event in [Event::Forward, Event::Loss, Event::Backward, Event::Step] {
///     driver.fire(event)?;
/// }
/// let norm = driver.context().optimizer().unwrap().gradient_norm(2.0)?;
/// assert!(norm.double_value(&[]) <= 0.01 + 1e-6);
/// assert!(driver.context_mut().metrics.last("grad_norm")?.unwrap() > 0.01);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipGradNorm {
    /// The largest norm that the gradients keep; larger ones are scaled down to it.
    #[serde(with = "catena_record::float")]
    max_norm: f64,
    #[serde(default = "two", with = "catena_record::float")]
    norm_type: f64,
    #[serde(default)]
    on_nonfinite: Option<OnNan>,
}

fn two() -> f64 {
    2.0
}

impl ClipGradNorm {
    /// To this 2-norm.
    pub fn new(max_norm: f64) -> Self {
        Self { max_norm, norm_type: two(), on_nonfinite: None }
    }

    /// Another norm (default 2); infinity is the largest magnitude. An empty parameter's norm is 0, whatever the norm.
    #[must_use]
    pub fn norm_type(mut self, norm_type: f64) -> Self {
        self.norm_type = norm_type;
        self
    }

    /// What happens when the norm is NaN or infinite (default nothing, as torch's `error_if_nonfinite=False`). To know, it
    /// waits for the device at every step.
    #[must_use]
    pub fn on_nonfinite(mut self, on_nonfinite: OnNan) -> Self {
        self.on_nonfinite = Some(on_nonfinite);
        self
    }
}

impl Callback for ClipGradNorm {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Clip, [Event::Step])
            .logs(["grad_norm"])
            .syncs(self.on_nonfinite.is_some())
            .settings(self)
    }

    fn state(&self) -> State {
        State::none()
    }

    fn check(&self) -> Result<()> {
        Range::AboveOrInfinite(0.0).setting("max_norm", self.max_norm)?;
        Ok(Range::AboveOrInfinite(0.0).setting("norm_type", self.norm_type)?)
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.skips_step() {
            return Ok(Flow::GO);
        }
        let norm = cx.optimizer_mut()?.clip_grad_norm(self.max_norm, self.norm_type)?;
        cx.grad_norm = Some((&norm).into());
        let Some(on_nonfinite) = self.on_nonfinite else {
            cx.log_of_pass("grad_norm", norm, Reduce::MeanBy(1.0))?;
            return Ok(Flow::GO);
        };
        let norm = norm.f_double_value(&[]).map_err(catena_tensor::Error::from)?;
        cx.log_of_pass("grad_norm", norm, Reduce::MeanBy(1.0))?;
        if norm.is_finite() {
            return Ok(Flow::GO);
        }
        on_nonfinite.act(cx, &format!("the gradients' norm is {norm}"))
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::drive::{LoaderScope, Member, PassScope, RunSettings, StageScope};
    use catena_chain::{Optimizers, Skip, Stop, testing};
    use catena_tensor::model::{Mode, Net};
    use catena_tensor::native::tensor::set_grad;
    use catena_tensor::optim::{Optimizer, Sgd};
    use catena_tensor::params::parameters;
    use catena_tensor::tch::{Device, Kind, Tensor, nn};

    use super::*;

    /// A model whose parameters are a vector and an empty one; its gradients are 3, -4 and none.
    fn driver_with_an_empty_parameter(callback: impl Callback + 'static) -> catena_chain::drive::Driver {
        let vs = nn::VarStore::new(Device::Cpu);
        let empty = vs.root().zeros("empty", &[0, 5]);
        let full = vs.root().zeros("full", &[2]);
        set_grad(&empty, Some(&empty.zeros_like())).unwrap();
        set_grad(&full, Some(&Tensor::from_slice(&[3f32, -4.0]))).unwrap();
        let mut optimizers = Optimizers::default();
        optimizers.insert("main", Optimizer::new(Sgd::new(0.1), &parameters(&vs)).unwrap());
        let model = Box::new(Net::from_fn(vs, |_, _| Ok(Tensor::from(0.0).into())));
        let settings = RunSettings { seed: 0, device: Device::Cpu, run_dir: None };
        let mut driver =
            catena_chain::drive::Driver::new(model, vec![Member::new(Box::new(callback))], settings).unwrap();
        let passes = vec![PassScope { name: "main".into(), optimizer: Some("main".into()) }];
        let (name, evaluations) = ("stage".into(), Vec::new());
        driver.enter_stage(StageScope { index: 0, name, epochs: 1, passes, evaluations }, optimizers);
        driver.enter_epoch();
        driver.enter_loader(LoaderScope::new("train", Mode::Train, None));
        driver.enter_batch(testing::tiny_batch(1));
        driver.enter_pass(0).unwrap();
        driver
    }

    #[test]
    fn an_empty_parameter_is_clipped_to_nothing_by_every_norm_and_callback() {
        for (norm_type, expected) in [(f64::INFINITY, 4.0), (2.0, 5.0), (1.0, 7.0)] {
            let mut driver = driver_with_an_empty_parameter(ClipGradNorm::new(1.0).norm_type(norm_type));
            driver.fire(Event::Step).unwrap();
            let norm = driver.context_mut().metrics.so_far("grad_norm").unwrap().unwrap();
            assert!((norm - expected).abs() < 1e-6, "{norm}");
            let clipped = driver.context().model.var_store().variables()["full"].grad().double_value(&[1]);
            assert!((clipped + 4.0 / expected).abs() < 1e-5, "{clipped}");
        }
        let norms = crate::GradNorms::new().norm_type(f64::INFINITY).param_norms(true);
        let mut driver = driver_with_an_empty_parameter(norms);
        driver.fire(Event::Step).unwrap();
        assert_eq!(driver.context_mut().metrics.so_far("grad_norm/empty").unwrap(), Some(0.0));
        for flow in [
            driver_with_an_empty_parameter(crate::AdaptiveClip::new(0.5).on_nonfinite(OnNan::Error))
                .fire(Event::Step),
            driver_with_an_empty_parameter(crate::ClipGradValue::new(0.5)).fire(Event::Step),
        ] {
            assert_eq!(flow.unwrap(), Flow::GO);
        }
    }

    #[test]
    fn a_norm_that_is_not_finite_is_passed_skipped_stopped_or_raised_by_choice() {
        let fire = |clip: ClipGradNorm| {
            let mut driver = testing::driver(vec![Box::new(clip)])?;
            let bias = driver.context().model.var_store().variables()["fc.bias"].shallow_clone();
            set_grad(&bias, Some(&Tensor::full([3], f64::NAN, (Kind::Float, Device::Cpu))))?;
            Ok::<_, catena_chain::BoxError>(driver.fire(Event::Step)?)
        };
        let clip = || ClipGradNorm::new(1.0);
        assert_eq!(fire(clip()).unwrap(), Flow::GO);
        assert_eq!(fire(clip().on_nonfinite(OnNan::SkipStep)).unwrap(), Flow::SKIP_STEP);
        let stopped = fire(clip().on_nonfinite(OnNan::StopRun)).unwrap();
        assert_eq!((stopped.skip, stopped.stop), (Skip::Step, Stop::Run));
        let text = fire(clip().on_nonfinite(OnNan::Error)).unwrap_err().to_string();
        assert!(text.contains("the gradients' norm is NaN"), "{text}");
    }
}
