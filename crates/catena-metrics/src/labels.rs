//! Classes and scores: which task, and what scores mean.
use catena_tensor::settings::to_value;
use catena_tensor::tch::{Kind, Tensor};
use catena_tensor::{Error, Result};
use serde_json::{Map, Value, json};

use crate::items::Items;
use crate::memory::Memory;
use crate::metric::Seen;
use crate::settings::Settings;

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
    pub(crate) fn classes(self) -> i64 {
        match self {
            Self::Binary => 1,
            Self::Multiclass(classes) | Self::Multilabel(classes) => classes,
        }
    }
}

/// How to read a classifier's scores and labels; shared by all metrics of classes.
#[derive(Clone, Debug)]
pub struct Labels {
    pub task: Task,
    pub threshold: f64,
    pub ignore_index: Option<i64>,
    pub logits: Option<bool>,
}

impl Labels {
    pub fn new(task: Task) -> Self {
        Self { task, threshold: 0.5, ignore_index: None, logits: None }
    }

    pub(crate) fn read(settings: &mut Settings) -> Result<Self> {
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

    pub(crate) fn write(&self, name: &str) -> Map<String, Value> {
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

    pub(crate) fn check(&self, of: &str) -> Result<()> {
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

    /// The batch's items in rows. What is no label is noted, and replaced by one; see [`Items::of`].
    pub fn items(&self, seen: &Seen, memory: &mut Memory) -> Result<Items> {
        Items::of(self, seen, memory)
    }

    /// An error if the input is labels, where scores are needed.
    pub(crate) fn need_scores(seen: &Seen, of: &str) -> Result<()> {
        if seen.input.is_floating_point() {
            return Ok(());
        }
        let expected = format!("{of} needs scores, but this is {:?}", seen.input.f_kind()?);
        Err(Error::Shape { what: "the input".into(), got: seen.input.size(), expected })
    }

    /// An error if something that is no label was noted.
    pub fn check_seen(&self, memory: &Memory) -> Result<()> {
        Items::check_seen(self.task, memory)
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
            memory.least("lowest_score", clean.f_min()?.f_to_kind(Kind::Double)?)?;
            memory.most("highest_score", clean.f_max()?.f_to_kind(Kind::Double)?)?;
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
        super::memory::host(&sums.f_select(0, reading as i64)?).map(Some)
    }
}
