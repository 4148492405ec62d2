//! Metrics by name, as a file has them.
use catena_tensor::{Error, Result};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

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
use crate::settings::Settings;
use crate::statistic::Statistic;
use crate::word_error_rate::WordErrorRate;

type Read = fn(&mut Settings) -> Result<Box<dyn Metric>>;

const METRICS: [(&str, Read); 43] = [
    ("accuracy", |s| Ok(Box::new(ClassScore::read(s)?))),
    ("auroc", |s| Ok(Box::new(Ranking::read(s)?))),
    ("average_precision", |s| Ok(Box::new(Ranking::read(s)?))),
    ("balanced_accuracy", |s| Ok(Box::new(ClassScore::read(s)?))),
    ("bleu_score", |s| Ok(Box::new(Bleu::read(s)?))),
    ("calibration_error", |s| Ok(Box::new(CalibrationError::read(s)?))),
    ("cmc", |s| Ok(Box::new(Cmc::read(s)?))),
    ("cohen_kappa", |s| Ok(Box::new(ConfusionMatrix::read(s)?))),
    ("confusion_matrix", |s| Ok(Box::new(ConfusionMatrix::read(s)?))),
    ("dice", |s| Ok(Box::new(ClassScore::read(s)?))),
    ("f1_score", |s| Ok(Box::new(ClassScore::read(s)?))),
    ("fbeta_score", |s| Ok(Box::new(ClassScore::read(s)?))),
    ("jaccard_index", |s| Ok(Box::new(ClassScore::read(s)?))),
    ("log_loss", |s| Ok(Box::new(LogLoss::read(s)?))),
    ("matthews_corrcoef", |s| Ok(Box::new(ConfusionMatrix::read(s)?))),
    ("max", |_| Ok(Box::new(Statistic::max()))),
    ("mean", |_| Ok(Box::new(Statistic::mean()))),
    ("mean_absolute_error", |s| Ok(Box::new(MeanError::read(s)?))),
    ("mean_absolute_percentage_error", |s| Ok(Box::new(MeanError::read(s)?))),
    ("mean_squared_error", |s| Ok(Box::new(MeanError::read(s)?))),
    ("min", |_| Ok(Box::new(Statistic::min()))),
    ("pearson_corrcoef", |_| Ok(Box::new(Correlation::pearson()))),
    ("perplexity", |s| Ok(Box::new(Perplexity::read(s)?))),
    ("precision", |s| Ok(Box::new(ClassScore::read(s)?))),
    ("r2_score", |s| Ok(Box::new(R2Score::read(s)?))),
    ("recall", |s| Ok(Box::new(ClassScore::read(s)?))),
    ("retrieval_auroc", |s| Ok(Box::new(Retrieval::read(s)?))),
    ("retrieval_average_precision", |s| Ok(Box::new(Retrieval::read(s)?))),
    ("retrieval_fall_out", |s| Ok(Box::new(Retrieval::read(s)?))),
    ("retrieval_hit_rate", |s| Ok(Box::new(Retrieval::read(s)?))),
    ("retrieval_normalized_dcg", |s| Ok(Box::new(Retrieval::read(s)?))),
    ("retrieval_precision", |s| Ok(Box::new(Retrieval::read(s)?))),
    ("retrieval_r_precision", |s| Ok(Box::new(Retrieval::read(s)?))),
    ("retrieval_recall", |s| Ok(Box::new(Retrieval::read(s)?))),
    ("retrieval_reciprocal_rank", |s| Ok(Box::new(Retrieval::read(s)?))),
    ("root_mean_squared_error", |s| Ok(Box::new(MeanError::read(s)?))),
    ("spearman_corrcoef", |_| Ok(Box::new(Correlation::spearman()))),
    ("specificity", |s| Ok(Box::new(ClassScore::read(s)?))),
    ("std", |_| Ok(Box::new(Statistic::std()))),
    ("sum", |_| Ok(Box::new(Statistic::sum()))),
    ("support", |s| Ok(Box::new(ClassScore::read(s)?))),
    ("tversky_index", |s| Ok(Box::new(ClassScore::read(s)?))),
    ("word_error_rate", |s| Ok(Box::new(WordErrorRate::read(s)?))),
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
    let Some((_, read)) = METRICS.into_iter().find(|(known, _)| *known == name) else {
        return Err(wrong(format!("none is named `{name}`; there are: {}", known())));
    };
    let mut settings = Settings::new(&name, map);
    let metric = read(&mut settings)?;
    settings.done()?;
    metric.check()?;
    Ok(metric)
}

/// The names that [`from_value`] knows.
///
/// ```
/// assert!(catena_metrics::names().any(|name| name == "auroc"));
/// ```
pub fn names() -> impl Iterator<Item = &'static str> {
    METRICS.into_iter().map(|(name, _)| name)
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
