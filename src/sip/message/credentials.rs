//! Digest credentials (RFC 7616 §3.4) as they stand in Authorization and Proxy-Authorization: a borrowed view, no allocation. Checks
//! the grammar; what the values are worth is the proxy's to say.

use super::lex::{cut, split_values, trim, unquote};
use super::names::is_token;

/// The parameters of one `Digest` header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Credentials<'a> {
    pub username: &'a str,
    pub realm: &'a str,
    pub nonce: &'a str,
    /// The Request-URI as its sender saw it.
    pub uri: &'a str,
    pub response: &'a str,
    /// `None`: MD5 (§3.4).
    pub algorithm: Option<&'a str>,
    pub qop: Option<&'a str>,
    pub cnonce: Option<&'a str>,
    /// Nonce count: eight hexadecimal digits.
    pub nc: Option<u32>,
}

impl<'a> Credentials<'a> {
    /// Parses a header's value; `None` where it is of another scheme, malformed, or names a parameter twice.
    pub fn parse(value: &'a str) -> Option<Self> {
        let (scheme, params) = cut(trim(value), b' ');
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let mut seen: [Option<&'a str>; NAMES.len()] = [None; NAMES.len()];
        for param in split_values(params).take(MAX_PARAMS) {
            let (name, value) = param.split_once('=')?;
            let (name, value) = (trim(name), trim(value));
            let value = match value.strip_prefix('"') {
                Some(quoted) => unquote(quoted).filter(|(_, rest)| rest.is_empty())?.0,
                None if is_token(value.as_bytes()) => value,
                None => return None,
            };
            if let Some(at) = NAMES.iter().position(|known| name.eq_ignore_ascii_case(known))
                && seen[at].replace(value).is_some()
            {
                return None;
            }
        }
        let [username, realm, nonce, uri, response, algorithm, qop, cnonce, nc] = seen;
        let nc = match nc {
            Some(nc) if nc.len() == 8 && nc.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Some(u32::from_str_radix(nc, 16).ok()?)
            }
            Some(_) => return None,
            None => None,
        };
        Some(Self {
            username: username?,
            realm: realm?,
            nonce: nonce?,
            uri: uri?,
            response: response?,
            algorithm,
            qop,
            cnonce,
            nc,
        })
    }
}

const NAMES: [&str; 9] = [
    "username",
    "realm",
    "nonce",
    "uri",
    "response",
    "algorithm",
    "qop",
    "cnonce",
    "nc",
];

/// Parameters looked at; more than any scheme has.
const MAX_PARAMS: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "Digest username=\"bpo\", realm=\"clapet\",\r\n nonce=\"n,1\", uri=\"sip:0612345678@h;user=phone\", \
        response=\"0123\", algorithm=SHA-256, cnonce=\"c\", qop=auth, nc=0000002A, opaque=\"\"";

    #[test]
    fn credentials_are_read_whatever_their_order_quotes_and_folding() {
        let read = Credentials::parse(FULL).unwrap();
        assert_eq!((read.username, read.realm, read.nonce), ("bpo", "clapet", "n,1"));
        assert_eq!((read.uri, read.response), ("sip:0612345678@h;user=phone", "0123"));
        assert_eq!(
            (read.algorithm, read.qop, read.cnonce, read.nc),
            (Some("SHA-256"), Some("auth"), Some("c"), Some(42))
        );
        let old = Credentials::parse("digest RESPONSE=\"r\",uri=\"u\",nonce=\"n\",realm=\"\",username=\"x\"").unwrap();
        assert_eq!((old.algorithm, old.qop, old.nc, old.realm), (None, None, None, ""));
    }

    #[test]
    fn credentials_that_could_be_read_in_two_ways_are_none() {
        for text in [
            "",
            "Basic YWJj",
            "Digest",
            "Digest username=\"a\"",
            &FULL.replace("qop=auth", "qop=auth, username=\"b\""),
            &FULL.replace("nc=0000002A", "nc=2A"),
            &FULL.replace("nc=0000002A", "nc=+000002A"),
            &FULL.replace("nc=0000002A", "nc"),
            &FULL.replace("\"clapet\"", "\"clapet"),
            &FULL.replace("\"clapet\"", "\"clapet\"x"),
            &FULL.replace("qop=auth", "qop=a uth"),
        ] {
            assert_eq!(Credentials::parse(text), None, "{text:?}");
        }
    }
}
