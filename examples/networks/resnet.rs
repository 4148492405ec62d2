//! A small residual network for images (<https://arxiv.org/abs/1512.03385>).
use catena::tensor::layers::{
    AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Flatten, Linear, Relu, Residual, Sequential,
};

/// From images `[n, widths[0], side, side]` to `[n, classes]`.
///
/// Each width after the first has a convolution that brings the images to it (from the second on at half the side) and one residual
/// block. The block's input is added unchanged: a [`Residual`] has no convolution of its own on the way around.
pub(crate) fn resnet(widths: &[i64], classes: i64) -> Sequential {
    let mut net = Sequential::new();
    for (i, pair) in widths.windows(2).enumerate() {
        let stride = if i == 0 { 1 } else { 2 };
        let block = normed(Sequential::new(), "1", pair[1], pair[1], 1).add("relu", Relu);
        net = normed(net, &format!("_in{i}"), pair[0], pair[1], stride)
            .add(format!("relu_in{i}"), Relu)
            .add(format!("block{i}"), Residual::new(normed(block, "2", pair[1], pair[1], 1)))
            .add(format!("relu{i}"), Relu);
    }
    net.add("pool", AdaptiveAvgPool2d::new(1))
        .add("flatten", Flatten::new())
        .add("fc", Linear::new(widths[widths.len() - 1], classes))
}

/// Adds a convolution of 3 by 3 without bias, and its batch norm.
fn normed(net: Sequential, name: &str, inputs: i64, outputs: i64, stride: i64) -> Sequential {
    net.add(format!("conv{name}"), Conv2d::new(inputs, outputs, 3).stride(stride).padding(1).bias(false))
        .add(format!("norm{name}"), BatchNorm2d::new(outputs))
}
