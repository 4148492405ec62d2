//! The loss of each pass.
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use catena_chain::{About, Callback, Context, Event, Flow, Phase, Reduce, Result, Role, State};
use catena_tensor::batch::{Batch, Outputs};
use catena_tensor::loss::{AnyLoss, Loss, LossFn};
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
#[serde(try_from = "Settings")]
pub struct Criterion {
    losses: Losses,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    loss: Option<AnyLoss>,
    losses: Option<BTreeMap<String, AnyLoss>>,
}

impl TryFrom<Settings> for Criterion {
    type Error = &'static str;

    fn try_from(settings: Settings) -> std::result::Result<Self, &'static str> {
        match settings {
            Settings { loss: Some(loss), losses: None } => Ok(Self::new(loss.0)),
            Settings { loss: None, losses: Some(losses) } => {
                Ok(Self::for_passes(losses.into_iter().map(|(pass, loss)| (pass, loss.0))))
            }
            _ => Err("either `loss` or `losses` is needed, a loss for all passes or one for each"),
        }
    }
}

impl Serialize for Criterion {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut losses = serde_json::Map::new();
        for own in self.losses.0.iter() {
            let settings = own.loss.try_borrow().map_or(Value::Null, |loss| loss.settings());
            if settings.is_null() {
                let text = format!("loss `{}` lives in code only, so it can't be written", own.name());
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

/// The losses of the running stage, for a callback that needs the loss of other outputs than `cx.outputs`. [`Criterion`] leaves
/// them in `cx.ext`; so can a criterion of yours.
///
/// ```
/// use catena_callbacks::{Criterion, Forward, Losses};
/// use catena_chain::{Event, testing};
/// use catena_tensor::{loss::CrossEntropy, model::Mode};
///
/// let criterion = Criterion::new(CrossEntropy::new());
/// let mut driver = testing::driver(vec![Box::new(Forward), Box::new(criterion)])?;
/// driver.fire(Event::Forward)?;
/// driver.fire(Event::Loss)?;
/// let cx = driver.context_mut();
/// let outputs = cx.model.forward(&cx.batch, Mode::Eval)?;
/// let again = cx.ext.get::<Losses>().unwrap().loss("main", &outputs, &cx.batch)?.unwrap();
/// assert_eq!(again.value, cx.loss.as_ref().unwrap().value);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone)]
pub struct Losses(Rc<[PassLoss]>);

struct PassLoss {
    pass: Option<String>,
    metric: String,
    loss: RefCell<Box<dyn LossFn>>,
}

impl PassLoss {
    fn new(pass: Option<String>, metric: String, loss: Box<dyn LossFn>) -> Self {
        Self { pass, metric, loss: RefCell::new(loss) }
    }

    fn name(&self) -> String {
        // only a loss that describes its own criterion finds itself in use
        self.loss.try_borrow().map_or_else(|_| "…".into(), |loss| loss.name().to_owned())
    }
}

impl fmt::Debug for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.losses.fmt(f)
    }
}

impl fmt::Debug for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|l| (&l.pass, l.name()))).finish()
    }
}

impl Losses {
    /// This loss in every pass.
    pub fn new(loss: impl LossFn + 'static) -> Self {
        Self([PassLoss::new(None, "loss".into(), Box::new(loss))].into())
    }

    /// The loss of these outputs in this pass; none if the pass has no loss.
    pub fn loss(&self, pass: &str, outputs: &Outputs, batch: &Batch) -> Result<Option<Loss>> {
        let Some(own) = self.of(pass) else { return Ok(None) };
        let mut own = own.loss.try_borrow_mut().map_err(|_| "a loss can't ask for itself")?;
        Ok(Some(own.loss(outputs, batch)?))
    }

    fn of(&self, pass: &str) -> Option<&PassLoss> {
        self.0.iter().find(|l| l.pass.as_deref().is_none_or(|own| own == pass))
    }
}

impl Criterion {
    /// This loss in every pass.
    pub fn new(loss: impl LossFn + 'static) -> Self {
        Self { losses: Losses::new(loss) }
    }

    /// A loss for each pass, by the passes' names. A pass that is not among them has no loss.
    pub fn for_passes(losses: impl IntoIterator<Item = (String, Box<dyn LossFn>)>) -> Self {
        let losses = losses.into_iter().map(|(pass, loss)| {
            let metric = if pass == "main" { "loss".into() } else { format!("{pass}_loss") };
            PassLoss::new(Some(pass), metric, loss)
        });
        Self { losses: Losses(losses.collect()) }
    }

    /// Leaves the losses where other callbacks find them.
    fn publish(&self, cx: &mut Context) {
        if !cx.ext.get::<Losses>().is_some_and(|there| Rc::ptr_eq(&there.0, &self.losses.0)) {
            cx.ext.insert(self.losses.clone());
        }
    }
}

impl Callback for Criterion {
    fn about(&self) -> About {
        let names: Vec<String> = self.losses.0.iter().map(PassLoss::name).collect();
        About::of::<Self>()
            .phase(Phase::Loss)
            .hears([Event::Loss])
            .role(Role::Criterion)
            .logs(self.losses.0.iter().map(|l| &l.metric))
            .settings(self)
            .note(names.join(", "))
    }

    fn state(&self) -> State {
        State::none()
    }

    fn check(&self) -> Result<()> {
        self.losses.0.iter().try_for_each(|own| match own.loss.try_borrow() {
            Ok(loss) => Ok(loss.check()?),
            Err(_) => Ok(()),
        })
    }

    fn on_loss(&mut self, cx: &mut Context) -> Result<Flow> {
        self.publish(cx);
        let loss = self.losses.loss(cx.pass(), &cx.outputs, &cx.batch)?;
        if let (Some(loss), Some(own)) = (loss, self.losses.of(cx.pass())) {
            cx.log(&own.metric, &loss.value, Reduce::MeanBy(loss.weight))?;
            cx.loss = Some(loss);
        }
        Ok(Flow::GO)
    }
}
