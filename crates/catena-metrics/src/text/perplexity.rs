//! How surprised a language model is.
use catena_tensor::tch::{Kind, Tensor};
use catena_tensor::{Error, Result};
use serde_json::Value;

use crate::classification::labels::Labels;

use crate::classification::task::Task;
use crate::memory::Memory;
use crate::metric::{Computed, Metric, Seen};
use crate::setters::setters;
use crate::settings::{ByName, Table, written};

/// exp of the mean -ln probability of the right token, from logits `[n, length, vocabulary]` (or `[n, vocabulary]`).
///
/// Source: `torchmetrics.functional.text.perplexity`, in log space: no probability becomes 0. NaN if a logit of a token that counts is.
///
/// ```
/// use catena_metrics::{Meter, Perplexity, Seen};
/// use catena_tensor::tch::{Device, Kind, Tensor};
///
/// let mut perplexity = Meter::new(Perplexity::new().ignore_index(-100));
/// let logits = Tensor::zeros([1, 3, 8], (Kind::Double, Device::Cpu));
/// perplexity.update(&Seen::new(&logits).target(&Tensor::from_slice(&[5i64, 0, -100]).view([1, 3])))?;
/// assert!((perplexity.compute()?.number().unwrap_or_default() - 8.0).abs() < 1e-12);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Perplexity {
    ignore_index: Option<i64>,
}

impl Perplexity {
    /// Of all tokens.
    pub fn new() -> Self {
        Self::default()
    }

    setters! { ignore_index(ignore_index) }
}

impl ByName for Perplexity {
    fn each_setting(&mut self, table: &mut Table) -> Result<()> {
        table.setting("ignore_index", &mut self.ignore_index)
    }
}

impl Metric for Perplexity {
    fn name(&self) -> &str {
        "perplexity"
    }

    fn settings(&self) -> Value {
        written(self)
    }

    fn update(&self, seen: &Seen, memory: &mut Memory) -> Result<()> {
        let logits = seen.input.f_detach()?;
        let classes = logits.size().last().copied().unwrap_or(0);
        if logits.dim() < 2 || !logits.is_floating_point() {
            let expected = "logits are [n, length, vocabulary]".into();
            return Err(Error::Shape { what: "the input".into(), got: logits.size(), expected });
        }
        let logits = logits.f_movedim_int(-1, 1)?;
        let mut labels = Labels::new(Task::Multiclass(classes));
        labels.ignore_index = self.ignore_index;
        let items = labels.items(&Seen { input: &logits, ..*seen }, memory)?;
        let logs = items.input.f_log_softmax(1, None)?;
        let logs = logs.f_gather(1, &items.target.f_unsqueeze(1)?, false)?.f_squeeze_dim(1)?;
        let logs = logs.f_to_kind(Kind::Double)?;
        let logs = logs.f_where_self(&items.weight.f_ne(0)?, &logs.f_zeros_like()?)?.f_mul(&items.weight)?;
        let sums = [logs.f_neg()?.f_sum(Kind::Double)?, items.weight.f_sum(Kind::Double)?];
        memory.max("vocabulary", Tensor::f_full([0i64; 0], classes, (Kind::Double, logs.device()))?)?;
        memory.add("sums", Tensor::f_stack(&sums, 0)?)
    }

    fn compute(&self, memory: &Memory) -> Result<Computed> {
        let classes = memory.number("vocabulary")?;
        Labels::new(Task::Multiclass(classes as i64)).check_seen(memory)?;
        Ok(Computed::Number(match memory.numbers("sums")?[..] {
            [surprise, weight] => (surprise / weight).exp(),
            _ => f64::NAN,
        }))
    }
}
