//! Classes and scores: which task, and what scores mean.
use catena_tensor::{Error, Result};

use crate::classification::task::Task;
use crate::settings::Table;

/// How to read a classifier's scores and labels; shared by all metrics of classes.
#[derive(Clone, Debug)]
pub(crate) struct Labels {
    pub(crate) task: Task,
    /// Above which probability binary and multilabel scores say yes.
    pub(crate) threshold: f64,
    /// A target that counts for nothing.
    pub(crate) ignore_index: Option<i64>,
    /// Whether scores are logits; none: they are if any is outside [0, 1].
    pub(crate) logits: Option<bool>,
}

impl Labels {
    pub(crate) fn new(task: Task) -> Self {
        Self { task, threshold: 0.5, ignore_index: None, logits: None }
    }

    pub(crate) fn each_setting(&mut self, table: &mut Table) -> Result<()> {
        self.task.setting(table)?;
        // torchmetrics' switch for speed; here what is wrong is always found
        let _validates: Option<bool> = table.take("validate_args")?;
        table.setting("threshold", &mut self.threshold)?;
        table.setting("ignore_index", &mut self.ignore_index)?;
        table.setting("logits", &mut self.logits)
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
