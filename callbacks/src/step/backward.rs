//! The backward pass.
use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, Role, State};
use catena_tensor::loss::Loss;

/// Runs the backward pass at `backward`: `cx.loss` times `cx.loss_scale`. In a stage of several passes, only the parameters of the
/// pass's own optimizer get gradients. On resume: nothing to keep.
///
/// A scale of 1 is not applied; with a scale of 0 there is no backward pass at all.
///
/// ```
/// use catena_callbacks::{Backward, Criterion, Forward};
/// use catena_chain::{Event, testing};
/// use catena_tensor::loss::CrossEntropy;
///
/// let criterion = Criterion::new(CrossEntropy::new());
/// let mut driver = testing::driver(vec![Box::new(Forward), Box::new(criterion), Box::new(Backward)])?;
/// for event in [Event::Forward, Event::Loss, Event::Backward] {
///     driver.fire(event)?;
/// }
/// let main = driver.context().optimizer().unwrap();
/// assert!(main.params().iter().all(|p| p.grad().defined()));
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Backward;

impl Callback for Backward {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Backward, [Event::Backward]).role(Role::Backward).logs_nothing()
    }

    fn state(&self) -> State {
        State::none()
    }

    fn on_backward(&mut self, cx: &mut Context) -> Result<Flow> {
        let loss = cx.loss.as_ref().ok_or("no loss is set: a callback in phase loss must set cx.loss")?;
        add_gradients(cx, loss, cx.loss_scale)?;
        Ok(Flow::GO)
    }
}

/// The backward pass of a loss times a scale.
pub(crate) fn add_gradients(cx: &Context, loss: &Loss, scale: f64) -> Result<()> {
    if scale == 0.0 {
        return Ok(());
    }
    let scaled = if scale == 1.0 { None } else { Some(loss.value.f_mul_scalar(scale)?) };
    let value = scaled.as_ref().unwrap_or(&loss.value);
    match cx.optimizer() {
        Some(optimizer) if cx.passes() > 1 => optimizer.backward(value)?,
        _ => value.f_backward().map_err(catena_tensor::Error::from)?,
    }
    Ok(())
}
