//! Looks whether the model's tensors have stayed finite.
use std::collections::BTreeSet;

use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, Role, State};
use catena_tensor::params::state_dict;
use catena_tensor::tch::{Kind, Tensor};
use serde::{Deserialize, Serialize};

/// Looks at the end of each Train loader whether a parameter or a buffer of the model has become NaN or infinite, and ends the run with
/// an error that names it.
///
/// A batch norm that has seen one value a channel is a way to get there, and so is a learning rate that is too high: the losses may look
/// as ever, and each number from then on is wrong. Tensors that were not finite at the stage's start (a mask of `-inf`) are left out, and so
/// are tensors of whole numbers. It waits for the device once at each stage's start and once a Train loader.
///
/// The runner puts it into each stage that trains, unless a callback of this role is there. [`FiniteModel::warn`] makes the error a
/// warning. On resume: which tensors are looked at is kept.
///
/// ```
/// use catena_callbacks::FiniteModel;
/// use catena_chain::{Event, testing};
/// use catena_tensor::tch::no_grad;
///
/// let mut driver = testing::driver(vec![Box::new(FiniteModel::new())])?;
/// driver.fire(Event::StageStart)?;
/// driver.fire(Event::LoaderEnd)?;
/// let bias = driver.context().model.var_store().variables()["fc.bias"].shallow_clone();
/// no_grad(|| bias.shallow_clone().fill_(f64::NAN));
/// let error = driver.fire(Event::LoaderEnd).unwrap_err();
/// assert!(error.to_string().contains("`fc.bias` has become NaN or infinite"));
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FiniteModel {
    warn: bool,
    /// The names of tensors that were not finite at the stage's start, or that have been told of.
    #[serde(skip)]
    left_out: BTreeSet<String>,
}

impl FiniteModel {
    /// An error ends the run.
    pub fn new() -> Self {
        Self::default()
    }

    /// Logs a warning in place of an error (default false). Each tensor is told once a stage.
    #[must_use]
    pub fn warn(mut self) -> Self {
        self.warn = true;
        self
    }

    /// The names of those that are looked at and not finite.
    fn found(&self, cx: &Context) -> Result<Vec<String>> {
        let looked_at = |(name, tensor): &(String, Tensor)| {
            !self.left_out.contains(name) && tensor.is_floating_point() && tensor.numel() > 0
        };
        let all: Vec<_> = state_dict(cx.model.var_store()).into_iter().filter(looked_at).collect();
        // the reads are one for each device: nearly always one
        let device = cx.device();
        let flags = all.iter().map(|(_, t)| t.f_detach()?.f_isfinite()?.f_all()?.f_to_device(device));
        let flags = flags.collect::<std::result::Result<Vec<Tensor>, _>>()?;
        if flags.is_empty() {
            return Ok(Vec::new());
        }
        let finite: Vec<i64> = Tensor::f_stack(&flags, 0)?.f_to_kind(Kind::Int64)?.try_into()?;
        Ok(all
            .into_iter()
            .zip(finite)
            .filter(|(_, finite)| *finite == 0)
            .map(|((name, _), _)| name)
            .collect())
    }
}

impl Callback for FiniteModel {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Decide, [Event::StageStart, Event::LoaderEnd])
            .looks()
            .role(Role::FiniteModel)
            .logs_nothing()
            .settings(self)
    }

    fn state(&self) -> State {
        let Self { warn: _, left_out } = self;
        State::of(left_out).unwrap_or_default()
    }

    fn load_state(&mut self, state: State) -> Result<()> {
        self.left_out = state.read()?;
        Ok(())
    }

    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        self.left_out.clear();
        self.left_out = self.found(cx)?.into_iter().collect();
        Ok(Flow::GO)
    }

    fn on_loader_end(&mut self, cx: &mut Context) -> Result<Flow> {
        if !cx.is_train() {
            return Ok(Flow::GO);
        }
        let found = self.found(cx)?;
        let Some(first) = found.first() else { return Ok(Flow::GO) };
        let more = match found.len() {
            1 => "has".into(),
            n => format!("and {} more of the model's tensors have", n - 1),
        };
        let text = format!(
            "`{first}` {more} become NaN or infinite in loader `{}`: a batch norm's buffer does so after a batch with one value a channel \
             (leave a short last batch out with `drop_last`), a parameter after a step that was too large (lower the learning rate, clip the \
             gradients, or find the step with `NanGuard`)",
            cx.loader()
        );
        if !self.warn {
            return Err(text.into());
        }
        log::warn!("{}: {text}", cx.place());
        self.left_out.extend(found);
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::testing;
    use catena_tensor::tch::no_grad;

    use super::*;

    #[test]
    fn what_was_infinite_before_is_no_fault_and_a_warning_is_told_once() {
        let mut driver = testing::driver(vec![Box::new(FiniteModel::new().warn())]).unwrap();
        let variables = driver.context().model.var_store().variables();
        let _ = no_grad(|| variables["fc.bias"].shallow_clone().fill_(f64::NEG_INFINITY));
        driver.fire(Event::StageStart).unwrap();
        let told = |driver: &mut catena_chain::drive::Driver| {
            assert_eq!(driver.fire(Event::LoaderEnd).unwrap(), Flow::GO);
            driver.chain().members()[0].callback().state().json
        };
        assert_eq!(told(&mut driver), serde_json::json!(["fc.bias"]));
        let _ = no_grad(|| variables["fc.weight"].shallow_clone().fill_(f64::NAN));
        for _ in 0..2 {
            assert_eq!(told(&mut driver), serde_json::json!(["fc.bias", "fc.weight"]));
        }
    }
}
