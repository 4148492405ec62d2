//! What a classifier decides.
use catena_tensor::Result;
use serde_json::Value;

use crate::settings::Table;

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

    /// The settings `num_classes`, `num_labels` and `task`, which must be given; `task` may be left out where one of the others tells it.
    pub(crate) fn setting(&mut self, table: &mut Table) -> Result<()> {
        if table.writes() {
            let (task, number) = match *self {
                Self::Binary => ("binary", None),
                Self::Multiclass(classes) => ("multiclass", Some(("num_classes", classes))),
                Self::Multilabel(labels) => ("multilabel", Some(("num_labels", labels))),
            };
            number.into_iter().for_each(|(name, number)| table.put(name, number.into()));
            table.put("task", task.into());
            return Ok(());
        }
        let num_classes = table.take::<Option<i64>>("num_classes")?.flatten();
        let num_labels = table.take::<Option<i64>>("num_labels")?.flatten();
        let given = table.take_value("task");
        let need = |of: Option<i64>, name: &str, task: &str| {
            of.ok_or_else(|| table.wrong(format!("task {task} needs `{name}`")))
        };
        let known = "`task` must be binary, multiclass or multilabel";
        *self = match given.as_ref().map(|task| task.as_str().unwrap_or_default()) {
            Some("binary") => Self::Binary,
            Some("multiclass") => Self::Multiclass(need(num_classes, "num_classes", "multiclass")?),
            Some("multilabel") => Self::Multilabel(need(num_labels, "num_labels", "multilabel")?),
            Some(_) => return Err(table.wrong(format!("{known}, but is {}", given.unwrap_or(Value::Null)))),
            None => match (num_classes, num_labels) {
                (Some(classes), None) => Self::Multiclass(classes),
                (None, Some(labels)) => Self::Multilabel(labels),
                _ => return Err(table.wrong(known.into())),
            },
        };
        Ok(())
    }
}
