//! Clips gradients relative to their parameters.
use catena_chain::{About, Callback, Context, Event, Flow, Lifetime, Phase, Result, State};
use catena_tensor::settings::Range;
use catena_tensor::tch::{self, Kind, Tensor};
use serde::{Deserialize, Serialize};

use crate::control::nan_guard::OnNan;
use crate::control::nan_guard::check_gradients;

/// Adaptive gradient clipping (Brock et al. 2021, "High-performance large-scale image recognition without normalization"):
/// scales the gradient of each unit down so that its norm is at most `clip_factor` times the norm of the unit's weights, once a
/// window. A unit is a row of a parameter of two or more dimensions, or a whole smaller parameter; norms of weights below `eps`
/// count as `eps`. On resume: nothing to keep.
///
/// ```
/// use catena_callbacks::AdaptiveClip;
/// use catena_chain::Callback;
///
/// let clip = AdaptiveClip::new(0.01).exclude("head.*");
/// assert!(clip.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaptiveClip {
    /// How large a gradient may be, as a share of the norm of its own weights.
    clip_factor: f64,
    #[serde(default = "default_eps")]
    eps: f64,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    on_nonfinite: Option<OnNan>,
}

fn default_eps() -> f64 {
    1e-3
}

impl AdaptiveClip {
    /// To this share of the weights' norm.
    pub fn new(clip_factor: f64) -> Self {
        Self { clip_factor, eps: default_eps(), exclude: Vec::new(), on_nonfinite: None }
    }

    /// The smallest norm that weights count with (default 1e-3).
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// Leaves parameters out by name pattern; the paper leaves out the last layer.
    #[must_use]
    pub fn exclude(mut self, pattern: impl Into<String>) -> Self {
        self.exclude.push(pattern.into());
        self
    }

    /// What happens when a gradient is NaN or infinite (default nothing: the unit's gradient becomes NaN). To know, it waits for the
    /// device at every step.
    #[must_use]
    pub fn on_nonfinite(mut self, on_nonfinite: OnNan) -> Self {
        self.on_nonfinite = Some(on_nonfinite);
        self
    }

    fn clip(&self, param: &Tensor) -> std::result::Result<(), tch::TchError> {
        let mut grad = param.f_grad()?;
        if !grad.defined() {
            return Ok(());
        }
        let weights = unit_norm(&param.f_detach()?)?.f_clamp_min(self.eps)?;
        let gradients = unit_norm(&grad)?.f_clamp_min(1e-6)?;
        let factor = (weights * self.clip_factor / gradients).f_clamp_max(1.0)?;
        let _clipped = grad.f_mul_(&factor)?;
        Ok(())
    }
}

/// The norm of each row, or of the whole, in f32 at least.
fn unit_norm(tensor: &Tensor) -> std::result::Result<Tensor, tch::TchError> {
    let tensor = match tensor.f_kind()? {
        Kind::Half | Kind::BFloat16 => &tensor.f_to_kind(Kind::Float)?,
        _ => tensor,
    };
    let dimensions: Vec<i64> = match tensor.dim() as i64 {
        0 | 1 => return tensor.f_norm(),
        n => (1..n).collect(),
    };
    tensor.f_square()?.f_sum_dim_intlist(&dimensions[..], true, None::<Kind>)?.f_sqrt()
}

impl Callback for AdaptiveClip {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Clip, [Event::StageStart, Event::Step])
            .per_pass()
            .logs_nothing()
            .lifetime(Lifetime::Stage)
            .syncs(self.on_nonfinite.is_some())
            .settings(self)
    }

    fn state(&self) -> State {
        State::none()
    }

    fn check(&self) -> Result<()> {
        Range::Above(0.0).setting("clip_factor", self.clip_factor)?;
        Ok(Range::Above(0.0).setting("eps", self.eps)?)
    }

    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        // a pattern that matches nothing in any pass is an error here, not at the thousandth step
        for pattern in &self.exclude {
            let mut matched: Vec<_> =
                cx.optimizers.iter().map(|(_, optimizer)| optimizer.matching(pattern).map(drop)).collect();
            if matched.iter().all(|matched| matched.is_err()) {
                matched.pop().ok_or("no pass has an optimizer whose gradients could be clipped")??;
            }
        }
        Ok(Flow::GO)
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.skips_step() {
            return Ok(Flow::GO);
        }
        let flow = check_gradients(self.on_nonfinite, cx)?;
        if flow != Flow::GO {
            return Ok(flow);
        }
        let _no_grad = tch::no_grad_guard();
        let excluded = self.excluded(cx)?;
        for (param, excluded) in cx.optimizer_mut()?.params().iter().zip(excluded) {
            if !excluded {
                self.clip(param)?;
            }
        }
        Ok(Flow::GO)
    }
}

impl AdaptiveClip {
    fn excluded(&self, cx: &mut Context) -> Result<Vec<bool>> {
        let optimizer = cx.optimizer_mut()?;
        let mut excluded = vec![false; optimizer.names().len()];
        // a pattern may be another pass's
        for matched in self.exclude.iter().filter_map(|pattern| optimizer.matching(pattern).ok()) {
            excluded.iter_mut().zip(matched).for_each(|(excluded, matched)| *excluded |= matched);
        }
        Ok(excluded)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::testing;
    use catena_tensor::native::tensor::set_grad;

    use super::*;

    #[test]
    fn each_rows_gradient_is_at_most_its_share_of_the_rows_weights() {
        let mut driver = testing::driver(vec![Box::new(AdaptiveClip::new(0.5))]).unwrap();
        let weight = driver.context().model.var_store().variables()["fc.weight"].shallow_clone();
        // rows of four weights of 0.1: norm 0.2, so gradients go down to 0.1; the last row is small enough
        let grad = Tensor::from_slice(&[3f32, 0., 0., 0., 0., 4., 3., 0., 0.01, 0., 0., 0.]).view([3, 4]);
        set_grad(&weight, Some(&grad)).unwrap();
        driver.fire(Event::Step).unwrap();
        let norms: Vec<f64> =
            unit_norm(&weight.grad()).unwrap().view([3]).to_kind(Kind::Double).try_into().unwrap();
        for (norm, expected) in norms.iter().zip([0.1, 0.1, 0.01]) {
            assert!((norm - expected).abs() < 1e-7, "{norms:?}");
        }
    }

    #[test]
    fn an_infinite_gradient_spoils_its_unit_unless_something_else_is_chosen() {
        let fire = |clip: AdaptiveClip| {
            let mut driver = testing::driver(vec![Box::new(clip)]).unwrap();
            let bias = driver.context().model.var_store().variables()["fc.bias"].shallow_clone();
            set_grad(&bias, Some(&Tensor::from_slice(&[f32::INFINITY, 0.0, 0.0]))).unwrap();
            let flow = driver.fire(Event::Step).unwrap();
            (flow, bias.grad().double_value(&[0]))
        };
        let (flow, spoilt) = fire(AdaptiveClip::new(0.5));
        assert!(flow == Flow::GO && spoilt.is_nan());
        assert_eq!(
            fire(AdaptiveClip::new(0.5).on_nonfinite(OnNan::SkipStep)),
            (Flow::SKIP_STEP, f64::INFINITY)
        );
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_an_error_at_the_stages_start() {
        let mut driver = testing::driver(vec![Box::new(AdaptiveClip::new(0.5).exclude("head.*"))]).unwrap();
        let text = driver.fire(Event::StageStart).unwrap_err().to_string();
        assert!(text.contains("the pattern `head.*` matches no parameter"), "{text}");
    }
}
