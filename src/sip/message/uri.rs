//! URIs, and the host and port in them and in Vias. Borrowed views, no allocation. Numbers in them are read by `numbering`, not here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::lex::{HOST, IN_PIECE, IN_URI, all, cut, digits, find, params_of, run, split_once, trim};
use crate::sip::Transport;

/// Host and port; the host may be a name, IPv4, or IPv6 in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct HostPort<'a> {
    pub host: &'a str,
    pub port: Option<u16>,
}

impl<'a> HostPort<'a> {
    /// Parses `host [":" port]`; white space is allowed around the colon, as in a Via.
    pub fn parse(text: &'a str) -> Option<Self> {
        match Self::usual(text) {
            Some((host_port, "")) => Some(host_port),
            _ => Self::in_full(text),
        }
    }

    /// What nearly all are, in one pass: a name or IPv4 address, with a port or without, no white space. And what follows it.
    pub(super) fn usual(text: &'a str) -> Option<(Self, &'a str)> {
        let (host, rest) = text.split_at(run(text.as_bytes(), HOST));
        if host.is_empty() {
            return None;
        }
        let Some(after) = rest.strip_prefix(':') else {
            return Some((Self { host, port: None }, rest));
        };
        let (mut port, mut length) = (0_u32, 0);
        for digit in after.bytes().map(|byte| byte.wrapping_sub(b'0')).take(6) {
            if digit > 9 {
                break;
            }
            port = port * 10 + u32::from(digit);
            length += 1;
        }
        let port = u16::try_from(port).ok().filter(|_| (1..=5).contains(&length))?;
        Some((Self { host, port: Some(port) }, &after[length..]))
    }

    fn in_full(text: &'a str) -> Option<Self> {
        let (host, rest) = if text.starts_with('[') {
            text.split_at(find(text, b']')? + 1)
        } else {
            text.split_at(find(text, b':').unwrap_or(text.len()))
        };
        let (host, rest) = (trim(host), trim(rest));
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let good = match inner {
            Some(address) => {
                address.contains(':')
                    && address
                        .bytes()
                        .all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte))
            }
            None => !host.is_empty() && all(host.as_bytes(), HOST),
        };
        if !good {
            return None;
        }
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(u16::try_from(digits(trim(port))?).ok()?),
            None if rest.is_empty() => None,
            None => return None,
        };
        Some(Self { host, port })
    }

    /// The address where the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        let Some(address) = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) else {
            return self.host.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
        };
        if let Ok(address) = address.parse::<Ipv6Addr>() {
            return Some(IpAddr::V6(address));
        }
        // RFC 3261's grammar made senders write three colons before an embedded IPv4 address (RFC 5118 §4.10).
        let (head, tail) = address.split_once(":::")?;
        let mut buffer = [0_u8; 64];
        let mended = join(&mut buffer, &[head, "::", tail])?;
        mended.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    }
}

/// A URI: `sip:`, `sips:`, `tel:`, `urn:` or any other scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Uri<'a> {
    pub raw: &'a str,
    /// As written; compare case-insensitively.
    pub scheme: &'a str,
    /// User part without password, escapes as written; for `tel:` the number with its parameters; for `urn:` what follows.
    /// `None` where there is none or it is empty.
    pub user: Option<&'a str>,
    pub host_port: Option<HostPort<'a>>,
    /// From the first `;` after the host (for `tel:` after the number), without it.
    pub params: &'a str,
    /// From the `?`, without it.
    pub headers: &'a str,
}

impl<'a> Uri<'a> {
    /// Parses; `None` where no URI.
    pub fn parse(text: &'a str) -> Option<Self> {
        Self::usual(text).or_else(|| Self::in_full(text))
    }

    /// What nearly all are, in one pass: `sip:user@host`, with a port and parameters or without.
    fn usual(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text
            .split_at_checked("sip".len())
            .filter(|(scheme, _)| *scheme == "sip")?;
        let rest = rest.strip_prefix(':')?;
        let (user, rest) = rest.split_at(run(rest.as_bytes(), IN_PIECE));
        let (host_port, rest) = HostPort::usual(rest.strip_prefix('@').filter(|_| !user.is_empty())?)?;
        let params = params_of(rest)?;
        // No second `@`, and no headers.
        if !all(params.as_bytes(), IN_URI) || find(params, b'@').or(find(params, b'?')).is_some() {
            return None;
        }
        Some(Self {
            raw: text,
            scheme,
            user: Some(user),
            host_port: Some(host_port),
            params,
            headers: "",
        })
    }

    fn in_full(text: &'a str) -> Option<Self> {
        let (scheme, rest) = split_once(text, b':')?;
        if rest.is_empty() || !all(rest.as_bytes(), IN_URI) {
            return None;
        }
        let bare = Self {
            raw: text,
            scheme,
            user: None,
            host_port: None,
            params: "",
            headers: "",
        };
        if scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") {
            Self::parse_sip(bare, rest)
        } else if scheme.eq_ignore_ascii_case("tel") {
            let (_, params) = cut(rest, b';');
            Some(Self {
                user: Some(rest),
                params,
                ..bare
            })
        } else if scheme.eq_ignore_ascii_case("urn") {
            Some(Self {
                user: Some(rest),
                ..bare
            })
        } else {
            let mut letters = scheme.bytes();
            let good = letters.next()?.is_ascii_alphabetic()
                && letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
            good.then_some(bare)
        }
    }

    fn parse_sip(bare: Self, rest: &'a str) -> Option<Self> {
        let (user, rest) = match split_once(rest, b'@') {
            // A second `@` would let us and the next hop read two different users.
            Some((_, rest)) if find(rest, b'@').is_some() => return None,
            Some((userinfo, rest)) => (Some(cut(userinfo, b':').0).filter(|user| !user.is_empty()), rest),
            None => (None, rest),
        };
        let (rest, headers) = cut(rest, b'?');
        let (host_port, params) = cut(rest, b';');
        Some(Self {
            user,
            host_port: Some(HostPort::parse(host_port)?),
            params,
            headers,
            ..bare
        })
    }

    /// Value of a parameter (empty for a flag), name case-insensitive.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        // Parentheses and quotes mean nothing in a URI: every `;` separates.
        self.params
            .split(';')
            .map(|param| cut(param, b'='))
            .find(|(written, _)| same_unescaped(written, name))
            .map(|(_, value)| value)
    }

    /// Transport named by the parameter, or by the scheme (`sips`).
    pub fn transport(&self) -> Option<Transport> {
        if self.scheme.eq_ignore_ascii_case("sips") {
            return Some(Transport::Tls);
        }
        self.param("transport").and_then(transport)
    }

    /// `urn:service:sos` and its sub-services (RFC 5031).
    pub fn is_emergency_service(&self) -> bool {
        let service = self.user.unwrap_or_default();
        let sos = "service:sos";
        self.scheme.eq_ignore_ascii_case("urn")
            && service
                .get(..sos.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(sos))
            && matches!(service.as_bytes().get(sos.len()), None | Some(b'.'))
    }
}

/// By name, as in a Via or a `transport` parameter; case-insensitive.
pub(super) fn transport(name: &str) -> Option<Transport> {
    [
        ("udp", Transport::Udp),
        ("tcp", Transport::Tcp),
        ("tls", Transport::Tls),
    ]
    .into_iter()
    .find(|(known, _)| name.eq_ignore_ascii_case(known))
    .map(|(_, transport)| transport)
}

/// `%6C%72` is `lr` (RFC 3261 §19.1.4).
fn same_unescaped(written: &str, name: &str) -> bool {
    if find(written, b'%').is_none() {
        return written.eq_ignore_ascii_case(name);
    }
    let bytes = written.as_bytes();
    let mut at = 0;
    let unescaped = std::iter::from_fn(|| {
        let &byte = bytes.get(at)?;
        let hex = |offset: usize| bytes.get(at + offset).and_then(|&digit| char::from(digit).to_digit(16));
        let (byte, width) = match (byte, hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => (u8::try_from(high * 16 + low).unwrap_or(b'%'), 3),
            _ => (byte, 1),
        };
        at += width;
        Some(byte.to_ascii_lowercase())
    });
    unescaped.eq(name.bytes().map(|byte| byte.to_ascii_lowercase()))
}

fn join<'b>(buffer: &'b mut [u8], parts: &[&str]) -> Option<&'b str> {
    let mut at = 0;
    for part in parts {
        buffer.get_mut(at..at + part.len())?.copy_from_slice(part.as_bytes());
        at += part.len();
    }
    std::str::from_utf8(&buffer[..at]).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sip_uris_are_taken_apart() {
        let uri =
            Uri::parse("sip:+33612345678;npdi@proxy.example.net:5070;user=phone;Transport=TCP?Subject=x").unwrap();
        assert_eq!(uri.user, Some("+33612345678;npdi"));
        assert_eq!(
            uri.host_port,
            Some(HostPort {
                host: "proxy.example.net",
                port: Some(5070)
            })
        );
        assert_eq!(uri.params, "user=phone;Transport=TCP");
        assert_eq!(uri.headers, "Subject=x");
        assert_eq!((uri.param("USER"), uri.param("absent")), (Some("phone"), None));
        assert_eq!(uri.transport(), Some(Transport::Tcp));
    }

    #[test]
    fn passwords_are_no_part_of_the_user() {
        assert_eq!(Uri::parse("sip:alice:secret@example.net").unwrap().user, Some("alice"));
        assert_eq!(Uri::parse("sip:@example.net").unwrap().user, None);
        assert_eq!(Uri::parse("sip:example.net").unwrap().user, None);
    }

    #[test]
    fn escapes_are_left_as_written() {
        let uri = Uri::parse("sip:sips%3Auser%40example.com@example.net;%6C%72;n%61me=v%61lue").unwrap();
        assert_eq!(uri.user, Some("sips%3Auser%40example.com"));
        assert_eq!(
            uri.param("lr"),
            Some(""),
            "names are compared unescaped (RFC 3261 §19.1.4)"
        );
        assert_eq!(uri.param("name"), Some("v%61lue"));
    }

    #[test]
    fn parentheses_in_a_uri_hide_no_parameter() {
        assert_eq!(Uri::parse("sip:h;x=(a;lr").unwrap().param("lr"), Some(""));
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        for (text, ip, port) in [
            ("192.0.2.1", Some("192.0.2.1"), None),
            ("192.0.2.1:5060", Some("192.0.2.1"), Some(5060)),
            ("[2001:db8::1]", Some("2001:db8::1"), None),
            ("[2001:db8::1]:5070", Some("2001:db8::1"), Some(5070)),
            ("[2001:db8::10:5070]", Some("2001:db8::10:5070"), None),
            ("[::ffff:192.0.2.10]:19823", Some("::ffff:192.0.2.10"), Some(19823)),
            ("[2001:db8:::192.0.2.1]", Some("2001:db8::c000:201"), None),
            ("node_1.example.net : 5060", None, Some(5060)),
        ] {
            let host = HostPort::parse(text).unwrap();
            assert_eq!(host.ip().map(|ip| ip.to_string()).as_deref(), ip, "{text}");
            assert_eq!(host.port, port, "{text}");
        }
        for text in [
            "",
            ":5060",
            "a:",
            "a:b",
            "a:+1",
            "a:65536",
            "a b",
            "2001:db8::10",
            "[2001:db8::1",
            "[]",
            "[::1]x",
            "a]",
            "a:1:2",
            "é.fr",
            "[host]",
        ] {
            assert_eq!(HostPort::parse(text), None, "{text}");
        }
    }

    #[test]
    fn other_schemes_pass() {
        let tel = Uri::parse("tel:0612345678;phone-context=+33").unwrap();
        assert_eq!(tel.user, Some("0612345678;phone-context=+33"));
        assert_eq!(tel.param("phone-context"), Some("+33"));
        assert_eq!(Uri::parse("soap.beep://192.0.2.103:3002").unwrap().scheme, "soap.beep");
        assert_eq!(Uri::parse("SIPS:a@b").unwrap().transport(), Some(Transport::Tls));
        assert_eq!(Uri::parse("sip:a@b;transport=sctp").unwrap().transport(), None);
    }

    #[test]
    fn emergency_services_are_recognised() {
        for (text, expected) in [
            ("urn:service:sos", true),
            ("URN:Service:SOS.fire", true),
            ("urn:service:sosoon", false),
            ("urn:service:counseling", false),
            ("urn:service:s\u{f6}s", false),
            ("sip:service:sos@example.net", false),
        ] {
            assert_eq!(Uri::parse(text).unwrap().is_emergency_service(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        for text in [
            "",
            "alice",
            ":a@b",
            "1sip:a@b",
            "sip:",
            "tel:",
            "sip:a b@c",
            "sip:a@b; lr",
            "<sip:a@b>",
            "sip:a@b@c",
            "sip:a@b;x=@c",
            "sip:a@",
            "sip:a@b:port",
            "sip:a\u{7f}@b",
            "sip:2001:db8::10",
        ] {
            assert_eq!(Uri::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn the_usual_is_read_as_in_full(text in "(sip|sips|SIP|tel)?:?[a1+]{0,10}[@;:? ]?[a1.]{0,12}[:\\[ ]?[0-9]{0,6}[;?@]?[a=@?;,]{0,4}") {
            if let Some(usual) = Uri::usual(&text) {
                prop_assert_eq!(Some(usual), Uri::in_full(&text));
            }
            if let Some((usual, "")) = HostPort::usual(&text) {
                prop_assert_eq!(Some(usual), HostPort::in_full(&text));
            }
        }

        #[test]
        fn a_uri_put_together_is_taken_apart(user in "[a-z0-9+;=%]{1,12}", host in "[a-z0-9.-]{1,12}", port in any::<u16>(), value in "[a-z0-9]{1,5}") {
            let text = format!("sip:{user}@{host}:{port};p={value}");
            let uri = Uri::parse(&text).unwrap();
            prop_assert_eq!(uri.user, Some(&*user));
            prop_assert_eq!(uri.host_port, Some(HostPort { host: &host, port: Some(port) }));
            prop_assert_eq!(uri.param("P"), Some(&*value));
        }
    }
}
