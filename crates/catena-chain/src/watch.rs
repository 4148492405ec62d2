//! A metric that a callback decides by: each measurement is looked at once.
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::Result;
use crate::event::{Event, Events};

/// Gives each measurement of a metric once, whenever and however often it is measured.
///
/// A loader of the epoch gives its measurement at `epoch_end`. An evaluation that somebody asked for, also one in the middle of an epoch,
/// gives it at its own `loader_end`. An epoch without a measurement gives none. A callback that decides by a metric hears
/// [`Watch::EVENTS`], calls [`Watch::begin`] at `stage_start`, and [`Watch::measured`] at the other two. It keeps the watch in its state.
///
/// ```
/// use catena_chain::{Reduce, Watch, testing};
///
/// let mut driver = testing::driver(vec![])?; // in the loader `train`
/// let mut watch = Watch::default();
/// driver.context_mut().log("hits", 2.0, Reduce::Sum)?;
/// driver.leave_loader()?;
/// assert_eq!(watch.measured("train/hits", driver.context_mut())?, Some(2.0)); // at epoch_end
/// assert_eq!(watch.measured("train/hits", driver.context_mut())?, None); // nothing new
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watch {
    /// How many measurements there were when it looked last.
    looked: u64,
}

impl Watch {
    /// The events that a callback with a watch hears.
    pub const EVENTS: Events = Events::of(&[Event::StageStart, Event::LoaderEnd, Event::EpochEnd]);

    /// A stage begins: what was measured before it is not looked at any more.
    pub fn begin(&mut self, metric: &str, cx: &Context) {
        self.looked = cx.metrics.measurements(metric);
    }

    /// At `loader_end` and `epoch_end`: the new measurement of the metric of this whole name, such as `valid/loss`, if there is one.
    ///
    /// A loader that ends without the metric is an error that lists the metrics that it has.
    pub fn measured(&mut self, metric: &str, cx: &mut Context) -> Result<Option<f64>> {
        if cx.interrupted().is_some() {
            return Ok(None);
        }
        if cx.loader().is_empty() {
            let measurements = cx.metrics.measurements(metric);
            let is_new = measurements > self.looked;
            self.looked = measurements;
            return Ok(cx.metrics.get(metric).filter(|_| is_new));
        }
        let Some(name) = metric.strip_prefix(cx.loader()).and_then(|rest| rest.strip_prefix('/')) else {
            return Ok(None);
        };
        match cx.metrics.so_far(name)? {
            None if cx.cut_short() => Ok(None),
            None => {
                let (loader, known) = (cx.loader().to_owned(), cx.metrics.all_so_far()?);
                let known: Vec<String> = known.map(|(name, _)| format!("{loader}/{name}")).collect();
                let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                Err(format!("there is no metric `{metric}`; loader `{loader}` has: {known}").into())
            }
            Some(value) if cx.is_on_request() => {
                // the loader's values are counted when it has ended
                self.looked = cx.metrics.measurements(metric) + 1;
                Ok(Some(value))
            }
            Some(_) => Ok(None),
        }
    }
}
