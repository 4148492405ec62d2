//! Areas under the ROC and the precision-recall curve.
use catena_tensor::Result;
use catena_tensor::tch::Kind;
use serde_json::Value;

use crate::average::Average;
use crate::average::{each, mean_of_known};
use crate::classification::bins::Bins;
use crate::classification::bins::Thresholds;
use crate::classification::curve::{Curve, Item};
use crate::classification::labels::Labels;
use crate::classification::task::Task;
use crate::host::host;
use crate::memory::Memory;
use crate::metric::{Computed, Metric, Seen};
use crate::setters::setters;
use crate::settings::{ByName, Table, require, written};

/// The area under the ROC curve (`auroc`), or the average precision.
///
/// Micro averages are for multilabel only. Exact by default: every score is kept until the loader's end, and ties are right. With [`Ranking::thresholds`] the curve is
/// taken at fixed probabilities, and what is kept is constant. Multiclass: each class against the rest. A class without
/// positives or without negatives has an area of 0; a multiclass average precision leaves classes without positives out (unless all targets are class 0).
/// Source: `torchmetrics.functional.classification` (`auroc`, `average_precision`). Ranks come from the scores as they are:
/// a sigmoid that saturates makes no ties. With a NaN among the scores there are no ranks, and the area is NaN: of every class
/// (multilabel: of its label, and of every mean).
///
/// ```
/// use catena_metrics::{Meter, Ranking, Seen, Task};
/// use catena_tensor::tch::Tensor;
///
/// let mut auroc = Meter::new(Ranking::auroc(Task::Binary));
/// let (scores, labels) = (Tensor::from_slice(&[0.1, 0.4, 0.35, 0.8]), Tensor::from_slice(&[0i64, 0, 1, 1]));
/// auroc.update(&Seen::new(&scores).target(&labels))?;
/// assert_eq!(auroc.compute()?.number(), Some(0.75));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Ranking {
    area: Area,
    labels: Labels,
    average: Average,
    bins: Option<Bins>,
}

#[derive(Clone, Copy, Debug)]
enum Area {
    Roc { max_fpr: Option<f64> },
    PrecisionRecall,
}

impl Ranking {
    fn of(area: Area, task: Task) -> Self {
        let (average, bins) = (Average::Macro, None);
        Self { area, labels: Labels::new(task), average, bins }
    }

    /// The area under the ROC curve. Default average: macro.
    pub fn auroc(task: Task) -> Self {
        Self::of(Area::Roc { max_fpr: None }, task)
    }

    /// The average precision. Default average: macro.
    pub fn average_precision(task: Task) -> Self {
        Self::of(Area::PrecisionRecall, task)
    }

    /// The ROC curve up to this share of false positives only (binary; default all of it).
    #[must_use]
    pub fn max_fpr(mut self, max: f64) -> Self {
        if let Area::Roc { max_fpr } = &mut self.area {
            *max_fpr = Some(max);
        }
        self
    }

    setters! { average(average) ignore_index(labels.ignore_index) logits(labels.logits) }

    /// Takes the curve at these probabilities only, in constant memory (default: exact).
    #[must_use]
    pub fn thresholds(mut self, thresholds: Thresholds) -> Self {
        self.bins = Some(Bins::new(thresholds));
        self
    }

    /// Of one curve; `only_first` if all targets are class 0, which torchmetrics takes for a lack of positives in all others.
    fn value(&self, curve: &Curve, only_first: bool) -> f64 {
        let exact = self.bins.is_none();
        match self.area {
            _ if curve.is_nan() => f64::NAN,
            Area::Roc { max_fpr } => curve.roc_area(exact, max_fpr),
            Area::PrecisionRecall => {
                let value = curve.average_precision();
                let is_left_out = exact && !only_first && matches!(self.labels.task, Task::Multiclass(_));
                if value.is_nan() && !is_left_out { 0.0 } else { value }
            }
        }
    }

    /// Each class's items, from the rows that were kept.
    fn exact_classes(&self, memory: &Memory) -> Result<Vec<Vec<Item>>> {
        let rows = |name| -> Result<Vec<f64>> { memory.numbers(name) };
        let (target, weight) = (rows("target")?, rows("weight")?);
        let classes = self.labels.task.classes() as usize;
        let multiclass = matches!(self.labels.task, Task::Multiclass(_));
        let mut scores = memory.get("scores")?.unwrap_or_default();
        let is_logits = self.labels.logits == Some(true) || self.labels.reading(memory)? == 1;
        if multiclass && is_logits {
            // across classes a softmax changes ranks; a sigmoid never does
            scores = scores.f_softmax(1, Kind::Double)?;
        }
        let scores = host(&scores)?;
        let item = |class: usize, row: usize| {
            let at = row * classes + class;
            let truth = if multiclass { target[row] == class as f64 } else { target[at] == 1.0 };
            (scores[at], truth, if multiclass { weight[row] } else { weight[at] })
        };
        let n = scores.len() / classes;
        Ok((0..classes).map(|class| (0..n).map(|row| item(class, row)).collect()).collect())
    }

    fn curves(&self, memory: &Memory) -> Result<Vec<Curve>> {
        let micro = self.average == Average::Micro;
        if self.bins.is_some() {
            let Some(bins) = self.labels.read_sums(memory, "bins")? else { return Ok(Vec::new()) };
            let size = bins.len() / self.labels.task.classes() as usize;
            let bins = match micro {
                false => bins,
                true => (0..size).map(|slot| bins.iter().skip(slot).step_by(size).sum()).collect(),
            };
            return Ok(bins.chunks(size).map(Curve::binned).collect());
        }
        let classes = self.exact_classes(memory)?;
        let classes = if micro { vec![classes.concat()] } else { classes };
        Ok(classes.into_iter().map(Curve::exact).collect())
    }
}

impl ByName for Ranking {
    fn each_setting(&mut self, table: &mut Table) -> Result<()> {
        if let Area::Roc { max_fpr } = &mut self.area {
            table.setting("max_fpr", max_fpr)?;
        }
        self.labels.each_setting(table)?;
        self.average.setting(table)?;
        let mut thresholds = self.bins.take().map(|bins| bins.thresholds);
        table.setting("thresholds", &mut thresholds)?;
        self.bins = thresholds.map(Bins::new);
        Ok(())
    }
}

impl Metric for Ranking {
    fn name(&self) -> &str {
        match self.area {
            Area::Roc { .. } => "auroc",
            Area::PrecisionRecall => "average_precision",
        }
    }

    fn settings(&self) -> Value {
        written(self)
    }

    fn check(&self) -> Result<()> {
        self.labels.check(self.name())?;
        let wrong = |name: &str, got: String, allowed: &str| require(false, self.name(), name, got, allowed);
        if self.average == Average::Micro && matches!(self.labels.task, Task::Multiclass(_)) {
            return wrong("average", "micro".into(), "macro, weighted or none with classes");
        }
        if let Area::Roc { max_fpr: Some(max) } = self.area
            && !(max > 0.0 && max <= 1.0 && self.labels.task == Task::Binary)
        {
            return wrong("max_fpr", max.to_string(), "in (0, 1], and the task binary");
        }
        match self.bins.as_ref().map(|bins| &bins.thresholds) {
            Some(Thresholds::Number(n)) if *n < 2 => wrong("thresholds", n.to_string(), "at least 2"),
            Some(Thresholds::These(these)) if these.is_empty() || these.iter().any(|t| t.is_nan()) => {
                wrong("thresholds", format!("{these:?}"), "at least one probability")
            }
            _ => Ok(()),
        }
    }

    fn parts(&self) -> Option<Vec<String>> {
        Some(self.average.parts(self.labels.task.classes()))
    }

    fn update(&self, seen: &Seen, memory: &mut Memory) -> Result<()> {
        Labels::need_scores(seen, self.name())?;
        let items = self.labels.items(seen, memory)?;
        let readings = self.labels.readings(&items, memory)?;
        if let Some(bins) = &self.bins {
            let bins = bins.count(self.labels.task, &items, &readings)?;
            return memory.add("bins", bins);
        }
        memory.push("scores", &items.input)?;
        memory.push("target", &items.target)?;
        memory.push("weight", &items.weight)
    }

    fn compute(&self, memory: &Memory) -> Result<Computed> {
        self.labels.check_seen(memory)?;
        if memory.is_empty() {
            return Ok(Computed::Number(f64::NAN));
        }
        let curves = self.curves(memory)?;
        let only_first = curves.first().is_some_and(|curve| curve.total.0 > 0.0 && curve.total.1 == 0.0);
        let values: Vec<f64> = curves.iter().map(|curve| self.value(curve, only_first)).collect();
        let ones = vec![1.0; values.len()];
        let support: Vec<f64> = curves.iter().map(|curve| curve.total.0).collect();
        // a class that is left out has no area, which is another thing than an area that is unknown
        let is_nan = curves.iter().any(Curve::is_nan);
        Ok(match self.average {
            Average::None | Average::Micro => each(values),
            _ if is_nan => Computed::Number(f64::NAN),
            _ if self.labels.task == Task::Binary => each(values),
            Average::Macro => Computed::Number(mean_of_known(&values, &ones)),
            Average::Weighted => Computed::Number(mean_of_known(&values, &support)),
        })
    }
}
