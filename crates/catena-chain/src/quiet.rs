//! Looking draws nothing: what a callback that only looks draws from torch's generators is put back, or told.
use catena_tensor::rng::Generators;

use crate::callback::Callback;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::flow::Flow;

/// In how many batches of a loader a debug build looks whether an onlooker draws.
const CHECKED: u64 = 2;

/// Whether hooks of this event are called as they are: in batches, where looking at the generators would cost too much, but for debug builds.
pub(crate) const fn is_free(event: Event) -> bool {
    event.is_of_batch() && !cfg!(debug_assertions)
}

/// Calls a hook of a callback that only looks. Outside of batches what it draws is put back; in the first batches of a loader it is an error.
#[inline(never)]
pub(crate) fn quietly(
    event: Event,
    name: &str,
    callback: &mut dyn Callback,
    cx: &mut Context,
) -> Result<Flow> {
    if event.is_of_batch() && cx.loader_batch() > CHECKED {
        return callback.on_event(event, cx);
    }
    let generators = Generators::keep()?;
    let flow = callback.on_event(event, cx)?;
    if !event.is_of_batch() {
        generators.put_back()?;
    } else if !generators.are_as_kept()? {
        return Err(Error::OnlookerDraws { callback: name.to_owned(), event }.into());
    }
    Ok(flow)
}
