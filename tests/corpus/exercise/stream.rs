//! The framer of streams.

use bytes::Bytes;
use clapet::sip::message::Message;
use clapet::sip::transport::{Frame, Framer, MAX_BODY, MAX_HEAD};

/// First byte: how many bytes come at once. The rest is what one direction of a connection carries.
pub fn stream(input: &[u8]) {
    let [step, bytes @ ..] = input else { return };
    let whole = frames(bytes, bytes.len().max(1));
    let pieces = frames(bytes, 1 + usize::from(*step));
    assert_eq!(whole, pieces, "what is read does not depend on how the bytes are split");
    let mut rest = bytes;
    for frame in whole.0 {
        let taken = match frame {
            Frame::Message(message) => {
                assert!(message.len() <= MAX_HEAD + MAX_BODY);
                assert!(rest.starts_with(&message), "a message is a piece of the stream");
                ends_where_the_parser_ends(&message, rest);
                message.len()
            }
            Frame::Ping | Frame::LineEnd => rest.iter().position(|byte| *byte == b'\n').expect("a line end") + 1,
        };
        rest = &rest[taken..];
    }
}

/// Two readers of one connection see the same messages.
fn ends_where_the_parser_ends(message: &Bytes, rest: &[u8]) {
    if let Ok(read) = Message::parse(message.clone()) {
        assert_eq!(read.raw(), message, "the parser leaves nothing over");
        let more = Message::parse(Bytes::copy_from_slice(rest)).expect("what was read is read with more behind it");
        assert_eq!(more.raw(), message, "and takes nothing of what follows");
    }
}

/// The frames, and whether the connection is then to be closed.
fn frames(bytes: &[u8], step: usize) -> (Vec<Frame>, bool) {
    let mut framer = Framer::new();
    let mut frames = Vec::new();
    for piece in bytes.chunks(step) {
        framer.buffer().extend_from_slice(piece);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}
