//! A classifier's batch: its scores and labels in rows, what counts, and what is wrong with it.
use catena_tensor::tch::{Kind, Tensor};
use catena_tensor::{Error, Result};

use crate::classification::labels::Labels;
use crate::classification::task::Task;
use crate::memory::Memory;
use crate::metric::Seen;
use crate::weights::{ignoring, weight_like};
use crate::whole::{Whole, wide};

/// A batch: items in rows.
#[derive(Debug)]
pub(crate) struct Items {
    /// Binary `[n]`, multiclass `[n, classes]` (labels: `[n]`), multilabel `[n, labels]`; scores in at least f32, so that what is
    /// made of them is no coarser than they are.
    pub(crate) input: Tensor,
    /// Whether the input is scores, not labels.
    pub(crate) scores: bool,
    /// i64, in range: `[n]`, multilabel `[n, labels]`. Soft targets: f64 of the input's shape.
    pub(crate) target: Tensor,
    /// f64 `[n]`, multilabel `[n, labels]`: 0 for what is ignored, and NaN where a score is NaN, so that every sum by weight is.
    pub(crate) weight: Tensor,
}

/// What labels that the model itself decided for are called.
const DECIDED: &str = "decided label";

impl Labels {
    /// The batch's items. What is no label is noted and replaced by one; a row with a NaN is counted.
    pub(crate) fn items(&self, seen: &Seen, memory: &mut Memory) -> Result<Items> {
        let task = self.task;
        let (input, target) = (seen.input.f_detach()?, seen.need_target()?.f_detach()?);
        fits(task, &input, &target)?;
        let target = wide(&target, "the target")?;
        let weight = ignoring(self.ignore_index, weight_like(seen.weight, &target)?, &target)?;
        let counts = weight.f_ne(0)?;
        let target = rows(&allowed(task).read(&target, &counts, memory)?, task, Holds::One)?;
        if input.is_floating_point() {
            let weight = spoiled(task, &input, weight, memory)?;
            let (input, weight) =
                (rows(&at_least_f32(&input)?, task, Holds::Scores)?, rows(&weight, task, Holds::One)?);
            return Ok(Items { input, scores: true, target, weight });
        }
        let decided = Whole { name: DECIDED, ..allowed(task) };
        let input = decided.read(&wide(&input, "the input")?, &counts, memory)?;
        let (input, weight) = (rows(&input, task, Holds::One)?, rows(&weight, task, Holds::One)?);
        Ok(Items { input, scores: false, target, weight })
    }

    /// As [`Labels::items`], of scores and of targets that are probabilities of the same shape.
    pub(crate) fn soft_items(&self, seen: &Seen, memory: &mut Memory) -> Result<Items> {
        let task = self.task;
        let (input, target) = (seen.input.f_detach()?, seen.need_target()?.f_detach()?);
        let size = input.size();
        let has_classes = !matches!(task, Task::Multiclass(_) | Task::Multilabel(_))
            || size.get(1) == Some(&task.classes());
        if size != target.size() || !has_classes {
            let shape = match task {
                Task::Binary => "scores and probabilities of one shape".to_owned(),
                _ => format!("scores and probabilities [n, {}, …]", task.classes()),
            };
            let expected = format!("with soft targets of shape {:?}, {task:?} needs {shape}", target.size());
            return Err(Error::Shape { what: "the input".into(), got: size, expected });
        }
        let target = wide(&target, "the target")?.f_to_kind(Kind::Double)?;
        let weight = match task {
            Task::Multiclass(_) => weight_like(seen.weight, &target.f_select(1, 0)?)?,
            _ => ignoring(self.ignore_index, weight_like(seen.weight, &target)?, &target)?,
        };
        let mut counts = weight.f_ne(0)?;
        if let Task::Multiclass(_) = task {
            let sums = target.f_sum_dim_intlist(1i64, false, Kind::Double)?;
            // as far off as probabilities of low precision may be
            let apart = sums.f_sub_scalar(1.0)?.f_abs()?.f_gt(0.01)?;
            memory.note_first(SUM, &counts.f_logical_and(&apart)?, &sums)?;
            counts = counts.f_unsqueeze(1)?.f_expand_as(&target)?;
        }
        let fine = target.f_ge(0.0)?.f_logical_and(&target.f_le(1.0)?)?;
        memory.note_first(SOFT, &counts.f_logical_and(&fine.f_logical_not()?)?, &target)?;
        let target = target.f_where_self(&counts.f_logical_and(&fine)?, &target.f_zeros_like()?)?;
        let weight = spoiled(task, &input, weight, memory)?;
        let input = rows(&at_least_f32(&input)?, task, Holds::Scores)?;
        let (target, weight) = (rows(&target, task, Holds::Scores)?, rows(&weight, task, Holds::One)?);
        Ok(Items { input, scores: true, target, weight })
    }

    /// An error if something that is no label was noted.
    pub(crate) fn check_seen(&self, memory: &Memory) -> Result<()> {
        let labels = allowed(self.task);
        let classes = labels.high + 1;
        let range = |label: f64| {
            let hint = if label < 0.0 { "; to leave a label out, name it with `ignore_index`" } else { "" };
            format!("the output has {classes} classes, so labels go from 0 to {}{hint}", classes - 1)
        };
        labels.check(memory, range)?;
        Whole { name: DECIDED, ..labels }.check(memory, range)?;
        let wrong = |name: &str, why: &str| match memory.first(name)? {
            Some((row, value)) => Err(Error::InRow { what: name.into(), value, row, why: why.into() }),
            None => Ok(()),
        };
        wrong(SOFT, "is no probability: soft targets are from 0 to 1")?;
        wrong(SUM, "is not 1: soft targets of an item's classes are probabilities that add up to 1")
    }
}

const SOFT: &str = "soft target";
const SUM: &str = "sum of soft targets";

fn allowed(task: Task) -> Whole {
    Whole::labels(if let Task::Multiclass(classes) = task { classes } else { 2 })
}

/// Counts the rows with a NaN among the scores, and makes the weight of such items NaN: of all classes of a multiclass item, for its
/// decision is unknown, and of a multilabel item's label alone.
fn spoiled(task: Task, input: &Tensor, weight: Tensor, memory: &mut Memory) -> Result<Tensor> {
    if weight.numel() == 0 {
        return Ok(weight);
    }
    let is_nan = input.f_isnan()?;
    let is_nan = if let Task::Multiclass(_) = task { is_nan.f_any_dim(1, false)? } else { is_nan };
    let is_nan = is_nan.f_logical_and(&weight.f_ne(0)?)?;
    memory.note_nan(&is_nan)?;
    Ok(weight.f_masked_fill(&is_nan, f64::NAN)?)
}

fn at_least_f32(scores: &Tensor) -> Result<Tensor> {
    Ok(match scores.f_kind()? {
        Kind::Float | Kind::Double => scores.shallow_clone(),
        _ => scores.f_to_kind(Kind::Float)?,
    })
}

/// What an item has in a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Holds {
    /// A number: of multilabel ones, one for each label.
    One,
    /// A score, or one for each class.
    Scores,
}

/// Items in rows.
fn rows(of: &Tensor, task: Task, holds: Holds) -> Result<Tensor> {
    Ok(match (task, holds) {
        (Task::Multiclass(width), Holds::Scores) | (Task::Multilabel(width), _) => {
            of.f_movedim_int(1, -1)?.f_reshape([-1i64, width])?
        }
        _ => of.f_reshape([-1i64])?,
    })
}

/// An error if the shapes of input and labels don't belong to each other.
fn fits(task: Task, input: &Tensor, target: &Tensor) -> Result<()> {
    let (size, target_size, scores) = (input.size(), target.size(), input.is_floating_point());
    let last = task.classes();
    let expected = match task {
        Task::Binary if size == target_size => None,
        Task::Binary => Some(format!("{target_size:?}, the target's shape")),
        Task::Multiclass(_) if !scores && size == target_size => None,
        Task::Multiclass(_) if !scores => Some(format!("labels {target_size:?}, the target's shape")),
        Task::Multiclass(_) => match target_size.split_first() {
            Some((rows, rest)) if size == [&[*rows, last], rest].concat() => None,
            Some((rows, rest)) => Some(format!("scores {:?}", [&[*rows, last], rest].concat())),
            None => Some("a target of at least one dimension".into()),
        },
        Task::Multilabel(_) if size == target_size && size.get(1) == Some(&last) => None,
        Task::Multilabel(_) => Some(format!("input and target [n, {last}, …]")),
    };
    let Some(expected) = expected else { return Ok(()) };
    let expected = format!("with a target of shape {target_size:?}, {task:?} needs {expected}");
    Err(Error::Shape { what: "the input".into(), got: size, expected })
}
