//! Re-identification: is the right identity among the nearest?
use catena_tensor::tch::{Kind, Tensor};
use catena_tensor::{Error, Result};
use serde_json::Value;

use crate::host::host;
use crate::memory::Memory;
use crate::metric::{Computed, Metric, Seen};
use crate::settings::{ByName, Table, require, written};
use crate::weights::weight_like;
use crate::whole::{Whole, wide};

/// The cumulative matching characteristic: the share of queries that have an item of their label among the `k` nearest of the
/// gallery, by Euclidean distance.
///
/// The input is embeddings `[n, d]`, the target labels `[n]`, and `indexes` `[n]` says which rows are queries (1) and which
/// are the gallery (0). Everything is kept until the loader's end; items of equal distance stand in the order in which they
/// came; a weight of 0 leaves a row out. A query whose label the gallery lacks counts as missed. Labels are any whole numbers; what is
/// none, and a flag that is neither 0 nor 1, is an error at the loader's end that names the row. With a NaN in an embedding nothing is
/// known to be nearest, and every value is NaN. Source: Catalyst's `cmc_score`.
///
/// ```
/// use catena_metrics::{Cmc, Computed, Meter, Seen};
/// use catena_tensor::tch::Tensor;
///
/// let mut cmc = Meter::new(Cmc::new([1, 2]));
/// let embeddings = Tensor::from_slice(&[0.0, 0.1, 0.3]).view([3, 1]);
/// let (labels, is_query) = (Tensor::from_slice(&[7i64, 8, 7]), Tensor::from_slice(&[1i64, 0, 0]));
/// cmc.update(&Seen::new(&embeddings).target(&labels).indexes(&is_query))?;
/// let Computed::Numbers(values) = cmc.compute()? else { unreachable!() };
/// assert_eq!(values, [("1".into(), 0.0), ("2".into(), 1.0)]);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cmc {
    top_k: Vec<i64>,
}

/// A row that weight 0 leaves out.
const NEITHER: i64 = -1;

const LABEL: Whole = Whole { name: "identity", low: i64::MIN, high: i64::MAX };
const FLAG: Whole = Whole { name: "query flag", low: 0, high: 1 };

impl Cmc {
    /// For each of these `k`.
    pub fn new(top_k: impl IntoIterator<Item = i64>) -> Self {
        Self { top_k: top_k.into_iter().collect() }
    }

    /// The place of each query's first match, from 0; infinite without one.
    fn places(&self, embeddings: &Tensor, labels: &Tensor, is_query: &Tensor) -> Result<Vec<f64>> {
        let rows = |query: i64| -> Result<(Tensor, Tensor)> {
            let at = is_query.f_eq(query)?.f_nonzero()?.f_squeeze_dim(1)?;
            Ok((embeddings.f_index_select(0, &at)?, labels.f_index_select(0, &at)?))
        };
        let ((queries, own), (gallery, known)) = (rows(1)?, rows(0)?);
        let (n, size) = (queries.size()[0], gallery.size()[0]);
        if n == 0 || size == 0 {
            return Ok(vec![f64::INFINITY; n as usize]);
        }
        // in pieces, so that the matrix of distances stays small
        let piece = (4_000_000 / size).clamp(1, n);
        let mut places = Vec::with_capacity(n as usize);
        for start in (0..n).step_by(piece as usize) {
            let length = piece.min(n - start);
            let distances = Tensor::f_cdist(&queries.f_narrow(0, start, length)?, &gallery, 2.0, 2)?;
            let order = distances.f_argsort_stable(true, 1, false)?;
            let nearest =
                known.f_unsqueeze(0)?.f_expand([length, size], false)?.f_gather(1, &order, false)?;
            let hits = nearest.f_eq_tensor(&own.f_narrow(0, start, length)?.f_unsqueeze(1)?)?;
            let first = hits.f_to_kind(Kind::Int64)?.f_argmax(1, false)?.f_to_kind(Kind::Double)?;
            let never = hits.f_any_dim(1, false)?.f_logical_not()?;
            places.extend(host(&first.f_masked_fill(&never, f64::INFINITY)?)?);
        }
        Ok(places)
    }
}

impl ByName for Cmc {
    fn each_setting(&mut self, table: &mut Table) -> Result<()> {
        table.setting("top_k", &mut self.top_k)
    }
}

impl Metric for Cmc {
    fn name(&self) -> &str {
        "cmc"
    }

    fn settings(&self) -> Value {
        written(self)
    }

    fn check(&self) -> Result<()> {
        let fine = !self.top_k.is_empty() && self.top_k.iter().all(|k| *k >= 1);
        require(fine, self.name(), "top_k", format!("{:?}", self.top_k), "numbers of at least 1")
    }

    fn parts(&self) -> Option<Vec<String>> {
        Some(self.top_k.iter().map(i64::to_string).collect())
    }

    fn update(&self, seen: &Seen, memory: &mut Memory) -> Result<()> {
        let (embeddings, labels) = (seen.input, seen.need_target()?);
        let known = || vec!["input".into(), "target".into()];
        let missing = || Error::MissingTensor { name: "indexes".into(), known: known() };
        let is_query = seen.indexes.ok_or_else(missing)?;
        let size = embeddings.size();
        if size.len() != 2 || labels.size() != size[..1] || is_query.size() != size[..1] {
            let expected = "embeddings are [n, d], labels and query flags [n]".into();
            return Err(Error::Shape { what: "the input".into(), got: size, expected });
        }
        let counts = weight_like(seen.weight, labels)?.f_ne(0)?;
        let labels = LABEL.read(&wide(labels, "the target")?, &counts, memory)?;
        let is_query = FLAG.read(&wide(is_query, "the indexes")?, &counts, memory)?;
        memory.note_nan(&embeddings.f_isnan()?.f_logical_and(&counts.f_unsqueeze(1)?)?)?;
        memory.push("embeddings", embeddings)?;
        memory.push("labels", &labels)?;
        memory.push("is_query", &is_query.f_masked_fill(&counts.f_logical_not()?, NEITHER)?)
    }

    fn compute(&self, memory: &Memory) -> Result<Computed> {
        let rows = |name| memory.get(name);
        let (Some(embeddings), Some(labels), Some(is_query)) =
            (rows("embeddings")?, rows("labels")?, rows("is_query")?)
        else {
            return Ok(Computed::Number(f64::NAN));
        };
        LABEL.check(memory, |_| "an identity is an i64".into())?;
        FLAG.check(memory, |_| "1 says that a row is a query, and 0 that it is of the gallery".into())?;
        if memory.nan_rows()?.0 > 0 {
            let nan = self.top_k.iter().map(|k| (k.to_string(), f64::NAN));
            return Ok(Computed::Numbers(nan.collect()));
        }
        let places = self.places(&embeddings.f_to_kind(Kind::Double)?, &labels, &is_query)?;
        let share = |k: &i64| {
            let hits = places.iter().filter(|place| **place < *k as f64).count();
            (k.to_string(), hits as f64 / places.len() as f64)
        };
        Ok(Computed::Numbers(self.top_k.iter().map(share).collect()))
    }
}
