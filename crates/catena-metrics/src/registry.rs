//! Metrics by name, as a file has them.
use catena_tensor::Result;
use catena_tensor::settings::{Entry, Field, Registry, write_named};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::classification::agreement::KappaWeights;
use crate::classification::calibration::CalibrationError;
use crate::classification::class_score::ClassScore;
use crate::classification::confusion::ConfusionMatrix;
use crate::classification::log_loss::LogLoss;
use crate::classification::ranking::Ranking;
use crate::classification::task::Task;
use crate::metric::Metric;
use crate::regression::correlation::Correlation;
use crate::regression::errors::MeanError;
use crate::regression::r2_score::R2Score;
use crate::retrieval::cmc::Cmc;
use crate::retrieval::ranked::Retrieval;
use crate::settings::{ByName, Table, written};
use crate::text::bleu::Bleu;
use crate::text::perplexity::Perplexity;
use crate::text::word_error_rate::WordErrorRate;
use crate::values::statistic::Statistic;

/// Stands for the task, which is always read.
const TASK: Task = Task::Binary;

/// What a metric of a task can't do without.
const BINARY: &str = r#"{"task": "binary"}"#;

/// A metric as it is before its settings are read, and the settings that it can't do without.
macro_rules! entry {
    ($name:literal, $new:expr) => {
        entry!($name, $new, "{}")
    };
    ($name:literal, $new:expr, $needs:expr) => {
        Entry::<dyn Metric>::with($name, |given| read($name, Box::new($new), given), || fields(&$new, $needs))
            .example($needs)
    };
}

/// Every metric that data can name.
const METRICS: Registry<dyn Metric> = Registry::new("metric", "mean", ENTRIES);

const ENTRIES: &[Entry<dyn Metric>] = &[
    entry!("accuracy", ClassScore::accuracy(TASK), BINARY),
    entry!("auroc", Ranking::auroc(TASK), BINARY),
    entry!("average_precision", Ranking::average_precision(TASK), BINARY),
    entry!("balanced_accuracy", ClassScore::balanced_accuracy(TASK, false), BINARY),
    entry!("bleu_score", Bleu::new()),
    entry!("calibration_error", CalibrationError::new(TASK), BINARY),
    entry!("cmc", Cmc::new([1])),
    entry!("cohen_kappa", ConfusionMatrix::cohen_kappa(TASK, KappaWeights::None), BINARY),
    entry!("confusion_matrix", ConfusionMatrix::new(TASK), BINARY),
    entry!("dice", ClassScore::dice(TASK), BINARY),
    entry!("f1_score", ClassScore::f1_score(TASK), BINARY),
    entry!("fbeta_score", ClassScore::fbeta_score(TASK, 1.0), BINARY),
    entry!("jaccard_index", ClassScore::jaccard_index(TASK), BINARY),
    entry!("log_loss", LogLoss::new(TASK), BINARY),
    entry!("matthews_corrcoef", ConfusionMatrix::matthews_corrcoef(TASK), BINARY),
    entry!("max", Statistic::max()),
    entry!("mean", Statistic::mean()),
    entry!("mean_absolute_error", MeanError::absolute()),
    entry!("mean_absolute_percentage_error", MeanError::percentage(1.17e-6)),
    entry!("mean_squared_error", MeanError::squared()),
    entry!("min", Statistic::min()),
    entry!("pearson_corrcoef", Correlation::pearson()),
    entry!("perplexity", Perplexity::new()),
    entry!("precision", ClassScore::precision(TASK), BINARY),
    entry!("r2_score", R2Score::new()),
    entry!("recall", ClassScore::recall(TASK), BINARY),
    entry!("retrieval_auroc", Retrieval::auroc(None)),
    entry!("retrieval_average_precision", Retrieval::average_precision()),
    entry!("retrieval_fall_out", Retrieval::fall_out()),
    entry!("retrieval_hit_rate", Retrieval::hit_rate()),
    entry!("retrieval_normalized_dcg", Retrieval::normalized_dcg()),
    entry!("retrieval_precision", Retrieval::precision()),
    entry!("retrieval_r_precision", Retrieval::r_precision()),
    entry!("retrieval_recall", Retrieval::recall()),
    entry!("retrieval_reciprocal_rank", Retrieval::reciprocal_rank()),
    entry!("root_mean_squared_error", MeanError::root()),
    entry!("spearman_corrcoef", Correlation::spearman()),
    entry!("specificity", ClassScore::specificity(TASK), BINARY),
    entry!("std", Statistic::std()),
    entry!("sum", Statistic::sum()),
    entry!("support", ClassScore::support(TASK), BINARY),
    entry!("tversky_index", ClassScore::tversky_index(TASK, 0.5, 0.5), BINARY),
    entry!("word_error_rate", WordErrorRate::new()),
];

fn read(name: &str, mut metric: Box<dyn ByName>, given: Value) -> Result<Box<dyn Metric>> {
    let given = if let Value::Object(given) = given { given } else { Map::new() };
    let mut table = Table::reading(name, given);
    metric.each_setting(&mut table)?;
    table.done()?;
    metric.check()?;
    Ok(metric)
}

/// The fields of a metric, by what it writes of itself.
fn fields(metric: &(impl ByName + Clone), needs: &str) -> Vec<Field> {
    let mut settings = written(metric);
    if let Some(settings) = settings.as_object_mut() {
        settings.remove("name");
    }
    let given: Map<String, Value> = serde_json::from_str(needs).unwrap_or_default();
    let mut fields = Field::written_by(&settings, &given, || drop(metric.check()));
    Field::say(&mut fields, metric.name(), include_str!("fields.tsv"));
    fields
}

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
/// assert_eq!(error.to_string(), "perplexity: unknown field `ignore`, expected `ignore_index`");
/// # Ok::<(), catena_tensor::Error>(())
/// ```
pub fn from_value(value: Value) -> Result<Box<dyn Metric>> {
    METRICS.read(value)
}

/// catena's metrics by name, with their fields.
///
/// ```
/// let registry = catena_metrics::registry();
/// assert_eq!(registry.example("auroc").unwrap()["task"], "binary");
/// ```
pub fn registry() -> Registry<dyn Metric> {
    METRICS
}

/// The names that [`from_value`] knows.
///
/// ```
/// assert!(catena_metrics::names().any(|name| name == "auroc"));
/// ```
pub fn names() -> impl Iterator<Item = &'static str> {
    METRICS.names()
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
        write_named("metric", self.0.name(), self.0.settings(), serializer)
    }
}

impl<'de> Deserialize<'de> for AnyMetric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        from_value(Value::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_in_the_table_of_the_crates_doc() {
        let rows = include_str!("lib.rs").lines().filter(|line| line.starts_with("//! | [`"));
        let told: Vec<&str> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
        for name in names() {
            let short = name.strip_prefix("retrieval_").filter(|_| told.contains(&"retrieval_…"));
            assert!(
                told.contains(&name) || short.is_some_and(|short| told.contains(&short)),
                "{name} is in no row"
            );
        }
    }
}
