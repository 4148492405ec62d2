//! An exponential moving average of the weights.
use catena_chain::{About, Callback, Context, Event, Flow, Outcome, Phase, Result, State};
use catena_tensor::model::Mode;
use catena_tensor::settings::Range;
use serde::{Deserialize, Serialize};

use super::average::{Averages, WeightAverage};

/// Keeps an exponential moving average of parameters and buffers, and puts it into the model for Eval and Infer loaders.
///
/// After each step of the first pass: `average = decay * average + (1 - decay) * weights`; the first step copies the weights.
/// Buffers that are no floating-point numbers are copied. Source: `torch.optim.swa_utils.AveragedModel` with
/// `get_ema_multi_avg_fn(decay)`, and buffers averaged too (`use_buffers=True`). With [`Ema::warm_up`] the decay after `t`
/// steps is at most `(1 + t) / (10 + t)`.
///
/// The average is kept in f32 at least, whatever the weights' dtype, and rounded to theirs in the model.
///
/// The model holds its own weights again at every `loader_end`, so a snapshot's model is never the average; the average is
/// saved apart, and [`averaged`](crate::averaged) gives it. In a run of several stages it goes on from stage to stage; one that
/// belongs to a stage begins with it. On resume: the average, by the variables' names, and the count of updates are kept.
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
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ema {
    /// The share of the old average that stays at each update.
    decay: f64,
    #[serde(default)]
    warm_up: bool,
    #[serde(default)]
    by_epoch: bool,
    #[serde(default = "yes")]
    evaluate: bool,
    #[serde(skip)]
    average: WeightAverage,
    #[serde(skip)]
    stepped: bool,
}

fn yes() -> bool {
    true
}

impl Ema {
    /// With this decay, such as 0.999.
    pub fn new(decay: f64) -> Self {
        let (warm_up, by_epoch, evaluate) = (false, false, true);
        Self { decay, warm_up, by_epoch, evaluate, average: WeightAverage::default(), stepped: false }
    }

    /// Begins with a small decay: at most `(1 + t) / (10 + t)` after `t` updates (default false).
    #[must_use]
    pub fn warm_up(mut self) -> Self {
        self.warm_up = true;
        self
    }

    /// Updates at the end of each Train loader in which a step was made, not after each step; evaluations of the same epoch
    /// see it.
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

    fn decay_after(&self, updates: u64) -> f64 {
        let t = updates as f64;
        if self.warm_up { self.decay.min((1.0 + t) / (10.0 + t)) } else { self.decay }
    }

    fn update(&mut self, cx: &Context) -> Result<()> {
        let share = 1.0 - self.decay_after(self.average.updates());
        self.average.update(cx, share, Averages::Everything)
    }
}

impl Callback for Ema {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Average, [Event::LoaderStart, Event::Step, Event::LoaderEnd])
            .logs_nothing()
            .of_weights()
            .settings(self)
    }

    fn state(&self) -> State {
        let Self { decay: _, warm_up: _, by_epoch: _, evaluate: _, average, stepped } = self;
        State {
            json: serde_json::json!([average.updates(), stepped]),
            tensors: average.tensors(),
            ..State::none()
        }
    }

    fn load_state(&mut self, state: State) -> Result<()> {
        let (updates, stepped) = state.read()?;
        self.stepped = stepped;
        self.average.load(&state.tensors, updates)
    }

    fn check(&self) -> Result<()> {
        Ok(Range::ClosedOpen(0.0, 1.0).setting("decay", self.decay)?)
    }

    fn on_loader_start(&mut self, cx: &mut Context) -> Result<Flow> {
        if self.evaluate && cx.mode() != Mode::Train && !self.average.is_empty() {
            let average = self.average.values(cx)?;
            cx.put_in(average)?;
        }
        Ok(Flow::GO)
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.pass_index() == 0 && *cx.outcome() == Outcome::Stepped {
            self.stepped = self.by_epoch;
            if !self.by_epoch {
                self.update(cx)?;
            }
        }
        Ok(Flow::GO)
    }

    fn on_loader_end(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.is_train() && std::mem::take(&mut self.stepped) {
            self.update(cx)?;
        }
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::drive::LoaderScope;
    use catena_chain::testing;
    use catena_tensor::tch::{self, Kind, Tensor};

    use super::*;

    fn bias(cx: &Context) -> Tensor {
        cx.model.var_store().variables()["fc.bias"].shallow_clone()
    }

    fn set(cx: &Context, value: f64) {
        let _no_grad = tch::no_grad_guard();
        let _filled = bias(cx).fill_(value);
    }

    fn average(driver: &catena_chain::drive::Driver) -> f64 {
        let state = driver.chain().members()[0].callback().state();
        let (_, tensor) = state.tensors.iter().find(|(name, _)| name == "fc.bias").unwrap();
        tensor.to_kind(Kind::Double).double_value(&[0])
    }

    fn step(driver: &mut catena_chain::drive::Driver, value: f64) {
        driver.enter_pass(0).unwrap();
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
        driver.enter_pass(0).unwrap();
        set(driver.context(), 100.0);
        driver.fire(Event::Step).unwrap();
        assert_eq!(average(&driver), 2.75);
    }

    #[test]
    fn warming_up_begins_with_a_small_decay() {
        let ema = Ema::new(0.999).warm_up();
        let decays = [0, 1, 10, 100_000].map(|updates| ema.decay_after(updates));
        assert_eq!(decays, [0.1, 2.0 / 11.0, 0.55, 0.999]);
    }

    #[test]
    fn evaluations_see_the_average_and_the_weights_come_back_even_after_an_error() {
        for end in [Event::LoaderEnd, Event::Exception] {
            let mut driver = testing::driver(vec![Box::new(Ema::new(0.5))]).unwrap();
            step(&mut driver, 1.0);
            step(&mut driver, 2.0);
            driver.enter_loader(LoaderScope::new("valid", Mode::Eval, None));
            driver.fire(Event::LoaderStart).unwrap();
            assert_eq!(bias(driver.context()).double_value(&[0]), 1.5);
            assert_eq!(average(&driver), 1.5, "its state is the average, not what it stands in for");
            match end {
                Event::Exception => driver.fire_exception(&std::io::Error::other("lost")),
                end => drop(driver.fire(end).unwrap()),
            }
            assert_eq!(bias(driver.context()).double_value(&[0]), 2.0, "after {end}");
            assert_eq!(average(&driver), 1.5);
        }
    }

    #[test]
    fn by_epoch_it_moves_when_a_train_loader_ends_in_which_a_step_was_made() {
        let mut driver = testing::driver(vec![Box::new(Ema::new(0.5).by_epoch())]).unwrap();
        let mut averages = vec![];
        for steps in [vec![1.0, 2.0], vec![3.0, 4.0], vec![]] {
            driver.enter_loader(LoaderScope::new("train", Mode::Train, None));
            steps.into_iter().for_each(|value| step(&mut driver, value));
            driver.fire(Event::LoaderEnd).unwrap();
            averages.push(average(&driver));
        }
        assert_eq!(averages, [2.0, 3.0, 3.0]);
    }

    #[test]
    fn what_it_takes_back_is_a_copy_and_goes_on_as_it_was() {
        let mut driver = testing::driver(vec![Box::new(Ema::new(0.9).warm_up())]).unwrap();
        for value in [1.0, 2.0] {
            step(&mut driver, value);
        }
        let state = driver.chain().members()[0].callback().state();
        let of_file: Vec<Tensor> = state.tensors.iter().map(|(_, tensor)| tensor.shallow_clone()).collect();
        let mut ema = Ema::new(0.9).warm_up();
        ema.load_state(state).unwrap();
        let mut resumed = testing::driver(vec![Box::new(ema)]).unwrap();
        step(&mut driver, 5.0);
        let expected = average(&driver);
        for mut tensor in of_file {
            let _spoilt = tensor.fill_(-1.0);
        }
        step(&mut resumed, 5.0);
        assert_eq!(average(&resumed), expected);
    }
}
