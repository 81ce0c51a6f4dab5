//! Typed, borrowed views of values: name-addr, Via, CSeq. No allocation.
//!
//! Reading is as liberal as it can be without two readers seeing different things: white space and folding wherever the
//! grammar has LWS, any visible character in a user part; but never a second `@`, a stray comma, or an open quote.

use super::Method;
use super::lex::{Params, check_params, cut, digits, find, is_lws, params_of, split_once, trim, unquote};
use super::names::is_token;
use super::uri::{HostPort, Uri, transport};
use crate::sip::Transport;

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
            match find(value, b'<') {
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
        let (uri, rest) = split_once(rest.strip_prefix('<')?, b'>')?;
        let params = params_of(trim(rest))?;
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

    /// Its tag, where its parameters follow the grammar and there is one tag at most, which is not empty: else an error.
    pub(super) fn checked_tag(&self) -> Result<Option<&'a str>, ()> {
        let mut tag = None;
        let good = check_params(self.params, "tag", |param| {
            if param.name.eq_ignore_ascii_case("tag") {
                tag = Some(param.plain());
            }
        });
        if good && tag != Some("") { Ok(tag) } else { Err(()) }
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
        Self::usual(raw).or_else(|| Self::in_full(raw))
    }

    /// What nearly all are, in one pass: our version, UDP, and no white space but the one space.
    pub(super) fn usual(raw: &'a str) -> Option<Self> {
        let (sent_by, rest) = HostPort::usual(raw.strip_prefix("SIP/2.0/UDP ")?)?;
        Some(Self {
            raw,
            transport: Some(Transport::Udp),
            sent_by,
            params: params_of(rest)?,
        })
    }

    fn in_full(raw: &'a str) -> Option<Self> {
        let (protocol, rest) = split_once(raw, b'/')?;
        let (version, rest) = split_once(rest, b'/')?;
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

    /// What stands in its parameters, where they follow the grammar, there is one branch at most, and it is more than the magic cookie.
    pub(super) fn checked(&self) -> Option<ViaParams<'a>> {
        let mut found = ViaParams::default();
        let good = check_params(self.params, "branch", |param| match param.name.len() {
            6 if param.name.eq_ignore_ascii_case("branch") => found.branch = param.plain(),
            5 if param.name.eq_ignore_ascii_case("rport") => {
                found.odd |= found.rport.is_some();
                found.rport = Some(param.raw);
            }
            8 if param.name.eq_ignore_ascii_case("received") => found.odd = true,
            2 if param.name.eq_ignore_ascii_case("oc") => found.oc = true,
            _ => {}
        });
        (good && found.branch != "z9hG4bK").then_some(found)
    }
}

/// The parameters of a Via that a proxy reads.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ViaParams<'a> {
    /// Empty where there is none.
    pub(super) branch: &'a str,
    /// As written, with its name.
    pub(super) rport: Option<&'a str>,
    /// There is a `received` already, or `rport` twice: rare, and not to be noted by putting in a few bytes.
    pub(super) odd: bool,
    /// Overload control is spoken of (RFC 7339).
    pub(super) oc: bool,
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
        let method = Method::from_name(name);
        // The names that we know are tokens.
        (method != Method::Other || is_token(name.as_bytes())).then_some(Self { number, method, name })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, display, uri, params) in [
            ("<sip:a@b>", None, "sip:a@b", ""),
            ("<sip:a@b;c=d>;tag=e", None, "sip:a@b;c=d", "tag=e"),
            ("sip:a@b;c=d;tag=e", None, "sip:a@b", "c=d;tag=e"),
            ("A. Bell <sip:a@b> ; tag=e", Some("A. Bell"), "sip:a@b", " tag=e"),
            ("caller<sip:a@b>", Some("caller"), "sip:a@b", ""),
            (
                "\"Bell, A \\\" <x>\"\r\n <sip:a@b>",
                Some("Bell, A \\\" <x>"),
                "sip:a@b",
                "",
            ),
            ("\"\" <sip:a@b>", Some(""), "sip:a@b", ""),
            ("Jérôme <sip:a@b>", Some("Jérôme"), "sip:a@b", ""),
            ("tel:+33612345678", None, "tel:+33612345678", ""),
        ] {
            let address = NameAddr::parse(text).unwrap_or_else(|| panic!("{text:?}"));
            assert_eq!(
                (address.display, address.uri.raw, address.params),
                (display, uri, params),
                "{text:?}"
            );
        }
    }

    #[test]
    fn addresses_that_could_be_read_in_two_ways_are_refused() {
        for text in [
            "",
            "\"open <sip:a@b>",
            "\"x\" sip:a@b",
            "< sip:a@b >",
            "<sip:a@b",
            "<sip:a@b> x",
            "<sip:a@b>, <sip:c@d>",
            "Bell, Alexander <sip:a@b>",
            "sip:a@b <sip:c@d>",
            "sip:a@b?Subject=x",
            "sip:a,b@c",
            "sip:b;x=y@c",
        ] {
            assert_eq!(NameAddr::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn tags_are_found_whatever_their_case_and_white_space() {
        let tag = |text: &'static str| NameAddr::parse(text).unwrap().tag();
        assert_eq!(tag("<sip:a@b>;x=\"tag=no\";TAG = yes"), Some("yes"));
        assert_eq!(tag("<sip:a@b;tag=no>"), None);
        assert_eq!(tag("<sip:a@b>;tag="), None);
    }

    #[test]
    fn vias_are_taken_apart() {
        let via = Via::parse("SIP  /   2.0\r\n /UDP\r\n    192.0.2.2 : 5070 ;branch = z9hG4bK1;rport").unwrap();
        assert_eq!(via.transport, Some(Transport::Udp));
        assert_eq!((via.sent_by.host, via.sent_by.port), ("192.0.2.2", Some(5070)));
        assert_eq!(
            (via.branch(), via.param("rport"), via.param("received")),
            (Some("z9hG4bK1"), Some(""), None)
        );
        assert_eq!(Via::parse("SIP/2.0/WSS h").unwrap().transport, None);
        assert_eq!(
            Via::parse("SIP/2.0/tls [2001:db8::1]:5061").unwrap().transport,
            Some(Transport::Tls)
        );
        for text in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/2.0 h",
            "HTTP/1.1/TCP h",
            "SIP/2.0/UDP h x",
            "SIP/2.0/UDP ;branch=a",
            ";",
        ] {
            assert_eq!(Via::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn cseqs_stay_below_two_to_the_31() {
        let number = |text: &'static str| CSeq::parse(text).map(|cseq| (cseq.number, cseq.name));
        assert_eq!(number("0009\r\n  INVITE"), Some((9, "INVITE")));
        assert_eq!(number("2147483647 ACK"), Some((2_147_483_647, "ACK")));
        for text in [
            "",
            "1",
            "INVITE",
            "2147483648 ACK",
            "36893488147419103232 ACK",
            "-1 ACK",
            "+1 ACK",
            "1 A B",
            "1 A@",
        ] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_view_panic(text in "[\\PC\"<>(),;:@%?/=\\[\\]\\\\ \t\r\n]{0,60}") {
            let _ = Uri::parse(&text);
            let _ = Uri::parse(&format!("sip:{text}")).map(|uri| (uri.param("lr"), uri.host_port.map(|host| host.ip())));
            let _ = NameAddr::parse(&text).map(|address| address.tag());
            let _ = Via::parse(&format!("SIP/2.0/UDP {text}")).map(|via| via.branch());
            let _ = CSeq::parse(&text);
        }
    }
}
