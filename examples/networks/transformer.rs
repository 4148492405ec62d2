//! A small language model: a transformer whose places look at those before them.
use catena::tch::nn::{Init, Path};
use catena::tensor::layers::{
    Embedding, Flatten, Gelu, LayerNorm, Layers, Linear, MultiheadAttention, Residual, Sequential,
};

/// How large a [`transformer`] is.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub(crate) struct Transformer {
    /// How many different tokens there are.
    pub(crate) vocabulary: i64,
    /// How many tokens a sequence has.
    pub(crate) length: i64,
    pub(crate) width: i64,
    pub(crate) heads: i64,
    pub(crate) layers: i64,
}

/// From tokens `[n, length]` (Int64) to `[n · length, vocabulary]`, what comes next at each place; so a batch's target has `n · length` labels.
///
/// Layers are normed before attention and before the two linear layers (<https://arxiv.org/abs/2002.04745>). There is no layer yet
/// that adds a learned position, so a closure does.
pub(crate) fn transformer(path: Path<'_>, size: Transformer) -> catena::tensor::Result<Layers> {
    let Transformer { vocabulary, length, width, heads, layers } = size;
    let positions =
        (&path / "positions").f_var("weight", &[length, width], Init::Randn { mean: 0.0, stdev: 0.02 })?;
    let mut net = Layers::new()
        .layer(&path / "tokens", Embedding::new(vocabulary, width))?
        .add_fn("positions", move |x| x + &positions);
    for i in 0..layers {
        let attention = Sequential::new()
            .add("norm", LayerNorm::new(width))
            .add("attention", MultiheadAttention::new(width, heads).is_causal(true));
        let fully_connected = Sequential::new()
            .add("norm", LayerNorm::new(width))
            .add("fc1", Linear::new(width, 4 * width))
            .add("gelu", Gelu::new())
            .add("fc2", Linear::new(4 * width, width));
        net = net
            .layer(&path / format!("attend{i}"), Residual::new(attention))?
            .layer(&path / format!("think{i}"), Residual::new(fully_connected))?;
    }
    net.layer(&path / "norm", LayerNorm::new(width))?
        .layer(&path / "next", Linear::new(width, vocabulary))?
        .layer(&path / "flatten", Flatten::new().start_dim(0).end_dim(1))
}
