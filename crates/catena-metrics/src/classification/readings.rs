//! Scores as probabilities, where it is not known before the loader's end whether they are logits.
use catena_tensor::tch::{Kind, Tensor};
use catena_tensor::{Error, Result};

use crate::classification::items::Items;
use crate::classification::labels::Labels;
use crate::classification::task::Task;
use crate::host::host;
use crate::memory::Memory;
use crate::metric::Seen;

impl Labels {
    /// An error if the input is labels, where scores are needed.
    pub(crate) fn need_scores(seen: &Seen, of: &str) -> Result<()> {
        if seen.input.is_floating_point() {
            return Ok(());
        }
        let expected = format!("{of} needs scores, but this is {:?}", seen.input.f_kind()?);
        Err(Error::Shape { what: "the input".into(), got: seen.input.size(), expected })
    }

    /// Scores as probabilities, `[readings, …]`: one if `logits` says what they are, else as they are and as logits, since
    /// which is right is known at the end only: they are logits if any that counts is outside [0, 1].
    pub(crate) fn readings(&self, items: &Items, memory: &mut Memory) -> Result<Tensor> {
        let input = &items.input;
        let squashed = || match self.task {
            Task::Multiclass(_) => input.f_softmax(-1, None),
            Task::Binary | Task::Multilabel(_) => input.f_sigmoid(),
        };
        if !items.scores {
            return Ok(input.f_unsqueeze(0)?);
        }
        Ok(match self.logits {
            Some(true) => squashed()?.f_unsqueeze(0)?,
            Some(false) => input.f_unsqueeze(0)?,
            None => {
                self.note_scores(items, memory)?;
                Tensor::f_stack(&[input, &squashed()?], 0)?
            }
        })
    }

    fn note_scores(&self, items: &Items, memory: &mut Memory) -> Result<()> {
        let mut counts = items.weight.f_ne(0)?;
        if counts.dim() < items.input.dim() {
            counts = counts.f_unsqueeze(-1)?;
        }
        let clean = items.input.f_where_self(&counts, &items.input.f_zeros_like()?)?;
        // a NaN must not hide what the others say
        let clean = clean.f_nan_to_num(0.0, f64::INFINITY, f64::NEG_INFINITY)?;
        if clean.numel() > 0 {
            memory.min("lowest_score", clean.f_min()?.f_to_kind(Kind::Double)?)?;
            memory.max("highest_score", clean.f_max()?.f_to_kind(Kind::Double)?)?;
        }
        Ok(())
    }

    /// Which of `readings` is right.
    pub(crate) fn reading(&self, memory: &Memory) -> Result<usize> {
        let outside = || -> Result<bool> {
            Ok(memory.number("lowest_score")? < 0.0 || memory.number("highest_score")? > 1.0)
        };
        Ok(usize::from(self.logits.is_none() && outside()?))
    }

    /// The right one of sums that were kept for each reading, `[readings, …]`, as numbers in a row.
    pub(crate) fn read_sums(&self, memory: &Memory, name: &str) -> Result<Option<Vec<f64>>> {
        let Some(sums) = memory.get(name)? else { return Ok(None) };
        let reading = if sums.size().first() == Some(&1) { 0 } else { self.reading(memory)? };
        host(&sums.f_select(0, reading as i64)?).map(Some)
    }
}
