//! Sentences as rows of token ids.
use catena_tensor::tch::{Kind, Tensor};
use catena_tensor::{Error, Result};

use crate::memory::Memory;
use crate::metric::Seen;
use crate::settings::Table;
use crate::weights::weight_like;
use crate::whole::{Whole, wide};

const TOKEN: Whole = Whole { name: "token id", low: i64::MIN, high: i64::MAX };
const REFERENCE: Whole = Whole { name: "token id of a reference", ..TOKEN };

/// How to read sentences.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    /// The id that fills rows up.
    pub(crate) ignore_index: i64,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { ignore_index: -100 }
    }
}

impl Tokens {
    pub(crate) fn each_setting(&mut self, table: &mut Table) -> Result<()> {
        table.setting("ignore_index", &mut self.ignore_index)
    }

    /// Row lengths: ids up to the first that fills up.
    pub(crate) fn lengths(&self, ids: &Tensor) -> Result<Tensor> {
        Ok(ids
            .f_ne(self.ignore_index)?
            .f_to_kind(Kind::Int64)?
            .f_cumprod(-1, Kind::Int64)?
            .f_sum_dim_intlist(-1i64, false, Kind::Int64)?)
    }

    /// Hypotheses `[n, length]` and references `[n, references, length]`, i64, and what each row counts, f64 `[n]`. What is no whole number
    /// is noted.
    pub(crate) fn sentences(&self, seen: &Seen, memory: &mut Memory) -> Result<[Tensor; 3]> {
        let (input, target) = (seen.input, seen.need_target()?);
        let (has, is) = (input.size(), target.size());
        if has.len() != 2 || !(2..=3).contains(&is.len()) || has[0] != is[0] {
            let expected =
                format!("ids are [n, length] against [n, length] or [n, references, length], here {is:?}");
            return Err(Error::Shape { what: "the input".into(), got: has, expected });
        }
        let target = if is.len() == 2 { target.f_unsqueeze(1)? } else { target.shallow_clone() };
        let rows = Tensor::f_zeros([has[0]], (Kind::Double, input.device()))?;
        let weight = weight_like(seen.weight, &rows)?;
        let counts = weight.f_ne(0)?.f_unsqueeze(1)?;
        let ids = TOKEN.read(&wide(input, "the input")?, &counts.f_expand(&has, false)?, memory)?;
        let counts = counts.f_unsqueeze(2)?.f_expand(target.size(), false)?;
        let target = REFERENCE.read(&wide(&target, "the target")?, &counts, memory)?;
        Ok([ids, target, weight])
    }
}

/// An error if an id was noted that is no whole number.
pub(crate) fn check_seen(memory: &Memory) -> Result<()> {
    TOKEN.check(memory, |_| "an id is an i64".into())?;
    REFERENCE.check(memory, |_| "an id is an i64".into())
}
