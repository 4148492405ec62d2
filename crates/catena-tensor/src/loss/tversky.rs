//! Tversky's loss.
use super::LossFn;
use super::overlap::of_masks;
use crate::settings::Range::AtLeast;

loss! {
    /// 1 less Tversky's index, `(both + smooth) / (both + alpha * false positives + beta * false negatives + smooth)`, of masks: outputs are probabilities `[n, classes, …]`, targets masks of their shape, or labels `[n, …]`.
    ///
    /// The sums are over the elements of a sample and a class, the mean is over samples and classes, which are what it counts; so micro-batches accumulate to the loss of the
    /// whole batch. Source: Salehi 2017.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{Tversky, LossFn};
    /// use tch::Tensor;
    ///
    /// let outputs = Outputs::from(Tensor::from_slice(&[1.0, 1.0, 0.0, 0.0]).view([1, 1, 4]));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[1i64, 0, 0, 0]).view([1, 1, 4]))]);
    /// let loss = Tversky::new().smooth(0.0).loss(&outputs, &batch)?;
    /// assert!((loss.value.double_value(&[]) - 1.0 / 3.0).abs() < 1e-12);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    Tversky = "tversky";
    tensors { output = "output", "the masks"; target = "target", "the truth"; }
    settings {
        alpha: number(AtLeast(0.0)) = 0.5, "How much false positives count";
        beta: number(AtLeast(0.0)) = 0.5, "How much false negatives count";
        smooth: number(AtLeast(0.0)) = 1e-5, "What is added above and below, against empty masks";
        sigmoid: switch() = false, "Whether the output is of logits, each for itself";
        softmax: switch() = false, "Whether the output is of logits over the classes";
    }
}

of_masks!(Tversky, |loss| (loss.alpha, loss.beta, loss.smooth));

impl LossFn for Tversky {
    by_reduction!();
}
