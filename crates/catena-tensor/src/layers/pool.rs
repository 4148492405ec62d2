//! Pooling: the greatest number or the mean of each window of an image.
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::define::{Compute, Define, default};
use super::fault::{Outcome, each_at_least_1, floats, setting, shape};
use super::sizes::{OutputSize, Pair};
use super::variables::Variables;

/// The greatest number of each window, from `[n, channels, height, width]` (or without `n`). Source: `torch.nn.MaxPool2d`, but a window that lies in the padding alone
/// is an error, where PyTorch gives minus infinity.
///
/// ```
/// use catena_tensor::layers::{Layers, MaxPool2d};
/// use catena_tensor::model::Mode;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new().layer(vs.root() / "pool", MaxPool2d::new(3).stride(2).padding(1))?;
/// let images = Tensor::zeros([2, 3, 8, 8], (Kind::Float, Device::Cpu));
/// assert_eq!(layers.forward(&images, Mode::Eval)?.size(), [2, 3, 4, 4]);
///
/// let error = Layers::new().layer(vs.root() / "other", MaxPool2d::new(3).padding(2)).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "layer `other` (MaxPool2d): `padding` is [2, 2], but must be at least 0 and at most half of `kernel_size` ([3, 3])",
/// );
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MaxPool2d {
    /// Height and width of a window.
    pub kernel_size: [i64; 2],
    /// How far it is from one window to the next (default a window's size).
    #[serde(default)]
    pub stride: Option<[i64; 2]>,
    /// How much the input grows at its edges, by numbers that are never the greatest (default 0).
    #[serde(default)]
    pub padding: [i64; 2],
    /// How far apart a window's numbers are (default 1).
    #[serde(default = "default::ones")]
    pub dilation: [i64; 2],
    /// Whether a window that goes over the edge counts (default no).
    #[serde(default)]
    pub ceil_mode: bool,
}

/// The mean of each window, from `[n, channels, height, width]` (or without `n`). Source: `torch.nn.AvgPool2d`.
///
/// ```
/// use catena_tensor::layers::{AvgPool2d, Layers};
/// use catena_tensor::model::Mode;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new().layer(vs.root() / "pool", AvgPool2d::new([2, 4]))?;
/// let images = Tensor::zeros([2, 3, 8, 8], (Kind::Float, Device::Cpu));
/// assert_eq!(layers.forward(&images, Mode::Eval)?.size(), [2, 3, 4, 2]);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AvgPool2d {
    /// Height and width of a window.
    pub kernel_size: [i64; 2],
    /// How far it is from one window to the next (default a window's size).
    #[serde(default)]
    pub stride: Option<[i64; 2]>,
    /// How much the input grows at its edges, by zeros (default 0).
    #[serde(default)]
    pub padding: [i64; 2],
    /// Whether a window that goes over the edge counts (default no).
    #[serde(default)]
    pub ceil_mode: bool,
    /// Whether the padding's zeros count in a mean (default yes).
    #[serde(default = "default::yes")]
    pub count_include_pad: bool,
    /// What a sum is divided by in place of the window's size (default none).
    #[serde(default)]
    pub divisor_override: Option<i64>,
}

/// The means of as many windows as make up the output, from `[n, channels, height, width]` (or without `n`). Source:
/// `torch.nn.AdaptiveAvgPool2d`.
///
/// ```
/// use catena_tensor::layers::{AdaptiveAvgPool2d, Layers};
/// use catena_tensor::model::Mode;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new().layer(vs.root() / "pool", AdaptiveAvgPool2d::new([Some(1), None]))?;
/// let images = Tensor::zeros([2, 3, 8, 7], (Kind::Float, Device::Cpu));
/// assert_eq!(layers.forward(&images, Mode::Eval)?.size(), [2, 3, 1, 7]);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AdaptiveAvgPool2d {
    /// Height and width of the output; one that is left out is the input's.
    pub output_size: [Option<i64>; 2],
}

impl MaxPool2d {
    /// Of windows of this size, one beside the other.
    pub fn new(kernel_size: impl Into<Pair>) -> Self {
        let kernel_size = kernel_size.into().0;
        Self { kernel_size, stride: None, padding: [0, 0], dilation: [1, 1], ceil_mode: false }
    }

    /// How far apart a window's numbers are (default 1).
    #[must_use]
    pub fn dilation(mut self, dilation: impl Into<Pair>) -> Self {
        self.dilation = dilation.into().0;
        self
    }
}

impl AvgPool2d {
    /// Of windows of this size, one beside the other.
    pub fn new(kernel_size: impl Into<Pair>) -> Self {
        let kernel_size = kernel_size.into().0;
        let (stride, padding, ceil_mode) = (None, [0, 0], false);
        Self { kernel_size, stride, padding, ceil_mode, count_include_pad: true, divisor_override: None }
    }

    /// Whether the padding's zeros count in a mean (default yes).
    #[must_use]
    pub fn count_include_pad(mut self, count_include_pad: bool) -> Self {
        self.count_include_pad = count_include_pad;
        self
    }

    /// What a sum is divided by in place of the window's size, not 0 (default none).
    #[must_use]
    pub fn divisor_override(mut self, divisor_override: impl Into<Option<i64>>) -> Self {
        self.divisor_override = divisor_override.into();
        self
    }
}

macro_rules! what_windows_have {
    ($name:ident) => {
        impl $name {
            /// How far it is from one window to the next (default a window's size).
            #[must_use]
            pub fn stride(mut self, stride: impl Into<Pair>) -> Self {
                self.stride = Some(stride.into().0);
                self
            }

            /// How much the input grows at its edges, at most half of a window (default 0).
            #[must_use]
            pub fn padding(mut self, padding: impl Into<Pair>) -> Self {
                self.padding = padding.into().0;
                self
            }

            /// Whether a window that goes over the edge counts (default no).
            #[must_use]
            pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
                self.ceil_mode = ceil_mode;
                self
            }
        }
    };
}

what_windows_have!(MaxPool2d);
what_windows_have!(AvgPool2d);

impl AdaptiveAvgPool2d {
    /// To an output of this size.
    pub fn new(output_size: impl Into<OutputSize>) -> Self {
        Self { output_size: output_size.into().0 }
    }
}

fn windows(
    kernel_size: [i64; 2],
    stride: Option<[i64; 2]>,
    padding: [i64; 2],
    reach: [i64; 2],
) -> Outcome<()> {
    each_at_least_1("kernel_size", &kernel_size)?;
    each_at_least_1("stride", &stride.unwrap_or(kernel_size))?;
    let fits = (0..2).all(|d| (0..=reach[d] / 2).contains(&padding[d]));
    let allowed = format!("at least 0 and at most half of `kernel_size` ({kernel_size:?})");
    setting(fits, "padding", padding, allowed)
}

/// Height and width.
fn last_two(image: &Tensor) -> [i64; 2] {
    let size = image.size();
    [size[size.len() - 2], size[size.len() - 1]]
}

fn image(input: &Tensor) -> Outcome<()> {
    let expected = || "must be [n, channels, height, width] or [channels, height, width]".to_owned();
    shape(matches!(input.dim(), 3 | 4), input, expected)?;
    floats(input)
}

impl Define for MaxPool2d {
    fn check(&self) -> Outcome<()> {
        each_at_least_1("dilation", &self.dilation)?;
        let reach =
            [0, 1].map(|d| self.dilation[d].saturating_mul(self.kernel_size[d] - 1).saturating_add(1));
        windows(self.kernel_size, self.stride, self.padding, reach)
    }

    fn make(&self, _: &mut Variables<'_>) -> Outcome<Box<dyn Compute>> {
        Ok(Box::new(*self))
    }
}

impl Compute for MaxPool2d {
    fn compute(&self, input: &Tensor, _: bool) -> Outcome<Tensor> {
        image(input)?;
        let Self { kernel_size, stride, padding, dilation, ceil_mode } = *self;
        let stride = stride.unwrap_or(kernel_size);
        let output = input.f_max_pool2d(kernel_size, stride, padding, dilation, ceil_mode)?;
        if dilation != [1, 1] && padding != [0, 0] {
            let (sizes, counts) = (last_two(input), last_two(&output));
            let fits = (0..2).all(|d| {
                // the last window begins within the input, so only those that begin before it can miss it
                let starts =
                    (0..counts[d]).map(|i| i * stride[d] - padding[d]).take_while(|start| *start < 0);
                starts
                    .map(|start| (start, (dilation[d] - 1 - start) / dilation[d]))
                    .all(|(start, steps)| steps < kernel_size[d] && start + steps * dilation[d] < sizes[d])
            });
            let expected = || {
                format!(
                    "a window would lie in the padding alone, where no number is the greatest (`padding` is {padding:?}, `dilation` {dilation:?})"
                )
            };
            shape(fits, input, expected)?;
        }
        Ok(output)
    }
}

impl Define for AvgPool2d {
    fn check(&self) -> Outcome<()> {
        windows(self.kernel_size, self.stride, self.padding, self.kernel_size)?;
        setting(self.divisor_override != Some(0), "divisor_override", 0, "another number than 0, or none")
    }

    fn make(&self, _: &mut Variables<'_>) -> Outcome<Box<dyn Compute>> {
        Ok(Box::new(*self))
    }
}

impl Compute for AvgPool2d {
    fn compute(&self, input: &Tensor, _: bool) -> Outcome<Tensor> {
        image(input)?;
        let Self { kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override } = *self;
        let stride = stride.unwrap_or(kernel_size);
        Ok(input.f_avg_pool2d(
            kernel_size,
            stride,
            padding,
            ceil_mode,
            count_include_pad,
            divisor_override,
        )?)
    }
}

impl Define for AdaptiveAvgPool2d {
    fn check(&self) -> Outcome<()> {
        self.output_size
            .into_iter()
            .flatten()
            .try_for_each(|size| setting(size >= 1, "output_size", size, "at least 1, or none"))
    }

    fn make(&self, _: &mut Variables<'_>) -> Outcome<Box<dyn Compute>> {
        Ok(Box::new(*self))
    }
}

impl Compute for AdaptiveAvgPool2d {
    fn compute(&self, input: &Tensor, _: bool) -> Outcome<Tensor> {
        image(input)?;
        let [height, width] = self.output_size;
        let [own_height, own_width] = last_two(input);
        Ok(input.f_adaptive_avg_pool2d([height.unwrap_or(own_height), width.unwrap_or(own_width)])?)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn a_window_without_a_number_is_an_error_and_every_other_is_computed() {
        let (mut refused, mut computed) = (0, 0);
        for at in 0..4 * 4 * 3 * 3 * 6 * 2 {
            let [kernel, dilation, padding, stride] =
                [1 + at % 4, 1 + at / 4 % 4, at / 16 % 3, 1 + at / 48 % 3];
            let (size, ceil_mode) = (1 + at / 144 % 6, at / 864 == 1);
            let pool = MaxPool2d::new([kernel, 1])
                .dilation([dilation, 1])
                .padding([padding, 0])
                .stride([stride, 1])
                .ceil_mode(ceil_mode);
            let input = Tensor::arange(size, (Kind::Float, Device::Cpu)).reshape([1, size, 1]);
            let plain = input.f_max_pool2d([kernel, 1], [stride, 1], [padding, 0], [dilation, 1], ceil_mode);
            // libtorch has errors of its own
            let Ok(plain) = plain else { continue };
            let all_are_numbers = plain.isfinite().all().int64_value(&[]) == 1;
            let answer = pool.compute(&input, false);
            assert_eq!(answer.is_ok(), all_are_numbers, "{pool:?} of {size}");
            *if all_are_numbers { &mut computed } else { &mut refused } += 1;
        }
        assert!(refused > 10 && computed > 500, "{refused}, {computed}");
    }
}
