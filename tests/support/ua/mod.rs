//! A scripted SIP user agent without socket or clock: as UAC it retransmits, acknowledges, cancels and hangs up; as UAS it answers
//! by script. RFC 3261 §17 in its least form, UDP only. It keeps everything it received.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use clapet::sip::message::Message;

mod client;
mod server;

pub use super::lines::{SDP, branch_of, tag_of};

/// RFC 3261 §17.1.1.1.
pub const T1: Duration = Duration::from_millis(500);
/// RFC 3261 §17.1.2.2.
pub const T2: Duration = Duration::from_secs(4);
/// Timers B, F and H: 64·T1.
pub const LONGEST: Duration = Duration::from_secs(32);

/// An INVITE to place.
#[derive(Clone, Debug)]
pub struct Invite {
    /// User part of From.
    pub caller: String,
    /// User part of the Request-URI and of To.
    pub callee: String,
    /// Instead of the Request-URI made from `callee`.
    pub uri: Option<String>,
    /// Instead of the To made from `callee`.
    pub to: Option<String>,
    pub call_id: Option<String>,
    pub from_tag: Option<String>,
    pub cseq: u32,
    pub max_forwards: u32,
    /// Further header lines, without line ends.
    pub headers: Vec<String>,
    pub body: String,
}

impl Default for Invite {
    fn default() -> Self {
        Self {
            caller: "+33162001234".into(),
            callee: "0612345678".into(),
            uri: None,
            to: None,
            call_id: None,
            from_tag: None,
            cseq: 1,
            max_forwards: 70,
            headers: Vec::new(),
            body: SDP.into(),
        }
    }
}

/// One step of a UAS towards an INVITE.
#[derive(Clone, Debug)]
pub struct Step {
    /// After the INVITE arrived.
    pub after: Duration,
    pub status: u16,
    /// Which branch of a forking callee answers: another number, another To-tag.
    pub fork: u32,
    /// Further header lines, without line ends.
    pub headers: Vec<String>,
    pub body: &'static str,
}

/// What a UAS does when a CANCEL finds its INVITE unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCancel {
    /// 487.
    Terminate,
    /// 200 all the same: the answer crossed the CANCEL.
    AnswerAnyway,
}

/// How a UAS answers an INVITE.
#[derive(Clone, Debug)]
pub struct Script {
    pub steps: Vec<Step>,
    pub on_cancel: OnCancel,
}

impl Script {
    /// These statuses, each after so many milliseconds.
    pub fn of(steps: &[(u64, u16)]) -> Self {
        let steps = steps
            .iter()
            .map(|&(after, status)| Step {
                after: Duration::from_millis(after),
                status,
                fork: 0,
                headers: Vec::new(),
                body: "",
            })
            .collect();
        Self {
            steps,
            on_cancel: OnCancel::Terminate,
        }
    }

    /// Rings and is answered.
    pub fn answered() -> Self {
        Self::of(&[(10, 100), (50, 180), (2000, 200)])
    }

    /// Says nothing at all.
    pub fn silent() -> Self {
        Self::of(&[])
    }
}

/// A client transaction.
pub struct Client {
    pub method: String,
    pub call_id: String,
    pub request: Bytes,
    /// Provisional statuses, as they came.
    pub provisional: Vec<u16>,
    /// Final answers that differ in status or To-tag, as they came.
    pub finals: Vec<Message>,
    /// Gave up: no answer at all.
    pub timed_out: bool,
    branch: String,
    to: SocketAddr,
    state: State,
    resend: Option<(Duration, Duration)>,
    give_up: Duration,
    ack: Option<Bytes>,
    /// ACKs of its 2xx, by To-tag: sent again for each copy.
    acks: Vec<(Option<String>, SocketAddr, Bytes)>,
    /// To be cancelled at the first provisional answer.
    cancel: bool,
    cancelled: bool,
}

impl Client {
    /// Its final statuses.
    pub fn statuses(&self) -> Vec<u16> {
        self.finals.iter().map(Message::status).collect()
    }

    /// Its only final answer.
    pub fn answer(&self) -> &Message {
        assert_eq!(self.finals.len(), 1, "finals {:?}", self.statuses());
        &self.finals[0]
    }
}

/// A server transaction of an INVITE.
pub struct Served {
    pub at: Duration,
    pub request: Message,
    /// How often the INVITE arrived.
    pub copies: usize,
    pub final_status: Option<u16>,
    pub acked: bool,
    pub cancelled: bool,
    /// Statuses sent, each once.
    pub sent: Vec<u16>,
    branch: String,
    from: SocketAddr,
    steps: VecDeque<(Duration, Step)>,
    on_cancel: OnCancel,
    last: Option<Bytes>,
    finals: Vec<Resent>,
}

/// A final answer that is sent again until its ACK comes.
struct Resent {
    bytes: Bytes,
    to_tag: String,
    next: Duration,
    interval: Duration,
    until: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Calling,
    Proceeding,
    Completed,
}

/// A dialog, from this side.
#[derive(Clone, Debug)]
pub struct Dialog {
    pub call_id: String,
    /// From value of requests sent in it.
    pub local: String,
    /// To value of requests sent in it.
    pub remote: String,
    /// Contact of the other side.
    pub target: String,
    pub routes: Vec<String>,
    pub cseq: u32,
}

/// A datagram received.
pub struct Received {
    pub at: Duration,
    pub from: SocketAddr,
    pub bytes: Bytes,
    pub message: Message,
}

/// The agent.
pub struct Ua {
    pub name: &'static str,
    pub address: SocketAddr,
    pub inbox: Vec<Received>,
    /// What arrived and was no message.
    pub unreadable: Vec<Bytes>,
    pub clients: Vec<Client>,
    pub served: Vec<Served>,
    pub dialogs: Vec<Dialog>,
    /// Methods of in-dialog requests that arrived, each once.
    pub requests: Vec<String>,
    /// How the next INVITEs are answered, then how all others are.
    pub scripts: VecDeque<Script>,
    pub script: Script,
    proxy: SocketAddr,
    outbox: Vec<(SocketAddr, Bytes)>,
    answered: Vec<(String, Bytes)>,
    serial: u64,
}

impl Ua {
    pub fn new(name: &'static str, address: SocketAddr, proxy: SocketAddr) -> Self {
        Self {
            name,
            address,
            inbox: Vec::new(),
            unreadable: Vec::new(),
            clients: Vec::new(),
            served: Vec::new(),
            dialogs: Vec::new(),
            requests: Vec::new(),
            scripts: VecDeque::new(),
            script: Script::answered(),
            proxy,
            outbox: Vec::new(),
            answered: Vec::new(),
            serial: 0,
        }
    }

    /// What it wants sent.
    pub fn take_output(&mut self) -> Vec<(SocketAddr, Bytes)> {
        std::mem::take(&mut self.outbox)
    }

    /// Sends bytes as they are to the proxy, outside any transaction.
    pub fn send(&mut self, text: impl AsRef<[u8]>) {
        let bytes = Bytes::copy_from_slice(text.as_ref());
        self.outbox.push((self.proxy, bytes));
    }

    /// The dialog that a call made or took.
    pub fn dialog_of(&self, call_id: &str) -> Option<usize> {
        self.dialogs.iter().position(|dialog| dialog.call_id == call_id)
    }

    /// INVITE transactions served for a Call-ID.
    pub fn served_for(&self, call_id: &str) -> Vec<&Served> {
        self.served
            .iter()
            .filter(|served| served.request.call_id() == call_id)
            .collect()
    }

    pub fn next_timeout(&self) -> Option<Duration> {
        let clients = self.clients.iter().flat_map(|client| {
            let resend = client.resend.map(|(at, _)| at);
            let give_up = (client.state == State::Calling).then_some(client.give_up);
            resend.into_iter().chain(give_up)
        });
        let served = self.served.iter().flat_map(|served| {
            let step = served.steps.front().map(|(at, _)| *at);
            step.into_iter().chain(served.finals.iter().map(|resent| resent.next))
        });
        clients.chain(served).min()
    }

    pub fn timeout(&mut self, now: Duration) {
        for client in &mut self.clients {
            if client.state == State::Calling && client.give_up <= now {
                client.state = State::Completed;
                client.timed_out = true;
                client.resend = None;
            }
            if let Some((at, interval)) = client.resend
                && at <= now
            {
                self.outbox.push((client.to, client.request.clone()));
                let doubled = interval * 2;
                let interval = if client.method == "INVITE" {
                    doubled
                } else {
                    doubled.min(T2)
                };
                let next = now + interval;
                // A non-INVITE transaction sends on in Proceeding until timer F (RFC 3261 §17.1.2.2).
                client.resend = (next < client.give_up).then_some((next, interval));
            }
        }
        for index in 0..self.served.len() {
            while let Some((at, step)) = self.served[index].steps.front().cloned() {
                if at > now {
                    break;
                }
                self.served[index].steps.pop_front();
                self.answer(now, index, &step);
            }
            let served = &mut self.served[index];
            for resent in &mut served.finals {
                if resent.next <= now {
                    self.outbox.push((served.from, resent.bytes.clone()));
                    resent.interval = (resent.interval * 2).min(T2);
                    resent.next = now + resent.interval;
                }
            }
            served.finals.retain(|resent| resent.next < resent.until);
        }
    }

    pub fn receive(&mut self, now: Duration, from: SocketAddr, bytes: Bytes) {
        let Ok(message) = Message::parse(bytes.clone()) else {
            self.unreadable.push(bytes);
            return;
        };
        self.inbox.push(Received {
            at: now,
            from,
            bytes,
            message: message.clone(),
        });
        if message.is_request() {
            self.receive_request(now, from, message);
        } else {
            self.receive_response(now, &message);
        }
    }

    fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}
