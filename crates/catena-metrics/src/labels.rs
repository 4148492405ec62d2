//! Classes and scores: which task, and what scores mean.
use catena_tensor::settings::to_value;
use catena_tensor::{Error, Result};
use serde_json::{Map, Value, json};

use crate::settings::Settings;
use crate::task::Task;

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
}
