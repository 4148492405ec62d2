//! Convolutions over sequences and images.
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::define::{Compute, Define, default};
use super::fault::{Outcome, at_least_1, each_at_least_1, floats, setting, shape};
use super::padding::{Padding, PaddingMode};
use super::sizes::Pair;
use super::variables::{Variables, kaiming};

/// A convolution from `[n, in_channels, length]` (or without `n`) to `[n, out_channels, …]`.
///
/// Parameters: `weight` `[out_channels, in_channels / groups, kernel_size]` and `bias` `[out_channels]`, both uniform within
/// `±1/√(in_channels / groups · kernel_size)`. Source: `torch.nn.Conv1d`.
///
/// ```
/// use catena_tensor::layers::{Conv1d, Layers, Padding};
/// use catena_tensor::model::Mode;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new().layer(vs.root() / "conv", Conv1d::new(2, 8, 3).padding(Padding::Same))?;
/// let output = layers.forward(&Tensor::zeros([4, 2, 50], (Kind::Float, Device::Cpu)), Mode::Eval)?;
/// assert_eq!(output.size(), [4, 8, 50]);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Conv1d {
    /// How many channels come in.
    pub in_channels: i64,
    /// How many come out.
    pub out_channels: i64,
    /// How many numbers of a channel are looked at.
    pub kernel_size: i64,
    /// How far it goes from one output to the next (default 1).
    #[serde(default = "default::one")]
    pub stride: i64,
    /// How much the input grows at its edges (default 0).
    #[serde(default)]
    pub padding: Padding,
    /// How far apart the numbers that are looked at are (default 1).
    #[serde(default = "default::one")]
    pub dilation: i64,
    /// How many parts the channels are in, each seen by its own part of the outputs only (default 1).
    #[serde(default = "default::one")]
    pub groups: i64,
    /// Whether there is a bias (default yes).
    #[serde(default = "default::yes")]
    pub bias: bool,
    /// What stands in the padding (default zeros).
    #[serde(default)]
    pub padding_mode: PaddingMode,
}

/// A convolution from `[n, in_channels, height, width]` (or without `n`) to `[n, out_channels, …, …]`.
///
/// Parameters: `weight` `[out_channels, in_channels / groups, kernel height, kernel width]` and `bias` `[out_channels]`, both
/// uniform within `±1/√(in_channels / groups · height · width)`. Source: `torch.nn.Conv2d`.
///
/// ```
/// use catena_tensor::layers::{Conv2d, Layers};
/// use catena_tensor::model::Mode;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new().layer(vs.root() / "conv", Conv2d::new(3, 8, 5).stride(2).padding([2, 1]))?;
/// let output = layers.forward(&Tensor::zeros([4, 3, 32, 32], (Kind::Float, Device::Cpu)), Mode::Eval)?;
/// assert_eq!(output.size(), [4, 8, 16, 15]);
///
/// let error = Layers::new().layer(vs.root() / "other", Conv2d::new(3, 8, 5).groups(2)).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "layer `other` (Conv2d): `groups` is 2, but must be a divisor of `in_channels` (3) and `out_channels` (8)",
/// );
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Conv2d {
    /// How many channels come in.
    pub in_channels: i64,
    /// How many come out.
    pub out_channels: i64,
    /// Height and width of what is looked at in a channel.
    pub kernel_size: [i64; 2],
    /// How far it goes from one output to the next (default 1).
    #[serde(default = "default::ones")]
    pub stride: [i64; 2],
    /// How much the input grows at its edges (default 0).
    #[serde(default)]
    pub padding: Padding,
    /// How far apart the numbers that are looked at are (default 1).
    #[serde(default = "default::ones")]
    pub dilation: [i64; 2],
    /// How many parts the channels are in, each seen by its own part of the outputs only (default 1).
    #[serde(default = "default::one")]
    pub groups: i64,
    /// Whether there is a bias (default yes).
    #[serde(default = "default::yes")]
    pub bias: bool,
    /// What stands in the padding (default zeros).
    #[serde(default)]
    pub padding_mode: PaddingMode,
}

impl Conv1d {
    /// With stride 1, no padding, and a bias.
    pub fn new(in_channels: i64, out_channels: i64, kernel_size: i64) -> Self {
        let (padding, padding_mode) = (Padding::default(), PaddingMode::default());
        let (stride, dilation, groups, bias) = (1, 1, 1, true);
        Self { in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode }
    }

    /// How far it goes from one output to the next (default 1).
    #[must_use]
    pub fn stride(mut self, stride: i64) -> Self {
        self.stride = stride;
        self
    }

    /// How far apart the numbers that are looked at are (default 1).
    #[must_use]
    pub fn dilation(mut self, dilation: i64) -> Self {
        self.dilation = dilation;
        self
    }
}

impl Conv2d {
    /// With stride 1, no padding, and a bias.
    pub fn new(in_channels: i64, out_channels: i64, kernel_size: impl Into<Pair>) -> Self {
        let (padding, padding_mode) = (Padding::default(), PaddingMode::default());
        let (kernel_size, stride, dilation) = (kernel_size.into().0, [1, 1], [1, 1]);
        let (groups, bias) = (1, true);
        Self { in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode }
    }

    /// How far it goes from one output to the next (default 1).
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Pair>) -> Self {
        self.stride = stride.into().0;
        self
    }

    /// How far apart the numbers that are looked at are (default 1).
    #[must_use]
    pub fn dilation(mut self, dilation: impl Into<Pair>) -> Self {
        self.dilation = dilation.into().0;
        self
    }
}

macro_rules! what_both_have {
    ($name:ident) => {
        impl $name {
            /// How much the input grows at its edges (default 0).
            #[must_use]
            pub fn padding(mut self, padding: impl Into<Padding>) -> Self {
                self.padding = padding.into();
                self
            }

            /// How many parts the channels are in, each seen by its own part of the outputs only (default 1).
            #[must_use]
            pub fn groups(mut self, groups: i64) -> Self {
                self.groups = groups;
                self
            }

            /// Whether there is a bias (default yes).
            #[must_use]
            pub fn bias(mut self, bias: bool) -> Self {
                self.bias = bias;
                self
            }

            /// What stands in the padding (default zeros).
            #[must_use]
            pub fn padding_mode(mut self, padding_mode: PaddingMode) -> Self {
                self.padding_mode = padding_mode;
                self
            }

            fn settings(&self) -> ConvSettings {
                ConvSettings {
                    channels: [self.in_channels, self.out_channels],
                    kernel_size: self.kernel_size.each(),
                    stride: self.stride.each(),
                    padding: self.padding.clone(),
                    dilation: self.dilation.each(),
                    groups: self.groups,
                    padding_mode: self.padding_mode,
                }
            }
        }

        impl Define for $name {
            fn check(&self) -> Outcome<()> {
                self.settings().check()
            }

            fn make(&self, variables: &mut Variables<'_>) -> Outcome<Box<dyn Compute>> {
                self.settings().make(self.bias, variables)
            }
        }
    };
}

what_both_have!(Conv1d);
what_both_have!(Conv2d);

/// A size of one dimension or of two.
trait Each {
    fn each(&self) -> Vec<i64>;
}

impl Each for i64 {
    fn each(&self) -> Vec<i64> {
        vec![*self]
    }
}

impl Each for [i64; 2] {
    fn each(&self) -> Vec<i64> {
        self.to_vec()
    }
}

/// A convolution's settings, whatever its dimensions.
#[derive(Debug)]
struct ConvSettings {
    channels: [i64; 2],
    kernel_size: Vec<i64>,
    stride: Vec<i64>,
    padding: Padding,
    dilation: Vec<i64>,
    groups: i64,
    padding_mode: PaddingMode,
}

impl ConvSettings {
    fn check(&self) -> Outcome<()> {
        let [in_channels, out_channels] = self.channels;
        at_least_1("in_channels", in_channels)?;
        at_least_1("out_channels", out_channels)?;
        at_least_1("groups", self.groups)?;
        let divides = in_channels % self.groups == 0 && out_channels % self.groups == 0;
        let allowed =
            format!("a divisor of `in_channels` ({in_channels}) and `out_channels` ({out_channels})");
        setting(divides, "groups", self.groups, allowed)?;
        each_at_least_1("kernel_size", &self.kernel_size)?;
        each_at_least_1("stride", &self.stride)?;
        each_at_least_1("dilation", &self.dilation)?;
        match &self.padding {
            Padding::Valid => Ok(()),
            Padding::Same => {
                let allowed = "1 where `padding` is `Same`, for a stride makes the output smaller";
                setting(self.stride.iter().all(|&s| s == 1), "stride", &self.stride, allowed)
            }
            Padding::Of(each) => {
                let dims = self.kernel_size.len();
                let fits = (each.len() == 1 || each.len() == dims) && each.iter().all(|&p| p >= 0);
                let allowed = match dims {
                    1 => "one number of at least 0".to_owned(),
                    _ => format!("one number of at least 0, or {dims}"),
                };
                setting(fits, "padding", each, allowed)
            }
        }
    }

    /// Padding before and after each dimension.
    fn edges(&self) -> Vec<(i64, i64)> {
        let dims = 0..self.kernel_size.len();
        match &self.padding {
            Padding::Valid => dims.map(|_| (0, 0)).collect(),
            Padding::Of(each) => dims.map(|d| each.get(d).unwrap_or(&each[0])).map(|&p| (p, p)).collect(),
            Padding::Same => {
                let total = dims.map(|d| self.dilation[d] * (self.kernel_size[d] - 1));
                total.map(|total| (total / 2, total - total / 2)).collect()
            }
        }
    }

    fn make(self, bias: bool, variables: &mut Variables<'_>) -> Outcome<Box<dyn Compute>> {
        let [in_channels, out_channels] = self.channels;
        let size = [&[out_channels, in_channels / self.groups][..], &self.kernel_size].concat();
        let weight = variables.parameter("weight", &size)?;
        let bias = variables.filled(bias, "bias", &[out_channels], 0.0)?;
        kaiming(&weight, bias.as_ref())?;
        Ok(Box::new(Made { settings: self, weight, bias }))
    }
}

#[derive(Debug)]
struct Made {
    settings: ConvSettings,
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Made {
    fn fits(&self, input: &Tensor) -> Outcome<()> {
        let ConvSettings { channels: [in_channels, _], kernel_size, dilation, .. } = &self.settings;
        let (size, dims) = (input.size(), kernel_size.len());
        let names = if dims == 1 { "length" } else { "height, width" };
        shape(size.len() == dims + 1 || size.len() == dims + 2, input, || {
            format!("must be [n, channels, {names}] or [channels, {names}]")
        })?;
        let (channels, image) = (size[size.len() - dims - 1], &size[size.len() - dims..]);
        shape(channels == *in_channels, input, || {
            format!(
                "its channels (dimension {}) must be `in_channels` ({in_channels})",
                size.len() - dims - 1
            )
        })?;
        let edges = self.settings.edges();
        let reach = |d: usize| dilation[d] * (kernel_size[d] - 1) + 1;
        let has_room = (0..dims).all(|d| image[d] + edges[d].0 + edges[d].1 >= reach(d));
        shape(has_room, input, || {
            format!(
                "its {names} {image:?} with the padding must be at least what the kernel reaches over, {:?}",
                (0..dims).map(reach).collect::<Vec<_>>()
            )
        })?;
        floats(input)
    }
}

impl Compute for Made {
    fn compute(&self, input: &Tensor, _: bool) -> Outcome<Tensor> {
        self.fits(input)?;
        let Self { settings, weight, bias } = self;
        let ConvSettings { stride, dilation, groups, .. } = settings;
        let edges = settings.edges();
        let mode = match settings.padding_mode {
            // what libtorch does by itself
            PaddingMode::Zeros => None,
            PaddingMode::Reflect => Some("reflect"),
            PaddingMode::Replicate => Some("replicate"),
            PaddingMode::Circular => Some("circular"),
        };
        let padded = match mode {
            None => None,
            Some(mode) => {
                // the last dimension first
                let pads: Vec<i64> =
                    edges.iter().rev().flat_map(|&(before, after)| [before, after]).collect();
                Some(input.f_pad(pads, mode, None)?)
            }
        };
        let input = padded.as_ref().unwrap_or(input);
        let padding: Vec<i64> = edges.iter().map(|edge| if mode.is_some() { 0 } else { edge.0 }).collect();
        let is_same = mode.is_none() && settings.padding == Padding::Same;
        Ok(match (settings.kernel_size.len(), is_same) {
            (1, false) => input.f_conv1d(weight, bias.as_ref(), stride, padding, dilation, *groups)?,
            (1, true) => input.f_conv1d_padding(weight, bias.as_ref(), stride, "same", dilation, *groups)?,
            (_, false) => input.f_conv2d(weight, bias.as_ref(), stride, padding, dilation, *groups)?,
            (_, true) => input.f_conv2d_padding(weight, bias.as_ref(), stride, "same", dilation, *groups)?,
        })
    }
}
