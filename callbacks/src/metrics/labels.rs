//! Classes and scores: which task, which items count, which labels are in range.
use catena_tensor::settings::to_value;
use catena_tensor::tch::{Kind, Tensor};
use catena_tensor::{Error, Result};
use serde_json::{Map, Value, json};

use super::weights::weight_like;
use super::{Memory, Seen, Settings};

/// What a classifier decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Yes or no: scores (or labels 0 and 1) of the target's shape.
    Binary,
    /// One of so many classes: scores `[n, classes, …]` or labels `[n, …]`.
    Multiclass(i64),
    /// Each of so many labels, yes or no: scores (or 0 and 1) `[n, labels, …]`.
    Multilabel(i64),
}

impl Task {
    /// How many numbers a metric of each class has.
    pub(super) fn classes(self) -> i64 {
        match self {
            Self::Binary => 1,
            Self::Multiclass(classes) | Self::Multilabel(classes) => classes,
        }
    }
}

/// How to read a classifier's scores and labels; shared by all metrics of classes.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    pub(super) task: Task,
    pub(super) threshold: f64,
    pub(super) ignore_index: Option<i64>,
    pub(super) logits: Option<bool>,
}

/// A batch: items in rows.
#[derive(Debug)]
pub(super) struct Items {
    /// Binary `[n]`, multiclass `[n, classes]` (labels: `[n]`), multilabel `[n, labels]`.
    pub(super) input: Tensor,
    /// Whether the input is scores, not labels.
    pub(super) scores: bool,
    /// i64, in range: `[n]`, multilabel `[n, labels]`.
    pub(super) target: Tensor,
    /// f64, of the target's shape; 0 for what is ignored.
    pub(super) weight: Tensor,
}

impl Labels {
    pub(super) fn new(task: Task) -> Self {
        Self { task, threshold: 0.5, ignore_index: None, logits: None }
    }

    pub(super) fn read(settings: &mut Settings) -> Result<Self> {
        let num_classes = settings.take::<Option<i64>>("num_classes")?.flatten();
        let num_labels = settings.take::<Option<i64>>("num_labels")?.flatten();
        let need = |of: Option<i64>, name: &str, task: &str| {
            of.ok_or_else(|| settings.wrong(format!("task {task} needs `{name}`")))
        };
        let known = || "`task` must be binary, multiclass or multilabel";
        let given = settings.peek("task").cloned();
        let task = match given.as_ref().map(|task| task.as_str().unwrap_or_default()) {
            Some("binary") => Task::Binary,
            Some("multiclass") => Task::Multiclass(need(num_classes, "num_classes", "multiclass")?),
            Some("multilabel") => Task::Multilabel(need(num_labels, "num_labels", "multilabel")?),
            Some(_) => return Err(settings.wrong(format!("{}, but is {}", known(), json!(given)))),
            None => match (num_classes, num_labels) {
                (Some(classes), None) => Task::Multiclass(classes),
                (None, Some(labels)) => Task::Multilabel(labels),
                _ => return Err(settings.wrong(known().into())),
            },
        };
        let _task: Option<Value> = settings.take("task")?;
        // torchmetrics' switch for speed; here what is wrong is always found
        let _validates: Option<bool> = settings.take("validate_args")?;
        Ok(Self {
            task,
            threshold: settings.take("threshold")?.unwrap_or(0.5),
            ignore_index: settings.take::<Option<i64>>("ignore_index")?.flatten(),
            logits: settings.take::<Option<bool>>("logits")?.flatten(),
        })
    }

    pub(super) fn write(&self, name: &str) -> Map<String, Value> {
        let Self { task, threshold, ignore_index, logits } = self;
        let mut map = Map::new();
        let mut put = |name: &str, value: Value| drop(map.insert(name.into(), value));
        put("name", name.into());
        match task {
            Task::Binary => put("task", "binary".into()),
            Task::Multiclass(classes) => {
                put("task", "multiclass".into());
                put("num_classes", (*classes).into());
            }
            Task::Multilabel(labels) => {
                put("task", "multilabel".into());
                put("num_labels", (*labels).into());
            }
        }
        put("threshold", to_value(threshold));
        put("ignore_index", json!(ignore_index));
        put("logits", json!(logits));
        map
    }

    pub(super) fn check(&self, of: &str) -> Result<()> {
        let wrong = |name: &str, got: String, allowed: &str| {
            Err(Error::Setting { of: of.into(), name: name.into(), got, allowed: allowed.into() })
        };
        match self.task {
            Task::Multiclass(classes) if classes < 2 => {
                wrong("num_classes", classes.to_string(), "at least 2")
            }
            Task::Multilabel(labels) if labels < 1 => wrong("num_labels", labels.to_string(), "at least 1"),
            _ if !(0.0..=1.0).contains(&self.threshold) => {
                wrong("threshold", self.threshold.to_string(), "in [0, 1]")
            }
            _ => Ok(()),
        }
    }

    /// The batch's items in rows. Labels out of range are noted, and replaced by one in range.
    pub(super) fn items(&self, seen: &Seen, memory: &mut Memory) -> Result<Items> {
        let (input, target) = (seen.input.f_detach()?, seen.need_target()?.f_detach()?);
        let (input_size, target_size) = (input.size(), target.size());
        let scores = input.is_floating_point();
        let last = self.task.classes();
        let expected = match self.task {
            Task::Binary if input_size == target_size => None,
            Task::Binary => Some(format!("{target_size:?}, the target's shape")),
            Task::Multiclass(_) if !scores && input_size == target_size => None,
            Task::Multiclass(_) if !scores => Some(format!("labels {target_size:?}, the target's shape")),
            Task::Multiclass(_) => match target_size.split_first() {
                Some((rows, rest)) if input_size == [&[*rows, last], rest].concat() => None,
                Some((rows, rest)) => Some(format!("scores {:?}", [&[*rows, last], rest].concat())),
                None => Some("a target of at least one dimension".into()),
            },
            Task::Multilabel(_) if input_size == target_size && input_size.get(1) == Some(&last) => None,
            Task::Multilabel(_) => Some(format!("input and target [n, {last}, …]")),
        };
        if let Some(expected) = expected {
            let expected =
                format!("with a target of shape {target_size:?}, {:?} needs {expected}", self.task);
            return Err(Error::Shape { what: "the input".into(), got: input_size, expected });
        }
        let rows = |of: &Tensor, width: &[i64]| -> Result<Tensor> {
            if width.is_empty() {
                return Ok(of.f_reshape([-1i64])?);
            }
            Ok(of.f_movedim_int(1, -1)?.f_reshape([-1i64, last])?)
        };
        let (of_input, of_target): (&[i64], &[i64]) = match self.task {
            Task::Binary => (&[], &[]),
            Task::Multiclass(_) if scores => (&[last], &[]),
            Task::Multiclass(_) => (&[], &[]),
            Task::Multilabel(_) => (&[last], &[last]),
        };
        let weight = rows(&weight_like(seen.weight, &target)?, of_target)?;
        let target = rows(&target, of_target)?.f_to_kind(Kind::Int64)?;
        let weight = match self.ignore_index {
            Some(label) => weight.f_mul(&target.f_ne(label)?)?,
            None => weight,
        };
        let input = rows(&input, of_input)?;
        let counts = weight.f_ne(0)?;
        let classes = if let Task::Multiclass(classes) = self.task { classes } else { 2 };
        let target = in_range(memory, &target, &counts, classes)?;
        let input = match scores {
            true => input,
            false => in_range(memory, &input.f_to_kind(Kind::Int64)?, &counts, classes)?,
        };
        Ok(Items { input, scores, target, weight })
    }

    /// An error if the input is labels, where scores are needed.
    pub(super) fn need_scores(seen: &Seen, of: &str) -> Result<()> {
        if seen.input.is_floating_point() {
            return Ok(());
        }
        let expected = format!("{of} needs scores, but this is {:?}", seen.input.f_kind()?);
        Err(Error::Shape { what: "the input".into(), got: seen.input.size(), expected })
    }

    /// An error if a label out of range was noted.
    pub(super) fn check_seen(&self, memory: &Memory) -> Result<()> {
        let classes = if let Task::Multiclass(classes) = self.task { classes } else { 2 };
        let (low, high) = (memory.number("lowest_label")?, memory.number("highest_label")?);
        for label in [low, high] {
            if label < 0.0 || label >= classes as f64 {
                return Err(Error::Label { label: label as i64, classes });
            }
        }
        Ok(())
    }

    /// Scores as probabilities, `[readings, …]`: one if `logits` says what they are, else as they are and as logits, since
    /// which is right is known at the end only: they are logits if any that counts is outside [0, 1].
    pub(super) fn readings(&self, items: &Items, memory: &mut Memory) -> Result<Tensor> {
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
        if clean.numel() > 0 {
            memory.least("lowest_score", clean.f_min()?.f_to_kind(Kind::Double)?)?;
            memory.most("highest_score", clean.f_max()?.f_to_kind(Kind::Double)?)?;
        }
        Ok(())
    }

    /// Which of `readings` is right.
    pub(super) fn reading(&self, memory: &Memory) -> Result<usize> {
        let outside = || -> Result<bool> {
            Ok(memory.number("lowest_score")? < 0.0 || memory.number("highest_score")? > 1.0)
        };
        Ok(usize::from(self.logits.is_none() && outside()?))
    }

    /// The right one of sums that were kept for each reading, `[readings, …]`, as numbers in a row.
    pub(super) fn read_sums(&self, memory: &Memory, name: &str) -> Result<Option<Vec<f64>>> {
        let Some(sums) = memory.get(name)? else { return Ok(None) };
        let reading = if sums.size().first() == Some(&1) { 0 } else { self.reading(memory)? };
        super::memory::host(&sums.f_select(0, reading as i64)?).map(Some)
    }
}

fn in_range(memory: &mut Memory, labels: &Tensor, counts: &Tensor, classes: i64) -> Result<Tensor> {
    let clean = labels.f_where_self(counts, &labels.f_zeros_like()?)?;
    if clean.numel() > 0 {
        memory.least("lowest_label", clean.f_min()?.f_to_kind(Kind::Double)?)?;
        memory.most("highest_label", clean.f_max()?.f_to_kind(Kind::Double)?)?;
    }
    Ok(clean.f_clamp(0, classes - 1)?)
}
