//! Instance normalization.
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::define::{Compute, Define, default};
use super::fault::{Outcome, at_least_1, floats, setting, shape};
use super::frozen::is_frozen;
use super::variables::Variables;

macro_rules! instance_norm {
    ($(#[$doc:meta])* $name:ident: $dims:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $name {
            /// How many channels the input has.
            pub num_features: i64,
            /// What is added to the variance, at least 0 (default 1e-5).
            #[serde(default = "default::eps")]
            pub eps: f64,
            /// How far the running statistics go to a batch's, from 0 to 1 (default 0.1).
            #[serde(default = "momentum")]
            pub momentum: f64,
            /// Whether there are a weight and a bias (default no).
            #[serde(default)]
            pub affine: bool,
            /// Whether there are running statistics, which are used outside of training (default no).
            #[serde(default)]
            pub track_running_stats: bool,
            /// Whether there is a bias where there is a weight (default yes).
            #[serde(default = "default::yes")]
            pub bias: bool,
        }

        impl $name {
            /// With torch's defaults.
            pub fn new(num_features: i64) -> Self {
                let (eps, momentum) = (default::eps(), momentum());
                Self { num_features, eps, momentum, affine: false, track_running_stats: false, bias: true }
            }

            /// What is added to the variance, at least 0 (default 1e-5).
            #[must_use]
            pub fn eps(mut self, eps: f64) -> Self {
                self.eps = eps;
                self
            }

            /// How far the running statistics go to a batch's, from 0 to 1 (default 0.1).
            #[must_use]
            pub fn momentum(mut self, momentum: f64) -> Self {
                self.momentum = momentum;
                self
            }

            /// Whether there are a weight and a bias (default no).
            #[must_use]
            pub fn affine(mut self, affine: bool) -> Self {
                self.affine = affine;
                self
            }

            /// Whether there are running statistics, which are used outside of training (default no).
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
                setting(self.eps >= 0.0 && self.eps.is_finite(), "eps", self.eps, "at least 0 and finite")?;
                setting((0.0..=1.0).contains(&self.momentum), "momentum", self.momentum, "in [0, 1]")
            }

            fn make(&self, variables: &mut Variables<'_>) -> Outcome<Box<dyn Compute>> {
                let (n, size) = (self.num_features, [self.num_features]);
                let weight = variables.filled(self.affine, "weight", &size, 1.0)?;
                let bias = variables.filled(self.affine && self.bias, "bias", &size, 0.0)?;
                let running = match self.track_running_stats {
                    true => {
                        let mean = variables.running("running_mean", n, 0.0)?;
                        Some((mean, variables.running("running_var", n, 1.0)?))
                    }
                    false => None,
                };
                let (eps, momentum) = (self.eps, self.momentum);
                Ok(Box::new(Made { dims: $dims, num_features: n, eps, momentum, weight, bias, running }))
            }
        }
    };
}

fn momentum() -> f64 {
    0.1
}

instance_norm! {
    /// Normalizes each channel of each sample of `[n, num_features, length]` (or without `n`).
    ///
    /// Parameters, if it is `affine`: `weight` (ones) and `bias` (zeros). Buffers, if statistics are tracked: `running_mean` (zeros)
    /// and `running_var` (ones). All are `[num_features]`. Source: `torch.nn.InstanceNorm1d`; the paper is
    /// <https://arxiv.org/abs/1607.08022>.
    ///
    /// ```
    /// use catena_tensor::layers::{InstanceNorm1d, Layers};
    /// use catena_tensor::model::Mode;
    /// use tch::{Device, Kind, Tensor, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let layers = Layers::new().layer(vs.root() / "norm", InstanceNorm1d::new(3).affine(true))?;
    /// let series = Tensor::zeros([1, 3, 50], (Kind::Float, Device::Cpu));
    /// assert_eq!(layers.forward(&series, Mode::Train)?.size(), [1, 3, 50]);
    /// # Ok::<(), catena_tensor::Error>(())
    /// ```
    InstanceNorm1d: 1
}

instance_norm! {
    /// Normalizes each channel of each sample of `[n, num_features, height, width]` (or without `n`).
    ///
    /// Parameters, if it is `affine`: `weight` (ones) and `bias` (zeros). Buffers, if statistics are tracked: `running_mean` (zeros)
    /// and `running_var` (ones). All are `[num_features]`. Source: `torch.nn.InstanceNorm2d`; the paper is
    /// <https://arxiv.org/abs/1607.08022>.
    ///
    /// ```
    /// use catena_tensor::layers::{InstanceNorm2d, Layers};
    /// use catena_tensor::model::Mode;
    /// use tch::{Device, Kind, Tensor, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let layers = Layers::new().layer(vs.root() / "norm", InstanceNorm2d::new(3))?;
    /// let images = Tensor::zeros([2, 3, 8, 8], (Kind::Float, Device::Cpu));
    /// assert_eq!(layers.forward(&images, Mode::Train)?.size(), [2, 3, 8, 8]);
    /// # Ok::<(), catena_tensor::Error>(())
    /// ```
    InstanceNorm2d: 2
}

#[derive(Debug)]
struct Made {
    /// Of a channel.
    dims: usize,
    num_features: i64,
    eps: f64,
    momentum: f64,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    running: Option<(Tensor, Tensor)>,
}

impl Compute for Made {
    fn compute(&self, input: &Tensor, train: bool) -> Outcome<Tensor> {
        let train = train && !self.running.as_ref().is_some_and(|(mean, _)| is_frozen(mean));
        let size = input.size();
        let has_batch = size.len() == self.dims + 2;
        shape(has_batch || size.len() == self.dims + 1, input, || match self.dims {
            1 => "must be [n, channels, length] or [channels, length]".into(),
            _ => "must be [n, channels, height, width] or [channels, height, width]".into(),
        })?;
        let channels = usize::from(has_batch);
        shape(size[channels] == self.num_features, input, || {
            format!("its channels (dimension {channels}) must be `num_features` ({})", self.num_features)
        })?;
        floats(input)?;
        let by_input = train || self.running.is_none();
        let values: i64 = size[channels + 1..].iter().product();
        shape(!by_input || values != 1, input, || {
            "more than one value a channel is needed in each sample, to take a variance of".into()
        })?;
        let batch = if has_batch { input.shallow_clone() } else { input.f_unsqueeze(0)? };
        let (weight, bias) = (self.weight.as_ref(), self.bias.as_ref());
        let (mean, var) = self.running.as_ref().map_or((None, None), |(mean, var)| (Some(mean), Some(var)));
        let output =
            batch.f_instance_norm(weight, bias, mean, var, by_input, self.momentum, self.eps, true)?;
        Ok(if has_batch { output } else { output.f_squeeze_dim(0)? })
    }
}
