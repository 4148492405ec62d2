//! From true and false positives and negatives to a score.
use crate::average::{Average, each, mean, mean_or_nan};
use crate::classification::labels::Labels;
use crate::classification::task::Task;
use crate::metric::Computed;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Score {
    Accuracy,
    BalancedAccuracy {
        adjusted: bool,
    },
    Precision,
    Recall,
    FBeta {
        /// By what recall counts more than precision.
        beta: f64,
    },
    F1,
    Dice,
    Specificity,
    Support,
    Jaccard,
    Tversky {
        /// What a false positive counts.
        alpha: f64,
        /// By what recall counts more than precision (`fbeta_score`); what a false negative counts (`tversky_index`).
        beta: f64,
    },
}

impl Score {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy { .. } => "balanced_accuracy",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::FBeta { .. } => "fbeta_score",
            Self::F1 => "f1_score",
            Self::Dice => "dice",
            Self::Specificity => "specificity",
            Self::Support => "support",
            Self::Jaccard => "jaccard_index",
            Self::Tversky { .. } => "tversky_index",
        }
    }
}

/// True and false positives and negatives of a class. Source: `torchmetrics.functional.classification.stat_scores`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StatScores {
    pub(crate) tp: f64,
    pub(crate) fp: f64,
    pub(crate) tn: f64,
    pub(crate) fn_: f64,
}

/// Which score, and how it is made one number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scoring {
    pub(crate) score: Score,
    pub(crate) average: Average,
    pub(crate) top_k: i64,
    pub(crate) zero_division: f64,
}

impl Scoring {
    pub(crate) fn of(&self, classes: &[StatScores], labels: &Labels) -> Computed {
        match self.score {
            Score::BalancedAccuracy { adjusted } => {
                Computed::Number(balanced(classes, labels.task, adjusted))
            }
            _ => self.averaged(classes, labels),
        }
    }

    fn of_class(&self, StatScores { tp, fp, tn, fn_ }: StatScores, task: Task) -> f64 {
        let ratio = |a: f64, b: f64| if b == 0.0 { self.zero_division } else { a / b };
        let f = |beta: f64| {
            let b2 = beta * beta;
            ratio((1.0 + b2) * tp, (1.0 + b2) * tp + b2 * fn_ + fp)
        };
        match self.score {
            Score::Accuracy if matches!(task, Task::Multiclass(_)) => ratio(tp, tp + fn_),
            Score::Accuracy => ratio(tp + tn, tp + tn + fp + fn_),
            Score::Recall | Score::BalancedAccuracy { .. } => ratio(tp, tp + fn_),
            Score::Precision => ratio(tp, tp + fp),
            Score::FBeta { beta } => f(beta),
            Score::F1 | Score::Dice => f(1.0),
            Score::Specificity => ratio(tn, tn + fp),
            Score::Support => tp + fn_,
            Score::Jaccard => ratio(tp, tp + fp + fn_),
            Score::Tversky { alpha, beta } => ratio(tp, tp + alpha * fp + beta * fn_),
        }
    }

    fn averaged(&self, classes: &[StatScores], labels: &Labels) -> Computed {
        // torchmetrics has no IoU where nothing counts, but a score of 0
        let mean = if self.score == Score::Jaccard { mean_or_nan } else { mean };
        let scores = || classes.iter().map(|class| self.of_class(*class, labels.task)).collect::<Vec<f64>>();
        let support = || classes.iter().map(|c| c.tp + c.fn_).collect::<Vec<f64>>();
        let is_ignored = |class: usize| labels.ignore_index == Some(class as i64);
        match self.average {
            Average::None => each(scores()),
            _ if labels.task == Task::Binary => each(scores()),
            Average::Micro => {
                let sum = |a: StatScores, (class, b): (usize, &StatScores)| {
                    // an ignored class has no union of its own
                    let fp = if self.score == Score::Jaccard && is_ignored(class) { 0.0 } else { b.fp };
                    StatScores { tp: a.tp + b.tp, fp: a.fp + fp, tn: a.tn + b.tn, fn_: a.fn_ + b.fn_ }
                };
                let all = classes.iter().enumerate().fold(StatScores::default(), sum);
                Computed::Number(self.of_class(all, labels.task))
            }
            Average::Weighted => Computed::Number(mean(&scores(), &support())),
            Average::Macro => {
                // with several decisions an item, some of torchmetrics' scores count a class by its targets alone
                let by_target = matches!(self.score, Score::Accuracy | Score::Precision | Score::Recall);
                let weights = classes.iter().enumerate().map(|(class, c)| {
                    let decided = if self.top_k > 1 && by_target { 0.0 } else { c.fp };
                    let met = c.tp + decided + c.fn_;
                    let is_absent = met == 0.0 && matches!(labels.task, Task::Multiclass(_));
                    f64::from(match self.score {
                        Score::Support => true,
                        Score::Jaccard => !is_absent && !is_ignored(class),
                        _ => !is_absent,
                    })
                });
                Computed::Number(mean(&scores(), &weights.collect::<Vec<f64>>()))
            }
        }
    }
}

/// The mean recall over the classes that targets have; yes and no are classes of their own.
fn balanced(classes: &[StatScores], task: Task, adjusted: bool) -> f64 {
    let both = classes.iter().map(|c| StatScores { tp: c.tn, fp: c.fn_, tn: c.tp, fn_: c.fp });
    let classes: Vec<StatScores> = match task {
        Task::Multiclass(_) => classes.to_vec(),
        Task::Binary | Task::Multilabel(_) => classes.iter().copied().chain(both).collect(),
    };
    if classes.iter().any(|c| (c.tp + c.fn_).is_nan()) {
        return f64::NAN;
    }
    let present: Vec<f64> =
        classes.iter().filter(|c| c.tp + c.fn_ > 0.0).map(|c| c.tp / (c.tp + c.fn_)).collect();
    let score = present.iter().sum::<f64>() / present.len() as f64;
    let chance = 1.0 / present.len() as f64;
    if adjusted { (score - chance) / (1.0 - chance) } else { score }
}
