//! What a request is told whose stream cannot be read any further, before its connection is closed (RFC 3261 §18.3, §20.14).

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};

use super::framer::Fault;
use crate::sip::message::{Message, Response};

/// The answer to a request at fault; `None` where there is nothing to answer to: garbage, a response, an ACK.
pub(super) fn refusal(fault: &Fault, remote: SocketAddr, tag: u64) -> Option<Bytes> {
    let head = fault.head.clone()?;
    let (status, phrase) = fault.cause.answer();
    let parsed = Message::parse(head);
    let request = match &parsed {
        Ok(message) => message,
        Err(error) => error.answerable.as_deref()?,
    };
    if !request.is_request() || request.method() == crate::sip::message::Method::Ack {
        return None;
    }
    let response = Response {
        request,
        status,
        phrase,
        to_tag: &format!("{tag:016x}"),
        received_from: Some(remote),
        headers: &[],
    };
    Some(response.write(&mut BytesMut::new()))
}

#[cfg(test)]
mod tests {
    use super::super::framer::FaultCause;
    use super::*;

    fn answer(head: &str, cause: FaultCause) -> Option<String> {
        let fault = Fault {
            cause,
            head: Some(Bytes::from(head.to_owned())),
        };
        let bytes = refusal(&fault, "192.0.2.7:4000".parse().unwrap(), 7)?;
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn head(start: &str, more: &str) -> String {
        format!(
            "{start}\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKa;rport\r\nFrom: <sip:a@b>;tag=f\r\nTo: <sip:c@d>\r\nCall-ID: c\r\n\
             CSeq: 1 {}\r\n{more}\r\n",
            start.split(' ').next().unwrap()
        )
    }

    #[test]
    fn a_request_without_a_length_is_told_so() {
        let text = answer(&head("BYE sip:a SIP/2.0", ""), FaultCause::NoContentLength).unwrap();
        assert!(
            text.starts_with("SIP/2.0 400 Missing Content-Length\r\nVia: SIP/2.0/TCP h;"),
            "{text}"
        );
        assert!(
            text.contains("received=192.0.2.7") && text.contains("To: <sip:c@d>;tag="),
            "{text}"
        );
    }

    #[test]
    fn a_body_that_is_too_large_is_told_so_though_it_is_not_there() {
        let text = answer(
            &head("BYE sip:a SIP/2.0", "Content-Length: 99999\r\n"),
            FaultCause::BodyTooLarge,
        )
        .unwrap();
        assert!(text.starts_with("SIP/2.0 513 "), "{text}");
    }

    #[test]
    fn acks_responses_and_garbage_get_no_answer() {
        assert_eq!(
            answer(&head("ACK sip:a SIP/2.0", ""), FaultCause::NoContentLength),
            None
        );
        assert_eq!(answer("SIP/2.0 200 OK\r\n\r\n", FaultCause::NoContentLength), None);
        assert_eq!(answer("BYE sip:a SIP/2.0\r\n\r\n", FaultCause::NoContentLength), None);
    }
}
