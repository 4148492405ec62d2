//! Search and re-identification: the ranking of each query.
pub(crate) mod cmc;
pub(crate) mod query;
pub(crate) mod ranked;

pub use cmc::Cmc;
pub use ranked::{EmptyTarget, OverQueries, Retrieval};
