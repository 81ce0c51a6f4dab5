//! serve
mod clock;
mod secret;
mod shard;
mod shared;
mod worker;
pub use clock::{MovedClock, WallClock};
