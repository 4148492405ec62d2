//! The callback that drives a metric.
use std::collections::BTreeMap;

use catena_chain::{About, Callback, Context, Event, Flow, Only, Phase, Reduce, Result, State};
use catena_loggers::{Array, Payload};
use catena_metrics::{Computed, Metric, Seen};
use catena_tensor::batch::{OUTPUT, TARGET};
use catena_tensor::tch::{self, Kind, Tensor};

use super::over_loader::OverLoader;
use crate::logging::outbox::Outbox;

/// Feeds a metric at `loss` of Train and Eval batches, and logs its value when the loader ends: `valid/f1_score`.
///
/// The value is logged at `loader_end` in phase measure: callbacks after it find it among the loader's values, and from
/// `epoch_end` on with `cx.metrics.get("valid/f1_score")`. Numbers of classes are logged as `f1_score/0`, …; a tensor (a
/// confusion matrix) is left in `cx.ext` as one of [`MeasuredTensors`], and handed to the run's [`Loggers`](crate::Loggers) unless it is a
/// list of more than 1024 (scores of single rows). Nothing waits for the device before the loader's end. A loader without a batch logs
/// nothing. What is wrong with a batch (a label out of range) is an error at the loader's end; a NaN among what is measured gives NaN, and
/// one warning a loader that says how many rows have one. In stages of several passes the first one is measured, unless [`Measure::pass`] says
/// otherwise. On resume: what was seen of the loader so far is kept, exact.
///
/// ```
/// use catena_callbacks::Forward;
/// use catena_callbacks::metrics::{ClassScore, Measure, Task};
/// use catena_chain::{Event, testing};
///
/// let measure = Measure::new(ClassScore::accuracy(Task::Multiclass(3)).top_k(3)).log_as("top3");
/// let mut driver = testing::driver(vec![Box::new(Forward), Box::new(measure)])?;
/// for event in [Event::LoaderStart, Event::Forward, Event::Loss, Event::LoaderEnd] {
///     driver.fire(event)?;
/// }
/// driver.leave_loader()?;
/// assert_eq!(driver.context().metrics.get("train/top3"), Some(1.0));
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Debug)]
pub struct Measure {
    metric: Box<dyn Metric>,
    over: OverLoader,
    name: String,
    input: Source,
    target: Option<String>,
    weight: Option<String>,
    indexes: Option<String>,
    pass: Option<String>,
}

/// Of how many numbers a list is at most handed on to the loggers.
const LONG: usize = 1024;

#[derive(Debug)]
enum Source {
    Output(String),
    Loss,
}

/// The tensors that metrics gave, by loader and metric (`valid/confusion_matrix`): in `cx.ext`, from the loader's end to the
/// next end of a loader of that name.
///
/// ```
/// use catena_callbacks::metrics::MeasuredTensors;
///
/// assert!(MeasuredTensors::default().0.is_empty());
/// ```
#[derive(Debug, Default)]
pub struct MeasuredTensors(pub BTreeMap<String, Tensor>);

impl Measure {
    /// This metric (or a box of one, as [`from_value`](catena_metrics::from_value) reads it) of `output` and `target`, under its own name.
    pub fn new(metric: impl Into<Box<dyn Metric>>) -> Self {
        let metric = metric.into();
        Self {
            name: metric.name().to_owned(),
            metric,
            over: OverLoader::default(),
            input: Source::Output(OUTPUT.into()),
            target: Some(TARGET.into()),
            weight: None,
            indexes: None,
            pass: None,
        }
    }

    /// This metric of the loss, each batch counting by the loss's weight.
    pub fn of_loss(metric: impl Into<Box<dyn Metric>>) -> Self {
        let metric = metric.into();
        let name = format!("loss/{}", metric.name());
        Self { input: Source::Loss, target: None, ..Self::new(metric) }.log_as(name)
    }

    /// Logs it under another name (default the metric's own; of the loss: `loss/mean`, …). It is the callback's name too.
    #[must_use]
    pub fn log_as(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Takes the input from another output, or else another tensor of the batch (default `output`).
    #[must_use]
    pub fn input(mut self, name: impl Into<String>) -> Self {
        self.input = Source::Output(name.into());
        self
    }

    /// Takes the target from another tensor of the batch, or else another output (default `target`).
    #[must_use]
    pub fn target(mut self, name: impl Into<String>) -> Self {
        self.target = Some(name.into());
        self
    }

    /// Takes no target.
    #[must_use]
    pub fn without_target(mut self) -> Self {
        self.target = None;
        self
    }

    /// Takes what each item counts from this tensor of the batch (default: each counts 1).
    #[must_use]
    pub fn weight(mut self, name: impl Into<String>) -> Self {
        self.weight = Some(name.into());
        self
    }

    /// Takes which query each item belongs to from this tensor of the batch (default none).
    #[must_use]
    pub fn indexes(mut self, name: impl Into<String>) -> Self {
        self.indexes = Some(name.into());
        self
    }

    /// Measures this pass (default the first).
    #[must_use]
    pub fn pass(mut self, name: impl Into<String>) -> Self {
        self.pass = Some(name.into());
        self
    }

    fn is_of_pass(&self, cx: &Context) -> bool {
        self.pass.as_ref().map_or(cx.pass_index() == 0, |pass| pass == cx.pass())
    }

    fn key(&self, part: &str) -> String {
        if part.is_empty() { self.name.clone() } else { format!("{}/{part}", self.name) }
    }
}

fn of_batch<'a>(cx: &'a Context, name: &Option<String>) -> Result<Option<&'a Tensor>> {
    let Some(name) = name else { return Ok(None) };
    match cx.outputs.find(name) {
        Some(output) if cx.batch.tensors.find(name).is_none() => Ok(Some(output)),
        _ => Ok(Some(cx.batch.get(name)?)),
    }
}

impl Callback for Measure {
    fn about(&self) -> About {
        let mut about = About::named(&self.name)
            .phase(Phase::Measure)
            .hears([Event::LoaderStart, Event::Loss, Event::LoaderEnd])
            .looks()
            .settings(&self.metric.settings());
        about.only.extend(self.pass.clone().map(Only::Pass));
        about.logs = self.metric.parts().map(|parts| parts.iter().map(|part| self.key(part)).collect());
        about
    }

    fn state(&self) -> State {
        let Self { metric: _, over, name: _, input: _, target: _, weight: _, indexes: _, pass: _ } = self;
        over.state()
    }

    fn load_state(&mut self, state: State) -> Result<()> {
        self.over.load_state(state)
    }

    fn check(&self) -> Result<()> {
        Ok(self.metric.check()?)
    }

    fn on_loader_start(&mut self, _: &mut Context) -> Result<Flow> {
        self.over.start();
        Ok(Flow::GO)
    }

    fn on_loss(&mut self, cx: &mut Context) -> Result<Flow> {
        if !self.is_of_pass(cx) {
            return Ok(Flow::GO);
        }
        let _no_grad = tch::no_grad_guard();
        let (input, mut weight) = match &self.input {
            Source::Output(name) => match cx.outputs.find(name) {
                None if cx.batch.tensors.find(name).is_some() => (cx.batch.get(name)?, None),
                _ => (cx.outputs.get(name)?, None),
            },
            Source::Loss => {
                let Some(loss) = &cx.loss else { return Err("there is no loss to measure".into()) };
                // filled on the device: a copy from the host would wait for it
                let options = (Kind::Double, loss.value.device());
                (&loss.value, Some(Tensor::f_full([0i64; 0], loss.weight, options)?))
            }
        };
        if let Some(given) = of_batch(cx, &self.weight)? {
            weight = Some(given.shallow_clone());
        }
        let (target, indexes) = (of_batch(cx, &self.target)?, of_batch(cx, &self.indexes)?);
        let seen = Seen { input, target, weight: weight.as_ref(), indexes };
        self.metric.update(&seen, &mut self.over.memory)?;
        Ok(Flow::GO)
    }

    fn on_loader_end(&mut self, cx: &mut Context) -> Result<Flow> {
        let key = format!("{}/{}", cx.loader(), self.name);
        if let Some(tensors) = cx.ext.get_mut::<MeasuredTensors>() {
            tensors.0.remove(&key);
        }
        if !self.over.memory.is_empty() {
            match self.metric.compute(&self.over.memory)? {
                Computed::Number(number) => cx.log(&self.name, number, Reduce::Last)?,
                Computed::Numbers(numbers) => {
                    for (part, number) in numbers {
                        cx.log(&self.key(&part), number, Reduce::Last)?;
                    }
                }
                Computed::Tensor(tensor) => {
                    let is_long = tensor.dim() == 1 && tensor.numel() > LONG;
                    if Outbox::is_open(cx) && !is_long {
                        let array = Array::of(&tensor)?;
                        Outbox::put(cx, Payload::Array { name: self.name.clone(), array });
                    }
                    match cx.ext.get_mut::<MeasuredTensors>() {
                        Some(tensors) => drop(tensors.0.insert(key, tensor)),
                        None => drop(cx.ext.insert(MeasuredTensors(BTreeMap::from([(key, tensor)])))),
                    }
                }
            }
        }
        self.over.warn_of_nan(&self.name, cx)?;
        self.over.end();
        Ok(Flow::GO)
    }
}
