//! The share of samples whose label is among the k highest outputs.
use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, State};
use catena_metrics::{Seen, check_labels, top_k_accuracy};
use catena_tensor::Error;
use catena_tensor::batch::{OUTPUT, TARGET};
use catena_tensor::tch;
use serde::{Deserialize, Serialize};

use super::over_loader::OverLoader;

/// Logs the share of samples whose label is among the `k` highest of the `[n, classes]` outputs, as `accuracy@k`, in Train and
/// Eval loaders, at `loss`. It is computed on the device, without waiting for it.
///
/// Labels `[n]` follow the rule of [`ClassScore`](crate::metrics::ClassScore): whole numbers of any dtype; [`Accuracy::ignore_index`] is left
/// out; any other number that is no class is an error at the loader's end, which names it and its row. If an output is NaN, so is the
/// accuracy of its batch and of the loader, and a warning at the loader's end says how many rows have one. On resume: what was found
/// wrong with the loader's labels so far is kept; the loader's values are the run's own state.
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
#[derive(Debug, Serialize, Deserialize)]
#[serde(from = "AccuracyFields", into = "AccuracyFields")]
pub struct Accuracy {
    settings: AccuracyFields,
    /// The values are logged batch by batch; this has what is wrong with the loader's labels and outputs.
    checks: OverLoader,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AccuracyFields {
    top_k: Vec<i64>,
    ignore_index: Option<i64>,
    output: String,
    target: String,
}

impl Default for AccuracyFields {
    fn default() -> Self {
        Self { top_k: vec![1], ignore_index: None, output: OUTPUT.into(), target: TARGET.into() }
    }
}

impl From<AccuracyFields> for Accuracy {
    fn from(settings: AccuracyFields) -> Self {
        Self { settings, checks: OverLoader::default() }
    }
}

impl From<Accuracy> for AccuracyFields {
    fn from(accuracy: Accuracy) -> Self {
        accuracy.settings
    }
}

impl Default for Accuracy {
    fn default() -> Self {
        AccuracyFields::default().into()
    }
}

impl Clone for Accuracy {
    fn clone(&self) -> Self {
        self.settings.clone().into()
    }
}

impl PartialEq for Accuracy {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

fn name(k: &i64) -> String {
    format!("accuracy@{k}")
}

impl Accuracy {
    /// Of `output` and `target`, with k = 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// Which k to log (default 1).
    #[must_use]
    pub fn top_k(mut self, top_k: impl IntoIterator<Item = i64>) -> Self {
        self.settings.top_k = top_k.into_iter().collect();
        self
    }

    /// A label that counts for nothing (default none).
    #[must_use]
    pub fn ignore_index(mut self, label: i64) -> Self {
        self.settings.ignore_index = Some(label);
        self
    }

    /// Takes the scores from another output (default `output`).
    #[must_use]
    pub fn output(mut self, name: impl Into<String>) -> Self {
        self.settings.output = name.into();
        self
    }

    /// Takes the labels from another tensor of the batch (default `target`).
    #[must_use]
    pub fn target(mut self, name: impl Into<String>) -> Self {
        self.settings.target = name.into();
        self
    }
}

impl Callback for Accuracy {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Measure, [Event::LoaderStart, Event::Loss, Event::LoaderEnd])
            .looks()
            .logs(self.settings.top_k.iter().map(name))
    }

    fn state(&self) -> State {
        let Self { settings: _, checks } = self;
        checks.state()
    }

    fn load_state(&mut self, state: State) -> Result<()> {
        // older snapshots have none
        if state.json.is_null() { Ok(()) } else { self.checks.load_state(state) }
    }

    fn check(&self) -> Result<()> {
        if self.settings.top_k.is_empty() {
            return Err("`top_k` is empty, but must have at least one number".into());
        }
        match self.settings.top_k.iter().find(|k| **k < 1) {
            Some(k) => Err(format!("`top_k` has {k}, but each must be at least 1").into()),
            None => Ok(()),
        }
    }

    fn on_loader_start(&mut self, _: &mut Context) -> Result<Flow> {
        self.checks.start();
        Ok(Flow::GO)
    }

    fn on_loss(&mut self, cx: &mut Context) -> Result<Flow> {
        let _no_grad = tch::no_grad_guard();
        let AccuracyFields { top_k, ignore_index, output, target } = &self.settings;
        let (scores, targets) = (cx.outputs.get(output)?, cx.batch.get(target)?);
        let (scores_size, targets_size) = (scores.size(), targets.size());
        let shape = |what: &str, got: Vec<i64>, expected: String| {
            Err(Error::Shape { what: format!("`{what}`"), got, expected }.into())
        };
        let [n, _] = scores_size[..] else {
            return shape(output, scores_size, "accuracy needs scores [n, classes]".into());
        };
        if targets_size != [n] {
            let expected = format!("`{output}` has shape {scores_size:?}, so labels need [{n}]");
            return shape(target, targets_size, expected);
        }
        let seen = Seen::new(scores).target(targets);
        let (shares, weight) = top_k_accuracy(&seen, top_k, *ignore_index, &mut self.checks.memory)?;
        for (k, share) in top_k.iter().zip(shares) {
            cx.log_mean_by(&name(k), share, &weight)?;
        }
        Ok(Flow::GO)
    }

    fn on_loader_end(&mut self, cx: &mut Context) -> Result<Flow> {
        check_labels(&self.checks.memory)?;
        let names: Vec<String> = self.settings.top_k.iter().map(name).collect();
        self.checks.warn_of_nan(&names.join("`, `"), cx)?;
        self.checks.end();
        Ok(Flow::GO)
    }
}
