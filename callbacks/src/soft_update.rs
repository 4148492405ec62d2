//! Moves a target network slowly towards another.
use catena_chain::{About, Callback, Context, Event, Flow, Outcome, Phase, Result, State};
use catena_tensor::params::state_dict;
use catena_tensor::tch;
use serde::{Deserialize, Serialize};

/// After each step: `target = (1 - tau) * target + tau * source`, for each pair of variables of the model whose names differ in
/// their prefix only (Lillicrap et al. 2016). The target should be frozen, or left out of the optimizer. On resume: the target
/// is part of the model, so there is nothing to keep here.
///
/// ```
/// use catena_callbacks::SoftUpdate;
/// use catena_chain::Callback;
///
/// let update = SoftUpdate::new("online.", "target.", 0.005);
/// assert!(update.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftUpdate {
    source: String,
    target: String,
    tau: f64,
}

impl SoftUpdate {
    /// From the variables with the prefix `source` to those with the prefix `target`.
    pub fn new(source: impl Into<String>, target: impl Into<String>, tau: f64) -> Self {
        Self { source: source.into(), target: target.into(), tau }
    }
}

impl Callback for SoftUpdate {
    fn about(&self) -> About {
        About::of::<Self>()
            .phase(Phase::Average)
            .hears([Event::Step])
            .logs_nothing()
            .settings(self)
            .note(format!("{} to {}, tau {}", self.source, self.target, self.tau))
    }

    fn state(&self) -> State {
        State::none()
    }

    fn check(&self) -> Result<()> {
        if self.tau > 0.0 && self.tau <= 1.0 {
            return Ok(());
        }
        Err(format!("`tau` is {}, but must be in (0, 1]", self.tau).into())
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        if *cx.outcome() != Outcome::Stepped {
            return Ok(Flow::GO);
        }
        let _no_grad = tch::no_grad_guard();
        let variables = state_dict(cx.model.var_store());
        let mut pairs = 0;
        for (name, source) in &variables {
            let Some(rest) = name.strip_prefix(&self.source) else { continue };
            let target = format!("{}{rest}", self.target);
            let Some((_, target)) = variables.iter().find(|(name, _)| *name == target) else {
                return Err(format!("`{name}` has no counterpart `{target}` to update").into());
            };
            let mut target = target.f_detach()?;
            if source.is_floating_point() {
                let _moved = target.f_lerp_(&source.f_detach()?, self.tau)?;
            } else {
                target.f_copy_(source)?;
            }
            pairs += 1;
        }
        if pairs == 0 {
            return Err(format!("no variable's name begins with `{}`", self.source).into());
        }
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::testing;
    use catena_tensor::model::Net;
    use catena_tensor::tch::{Device, Kind, nn};

    use super::*;

    #[test]
    fn the_target_moves_by_tau_and_only_after_a_step() {
        let vs = nn::VarStore::new(Device::Cpu);
        let filled = |name: &str, value: f64| {
            let init = nn::Init::Const(value);
            let config = nn::LinearConfig { ws_init: init, bs_init: Some(init), bias: true };
            nn::linear(vs.root() / name, 2, 1, config)
        };
        let (online, target) = (filled("online", 1.0), filled("target", 0.0));
        let mut driver =
            testing::driver(vec![Box::new(SoftUpdate::new("online.", "target.", 0.25))]).unwrap();
        driver.context_mut().model = Box::new(Net::new(vs, online));
        driver.fire(Event::Step).unwrap();
        assert_eq!(target.ws.sum(Kind::Double).double_value(&[]), 0.0);
        driver.context_mut().mark_stepped();
        driver.fire(Event::Step).unwrap();
        driver.fire(Event::Step).unwrap();
        assert_eq!(target.ws.double_value(&[0, 0]), 0.4375);
    }
}
