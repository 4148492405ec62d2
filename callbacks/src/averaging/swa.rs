//! The mean of the weights along the way.
use catena_chain::{About, Callback, Context, Event, Flow, Lifetime, Outcome, Phase, Result, State, Stop};
use catena_tensor::model::Mode;
use catena_tensor::settings::Range;
use serde::{Deserialize, Serialize};

use super::average::{Averages, WeightAverage};
use super::batch_norm::{self, Statistics};

/// Stochastic weight averaging (Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization"):
/// keeps the plain mean of the parameters as they are at the end of each Train loader from an epoch on, and puts it into the
/// model for Eval and Infer loaders. Buffers are the model's last ones. Source: `torch.optim.swa_utils.AveragedModel`; the
/// schedule that belongs to it is [`SwaLr`](catena_tensor::schedule::SwaLr).
///
/// The average is kept in f32 at least. It is saved apart, and [`averaged`](crate::averaged) gives it; a snapshot's model is never the average, but after
/// [`Swa::replace`], which makes it the model's own at the stage's end. The average begins anew with each stage. On resume: the
/// average, by the variables' names, and the counts are kept.
///
/// **Batch norm.** The running statistics belong to other weights than the mean, and [`Swa::update_bn`] takes them anew at the
/// stage's end, as torch's `update_bn` does. It needs the training data as a loader that runs on request:
///
/// ```
/// use catena_callbacks::Swa;
/// use catena_chain::Callback;
///
/// // with `.on_request("statistics", loader)` in the stage
/// let swa = Swa::new(75).update_bn("statistics").replace();
/// assert!(swa.check().is_ok());
/// ```
///
/// Each batch goes through the model in Train mode, the averaged weights in it, and the statistics are the means of the batches'
/// (a layer that a batch passes twice counts its second time more). Running values of half precision are refused at the stage's
/// start. Without it, evaluations see the mean with the statistics of
/// the last weights. A stage that a stop of the whole run cuts short neither takes statistics nor replaces the weights, for it
/// may be gone on with. A stage that is too short for the average to begin is told in the log when it begins, and one in which nothing
/// was averaged when it ends.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swa {
    /// The first epoch whose weights count.
    start_epoch: u64,
    #[serde(default)]
    every_steps: Option<u64>,
    #[serde(default)]
    use_buffers: bool,
    #[serde(default = "yes")]
    evaluate: bool,
    #[serde(default)]
    update_bn: Option<String>,
    #[serde(default)]
    replace: bool,
    #[serde(skip)]
    average: WeightAverage,
    #[serde(skip)]
    steps: u64,
    #[serde(skip)]
    stepped: bool,
    #[serde(skip)]
    statistics: Option<Statistics>,
}

fn yes() -> bool {
    true
}

impl Swa {
    /// From this epoch of the stage on (they count from 1).
    pub fn new(start_epoch: u64) -> Self {
        Self {
            start_epoch,
            every_steps: None,
            use_buffers: false,
            evaluate: true,
            update_bn: None,
            replace: false,
            average: WeightAverage::default(),
            steps: 0,
            stepped: false,
            statistics: None,
        }
    }

    /// Takes the weights in after every so many steps of the first pass (default at each Train loader's end).
    #[must_use]
    pub fn every_steps(mut self, steps: u64) -> Self {
        self.every_steps = Some(steps);
        self
    }

    /// Averages buffers too, instead of taking the model's last ones (default false).
    #[must_use]
    pub fn use_buffers(mut self) -> Self {
        self.use_buffers = true;
        self
    }

    /// Whether evaluations see the average (default true).
    #[must_use]
    pub fn evaluate(mut self, evaluate: bool) -> Self {
        self.evaluate = evaluate;
        self
    }

    /// Takes batch norm's statistics anew at the stage's end, over the stage's Eval loader of this name (default not at all).
    #[must_use]
    pub fn update_bn(mut self, loader: impl Into<String>) -> Self {
        self.update_bn = Some(loader.into());
        self
    }

    /// Makes the average the model's own weights at the stage's end (default false).
    #[must_use]
    pub fn replace(mut self) -> Self {
        self.replace = true;
        self
    }

    fn update(&mut self, cx: &Context) -> Result<()> {
        let what = if self.use_buffers { Averages::Everything } else { Averages::Parameters };
        self.average.update(cx, 1.0 / (self.average.updates() + 1) as f64, what)
    }

    /// A stage ends in which the average was to begin, and did not.
    fn warn_of_nothing(&self, cx: &Context) {
        if self.start_epoch > cx.epochs() {
            return; // told when the stage began
        }
        let (stage, epochs, steps) = (cx.stage(), cx.epoch(), self.steps);
        let every =
            self.every_steps.map_or(String::new(), |every| format!(", and takes every {every} steps"));
        log::warn!(
            "Swa averaged nothing in stage `{stage}`, which ended in epoch {epochs}, {steps} steps after the average was to begin: it \
             begins with epoch {}{every}; the model has the weights of the last step",
            self.start_epoch
        );
    }

    fn finish(&mut self, cx: &Context) -> Result<()> {
        if self.replace { self.average.put_in_for_good(cx) } else { Ok(()) }
    }
}

impl Callback for Swa {
    fn about(&self) -> About {
        use Event::{BatchStart, LoaderEnd, LoaderStart, StageEnd, StageStart, Step};
        About::new::<Self>(Phase::Average, [StageStart, LoaderStart, BatchStart, Step, LoaderEnd, StageEnd])
            .logs_nothing()
            .lifetime(Lifetime::Stage)
            .settings(self)
    }

    fn state(&self) -> State {
        let Self {
            start_epoch: _,
            every_steps: _,
            use_buffers: _,
            evaluate: _,
            update_bn: _,
            replace: _,
            average,
            steps,
            stepped,
            statistics,
        } = self;
        // between two safe points they have been asked for, or are done
        let is_to_take = statistics.is_some();
        State {
            json: serde_json::json!([average.updates(), steps, stepped, is_to_take]),
            tensors: average.tensors(),
            ..State::none()
        }
    }

    fn load_state(&mut self, state: State) -> Result<()> {
        let (updates, is_to_take);
        (updates, self.steps, self.stepped, is_to_take) = state.read()?;
        self.statistics = if is_to_take { Some(Statistics::new()) } else { None };
        self.average.load(&state.tensors, updates)
    }

    fn check(&self) -> Result<()> {
        Range::Count(1).setting("start_epoch", self.start_epoch as f64)?;
        Ok(Range::Count(1).setting("every_steps", self.every_steps.map_or(1.0, |steps| steps as f64))?)
    }

    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        if let Some(loader) = self.update_bn.as_ref().filter(|name| !cx.evaluations().contains(name)) {
            return Err(format!(
                "`update_bn` names the loader `{loader}`, but the stage's Eval loaders are: {}; add one with `.on_request(…)`",
                match cx.evaluations() {
                    [] => "none".into(),
                    names => names.join(", "),
                }
            )
            .into());
        }
        if self.update_bn.is_some() {
            batch_norm::check(cx)?;
        }
        if self.start_epoch > cx.epochs() && !cx.resuming() {
            log::warn!(
                "Swa averages nothing in stage `{}`: it begins with epoch {}, but the stage has {}; give it an earlier `start_epoch`",
                cx.stage(),
                self.start_epoch,
                cx.epochs()
            );
        }
        Ok(Flow::GO)
    }

    fn on_loader_start(&mut self, cx: &mut Context) -> Result<Flow> {
        if self.evaluate && cx.mode() != Mode::Train && !self.average.is_empty() {
            let average = self.average.values(cx)?;
            cx.put_in(average)?;
        }
        Ok(Flow::GO)
    }

    fn on_batch_start(&mut self, cx: &mut Context) -> Result<Flow> {
        if self.update_bn.as_deref() != Some(cx.loader()) {
            return Ok(Flow::GO);
        }
        match &mut self.statistics {
            Some(statistics) => {
                // over whatever else stands in the model
                let average = self.average.values(cx)?;
                cx.with_values(average, |cx| statistics.add(cx))?;
                Ok(Flow::SKIP_BATCH)
            }
            None => Ok(Flow::GO),
        }
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        let counts = cx.pass_index() == 0 && *cx.outcome() == Outcome::Stepped;
        if !counts || cx.epoch() < self.start_epoch {
            return Ok(Flow::GO);
        }
        self.steps += 1;
        match self.every_steps {
            Some(every) if self.steps.is_multiple_of(every) => self.update(cx)?,
            Some(_) => {}
            None => self.stepped = true,
        }
        Ok(Flow::GO)
    }

    fn on_loader_end(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.is_train() {
            if std::mem::take(&mut self.stepped) {
                self.update(cx)?;
            }
        } else if self.update_bn.as_deref() == Some(cx.loader())
            && let Some(statistics) = self.statistics.take()
            // what was left in its middle is taken again from its beginning
            && cx.interrupted().is_none()
        {
            for (name, mean) in statistics.means()? {
                self.average.set(name, &mean)?;
            }
            self.finish(cx)?;
        }
        Ok(Flow::GO)
    }

    fn on_stage_end(&mut self, cx: &mut Context) -> Result<Flow> {
        let may_go_on = cx.cut_short() && cx.flow().stop == Stop::Run;
        if may_go_on || cx.interrupted().is_some() {
            return Ok(Flow::GO);
        }
        if self.average.is_empty() {
            self.warn_of_nothing(cx);
            return Ok(Flow::GO);
        }
        match &self.update_bn {
            Some(loader) => {
                self.statistics = Some(Statistics::new());
                cx.request_evaluation(loader);
            }
            None => self.finish(cx)?,
        }
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::testing;
    use catena_tensor::model::Net;
    use catena_tensor::tch::{Device, nn};

    use catena_tensor::rng::Exclusive;

    use super::*;

    #[test]
    fn statistics_of_half_precision_are_refused_before_the_training() {
        // layers are made with numbers of the generator that other tests seed
        let _exclusive = Exclusive::wait();
        for (half, bn) in [(false, true), (true, true), (true, false)] {
            let mut vs = nn::VarStore::new(Device::Cpu);
            let layer = nn::batch_norm1d(vs.root() / "bn", 4, Default::default());
            if half {
                vs.bfloat16();
            }
            let swa = if bn { Swa::new(1).update_bn("valid") } else { Swa::new(1) };
            let mut driver = testing::driver(vec![Box::new(swa)]).unwrap();
            driver.context_mut().model = Box::new(Net::new(vs, layer));
            match driver.fire(Event::StageStart) {
                Ok(_) => assert!(!(half && bn)),
                Err(error) => {
                    assert!(half && bn);
                    assert!(error.to_string().contains("can't be taken anew in BFloat16"), "{error}");
                }
            }
        }
    }
}
