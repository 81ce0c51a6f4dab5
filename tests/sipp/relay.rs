//! A network that loses and repeats datagrams, between two UDP sockets of the loopback. What befalls a message depends on the seed,
//! on what it is and on the how-manieth copy, not on when it comes: the same seed is the same run.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Of a hundred copies, so many are lost, and so many of those that arrive come as a storm of [`STORM`].
#[derive(Clone, Copy)]
pub struct Weather {
    pub seed: u64,
    pub lost: u64,
    pub stormy: u64,
}

const STORM: usize = 5;

/// Copies of one message of which some may be lost; the next one arrives, so that no call fails by chance.
const UNLUCKY: u64 = 4;

/// Between whoever sends to `address` and one far end.
pub struct Relay {
    pub address: SocketAddr,
    to: Arc<Mutex<Option<SocketAddr>>>,
    fate: Arc<Fate>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

struct Fate {
    weather: Weather,
    copies: Mutex<HashMap<(bool, Vec<u8>), u64>>,
    lost: AtomicUsize,
    repeated: AtomicUsize,
}

impl Relay {
    /// Carries datagrams nowhere until [`Relay::lead`]; what comes back goes to who sent last.
    pub fn start(ip: &str, weather: Weather) -> Self {
        let near = Arc::new(UdpSocket::bind((ip, 0)).expect("a port"));
        // Seen by the far end under the near end's address.
        let far = Arc::new(UdpSocket::bind((ip, 0)).expect("a port"));
        let address = near.local_addr().expect("bound");
        let fate = Arc::new(Fate {
            weather,
            copies: Mutex::default(),
            lost: AtomicUsize::new(0),
            repeated: AtomicUsize::new(0),
        });
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, lead) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(None)));
        let threads = [true, false]
            .map(|onward| {
                let (from, out) = if onward { (&near, &far) } else { (&far, &near) };
                let (from, out) = (Arc::clone(from), Arc::clone(out));
                let (fate, stop) = (Arc::clone(&fate), Arc::clone(&stop));
                let (sender, lead) = (Arc::clone(&sender), Arc::clone(&lead));
                from.set_read_timeout(Some(TICK)).expect("a time-out");
                std::thread::spawn(move || {
                    let mut buffer = vec![0; 65_536];
                    while !stop.load(Ordering::Relaxed) {
                        let Ok((length, source)) = from.recv_from(&mut buffer) else {
                            continue;
                        };
                        let known: &Mutex<Option<SocketAddr>> = &sender;
                        let to = if onward {
                            *known.lock().expect("no panic") = Some(source);
                            *lead.lock().expect("no panic")
                        } else {
                            *known.lock().expect("no panic")
                        };
                        let Some(to) = to else { continue };
                        for _ in 0..fate.copies(onward, &buffer[..length]) {
                            // A far end that is gone is the sender's to notice.
                            let _ = out.send_to(&buffer[..length], to);
                        }
                    }
                })
            })
            .into();
        Self {
            address,
            to: lead,
            fate,
            stop,
            threads,
        }
    }

    /// Where datagrams go from now on.
    pub fn lead(&self, to: SocketAddr) {
        *self.to.lock().expect("no panic") = Some(to);
    }

    /// Datagrams lost, and sent more than once.
    pub fn seen(&self) -> (usize, usize) {
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        (read(&self.fate.lost), read(&self.fate.repeated))
    }
}

impl Fate {
    /// How often a datagram arrives.
    fn copies(&self, onward: bool, message: &[u8]) -> usize {
        let mut copies = self.copies.lock().expect("no panic");
        let copy = copies.entry((onward, what(message))).or_default();
        *copy += 1;
        let copy = *copy;
        let mut hasher = DefaultHasher::new();
        (self.weather.seed, onward, what(message), copy).hash(&mut hasher);
        let drawn = hasher.finish() % 10_000;
        if copy <= UNLUCKY && drawn / 100 < self.weather.lost {
            self.lost.fetch_add(1, Ordering::Relaxed);
            0
        } else if drawn % 100 < self.weather.stormy {
            self.repeated.fetch_add(1, Ordering::Relaxed);
            STORM
        } else {
            1
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It has panicked: the test has failed by now.
            let _ = thread.join();
        }
    }
}

/// What a message is, whatever addresses and ports it was given: method or status, CSeq and Call-ID.
fn what(message: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(message);
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let kind: Vec<&str> = if first.starts_with("SIP/2.0") {
        first.split(' ').skip(1).take(1).collect()
    } else {
        first.split(' ').take(1).collect()
    };
    let value = |name: &str| {
        lines
            .clone()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_default()
    };
    format!("{kind:?}{}{}", value("CSeq:"), value("Call-ID:")).into_bytes()
}

const TICK: Duration = Duration::from_millis(50);
