//! serve
mod clock;
mod shard;
mod shared;
mod worker;
pub use clock::{MovedClock, WallClock};
