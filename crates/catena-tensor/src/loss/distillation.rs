//! What a student learns from a teacher.
use tch::{Kind, Reduction as Torchs, Tensor};

use super::checks::given;
use super::form::{Reduced, reduce};
use super::labels::{Labels, Target};
use super::{LossFn, Reduction, same_shape};
use crate::batch::{Batch, Outputs};
use crate::error::BoxError;
use crate::settings::Range::{Above, Closed};

loss! {
    /// A student's logits `[n, classes]` (or `[n, classes, …]`) beside a teacher's: `alpha * temperature² * KL(teacher || student)`, with the logits of both divided by `temperature`, and `1 - alpha` times the cross
    /// entropy of the labels. It counts samples (or positions).
    ///
    /// `teacher` is an output or a tensor of the batch; no gradient flows into it. With `alpha` 1, no target is needed. Source: Hinton 2015.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{Distillation, LossFn};
    /// use tch::{Device, Kind, Tensor};
    ///
    /// let logits = || Tensor::zeros([1, 2], (Kind::Double, Device::Cpu));
    /// let outputs = Outputs::from([("output", logits()), ("teacher", logits())]);
    /// let batch = Batch::new([("target", Tensor::from_slice(&[1i64]))]);
    /// let loss = Distillation::new().loss(&outputs, &batch)?;
    /// assert!((loss.value.double_value(&[]) - 0.5 * 2f64.ln()).abs() < 1e-12);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    Distillation = "distillation";
    tensors {
        output = "output", "the student's logits";
        teacher = "teacher", "the teacher's logits";
        target = "target", "the labels";
    }
    settings {
        temperature: number(Above(0.0)) = 2.0, "What the logits are divided by";
        alpha: number(Closed(0.0, 1.0)) = 0.5, "The share of the teacher's part";
        class_dim: whole() = 1, "The dimension of the logits that has the classes";
    }
}

impl Reduced for Distillation {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let output = outputs.get(&self.output)?;
        let teacher = given(&self.teacher, outputs, batch)?.f_detach()?;
        same_shape(&self.output, output, &self.teacher, &teacher)?;
        let own = Labels {
            of: "distillation",
            output: &self.output,
            target: &self.target,
            weight: None,
            ignore_index: None,
            class_dim: self.class_dim,
        };
        let student = own.classes_second(output)?;
        let teacher = Labels { output: &self.teacher, ..own }.classes_second(&teacher)?;
        let logs = |logits: &Tensor| logits.f_div_scalar(self.temperature)?.f_log_softmax(1, None::<Kind>);
        let soft = logs(&student)?.f_kl_div(&logs(&teacher)?, Torchs::None, true)?;
        let share = self.alpha * self.temperature * self.temperature;
        let soft = soft.f_sum_dim_intlist(1i64, false, None)?.f_mul_scalar(share)?;
        if self.alpha == 1.0 {
            return reduce(soft, to);
        }
        let labels = match own.judge(&student, batch.get(&self.target)?, false)? {
            Target::Labels(labels) | Target::Probabilities(labels) => labels,
        };
        let hard = student.f_cross_entropy_loss::<Tensor>(&labels, None, Torchs::None, own.ignored(), 0.0);
        let hard = hard.map_err(|error| own.explain(&student, &labels, error))?;
        reduce(soft.f_add(&hard.f_mul_scalar(1.0 - self.alpha)?)?, to)
    }
}

impl LossFn for Distillation {
    by_reduction!();
}
