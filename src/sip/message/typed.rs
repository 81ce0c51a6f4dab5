//! Typed, borrowed views of values: URI, name-addr, Via, CSeq. No allocation.
//!
//! Reading is as liberal as it can be without two readers seeing different things: white space and folding wherever the
//! grammar has LWS, any visible character in a user part; but never a second `@`, a stray comma, or an open quote.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Method;
use super::lex::{Params, cut, is_lws, params_are_well_formed, trim, unquote};
use super::names::is_token;
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
        let (host, rest) = if text.starts_with('[') {
            text.split_at(text.find(']')? + 1)
        } else {
            text.split_at(text.find(':').unwrap_or(text.len()))
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
            // The underscore is in no RFC, but in many host names of containers and test rigs.
            None => {
                !host.is_empty()
                    && host
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
            }
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
        let (scheme, rest) = text.split_once(':')?;
        let mut letters = scheme.bytes();
        let good = letters.next()?.is_ascii_alphabetic()
            && letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && !rest.is_empty()
            && !text
                .bytes()
                .any(|byte| byte <= b' ' || byte == 0x7f || b"<>\"".contains(&byte));
        if !good {
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
            Some(bare)
        }
    }

    fn parse_sip(bare: Self, rest: &'a str) -> Option<Self> {
        let (user, rest) = match rest.split_once('@') {
            // A second `@` would let us and the next hop read two different users.
            Some((_, rest)) if rest.contains('@') => return None,
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

/// A name-addr or addr-spec with header parameters (From, To, Contact, Route, P-Asserted-Identity).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct NameAddr<'a> {
    /// Without its quotes; escapes and folding as written.
    pub display: Option<&'a str>,
    pub uri: Uri<'a>,
    /// Parameters after the URI, without the first `;`.
    pub params: &'a str,
}

impl<'a> NameAddr<'a> {
    /// Parses; `None` where malformed.
    pub fn parse(value: &'a str) -> Option<Self> {
        let value = trim(value);
        let (display, rest) = if let Some(quoted) = value.strip_prefix('"') {
            let (display, rest) = unquote(quoted)?;
            let rest = trim(rest);
            if !rest.starts_with('<') {
                return None;
            }
            (Some(display), rest)
        } else {
            match value.find('<') {
                Some(at) => {
                    let display = trim(&value[..at]);
                    // What could be taken for a second value or for an addr-spec of its own must be quoted.
                    if display.bytes().any(|byte| b",;:\">".contains(&byte)) {
                        return None;
                    }
                    (Some(display).filter(|display| !display.is_empty()), &value[at..])
                }
                None => return Self::parse_addr_spec(value),
            }
        };
        let (uri, rest) = rest.strip_prefix('<')?.split_once('>')?;
        let rest = trim(rest);
        let params = match rest.strip_prefix(';') {
            Some(params) => params,
            None if rest.is_empty() => "",
            None => return None,
        };
        Some(Self {
            display,
            uri: Uri::parse(uri)?,
            params,
        })
    }

    /// Without angle brackets every `;` starts a header parameter, and `?` and `,` may not stand (RFC 3261 §20).
    fn parse_addr_spec(value: &'a str) -> Option<Self> {
        let (uri, params) = cut(value, b';');
        let uri = trim(uri);
        if uri.bytes().any(|byte| b"?,".contains(&byte)) || params.contains('@') {
            return None;
        }
        Some(Self {
            display: None,
            uri: Uri::parse(uri)?,
            params,
        })
    }

    /// Value of a header parameter, without quotes.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        Params::new(self.params).value(name)
    }

    /// The tag.
    pub fn tag(&self) -> Option<&'a str> {
        self.param("tag").filter(|tag| !tag.is_empty())
    }

    /// Its parameters follow the grammar, and there is one tag at most.
    pub(super) fn is_well_formed(&self) -> bool {
        params_are_well_formed(self.params, "tag")
    }
}

/// One Via value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Via<'a> {
    pub raw: &'a str,
    /// `None`: a transport we do not know.
    pub transport: Option<Transport>,
    pub sent_by: HostPort<'a>,
    pub params: &'a str,
}

impl<'a> Via<'a> {
    /// Parses; `None` where malformed. The version may be another than 2.0, so that a request of SIP/7.0 can be answered.
    pub fn parse(value: &'a str) -> Option<Self> {
        let raw = trim(value);
        let (protocol, rest) = raw.split_once('/')?;
        let (version, rest) = rest.split_once('/')?;
        let rest = trim(rest);
        let (name, rest) = rest.split_at(rest.bytes().position(is_lws)?);
        if !trim(protocol).eq_ignore_ascii_case("SIP")
            || !is_token(trim(version).as_bytes())
            || !is_token(name.as_bytes())
        {
            return None;
        }
        let (sent_by, params) = cut(rest, b';');
        Some(Self {
            raw,
            transport: transport(name),
            sent_by: HostPort::parse(trim(sent_by))?,
            params,
        })
    }

    /// Value of a parameter (empty for a flag such as `rport`).
    pub fn param(&self, name: &str) -> Option<&'a str> {
        Params::new(self.params).value(name)
    }

    /// The branch.
    pub fn branch(&self) -> Option<&'a str> {
        self.param("branch").filter(|branch| !branch.is_empty())
    }

    /// Its parameters follow the grammar, there is one branch at most, and it is more than the magic cookie.
    pub(super) fn is_well_formed(&self) -> bool {
        params_are_well_formed(self.params, "branch") && self.branch() != Some("z9hG4bK")
    }
}

/// CSeq: number and method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct CSeq<'a> {
    pub number: u32,
    pub method: Method,
    pub name: &'a str,
}

impl<'a> CSeq<'a> {
    /// Parses; `None` where malformed or over 2^31-1.
    pub fn parse(value: &'a str) -> Option<Self> {
        let value = trim(value);
        let (number, name) = value.split_at(value.bytes().position(is_lws)?);
        let number = u32::try_from(digits(number)?).ok().filter(|&number| number < 1 << 31)?;
        let name = trim(name);
        is_token(name.as_bytes()).then(|| Self {
            number,
            method: Method::from_name(name),
            name,
        })
    }
}

/// A whole number of decimal digits alone; `None` where anything else stands or it does not fit.
pub(super) fn digits(text: &str) -> Option<u64> {
    let good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    good.then(|| text.parse().ok()).flatten()
}

fn transport(name: &str) -> Option<Transport> {
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
    if !written.contains('%') {
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
