//! Watching the machine: what a run's time, memory and waiting go into. All of it is of the clock's kind: it goes to
//! `timing.jsonl` and the log, never into metric files.
mod memory_use;
mod rows;
mod sync_audit;
mod table;
mod throughput;
mod timeline;
mod timings;
mod trace;

pub use memory_use::{Memory, MemoryUse};
pub use sync_audit::{HostSyncs, SyncAudit, SyncRow};
pub(crate) use table::table;
pub use throughput::{Rates, Throughput, Tokens};
pub use timeline::Timeline;
pub use timings::{Timing, Timings};
