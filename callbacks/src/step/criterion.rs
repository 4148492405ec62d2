//! The loss of each pass.
use std::collections::BTreeMap;
use std::fmt;

use catena_chain::{About, Callback, Context, Event, Flow, Phase, Reduce, Result, Role, State};
use catena_tensor::loss::{AnyLoss, LossFn};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

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
///
/// As data: `{"loss": {"name": "cross_entropy"}}`, or a loss for each pass, `{"losses": {"generator": {"name": "mse"}, …}}`.
#[derive(Deserialize)]
#[serde(try_from = "CriterionFields")]
pub struct Criterion {
    losses: Vec<PassLoss>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CriterionFields {
    /// The loss; `losses` has one for each pass, by their names.
    loss: Option<AnyLoss>,
    losses: Option<BTreeMap<String, AnyLoss>>,
}

impl TryFrom<CriterionFields> for Criterion {
    type Error = &'static str;

    fn try_from(settings: CriterionFields) -> std::result::Result<Self, &'static str> {
        match settings {
            CriterionFields { loss: Some(loss), losses: None } => Ok(Self::new(loss.0)),
            CriterionFields { loss: None, losses: Some(losses) } => {
                Ok(Self::for_passes(losses.into_iter().map(|(pass, loss)| (pass, loss.0))))
            }
            _ => Err("either `loss` or `losses` is needed, a loss for all passes or one for each"),
        }
    }
}

impl Serialize for Criterion {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut losses = serde_json::Map::new();
        for own in &self.losses {
            let settings = own.loss.settings();
            if settings == Value::Null {
                let text = format!("loss `{}` lives in code only, so it can't be written", own.loss.name());
                return Err(serde::ser::Error::custom(text));
            }
            match &own.pass {
                None => return BTreeMap::from([("loss", settings)]).serialize(serializer),
                Some(pass) => losses.insert(pass.clone(), settings),
            };
        }
        BTreeMap::from([("losses", losses)]).serialize(serializer)
    }
}

struct PassLoss {
    /// None if it is of every pass.
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
    fn about(&self) -> About {
        let names: Vec<&str> = self.losses.iter().map(|own| own.loss.name()).collect();
        About::new::<Self>(Phase::Loss, [Event::Loss])
            .role(Role::Criterion)
            .logs(self.losses.iter().map(|l| &l.metric))
            .settings(self)
            .note(names.join(", "))
    }

    fn state(&self) -> State {
        State::none()
    }

    fn check(&self) -> Result<()> {
        Ok(self.losses.iter().try_for_each(|own| own.loss.check())?)
    }

    fn on_loss(&mut self, cx: &mut Context) -> Result<Flow> {
        let pass = cx.pass();
        let own = self.losses.iter_mut().find(|own| own.pass.as_deref().is_none_or(|of| of == pass));
        if let Some(PassLoss { metric, loss, .. }) = own {
            let loss = loss.loss(&cx.outputs, &cx.batch)?;
            cx.log(metric, &loss.value, Reduce::MeanBy(loss.weight))?;
            cx.loss = Some(loss);
        }
        Ok(Flow::GO)
    }
}
