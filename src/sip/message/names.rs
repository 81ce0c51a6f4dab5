//! Names of methods and headers, long and compact, as bytes on the wire. Read by the parser and by edits; holds no message.

use super::lex::{TOKEN, all};
use super::{Header, Method};

impl Method {
    /// By name; case-sensitive (RFC 3261 §7.1).
    pub fn from_name(name: &str) -> Self {
        match name {
            "INVITE" => Self::Invite,
            "ACK" => Self::Ack,
            "BYE" => Self::Bye,
            "CANCEL" => Self::Cancel,
            "REGISTER" => Self::Register,
            "OPTIONS" => Self::Options,
            "PRACK" => Self::Prack,
            "UPDATE" => Self::Update,
            "INFO" => Self::Info,
            "REFER" => Self::Refer,
            "NOTIFY" => Self::Notify,
            "SUBSCRIBE" => Self::Subscribe,
            "PUBLISH" => Self::Publish,
            "MESSAGE" => Self::Message,
            _ => Self::Other,
        }
    }

    /// Name on the wire; `OTHER` for those we do not know (their name is in the start line). Good as a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Register => "REGISTER",
            Self::Options => "OPTIONS",
            Self::Prack => "PRACK",
            Self::Update => "UPDATE",
            Self::Info => "INFO",
            Self::Refer => "REFER",
            Self::Notify => "NOTIFY",
            Self::Subscribe => "SUBSCRIBE",
            Self::Publish => "PUBLISH",
            Self::Message => "MESSAGE",
            Self::Other => "OTHER",
        }
    }
}

impl Header {
    /// The header whose line this is, and the length of its name, where the name is spelled as the RFC does and the colon follows at
    /// once: nearly always, for those that nearly all messages have.
    pub(super) fn usual(line: &[u8]) -> Option<(Self, usize)> {
        macro_rules! spelled {
            ($($header:ident $name:literal),*) => {{
                // Against a text that is known to the compiler, which makes it one or two comparisons of words.
                $(if line.starts_with($name) {
                    return Some((Self::$header, $name.len() - 1));
                })*
                None
            }};
        }
        match line.first()? {
            b'V' => spelled!(Via b"Via:"),
            b'F' => spelled!(From b"From:"),
            b'T' => spelled!(To b"To:"),
            b'C' => spelled!(
                CSeq b"CSeq:", CallId b"Call-ID:", Contact b"Contact:",
                ContentLength b"Content-Length:", ContentType b"Content-Type:"
            ),
            b'M' => spelled!(MaxForwards b"Max-Forwards:"),
            b'R' => spelled!(Route b"Route:", RecordRoute b"Record-Route:"),
            b'S' => spelled!(Supported b"Supported:"),
            b'P' => spelled!(PAssertedIdentity b"P-Asserted-Identity:", Privacy b"Privacy:"),
            _ => None,
        }
    }

    /// By name, long or compact, in any case (RFC 3261 §7.3.1, §7.3.3).
    pub fn from_name(name: &[u8]) -> Self {
        let name = canonical(name);
        // The length leaves at most four candidates, so most headers cost one or two comparisons.
        let candidates: &[Self] = match name.len() {
            2 => &[Self::To],
            3 => &[Self::Via],
            4 => &[Self::CSeq, Self::From],
            5 => &[Self::Route],
            6 => &[Self::Reason],
            7 => &[Self::Contact, Self::CallId, Self::Require, Self::Privacy, Self::Warning],
            8 => &[Self::Identity],
            9 => &[Self::Supported, Self::Timestamp],
            11 => &[Self::RetryAfter, Self::MaxBreadth, Self::Unsupported],
            12 => &[Self::MaxForwards, Self::ContentType, Self::RecordRoute],
            13 => &[Self::Authorization, Self::ProxyRequire],
            14 => &[Self::ContentLength],
            16 => &[Self::WwwAuthenticate],
            18 => &[Self::ProxyAuthenticate],
            19 => &[Self::PAssertedIdentity, Self::ProxyAuthorization],
            20 => &[Self::PPreferredIdentity],
            _ => &[],
        };
        candidates
            .iter()
            .copied()
            // Most senders spell as the RFC does.
            .find(|header| {
                let known = header.as_str().as_bytes();
                name == known || name.eq_ignore_ascii_case(known)
            })
            .unwrap_or(Self::Other)
    }

    /// Long name; empty for `Other`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Via => "Via",
            Self::From => "From",
            Self::To => "To",
            Self::CallId => "Call-ID",
            Self::CSeq => "CSeq",
            Self::MaxForwards => "Max-Forwards",
            Self::Route => "Route",
            Self::RecordRoute => "Record-Route",
            Self::Contact => "Contact",
            Self::ContentLength => "Content-Length",
            Self::ContentType => "Content-Type",
            Self::Require => "Require",
            Self::ProxyRequire => "Proxy-Require",
            Self::Supported => "Supported",
            Self::Unsupported => "Unsupported",
            Self::PAssertedIdentity => "P-Asserted-Identity",
            Self::PPreferredIdentity => "P-Preferred-Identity",
            Self::Privacy => "Privacy",
            Self::Reason => "Reason",
            Self::RetryAfter => "Retry-After",
            Self::MaxBreadth => "Max-Breadth",
            Self::Warning => "Warning",
            Self::Authorization => "Authorization",
            Self::ProxyAuthorization => "Proxy-Authorization",
            Self::WwwAuthenticate => "WWW-Authenticate",
            Self::ProxyAuthenticate => "Proxy-Authenticate",
            Self::Identity => "Identity",
            Self::Timestamp => "Timestamp",
            Self::Other => "",
        }
    }

    /// Its bit in a set of headers.
    pub(super) fn bit(self) -> u32 {
        1 << (self as u8)
    }

    /// May stand only once in a message the proxy acts on: two of them would be read differently by us and by the next hop.
    pub(super) fn is_single(self) -> bool {
        matches!(
            self,
            Self::From | Self::To | Self::CallId | Self::CSeq | Self::MaxForwards | Self::ContentLength
        )
    }

    /// The proxy decides by this header, so that its text must be readable. Others may hold any bytes and are passed on.
    pub(super) fn is_needed(self) -> bool {
        self.is_single()
            || matches!(
                self,
                Self::Via
                    | Self::Route
                    | Self::RecordRoute
                    | Self::Require
                    | Self::ProxyRequire
                    | Self::PAssertedIdentity
                    | Self::PPreferredIdentity
                    | Self::Privacy
            )
    }
}

/// Are these two names of one header? Case and compact forms are seen through.
pub(super) fn same_name(one: &[u8], other: &[u8]) -> bool {
    canonical(one).eq_ignore_ascii_case(canonical(other))
}

/// The long name of a compact form (IANA "SIP Parameters", Header Fields); any other name as it is.
fn canonical(name: &[u8]) -> &[u8] {
    let &[letter] = name else { return name };
    match letter.to_ascii_lowercase() {
        b'a' => b"Accept-Contact",
        b'b' => b"Referred-By",
        b'c' => b"Content-Type",
        b'd' => b"Request-Disposition",
        b'e' => b"Content-Encoding",
        b'f' => b"From",
        b'i' => b"Call-ID",
        b'j' => b"Reject-Contact",
        b'k' => b"Supported",
        b'l' => b"Content-Length",
        b'm' => b"Contact",
        b'o' => b"Event",
        b'r' => b"Refer-To",
        b's' => b"Subject",
        b't' => b"To",
        b'u' => b"Allow-Events",
        b'v' => b"Via",
        b'x' => b"Session-Expires",
        b'y' => b"Identity",
        _ => name,
    }
}

/// A token (RFC 3261 §25.1).
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && all(text, TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_header_is_found_by_its_own_name_in_any_case() {
        for number in 0..Header::Other as u8 {
            let header = ALL[usize::from(number)];
            let name = header.as_str();
            assert_eq!(header as u8, number);
            assert_eq!(Header::from_name(name.as_bytes()), header, "{name}");
            let usual = Header::usual(format!("{name}: {name}").as_bytes());
            assert!(usual.is_none_or(|usual| usual == (header, name.len())), "{name}");
            assert_eq!(Header::usual(format!("{name} :").as_bytes()), None, "{name}");
            assert_eq!(
                Header::from_name(name.to_ascii_uppercase().as_bytes()),
                header,
                "{name}"
            );
            assert_eq!(
                Header::from_name(name.to_ascii_lowercase().as_bytes()),
                header,
                "{name}"
            );
        }
    }

    #[test]
    fn compact_forms_name_the_same_header() {
        for (compact, header) in [
            ("v", Header::Via),
            ("F", Header::From),
            ("t", Header::To),
            ("i", Header::CallId),
            ("m", Header::Contact),
            ("L", Header::ContentLength),
            ("c", Header::ContentType),
            ("k", Header::Supported),
            ("y", Header::Identity),
            ("s", Header::Other),
        ] {
            assert_eq!(Header::from_name(compact.as_bytes()), header, "{compact}");
        }
        assert!(same_name(b"s", b"SUBJECT"));
        assert!(!same_name(b"s", b"Supported"));
    }

    #[test]
    fn methods_are_case_sensitive() {
        assert_eq!(Method::from_name("INVITE"), Method::Invite);
        assert_eq!(Method::from_name("invite"), Method::Other);
        for method in [
            Method::Ack,
            Method::Bye,
            Method::Cancel,
            Method::Message,
            Method::Publish,
        ] {
            assert_eq!(Method::from_name(method.as_str()), method);
        }
    }

    const ALL: [Header; Header::Other as usize] = [
        Header::Via,
        Header::From,
        Header::To,
        Header::CallId,
        Header::CSeq,
        Header::MaxForwards,
        Header::Route,
        Header::RecordRoute,
        Header::Contact,
        Header::ContentLength,
        Header::ContentType,
        Header::Require,
        Header::ProxyRequire,
        Header::Supported,
        Header::Unsupported,
        Header::PAssertedIdentity,
        Header::PPreferredIdentity,
        Header::Privacy,
        Header::Reason,
        Header::RetryAfter,
        Header::MaxBreadth,
        Header::Warning,
        Header::Authorization,
        Header::ProxyAuthorization,
        Header::WwwAuthenticate,
        Header::ProxyAuthenticate,
        Header::Identity,
        Header::Timestamp,
    ];
}
