//! A name server of one zone, on a UDP port of the loopback: answers from its table, says what is not there (RFC 2308), counts what it
//! is asked, and may be told to fall silent.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{NAPTR, SOA, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// The server; it ends when dropped.
pub struct NameServer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    table: Mutex<HashMap<(Name, RecordType), Vec<Record>>>,
    asked: Mutex<HashMap<(Name, RecordType), usize>>,
    /// Seconds for which the absence of a record holds.
    negative: u32,
    silent: AtomicBool,
    stop: AtomicBool,
}

impl NameServer {
    pub fn start(negative: u32) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(TICK)).expect("a time-out");
        let shared = Arc::new(Shared {
            negative,
            ..Shared::default()
        });
        let address = socket.local_addr().expect("bound");
        let served = Arc::clone(&shared);
        let thread = std::thread::spawn(move || served.run(&socket));
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    pub fn naptr(&self, name: &str, ttl: u32, records: &[(u16, &str, &str)]) {
        let bytes = |text: &str| text.as_bytes().to_vec().into_boxed_slice();
        let data = records.iter().map(|(order, service, replacement)| {
            let naptr = NAPTR::new(*order, 10, bytes("s"), bytes(service), bytes(""), named(replacement));
            RData::NAPTR(naptr)
        });
        self.set(name, RecordType::NAPTR, ttl, data.collect());
    }

    /// Priority, port and target of each.
    pub fn srv(&self, name: &str, ttl: u32, records: &[(u16, u16, &str)]) {
        let data = records
            .iter()
            .map(|(priority, port, target)| RData::SRV(SRV::new(*priority, 10, *port, named(target))));
        self.set(name, RecordType::SRV, ttl, data.collect());
    }

    pub fn address(&self, name: &str, ttl: u32, address: &str) {
        match address.parse().expect("an address") {
            IpAddr::V4(ip) => self.set(name, RecordType::A, ttl, vec![RData::A(ip.into())]),
            IpAddr::V6(ip) => self.set(name, RecordType::AAAA, ttl, vec![RData::AAAA(ip.into())]),
        }
    }

    fn set(&self, name: &str, kind: RecordType, ttl: u32, data: Vec<RData>) {
        let name = named(name);
        let records = data.into_iter().map(|data| Record::from_rdata(name.clone(), ttl, data));
        let records = records.collect();
        self.shared
            .table
            .lock()
            .expect("no panic")
            .insert((name, kind), records);
    }

    /// How often a question has come.
    pub fn asked(&self, name: &str, kind: RecordType) -> usize {
        let asked = self.shared.asked.lock().expect("no panic");
        asked.get(&(named(name), kind)).copied().unwrap_or_default()
    }

    /// Answers nothing from now on.
    pub fn fall_silent(&self) {
        self.shared.silent.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn run(&self, socket: &UdpSocket) {
        let mut buffer = [0; 4096];
        while !self.stop.load(Ordering::Relaxed) {
            let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            let query = Message::from_vec(&buffer[..length]).expect("a query");
            if let Some(answer) = self.answer(&query) {
                socket
                    .send_to(&answer.to_vec().expect("an answer"), from)
                    .expect("sent");
            }
        }
    }

    fn answer(&self, query: &Message) -> Option<Message> {
        let question = query.queries().first().expect("a question");
        let name = question.name().to_lowercase();
        let key = (name.clone(), question.query_type());
        *self.asked.lock().expect("no panic").entry(key.clone()).or_default() += 1;
        if self.silent.load(Ordering::Relaxed) {
            return None;
        }
        let table = self.table.lock().expect("no panic");
        let mut answer = Message::new();
        answer
            .set_id(query.id())
            .set_message_type(MessageType::Response)
            .set_authoritative(true)
            .add_query(question.clone());
        if let Some(records) = table.get(&key) {
            answer.add_answers(records.iter().cloned());
        } else {
            let exists = table.keys().any(|(known, _)| *known == name);
            if !exists {
                answer.set_response_code(ResponseCode::NXDomain);
            }
            let zone = named("example");
            let soa = SOA::new(zone.clone(), zone.clone(), 1, 3600, 600, 86_400, self.negative);
            answer.add_name_server(Record::from_rdata(zone, self.negative, RData::SOA(soa)));
        }
        Some(answer)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has panicked: what it could not answer has failed the test by now.
            let _ = thread.join();
        }
    }
}

fn named(name: &str) -> Name {
    let mut name = Name::from_ascii(name).expect("a name");
    name.set_fqdn(true);
    name
}

const TICK: Duration = Duration::from_millis(50);
