//! URIs, name-addrs, Vias, CSeqs and comma-separated values.

use clapet::sip::message::{CSeq, HostPort, NameAddr, Uri, Via, split_values};

/// One header value, or one Request-URI.
pub fn uri(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(uri) = Uri::parse(text) {
        taken_apart(&uri, text);
    }
    if let Some(address) = NameAddr::parse(text) {
        taken_apart(&address.uri, text);
        for part in [address.display.unwrap_or_default(), address.params] {
            part_of(part, text);
        }
        for name in ["tag", "expires", "q", ""] {
            part_of(address.param(name).unwrap_or_default(), text);
        }
        assert!(address.tag().is_none_or(|tag| !tag.is_empty()));
        // One address is one value, so that a list of them is split where it was joined.
        if address.display.is_none() && text.trim_start().starts_with('<') {
            assert!(split_values(text).count() <= 1 + text.matches(',').count());
        }
    }
    if let Some(via) = Via::parse(text) {
        part_of(via.raw, text);
        part_of(via.params, text);
        host(&via.sent_by);
        for name in ["branch", "received", "rport", "maddr"] {
            part_of(via.param(name).unwrap_or_default(), text);
        }
        assert_eq!(Via::parse(via.raw), Some(via), "what was read is read again");
    }
    if let Some(cseq) = CSeq::parse(text) {
        assert!(cseq.number < 1 << 31);
        assert_eq!(CSeq::parse(&format!("{} {}", cseq.number, cseq.name)), Some(cseq));
    }
    if let Some(found) = HostPort::parse(text) {
        host(&found);
    }
    let mut end = 0;
    for value in split_values(text) {
        let at = value.as_ptr() as usize - text.as_ptr() as usize;
        assert!(
            end <= at && at + value.len() <= text.len(),
            "values stand one after the other"
        );
        assert_eq!(value, value.trim_matches([' ', '\t', '\r', '\n']));
        end = at + value.len();
    }
}

fn taken_apart(uri: &Uri<'_>, text: &str) {
    for part in [
        uri.raw,
        uri.scheme,
        uri.user.unwrap_or_default(),
        uri.params,
        uri.headers,
    ] {
        part_of(part, text);
    }
    assert_eq!(Uri::parse(uri.raw), Some(*uri), "what was read is read again");
    assert!(uri.user.is_none_or(|user| !user.is_empty()));
    for name in ["transport", "lr", "maddr", "user", "phone-context", ""] {
        part_of(uri.param(name).unwrap_or_default(), text);
    }
    let _ = (uri.transport(), uri.is_emergency_service());
    if let Some(found) = &uri.host_port {
        host(found);
    }
}

fn host(found: &HostPort<'_>) {
    assert!(!found.host.is_empty());
    let written = match found.port {
        Some(port) => format!("{}:{port}", found.host),
        None => found.host.to_owned(),
    };
    assert_eq!(HostPort::parse(&written), Some(*found));
    let _ = found.ip();
}

fn part_of(part: &str, text: &str) {
    let (text, part) = (text.as_bytes().as_ptr_range(), part.as_bytes());
    assert!(
        part.is_empty() || (text.start <= part.as_ptr() && part.as_ptr_range().end <= text.end),
        "a part lies in its text"
    );
}
