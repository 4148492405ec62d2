//! Batch normalization, by the batch's statistics in training and by the running ones else.
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::define::{Compute, Define, default};
use super::fault::{Outcome, at_least_1, floats, setting, shape};
use super::frozen::is_frozen;
use super::variables::Variables;

macro_rules! batch_norm {
    ($(#[$doc:meta])* $name:ident: $dims:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $name {
            /// How many channels the input has.
            pub num_features: i64,
            /// What is added to the variance, more than 0 (default 1e-5).
            #[serde(default = "default::eps")]
            pub eps: f64,
            /// How far the running statistics go to a batch's, from 0 to 1; without it they are the mean of all batches' (default 0.1).
            #[serde(default = "default::momentum")]
            pub momentum: Option<f64>,
            /// Whether there are a weight and a bias (default yes).
            #[serde(default = "default::yes")]
            pub affine: bool,
            /// Whether there are running statistics (default yes). Without them a batch's own are used outside of training too.
            #[serde(default = "default::yes")]
            pub track_running_stats: bool,
            /// Whether there is a bias where there is a weight (default yes).
            #[serde(default = "default::yes")]
            pub bias: bool,
        }

        impl $name {
            /// With torch's defaults.
            pub fn new(num_features: i64) -> Self {
                let (eps, momentum) = (default::eps(), default::momentum());
                Self { num_features, eps, momentum, affine: true, track_running_stats: true, bias: true }
            }

            /// What is added to the variance, more than 0 (default 1e-5).
            #[must_use]
            pub fn eps(mut self, eps: f64) -> Self {
                self.eps = eps;
                self
            }

            /// How far the running statistics go to a batch's, from 0 to 1 (default 0.1). With `None` they are the mean of all
            /// batches' statistics; the layer then counts batches, in a buffer `num_batches_tracked`, and waits for the device each batch.
            #[must_use]
            pub fn momentum(mut self, momentum: impl Into<Option<f64>>) -> Self {
                self.momentum = momentum.into();
                self
            }

            /// Whether there are a weight and a bias (default yes).
            #[must_use]
            pub fn affine(mut self, affine: bool) -> Self {
                self.affine = affine;
                self
            }

            /// Whether there are running statistics (default yes). Without them a batch's own are used outside of training too.
            #[must_use]
            pub fn track_running_stats(mut self, track_running_stats: bool) -> Self {
                self.track_running_stats = track_running_stats;
                self
            }

            /// Whether there is a bias where there is a weight (default yes).
            #[must_use]
            pub fn bias(mut self, bias: bool) -> Self {
                self.bias = bias;
                self
            }
        }

        impl Define for $name {
            fn check(&self) -> Outcome<()> {
                at_least_1("num_features", self.num_features)?;
                setting(self.eps > 0.0 && self.eps.is_finite(), "eps", self.eps, "more than 0 and finite")?;
                let momentum = self.momentum.unwrap_or_default();
                setting((0.0..=1.0).contains(&momentum), "momentum", momentum, "in [0, 1], or none")
            }

            fn make(&self, variables: &mut Variables<'_>) -> Outcome<Box<dyn Compute>> {
                let size = [self.num_features];
                let weight = variables.filled(self.affine, "weight", &size, 1.0)?;
                let bias = variables.filled(self.affine && self.bias, "bias", &size, 0.0)?;
                let running = match self.track_running_stats {
                    false => None,
                    true => {
                        let mean = variables.running("running_mean", self.num_features, 0.0)?;
                        let var = variables.running("running_var", self.num_features, 1.0)?;
                        let momentum = match self.momentum {
                            Some(momentum) => Momentum::Fixed(momentum),
                            None => Momentum::OneOver(variables.count("num_batches_tracked")?),
                        };
                        Some(Running { mean, var, momentum })
                    }
                };
                let (num_features, eps) = (self.num_features, self.eps);
                Ok(Box::new(Made { dims: &$dims, num_features, eps, weight, bias, running }))
            }
        }
    };
}

batch_norm! {
    /// Normalizes each of the channels of `[n, num_features]` or `[n, num_features, length]` over all else.
    ///
    /// Parameters: `weight` (ones) and `bias` (zeros). Buffers: `running_mean` (zeros) and `running_var` (ones). All are `[num_features]`.
    /// Source: `torch.nn.BatchNorm1d`; the paper is <https://arxiv.org/abs/1502.03167>.
    ///
    /// A variance needs two values, so a batch of one row is an error in training:
    ///
    /// ```
    /// use catena_tensor::layers::{BatchNorm1d, Layers};
    /// use catena_tensor::model::Mode;
    /// use tch::{Device, Kind, Tensor, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let layers = Layers::new().layer(vs.root() / "bn", BatchNorm1d::new(4))?;
    /// let row = Tensor::zeros([1, 4], (Kind::Float, Device::Cpu));
    /// assert_eq!(layers.forward(&row, Mode::Eval)?.size(), [1, 4]);
    /// assert_eq!(
    ///     layers.forward(&row, Mode::Train).unwrap_err().to_string(),
    ///     "layer `bn` (BatchNorm1d): the input has shape [1, 4], but training needs more than one value a channel, to take a \
    ///      variance of; let no batch have a single row (a loader's `drop_last` leaves a short last batch out)",
    /// );
    /// # Ok::<(), catena_tensor::Error>(())
    /// ```
    BatchNorm1d: [2usize, 3]
}

batch_norm! {
    /// Normalizes each of the channels of `[n, num_features, height, width]` over all else.
    ///
    /// Parameters: `weight` (ones) and `bias` (zeros). Buffers: `running_mean` (zeros) and `running_var` (ones). All are `[num_features]`.
    /// Source: `torch.nn.BatchNorm2d`; the paper is <https://arxiv.org/abs/1502.03167>.
    ///
    /// ```
    /// use catena_tensor::layers::{BatchNorm2d, Layers};
    /// use catena_tensor::model::Mode;
    /// use tch::{Device, Kind, Tensor, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let layers = Layers::new().layer(vs.root() / "bn", BatchNorm2d::new(3).momentum(0.05))?;
    /// let images = Tensor::zeros([2, 3, 8, 8], (Kind::Float, Device::Cpu));
    /// assert_eq!(layers.forward(&images, Mode::Train)?.size(), [2, 3, 8, 8]);
    /// # Ok::<(), catena_tensor::Error>(())
    /// ```
    BatchNorm2d: [4usize]
}

#[derive(Debug)]
struct Made {
    dims: &'static [usize],
    num_features: i64,
    eps: f64,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    mean: Tensor,
    var: Tensor,
    momentum: Momentum,
}

#[derive(Debug)]
enum Momentum {
    Fixed(f64),
    /// One over the number of batches seen.
    OneOver(Tensor),
}

impl Momentum {
    fn of_batch(&self, train: bool) -> Outcome<f64> {
        match self {
            Self::Fixed(momentum) => Ok(*momentum),
            Self::OneOver(_) if !train => Ok(0.0),
            Self::OneOver(count) => {
                let count = count.shallow_clone().f_add_scalar_(1)?;
                Ok(1.0 / count.f_int64_value(&[])? as f64)
            }
        }
    }
}

/// Whether a training batch has one value a channel, of which no variance can be taken; torch asks this in Python, libtorch
/// gives NaN. `[n, channels, …]`.
pub(super) fn one_value_a_channel(size: &[i64]) -> bool {
    size.len() >= 2 && size[0] * size[2..].iter().product::<i64>() == 1
}

pub(super) const ONE_VALUE: &str = "training needs more than one value a channel, to take a variance of; let no batch have a single row \
                                    (a loader's `drop_last` leaves a short last batch out)";

impl Compute for Made {
    fn compute(&self, input: &Tensor, train: bool) -> Outcome<Tensor> {
        let train = train && !self.running.as_ref().is_some_and(|running| is_frozen(&running.mean));
        let size = input.size();
        shape(self.dims.contains(&size.len()), input, || match self.dims {
            [_] => "must be [n, channels, height, width]".into(),
            _ => "must be [n, channels] or [n, channels, length]".into(),
        })?;
        shape(size[1] == self.num_features, input, || {
            format!("its channels (dimension 1) must be `num_features` ({})", self.num_features)
        })?;
        floats(input)?;
        let by_batch = train || self.running.is_none();
        shape(!by_batch || !one_value_a_channel(&size), input, || {
            match train {
            true => ONE_VALUE.into(),
            false => "without running statistics (`track_running_stats`) more than one value a channel is needed, to take \
                      a variance of"
                .into(),
        }
        })?;
        let (mean, var, momentum) = match &self.running {
            None => (None, None, 0.0),
            Some(running) => (Some(&running.mean), Some(&running.var), running.momentum.of_batch(train)?),
        };
        let (weight, bias) = (self.weight.as_ref(), self.bias.as_ref());
        Ok(input.f_batch_norm(weight, bias, mean, var, by_batch, momentum, self.eps, true)?)
    }
}
