//! What every callback has to hold, tried on one.
use catena_tensor::panics::caught;
use catena_tensor::tch::Tensor;

use crate::adapters::CallbackExt;
use crate::callback::Callback;
use crate::context::Probe;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::every::Every;
use crate::testing::tiny::driver;

/// Tries whether callbacks that `make` makes hold what a chain and a resume go by; call it in a test of your callback. `make` gives a new one each time, all alike.
///
/// * They say the same of themselves ([`Callback::about`]), each time.
/// * They have hooks for no event that they don't declare ([`About::hears`](crate::About::hears)): it would never be called.
/// * A new one takes back the state of another new one, and then has that state.
/// * An adapter changes their name, and nothing else that they say but its own part.
///
/// ```
/// use catena_chain::{About, Callback, Context, Event, Flow, Result, State, testing};
///
/// /// Declares `batch_end`, and hears `epoch_end`.
/// struct Forgetful;
///
/// impl Callback for Forgetful {
///     fn about(&self) -> About {
///         About::of::<Self>().hears([Event::BatchEnd]).looks()
///     }
///
///     fn state(&self) -> State {
///         State::none()
///     }
///
///     fn on_epoch_end(&mut self, _: &mut Context) -> Result<Flow> {
///         Ok(Flow::GO)
///     }
/// }
///
/// let error = testing::check_callback(|| Box::new(Forgetful)).unwrap_err().to_string();
/// assert!(error.starts_with("Forgetful has a hook for epoch_end"), "{error}");
/// ```
pub fn check_callback(make: impl Fn() -> Box<dyn Callback>) -> Result<()> {
    let (first, second) = (make(), make());
    let about = first.about();
    let name = about.name.clone();
    if about != first.about() || about != second.about() {
        return Err(format!("{name} does not say the same of itself each time").into());
    }
    check_hooks(&make, &name)?;
    check_state(&make, &name)?;
    let named = make().named("other").about();
    if (crate::about::About { name: name.clone(), ..named.clone() }) != about || named.name != "other" {
        return Err(format!("{name} says something else of itself behind `.named(…)`").into());
    }
    let rarely = make().every(Every::Epochs(1)).about();
    let same = (&rarely.name, rarely.phase, rarely.effect, rarely.role, &rarely.logs, &rarely.settings);
    if same != (&about.name, about.phase, about.effect, about.role, &about.logs, &about.settings) {
        return Err(format!("{name} says something else of itself behind `.every(…)`").into());
    }
    Ok(())
}

/// Sends each event that is not declared to a callback that is thrown away after it.
fn check_hooks(make: &impl Fn() -> Box<dyn Callback>, name: &str) -> Result<()> {
    let hears = make().about().hears;
    for event in Event::ALL.into_iter().filter(|event| !hears.contains(*event)) {
        let mut driver = driver(Vec::new())?;
        let cx = driver.context_mut();
        cx.probe = Probe::default();
        let heard = caught(|| make().on_event(event, cx));
        let is_default = cx.probe.default_hook || !cx.probe.default_dispatch;
        if !is_default || !matches!(heard, Ok(Ok(_))) {
            return Err(Error::Undeclared { callback: name.to_owned(), event }.into());
        }
    }
    Ok(())
}

fn check_state(make: &impl Fn() -> Box<dyn Callback>, name: &str) -> Result<()> {
    let (first, mut second) = (make(), make());
    let state = first.state();
    if !state.is_none() {
        second.load_state(state.shared())?;
    }
    let back = second.state();
    let same = |((a, x), (b, y)): (&(String, Tensor), &(String, Tensor))| a == b && x.equal(y);
    let tensors =
        state.tensors.len() == back.tensors.len() && state.tensors.iter().zip(&back.tensors).all(same);
    if state.json != back.json || !tensors {
        return Err(format!(
            "{name} does not take its own state back: it has {} then, and had {}",
            back.json, state.json
        )
        .into());
    }
    Ok(())
}
