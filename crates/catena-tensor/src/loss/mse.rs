//! The mean squared error.
use serde::{Deserialize, Serialize};
use tch::Reduction;

use super::{Loss, LossFn, floating, same_shape};
use crate::batch::{Batch, OUTPUT, Outputs, TARGET};
use crate::error::BoxError;
use crate::settings::{Configured, Setting};

/// The mean squared error of two tensors of one shape. Source: `torch.nn.MSELoss`, but shapes must be equal where PyTorch warns and broadcasts.
///
/// The output must be of real floating point numbers; the target may be of whole ones, as in PyTorch.
///
/// ```
/// use catena_tensor::batch::{Batch, Outputs};
/// use catena_tensor::loss::{LossFn, Mse};
/// use tch::Tensor;
///
/// let outputs = Outputs::from(Tensor::from_slice(&[1.0, 4.0]));
/// let batch = Batch::new([("target", Tensor::from_slice(&[1.0, 2.0]))]);
/// assert_eq!(Mse::new().loss(&outputs, &batch)?.value.double_value(&[]), 2.0);
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mse {
    output: String,
    target: String,
}

impl Default for Mse {
    fn default() -> Self {
        Self { output: OUTPUT.into(), target: TARGET.into() }
    }
}

impl Mse {
    /// Of `output` and `target`.
    pub fn new() -> Self {
        Self::default()
    }

    output_and_target!("the prediction", "the truth");
}

impl Configured for Mse {
    const NAME: &'static str = "mse";
    const SETTINGS: &'static [Setting<Self>] = &[
        Setting::text("output", "The output that has the prediction"),
        Setting::text("target", "The tensor of the batch that has the truth"),
    ];
}

impl LossFn for Mse {
    fn loss(&mut self, outputs: &Outputs, batch: &Batch) -> Result<Loss, BoxError> {
        let (output, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        same_shape(&self.output, output, &self.target, target)?;
        floating(&self.output, output)?;
        Ok(Loss::new(output.f_mse_loss(target, Reduction::Mean)?, batch.weight))
    }

    as_data!();
}
