//! How surprising the truth was.
use catena_tensor::Result;
use catena_tensor::tch::{Kind, Tensor};
use serde_json::Value;

use super::labels::{Items, Labels};

use super::{Computed, Memory, Metric, Seen, Settings, Task};

/// The mean of -ln of the probability that the truth was given.
///
/// Probabilities are clipped to what their dtype tells from 0 and 1; logits need no clipping. Source:
/// `sklearn.metrics.log_loss`.
///
/// ```
/// use catena_callbacks::metrics::{LogLoss, Metric, Seen, Task};
/// use catena_chain::tensor::tch::Tensor;
///
/// let mut loss = LogLoss::new(Task::Binary);
/// loss.update(&Seen::new(&Tensor::from_slice(&[0.5, 0.25])).target(&Tensor::from_slice(&[1i64, 0])))?;
/// let expected = -(0.5f64.ln() + 0.75f64.ln()) / 2.0;
/// assert!((loss.compute()?.number().unwrap_or_default() - expected).abs() < 1e-15);
/// # Ok::<(), catena_chain::tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct LogLoss {
    labels: Labels,
    memory: Memory,
}

impl LogLoss {
    /// Of all items.
    pub fn new(task: Task) -> Self {
        Self { labels: Labels::new(task), memory: Memory::default() }
    }

    /// A target that counts for nothing (default none).
    #[must_use]
    pub fn ignore_index(mut self, label: i64) -> Self {
        self.labels.ignore_index = Some(label);
        self
    }

    /// Whether scores are logits (default: they are if any is outside [0, 1]).
    #[must_use]
    pub fn logits(mut self, logits: bool) -> Self {
        self.labels.logits = Some(logits);
        self
    }

    pub(super) fn read(settings: &mut Settings) -> Result<Self> {
        Ok(Self { labels: Labels::read(settings)?, memory: Memory::default() })
    }

    /// -ln of the truth's probability, for each item.
    fn surprise(&self, items: &Items, logits: bool) -> Result<Tensor> {
        let eps = match items.input.f_kind()? {
            Kind::Double => f64::EPSILON,
            Kind::Float => f64::from(f32::EPSILON),
            _ => 2f64.powi(-8),
        };
        let scores = items.input.f_to_kind(Kind::Double)?;
        let ln = |p: &Tensor| p.f_clamp(eps, 1.0 - eps)?.f_log();
        let of_truth = match self.labels.task {
            Task::Multiclass(_) => {
                let logs = if logits { scores.f_log_softmax(1, None)? } else { ln(&scores)? };
                logs.f_gather(1, &items.target.f_unsqueeze(1)?, false)?.f_squeeze_dim(1)?
            }
            Task::Binary | Task::Multilabel(_) => {
                let (yes, no) = match logits {
                    true => (scores.f_log_sigmoid()?, scores.f_neg()?.f_log_sigmoid()?),
                    false => (ln(&scores)?, ln(&scores.f_neg()?.f_add_scalar(1.0)?)?),
                };
                yes.f_where_self(&items.target.f_eq(1)?, &no)?
            }
        };
        let counts = items.weight.f_ne(0)?;
        Ok(of_truth.f_neg()?.f_where_self(&counts, &of_truth.f_zeros_like()?)?)
    }
}

impl Metric for LogLoss {
    fn name(&self) -> &str {
        "log_loss"
    }

    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    fn settings(&self) -> Value {
        self.labels.write(self.name()).into()
    }

    fn check(&self) -> Result<()> {
        self.labels.check(self.name())
    }

    fn update(&mut self, seen: &Seen) -> Result<()> {
        Labels::need_scores(seen, self.name())?;
        let items = self.labels.items(seen, &mut self.memory)?;
        let _notes_the_range = self.labels.readings(&items, &mut self.memory)?;
        let readings: &[bool] = match self.labels.logits {
            None => &[false, true],
            Some(true) => &[true],
            Some(false) => &[false],
        };
        let all = items.weight.f_sum(Kind::Double)?;
        let each = readings.iter().map(|logits| {
            let surprise = self.surprise(&items, *logits)?.f_mul(&items.weight)?;
            Ok(Tensor::f_stack(&[&surprise.f_sum(Kind::Double)?, &all], 0)?)
        });
        let sums = Tensor::f_stack(&each.collect::<Result<Vec<_>>>()?, 0)?;
        self.memory.add("sums", sums)
    }

    fn compute(&self) -> Result<Computed> {
        self.labels.check_seen(&self.memory)?;
        Ok(Computed::Number(match self.labels.read_sums(&self.memory, "sums")?.as_deref() {
            Some([surprise, weight]) => surprise / weight,
            _ => f64::NAN,
        }))
    }
}
