//! What a stream is split into, however its bytes arrive.

use proptest::prelude::*;

use super::*;
use crate::sip::message::Message;

fn message(call: &str, body: &str) -> String {
    format!(
        "MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=f\r\nTo: <sip:c@d>\r\n\
         Call-ID: {call}\r\nCSeq: 1 MESSAGE\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// All frames of the stream, its bytes arriving in pieces of the given sizes, the last size for the rest.
fn frames(stream: &[u8], pieces: &[usize]) -> (Vec<Frame>, Option<Fault>) {
    let mut framer = Framer::new();
    let (mut frames, mut rest, mut turn) = (Vec::new(), stream, 0);
    while !rest.is_empty() {
        let size = pieces.get(turn).or(pieces.last()).copied().unwrap_or(rest.len());
        let (piece, after) = rest.split_at(size.clamp(1, rest.len()));
        (rest, turn) = (after, turn + 1);
        framer.buffer().extend_from_slice(piece);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(fault) => return (frames, Some(fault)),
            }
        }
    }
    (frames, None)
}

fn whole(stream: &[u8]) -> (Vec<Frame>, Option<Fault>) {
    frames(stream, &[])
}

fn cause(stream: &str) -> Option<FaultCause> {
    whole(stream.as_bytes()).1.map(|fault| fault.cause)
}

#[test]
fn messages_are_cut_at_their_content_length() {
    let (one, two) = (message("1", "hello"), message("2", ""));
    let (found, fault) = whole(format!("{one}{two}").as_bytes());
    assert_eq!(fault, None);
    assert_eq!(found, [Frame::Message(one.into()), Frame::Message(two.into())]);
}

#[test]
fn a_length_is_read_in_every_form_of_its_header() {
    for header in [
        "Content-Length: 2",
        "content-LENGTH  :2",
        "l:2",
        "L : 02",
        "Content-Length:\r\n 2",
        "Content-Length: 2\r\nX: y",
        "Content-Length: 2\r\nl: 2",
    ] {
        for line_end in ["\r\n", "\n"] {
            let text = format!("BYE sip:a SIP/2.0\r\n{header}\r\n\r\nok").replace("\r\n", line_end);
            assert_eq!(
                whole(text.as_bytes()),
                (vec![Frame::Message(text.clone().into())], None),
                "{text:?}"
            );
        }
    }
}

#[test]
fn a_stream_needs_a_content_length() {
    let text = "BYE sip:a SIP/2.0\r\nX-Content-Length: 0\r\n\r\nBYE";
    let fault = whole(text.as_bytes()).1.expect("a fault");
    assert_eq!(fault.cause, FaultCause::NoContentLength);
    assert_eq!(fault.head.as_deref(), text.strip_suffix("BYE").map(str::as_bytes));
    for length in [
        "",
        "-1",
        "+2",
        "0x2",
        "2 2",
        "2,2",
        "99999999999999999999",
        "2\r\nContent-Length: 3",
    ] {
        let text = format!("BYE sip:a SIP/2.0\r\nContent-Length: {length}\r\n\r\nok");
        assert_eq!(cause(&text), Some(FaultCause::BadContentLength), "{length}");
    }
}

#[test]
fn what_is_too_large_is_refused_before_it_is_stored() {
    let body = |length: usize| format!("BYE sip:a SIP/2.0\r\nContent-Length: {length}\r\n\r\n");
    assert_eq!(cause(&body(MAX_BODY)), None);
    assert_eq!(cause(&body(MAX_BODY + 1)), Some(FaultCause::BodyTooLarge));
    let head = |length: usize| {
        let text = "BYE sip:a SIP/2.0\r\nContent-Length: 0\r\nX: \r\n\r\n";
        text.replace("X: ", &format!("X: {}", "x".repeat(length - text.len())))
    };
    assert_eq!(cause(&head(MAX_HEAD)), None);
    assert_eq!(cause(&head(MAX_HEAD + 1)), Some(FaultCause::HeadTooLarge));
    let endless = format!("BYE sip:a SIP/2.0\r\nX: {}", "x".repeat(MAX_HEAD));
    let (found, fault) = frames(endless.as_bytes(), &[1000]);
    assert_eq!(
        (found, fault.map(|fault| fault.cause)),
        (vec![], Some(FaultCause::HeadTooLarge))
    );
}

#[test]
fn what_is_no_sip_is_known_at_its_first_line() {
    for garbage in [
        "GET / HTTP/1.1\r\n",
        "\x16\x03\x01\x02\x00\x01",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "hello\r\n",
        " INVITE sip:a SIP/2.0\r\n",
        "\rINVITE sip:a SIP/2.0\r\n",
        "SIP\r\n",
        &"x".repeat(100),
        &format!("INVITE {}", "x".repeat(MAX_START_LINE)),
    ] {
        assert_eq!(cause(garbage), Some(FaultCause::Garbage), "{garbage:?}");
    }
    for begin in [
        "INVITE sip:a SIP/2.0\r\n",
        "SIP/2.0 200 OK\r\n",
        "sip/2.0 200 \n",
        "INV",
        "\r",
    ] {
        assert_eq!(cause(begin), None, "{begin:?}");
    }
}

#[test]
fn line_ends_between_messages_keep_alive() {
    let text = message("1", "\r\n\r\n");
    let stream = format!("\r\n\r\n{text}\r\n{text}\r\n\r\n\r\n\r\n");
    let message = Frame::Message(text.into());
    let expected = [
        Frame::LineEnd,
        Frame::Ping,
        message.clone(),
        Frame::LineEnd,
        message,
        Frame::LineEnd,
        Frame::Ping,
        Frame::LineEnd,
        Frame::Ping,
    ];
    assert_eq!(whole(stream.as_bytes()), (expected.to_vec(), None));
}

/// Bytes that meet at every turn of the framer, and some that are whole messages.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => "[a-z]{0,3}".prop_map(|body| message("c", &body).into_bytes()),
        2 => prop::sample::select(vec!["\r\n", "\r\n\r\n", "\n", "\r", " ", ":", "l: 3", "Content-Length: 9", "SIP/2.0 200 OK",
            "BYE sip:a SIP/2.0", "Content-Length: 18446744073709551616", "Content-Length:\r\n 1"]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_split_of_the_stream_gives_the_same_frames(stream in streams(), pieces in prop::collection::vec(1_usize..40, 1..30)) {
        prop_assert_eq!(frames(&stream, &pieces), whole(&stream));
        prop_assert_eq!(frames(&stream, &[1]), whole(&stream));
    }

    #[test]
    fn a_frame_is_a_message_to_its_last_byte_for_the_parser_too(stream in streams()) {
        for frame in whole(&stream).0 {
            let Frame::Message(bytes) = frame else { continue };
            if let Ok(message) = Message::parse(bytes.clone()) {
                prop_assert_eq!(message.raw(), &bytes);
            }
        }
    }

    #[test]
    fn nothing_is_buffered_beyond_a_whole_message(stream in streams(), more in 1_usize..100) {
        let stream = [stream, b"x".repeat(more)].concat();
        let mut framer = Framer::new();
        for byte in stream {
            framer.buffer().extend_from_slice(&[byte]);
            // After a fault too.
            while let Ok(Some(_)) = framer.next_frame() {}
            prop_assert!(framer.buffer().len() <= MAX_HEAD + MAX_BODY);
        }
    }
}
