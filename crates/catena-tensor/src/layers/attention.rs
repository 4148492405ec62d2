//! Attention of a sequence to itself.
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::define::{Compute, Define, default};
use super::dropout::probability;
use super::fault::{Outcome, at_least_1, floats, setting, shape};
use super::variables::{Variables, kaiming, xavier, zeros};

/// Each place of a sequence looks at all of them: from `[n, length, embed_dim]` (or without `n`) to the same shape.
///
/// Parameters: `in_proj_weight` `[3 · embed_dim, embed_dim]` (Xavier uniform), `in_proj_bias` (zeros), `out_proj.weight`
/// `[embed_dim, embed_dim]` (uniform within `±1/√embed_dim`), `out_proj.bias` (zeros).
///
/// Source: `torch.nn.MultiheadAttention` with `batch_first`, called as `attention(x, x, x, need_weights=False)`; the paper is
/// <https://arxiv.org/abs/1706.03762>.
///
/// ```
/// use catena_tensor::layers::{Layers, MultiheadAttention};
/// use catena_tensor::model::Mode;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let attention = MultiheadAttention::new(16, 4).is_causal(true);
/// let layers = Layers::new().layer(vs.root() / "attention", attention)?;
/// let words = Tensor::zeros([2, 5, 16], (Kind::Float, Device::Cpu));
/// assert_eq!(layers.forward(&words, Mode::Train)?.size(), [2, 5, 16]);
///
/// let error = Layers::new().layer(vs.root() / "other", MultiheadAttention::new(16, 3)).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "layer `other` (MultiheadAttention): `num_heads` is 3, but must be a divisor of `embed_dim` (16)",
/// );
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MultiheadAttention {
    /// How long a vector is.
    pub embed_dim: i64,
    /// How many parts of a vector look by themselves.
    pub num_heads: i64,
    /// In training, the probability that a weight becomes 0 (default 0).
    #[serde(default)]
    pub dropout: f64,
    /// Whether there are biases (default yes).
    #[serde(default = "default::yes")]
    pub bias: bool,
    /// Whether a place looks only at itself and at those before it (default no).
    #[serde(default)]
    pub is_causal: bool,
}

impl MultiheadAttention {
    /// Without dropout, with biases, each place looking at all.
    pub fn new(embed_dim: i64, num_heads: i64) -> Self {
        Self { embed_dim, num_heads, dropout: 0.0, bias: true, is_causal: false }
    }

    /// In training, the probability that a weight becomes 0 (default 0).
    #[must_use]
    pub fn dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// Whether there are biases (default yes).
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Whether a place looks only at itself and at those before it (default no).
    #[must_use]
    pub fn is_causal(mut self, is_causal: bool) -> Self {
        self.is_causal = is_causal;
        self
    }
}

impl Define for MultiheadAttention {
    fn check(&self) -> Outcome<()> {
        at_least_1("embed_dim", self.embed_dim)?;
        at_least_1("num_heads", self.num_heads)?;
        let allowed = format!("a divisor of `embed_dim` ({})", self.embed_dim);
        setting(self.embed_dim % self.num_heads == 0, "num_heads", self.num_heads, allowed)?;
        probability("dropout", self.dropout)
    }

    fn make(&self, variables: &mut Variables<'_>) -> Outcome<Box<dyn Compute>> {
        let n = self.embed_dim;
        let in_weight = variables.parameter("in_proj_weight", &[3 * n, n])?;
        let in_bias = variables.filled(self.bias, "in_proj_bias", &[3 * n], 0.0)?;
        let out_weight = variables.parameter("out_proj.weight", &[n, n])?;
        let out_bias = variables.filled(self.bias, "out_proj.bias", &[n], 0.0)?;
        // as torch draws: the linear layer that goes out with its bias, which then becomes zeros, and what comes in last
        kaiming(&out_weight, out_bias.as_ref())?;
        xavier(&in_weight)?;
        out_bias.as_ref().map_or(Ok(()), zeros)?;
        Ok(Box::new(Made { definition: self.clone(), in_weight, in_bias, out_weight, out_bias }))
    }
}

#[derive(Debug)]
struct Made {
    definition: MultiheadAttention,
    in_weight: Tensor,
    in_bias: Option<Tensor>,
    out_weight: Tensor,
    out_bias: Option<Tensor>,
}

impl Compute for Made {
    fn compute(&self, input: &Tensor, train: bool) -> Outcome<Tensor> {
        let MultiheadAttention { embed_dim, num_heads, dropout, is_causal, .. } = self.definition;
        let size = input.size();
        shape(matches!(size.len(), 2 | 3), input, || {
            "must be [n, length, embed_dim] or [length, embed_dim]".into()
        })?;
        shape(size[size.len() - 1] == embed_dim, input, || {
            format!("its last dimension must be `embed_dim` ({embed_dim})")
        })?;
        floats(input)?;
        let (n, length) = (if size.len() == 3 { size[0] } else { 1 }, size[size.len() - 2]);
        let projected = input.f_linear(&self.in_weight, self.in_bias.as_ref())?;
        // query, key and value, each [n, heads, length, embed_dim / heads]
        let parts = projected.f_reshape([n, length, 3, num_heads, embed_dim / num_heads])?;
        let parts = parts.f_permute([2, 0, 3, 1, 4])?;
        let [query, key, value] = [parts.f_select(0, 0)?, parts.f_select(0, 1)?, parts.f_select(0, 2)?];
        let dropout = if train { dropout } else { 0.0 };
        let mask = None::<&Tensor>;
        let output = Tensor::f_scaled_dot_product_attention(
            &query, &key, &value, mask, dropout, is_causal, None, false,
        )?;
        let output = output.f_transpose(1, 2)?.f_reshape(&size)?;
        Ok(output.f_linear(&self.out_weight, self.out_bias.as_ref())?)
    }
}
