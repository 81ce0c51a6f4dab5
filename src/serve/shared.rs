//! What the workers and the main thread share: routing in force, what they are told to do, and what they tell of themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use super::rota::Rota;
use crate::sip::proxy::{Load, Routing};

/// Read by every worker at every turn; written on reload, drain and stop.
pub(crate) struct Shared {
    /// Raised with each new routing, so that a turn compares one number.
    generation: AtomicU64,
    routing: ArcSwap<Routing>,
    draining: AtomicBool,
    stopping: AtomicBool,
    /// Calls being set up, by worker; told while draining only.
    pending: Box<[AtomicUsize]>,
    /// What is to become of new calls, by worker: turned away, and of those held back, in a thousand.
    loads: Box<[(AtomicU32, AtomicU32)]>,
    restarts: AtomicU64,
    dropped: AtomicU64,
    pub(crate) rota: Rota,
}

impl Shared {
    pub(crate) fn new(routing: Routing, workers: usize) -> Self {
        Self {
            generation: AtomicU64::new(0),
            routing: ArcSwap::from_pointee(routing),
            draining: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            // Unknown until a worker has seen the drain and tells: nobody must take that for none.
            pending: (0..workers).map(|_| AtomicUsize::new(1)).collect(),
            loads: (0..workers).map(|_| Default::default()).collect(),
            restarts: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            rota: Rota::new(workers),
        }
    }

    /// The routing in force and its generation, which may be older than the routing but never newer.
    pub(crate) fn routing(&self) -> (u64, Routing) {
        let generation = self.generation();
        (generation, Routing::clone(&self.routing.load()))
    }

    pub(crate) fn set_routing(&self, routing: Routing) {
        self.routing.store(Arc::new(routing));
        self.generation.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    pub(crate) fn set_pending(&self, worker: usize, pending: usize) {
        self.pending[worker].store(pending, Ordering::Release);
    }

    /// Calls being set up in all workers.
    pub(crate) fn pending(&self) -> usize {
        self.pending.iter().map(|pending| pending.load(Ordering::Acquire)).sum()
    }

    /// Takes note of what one worker wants done with new calls, and says what all want together: each has the same share of new calls,
    /// and any one's socket has those of all.
    pub(crate) fn exchange(&self, worker: usize, load: Load) -> Load {
        let (loss, held_back) = &self.loads[worker];
        loss.store(load.loss, Ordering::Relaxed);
        held_back.store(load.held_back, Ordering::Relaxed);
        let mean = |of: fn(&(AtomicU32, AtomicU32)) -> &AtomicU32| {
            let sum: u64 = self
                .loads
                .iter()
                .map(|load| u64::from(of(load).load(Ordering::Relaxed)))
                .sum();
            u32::try_from(sum / self.loads.len() as u64).unwrap_or(1000)
        };
        Load {
            loss: mean(|(loss, _)| loss),
            held_back: mean(|(_, held_back)| held_back),
        }
    }

    /// Some worker has new calls turned away.
    pub(crate) fn turns_away(&self) -> bool {
        self.loads.iter().any(|(loss, _)| loss.load(Ordering::Relaxed) > 0)
    }

    pub(crate) fn count_restart(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    /// How often a worker had to be started anew.
    pub(crate) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    pub(crate) fn count_dropped(&self, messages: u64) {
        self.dropped.fetch_add(messages, Ordering::Relaxed);
    }

    /// Messages dropped because a queue was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
