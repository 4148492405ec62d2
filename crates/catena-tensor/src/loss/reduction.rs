//! How the losses of a batch become one number.
use serde::{Deserialize, Serialize};

/// How the losses of a batch become one number: `reduction` of PyTorch's losses. The losses one by one (`reduction="none"` there) are what
/// [`LossFn::unreduced`](super::LossFn::unreduced) gives.
///
/// ```
/// use catena_tensor::batch::{Batch, Outputs};
/// use catena_tensor::loss::{LossFn, Mse, Reduction};
/// use tch::Tensor;
///
/// let outputs = Outputs::from(Tensor::from_slice(&[1.0, 4.0]));
/// let batch = Batch::new([("target", Tensor::from_slice(&[1.0, 2.0]))]);
/// let mut sum = Mse::new().reduction(Reduction::Sum);
/// let loss = sum.loss(&outputs, &batch)?;
/// assert_eq!((loss.value.double_value(&[]), loss.weight), (4.0, 1.0));
/// assert_eq!(sum.unreduced(&outputs, &batch)?, Tensor::from_slice(&[0.0, 4.0]));
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduction {
    /// The mean. The loss's weight is the count that the mean is over, so micro-batches of any sizes accumulate to the mean over all.
    #[default]
    Mean,
    /// The sum. Its weight is 1; accumulate it with a plain sum of gradients (`Accumulate::sum`), which is that of the whole batch.
    Sum,
    /// The sum divided by the number of samples, which the loss then counts: of [`KlDiv`](super::KlDiv) alone.
    BatchMean,
}

impl Reduction {
    /// As data and PyTorch write it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Sum => "sum",
            Self::BatchMean => "batchmean",
        }
    }
}
