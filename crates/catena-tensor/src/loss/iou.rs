//! The intersection over union.
use super::LossFn;
use super::overlap::of_masks;
use crate::settings::Range::AtLeast;

loss! {
    /// 1 less the intersection over the union, `(both + smooth) / (output + target - both + smooth)`, of masks: outputs are probabilities `[n, classes, …]`, targets masks of their shape, or labels `[n, …]`.
    ///
    /// The sums are over the elements of a sample and a class, the mean is over samples and classes, which are what it counts; so micro-batches accumulate to the loss of the
    /// whole batch. Source: Rahman and Wang 2016.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{Iou, LossFn};
    /// use tch::Tensor;
    ///
    /// let outputs = Outputs::from(Tensor::from_slice(&[1.0, 1.0, 0.0, 0.0]).view([1, 1, 4]));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[1i64, 0, 0, 0]).view([1, 1, 4]))]);
    /// let loss = Iou::new().smooth(0.0).loss(&outputs, &batch)?;
    /// assert!((loss.value.double_value(&[]) - 0.5).abs() < 1e-12);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    Iou = "iou";
    tensors { output = "output", "the masks"; target = "target", "the truth"; }
    settings {
        smooth: number(AtLeast(0.0)) = 1e-5, "What is added above and below, against empty masks";
        sigmoid: switch() = false, "Whether the output is of logits, each for itself";
        softmax: switch() = false, "Whether the output is of logits over the classes";
    }
}

of_masks!(Iou, |loss| (1.0, 1.0, loss.smooth));

impl LossFn for Iou {
    by_reduction!();
}
