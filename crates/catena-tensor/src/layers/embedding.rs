//! A vector for each of some numbers.
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::define::{Compute, Define};
use super::fault::{Fault, Outcome, at_least_1, setting};
use super::variables::{Variables, normal};

/// From whole numbers `[…]` (i64 or i32, from 0 to `num_embeddings - 1`) to their vectors `[…, embedding_dim]`.
///
/// Parameters: `weight` `[num_embeddings, embedding_dim]`, standard normal. Source: `torch.nn.Embedding`, without `max_norm` and `sparse`.
///
/// A number out of range is an error that names it. On a GPU, as in PyTorch, libtorch ends the whole process's work there.
///
/// ```
/// use catena_tensor::layers::{Embedding, Layers};
/// use catena_tensor::model::Mode;
/// use tch::{Device, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new().layer(vs.root() / "embedding", Embedding::new(10, 4).padding_idx(0))?;
/// assert_eq!(layers.forward(&Tensor::from_slice(&[0i64, 3, 9]), Mode::Eval)?.size(), [3, 4]);
/// assert_eq!(
///     layers.forward(&Tensor::from_slice(&[0i64, 3, 10]), Mode::Eval).unwrap_err().to_string(),
///     "layer `embedding` (Embedding): the input has 10, but there are 10 embeddings, so numbers go from 0 to 9",
/// );
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Embedding {
    /// How many numbers there are.
    pub num_embeddings: i64,
    /// How long a vector is.
    pub embedding_dim: i64,
    /// A number whose vector starts as zeros and gets no gradient (default none); negative ones count from the end.
    #[serde(default)]
    pub padding_idx: Option<i64>,
    /// Whether a number's gradient is divided by how often it is in the batch (default no).
    #[serde(default)]
    pub scale_grad_by_freq: bool,
}

impl Embedding {
    /// Without padding.
    pub fn new(num_embeddings: i64, embedding_dim: i64) -> Self {
        Self { num_embeddings, embedding_dim, padding_idx: None, scale_grad_by_freq: false }
    }

    /// A number whose vector starts as zeros and gets no gradient (default none); negative ones count from the end.
    #[must_use]
    pub fn padding_idx(mut self, padding_idx: impl Into<Option<i64>>) -> Self {
        self.padding_idx = padding_idx.into();
        self
    }

    /// Whether a number's gradient is divided by how often it is in the batch (default no).
    #[must_use]
    pub fn scale_grad_by_freq(mut self, scale_grad_by_freq: bool) -> Self {
        self.scale_grad_by_freq = scale_grad_by_freq;
        self
    }
}

impl Define for Embedding {
    fn check(&self) -> Outcome<()> {
        let n = self.num_embeddings;
        at_least_1("num_embeddings", n)?;
        at_least_1("embedding_dim", self.embedding_dim)?;
        let padding = self.padding_idx.unwrap_or_default();
        setting((-n..n).contains(&padding), "padding_idx", padding, format!("from {} to {}", -n, n - 1))
    }

    fn make(&self, variables: &mut Variables<'_>) -> Outcome<Box<dyn Compute>> {
        let weight = variables.parameter("weight", &[self.num_embeddings, self.embedding_dim])?;
        normal(&weight)?;
        let from_0 = |padding: i64| if padding < 0 { padding + self.num_embeddings } else { padding };
        let padding = self.padding_idx.map(from_0);
        if let Some(padding) = padding {
            let _no_grad = tch::no_grad_guard();
            let _zeros = weight.f_select(0, padding)?.f_fill_(0.0)?;
        }
        // libtorch's number for none
        let padding = padding.unwrap_or(-1);
        Ok(Box::new(Made { weight, padding, scale_grad_by_freq: self.scale_grad_by_freq }))
    }
}

#[derive(Debug)]
struct Made {
    weight: Tensor,
    padding: i64,
    scale_grad_by_freq: bool,
}

/// What is wrong with numbers that libtorch did not take: looked at once it has failed, for reading them waits for the device.
pub(super) fn wrong_index(input: &Tensor, embeddings: i64) -> Option<String> {
    let kind = input.f_kind().ok()?;
    if !matches!(kind, Kind::Int64 | Kind::Int) {
        return Some(format!("the input is of dtype {kind:?}, but must be whole numbers (Int64 or Int)"));
    }
    let numbers = input.f_to_kind(Kind::Int64).and_then(|numbers| numbers.f_flatten(0, -1)).ok()?;
    let numbers = Vec::<i64>::try_from(numbers).ok()?;
    let wrong = numbers.into_iter().find(|number| !(0..embeddings).contains(number))?;
    let to = embeddings - 1;
    Some(format!(
        "the input has {wrong}, but there are {embeddings} embeddings, so numbers go from 0 to {to}"
    ))
}

impl Compute for Made {
    fn compute(&self, input: &Tensor, _: bool) -> Outcome<Tensor> {
        let output = Tensor::f_embedding(&self.weight, input, self.padding, self.scale_grad_by_freq, false);
        output.map_err(|error| match wrong_index(input, self.weight.size()[0]) {
            Some(why) => Fault::Why(why),
            None => error.into(),
        })
    }
}
