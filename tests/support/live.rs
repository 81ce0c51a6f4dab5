//! The scripted agents on real UDP sockets of the loopback: a PBX that a test pumps, a trunk that runs by itself.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::ua::Ua;

/// Longest wait for a datagram between two looks at the timers.
const TICK: Duration = Duration::from_millis(2);

/// An agent and its socket.
pub struct End {
    pub ua: Ua,
    socket: UdpSocket,
    begin: Instant,
    buffer: Vec<u8>,
}

impl End {
    /// On a port that the system gives.
    pub fn bind(name: &'static str, ip: &str, proxy: SocketAddr) -> Self {
        let socket = UdpSocket::bind((ip, 0)).expect("a socket");
        socket.set_read_timeout(Some(TICK)).expect("a time-out");
        let address = socket.local_addr().expect("an address");
        Self {
            ua: Ua::new(name, address, proxy),
            socket,
            begin: Instant::now(),
            buffer: vec![0; 65_536],
        }
    }

    /// Since it was bound.
    pub fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Sends, receives and fires timers for so long.
    pub fn pump(&mut self, period: Duration) {
        self.pump_until(period, |_| false);
    }

    /// Until something holds, or so long; does it hold?
    pub fn pump_until(&mut self, longest: Duration, done: impl Fn(&Ua) -> bool) -> bool {
        let deadline = Instant::now() + longest;
        loop {
            self.turn();
            if done(&self.ua) {
                self.flush();
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
        }
    }

    fn turn(&mut self) {
        let now = self.now();
        self.ua.timeout(now);
        self.flush();
        if let Ok((length, from)) = self.socket.recv_from(&mut self.buffer) {
            let now = self.now();
            self.ua
                .receive(now, from, Bytes::copy_from_slice(&self.buffer[..length]));
            self.flush();
        }
    }

    fn flush(&mut self) {
        for (to, bytes) in self.ua.take_output() {
            // A full buffer or a closed port is a lost datagram: the agents send again.
            let _ = self.socket.send_to(&bytes, to);
        }
    }
}

/// A trunk that answers by itself until dropped.
pub struct Trunk {
    pub address: SocketAddr,
    end: Arc<Mutex<End>>,
    stop: Arc<AtomicBool>,
    /// Somebody wants to look: the thread steps aside.
    waiting: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Trunk {
    /// On an address of its own, so that it is never taken for the source; `prepare` writes its scripts.
    pub fn start(prepare: impl FnOnce(&mut Ua)) -> Self {
        let unused = "127.0.0.1:9".parse().expect("an address");
        let mut end = End::bind("trunk", "127.0.0.2", unused);
        prepare(&mut end.ua);
        let address = end.ua.address;
        let end = Arc::new(Mutex::new(end));
        let stop = Arc::new(AtomicBool::new(false));
        let waiting = Arc::new(AtomicBool::new(false));
        let thread = {
            let (end, stop, waiting) = (end.clone(), stop.clone(), waiting.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    end.lock().expect("the trunk").turn();
                    while waiting.load(Ordering::Relaxed) && !stop.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_micros(100));
                    }
                }
            })
        };
        Self {
            address,
            end,
            stop,
            waiting,
            thread: Some(thread),
        }
    }

    /// A look at the agent.
    pub fn look<T>(&self, look: impl FnOnce(&mut Ua) -> T) -> T {
        self.waiting.store(true, Ordering::Relaxed);
        let seen = look(&mut self.end.lock().expect("the trunk").ua);
        self.waiting.store(false, Ordering::Relaxed);
        seen
    }

    /// Callee and Call-ID of every INVITE that opened a call here.
    pub fn calls(&self) -> Vec<(String, String)> {
        self.look(|ua| {
            ua.served
                .iter()
                .filter(|served| super::ua::tag_of(&served.request, clapet::sip::message::Header::To).is_none())
                .map(|served| {
                    let uri = clapet::sip::message::Uri::parse(served.request.request_uri());
                    let callee = uri.and_then(|uri| uri.user.map(str::to_owned)).unwrap_or_default();
                    (callee, served.request.call_id().to_owned())
                })
                .collect()
        })
    }
}

impl Drop for Trunk {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
