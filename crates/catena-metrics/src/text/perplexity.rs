//! How surprised a language model is.
use catena_tensor::settings::require;
use catena_tensor::tch::{Kind, Tensor};
use catena_tensor::{Error, Result};
use serde_json::Value;

use crate::classification::labels::Labels;

use crate::classification::task::Task;
use crate::memory::Memory;
use crate::metric::{Computed, Metric, Seen};
use crate::setters::setters;
use crate::settings::{ByName, Table, written};

/// exp of the mean -ln probability of the right token, from logits `[n, length, vocabulary]` (or `[n, vocabulary]`), unless [`Perplexity::class_dim`] says otherwise.
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
#[derive(Clone, Debug)]
pub struct Perplexity {
    ignore_index: Option<i64>,
    class_dim: i64,
}

impl Default for Perplexity {
    fn default() -> Self {
        Self { ignore_index: None, class_dim: -1 }
    }
}

impl Perplexity {
    /// Of all tokens.
    pub fn new() -> Self {
        Self::default()
    }

    setters! { ignore_index(ignore_index) }

    /// The dimension of the logits that has the vocabulary (default -1, the last). For `[n, vocabulary, length]`, as losses have it by default, it is 1.
    #[must_use]
    pub fn class_dim(mut self, dim: i64) -> Self {
        self.class_dim = dim;
        self
    }
}

impl ByName for Perplexity {
    fn each_setting(&mut self, table: &mut Table) -> Result<()> {
        table.setting("ignore_index", &mut self.ignore_index)?;
        table.setting("class_dim", &mut self.class_dim)
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
        if logits.dim() < 2 || !logits.is_floating_point() {
            let expected = "logits are [n, length, vocabulary]".into();
            return Err(Error::Shape { what: "the input".into(), got: logits.size(), expected });
        }
        let dims = logits.dim() as i64;
        let has_it = (-dims..dims).contains(&self.class_dim);
        let allowed = format!("a dimension of the logits, which have {dims}");
        require("perplexity", "class_dim", self.class_dim, allowed, has_it)?;
        let logits = logits.f_movedim_int(self.class_dim, 1)?;
        let classes = logits.size()[1];
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

#[cfg(test)]
mod tests {
    use catena_tensor::tch::Device;

    use super::*;
    use crate::Meter;

    #[test]
    fn logits_of_either_layout_give_the_same_number() {
        let logits = Tensor::arange(24, (Kind::Double, Device::Cpu)).sin().view([2, 3, 4]);
        let tokens = Tensor::from_slice(&[0i64, 3, 1, 2, 2, 0]).view([2, 3]);
        let of = |metric: Perplexity, logits: &Tensor| {
            let mut meter = Meter::new(metric);
            meter.update(&Seen::new(logits).target(&tokens)).map_err(|error| error.to_string())?;
            Ok::<_, String>(meter.compute().unwrap().number().unwrap())
        };
        let last = of(Perplexity::new(), &logits);
        assert_eq!(of(Perplexity::new().class_dim(1), &logits.movedim_int(-1, 1)), last);
        let said = "perplexity: `class_dim` is 3, but must be a dimension of the logits, which have 3";
        assert_eq!(of(Perplexity::new().class_dim(3), &logits).unwrap_err(), said);
    }
}
