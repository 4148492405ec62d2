//! Mixed precision: forward pass and loss in half precision.
use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, State};
use catena_tensor::native::precision;
use catena_tensor::tch::Kind;
use serde::{Deserialize, Serialize};

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
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Autocast {
    dtype: Half,
    #[serde(skip)]
    guard: Option<precision::Autocast>,
}

/// A half precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Half {
    Bf16,
    F16,
}

impl Autocast {
    /// In bfloat16.
    pub fn bf16() -> Self {
        Self { dtype: Half::Bf16, guard: None }
    }

    /// In float16.
    pub fn f16() -> Self {
        Self { dtype: Half::F16, guard: None }
    }
}

impl Callback for Autocast {
    fn about(&self) -> About {
        let note = match self.dtype {
            Half::Bf16 => "bf16",
            Half::F16 => "f16",
        };
        About::of::<Self>()
            .phase(Phase::Input)
            .hears([Event::Forward, Event::Backward, Event::BatchEnd, Event::Exception])
            .logs_nothing()
            .settings(self)
            .note(note)
    }

    fn state(&self) -> State {
        State::none()
    }

    // a batch that is skipped has no backward pass, and an evaluation has none: its end ends autocast

    fn on_forward(&mut self, cx: &mut Context) -> Result<Flow> {
        if self.guard.is_none() {
            let kind = match self.dtype {
                Half::Bf16 => Kind::BFloat16,
                Half::F16 => Kind::Half,
            };
            self.guard = Some(precision::Autocast::enter(cx.device(), kind)?);
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
