//! The share of samples whose label is among the k highest outputs.
use catena_chain::{About, Callback, Context, Event, Flow, Phase, Reduce, Result, State};
use catena_tensor::Error;
use catena_tensor::batch::{OUTPUT, TARGET};
use catena_tensor::tch::{self, Kind};
use serde::{Deserialize, Serialize};

/// Logs the share of samples whose label is among the `k` highest of the `[n, classes]` outputs, as `accuracy@k`, in Train and
/// Eval loaders, at `loss`. It is computed on the device, without waiting for it. On resume: the loader's values are the run's own state.
///
/// ```
/// use catena_callbacks::{Accuracy, Forward};
/// use catena_chain::{Event, testing};
///
/// let mut driver = testing::driver(vec![Box::new(Forward), Box::new(Accuracy::new().top_k([1, 3]))])?;
/// driver.fire(Event::Forward)?;
/// driver.fire(Event::Loss)?;
/// assert_eq!(driver.context_mut().metrics.last("accuracy@3")?, Some(1.0)); // of three classes
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Settings", into = "Settings")]
pub struct Accuracy {
    output: String,
    target: String,
    metrics: Vec<(i64, String)>,
}

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    top_k: Vec<i64>,
    output: String,
    target: String,
}

impl Default for Settings {
    fn default() -> Self {
        Accuracy::default().into()
    }
}

impl From<Settings> for Accuracy {
    fn from(settings: Settings) -> Self {
        let Settings { top_k, output, target } = settings;
        Self { output, target, metrics: Vec::new() }.top_k(top_k)
    }
}

impl From<Accuracy> for Settings {
    fn from(accuracy: Accuracy) -> Self {
        let Accuracy { output, target, metrics } = accuracy;
        Self { top_k: metrics.into_iter().map(|(k, _)| k).collect(), output, target }
    }
}

impl Default for Accuracy {
    fn default() -> Self {
        Self { output: OUTPUT.into(), target: TARGET.into(), metrics: Vec::new() }.top_k([1])
    }
}

impl Accuracy {
    /// Of `output` and `target`, with k = 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// Which k to log (default 1).
    #[must_use]
    pub fn top_k(mut self, top_k: impl IntoIterator<Item = i64>) -> Self {
        self.metrics = top_k.into_iter().map(|k| (k, format!("accuracy@{k}"))).collect();
        self
    }

    /// Takes the scores from another output (default `output`).
    #[must_use]
    pub fn output(mut self, name: impl Into<String>) -> Self {
        self.output = name.into();
        self
    }

    /// Takes the labels from another tensor of the batch (default `target`).
    #[must_use]
    pub fn target(mut self, name: impl Into<String>) -> Self {
        self.target = name.into();
        self
    }
}

impl Callback for Accuracy {
    fn about(&self) -> About {
        About::of::<Self>()
            .phase(Phase::Measure)
            .hears([Event::Loss])
            .looks()
            .logs(self.metrics.iter().map(|(_, name)| name))
    }

    fn state(&self) -> State {
        State::none()
    }

    fn check(&self) -> Result<()> {
        if self.metrics.is_empty() {
            return Err("`top_k` is empty, but must have at least one number".into());
        }
        match self.metrics.iter().find(|(k, _)| *k < 1) {
            Some((k, _)) => Err(format!("`top_k` has {k}, but each must be at least 1").into()),
            None => Ok(()),
        }
    }

    fn on_loss(&mut self, cx: &mut Context) -> Result<Flow> {
        let _no_grad = tch::no_grad_guard();
        let (scores, labels) = (cx.outputs.get(&self.output)?, cx.batch.get(&self.target)?);
        let (scores_size, labels_size) = (scores.size(), labels.size());
        let [n, classes] = scores_size[..] else {
            let expected = "accuracy needs scores [n, classes]".into();
            return Err(
                Error::Shape { what: format!("`{}`", self.output), got: scores_size, expected }.into()
            );
        };
        if labels_size != [n] {
            let expected = format!("`{}` has shape {scores_size:?}, so labels need [{n}]", self.output);
            return Err(
                Error::Shape { what: format!("`{}`", self.target), got: labels_size, expected }.into()
            );
        }
        let mut values = Vec::with_capacity(self.metrics.len());
        for (k, _) in &self.metrics {
            let hits = if *k == 1 {
                scores.f_argmax(1, false)?.f_eq_tensor(labels)?
            } else {
                let (_, best) = scores.f_topk((*k).min(classes), 1, true, false)?;
                best.f_eq_tensor(&labels.f_unsqueeze(1)?)?.f_any_dim(1, false)?
            };
            values.push(hits.f_mean(Kind::Double)?);
        }
        for ((_, name), value) in self.metrics.iter().zip(values) {
            cx.log(name, value, Reduce::MeanBy(n as f64))?;
        }
        Ok(Flow::GO)
    }
}
