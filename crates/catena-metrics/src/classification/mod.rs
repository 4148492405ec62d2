//! Classifiers: decisions, rankings and probabilities against labels.
pub(crate) mod agreement;
pub(crate) mod bins;
pub(crate) mod calibration;
pub(crate) mod class_score;
pub(crate) mod confusion;
pub(crate) mod counts;
pub(crate) mod curve;
pub(crate) mod items;
pub(crate) mod labels;
pub(crate) mod log_loss;
pub(crate) mod ranking;
pub(crate) mod readings;
pub(crate) mod stat_scores;
pub(crate) mod task;
pub(crate) mod top_k_accuracy;

pub use agreement::KappaWeights;
pub use bins::Thresholds;
pub use calibration::{CalibrationError, CalibrationNorm};
pub use class_score::ClassScore;
pub use confusion::{ConfusionMatrix, Normalize};
pub use log_loss::LogLoss;
pub use ranking::Ranking;
pub use task::Task;
pub use top_k_accuracy::{check_labels, top_k_accuracy};
