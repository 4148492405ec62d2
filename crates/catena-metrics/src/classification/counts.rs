//! Counting a batch: true and false positives and negatives, and confusion matrices, without waiting for the device.
use catena_tensor::Result;
use catena_tensor::tch::{Kind, Tensor};

use crate::classification::items::Items;
use crate::classification::labels::Labels;
use crate::classification::task::Task;
use crate::memory::Memory;
use crate::weights::count;

/// What was decided: multiclass `[1, n]` labels; binary `[readings, n]` and multilabel `[readings, n, labels]` 0 or 1 (i64).
pub(crate) fn decided(labels: &Labels, items: &Items, top_k: i64, memory: &mut Memory) -> Result<Tensor> {
    if let Task::Multiclass(_) = labels.task {
        let best = match (items.scores, top_k) {
            (false, _) => items.input.shallow_clone(),
            (true, 1) => items.input.f_argmax(1, false)?,
            (true, k) => {
                let (_, best) = items.input.f_topk(k, 1, true, true)?;
                let hit = best.f_eq_tensor(&items.target.f_unsqueeze(1)?)?.f_any_dim(1, false)?;
                items.target.f_where_self(&hit, &best.f_select(1, 0)?)?
            }
        };
        return Ok(best.f_unsqueeze(0)?);
    }
    let readings = labels.readings(items, memory)?;
    Ok(if items.scores { readings.f_gt(labels.threshold)?.f_to_kind(Kind::Int64)? } else { readings })
}

/// Counts, or NaN where the weight of all items is: a NaN among an item's scores leaves its decision unknown, for any class.
fn nan_with(counts: &Tensor, all: &Tensor) -> Result<Tensor> {
    Ok(counts.f_where_self(&all.f_eq_tensor(all)?, all)?)
}

/// tp, fp, tn and fn of a batch, `[readings, classes, 4]`.
pub(crate) fn stat_scores(labels: &Labels, items: &Items, top_k: i64, memory: &mut Memory) -> Result<Tensor> {
    Ok(stat_scores_of_rows(labels, items, top_k, 1, memory)?.f_squeeze_dim(1)?)
}

/// The same of each of so many rows that the items belong to, `[readings, rows, classes, 4]`.
pub(crate) fn stat_scores_of_rows(
    labels: &Labels,
    items: &Items,
    top_k: i64,
    rows: i64,
    memory: &mut Memory,
) -> Result<Tensor> {
    let decided = decided(labels, items, top_k, memory)?;
    let Items { target, weight, .. } = items;
    if let Task::Multiclass(classes) = labels.task {
        let decided = decided.f_select(0, 0)?;
        // each is counted by itself: a difference of sums of weights need not be 0 where nothing is
        let is_right = decided.f_eq_tensor(target)?;
        let wrong = weight.f_mul(&is_right.f_logical_not()?)?;
        let row = Tensor::f_arange(rows, (Kind::Int64, target.device()))?.f_mul_scalar(classes)?;
        let by_row = |of: &Tensor| of.f_reshape([rows, of.numel() as i64 / rows.max(1)]);
        let count = |class: &Tensor, weight: &Tensor| -> Result<Tensor> {
            let index = by_row(class)?.f_add(&row.f_unsqueeze(1)?)?;
            Ok(count(&index, weight, rows * classes)?.f_reshape([rows, classes])?)
        };
        let tp = count(target, &weight.f_mul(&is_right)?)?;
        let (fp, fn_) = (count(&decided, &wrong)?, count(target, &wrong)?);
        let all = by_row(weight)?.f_sum_dim_intlist(1i64, true, Kind::Double)?;
        let tn = all.f_sub(&tp)?.f_sub(&fp)?.f_sub(&fn_)?;
        let scores = Tensor::f_stack(&[tp, fp, tn, fn_], -1)?;
        return Ok(nan_with(&scores, &all.f_unsqueeze(-1)?)?.f_unsqueeze(0)?);
    }
    let classes = labels.task.classes();
    let by_row = |of: &Tensor| of.f_reshape([rows, of.numel() as i64 / (rows * classes).max(1), classes]);
    let decided = decided.f_reshape([decided.size()[0], rows, by_row(target)?.size()[1], classes])?;
    let decided = decided.f_to_kind(Kind::Double)?;
    let (target, weight) = (by_row(target)?, by_row(weight)?);
    let (positive, negative) = (weight.f_mul(&target)?, weight.f_mul(&target.f_eq(0)?)?);
    let other = decided.f_eq(0)?;
    let both = |a: &Tensor, b: &Tensor| a.f_mul(b)?.f_sum_dim_intlist(2i64, false, Kind::Double);
    let (tp, fp) = (both(&decided, &positive)?, both(&decided, &negative)?);
    let (fn_, tn) = (both(&other, &positive)?, both(&other, &negative)?);
    Ok(Tensor::f_stack(&[tp, fp, tn, fn_], -1)?)
}

/// The confusion matrix of a batch, targets down, decisions across: `[readings, classes, classes]`, binary
/// `[readings, 2, 2]`, multilabel `[readings, labels, 2, 2]`.
pub(crate) fn confusion(labels: &Labels, items: &Items, memory: &mut Memory) -> Result<Tensor> {
    if let Task::Multiclass(classes) = labels.task {
        let decided = decided(labels, items, 1, memory)?.f_select(0, 0)?;
        let index = items.target.f_mul_scalar(classes)?.f_add(&decided)?;
        let matrix = count(&index, &items.weight, classes * classes)?.f_reshape([1, classes, classes])?;
        return nan_with(&matrix, &items.weight.f_sum(Kind::Double)?);
    }
    let scores = stat_scores(labels, items, 1, memory)?;
    let part = |i: i64| scores.f_select(-1, i);
    let matrix = Tensor::f_stack(&[part(2)?, part(1)?, part(3)?, part(0)?], -1)?;
    let readings = matrix.size()[0];
    Ok(match labels.task {
        Task::Multilabel(n) => matrix.f_reshape([readings, n, 2, 2])?,
        _ => matrix.f_reshape([readings, 2, 2])?,
    })
}
