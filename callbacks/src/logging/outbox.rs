//! What other callbacks hand to the loggers.
use std::sync::Arc;
use std::time::SystemTime;

use catena_chain::Context;
use catena_loggers::{Entry, Payload, Scope};

/// What callbacks hand to the loggers beside metrics: it stands in `cx.ext` of a run that has [`Loggers`](crate::Loggers).
///
/// ```
/// use catena_callbacks::{Histogram, Outbox, Payload};
/// use catena_chain::{Event, Flow, on};
///
/// let weights = on(Event::EpochEnd, |cx| {
///     if Outbox::is_open(cx) {
///         for (name, weight) in cx.model.var_store().variables() {
///             let histogram = Histogram::of(&weight)?;
///             Outbox::put(cx, Payload::Histogram { name, histogram });
///         }
///     }
///     Ok(Flow::GO)
/// });
/// ```
#[derive(Debug, Default)]
pub struct Outbox {
    pub(super) entries: Vec<Entry>,
}

impl Outbox {
    /// Hands a payload to the run's loggers, with the place where the run is now. Without loggers nothing happens.
    pub fn put(cx: &mut Context, mut payload: Payload) {
        if cx.ext.get::<Self>().is_none() {
            return;
        }
        if let Payload::Artifact { path, .. } = &mut payload
            && let Ok(absolute) = std::path::absolute(&*path)
        {
            // it is read later, and the program may have changed its folder by then
            *path = absolute;
        }
        let entry = entry(cx, scope(cx), payload);
        if let Some(outbox) = cx.ext.get_mut::<Self>() {
            outbox.entries.push(entry);
        }
    }

    /// Whether anybody takes what is handed over: it need not be made otherwise.
    pub fn is_open(cx: &Context) -> bool {
        cx.ext.get::<Self>().is_some()
    }
}

fn scope(cx: &Context) -> Scope {
    if cx.loader().is_empty() { Scope::Run } else { Scope::Loader }
}

/// An entry at the place where the run is.
pub(super) fn entry(cx: &Context, scope: Scope, payload: Payload) -> Entry {
    Entry {
        stage: Arc::from(cx.stage()),
        epoch: cx.epoch(),
        loader: Arc::from(cx.loader()),
        scope,
        global_step: cx.global_step(),
        global_batch: cx.global_batch(),
        time: SystemTime::now(),
        payload,
    }
}
