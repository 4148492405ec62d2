//! Metrics by name, as a file has them.
use catena_tensor::{Error, Result};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::agreement::KappaWeights;
use crate::bleu::Bleu;
use crate::calibration::CalibrationError;
use crate::class_score::ClassScore;
use crate::cmc::Cmc;
use crate::confusion::ConfusionMatrix;
use crate::correlation::Correlation;
use crate::errors::MeanError;
use crate::log_loss::LogLoss;
use crate::metric::Metric;
use crate::perplexity::Perplexity;
use crate::r2_score::R2Score;
use crate::ranking::Ranking;
use crate::retrieval::Retrieval;
use crate::settings::{ByName, Table};
use crate::statistic::Statistic;
use crate::task::Task;
use crate::word_error_rate::WordErrorRate;

/// A metric as it is before its settings are read.
type New = fn() -> Box<dyn ByName>;

/// Stands for the task, which is always read.
const TASK: Task = Task::Binary;

/// Every metric that data can name.
const METRICS: &[(&str, New)] = &[
    ("accuracy", || Box::new(ClassScore::accuracy(TASK))),
    ("auroc", || Box::new(Ranking::auroc(TASK))),
    ("average_precision", || Box::new(Ranking::average_precision(TASK))),
    ("balanced_accuracy", || Box::new(ClassScore::balanced_accuracy(TASK, false))),
    ("bleu_score", || Box::new(Bleu::new())),
    ("calibration_error", || Box::new(CalibrationError::new(TASK))),
    ("cmc", || Box::new(Cmc::new([1]))),
    ("cohen_kappa", || Box::new(ConfusionMatrix::cohen_kappa(TASK, KappaWeights::None))),
    ("confusion_matrix", || Box::new(ConfusionMatrix::new(TASK))),
    ("dice", || Box::new(ClassScore::dice(TASK))),
    ("f1_score", || Box::new(ClassScore::f1_score(TASK))),
    ("fbeta_score", || Box::new(ClassScore::fbeta_score(TASK, 1.0))),
    ("jaccard_index", || Box::new(ClassScore::jaccard_index(TASK))),
    ("log_loss", || Box::new(LogLoss::new(TASK))),
    ("matthews_corrcoef", || Box::new(ConfusionMatrix::matthews_corrcoef(TASK))),
    ("max", || Box::new(Statistic::max())),
    ("mean", || Box::new(Statistic::mean())),
    ("mean_absolute_error", || Box::new(MeanError::absolute())),
    ("mean_absolute_percentage_error", || Box::new(MeanError::percentage(1.17e-6))),
    ("mean_squared_error", || Box::new(MeanError::squared())),
    ("min", || Box::new(Statistic::min())),
    ("pearson_corrcoef", || Box::new(Correlation::pearson())),
    ("perplexity", || Box::new(Perplexity::new())),
    ("precision", || Box::new(ClassScore::precision(TASK))),
    ("r2_score", || Box::new(R2Score::new())),
    ("recall", || Box::new(ClassScore::recall(TASK))),
    ("retrieval_auroc", || Box::new(Retrieval::auroc(None))),
    ("retrieval_average_precision", || Box::new(Retrieval::average_precision())),
    ("retrieval_fall_out", || Box::new(Retrieval::fall_out())),
    ("retrieval_hit_rate", || Box::new(Retrieval::hit_rate())),
    ("retrieval_normalized_dcg", || Box::new(Retrieval::normalized_dcg())),
    ("retrieval_precision", || Box::new(Retrieval::precision())),
    ("retrieval_r_precision", || Box::new(Retrieval::r_precision())),
    ("retrieval_recall", || Box::new(Retrieval::recall())),
    ("retrieval_reciprocal_rank", || Box::new(Retrieval::reciprocal_rank())),
    ("root_mean_squared_error", || Box::new(MeanError::root())),
    ("spearman_corrcoef", || Box::new(Correlation::spearman())),
    ("specificity", || Box::new(ClassScore::specificity(TASK))),
    ("std", || Box::new(Statistic::std())),
    ("sum", || Box::new(Statistic::sum())),
    ("support", || Box::new(ClassScore::support(TASK))),
    ("tversky_index", || Box::new(ClassScore::tversky_index(TASK, 0.5, 0.5))),
    ("word_error_rate", || Box::new(WordErrorRate::new())),
];

/// Reads a metric: `{"name": …, …}`, with names and arguments of torchmetrics' functional interface. An unknown name or
/// argument is an error that lists the known ones; values out of range are errors too.
///
/// ```
/// use catena_metrics::{Meter, from_value};
/// use serde_json::json;
///
/// let f1 = from_value(json!({"name": "f1_score", "task": "multiclass", "num_classes": 5, "average": "macro"}))?;
/// assert_eq!(f1.name(), "f1_score");
/// let error = from_value(json!({"name": "perplexity", "ignore": 0})).unwrap_err();
/// assert_eq!(error.to_string(), "perplexity has no setting `ignore`; it has: ignore_index");
/// # Ok::<(), catena_tensor::Error>(())
/// ```
pub fn from_value(value: Value) -> Result<Box<dyn Metric>> {
    let wrong = |why: String| Error::Settings { of: "metric".into(), why };
    let known = || names().collect::<Vec<_>>().join(", ");
    let Value::Object(mut map) = value else {
        return Err(wrong(format!(
            "an object is needed, such as {{\"name\": \"mean\"}}, but this is {value}"
        )));
    };
    let name = match map.remove("name") {
        Some(Value::String(name)) => name,
        _ => return Err(wrong(format!("it needs a `name`, one of: {}", known()))),
    };
    let Some((_, new)) = METRICS.iter().find(|(known, _)| *known == name) else {
        return Err(wrong(format!("none is named `{name}`; there are: {}", known())));
    };
    let (mut metric, mut table) = (new(), Table::reading(&name, map));
    metric.each_setting(&mut table)?;
    table.done()?;
    metric.check()?;
    Ok(metric)
}

/// The names that [`from_value`] knows.
///
/// ```
/// assert!(catena_metrics::names().any(|name| name == "auroc"));
/// ```
pub fn names() -> impl Iterator<Item = &'static str> {
    METRICS.iter().map(|(name, _)| *name)
}

/// Any metric as data: it serializes as its settings, and is read by [`from_value`]. A closure can't be written.
///
/// ```
/// use catena_metrics::AnyMetric;
///
/// let text = r#"{"name":"mean_absolute_error","num_outputs":1}"#;
/// let metric: AnyMetric = serde_json::from_str(text)?;
/// assert_eq!(serde_json::to_string(&metric)?, text);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug)]
pub struct AnyMetric(pub Box<dyn Metric>);

impl Serialize for AnyMetric {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0.settings() {
            Value::Null => Err(serde::ser::Error::custom(format!(
                "metric `{}` lives in code only, so it can't be written",
                self.0.name()
            ))),
            settings => settings.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for AnyMetric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        from_value(Value::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}
