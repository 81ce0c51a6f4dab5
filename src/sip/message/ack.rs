//! What an ACK's transaction is found by, read without the rest: the ACK of a refusal is absorbed, and nothing else in it matters.
//! Never takes an ACK for another's, and leaves everything that is not spelled as nearly all spell it to [`Message`](super::Message).

use memchr::memchr;

use super::{CSeq, Header, HostPort, Method, Via};

/// See the file's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct AckSketch<'a> {
    pub call_id: &'a str,
    /// The number in CSeq.
    pub cseq: u32,
    /// Of the topmost Via.
    pub branch: &'a str,
    pub sent_by: HostPort<'a>,
}

impl<'a> AckSketch<'a> {
    /// `None` for any other message, and for an ACK that only the whole parser can read.
    pub fn read(raw: &'a [u8]) -> Option<Self> {
        let rest = raw.strip_prefix(b"ACK ")?;
        let mut rest = &rest[memchr(b'\n', rest)? + 1..];
        let (mut via, mut call_id, mut cseq) = (None, None, None);
        loop {
            let end = memchr(b'\n', rest)?;
            let line = rest[..end].strip_suffix(b"\r")?;
            rest = &rest[end + 1..];
            match Header::usual(line) {
                Some((Header::Via, length)) if via.is_none() => via = Some(read_via(value(line, length)?)?),
                Some((Header::CallId, length)) => call_id = Some(value(line, length)?),
                Some((Header::CSeq, length)) => {
                    let read = CSeq::parse(value(line, length)?)?;
                    cseq = Some(read.number).filter(|_| read.method == Method::Ack);
                }
                // The end, a folded line, or perhaps a Via in another spelling, which would then be the topmost.
                None if via.is_none() || line.first().is_none_or(|&first| first <= b' ') => return None,
                _ => {}
            }
            if let (Some((sent_by, branch)), Some(call_id), Some(cseq)) = (via, call_id, cseq) {
                return (!call_id.is_empty() && call_id.bytes().all(|byte| byte > b' ')).then_some(Self {
                    call_id,
                    cseq,
                    branch,
                    sent_by,
                });
            }
        }
    }
}

/// What stands behind the colon and one space.
fn value(line: &[u8], name: usize) -> Option<&str> {
    std::str::from_utf8(line.get(name + 1..)?).ok()?.strip_prefix(' ')
}

fn read_via(value: &str) -> Option<(HostPort<'_>, &str)> {
    let via = Via::usual(value)?;
    let branch = via.checked()?.branch;
    (!branch.is_empty()).then_some((via.sent_by, branch))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::Message;
    use super::*;

    const ACK: &str = "ACK sip:1@h SIP/2.0\r\nVia: SIP/2.0/UDP h:5070;rport;branch=z9hG4bKa\r\nVia: SIP/2.0/UDP b;branch=z9hG4bKb\r\n\
                       From: <sip:a@b>;tag=f\r\nTo: <sip:c@d>;tag=t\r\nCall-ID: c@h\r\nCSeq: 7 ACK\r\nMax-Forwards: 70\r\n\r\n";

    #[test]
    fn what_finds_its_transaction_is_read_from_an_ack_as_nearly_all_write_it() {
        let sketch = AckSketch::read(ACK.as_bytes()).expect("as usual");
        let sent_by = HostPort {
            host: "h",
            port: Some(5070),
        };
        let expected = AckSketch {
            call_id: "c@h",
            cseq: 7,
            branch: "z9hG4bKa",
            sent_by,
        };
        assert_eq!(sketch, expected);
    }

    #[test]
    fn whatever_is_spelled_otherwise_is_left_to_the_parser() {
        for (part, other) in [
            ("ACK sip", "BYE sip"),
            ("7 ACK", "7 BYE"),
            ("7 ACK", "-7 ACK"),
            ("Via: SIP/2.0/UDP h", "v: SIP/2.0/UDP h"),
            ("Via: SIP/2.0/UDP h", "Via:  SIP/2.0/UDP h"),
            (
                "Via: SIP/2.0/UDP h",
                "VIA: SIP/2.0/TCP x;branch=z\r\nVia: SIP/2.0/UDP h",
            ),
            ("Via: SIP/2.0/UDP h", "Via: SIP/2.0/TCP h"),
            ("bKa\r\n", "bKa,SIP/2.0/UDP x\r\n"),
            ("branch=z9hG4bKa", "branch="),
            (";branch=z9hG4bKa", ""),
            ("Call-ID", "Call-Id"),
            ("c@h", "c h"),
            ("c@h", ""),
            ("c@h", "c@h\r\n h"),
            ("Call-ID: c@h\r\n", ""),
            ("c@h\r\n", "c@h\n"),
        ] {
            let other = ACK.replacen(part, other, 1);
            assert_ne!(other, ACK);
            assert_eq!(AckSketch::read(other.as_bytes()), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn where_both_can_read_it_the_parser_reads_the_same(
            lines in proptest::collection::vec(
                prop_oneof![
                    Just("Via: SIP/2.0/UDP h:5070;branch=z9hG4bKa"), Just("Via: SIP/2.0/UDP x;branch=z9hG4bKb;rport"),
                    Just("v: SIP/2.0/UDP y;branch=z9hG4bKc"), Just("From: <sip:a@b>;tag=f"), Just("To: <sip:c@d>"),
                    Just("Call-ID: one"), Just("i: two"), Just("CSeq: 1 ACK"), Just("CSEQ: 2 ACK"), Just(" folded"), Just("X: y"),
                ],
                5..9,
            )
        ) {
            let text = format!("ACK sip:a@b SIP/2.0\r\n{}\r\n\r\n", lines.join("\r\n"));
            if let (Some(sketch), Ok(message)) = (AckSketch::read(text.as_bytes()), Message::parse(Bytes::from(text.clone()))) {
                let read = (message.call_id(), message.cseq_number(), message.branch(), message.sent_by());
                prop_assert_eq!((sketch.call_id, sketch.cseq, sketch.branch, Some(sketch.sent_by)), read);
            }
        }
    }
}
