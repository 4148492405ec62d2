//! The loss of each pass.
use std::fmt;

use catena_chain::{Callback, Context, Event, Events, Flow, Phase, Reduce, Result, State};
use catena_tensor::loss::LossFn;

/// Computes the loss at `loss`, sets `cx.loss` and logs it: as `loss` for the pass `main`, as `<pass>_loss` for others.
/// The mean over a loader counts by the loss's weight. On resume: nothing to keep.
///
/// ```
/// use catena_callbacks::{Criterion, Forward};
/// use catena_chain::{Event, testing};
/// use catena_tensor::loss::CrossEntropy;
///
/// let criterion = Criterion::new(CrossEntropy::new());
/// let mut driver = testing::driver(vec![Box::new(Forward), Box::new(criterion)])?;
/// driver.fire(Event::Forward)?;
/// driver.fire(Event::Loss)?;
/// let loss = driver.context_mut().metrics.last("loss")?;
/// assert!((loss.unwrap() - 3f64.ln()).abs() < 1e-6);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
pub struct Criterion {
    losses: Vec<PassLoss>,
}

struct PassLoss {
    pass: Option<String>,
    metric: String,
    loss: Box<dyn LossFn>,
}

impl fmt::Debug for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.losses.iter().map(|l| (&l.pass, l.loss.name()))).finish()
    }
}

impl Criterion {
    /// This loss in every pass.
    pub fn new(loss: impl LossFn + 'static) -> Self {
        Self { losses: vec![PassLoss { pass: None, metric: "loss".into(), loss: Box::new(loss) }] }
    }

    /// A loss for each pass, by the passes' names. A pass that is not among them has no loss.
    pub fn for_passes(losses: impl IntoIterator<Item = (String, Box<dyn LossFn>)>) -> Self {
        let losses = losses.into_iter().map(|(pass, loss)| {
            let metric = if pass == "main" { "loss".into() } else { format!("{pass}_loss") };
            PassLoss { pass: Some(pass), metric, loss }
        });
        Self { losses: losses.collect() }
    }
}

impl Callback for Criterion {
    fn state(&self) -> State {
        State::none()
    }

    fn phase(&self) -> Phase {
        Phase::Loss
    }

    fn hears(&self) -> Events {
        Events::of(&[Event::Loss])
    }

    fn logs(&self) -> Option<Vec<String>> {
        Some(self.losses.iter().map(|l| l.metric.clone()).collect())
    }

    fn note(&self) -> String {
        let names: Vec<&str> = self.losses.iter().map(|l| l.loss.name()).collect();
        names.join(", ")
    }

    fn on_loss(&mut self, cx: &mut Context) -> Result<Flow> {
        let pass = cx.pass();
        let here = |l: &&mut PassLoss| l.pass.as_deref().is_none_or(|name| name == pass);
        let Some(PassLoss { loss, metric, .. }) = self.losses.iter_mut().find(here) else {
            return Ok(Flow::GO);
        };
        let loss = loss.loss(&cx.outputs, &cx.batch)?;
        cx.log(metric, &loss.value, Reduce::MeanBy(loss.weight))?;
        cx.loss = Some(loss);
        Ok(Flow::GO)
    }
}
