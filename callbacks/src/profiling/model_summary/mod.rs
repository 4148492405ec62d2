//! Tells what a model is made of.
mod summary;

use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, State};
use catena_tensor::layers::Recording;
use serde::{Deserialize, Serialize};

pub use summary::{Layer, Summary};

/// Logs a table of the model's layers when a stage begins: their tensors' shapes, how many parameters they have, whether these are
/// trained or frozen, and their bytes. The table is in `cx.ext` too, as [`Summary`], which can be had without a run:
///
/// ```
/// use catena_callbacks::Summary;
/// use catena_tensor::tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let _ = nn::linear(vs.root() / "fc1", 64, 128, Default::default());
/// let _ = nn::batch_norm1d(vs.root() / "bn", 128, Default::default());
/// let summary = Summary::of(&vs);
/// assert_eq!((summary.parameters(), summary.trainable()), (8576, 8576));
/// assert!(summary.to_string().contains("weight [128, 64]"));
/// ```
///
/// Layers are the names in the `VarStore` up to their last dot, in order of creation; buffers (a batch norm's running mean, …) stand
/// in parentheses and are no parameters.
///
/// A module of tch tells nobody what passes through it. A model made of [`Layers`](catena_tensor::layers::Layers), or of [`Named`](catena_tensor::layers::Named)
/// modules in a forward pass of its own, does: then the table is logged once more when the stage's first batch has gone through,
/// with types and the shapes of the outputs, in the order of the forward pass. [`Summary::of_batch`] gives the same without a run:
///
/// ```
/// use catena_callbacks::Summary;
/// use catena_tensor::batch::Batch;
/// use catena_tensor::layers::Layers;
/// use catena_tensor::model::Net;
/// use catena_tensor::tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new()
///     .add(vs.root() / "fc1", |p| nn::linear(p, 64, 128, Default::default()))
///     .add_fn("relu", Tensor::relu);
/// let batch = Batch::new([("input", Tensor::zeros([16, 64], (Kind::Float, Device::Cpu)))]);
/// let summary = Summary::of_batch(&mut Net::new(vs, layers), &batch)?;
/// assert_eq!(summary.layers[1].outputs, [[16, 128]]);
/// println!("{summary}");
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
///
/// On resume: nothing to keep.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSummary {
    #[serde(skip)]
    logged: Option<Summary>,
    #[serde(skip)]
    awaits_forward: bool,
    #[serde(skip)]
    recording: Option<Recording>,
}

impl ModelSummary {
    /// Of the whole model.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets no layer go on telling where no forward pass came.
    fn forget(&mut self) {
        self.awaits_forward = false;
        self.recording = None;
    }
}

impl Callback for ModelSummary {
    fn about(&self) -> About {
        About::new::<Self>(
            Phase::Report,
            [Event::StageStart, Event::BatchStart, Event::Forward, Event::StageEnd, Event::Exception],
        )
        .looks()
        .logs_nothing()
    }

    fn state(&self) -> State {
        State::none()
    }

    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        let summary = Summary::of(cx.model.var_store());
        if self.logged.as_ref() != Some(&summary) {
            log::info!("the model in stage `{}`:\n{summary}", cx.stage());
            cx.ext.insert(summary.clone());
            self.logged = Some(summary);
        }
        self.awaits_forward = true;
        Ok(Flow::GO)
    }

    fn on_batch_start(&mut self, _: &mut Context) -> Result<Flow> {
        if self.awaits_forward {
            // the one of a batch that was skipped ends first
            self.recording = None;
            self.recording = Some(Recording::start());
        }
        Ok(Flow::GO)
    }

    fn on_forward(&mut self, cx: &mut Context) -> Result<Flow> {
        let Some(recording) = self.recording.take() else { return Ok(Flow::GO) };
        self.awaits_forward = false;
        let seen = recording.outputs();
        if !seen.is_empty() {
            let summary = Summary::of(cx.model.var_store()).with_outputs(&seen);
            log::info!("the model in stage `{}`, as its first batch went through:\n{summary}", cx.stage());
            cx.ext.insert(summary);
        }
        Ok(Flow::GO)
    }

    fn on_stage_end(&mut self, _: &mut Context) -> Result<Flow> {
        self.forget();
        Ok(Flow::GO)
    }

    fn on_exception(&mut self, _: &mut Context) -> Result<Flow> {
        self.forget();
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::testing;
    use catena_tensor::layers::{Layers, is_recording};
    use catena_tensor::model::{Mode, Net};
    use catena_tensor::tch::{Device, nn};

    use catena_tensor::rng::Exclusive;

    use super::*;
    use crate::Forward;

    #[test]
    fn outputs_are_told_when_the_first_batch_of_a_stage_has_gone_through() {
        // layers are made with numbers of the generator that other tests seed
        let _exclusive = Exclusive::wait();
        let vs = nn::VarStore::new(Device::Cpu);
        let fc = |p: nn::Path<'_>| nn::linear(p, 4, 3, Default::default());
        let layers = Layers::new().add(vs.root() / "fc", fc);
        let chain: Vec<Box<dyn Callback>> = vec![Box::new(Forward), Box::new(ModelSummary::new())];
        let mut driver = testing::driver(chain).unwrap();
        driver.context_mut().model = Box::new(Net::new(vs, layers));
        for event in [Event::StageStart, Event::BatchStart, Event::Forward] {
            driver.fire(event).unwrap();
        }
        let summary = driver.context_mut().ext.remove::<Summary>().unwrap();
        assert_eq!(
            (summary.layers[0].outputs.as_slice(), summary.layers[0].kind.as_str()),
            (&[vec![6, 3]][..], "Linear")
        );
        for event in [Event::BatchStart, Event::Forward] {
            driver.fire(event).unwrap();
        }
        assert!(driver.context().ext.get::<Summary>().is_none(), "once a stage");
        assert!(!is_recording(), "no layer goes on telling");
        for event in [Event::StageStart, Event::BatchStart, Event::StageEnd] {
            driver.fire(event).unwrap();
        }
        let cx = driver.context_mut();
        cx.model.forward(&cx.batch, Mode::Eval).unwrap();
        assert!(!is_recording(), "nor where no forward pass came");
    }

    #[test]
    fn it_is_logged_when_a_stage_begins_and_the_model_has_changed() {
        let mut driver = testing::driver(vec![Box::new(ModelSummary::new())]).unwrap();
        driver.fire(Event::StageStart).unwrap();
        let first = driver.context_mut().ext.remove::<Summary>().unwrap();
        assert_eq!((first.parameters(), first.trainable(), first.bytes()), (15, 15, 60));
        driver.fire(Event::StageStart).unwrap();
        assert!(driver.context().ext.get::<Summary>().is_none(), "nothing has changed");
        let bias = &driver.context().model.var_store().variables()["fc.bias"];
        let _frozen = bias.set_requires_grad(false);
        driver.fire(Event::StageStart).unwrap();
        assert_eq!(driver.context().ext.get::<Summary>().unwrap().trainable(), 12);
    }
}
