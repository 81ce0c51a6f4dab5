//! The calls, in as many shards as there are workers: all messages of one call meet in one shard, found by Call-ID.
//!
//! Each worker has a shard of its own, and does the work of the others too where it has little to do: a message that comes by one
//! worker's socket and belongs to another's shard is worked on where it came, since waking a thread costs more than most messages do.
//! Whoever worked on a shard last wakes for its timers. No two shards are ever held at once.

use std::hash::Hasher;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use memchr::memchr;
use siphasher::sip::SipHasher13;

use super::shared::Shared;
use crate::sip::Now;
use crate::sip::proxy::{Proxy, Settings};
use crate::telemetry::Metrics;

/// All calls.
pub(crate) struct Shards {
    key: [u8; 16],
    shards: Box<[Shard]>,
}

impl Shards {
    /// A shard for each of the settings, which differ in nothing but the seed. Calls are spread by a hash under this secret, so that no
    /// peer can choose Call-IDs that all meet in one.
    pub(crate) fn new(
        secret: &[u8; 32],
        settings: impl IntoIterator<Item = Settings>,
        shared: &Arc<Shared>,
        metrics: &Arc<Metrics>,
        now: Now,
    ) -> Self {
        let mut key = [0; 16];
        key.copy_from_slice(&secret[16..]);
        let shard = |(position, settings)| Shard::new(position, settings, shared, metrics, now);
        Self {
            key,
            shards: settings.into_iter().enumerate().map(shard).collect(),
        }
    }

    /// The shard of a message; `None` where any will do, since there is one only or no Call-ID to go by.
    pub(crate) fn of(&self, message: &[u8]) -> Option<usize> {
        if self.shards.len() == 1 {
            return None;
        }
        let call_id = call_id(message)?;
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(call_id);
        usize::try_from(hasher.finish() % self.shards.len() as u64).ok()
    }
}

impl Deref for Shards {
    type Target = [Shard];

    fn deref(&self) -> &[Shard] {
        &self.shards
    }
}

/// The calls of one worker, and who works on them.
pub(crate) struct Shard {
    settings: Settings,
    /// The trunks are probed from here.
    probes: bool,
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    calls: Mutex<Calls>,
    /// The worker that wakes for the timers.
    watcher: AtomicUsize,
    /// Messages that its worker has been handed and has not worked on yet.
    handed: AtomicUsize,
}

struct Calls {
    proxy: Proxy,
    /// Generation of the routing in force here.
    generation: u64,
    draining: bool,
}

/// A shard that nobody else works on meanwhile.
pub(crate) struct Held<'a>(MutexGuard<'a, Calls>);

impl Shard {
    fn new(position: usize, settings: Settings, shared: &Arc<Shared>, metrics: &Arc<Metrics>, now: Now) -> Self {
        // One proxy of a process probes the trunks.
        let probes = position == 0;
        Self {
            calls: Mutex::new(Calls::new(&settings, shared, metrics, probes.then_some(now))),
            settings,
            probes,
            shared: Arc::clone(shared),
            metrics: Arc::clone(metrics),
            watcher: AtomicUsize::new(position),
            handed: AtomicUsize::new(0),
        }
    }

    /// Waits for another worker that is at it. After a panic in it the shard begins anew, without calls.
    pub(crate) fn hold(&self, now: Now) -> Held<'_> {
        let mut calls = self.calls.lock().unwrap_or_else(|poisoned| {
            let mut calls = poisoned.into_inner();
            *calls = Calls::new(&self.settings, &self.shared, &self.metrics, self.probes.then_some(now));
            self.calls.clear_poison();
            calls
        });
        calls.look(&self.shared);
        Held(calls)
    }

    /// As [`Shard::hold`], for a message that its own worker has not been handed, and must not overtake those that it has. `None` where
    /// that worker is at it.
    pub(crate) fn borrow(&self, now: Now) -> Option<Held<'_>> {
        if self.handed.load(Ordering::Acquire) > 0 {
            return None;
        }
        match self.calls.try_lock() {
            Ok(mut calls) => {
                calls.look(&self.shared);
                Some(Held(calls))
            }
            Err(TryLockError::Poisoned(_)) => Some(self.hold(now)),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// From now on this worker wakes for the timers. To be called by whoever holds the shard.
    pub(crate) fn watch(&self, worker: usize) {
        self.watcher.store(worker, Ordering::Relaxed);
    }

    /// Does this worker wake for the timers? Where another has worked on the shard since, that one does.
    pub(crate) fn is_watched_by(&self, worker: usize) -> bool {
        self.watcher.load(Ordering::Relaxed) == worker
    }
}

/// Stands for a message that a shard's worker has been handed, until that worker holds the shard or the message is lost.
pub(crate) struct Handed {
    shards: Arc<Shards>,
    position: usize,
}

impl Handed {
    pub(crate) fn to(shards: &Arc<Shards>, position: usize) -> Self {
        shards[position].handed.fetch_add(1, Ordering::AcqRel);
        Self {
            shards: Arc::clone(shards),
            position,
        }
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        self.shards[self.position].handed.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Calls {
    fn new(settings: &Settings, shared: &Shared, metrics: &Arc<Metrics>, probes_from: Option<Now>) -> Self {
        let (generation, routing) = shared.routing();
        let mut proxy = Proxy::new(settings.clone(), routing, Arc::clone(metrics));
        if let Some(now) = probes_from {
            proxy.probe(now);
        }
        Self {
            proxy,
            generation,
            draining: false,
        }
    }

    /// Takes over what changed for all.
    fn look(&mut self, shared: &Shared) {
        if shared.generation() != self.generation {
            let (generation, routing) = shared.routing();
            self.generation = generation;
            self.proxy.set_routing(routing);
        }
        if shared.is_draining() && !self.draining {
            self.draining = true;
            self.proxy.drain();
        }
    }
}

impl Deref for Held<'_> {
    type Target = Proxy;

    fn deref(&self) -> &Proxy {
        &self.0.proxy
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Proxy {
        &mut self.0.proxy
    }
}

/// The value of the first Call-ID line, long or compact. Looks at the first byte of each line only, since this runs before a message
/// is parsed, on whichever worker the kernel gave it to.
fn call_id(message: &[u8]) -> Option<&[u8]> {
    let mut rest = message;
    while let Some(end) = memchr(b'\n', rest) {
        rest = &rest[end + 1..];
        let value = match rest.first()? {
            b'c' | b'C' => value_of(rest, b"call-id"),
            b'i' | b'I' => value_of(rest, b"i"),
            b'\r' | b'\n' => return None,
            _ => None,
        };
        if let Some(value) = value {
            let line = memchr(b'\n', value).map_or(value, |end| &value[..end]);
            return Some(line.trim_ascii());
        }
    }
    None
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, rest) = line.split_at_checked(name.len())?;
    if !found.eq_ignore_ascii_case(name) {
        return None;
    }
    rest.trim_ascii_start().strip_prefix(b":")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::WallClock;
    use crate::law::Law;
    use crate::sip::peer::Peers;
    use crate::sip::proxy::Routing;

    use super::*;

    fn shards(count: usize) -> Shards {
        let routing = Routing {
            peers: Arc::new(Peers {
                sources: Vec::new(),
                trunks: Vec::new(),
                emergency_from: Vec::new(),
                silence_unknown: false,
            }),
            plan: Arc::new(Law::embedded().plan.clone()),
        };
        let settings = Settings {
            listeners: Vec::new(),
            secret: [7; 32],
            instance: 1,
            max_asks: 1,
            max_transactions: 1,
            timer_c: Duration::from_secs(185),
            t1: Duration::from_millis(500),
            seed: 1,
        };
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let shared = Arc::new(Shared::new(routing, count));
        Shards::new(
            &[7; 32],
            vec![settings; count],
            &shared,
            &metrics,
            WallClock::System.now(),
        )
    }

    #[test]
    fn a_shard_is_lent_where_its_worker_is_not_at_it_and_has_been_handed_nothing() {
        let (shards, now) = (Arc::new(shards(2)), WallClock::System.now());
        let elsewhere = |position: usize| {
            let shards = Arc::clone(&shards);
            let lent = std::thread::spawn(move || shards[position].borrow(now).is_some());
            lent.join().expect("no panic")
        };
        assert!(elsewhere(1));
        let handed = Handed::to(&shards, 1);
        assert!(!elsewhere(1) && elsewhere(0), "nothing overtakes what was handed");
        let held = shards[1].hold(now);
        drop(handed);
        assert!(!elsewhere(1), "its worker is at it");
        drop(held);
        assert!(elsewhere(1));
    }

    #[test]
    fn a_shard_begins_anew_after_a_panic_in_it() {
        let (shards, now) = (Arc::new(shards(1)), WallClock::System.now());
        let broken = Arc::clone(&shards);
        let fallen = std::thread::spawn(move || {
            let mut held = broken[0].hold(now);
            held.drain();
            panic!("as the test wants");
        });
        assert!(fallen.join().is_err());
        assert_eq!(shards[0].hold(now).pending(), 0);
        assert!(shards[0].borrow(now).is_some());
    }

    #[test]
    fn a_call_id_is_found_in_every_form() {
        for (message, expected) in [
            ("BYE sip:a SIP/2.0\r\nVia: x\r\nCall-ID: one@a\r\n\r\n", Some("one@a")),
            ("BYE sip:a SIP/2.0\r\nCALL-id  :  two  \r\n\r\n", Some("two")),
            ("SIP/2.0 200 OK\r\nContact: <sip:c>\r\ni:three\r\n\r\n", Some("three")),
            ("BYE sip:a SIP/2.0\nCSeq: 1 BYE\nCall-ID: four\n\n", Some("four")),
            (
                "BYE sip:a SIP/2.0\r\nContact: <sip:c>\r\n\r\nCall-ID: in the body\r\n",
                None,
            ),
            ("BYE sip:a SIP/2.0\r\nCall-Info: <x>\r\n\r\n", None),
            ("Call-ID: first line\r\n", None),
            ("BYE sip:a SIP/2.0\r\nCall-ID: cut off", Some("cut off")),
            ("", None),
        ] {
            assert_eq!(call_id(message.as_bytes()), expected.map(str::as_bytes), "{message:?}");
        }
    }

    #[test]
    fn both_directions_of_a_call_meet_and_calls_are_spread() {
        let shards = shards(4);
        let mut calls = [0_u32; 4];
        for number in 0..400 {
            let request = format!("INVITE sip:a SIP/2.0\r\nCall-ID: {number}@pbx\r\n\r\n");
            let response = format!("SIP/2.0 200 OK\r\nVia: x\r\ni: {number}@pbx\r\n\r\n");
            let worker = shards.of(request.as_bytes()).expect("has a Call-ID");
            assert_eq!(shards.of(response.as_bytes()), Some(worker));
            calls[worker] += 1;
        }
        assert!(calls.iter().all(|calls| (60..140).contains(calls)), "{calls:?}");
    }

    #[test]
    fn one_shard_looks_at_nothing() {
        assert_eq!(shards(1).of(b"BYE sip:a SIP/2.0\r\nCall-ID: a\r\n\r\n"), None);
    }
}
