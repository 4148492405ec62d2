//! Metrics: numbers over a loader that no split into batches and ranks can change.
//!
//! A [`Metric`] is driven by the callback `Measure` in a chain, or by hand with a [`Meter`]. Each is right for a short last batch, counts items by weight,
//! is computed on the device without waiting for it, can be merged with others of its kind ([`Meter::merge`]) and saved in
//! the middle of a loader ([`Meter::state`]). Names and arguments are those of torchmetrics' functional interface;
//! [`from_value`] reads `{"name": "f1_score", "task": "binary"}`.
//!
//! | type | metrics | keeps |
//! |---|---|---|
//! | [`ClassScore`] | `accuracy` (top-k), `balanced_accuracy`, `precision`, `recall`, `fbeta_score`, `f1_score`, `dice`, `specificity`, `support`, `jaccard_index`, `tversky_index` | 4 numbers a class |
//! | [`ConfusionMatrix`] | `confusion_matrix`, `matthews_corrcoef`, `cohen_kappa` | the matrix |
//! | [`Ranking`] | `auroc`, `average_precision` | every score; binned: 2 numbers a threshold and class |
//! | [`CalibrationError`] | `calibration_error` | 3 numbers a bin |
//! | [`LogLoss`] | `log_loss` | 2 numbers |
//! | [`MeanError`] | `mean_absolute_error`, `mean_squared_error`, `root_mean_squared_error`, `mean_absolute_percentage_error` | 2 numbers an output |
//! | [`R2Score`] | `r2_score` | 9 numbers an output |
//! | [`Correlation`] | `pearson_corrcoef`, `spearman_corrcoef` | 8 numbers an output; Spearman: every value |
//! | [`Retrieval`] | `retrieval_…` `average_precision`, `reciprocal_rank`, `hit_rate`, `normalized_dcg`, `precision`, `recall`, `fall_out`, `r_precision`, `auroc` | every score |
//! | [`Cmc`] | `cmc` | every embedding |
//! | [`Perplexity`] | `perplexity` | 2 numbers |
//! | [`Bleu`] | `bleu_score` | 2 numbers an n |
//! | [`WordErrorRate`] | `word_error_rate` | 2 numbers |
//! | [`Statistic`] | `mean`, `std`, `sum`, `min`, `max` of the loss or any value | a few numbers |
//! | [`BatchMetric`], [`LoaderMetric`] | any closure | 2 numbers; everything |
//!
//! **NaN is never a rank.** A metric over values with a NaN that counts is NaN, whatever else it has seen, and
//! [`Memory::nan_rows`] says in how many rows there was one (the callback `Measure` warns of it once a loader). In a multiclass item it touches every
//! class, in a multilabel item the numbers of its label and those made of all labels; with `samplewise`, its row alone. A closure
//! does what it does.
//!
//! **Labels are checked, not cast.** Labels, flags, ids and tokens may be of any dtype, but must be whole numbers in range where they
//! count; else [`Metric::compute`] is an error with the first such number and its row (`update` does not wait for the device, so
//! it comes at the loader's end). Probabilities as targets are for [`LogLoss::soft_targets`], graded relevance for
//! [`Retrieval::normalized_dcg`].
#![warn(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]
#![forbid(unsafe_code)]

mod average;
mod classification;
mod host;
mod memory;
mod meter;
mod metric;
mod registry;
mod regression;
mod retrieval;
mod setters;
mod settings;
mod text;
mod values;
mod weights;
mod whole;

pub use average::Average;
pub use classification::{
    CalibrationError, CalibrationNorm, ClassScore, ConfusionMatrix, KappaWeights, LogLoss, Normalize,
    Ranking, Task, Thresholds, check_labels, top_k_accuracy,
};
pub use memory::{Memory, Moments};
pub use meter::Meter;
pub use metric::{Computed, Metric, Seen};
pub use registry::{AnyMetric, from_value, names, registry};
pub use regression::{Correlation, MeanError, MultiOutput, R2Score};
pub use retrieval::{Cmc, EmptyTarget, OverQueries, Retrieval};
pub use text::{Bleu, Perplexity, WordErrorRate};
pub use values::{BatchMetric, LoaderMetric, Statistic};
