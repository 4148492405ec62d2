//! Top-k accuracy of single batches, for values that are logged batch by batch.
use catena_tensor::tch::{Kind, Tensor};
use catena_tensor::{Error, Result};

use crate::classification::counts::decided;
use crate::classification::labels::Labels;
use crate::classification::task::Task;
use crate::memory::Memory;
use crate::metric::Seen;

/// Under which name the number of classes is kept.
const CLASSES: &str = "classes";

/// The share of a batch's items whose label is among the `k` highest scores, for each `k`, and the weight of the items that count: f64 tensors on the
/// device of the scores, which nothing waits for.
///
/// Scores are `[n, classes]` (another shape is an error) and labels `[n]`, read as [`ClassScore`](crate::ClassScore) reads them, with `ignore_index` left out. A `k` above the number of
/// classes counts as that number. Where nothing counts, or a score is NaN, shares are NaN. What is wrong with a label, and rows with a NaN, are noted in the
/// memory: see [`check_labels`] and [`Memory::nan_rows`]. Source: `sklearn.metrics.top_k_accuracy_score`.
///
/// ```
/// use catena_metrics::{Memory, Seen, check_labels, top_k_accuracy};
/// use catena_tensor::tch::Tensor;
///
/// let scores = Tensor::from_slice(&[0.5, 0.3, 0.2, 0.1, 0.2, 0.7]).view([2, 3]);
/// let mut memory = Memory::default();
/// let labels = Tensor::from_slice(&[1i64, 2]);
/// let (shares, weight) = top_k_accuracy(&Seen::new(&scores).target(&labels), &[1, 2], None, &mut memory)?;
/// assert_eq!(shares.iter().map(|share| share.double_value(&[])).collect::<Vec<_>>(), [0.5, 1.0]);
/// assert_eq!(weight.double_value(&[]), 2.0);
/// check_labels(&memory)?;
/// # Ok::<(), catena_tensor::Error>(())
/// ```
pub fn top_k_accuracy(
    seen: &Seen,
    top_k: &[i64],
    ignore_index: Option<i64>,
    memory: &mut Memory,
) -> Result<(Vec<Tensor>, Tensor)> {
    let size = seen.input.size();
    let [_, classes] = size[..] else {
        let expected = "accuracy needs scores [n, classes]".into();
        return Err(Error::Shape { what: "the input".into(), got: size, expected });
    };
    let mut labels = Labels::new(Task::Multiclass(classes));
    labels.ignore_index = ignore_index;
    memory.max(CLASSES, Tensor::f_full([0i64; 0], classes, (Kind::Double, seen.input.device()))?)?;
    let items = labels.items(seen, memory)?;
    let weight = items.weight.f_sum(Kind::Double)?;
    let mut shares = Vec::with_capacity(top_k.len());
    for k in top_k {
        let decided = decided(&labels, &items, (*k).min(classes), memory)?.f_select(0, 0)?;
        let hits = decided.f_eq_tensor(&items.target)?.f_mul(&items.weight)?;
        shares.push(hits.f_sum(Kind::Double)?.f_div(&weight)?);
    }
    Ok((shares, weight))
}

/// An error that names the first label, of all batches that [`top_k_accuracy`] has taken into this memory, that is no class of the scores. Waits for the
/// device.
pub fn check_labels(memory: &Memory) -> Result<()> {
    Labels::new(Task::Multiclass(memory.number(CLASSES)? as i64)).check_seen(memory)
}
