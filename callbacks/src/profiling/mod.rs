//! What a run's time, memory and waiting go into, and what a model is made of. What is measured of the machine goes to `timing.jsonl` and the log, never into metric files.
mod dead_activations;
mod memory_use;
mod model_summary;
mod rows;
mod sync_audit;
pub(crate) mod table;
mod throughput;
mod timeline;
mod timings;
mod trace;

pub use dead_activations::DeadActivations;
pub use memory_use::{MemoryInUse, MemoryUse};
pub use model_summary::{Layer, ModelSummary, Summary};
pub use sync_audit::{HostSyncs, SyncAudit, SyncRow};
pub use throughput::{Rates, Throughput, Tokens};
pub use timeline::Timeline;
pub use timings::{Timing, Timings};
