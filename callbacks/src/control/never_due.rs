//! Finds what a stage is too short for, when it begins.
use catena_chain::{Context, Every};

/// A sentence for the log if so many epochs do not pass in the stage that begins; what goes by batches, steps or the clock is not known
/// before. A run that goes on has been told.
pub(crate) fn in_stage(what: &str, every: Every, cx: &Context) -> Option<String> {
    let Every::Epochs(n) = every else { return None };
    let (first, last) = (cx.global_epoch() + 1, cx.global_epoch() + cx.epochs());
    let comes = last.checked_div(n) > (first - 1).checked_div(n);
    let stage = cx.stage();
    (!comes && !cx.resuming()).then(|| {
        format!("{what} every {every} is never due in stage `{stage}`, which has epochs {first} to {last} of the run")
    })
}
