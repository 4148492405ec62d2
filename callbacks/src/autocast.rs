//! Mixed precision: forward pass and loss in half precision.
use catena_chain::{Callback, Context, Event, Events, Flow, Phase, Result, State};
use catena_tensor::native::precision;
use catena_tensor::tch::Kind;

/// Runs forward pass and loss under autocast: weights stay f32, and libtorch computes in half precision where that is safe.
/// In every loader, on the CPU and on GPUs. Source: `torch.autocast`, which ends before the backward pass too.
///
/// With f16 use [`LossScaler`](crate::LossScaler) too. On resume: nothing to keep.
///
/// ```
/// use catena_callbacks::{Autocast, Forward};
/// use catena_chain::{Event, testing};
/// use catena_tensor::tch::Kind;
///
/// let mut driver = testing::driver(vec![Box::new(Autocast::bf16()), Box::new(Forward)])?;
/// driver.fire(Event::Forward)?;
/// assert_eq!(driver.context().outputs.get("output")?.kind(), Kind::BFloat16);
/// driver.fire(Event::Backward)?;
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Debug)]
pub struct Autocast {
    kind: Kind,
    guard: Option<precision::Autocast>,
}

impl Autocast {
    /// In bfloat16.
    pub fn bf16() -> Self {
        Self { kind: Kind::BFloat16, guard: None }
    }

    /// In float16.
    pub fn f16() -> Self {
        Self { kind: Kind::Half, guard: None }
    }
}

impl Callback for Autocast {
    fn state(&self) -> State {
        State::none()
    }

    fn phase(&self) -> Phase {
        Phase::Input
    }

    // a batch that is skipped has no backward pass, and an evaluation has none: its end ends autocast
    fn hears(&self) -> Events {
        Events::of(&[Event::Forward, Event::Backward, Event::BatchEnd, Event::Exception])
    }

    fn logs(&self) -> Option<Vec<String>> {
        Some(Vec::new())
    }

    fn note(&self) -> String {
        if self.kind == Kind::Half { "f16".into() } else { "bf16".into() }
    }

    fn on_forward(&mut self, cx: &mut Context) -> Result<Flow> {
        if self.guard.is_none() {
            self.guard = Some(precision::Autocast::enter(cx.device(), self.kind)?);
        }
        Ok(Flow::GO)
    }

    fn on_backward(&mut self, _: &mut Context) -> Result<Flow> {
        self.guard = None;
        Ok(Flow::GO)
    }

    fn on_batch_end(&mut self, _: &mut Context) -> Result<Flow> {
        self.guard = None;
        Ok(Flow::GO)
    }

    fn on_exception(&mut self, _: &mut Context) -> Result<Flow> {
        self.guard = None;
        Ok(Flow::GO)
    }
}
