//! Which worker a message belongs to: all messages of one call meet in one worker, found by Call-ID.

use std::hash::Hasher;

use memchr::memchr;
use siphasher::sip::SipHasher13;

/// Spreads calls over workers, by a keyed hash, so that no peer can choose Call-IDs that all meet in one.
#[derive(Clone, Debug)]
pub(crate) struct Shards {
    key: [u8; 16],
    workers: usize,
}

impl Shards {
    pub(crate) fn new(secret: &[u8; 32], workers: usize) -> Self {
        let mut key = [0; 16];
        key.copy_from_slice(&secret[16..]);
        Self { key, workers }
    }

    /// The worker for a message; `None` where any will do, since there is one worker only or no Call-ID to go by.
    pub(crate) fn worker_of(&self, message: &[u8]) -> Option<usize> {
        if self.workers == 1 {
            return None;
        }
        let call_id = call_id(message)?;
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(call_id);
        usize::try_from(hasher.finish() % self.workers as u64).ok()
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
    use super::*;

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
        let shards = Shards::new(&[7; 32], 4);
        let mut calls = [0_u32; 4];
        for number in 0..400 {
            let request = format!("INVITE sip:a SIP/2.0\r\nCall-ID: {number}@pbx\r\n\r\n");
            let response = format!("SIP/2.0 200 OK\r\nVia: x\r\ni: {number}@pbx\r\n\r\n");
            let worker = shards.worker_of(request.as_bytes()).expect("has a Call-ID");
            assert_eq!(shards.worker_of(response.as_bytes()), Some(worker));
            calls[worker] += 1;
        }
        assert!(calls.iter().all(|calls| (60..140).contains(calls)), "{calls:?}");
    }

    #[test]
    fn one_worker_looks_at_nothing() {
        assert_eq!(
            Shards::new(&[7; 32], 1).worker_of(b"BYE sip:a SIP/2.0\r\nCall-ID: a\r\n\r\n"),
            None
        );
    }
}
