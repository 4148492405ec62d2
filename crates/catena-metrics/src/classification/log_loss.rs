//! How surprising the truth was.
use catena_tensor::Result;
use catena_tensor::tch::{Kind, Tensor};
use serde_json::Value;

use crate::classification::items::Items;
use crate::classification::labels::Labels;
use crate::classification::task::Task;
use crate::memory::Memory;
use crate::metric::{Computed, Metric, Seen};
use crate::setters::setters;
use crate::settings::{ByName, Table, require, written};

/// The mean of -ln of the probability that the truth was given.
///
/// Probabilities are clipped to what their dtype tells from 0 and 1; logits need no clipping. NaN if a score of an item that counts
/// is. With [`LogLoss::soft_targets`] the truth is probabilities, and this is the cross entropy. Source: `sklearn.metrics.log_loss`; of
/// soft targets `torch.nn.CrossEntropyLoss` and `torch.nn.BCEWithLogitsLoss`.
///
/// ```
/// use catena_metrics::{LogLoss, Meter, Seen, Task};
/// use catena_tensor::tch::Tensor;
///
/// let mut loss = Meter::new(LogLoss::new(Task::Binary));
/// loss.update(&Seen::new(&Tensor::from_slice(&[0.5, 0.25])).target(&Tensor::from_slice(&[1i64, 0])))?;
/// let expected = -(0.5f64.ln() + 0.75f64.ln()) / 2.0;
/// assert!((loss.compute()?.number().unwrap_or_default() - expected).abs() < 1e-15);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LogLoss {
    labels: Labels,
    soft: bool,
}

impl LogLoss {
    /// Of all items.
    pub fn new(task: Task) -> Self {
        Self { labels: Labels::new(task), soft: false }
    }

    setters! { ignore_index(labels.ignore_index) logits(labels.logits) }

    /// Takes targets that are probabilities, of the input's shape (default: labels). Those of the classes of an item must add up to 1,
    /// to 0.01. What is no probability is an error at the loader's end that names the number and the row.
    ///
    /// ```
    /// use catena_metrics::{LogLoss, Meter, Seen, Task};
    /// use catena_tensor::tch::Tensor;
    ///
    /// let mut loss = Meter::new(LogLoss::new(Task::Binary).soft_targets());
    /// loss.update(&Seen::new(&Tensor::from_slice(&[0.5])).target(&Tensor::from_slice(&[0.95])))?;
    /// assert!((loss.compute()?.number().unwrap_or_default() - 2f64.ln()).abs() < 1e-15);
    /// # Ok::<(), catena_tensor::Error>(())
    /// ```
    #[must_use]
    pub fn soft_targets(mut self) -> Self {
        self.soft = true;
        self
    }

    /// -ln of the truth's probability, for each item; of soft targets its mean by them. `kind` is what the scores came in.
    fn surprise(&self, items: &Items, kind: Kind, logits: bool) -> Result<Tensor> {
        let eps = match kind {
            Kind::Double => f64::EPSILON,
            Kind::Float => f64::from(f32::EPSILON),
            _ => 2f64.powi(-8),
        };
        let scores = items.input.f_to_kind(Kind::Double)?;
        let ln = |p: &Tensor| p.f_clamp(eps, 1.0 - eps)?.f_log();
        // a share of 0 counts nothing, whatever the logarithm
        let part = |share: &Tensor, log: &Tensor| -> Result<Tensor> {
            Ok(share.f_mul(log)?.f_where_self(&share.f_ne(0)?, &share.f_zeros_like()?)?)
        };
        let of_truth = match self.labels.task {
            Task::Multiclass(_) => {
                let logs = if logits { scores.f_log_softmax(1, None)? } else { ln(&scores)? };
                if self.soft {
                    let parts = part(&items.target, &logs)?;
                    return surprise_of(&parts.f_sum_dim_intlist(1i64, false, Kind::Double)?, items);
                }
                logs.f_gather(1, &items.target.f_unsqueeze(1)?, false)?.f_squeeze_dim(1)?
            }
            Task::Binary | Task::Multilabel(_) => {
                let (yes, no) = match logits {
                    true => (scores.f_log_sigmoid()?, scores.f_neg()?.f_log_sigmoid()?),
                    false => (ln(&scores)?, ln(&scores.f_neg()?.f_add_scalar(1.0)?)?),
                };
                if self.soft {
                    let other = items.target.f_neg()?.f_add_scalar(1.0)?;
                    return surprise_of(&part(&items.target, &yes)?.f_add(&part(&other, &no)?)?, items);
                }
                yes.f_where_self(&items.target.f_eq(1)?, &no)?
            }
        };
        surprise_of(&of_truth, items)
    }
}

/// What does not count may be anything.
fn surprise_of(log: &Tensor, items: &Items) -> Result<Tensor> {
    let counts = items.weight.f_ne(0)?;
    Ok(log.f_neg()?.f_where_self(&counts, &log.f_zeros_like()?)?)
}

impl ByName for LogLoss {
    fn each_setting(&mut self, table: &mut Table) -> Result<()> {
        self.labels.each_setting(table)?;
        table.setting("soft_targets", &mut self.soft)
    }
}

impl Metric for LogLoss {
    fn name(&self) -> &str {
        "log_loss"
    }

    fn settings(&self) -> Value {
        written(self)
    }

    fn check(&self) -> Result<()> {
        self.labels.check(self.name())?;
        let no_label = !self.soft || !matches!(self.labels.task, Task::Multiclass(_));
        let got = self.labels.ignore_index.unwrap_or_default();
        let fine = no_label || self.labels.ignore_index.is_none();
        require(
            fine,
            self.name(),
            "ignore_index",
            got,
            "none with soft targets of classes: give a weight of 0",
        )
    }

    fn update(&self, seen: &Seen, memory: &mut Memory) -> Result<()> {
        Labels::need_scores(seen, self.name())?;
        let items = match self.soft {
            true => self.labels.soft_items(seen, memory)?,
            false => self.labels.items(seen, memory)?,
        };
        let kind = seen.input.f_kind()?;
        let _notes_the_range = self.labels.readings(&items, memory)?;
        let readings: &[bool] = match self.labels.logits {
            None => &[false, true],
            Some(true) => &[true],
            Some(false) => &[false],
        };
        let all = items.weight.f_sum(Kind::Double)?;
        let each = readings.iter().map(|logits| {
            let surprise = self.surprise(&items, kind, *logits)?.f_mul(&items.weight)?;
            Ok(Tensor::f_stack(&[&surprise.f_sum(Kind::Double)?, &all], 0)?)
        });
        let sums = Tensor::f_stack(&each.collect::<Result<Vec<_>>>()?, 0)?;
        memory.add("sums", sums)
    }

    fn compute(&self, memory: &Memory) -> Result<Computed> {
        self.labels.check_seen(memory)?;
        Ok(Computed::Number(match self.labels.read_sums(memory, "sums")?.as_deref() {
            Some([surprise, weight]) => surprise / weight,
            _ => f64::NAN,
        }))
    }
}
