//! An exponential moving average of the weights.
use catena_chain::{Callback, Context, Event, Events, Flow, Outcome, Phase, Result, State};
use catena_tensor::model::Mode;
use catena_tensor::params::state_dict;
use catena_tensor::tch::{self, Tensor};

/// Keeps an exponential moving average of parameters and buffers, and puts it into the model for Eval and Infer loaders.
///
/// After each step of the first pass: `average = decay * average + (1 - decay) * weights`; the first step copies the weights.
/// Buffers that are no floating-point numbers are copied. Source: `torch.optim.swa_utils.AveragedModel` with
/// `get_ema_multi_avg_fn(decay)`, and buffers averaged too (`use_buffers=True`). With [`Ema::warm_up`] the decay after `t`
/// steps is at most `(1 + t) / (10 + t)`.
///
/// The model holds its own weights again at every `loader_end`, so a snapshot's model is never the average. On resume: the
/// average, by the variables' names, and the count of steps are kept.
///
/// ```
/// use catena_callbacks::{Ema, Optimize};
/// use catena_chain::{Event, testing};
///
/// let mut driver = testing::driver(vec![Box::new(Optimize), Box::new(Ema::new(0.99))])?;
/// driver.fire(Event::Step)?;
/// let state = driver.chain().members()[1].callback().state();
/// let names: Vec<&str> = state.tensors.iter().map(|(name, _)| name.as_str()).collect();
/// assert_eq!(names, ["fc.bias", "fc.weight"]);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Debug)]
pub struct Ema {
    decay: f64,
    warm_up: bool,
    by_epoch: bool,
    evaluate: bool,
    updates: u64,
    average: Vec<(String, Tensor)>,
    swapped: bool,
}

impl Ema {
    /// With this decay, such as 0.999.
    pub fn new(decay: f64) -> Self {
        let (warm_up, by_epoch, evaluate) = (false, false, true);
        Self { decay, warm_up, by_epoch, evaluate, updates: 0, average: Vec::new(), swapped: false }
    }

    /// Begins with a small decay: at most `(1 + t) / (10 + t)` after `t` updates (default false).
    #[must_use]
    pub fn warm_up(mut self) -> Self {
        self.warm_up = true;
        self
    }

    /// Updates at the end of each epoch, not after each step.
    #[must_use]
    pub fn by_epoch(mut self) -> Self {
        self.by_epoch = true;
        self
    }

    /// Whether evaluations see the average (default true).
    #[must_use]
    pub fn evaluate(mut self, evaluate: bool) -> Self {
        self.evaluate = evaluate;
        self
    }

    fn decay_now(&self) -> f64 {
        let t = self.updates as f64;
        if self.warm_up { self.decay.min((1.0 + t) / (10.0 + t)) } else { self.decay }
    }

    fn update(&mut self, cx: &Context) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let weights = state_dict(cx.model.var_store());
        if self.average.is_empty() {
            let copies = weights.iter().map(|(name, tensor)| Ok((name.clone(), tensor.f_detach_copy()?)));
            self.average = copies.collect::<Result<_>>()?;
        } else {
            self.fits(&weights)?;
            let share = 1.0 - self.decay_now();
            for ((_, average), (_, weight)) in self.average.iter_mut().zip(&weights) {
                if weight.is_floating_point() {
                    let _moved = average.f_lerp_(&weight.f_detach()?, share)?;
                } else {
                    average.f_copy_(weight)?;
                }
            }
        }
        self.updates += 1;
        Ok(())
    }

    fn fits(&self, weights: &[(String, Tensor)]) -> Result<()> {
        let same = |((a, x), (b, y)): (&(String, Tensor), &(String, Tensor))| a == b && x.size() == y.size();
        if self.average.len() == weights.len() && self.average.iter().zip(weights).all(same) {
            return Ok(());
        }
        Err("the average belongs to other variables than the model has now".into())
    }

    /// Exchanges the model's weights and the average.
    fn swap(&mut self, cx: &Context) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let weights = state_dict(cx.model.var_store());
        self.fits(&weights)?;
        for ((_, average), (_, weight)) in self.average.iter_mut().zip(weights) {
            let mut weight = weight.f_detach()?;
            let own = weight.f_detach_copy()?;
            weight.f_copy_(average)?;
            average.f_copy_(&own)?;
        }
        self.swapped = !self.swapped;
        Ok(())
    }
}

impl Callback for Ema {
    fn state(&self) -> State {
        let Self { decay: _, warm_up: _, by_epoch: _, evaluate: _, updates, average, swapped: _ } = self;
        let tensors = average.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
        State { json: (*updates).into(), tensors }
    }

    fn load_state(&mut self, state: State) -> Result<()> {
        self.updates = state.read()?;
        self.average = state.tensors;
        Ok(())
    }

    fn phase(&self) -> Phase {
        Phase::Average
    }

    fn hears(&self) -> Events {
        Events::of(&[Event::LoaderStart, Event::Step, Event::LoaderEnd, Event::EpochEnd, Event::Exception])
    }

    fn logs(&self) -> Option<Vec<String>> {
        Some(Vec::new())
    }

    fn check(&self) -> Result<()> {
        if (0.0..1.0).contains(&self.decay) {
            return Ok(());
        }
        Err(format!("`decay` is {}, but must be in [0, 1)", self.decay).into())
    }

    fn note(&self) -> String {
        format!("decay {}", self.decay)
    }

    fn on_loader_start(&mut self, cx: &mut Context) -> Result<Flow> {
        if self.evaluate && cx.mode() != Mode::Train && !self.average.is_empty() {
            self.swap(cx)?;
        }
        Ok(Flow::GO)
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        if !self.by_epoch && cx.pass_index() == 0 && *cx.outcome() == Outcome::Stepped {
            self.update(cx)?;
        }
        Ok(Flow::GO)
    }

    fn on_loader_end(&mut self, cx: &mut Context) -> Result<Flow> {
        if self.swapped {
            self.swap(cx)?;
        }
        Ok(Flow::GO)
    }

    fn on_epoch_end(&mut self, cx: &mut Context) -> Result<Flow> {
        if self.by_epoch {
            self.update(cx)?;
        }
        Ok(Flow::GO)
    }

    fn on_exception(&mut self, cx: &mut Context) -> Result<Flow> {
        self.on_loader_end(cx)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::testing;
    use catena_tensor::tch::Kind;

    use super::*;

    fn bias(cx: &Context) -> Tensor {
        cx.model.var_store().variables()["fc.bias"].shallow_clone()
    }

    fn set(cx: &Context, value: f64) {
        let _no_grad = tch::no_grad_guard();
        let _filled = bias(cx).fill_(value);
    }

    fn average(driver: &catena_chain::Driver) -> f64 {
        let state = driver.chain().members()[0].callback().state();
        let (_, tensor) = state.tensors.iter().find(|(name, _)| name == "fc.bias").unwrap();
        tensor.to_kind(Kind::Double).double_value(&[0])
    }

    fn step(driver: &mut catena_chain::Driver, value: f64) {
        driver.enter_pass(0);
        set(driver.context(), value);
        driver.context_mut().mark_stepped();
        driver.fire(Event::Step).unwrap();
    }

    #[test]
    fn it_is_torchs_average_and_a_step_that_was_skipped_does_not_move_it() {
        let mut driver = testing::driver(vec![Box::new(Ema::new(0.5))]).unwrap();
        for (value, expected) in [(1.0, 1.0), (2.0, 1.5), (4.0, 2.75)] {
            step(&mut driver, value);
            assert_eq!(average(&driver), expected);
        }
        driver.enter_pass(0);
        set(driver.context(), 100.0);
        driver.fire(Event::Step).unwrap();
        assert_eq!(average(&driver), 2.75);
    }

    #[test]
    fn warming_up_begins_with_a_small_decay() {
        let mut ema = Ema::new(0.999).warm_up();
        let mut decays = vec![];
        for updates in [0, 1, 10, 100_000] {
            ema.updates = updates;
            decays.push(ema.decay_now());
        }
        assert_eq!(decays, [0.1, 2.0 / 11.0, 0.55, 0.999]);
    }

    #[test]
    fn evaluations_see_the_average_and_the_weights_come_back_even_after_an_error() {
        use catena_chain::LoaderScope;
        for end in [Event::LoaderEnd, Event::Exception] {
            let mut driver = testing::driver(vec![Box::new(Ema::new(0.5))]).unwrap();
            step(&mut driver, 1.0);
            step(&mut driver, 2.0);
            driver.enter_loader(LoaderScope::new("valid", Mode::Eval, None));
            driver.fire(Event::LoaderStart).unwrap();
            assert_eq!(bias(driver.context()).double_value(&[0]), 1.5);
            match end {
                Event::Exception => driver.fire_exception(&std::io::Error::other("lost")),
                end => drop(driver.fire(end).unwrap()),
            }
            assert_eq!(bias(driver.context()).double_value(&[0]), 2.0, "after {end}");
            assert_eq!(average(&driver), 1.5);
        }
    }
}
