//! How many workers receive datagrams: as few as the load needs. Where one thread has time for all, caller and carrier of a call wake
//! that one instead of two, and a wake-up costs more than most messages do. The others rest: they still have their connections, work on
//! what they are handed, and send. Knows no socket.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Shared by all workers of a process.
pub(crate) struct Rota {
    /// The first so many workers receive, each by its own sockets and by those of some that rest.
    receiving: AtomicUsize,
    /// How long each has been busy, in nanoseconds.
    busy: Box<[Busy]>,
    began: Instant,
    /// Nanoseconds from `began` to the last look.
    looked: AtomicU64,
    look: Mutex<Look>,
}

/// Written at each turn by one worker, on a cache line that no other writes to.
#[derive(Default)]
#[repr(align(64))]
struct Busy(AtomicU64);

impl Rota {
    /// All receive at first.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            receiving: AtomicUsize::new(workers),
            busy: (0..workers).map(|_| Busy::default()).collect(),
            began: Instant::now(),
            looked: AtomicU64::new(0),
            look: Mutex::default(),
        }
    }

    /// How many receive.
    pub(crate) fn receiving(&self) -> usize {
        self.receiving.load(Ordering::Acquire)
    }

    /// The workers by whose sockets this one receives, where so many do.
    pub(crate) fn attended(&self, worker: usize, receiving: usize) -> impl Iterator<Item = usize> {
        let own = worker < receiving;
        (worker..self.busy.len()).step_by(receiving.max(1)).filter(move |_| own)
    }

    /// A worker's turn took so long. True: from now on more or fewer receive, and all are to look. `hurried`, asked at a
    /// look only: new calls are being turned away somewhere, so that nobody goes to rest.
    pub(crate) fn worked(&self, worker: usize, busy: Duration, now: Instant, hurried: impl FnOnce() -> bool) -> bool {
        let workers = self.busy.len();
        if workers <= 1 {
            return false;
        }
        self.busy[worker].0.fetch_add(nanos(busy), Ordering::Relaxed);
        let at = nanos(now.saturating_duration_since(self.began));
        if at.saturating_sub(self.looked.load(Ordering::Relaxed)) < nanos(LOOK) {
            return false;
        }
        // Whoever else is at it looks for all.
        let Ok(mut look) = self.look.try_lock() else {
            return false;
        };
        let elapsed = at.saturating_sub(self.looked.swap(at, Ordering::Relaxed));
        let total = self.busy.iter().map(|busy| busy.0.load(Ordering::Relaxed)).sum();
        let busy = total - std::mem::replace(&mut look.counted, total);
        let receiving = self.receiving();
        let wanted = look.wanted(busy, elapsed, receiving, workers, hurried());
        self.receiving.store(wanted, Ordering::Release);
        wanted != receiving
    }

    /// As if the load had asked for so many; all are to look then.
    #[cfg(test)]
    pub(crate) fn set(&self, receiving: usize) {
        self.receiving.store(receiving, Ordering::Release);
    }
}

/// What the looks have seen. Times in nanoseconds.
#[derive(Default)]
struct Look {
    /// Busy time of all workers up to the last one.
    counted: u64,
    /// Busy and whole time of the last few intervals.
    lately: VecDeque<(u64, u64)>,
    /// For how long fewer workers would have been enough, and at most how many.
    calm: u64,
    enough: usize,
}

impl Look {
    fn wanted(&mut self, busy: u64, elapsed: u64, receiving: usize, workers: usize, hurried: bool) -> usize {
        if self.lately.len() >= SMOOTHED {
            self.lately.pop_front();
        }
        self.lately.push_back((busy, elapsed));
        let sum = |of: fn(&(u64, u64)) -> u64| self.lately.iter().map(of).sum::<u64>();
        let (smoothed, whole) = (sum(|part| part.0), sum(|part| part.1));
        let needed = (smoothed.saturating_mul(1000)).div_ceil(whole.saturating_mul(COMFORTABLE).max(1));
        let needed = usize::try_from(needed).unwrap_or(workers).clamp(1, workers);
        let saturated = busy.saturating_mul(1000) >= elapsed.saturating_mul(SATURATED * receiving as u64);
        if saturated || hurried || needed >= receiving {
            (self.calm, self.enough) = (0, 0);
            // There is no telling how many more are needed where none has time left.
            return if saturated { workers } else { needed.max(receiving) };
        }
        self.calm = self.calm.saturating_add(elapsed);
        self.enough = self.enough.max(needed);
        if self.calm < nanos(CALM) {
            return receiving;
        }
        self.calm = 0;
        std::mem::take(&mut self.enough)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// From one look to the next, at least. Overload control begins after three times as long ([`crate::sip::proxy`]): before a call is turned
/// away, everybody receives.
const LOOK: Duration = Duration::from_millis(50);

/// Intervals that the load is taken from: a worker that had to wait for a processor once is not short of time.
const SMOOTHED: usize = 4;

/// Share of a worker's time, in a thousand, that it may be busy before another one receives too. Above, messages would often wait for
/// one another.
const COMFORTABLE: u64 = 750;

/// From here on in a single interval all receive.
const SATURATED: u64 = 900;

/// Fewer must have been enough for so long before one goes to rest.
const CALM: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at intervals of 50 ms in which all workers together were busy for so many milliseconds; how many receive after each.
    fn looks(look: &mut Look, mut receiving: usize, workers: usize, busy: &[u64]) -> Vec<usize> {
        let milli = 1_000_000;
        let next = |busy: &u64| {
            receiving = look.wanted(busy * milli, 50 * milli, receiving, workers, false);
            receiving
        };
        busy.iter().map(next).collect()
    }

    #[test]
    fn workers_rest_after_a_second_in_which_fewer_were_enough() {
        let mut look = Look::default();
        let received = looks(&mut look, 4, 4, &[20; 20]);
        assert_eq!((received[18], received[19]), (4, 1));
        // Half a second is not enough, and what was needed in the second is what stays.
        let mut look = Look::default();
        assert_eq!(looks(&mut look, 4, 4, &[20; 10])[9], 4);
        let received = looks(&mut look, 4, 4, &[90; 10]);
        assert_eq!((received[8], received[9]), (4, 3));
        // A worker alone stays the one.
        assert_eq!(looks(&mut Look::default(), 1, 4, &[0; 50]), [1; 50]);
    }

    #[test]
    fn workers_rise_at_once_where_time_is_short_and_not_for_one_stumble() {
        let mut look = Look::default();
        assert_eq!(looks(&mut look, 1, 4, &[20; 8]), [1; 8]);
        assert_eq!(looks(&mut look, 1, 4, &[44, 20, 20, 20]), [1; 4], "88 % once");
        assert_eq!(looks(&mut look, 1, 4, &[42, 42, 42, 42])[3], 2, "84 % for long");
        assert_eq!(looks(&mut look, 2, 4, &[91]), [4], "91 of 100 ms: nobody has time left");
    }

    #[test]
    fn nobody_rests_while_calls_are_turned_away() {
        let mut look = Look::default();
        let hour = 3_600_000_000_000;
        assert_eq!(look.wanted(0, hour, 2, 2, true), 2);
        assert_eq!(look.wanted(0, hour, 2, 2, false), 1);
    }

    #[test]
    fn each_socket_is_attended_by_one_worker_that_receives() {
        let rota = Rota::new(5);
        for receiving in 1..=5 {
            let mut all: Vec<usize> = (0..5).flat_map(|worker| rota.attended(worker, receiving)).collect();
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2, 3, 4]);
            for worker in 0..5 {
                assert_eq!(
                    rota.attended(worker, receiving).next(),
                    (worker < receiving).then_some(worker)
                );
            }
        }
    }

    #[test]
    fn turns_add_up_over_the_workers() {
        let (rota, calm) = (Rota::new(2), || false);
        let at = |millis| rota.began + Duration::from_millis(millis);
        let busy = Duration::from_millis(1);
        assert!(!rota.worked(0, busy, at(49), calm), "too early to look");
        assert!(rota.worked(1, busy, at(2_000), calm));
        assert_eq!(rota.receiving(), 1);
        assert!(!rota.worked(0, busy, at(2_010), calm));
        assert!(rota.worked(1, Duration::from_millis(49), at(2_050), calm));
        assert_eq!(rota.receiving(), 2, "50 of 50 ms");
        let alone = Rota::new(1);
        assert!(!alone.worked(0, Duration::from_secs(9), alone.began + Duration::from_secs(9), calm));
    }
}
