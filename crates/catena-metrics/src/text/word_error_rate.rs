//! How many words of a transcript are wrong.
use catena_tensor::tch::{Kind, Tensor};
use catena_tensor::{Error, Result};
use serde_json::Value;

use crate::memory::Memory;
use crate::metric::{Computed, Metric, Seen};
use crate::setters::setters;
use crate::settings::{ByName, Table, written};
use crate::text::tokens::{Tokens, check_seen};

/// Insertions, deletions and substitutions that lead from token ids `[n, length]` to the reference `[n, length]`, as a share
/// of the reference's tokens.
///
/// Rows are filled up at their end with `ignore_index` (default -100). Source: Levenshtein's distance;
/// `torchmetrics.functional.text.word_error_rate`. What is kept: two numbers.
///
/// ```
/// use catena_metrics::{Meter, Seen, WordErrorRate};
/// use catena_tensor::tch::Tensor;
///
/// let mut wer = Meter::new(WordErrorRate::new());
/// let row = |ids: &[i64]| Tensor::from_slice(ids).view([1, -1]);
/// wer.update(&Seen::new(&row(&[1, 2, 3])).target(&row(&[1, 3, 4, 5])))?;
/// assert_eq!(wer.compute()?.number(), Some(0.75)); // 2 goes, 4 and 5 come
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct WordErrorRate {
    tokens: Tokens,
}

impl WordErrorRate {
    /// Rows filled up with -100.
    pub fn new() -> Self {
        Self::default()
    }

    setters! { padding(tokens.ignore_index) }
}

/// Levenshtein's distance of each row, f64 `[n]`: a row of the table at a time, all rows of the batch at once.
fn distances(ids: &Tensor, refs: &Tensor, own: &Tensor, other: &Tensor) -> Result<Tensor> {
    let (n, length, width) = (ids.size()[0], ids.size()[1], refs.size()[1]);
    let places = Tensor::f_arange(width + 1, (Kind::Double, ids.device()))?;
    let mut table = places.f_unsqueeze(0)?.f_expand([n, width + 1], false)?;
    for i in 0..length {
        let id = ids.f_narrow(1, i, 1)?;
        let swapped = table.f_narrow(1, 0, width)?.f_add(&refs.f_ne_tensor(&id)?)?;
        let dropped = table.f_narrow(1, 1, width)?.f_add_scalar(1.0)?;
        let start = table.f_narrow(1, 0, 1)?.f_add_scalar(1.0)?;
        let row = Tensor::f_cat(&[start, swapped.f_minimum(&dropped)?], 1)?;
        // insertions: the smallest of row[k] + (j - k) over k up to j
        let (smallest, _) = row.f_sub(&places)?.f_cummin(1)?;
        let is_there = own.f_gt(i)?.f_unsqueeze(1)?;
        table = smallest.f_add(&places)?.f_where_self(&is_there, &table)?;
    }
    Ok(table.f_gather(1, &other.f_unsqueeze(1)?, false)?.f_squeeze_dim(1)?)
}

impl ByName for WordErrorRate {
    fn each_setting(&mut self, table: &mut Table) -> Result<()> {
        self.tokens.each_setting(table)
    }
}

impl Metric for WordErrorRate {
    fn name(&self) -> &str {
        "word_error_rate"
    }

    fn settings(&self) -> Value {
        written(self)
    }

    fn update(&self, seen: &Seen, memory: &mut Memory) -> Result<()> {
        let [ids, refs, weight] = self.tokens.sentences(seen, memory)?;
        if refs.size()[1] != 1 {
            let expected = "there is one reference for each row, so references are [n, length]".into();
            return Err(Error::Shape { what: "the target".into(), got: refs.size(), expected });
        }
        let refs = refs.f_squeeze_dim(1)?;
        let (own, other) = (self.tokens.lengths(&ids)?, self.tokens.lengths(&refs)?);
        let errors = distances(&ids, &refs, &own, &other)?.f_mul(&weight)?;
        let sums = [errors.f_sum(Kind::Double)?, other.f_mul(&weight)?.f_sum(Kind::Double)?];
        memory.add("sums", Tensor::f_stack(&sums, 0)?)
    }

    fn compute(&self, memory: &Memory) -> Result<Computed> {
        check_seen(memory)?;
        Ok(Computed::Number(match memory.numbers("sums")?[..] {
            [errors, tokens] => errors / tokens,
            _ => f64::NAN,
        }))
    }
}
