//! Logs the norm of each parameter's gradient.
use catena_chain::{About, Callback, Context, Event, Flow, Phase, Reduce, Result, State};
use catena_tensor::params::matching;
use catena_tensor::settings::Range;
use catena_tensor::tch::{self, Kind, Tensor};
use serde::{Deserialize, Serialize};

/// Logs the norm of each parameter's gradient as `grad_norm/<parameter>`, once a window, and on demand that of the parameter
/// itself as `param_norm/<parameter>`: where gradients vanish or explode. Of the parameters of the pass's optimizer; those
/// without a gradient are left out. Nothing waits for the device.
///
/// The gradients are those that it finds: put it before a clip to see them unclipped. Norms of all parameters cost a kernel each,
/// so let it hear a step now and then: `GradNorms::new().every(Every::Steps(100))`. On resume: nothing to keep.
///
/// ```
/// use catena_callbacks::{Backward, Criterion, Forward, GradNorms};
/// use catena_chain::{Callback, Event, testing};
/// use catena_tensor::loss::CrossEntropy;
///
/// let chain: Vec<Box<dyn Callback>> = vec![
///     Box::new(Forward),
///     Box::new(Criterion::new(CrossEntropy::new())),
///     Box::new(Backward),
///     Box::new(GradNorms::new().matching("*.weight").param_norms(true)),
/// ];
/// let mut driver = testing::driver(chain)?;
/// for event in [Event::Forward, Event::Loss, Event::Backward, Event::Step] {
///     driver.fire(event)?;
/// }
/// let metrics: Vec<(&str, f64)> = driver.context_mut().metrics.all_so_far()?.collect();
/// let names: Vec<&str> = metrics.iter().map(|(name, _)| *name).collect();
/// assert_eq!(names, ["loss", "grad_norm/fc.weight", "param_norm/fc.weight"]);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GradNorms {
    /// Which parameters, by a pattern of their names.
    pattern: String,
    #[serde(with = "catena_record::float")]
    norm_type: f64,
    param_norms: bool,
}

impl Default for GradNorms {
    fn default() -> Self {
        Self { pattern: "*".into(), norm_type: 2.0, param_norms: false }
    }
}

impl GradNorms {
    /// The 2-norms of all gradients.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of the parameters whose names match a pattern (default all).
    #[must_use]
    pub fn matching(mut self, pattern: impl Into<String>) -> Self {
        self.pattern = pattern.into();
        self
    }

    /// Another norm (default 2); infinity is the largest magnitude.
    #[must_use]
    pub fn norm_type(mut self, norm_type: f64) -> Self {
        self.norm_type = norm_type;
        self
    }

    /// Whether the parameters' own norms are logged too (default false).
    #[must_use]
    pub fn param_norms(mut self, param_norms: bool) -> Self {
        self.param_norms = param_norms;
        self
    }

    fn norm(&self, tensor: &Tensor) -> Result<Tensor> {
        let kind = if tensor.f_kind()? == Kind::Double { Kind::Double } else { Kind::Float };
        if tensor.numel() == 0 {
            // libtorch refuses the infinity norm of nothing
            return Ok(Tensor::f_zeros([0i64; 0], (kind, tensor.device()))?);
        }
        Ok(tensor.f_norm_scalaropt_dtype(self.norm_type, kind)?)
    }
}

impl Callback for GradNorms {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Clip, [Event::StageStart, Event::Step]).looks().note(format!(
            "{}{}",
            self.pattern,
            if self.param_norms { ", parameters too" } else { "" }
        ))
    }

    fn state(&self) -> State {
        State::none()
    }

    fn check(&self) -> Result<()> {
        Ok(Range::AboveOrInfinite(0.0).setting("norm_type", self.norm_type)?)
    }

    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        let all: Vec<_> =
            cx.optimizers.iter().map(|(_, optimizer)| optimizer.matching(&self.pattern)).collect();
        if all.iter().all(std::result::Result::is_err) {
            // the error lists the names of all passes
            let names = cx.optimizers.iter().flat_map(|(_, optimizer)| optimizer.names());
            matching(&self.pattern, names.map(String::as_str))?;
        }
        Ok(Flow::GO)
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.skips_step() {
            return Ok(Flow::GO);
        }
        let _no_grad = tch::no_grad_guard();
        let optimizer = cx.optimizer_mut()?;
        // it matches in one of the stage's passes, not in all of them
        let chosen = optimizer.matching(&self.pattern);
        let mut norms = Vec::new();
        for ((name, param), chosen) in
            optimizer.names().iter().zip(optimizer.params()).zip(chosen.unwrap_or_default())
        {
            let grad = param.f_grad()?;
            if !chosen || !grad.defined() {
                continue;
            }
            norms.push((format!("grad_norm/{name}"), self.norm(&grad)?));
            if self.param_norms {
                norms.push((format!("param_norm/{name}"), self.norm(param)?));
            }
        }
        norms.into_iter().try_for_each(|(name, norm)| cx.log(&name, norm, Reduce::MeanBy(1.0)))?;
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::testing;
    use catena_tensor::native::tensor::set_grad;

    use super::*;

    fn fire(norms: GradNorms) -> Vec<(String, f64)> {
        let mut driver = testing::driver(vec![Box::new(norms)]).unwrap();
        driver.fire(Event::StageStart).unwrap();
        let variables = driver.context().model.var_store().variables();
        set_grad(&variables["fc.bias"], Some(&Tensor::from_slice(&[3f32, 0.0, -4.0]))).unwrap();
        driver.fire(Event::Step).unwrap();
        let metrics = driver.context_mut().metrics.all_so_far().unwrap();
        metrics.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    #[test]
    fn each_gradient_that_is_there_has_its_norm() {
        assert_eq!(fire(GradNorms::new()), [("grad_norm/fc.bias".to_owned(), 5.0)]);
        let largest = fire(GradNorms::new().norm_type(f64::INFINITY).param_norms(true));
        assert_eq!(largest, [("grad_norm/fc.bias".to_owned(), 4.0), ("param_norm/fc.bias".to_owned(), 0.0)]);
        assert_eq!(fire(GradNorms::new().matching("*.weight")), []);
    }

    #[test]
    fn an_empty_parameter_has_norm_0() {
        for norm_type in [1.0, 2.0, f64::INFINITY] {
            let norms = GradNorms::new().norm_type(norm_type);
            let empty = Tensor::zeros([0, 2], (Kind::Float, tch::Device::Cpu));
            assert_eq!(norms.norm(&empty).unwrap().double_value(&[]), 0.0, "{norm_type}");
        }
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_an_error_at_the_stages_start() {
        let mut driver = testing::driver(vec![Box::new(GradNorms::new().matching("head.*"))]).unwrap();
        let text = driver.fire(Event::StageStart).unwrap_err().to_string();
        assert!(text.contains("the pattern `head.*` matches no parameter"), "{text}");
    }
}
