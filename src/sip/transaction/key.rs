//! How a message finds its transaction (RFC 3261 §17.1.3, §17.2.3): a keyed hash of what the RFC compares, so that no string is kept
//! and nobody outside can make two transactions collide.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::sip::message::{Message, Method};

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
    let mut hasher = SipHasher13::new_with_key(secret);
    let mut field = |bytes: &[u8]| {
        hasher.write(bytes);
        // A byte that stands in no field keeps two fields from running into each other.
        hasher.write_u8(b'\n');
    };
    let method_name = match method {
        Method::Ack | Method::Invite => "INVITE",
        Method::Cancel => "CANCEL",
        _ => request.method_name(),
    };
    field(method_name.as_bytes());
    field(request.call_id().as_bytes());
    field(&request.cseq_number().to_be_bytes());
    let branch = request.branch();
    if has_cookie(branch) {
        field(branch.as_bytes());
        if let Some(sent_by) = request.sent_by() {
            lowercase(sent_by.host, &mut field);
            field(&sent_by.port.unwrap_or(0).to_be_bytes());
        }
    } else if let Some(via) = request.via() {
        field(request.request_uri().as_bytes());
        field(request.from_tag().as_bytes());
        field(via.raw.as_bytes());
    }
    ServerKey(hasher.finish128().as_u128())
}

/// The cookie is compared without regard to case, as some senders change it.
fn has_cookie(branch: &str) -> bool {
    branch
        .get(..MAGIC_COOKIE.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(MAGIC_COOKIE))
}

/// Host names differ in case between a request and its CANCEL from some senders; they are at most this long (RFC 1035 §2.3.4).
fn lowercase(host: &str, field: &mut impl FnMut(&[u8])) {
    let mut buffer = [0_u8; 255];
    match buffer.get_mut(..host.len()) {
        Some(copy) => {
            copy.copy_from_slice(host.as_bytes());
            copy.make_ascii_lowercase();
            field(copy);
        }
        None => field(host.as_bytes()),
    }
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
