//! Linear layers with ReLU between them.
use catena::tensor::layers::{Linear, Relu, Sequential};

/// From `[n, widths[0]]` to `[n, widths[last]]`.
pub(crate) fn mlp(widths: &[i64]) -> Sequential {
    let mut net = Sequential::new();
    for (i, pair) in widths.windows(2).enumerate() {
        if i > 0 {
            net = net.add(format!("relu{i}"), Relu);
        }
        net = net.add(format!("fc{}", i + 1), Linear::new(pair[0], pair[1]));
    }
    net
}
