//! Connectionist temporal classification.
use tch::{Kind, Reduction as Torchs, Tensor};

use super::checks::{dims, given, whole};
use super::form::Reduced;
use super::{LossFn, Reduction, floating};
use crate::batch::{Batch, Outputs};
use crate::error::{BoxError, Error, Result};

loss! {
    /// Connectionist temporal classification of log-probabilities `[length, n, classes]` and targets `[n, longest]`, or all targets one after the other; both lengths are `[n]`.
    ///
    /// Each sample's loss is divided by its target's length; the mean counts samples. Lengths are read from the batch or from the outputs. Waits for the device.
    /// Source: `torch.nn.CTCLoss`, which takes targets that are out of range or blank, and reads past the classes.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{Ctc, LossFn};
    /// use tch::{Device, Kind, Tensor};
    ///
    /// let logs = Tensor::zeros([2, 1, 2], (Kind::Double, Device::Cpu)).log_softmax(2, None);
    /// let whole = |numbers: &[i64]| Tensor::from_slice(numbers);
    /// let batch = Batch::new([
    ///     ("target", whole(&[1]).view([1, 1])),
    ///     ("input_lengths", whole(&[2])),
    ///     ("target_lengths", whole(&[1])),
    /// ]);
    /// // three of four paths collapse to the target
    /// let loss = Ctc::new().loss(&Outputs::from(logs), &batch)?;
    /// assert!((loss.value.double_value(&[]) + 0.75f64.ln()).abs() < 1e-12);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    Ctc = "ctc";
    tensors {
        output = "output", "the log-probabilities";
        target = "target", "the targets";
        input_lengths = "input_lengths", "the lengths of the inputs";
        target_lengths = "target_lengths", "the lengths of the targets";
    }
    settings {
        blank: whole() = 0, "The class that stands for no label";
        zero_infinity: switch() = false, "Whether infinite losses, of inputs too short, become 0";
    }
}

impl Ctc {
    fn lengths(&self, name: &str, tensor: &Tensor, n: i64, most: i64, of: &str) -> Result<Vec<i64>> {
        if tensor.numel() as i64 != n || tensor.dim() > 1 {
            let expected = format!("there are {n} samples, and each needs a length: [{n}]");
            return Err(Error::Shape { what: format!("`{name}`"), got: tensor.size(), expected });
        }
        let lengths = Vec::<i64>::try_from(whole(name, tensor)?.f_view([-1])?)?;
        match lengths.iter().find(|length| **length < 0 || **length > most) {
            None => Ok(lengths),
            Some(length) => {
                let why = format!("`{name}` has {length}, but {of} holds {most} at most");
                Err(Error::Settings { of: "ctc".into(), why })
            }
        }
    }

    /// Refuses labels that are no class or the blank one, among those that lengths take.
    fn check_labels(&self, targets: &Tensor, lengths: &[i64], classes: i64) -> Result<()> {
        let all = Vec::<i64>::try_from(targets.f_flatten(0, -1)?)?;
        let longest = if targets.dim() == 2 { targets.size()[1] as usize } else { 0 };
        let mut start = 0;
        for (row, length) in lengths.iter().enumerate() {
            let from = if longest > 0 { row * longest } else { start };
            start += *length as usize;
            for label in all.iter().skip(from).take(*length as usize) {
                if *label < 0 || *label >= classes {
                    return Err(Error::Label { label: *label, classes });
                }
                if *label == self.blank {
                    let why = format!(
                        "`{}` has the label {label}, which is the blank one: set `blank` to another class",
                        self.target
                    );
                    return Err(Error::Settings { of: "ctc".into(), why });
                }
            }
        }
        Ok(())
    }
}

impl Reduced for Ctc {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (logs, targets) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        floating(&self.output, logs)?;
        dims(&self.output, logs, &[2, 3], "[length, n, classes], or [length, classes] of one sample")?;
        let targets = whole(&self.target, targets)?;
        dims(&self.target, &targets, &[1, 2], "[n, longest], or all targets one after the other")?;
        let (size, is_one) = (logs.size(), logs.dim() == 2);
        let (n, classes) = if is_one { (1, size[1]) } else { (size[1], size[2]) };
        if !(0..classes).contains(&self.blank) {
            let allowed = format!("one of the {classes} classes, from 0 to {}", classes - 1);
            let got = self.blank.to_string();
            return Err(Error::Setting { of: "ctc".into(), name: "blank".into(), got, allowed }.into());
        }
        if targets.dim() == 2 && targets.size()[0] != n {
            let expected = format!("`{}` has {n} samples", self.output);
            let what = format!("`{}`", self.target);
            return Err(Error::Shape { what, got: targets.size(), expected }.into());
        }
        let lengths =
            |name: &str, most, of: &str| self.lengths(name, given(name, outputs, batch)?, n, most, of);
        let input_lengths = lengths(&self.input_lengths, size[0], "the output")?;
        let longest = targets.size().last().copied().unwrap_or_default();
        let target_lengths = lengths(&self.target_lengths, longest, "the target")?;
        if targets.dim() == 1 && target_lengths.iter().sum::<i64>() != longest {
            let expected =
                format!("the lengths of the targets add up to {}", target_lengths.iter().sum::<i64>());
            let what = format!("`{}`", self.target);
            return Err(Error::Shape { what, got: targets.size(), expected }.into());
        }
        self.check_labels(&targets, &target_lengths, classes)?;
        let batched = if is_one { logs.f_unsqueeze(1)? } else { logs.shallow_clone() };
        let targets = targets.f_to_kind(Kind::Int64)?;
        let (blank, zero) = (self.blank, self.zero_infinity);
        let value = Tensor::f_ctc_loss(&batched, &targets, input_lengths, target_lengths, blank, to, zero)?;
        let value = if is_one && to == Torchs::None { value.f_squeeze_dim(0)? } else { value };
        Ok((value, n as f64))
    }
}

impl LossFn for Ctc {
    by_reduction!();
}
