//! Logs the share of units that never fire.
use catena_chain::{About, Callback, Context, Event, Flow, Phase, Reduce, Result, State};
use catena_tensor::settings::Range;
use catena_tensor::tch::{self, Kind, Tensor};
use serde::{Deserialize, Serialize};

/// Logs as `dead/<output>` the share of units whose activation was zero in every batch of a loader, from 0 to 1: units behind a
/// ReLU that no longer learn.
///
/// What it looks at are tensors that the model returns by name beside its output, since a module of tch tells nobody what passes
/// through it:
///
/// ```
/// use catena_callbacks::{DeadActivations, Forward};
/// use catena_chain::{Callback, Event, testing};
/// use catena_tensor::model::Net;
/// use catena_tensor::tch::nn::{self, Module};
/// use catena_tensor::tch::{Device, Tensor};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let (fc1, fc2) = (
///     nn::linear(vs.root() / "fc1", 4, 8, Default::default()),
///     nn::linear(vs.root() / "fc2", 8, 3, Default::default()),
/// );
/// let net = Net::from_fn(vs, move |batch, _| {
///     let hidden = fc1.forward(batch.get("input")?).relu();
///     Ok([("output", fc2.forward(&hidden)), ("hidden", hidden)].into())
/// });
///
/// let chain: Vec<Box<dyn Callback>> = vec![Box::new(Forward), Box::new(DeadActivations::new(["hidden"]))];
/// let mut driver = testing::driver(chain)?;
/// driver.context_mut().model = Box::new(net);
/// for event in [Event::LoaderStart, Event::Forward, Event::LoaderEnd] {
///     driver.fire(event)?;
/// }
/// driver.leave_loader()?;
/// assert!((0.0..=1.0).contains(&driver.context().metrics.get("train/dead/hidden").unwrap()));
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
///
/// Units are the indices of dimension 1 (channels, or features of `[batch, features]`), unless told otherwise. Nothing waits for
/// the device; a batch costs three small kernels an output. On resume: which units have fired in the open loader.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadActivations {
    /// The names of the outputs that are looked at.
    outputs: Vec<String>,
    #[serde(default = "channels")]
    unit_dim: i64,
    #[serde(default)]
    threshold: f64,
    #[serde(skip)]
    running: Vec<Fired>,
}

/// Which units have fired, an entry for each output.
type Fired = Vec<Option<Tensor>>;

fn channels() -> i64 {
    1
}

impl DeadActivations {
    /// Of these outputs.
    pub fn new<S: Into<String>>(outputs: impl IntoIterator<Item = S>) -> Self {
        let outputs = outputs.into_iter().map(Into::into).collect();
        Self { outputs, unit_dim: channels(), threshold: 0.0, running: Vec::new() }
    }

    /// The dimension that counts units (default 1); negative ones count from the end: -1 for `[batch, tokens, features]`.
    #[must_use]
    pub fn unit_dim(mut self, unit_dim: i64) -> Self {
        self.unit_dim = unit_dim;
        self
    }

    /// The magnitude up to which an activation is as good as zero (default 0).
    #[must_use]
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    /// For each unit, whether it fired in this batch. NaN fires: it is no zero.
    fn fired(&self, activation: &Tensor) -> Result<Tensor> {
        let units_first = activation.f_detach()?.f_movedim_int(self.unit_dim, 0)?.f_flatten(1, -1)?;
        Ok(units_first.f_abs()?.f_le(self.threshold)?.f_logical_not()?.f_any_dim(1, false)?)
    }
}

impl Callback for DeadActivations {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Measure, [Event::LoaderStart, Event::Forward, Event::LoaderEnd])
            .looks()
            .logs(self.outputs.iter().map(|output| format!("dead/{output}")))
            .note(self.outputs.join(", "))
    }

    fn state(&self) -> State {
        let Self { outputs, unit_dim: _, threshold: _, running } = self;
        // snapshots are taken where one loader is open at most
        let open = outputs.iter().zip(running.last().into_iter().flatten());
        let fired = open.filter_map(|(name, fired)| Some((name.clone(), fired.as_ref()?.shallow_clone())));
        State { json: serde_json::Value::Null, tensors: fired.collect(), ..State::none() }
    }

    fn load_state(&mut self, state: State) -> Result<()> {
        let Some(running) = self.running.last_mut() else { return Ok(()) };
        for (name, fired) in state.tensors {
            let own =
                self.outputs.iter().position(|output| *output == name).and_then(|at| running.get_mut(at));
            if let Some(own) = own {
                *own = Some(fired);
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if self.outputs.is_empty() {
            return Err("`outputs` is empty, but must name tensors that the model returns".into());
        }
        Ok(Range::AtLeast(0.0).setting("threshold", self.threshold)?)
    }

    fn on_loader_start(&mut self, _: &mut Context) -> Result<Flow> {
        self.running.push(self.outputs.iter().map(|_| None).collect());
        Ok(Flow::GO)
    }

    fn on_forward(&mut self, cx: &mut Context) -> Result<Flow> {
        let _no_grad = tch::no_grad_guard();
        let Some(mut running) = self.running.pop() else { return Ok(Flow::GO) };
        for (name, before) in self.outputs.iter().zip(&mut running) {
            // with several passes, each may return others
            let Some(activation) = cx.outputs.find(name) else { continue };
            let fired = self.fired(activation)?;
            *before = Some(match before.take() {
                Some(before) => before.f_to_device(fired.device())?.f_logical_or(&fired)?,
                None => fired,
            });
        }
        if cx.passes() == 1
            && let Some((name, _)) = self.outputs.iter().zip(&running).find(|(_, fired)| fired.is_none())
        {
            cx.outputs.get(name)?;
        }
        self.running.push(running);
        Ok(Flow::GO)
    }

    fn on_loader_end(&mut self, cx: &mut Context) -> Result<Flow> {
        let _no_grad = tch::no_grad_guard();
        let running = self.running.pop().unwrap_or_default();
        for (name, fired) in self.outputs.iter().zip(running) {
            if let Some(fired) = fired {
                let dead = fired.f_logical_not()?.f_to_kind(Kind::Double)?.f_mean(Kind::Double)?;
                cx.log(&format!("dead/{name}"), dead, Reduce::Last)?;
            }
        }
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::drive::Driver;
    use catena_chain::testing;
    use catena_tensor::tch::Device;

    use super::*;

    fn forward(driver: &mut Driver, hidden: &Tensor) {
        driver.context_mut().outputs.insert("hidden", hidden.shallow_clone());
        driver.fire(Event::Forward).unwrap();
    }

    fn dead(driver: &mut Driver) -> f64 {
        driver.fire(Event::LoaderEnd).unwrap();
        driver.context_mut().metrics.last("dead/hidden").unwrap().unwrap()
    }

    fn driver(dead: DeadActivations) -> Driver {
        let mut driver = testing::driver(vec![Box::new(dead)]).unwrap();
        driver.fire(Event::LoaderStart).unwrap();
        driver
    }

    #[test]
    fn a_unit_is_dead_if_no_sample_of_the_loader_made_it_fire() {
        let mut driver = driver(DeadActivations::new(["hidden"]));
        forward(&mut driver, &Tensor::from_slice2(&[[0f32, 0.0, 1.0, 0.0], [0.0, 2.0, 0.0, 0.0]]));
        forward(&mut driver, &Tensor::from_slice2(&[[0f32, 0.0, 3.0, f32::NAN]]));
        assert_eq!(dead(&mut driver), 0.25, "NaN is no zero");
    }

    #[test]
    fn units_are_channels_of_images_and_features_of_tokens() {
        let zeros = || Tensor::zeros([2, 3, 4, 5], (Kind::Float, Device::Cpu));
        for (dim, expected) in [(1, 2.0 / 3.0), (-1, 0.8), (2, 0.75)] {
            let mut driver = driver(DeadActivations::new(["hidden"]).unit_dim(dim));
            let hidden = zeros();
            let _filled = hidden.get(1).get(2).get(0).get(3).fill_(0.5);
            forward(&mut driver, &hidden);
            assert!((dead(&mut driver) - expected).abs() < 1e-15, "dimension {dim}");
        }
    }

    #[test]
    fn what_is_small_enough_can_count_as_zero() {
        let mut driver = driver(DeadActivations::new(["hidden"]).threshold(0.1));
        forward(&mut driver, &Tensor::from_slice2(&[[0.1f64, -0.1, -0.2, 0.3]]));
        assert_eq!(dead(&mut driver), 0.5);
    }

    #[test]
    fn what_has_fired_survives_a_resume_in_the_middle_of_a_loader() {
        let first = Tensor::from_slice2(&[[1f32, 0.0, 0.0, 0.0]]);
        let second = Tensor::from_slice2(&[[0f32, 1.0, 0.0, 0.0]]);
        let mut before = driver(DeadActivations::new(["hidden"]));
        forward(&mut before, &first);
        let state = before.chain().members()[0].callback().state();
        assert_eq!(state.tensors.len(), 1);
        let mut resumed = DeadActivations::new(["hidden"]);
        resumed.on_loader_start(before.context_mut()).unwrap();
        resumed.load_state(state).unwrap();
        before.context_mut().outputs.insert("hidden", second.shallow_clone());
        resumed.on_forward(before.context_mut()).unwrap();
        resumed.on_loader_end(before.context_mut()).unwrap();
        assert_eq!(before.context_mut().metrics.last("dead/hidden").unwrap(), Some(0.5));
    }

    #[test]
    fn an_output_that_the_model_does_not_return_is_an_error_that_names_those_it_does() {
        let mut driver = driver(DeadActivations::new(["hiden"]));
        driver.context_mut().outputs.insert("hidden", Tensor::from(1.0));
        let error = driver.fire(Event::Forward).unwrap_err();
        let text = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(text, "no tensor is named `hiden`; there are: hidden");
    }
}
