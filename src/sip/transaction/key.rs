//! How a message finds its transaction (RFC 3261 §17.1.3, §17.2.3): a keyed hash of what the RFC compares, so that no string is kept
//! and nobody outside can make two transactions collide.

use siphasher::sip128::SipHasher13;

use crate::sip::hashing::Fields;
use crate::sip::message::{AckSketch, HostPort, Message, Method};

/// Start of a branch that follows RFC 3261 (§8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// Identifies a server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerKey(pub u128);

/// The key of a request's server transaction. An ACK gets that of its INVITE; a CANCEL one of its own unless `method` says INVITE.
///
/// With the magic cookie: branch, sent-by and method, and beyond the RFC Call-ID and CSeq number, so that a peer that uses one branch for all
/// its calls is told apart. Without (RFC 2543): Request-URI, From-tag, Call-ID, CSeq number and the whole topmost Via; the To-tag
/// is left out, since the ACK has the one that we gave and the INVITE has none.
pub fn server_key(secret: &[u8; 16], request: &Message, method: Method) -> ServerKey {
    let method_name = match method {
        Method::Ack | Method::Invite => "INVITE",
        Method::Cancel => "CANCEL",
        _ => request.method_name(),
    };
    let branch = request.branch();
    let mut key = Key::new(secret, method_name, request.call_id(), request.cseq_number());
    if has_cookie(branch) {
        key.add_branch(branch, request.sent_by());
    } else if let Some(via) = request.via() {
        key.add(request.request_uri().as_bytes());
        key.add(request.from_tag().as_bytes());
        key.add(via.raw.as_bytes());
    }
    key.finish()
}

/// As [`server_key`]: the INVITE transaction of an ACK. `None` where it goes by the rules of RFC 2543.
pub fn ack_key(secret: &[u8; 16], ack: &AckSketch<'_>) -> Option<ServerKey> {
    if !has_cookie(ack.branch) {
        return None;
    }
    let mut key = Key::new(secret, "INVITE", ack.call_id, ack.cseq);
    key.add_branch(ack.branch, Some(ack.sent_by));
    Some(key.finish())
}

/// A key in the making.
struct Key(Fields<SipHasher13>);

impl Key {
    fn new(secret: &[u8; 16], method_name: &str, call_id: &str, cseq: u32) -> Self {
        let mut key = Self(Fields::new(SipHasher13::new_with_key(secret)));
        key.add(method_name.as_bytes());
        key.add(call_id.as_bytes());
        key.add(&cseq.to_be_bytes());
        key
    }

    fn add_branch(&mut self, branch: &str, sent_by: Option<HostPort<'_>>) {
        self.add(branch.as_bytes());
        if let Some(HostPort { host, port }) = sent_by {
            // Host names differ in case between a request and its CANCEL from some senders.
            self.0.write_lowercase(host);
            self.add(&[]);
            self.add(&port.unwrap_or(0).to_be_bytes());
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
        // A byte that stands in no field keeps two fields from running into each other.
        self.0.write(b"\n");
    }

    fn finish(mut self) -> ServerKey {
        ServerKey(self.0.finish().as_u128())
    }
}

/// The cookie is compared without regard to case, as some senders change it.
fn has_cookie(branch: &str) -> bool {
    branch
        .get(..MAGIC_COOKIE.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(MAGIC_COOKIE))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const SECRET: [u8; 16] = [7; 16];

    fn request(method: &str, via: &str, to: &str, call: &str, cseq: u32) -> Message {
        Message::parse(Bytes::from(format!(
            "{method} sip:+33612345678@h SIP/2.0\r\nVia: {via}\r\nFrom: <sip:a@b>;tag=f\r\nTo: {to}\r\nCall-ID: {call}\r\n\
             CSeq: {cseq} {method}\r\n\r\n"
        )))
        .unwrap()
    }

    fn key(message: &Message) -> ServerKey {
        server_key(&SECRET, message, message.method())
    }

    #[test]
    fn requests_are_told_apart_by_branch_sent_by_method_call_and_cseq() {
        let to = "<sip:c@d>";
        let base = key(&request("INVITE", "SIP/2.0/UDP h;branch=z9hG4bKa", to, "c1", 1));
        for (same, method, via, call, cseq) in [
            (true, "INVITE", "SIP/2.0/UDP h;branch=z9hG4bKa", "c1", 1),
            (true, "INVITE", "SIP/2.0/UDP H;rport;branch=z9hG4bKa", "c1", 1),
            (true, "ACK", "SIP/2.0/UDP h;branch=z9hG4bKa", "c1", 1),
            (false, "INVITE", "SIP/2.0/UDP h;branch=z9hG4bKA", "c1", 1),
            (false, "INVITE", "SIP/2.0/UDP h:5062;branch=z9hG4bKa", "c1", 1),
            (false, "INVITE", "SIP/2.0/UDP other;branch=z9hG4bKa", "c1", 1),
            (false, "INVITE", "SIP/2.0/UDP h;branch=z9hG4bKa", "c2", 1),
            (false, "INVITE", "SIP/2.0/UDP h;branch=z9hG4bKa", "c1", 2),
            (false, "BYE", "SIP/2.0/UDP h;branch=z9hG4bKa", "c1", 1),
            (false, "CANCEL", "SIP/2.0/UDP h;branch=z9hG4bKa", "c1", 1),
        ] {
            let other = key(&request(method, via, to, call, cseq));
            assert_eq!(other == base, same, "{method} {via} {call} {cseq}");
        }
    }

    #[test]
    fn a_cancel_is_led_to_its_invite() {
        let via = "SIP/2.0/UDP h;branch=z9hG4bKa";
        let invite = key(&request("INVITE", via, "<sip:c@d>", "c1", 1));
        let cancel = request("CANCEL", via, "<sip:c@d>", "c1", 1);
        assert_eq!(server_key(&SECRET, &cancel, Method::Invite), invite);
    }

    #[test]
    fn an_ack_is_led_to_its_invite_by_what_is_read_of_it_alone() {
        for via in [
            "SIP/2.0/UDP H:5070;branch=z9hG4bKa",
            "SIP/2.0/UDP h;rport;branch=Z9HG4BKa",
        ] {
            let invite = key(&request("INVITE", via, "<sip:c@d>", "c1", 1));
            let ack = request("ACK", via, "<sip:c@d>;tag=ours", "c1", 1);
            let sketch = AckSketch::read(ack.raw()).expect("as usual");
            assert_eq!(ack_key(&SECRET, &sketch), Some(invite), "{via}");
        }
        let old = request("ACK", "SIP/2.0/UDP h;branch=1", "<sip:c@d>;tag=ours", "c1", 1);
        let sketch = AckSketch::read(old.raw()).expect("as usual");
        assert_eq!(ack_key(&SECRET, &sketch), None);
    }

    #[test]
    fn without_the_cookie_the_rules_of_rfc_2543_hold() {
        for via in ["SIP/2.0/UDP h", "SIP/2.0/UDP h;branch=1"] {
            let invite = key(&request("INVITE", via, "<sip:c@d>", "c1", 1));
            assert_eq!(
                key(&request("ACK", via, "<sip:c@d>;tag=ours", "c1", 1)),
                invite,
                "{via}"
            );
            assert_ne!(key(&request("INVITE", via, "<sip:c@d>", "c1", 2)), invite, "{via}");
            assert_ne!(
                key(&request("INVITE", "SIP/2.0/UDP x", "<sip:c@d>", "c1", 1)),
                invite,
                "{via}"
            );
        }
    }

    #[test]
    fn another_secret_gives_another_key() {
        let message = request("INVITE", "SIP/2.0/UDP h;branch=z9hG4bKa", "<sip:c@d>", "c1", 1);
        assert_ne!(server_key(&[8; 16], &message, Method::Invite), key(&message));
    }
}
