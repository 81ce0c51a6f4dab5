//! The clocks, read once for each batch of input. Everything below takes the time as a parameter.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

use crate::sip::Now;

/// Where the time of day comes from. Timers always run on the monotonic clock.
#[derive(Clone, Debug, Default)]
pub enum WallClock {
    /// The system's clock.
    #[default]
    System,
    /// The system's clock, moved: for the demonstration and for tests.
    Moved(MovedClock),
}

/// A clock that runs at the system's pace from wherever it was last put.
#[derive(Clone, Debug, Default)]
pub struct MovedClock {
    /// Milliseconds added to the system's clock.
    offset: Arc<AtomicI64>,
}

impl WallClock {
    /// Time of day.
    pub fn wall(&self) -> DateTime<Utc> {
        match self {
            WallClock::System => Utc::now(),
            WallClock::Moved(moved) => {
                let offset = TimeDelta::milliseconds(moved.offset.load(Ordering::Acquire));
                Utc::now()
                    .checked_add_signed(offset)
                    .unwrap_or(DateTime::<Utc>::MAX_UTC)
            }
        }
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        Now {
            mono: Instant::now(),
            wall: self.wall(),
        }
    }
}

impl MovedClock {
    /// Makes it `at` now.
    pub fn set(&self, at: DateTime<Utc>) {
        self.offset
            .store((at - Utc::now()).num_milliseconds(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_clock_runs_on_from_where_it_was_put() {
        let moved = MovedClock::default();
        let clock = WallClock::Moved(moved.clone());
        let at = DateTime::from_timestamp(1_680_000_000, 0).expect("a time");
        moved.set(at);
        let (first, second) = (clock.wall(), clock.wall());
        // A machine may be slow, but not by an hour, and a clock never turns back.
        assert!(first <= second && (first - at).abs() < TimeDelta::hours(1));
    }
}
