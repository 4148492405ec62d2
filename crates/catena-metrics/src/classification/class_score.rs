//! Scores from true and false positives and negatives: accuracy, precision, recall, F-beta and their kin.
use catena_tensor::Result;
use catena_tensor::settings::Range;
use catena_tensor::tch::Tensor;
use serde_json::Value;

use crate::classification::counts;
use crate::classification::labels::Labels;
use crate::classification::stat_scores::{Score, Scoring, StatScores};
use crate::host::host;

use crate::average::Average;
use crate::classification::task::Task;
use crate::memory::Memory;
use crate::metric::{Computed, Metric, Seen};
use crate::setters::setters;
use crate::settings::{ByName, Table, require, written};

/// Accuracy, precision, recall, F-beta, specificity, support, IoU, Dice, Tversky and balanced accuracy of a classifier.
///
/// Multiclass scores decide for the largest, binary and multilabel ones for all above `threshold`. Averages leave out classes
/// that neither targets nor decisions have. A division by 0 gives `zero_division`. Weights count items. What is kept: four
/// numbers a class. A NaN among an item's scores leaves unknown what is decided, so the scores of all classes are NaN (multilabel: of its
/// label, and every mean). Source: `torchmetrics.functional.classification`, and scikit-learn for balanced accuracy and support; the
/// Tversky index is tp / (tp + alpha fp + beta fn) (Salehi et al. 2017).
///
/// ```
/// use catena_metrics::{Average, ClassScore, Meter, Seen, Task};
/// use catena_tensor::tch::Tensor;
///
/// let mut f1 = Meter::new(ClassScore::f1_score(Task::Multiclass(3)).average(Average::Macro));
/// let (decided, labels) = (Tensor::from_slice(&[0i64, 1, 1, 2]), Tensor::from_slice(&[0i64, 1, 2, 2]));
/// f1.update(&Seen::new(&decided).target(&labels))?;
/// let value = f1.compute()?.number().unwrap_or_default();
/// assert!((value - (1.0 + 2.0 / 3.0 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClassScore {
    scoring: Scoring,
    labels: Labels,
    samplewise: bool,
}

impl ClassScore {
    fn new(score: Score, task: Task) -> Self {
        let average = match score {
            Score::Jaccard => Average::Macro,
            Score::Support => Average::None,
            _ => Average::Micro,
        };
        let scoring = Scoring { score, average, top_k: 1, zero_division: 0.0 };
        Self { scoring, labels: Labels::new(task), samplewise: false }
    }

    /// The share of right decisions (multiclass macro: the mean recall). Default average: micro.
    pub fn accuracy(task: Task) -> Self {
        Self::new(Score::Accuracy, task)
    }

    /// The mean recall over the classes that targets have. `adjusted` puts chance at 0.
    pub fn balanced_accuracy(task: Task, adjusted: bool) -> Self {
        Self::new(Score::BalancedAccuracy { adjusted }, task)
    }

    /// tp / (tp + fp). Default average: micro.
    pub fn precision(task: Task) -> Self {
        Self::new(Score::Precision, task)
    }

    /// tp / (tp + fn). Default average: micro.
    pub fn recall(task: Task) -> Self {
        Self::new(Score::Recall, task)
    }

    /// The harmonic mean of precision and recall, recall counting `beta` times as much. Default average: micro.
    pub fn fbeta_score(task: Task, beta: f64) -> Self {
        Self::new(Score::FBeta { beta }, task)
    }

    /// F-beta with beta 1. Default average: micro.
    pub fn f1_score(task: Task) -> Self {
        Self::new(Score::F1, task)
    }

    /// 2 tp / (2 tp + fp + fn), for segmentation. Default average: micro.
    pub fn dice(task: Task) -> Self {
        Self::new(Score::Dice, task)
    }

    /// tn / (tn + fp). Default average: micro.
    pub fn specificity(task: Task) -> Self {
        Self::new(Score::Specificity, task)
    }

    /// The weight of the items that have a class as target. Default: one for each class; micro is their sum.
    pub fn support(task: Task) -> Self {
        Self::new(Score::Support, task)
    }

    /// tp / (tp + fp + fn): intersection over union. Default average: macro.
    pub fn jaccard_index(task: Task) -> Self {
        Self::new(Score::Jaccard, task)
    }

    /// tp / (tp + alpha fp + beta fn). Default average: micro.
    pub fn tversky_index(task: Task, alpha: f64, beta: f64) -> Self {
        Self::new(Score::Tversky { alpha, beta }, task)
    }

    setters! { average(scoring.average) ignore_index(labels.ignore_index) threshold(labels.threshold) logits(labels.logits) }

    /// Multiclass: a target among the `k` highest scores counts as decided for (default 1).
    #[must_use]
    pub fn top_k(mut self, top_k: i64) -> Self {
        self.scoring.top_k = top_k;
        self
    }

    /// Gives each row of the batches a score of its own, over its further dimensions: a tensor `[rows]` (or `[rows, classes]`), in
    /// the order in which they came. Four numbers a class and row are kept.
    #[must_use]
    pub fn samplewise(mut self) -> Self {
        self.samplewise = true;
        self
    }

    /// What a division by 0 gives (default 0).
    #[must_use]
    pub fn zero_division(mut self, value: f64) -> Self {
        self.scoring.zero_division = value;
        self
    }

    /// The score of tp, fp, tn, fn of each class.
    fn of_counts(&self, counts: &[f64]) -> Computed {
        let of_class = |c: &[f64]| match *c {
            [tp, fp, tn, fn_] => StatScores { tp, fp, tn, fn_ },
            _ => StatScores::default(),
        };
        let classes: Vec<StatScores> = counts.chunks(4).map(of_class).collect();
        self.scoring.of(&classes, &self.labels)
    }

    /// The scores of each row.
    fn of_rows(&self, memory: &Memory) -> Result<Computed> {
        let Some(rows) = memory.get("counts")? else { return Ok(Computed::Number(f64::NAN)) };
        let reading = if rows.size().get(1) == Some(&1) { 0 } else { self.labels.reading(memory)? };
        let counts = host(&rows.f_select(1, reading as i64)?)?;
        let classes = self.labels.task.classes() as usize;
        let scores = counts.chunks(4 * classes).flat_map(|counts| match self.of_counts(counts) {
            Computed::Numbers(numbers) => numbers.into_iter().map(|(_, number)| number).collect(),
            Computed::Number(number) => vec![number],
            Computed::Tensor(_) => Vec::new(),
        });
        let scores: Vec<f64> = scores.collect();
        let tensor = Tensor::f_from_slice(&scores)?;
        let width = if counts.is_empty() { 1 } else { scores.len() * 4 * classes / counts.len() };
        Ok(Computed::Tensor(if width > 1 { tensor.f_reshape([-1, width as i64])? } else { tensor }))
    }
}

impl ByName for ClassScore {
    fn each_setting(&mut self, table: &mut Table) -> Result<()> {
        match &mut self.scoring.score {
            Score::BalancedAccuracy { adjusted } => table.setting("adjusted", adjusted)?,
            Score::FBeta { beta } => table.setting("beta", beta)?,
            Score::Tversky { alpha, beta } => {
                table.setting("alpha", alpha)?;
                table.setting("beta", beta)?;
            }
            _ => {}
        }
        self.labels.each_setting(table)?;
        let mut multidim = String::from(if self.samplewise { "samplewise" } else { "global" });
        table.setting("multidim_average", &mut multidim)?;
        self.samplewise = match multidim.as_str() {
            "global" => false,
            "samplewise" => true,
            other => {
                let why = format!("`multidim_average` must be global or samplewise, but is {other}");
                return Err(table.wrong(why));
            }
        };
        self.scoring.average.setting(table)?;
        table.setting("top_k", &mut self.scoring.top_k)?;
        table.setting("zero_division", &mut self.scoring.zero_division)
    }
}

impl Metric for ClassScore {
    fn name(&self) -> &str {
        self.scoring.score.name()
    }

    fn settings(&self) -> Value {
        written(self)
    }

    fn check(&self) -> Result<()> {
        self.labels.check(self.name())?;
        let most = if let Task::Multiclass(classes) = self.labels.task { classes } else { 1 };
        let allowed = format!("from 1 to {most} with {:?}", self.labels.task);
        require(
            (1..=most).contains(&self.scoring.top_k),
            self.name(),
            "top_k",
            self.scoring.top_k,
            &allowed,
        )?;
        let factors = match self.scoring.score {
            Score::FBeta { beta } => vec![("beta", beta)],
            Score::Tversky { alpha, beta } => vec![("alpha", alpha), ("beta", beta)],
            _ => Vec::new(),
        };
        factors.into_iter().try_for_each(|(name, value)| Range::AtLeast(0.0).check(self.name(), name, value))
    }

    fn parts(&self) -> Option<Vec<String>> {
        Some(match self.scoring.score {
            _ if self.samplewise => Vec::new(),
            Score::BalancedAccuracy { .. } => vec![String::new()],
            _ => self.scoring.average.parts(self.labels.task.classes()),
        })
    }

    fn update(&self, seen: &Seen, memory: &mut Memory) -> Result<()> {
        let items = self.labels.items(seen, memory)?;
        let (labels, top_k) = (&self.labels, self.scoring.top_k);
        if self.samplewise {
            let rows = seen.need_target()?.size().first().copied().unwrap_or(1);
            let counts = counts::stat_scores_of_rows(labels, &items, top_k, rows, memory)?;
            return memory.push("counts", &counts.f_transpose(0, 1)?);
        }
        let counts = counts::stat_scores(labels, &items, top_k, memory)?;
        memory.add("counts", counts)
    }

    fn compute(&self, memory: &Memory) -> Result<Computed> {
        self.labels.check_seen(memory)?;
        if self.samplewise {
            return self.of_rows(memory);
        }
        let counts = self.labels.read_sums(memory, "counts")?;
        Ok(counts.map_or(Computed::Number(f64::NAN), |counts| self.of_counts(&counts)))
    }
}
