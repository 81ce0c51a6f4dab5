//! The carrier's end: a socket that takes what the proxy forwards, rings and answers as it is told, and remembers whom it was asked for.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::sip::message::{Header, Message, Method, Response};

/// How often it looks whether it should end.
const LOOK: Duration = Duration::from_millis(50);

/// The carrier, on a thread of its own.
pub(super) struct Trunk {
    local: SocketAddr,
    told: Arc<Told>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Told {
    stop: AtomicBool,
    /// Final status of the next calls.
    then: Mutex<u16>,
    /// Call-IDs of INVITEs seen.
    seen: Mutex<Vec<String>>,
}

impl Trunk {
    pub(super) fn start() -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(LOOK))?;
        let local = socket.local_addr()?;
        let told = Arc::new(Told::default());
        let theirs = Arc::clone(&told);
        let thread = std::thread::Builder::new()
            .name("demo-trunk".into())
            .spawn(move || answer_calls(&socket, local, &theirs))?;
        Ok(Self {
            local,
            told,
            thread: Some(thread),
        })
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// What the person called does from now on: 200 answers, 486 is busy, 480 does not pick up.
    pub(super) fn answer_with(&self, status: u16) {
        *self.told.then.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    /// Calls that arrived since the last look.
    pub(super) fn take_seen(&self) -> usize {
        let mut seen = self.told.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let count = seen.len();
        seen.clear();
        count
    }
}

impl Drop for Trunk {
    fn drop(&mut self) {
        self.told.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // Its panic would be its own; there is nothing to add.
            let _ = thread.join();
        }
    }
}

fn answer_calls(socket: &UdpSocket, local: SocketAddr, told: &Told) {
    let mut buffer = vec![0; 65_536];
    let mut last = String::new();
    while !told.stop.load(Ordering::Acquire) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let Ok(request) = Message::parse(Bytes::copy_from_slice(&buffer[..length])) else {
            continue;
        };
        let then = *told.then.lock().unwrap_or_else(PoisonError::into_inner);
        let statuses: &[u16] = match request.method() {
            Method::Invite => {
                let call = request.call_id().to_owned();
                if call != last {
                    last.clone_from(&call);
                    told.seen.lock().unwrap_or_else(PoisonError::into_inner).push(call);
                }
                // A number that does not exist cannot ring.
                if then == 404 { &[404] } else { &[180, then] }
            }
            Method::Ack => &[],
            _ if request.is_request() => &[200],
            _ => &[],
        };
        for status in statuses {
            let bytes = response(&request, *status, local, from);
            // A lost answer is asked for again.
            let _ = socket.send_to(&bytes, from);
        }
    }
}

fn response(request: &Message, status: u16, local: SocketAddr, from: SocketAddr) -> Bytes {
    let contact = format!("<sip:trunk@{local}>");
    let mut headers: Vec<(&str, &str)> = vec![("Contact", &contact)];
    headers.extend(request.values(Header::RecordRoute).map(|route| ("Record-Route", route)));
    let response = Response {
        request,
        status,
        phrase: "",
        to_tag: "trunk",
        received_from: Some(from),
        headers: &headers,
    };
    response.write(&mut BytesMut::new())
}
