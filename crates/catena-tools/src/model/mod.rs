//! What a run directory tells, for all that show it: how its files are read line by line, what a run is to do, and curves of bounded size.
pub(crate) mod curve;
pub(crate) mod curves;
pub(crate) mod lines;
pub(crate) mod name;
pub(crate) mod plan;
pub(crate) mod ranking;
pub(crate) mod series;
pub(crate) mod tail;
pub(crate) mod time;
