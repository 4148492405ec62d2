//! How many n-grams of a translation its references have.
use catena_tensor::Result;
use catena_tensor::settings::Range;
use catena_tensor::tch::{Kind, Tensor};
use serde_json::Value;

use crate::memory::Memory;
use crate::metric::{Computed, Metric, Seen};
use crate::setters::setters;
use crate::settings::{ByName, Table, require, written};
use crate::text::tokens::{Tokens, check_seen};

/// BLEU of token ids `[n, length]` against references `[n, length]` or `[n, references, length]`, over the whole corpus.
///
/// Rows are filled up at their end with `ignore_index` (default -100). An n-gram counts as often as one reference has it; the
/// length that the brevity penalty compares with is the nearest reference's. Source: Papineni et al. 2002,
/// `torchmetrics.functional.text.bleu_score`. What is kept: two numbers an n. A batch takes memory in proportion to the
/// product of hypothesis and reference lengths.
///
/// ```
/// use catena_metrics::{Bleu, Meter, Seen};
/// use catena_tensor::tch::Tensor;
///
/// let mut bleu = Meter::new(Bleu::new().n_gram(2));
/// let row = |ids: &[i64]| Tensor::from_slice(ids).view([1, -1]);
/// bleu.update(&Seen::new(&row(&[1, 2, 3, 4])).target(&row(&[1, 2, 3, 5])))?;
/// let expected = (0.75f64 * 2.0 / 3.0).sqrt();
/// assert!((bleu.compute()?.number().unwrap_or_default() - expected).abs() < 1e-15);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bleu {
    n_gram: usize,
    smooth: bool,
    weights: Option<Vec<f64>>,
    tokens: Tokens,
}

impl Default for Bleu {
    fn default() -> Self {
        Self { n_gram: 4, smooth: false, weights: None, tokens: Tokens::default() }
    }
}

impl Bleu {
    /// Of 1- to 4-grams, without smoothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The longest n-gram (default 4).
    #[must_use]
    pub fn n_gram(mut self, n_gram: usize) -> Self {
        self.n_gram = n_gram;
        self
    }

    /// Adds 1 to matches and counts of 2-grams and longer ones (Lin and Och 2004; default false).
    #[must_use]
    pub fn smooth(mut self, smooth: bool) -> Self {
        self.smooth = smooth;
        self
    }

    /// What each n counts (default all the same).
    #[must_use]
    pub fn weights(mut self, weights: impl IntoIterator<Item = f64>) -> Self {
        self.weights = Some(weights.into_iter().collect());
        self
    }

    setters! { padding(tokens.ignore_index) }
}

/// For hypotheses `[n, length]`: which of them match a clipped n-gram, for each of `n_gram` lengths, `[n_gram]` sums by weight.
fn matches(
    ids: &Tensor,
    refs: &Tensor,
    lens: (&Tensor, &Tensor),
    weight: &Tensor,
    n_gram: i64,
) -> Result<(Tensor, Tensor)> {
    let places = |of: &Tensor| Tensor::f_arange(of.size()[of.dim() - 1], (Kind::Int64, ids.device()));
    let (own_places, ref_places) = (places(ids)?, places(refs)?);
    // [n, i, j]: do the n-grams that begin at i and j agree? And the same with each reference, [n, r, i, j]
    let equal_own = ids.f_unsqueeze(2)?.f_eq_tensor(&ids.f_unsqueeze(1)?)?;
    let equal_ref = ids.f_unsqueeze(1)?.f_unsqueeze(3)?.f_eq_tensor(&refs.f_unsqueeze(2)?)?;
    let (mut own, mut other) = (equal_own.shallow_clone(), equal_ref.shallow_clone());
    let (mut hits, mut all) = (Vec::new(), Vec::new());
    for n in 1..=n_gram {
        let (p, r) = (ids.size()[1] - n + 1, refs.size()[2] - n + 1);
        if p < 1 {
            let zero = weight.f_sum(Kind::Double)?.f_mul_scalar(0.0)?;
            hits.push(zero.shallow_clone());
            all.push(zero);
            continue;
        }
        let cut = |of: &Tensor, from: i64, r: i64| of.f_narrow(-2, from, p)?.f_narrow(-1, from, r);
        if n > 1 {
            own = cut(&own, 0, p)?.f_logical_and(&cut(&equal_own, n - 1, p)?)?;
        }
        let last = |lens: &Tensor| lens.f_sub_scalar(n)?.f_unsqueeze(-1);
        let exists = own_places.f_narrow(0, 0, p)?.f_le_tensor(&last(lens.0)?)?;
        let earlier = own.f_tril(-1)?.f_sum_dim_intlist(-1i64, false, Kind::Int64)?;
        let allowed = if r < 1 {
            earlier.f_zeros_like()?
        } else {
            if n > 1 {
                other = cut(&other, 0, r)?.f_logical_and(&cut(&equal_ref, n - 1, r)?)?;
            }
            let exists = ref_places.f_narrow(0, 0, r)?.f_le_tensor(&last(lens.1)?)?;
            let counts = other.f_logical_and(&exists.f_unsqueeze(2)?)?;
            counts.f_sum_dim_intlist(-1i64, false, Kind::Int64)?.f_amax([1i64], false)?
        };
        let weight = weight.f_unsqueeze(1)?;
        let hit = earlier.f_lt_tensor(&allowed)?.f_logical_and(&exists)?;
        hits.push(hit.f_to_kind(Kind::Double)?.f_mul(&weight)?.f_sum(Kind::Double)?);
        all.push(exists.f_to_kind(Kind::Double)?.f_mul(&weight)?.f_sum(Kind::Double)?);
    }
    Ok((Tensor::f_stack(&hits, 0)?, Tensor::f_stack(&all, 0)?))
}

impl ByName for Bleu {
    fn each_setting(&mut self, table: &mut Table) -> Result<()> {
        table.setting("n_gram", &mut self.n_gram)?;
        table.setting("smooth", &mut self.smooth)?;
        table.setting("weights", &mut self.weights)?;
        self.tokens.each_setting(table)
    }
}

impl Metric for Bleu {
    fn name(&self) -> &str {
        "bleu_score"
    }

    fn settings(&self) -> Value {
        written(self)
    }

    fn check(&self) -> Result<()> {
        Range::Count(1).check(self.name(), "n_gram", self.n_gram as f64)?;
        let given = self.weights.as_ref().map_or(self.n_gram, Vec::len);
        require(given == self.n_gram, self.name(), "weights", given, &format!("{} numbers", self.n_gram))
    }

    fn update(&self, seen: &Seen, memory: &mut Memory) -> Result<()> {
        let [ids, refs, weight] = self.tokens.sentences(seen, memory)?;
        let (own, others) = (self.tokens.lengths(&ids)?, self.tokens.lengths(&refs)?);
        let (hits, all) = matches(&ids, &refs, (&own, &others), &weight, self.n_gram as i64)?;
        // the first of the nearest
        let nearest = others.f_sub(&own.f_unsqueeze(1)?)?.f_abs()?.f_argmin(1, true)?;
        let nearest = others.f_gather(1, &nearest, false)?.f_squeeze_dim(1)?;
        let sum = |of: &Tensor| of.f_mul(&weight)?.f_sum(Kind::Double)?.f_reshape([1i64]);
        memory.add("sums", Tensor::f_cat(&[hits, all, sum(&own)?, sum(&nearest)?], 0)?)
    }

    fn compute(&self, memory: &Memory) -> Result<Computed> {
        check_seen(memory)?;
        let sums = memory.numbers("sums")?;
        if sums.is_empty() {
            return Ok(Computed::Number(f64::NAN));
        }
        let n = self.n_gram;
        let (hits, all, length, reference) = (&sums[..n], &sums[n..2 * n], sums[2 * n], sums[2 * n + 1]);
        if hits.contains(&0.0) {
            return Ok(Computed::Number(0.0));
        }
        let logs = (0..n).map(|i| {
            let more = f64::from(self.smooth && i > 0);
            let weight = self.weights.as_ref().map_or(1.0 / n as f64, |weights| weights[i]);
            weight * ((hits[i] + more) / (all[i] + more)).ln()
        });
        let brevity = if length > reference { 0.0 } else { 1.0 - reference / length };
        Ok(Computed::Number((brevity + logs.sum::<f64>()).exp()))
    }
}
