//! Sentences as rows of tokens.
pub(crate) mod bleu;
pub(crate) mod perplexity;
pub(crate) mod tokens;
pub(crate) mod word_error_rate;

pub use bleu::Bleu;
pub use perplexity::Perplexity;
pub use word_error_rate::WordErrorRate;
