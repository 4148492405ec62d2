//! Scores in bins: what a curve at fixed thresholds needs, in constant memory.
use std::cell::RefCell;

use catena_tensor::Result;
use catena_tensor::tch::{Device, Kind, Tensor};
use serde::{Deserialize, Serialize};

use crate::classification::items::Items;
use crate::classification::task::Task;
use crate::weights::count;

/// Where a curve is taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a whole number is needed, or a list of numbers")]
pub enum Thresholds {
    /// At so many probabilities, evenly from 0 to 1.
    Number(i64),
    /// At these.
    These(#[serde(with = "catena_record::float::list")] Vec<f64>),
}

/// Thresholds, and what they are in the dtype and on the device of the scores: made once, for a copy from the host waits for the device.
#[derive(Debug)]
pub(crate) struct Bins {
    pub(crate) thresholds: Thresholds,
    bounds: RefCell<Option<((Kind, Device), Tensor)>>,
}

impl Clone for Bins {
    fn clone(&self) -> Self {
        Self::new(self.thresholds.clone())
    }
}

impl Bins {
    pub(crate) fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, bounds: RefCell::new(None) }
    }

    fn bounds(&self, like: &Tensor) -> Result<Tensor> {
        let options = (like.f_kind()?, like.device());
        if let Some((known, bounds)) = &*self.bounds.borrow()
            && *known == options
        {
            return Ok(bounds.shallow_clone());
        }
        let bounds = match &self.thresholds {
            Thresholds::Number(n) => Tensor::f_linspace(0.0, 1.0, *n, options)?,
            Thresholds::These(these) => {
                let mut these = these.clone();
                these.sort_by(f64::total_cmp);
                Tensor::f_from_slice(&these)?.f_to_kind(options.0)?.f_to_device(options.1)?
            }
        };
        self.bounds.replace(Some((options, bounds.shallow_clone())));
        Ok(bounds)
    }

    /// The weight of each class's negatives and positives by how many thresholds their score reaches:
    /// `[readings, classes, 2, thresholds + 1]`.
    pub(crate) fn count(&self, task: Task, items: &Items, readings: &Tensor) -> Result<Tensor> {
        let bounds = self.bounds(readings)?;
        let (classes, slots) = (task.classes(), bounds.size()[0] + 1);
        let class = Tensor::f_arange(classes, (Kind::Int64, items.target.device()))?;
        let (target, weight) = match task {
            Task::Multiclass(_) => {
                let target = items.target.f_unsqueeze(1)?.f_eq_tensor(&class)?.f_to_kind(Kind::Int64)?;
                let weight = items.weight.f_unsqueeze(1)?.f_expand_as(&target)?;
                (target, weight)
            }
            _ => (items.target.f_reshape([-1, classes])?, items.weight.f_reshape([-1, classes])?),
        };
        let row = class.f_mul_scalar(2)?.f_add(&target)?.f_mul_scalar(slots)?;
        let each = (0..readings.size()[0]).map(|reading| {
            let scores = readings.f_select(0, reading)?.f_reshape([-1, classes])?;
            let reached = scores.f_contiguous()?.f_bucketize(&bounds, false, true)?;
            count(&row.f_add(&reached)?, &weight, classes * 2 * slots)
        });
        let bins = Tensor::f_stack(&each.collect::<Result<Vec<_>>>()?, 0)?;
        Ok(bins.f_reshape([-1, classes, 2, slots])?)
    }
}
