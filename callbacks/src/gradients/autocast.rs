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
    /// The half precision of the forward pass.
    dtype: Half,
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
        Self { dtype: Half::Bf16 }
    }

    /// In float16.
    pub fn f16() -> Self {
        Self { dtype: Half::F16 }
    }
}

impl Callback for Autocast {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Input, [Event::Forward]).logs_nothing().settings(self)
    }

    fn state(&self) -> State {
        State::none()
    }

    fn on_forward(&mut self, cx: &mut Context) -> Result<Flow> {
        let kind = match self.dtype {
            Half::Bf16 => Kind::BFloat16,
            Half::F16 => Kind::Half,
        };
        let guard = precision::Autocast::enter(cx.device(), kind)?;
        // an evaluation has no backward pass, nor has a batch that is skipped: then the batch's end ends it
        cx.undo_before(Event::Backward, move |_| {
            drop(guard);
            Ok(())
        });
        Ok(Flow::GO)
    }
}
