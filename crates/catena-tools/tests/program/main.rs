//! The program itself, on runs that catena-record wrote.
mod export;
mod look;
mod place;
mod prune;
mod report;
mod run_diff;
mod tensors;
mod watch;
mod wrong_use;
