//! Lines of SIP messages: what the scripted agents read out of them and write into them.

use std::net::SocketAddr;

use bytes::Bytes;
use clapet::sip::message::{Header, Message};

/// Tag of From or To.
pub fn tag_of(message: &Message, header: Header) -> Option<String> {
    let value = match header {
        Header::To => message.to(),
        _ => message.from(),
    };
    value.and_then(|value| value.tag()).map(str::to_owned)
}

/// Branch of the topmost Via.
pub fn branch_of(message: &Message) -> String {
    message
        .via()
        .and_then(|via| via.branch())
        .unwrap_or_default()
        .to_owned()
}

pub fn with_tag(value: &str, tag: &str) -> String {
    format!("{value};tag={tag}")
}

/// The URI in angle brackets.
pub fn address_in(value: &str) -> String {
    value
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or(value, |(uri, _)| uri)
        .to_owned()
}

/// Where a SIP URI with an address points.
pub fn socket_of(uri: &str) -> SocketAddr {
    let uri = clapet::sip::message::Uri::parse(uri).unwrap_or_else(|| panic!("no URI: {uri:?}"));
    let host = uri.host_port.unwrap_or_else(|| panic!("no host in {uri:?}"));
    let address = host.ip().unwrap_or_else(|| panic!("no address in {uri:?}"));
    SocketAddr::new(address, host.port.unwrap_or(5060))
}

/// ACK of a final answer other than 2xx: the INVITE's own branch, Route and Request-URI (RFC 3261 §17.1.1.3).
pub fn ack_of_failure(invite: &Bytes, answer: &Message) -> Bytes {
    let invite = Message::parse(invite.clone()).expect("an INVITE of our own");
    let value = |header| invite.first(header).unwrap_or_default();
    let routes: String = invite
        .values(Header::Route)
        .map(|route| format!("Route: {route}\r\n"))
        .collect();
    let number = invite.cseq().map_or(0, |cseq| cseq.number);
    Bytes::from(format!(
        "ACK {} SIP/2.0\r\nVia: {}\r\nMax-Forwards: 70\r\n{routes}From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} ACK\r\n\
         Content-Length: 0\r\n\r\n",
        invite.request_uri(),
        value(Header::Via),
        value(Header::From),
        answer.first(Header::To).unwrap_or_default(),
        value(Header::CallId),
    ))
}

pub fn content(body: &str) -> String {
    if body.is_empty() {
        "Content-Length: 0\r\n\r\n".to_owned()
    } else {
        format!(
            "Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// An offer.
pub const SDP: &str =
    "v=0\r\no=pbx 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 30000 RTP/AVP 8\r\n";
