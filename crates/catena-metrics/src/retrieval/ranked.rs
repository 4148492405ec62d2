//! Search: how good are rankings, a query at a time.
use std::collections::BTreeMap;

use catena_tensor::settings::Range;
use catena_tensor::tch::{Kind, Tensor};
use catena_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::memory::Memory;
use crate::metric::{Computed, Metric, Seen};
use crate::retrieval::query::Score;
use crate::setters::setters;
use crate::settings::{ByName, Table, written};
use crate::weights::{ignoring, weight_like};
use crate::whole::{Whole, wide};

/// What a query without a relevant document has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyTarget {
    /// 0.
    Neg,
    /// 1.
    Pos,
    /// It is left out.
    Skip,
    /// An error.
    Error,
}

/// What is made of the queries' scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverQueries {
    /// Their mean.
    Mean,
    /// Their median; of an even number, the lower of the two in the middle (as in torch).
    Median,
    /// The lowest.
    Min,
    /// The highest.
    Max,
}

impl OverQueries {
    fn of(self, mut values: Vec<f64>) -> f64 {
        if values.iter().any(|value| value.is_nan()) {
            return f64::NAN;
        }
        values.sort_by(f64::total_cmp);
        let value = match self {
            Self::Mean => return values.iter().sum::<f64>() / values.len().max(1) as f64,
            Self::Median => values.get(values.len().saturating_sub(1) / 2),
            Self::Min => values.first(),
            Self::Max => values.last(),
        };
        value.copied().unwrap_or(0.0)
    }
}

/// Hit rate, MRR, MAP, NDCG and their kin, the mean over queries.
///
/// Scores `[n]` with `indexes` that say which query each belongs to (in any order, across batches), scores `[queries,
/// documents]` (each row a query of its own), or scores `[n]` alone (one query). Targets are 0 or 1; NDCG takes any finite gain of
/// at least 0, whole or not. Targets and indexes that are none are an error at the loader's end that names the first of them. With a
/// NaN among the scores there is no ranking, and the value is NaN. Everything is kept until the loader's end. Documents of equal score stand in the order in which they came;
/// NDCG takes the mean over all orders. A weight of 0 leaves a document out. Source: `torchmetrics.functional.retrieval`, but
/// a document counts whatever the sign of its score.
///
/// ```
/// use catena_metrics::{Meter, Retrieval, Seen};
/// use catena_tensor::tch::Tensor;
///
/// let mut mrr = Meter::new(Retrieval::reciprocal_rank());
/// let scores = Tensor::from_slice(&[0.9, 0.1, 0.5, 0.8, 0.2, 0.3]).view([2, 3]);
/// let relevant = Tensor::from_slice(&[1i64, 0, 0, 0, 0, 1]).view([2, 3]);
/// mrr.update(&Seen::new(&scores).target(&relevant))?;
/// assert_eq!(mrr.compute()?.number(), Some(0.75));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Retrieval {
    score: Score,
    top_k: Option<usize>,
    empty: EmptyTarget,
    aggregation: OverQueries,
    ignore_index: Option<i64>,
}

/// The first document of a row that is a query of its own, and those after it.
const FIRST: i64 = i64::MIN;
const NEXT: i64 = i64::MIN + 1;

const RELEVANT: Whole = Whole { name: "target", low: 0, high: 1 };
const QUERY: Whole = Whole { name: "query id", low: NEXT + 1, high: i64::MAX };
const GAIN: &str = "gain";

impl Retrieval {
    fn new(score: Score) -> Self {
        Self {
            score,
            top_k: None,
            empty: EmptyTarget::Neg,
            aggregation: OverQueries::Mean,
            ignore_index: None,
        }
    }

    /// MAP: the mean precision at the places of relevant documents.
    pub fn average_precision() -> Self {
        Self::new(Score::AveragePrecision)
    }

    /// MRR: 1 / the place of the first relevant document.
    pub fn reciprocal_rank() -> Self {
        Self::new(Score::ReciprocalRank)
    }

    /// Whether a relevant document is among the first `k`.
    pub fn hit_rate() -> Self {
        Self::new(Score::HitRate)
    }

    /// NDCG: gains discounted by log2 of their place, as a share of the best order's.
    pub fn normalized_dcg() -> Self {
        Self::new(Score::Ndcg)
    }

    /// The share of relevant documents among the first `k`.
    pub fn precision() -> Self {
        Self::new(Score::Precision { adaptive_k: false })
    }

    /// The share of the relevant documents that is among the first `k`.
    pub fn recall() -> Self {
        Self::new(Score::Recall)
    }

    /// The share of the other documents that is among the first `k`.
    pub fn fall_out() -> Self {
        Self::new(Score::FallOut)
    }

    /// Precision among as many as are relevant.
    pub fn r_precision() -> Self {
        Self::new(Score::RPrecision)
    }

    /// The area under the ROC curve of the first `k`; up to this share of false positives, if one is given.
    pub fn auroc(max_fpr: Option<f64>) -> Self {
        Self::new(Score::Auroc { max_fpr })
    }

    /// Looks at the first `k` documents of each query only (default all).
    #[must_use]
    pub fn top_k(mut self, top_k: usize) -> Self {
        self.top_k = Some(top_k);
        self
    }

    /// What a query without a relevant document has (default 0).
    #[must_use]
    pub fn empty_target_action(mut self, empty: EmptyTarget) -> Self {
        self.empty = empty;
        self
    }

    /// What is made of the queries' scores (default their mean).
    #[must_use]
    pub fn aggregation(mut self, aggregation: OverQueries) -> Self {
        self.aggregation = aggregation;
        self
    }

    setters! { ignore_index(ignore_index) }

    /// The documents of each query, as (score, gain), in the order in which they came.
    fn queries(&self, memory: &Memory) -> Result<Vec<Vec<(f64, f64)>>> {
        let numbers = |name| memory.numbers(name);
        let (scores, gains, weights) = (numbers("scores")?, numbers("gains")?, numbers("weights")?);
        let indexes = match memory.get("indexes")? {
            Some(indexes) => Vec::<i64>::try_from(indexes.f_contiguous()?)?,
            None => Vec::new(),
        };
        let mut rows: Vec<Vec<(f64, f64)>> = Vec::new();
        let mut named: BTreeMap<i64, Vec<(f64, f64)>> = BTreeMap::new();
        for (i, index) in indexes.into_iter().enumerate() {
            if index == FIRST {
                rows.push(Vec::new());
            }
            let query = match rows.last_mut() {
                Some(row) if index == FIRST || index == NEXT => row,
                _ => named.entry(index).or_default(),
            };
            if weights[i] != 0.0 {
                query.push((scores[i], gains[i]));
            }
        }
        let all = named.into_values().chain(rows).filter(|query| !query.is_empty());
        Ok(all.collect())
    }
}

impl ByName for Retrieval {
    fn each_setting(&mut self, table: &mut Table) -> Result<()> {
        match &mut self.score {
            Score::Precision { adaptive_k } => table.setting("adaptive_k", adaptive_k)?,
            Score::Auroc { max_fpr } => table.setting("max_fpr", max_fpr)?,
            _ => {}
        }
        if self.score != Score::RPrecision {
            table.setting("top_k", &mut self.top_k)?;
        }
        table.setting("empty_target_action", &mut self.empty)?;
        table.setting("aggregation", &mut self.aggregation)?;
        table.setting("ignore_index", &mut self.ignore_index)
    }
}

impl Metric for Retrieval {
    fn name(&self) -> &str {
        self.score.name()
    }

    fn settings(&self) -> Value {
        written(self)
    }

    fn check(&self) -> Result<()> {
        if let Score::Auroc { max_fpr: Some(max) } = self.score {
            Range::OpenClosed(0.0, 1.0).check(self.name(), "max_fpr", max)?;
        }
        Range::Count(1).check(self.name(), "top_k", self.top_k.map_or(1.0, |k| k as f64))
    }

    fn update(&self, seen: &Seen, memory: &mut Memory) -> Result<()> {
        let (scores, target) = (seen.input, seen.need_target()?);
        let size = scores.size();
        let fits = target.size() == size && seen.indexes.is_none_or(|indexes| indexes.size() == size);
        if !fits || size.is_empty() || size.len() > 2 {
            let others = (target.size(), seen.indexes.map(Tensor::size));
            let expected = format!(
                "targets have {:?} and indexes {:?}; all must be [n], or [queries, documents]",
                others.0, others.1
            );
            return Err(Error::Shape { what: "the input".into(), got: size, expected });
        }
        let target = wide(target, "the target")?;
        let weight = ignoring(self.ignore_index, weight_like(seen.weight, &target)?, &target)?;
        let counts = weight.f_ne(0)?;
        let target = match self.score {
            Score::Ndcg => {
                let fine = target.f_ge(0)?.f_logical_and(&target.f_isfinite()?)?;
                let wrong = counts.f_logical_and(&fine.f_logical_not()?)?;
                memory.note_first(GAIN, &wrong, &target)?;
                target.f_to_kind(Kind::Double)?
            }
            _ => RELEVANT.read(&target, &counts, memory)?,
        };
        let is_nan = scores.f_isnan()?.f_logical_and(&counts)?;
        memory.note_nan(&is_nan)?;
        let weight = weight.f_masked_fill(&is_nan, f64::NAN)?;
        let options = (Kind::Int64, scores.device());
        let indexes = match (seen.indexes, &size[..]) {
            (Some(indexes), _) => QUERY.read(&wide(indexes, "the indexes")?, &counts, memory)?,
            (None, [n]) => Tensor::f_zeros([*n], options)?,
            (None, _) => {
                let indexes = Tensor::f_full(&size[..], NEXT, options)?;
                let _filled = indexes.f_narrow(1, 0, size[1].min(1))?.f_fill_(FIRST)?;
                indexes
            }
        };
        let flat = |of: &Tensor| of.f_reshape([-1i64]);
        memory.push("scores", &flat(scores)?)?;
        memory.push("gains", &flat(&target)?)?;
        memory.push("weights", &flat(&weight)?)?;
        memory.push("indexes", &flat(&indexes)?)
    }

    fn compute(&self, memory: &Memory) -> Result<Computed> {
        RELEVANT.check(memory, |_| format!("targets of `{}` are 0 or 1", self.name()))?;
        QUERY.check(memory, |_| "a query's id is an i64 above its two lowest".into())?;
        if let Some((row, value)) = memory.first(GAIN)? {
            let why = "is none: a gain is a finite number of at least 0".into();
            return Err(Error::InRow { what: GAIN.into(), value, row, why });
        }
        if memory.numbers("weights")?.iter().any(|weight| weight.is_nan()) {
            return Ok(Computed::Number(f64::NAN));
        }
        let mut values = Vec::new();
        for query in self.queries(memory)? {
            // a fall-out is about the documents that are not relevant
            let counts = |gain: f64| if self.score == Score::FallOut { gain <= 0.0 } else { gain > 0.0 };
            let empty = !query.iter().any(|(_, gain)| counts(*gain));
            match self.empty {
                _ if !empty => values.push(self.score.of(&query, self.top_k)),
                EmptyTarget::Neg => values.push(0.0),
                EmptyTarget::Pos => values.push(1.0),
                EmptyTarget::Skip => {}
                EmptyTarget::Error => {
                    let why = "a query has no relevant document, and `empty_target_action` is error".into();
                    return Err(Error::Settings { of: self.name().into(), why });
                }
            }
        }
        if memory.is_empty() {
            return Ok(Computed::Number(f64::NAN));
        }
        Ok(Computed::Number(self.aggregation.of(values)))
    }
}
