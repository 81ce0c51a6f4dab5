//! Values of the file that are written as text: durations, identifiers, addresses, SIRENs. Each says what it expected.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::ledger::Siren;
use crate::sip::Transport;
use crate::sip::peer::{Matcher, NumberFormat};

/// Text read by one function that tells what it expected.
macro_rules! text_values {
    ($($(#[$doc:meta])* $name:ident($type:ty) = $read:path;)+) => {
        $($(#[$doc])*
        pub(super) struct $name(pub $type);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(d)?;
                $read(&text)
                    .map($name)
                    .map_err(|expected| D::Error::custom(format!("{text:?}: expected {expected}")))
            }
        })+
    };
}

text_values! {
    /// `"500ms"`, `"10s"`, `"2m"`, `"1h"`.
    Span(Duration) = span;
    /// An id, as it stands in metrics' labels and file names.
    Id(Arc<str>) = id;
    /// Nine digits.
    SirenText(Siren) = siren;
    /// An address or network, with a port where only that port is meant.
    MatcherText(Matcher) = matcher;
    /// A network, or one address.
    NetText(IpNet) = net;
    /// `"udp://127.0.0.1:5060"`.
    ListenText((Transport, SocketAddr)) = listen;
    /// A name server's address, with a port or without.
    ServerText(SocketAddr) = name_server;
    /// A header field's name.
    HeaderName(Arc<str>) = header_name;
    /// An `http` or `https` URL that may stand in angle brackets.
    Url(Arc<str>) = url;
    /// How numbers are written towards a trunk.
    NumberFormatText(NumberFormat) = number_format;
    /// SHA-256 in hexadecimal.
    Sha256(Hash) = sha256;
}

/// A SHA-256.
pub(super) type Hash = [u8; 32];

type Read<T> = Result<T, &'static str>;

fn name_server(text: &str) -> Read<SocketAddr> {
    let bare = |text: &str| text.parse().ok().map(|ip| SocketAddr::new(ip, DNS_PORT));
    text.parse()
        .ok()
        .or_else(|| bare(text))
        .filter(|server: &SocketAddr| server.port() != 0 && !server.ip().is_unspecified())
        .ok_or("the address of a name server such as \"192.0.2.53\" or \"[2001:db8::53]:5353\"")
}

fn span(text: &str) -> Read<Duration> {
    const EXPECTED: &str = "a duration such as \"500ms\", \"10s\" or \"2m\"";
    let unit = text.find(|c: char| !c.is_ascii_digit()).ok_or(EXPECTED)?;
    let (count, unit) = text.split_at(unit);
    let count: u32 = count.parse().map_err(|_| EXPECTED)?;
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return Err(EXPECTED),
    };
    unit.checked_mul(count).ok_or(EXPECTED)
}

fn id(text: &str) -> Read<Arc<str>> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let fits = (1..=MAX_ID).contains(&text.len()) && text.bytes().all(good);
    fits.then(|| Arc::from(text))
        .ok_or("1 to 64 letters, digits, `-`, `_` or `.`")
}

fn siren(text: &str) -> Read<Siren> {
    let digits = text.len() == 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| text.parse().ok().map(Siren))
        .flatten()
        .ok_or("the nine digits of a SIREN such as \"552100554\"")
}

/// The check digit of a SIREN (Luhn, ISO/IEC 7812-1).
pub(super) fn luhn_holds(Siren(siren): Siren) -> bool {
    let (mut rest, mut sum, mut double) = (siren, 0, false);
    while rest > 0 {
        let digit = rest % 10 * if double { 2 } else { 1 };
        sum += digit / 10 + digit % 10;
        double = !double;
        rest /= 10;
    }
    sum % 10 == 0
}

fn net(text: &str) -> Read<IpNet> {
    const EXPECTED: &str = "an address or network such as \"192.0.2.7\" or \"10.0.0.0/8\"";
    let net: IpNet = match text.parse() {
        Ok(net) => net,
        Err(_) => text.parse::<IpAddr>().map_err(|_| EXPECTED)?.into(),
    };
    // Host bits under the mask would be ignored in silence.
    (net.trunc() == net)
        .then_some(net)
        .ok_or("a network without host bits, such as \"10.0.0.0/8\"")
}

fn matcher(text: &str) -> Read<Matcher> {
    const EXPECTED: &str = "an address or network, with a port or without: \"192.0.2.7\", \"192.0.2.7:5060\", \"10.0.0.0/8\", \"[2001:db8::7]:5060\"";
    if let Ok(net) = net(text) {
        return Ok(Matcher { net, port: None });
    }
    let (host, port) = text.rsplit_once(':').ok_or(EXPECTED)?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or(EXPECTED)?;
    // `2001:db8::7` and a port can be told apart only within brackets.
    let host = match host.strip_prefix('[') {
        Some(inner) if inner.contains(']') => inner.replacen(']', "", 1),
        Some(_) => return Err(EXPECTED),
        None if host.contains(':') => return Err(EXPECTED),
        None => host.to_owned(),
    };
    Ok(Matcher {
        net: net(&host).map_err(|_| EXPECTED)?,
        port: Some(port),
    })
}

fn listen(text: &str) -> Read<(Transport, SocketAddr)> {
    const EXPECTED: &str = "a transport, an address of this machine and a port, such as \"udp://127.0.0.1:5060\"";
    let (scheme, address) = text.split_once("://").ok_or(EXPECTED)?;
    let (transport, port) = match scheme {
        "udp" => (Transport::Udp, SIP_PORT),
        "tcp" => (Transport::Tcp, SIP_PORT),
        "tls" => (Transport::Tls, SIPS_PORT),
        _ => return Err(EXPECTED),
    };
    let bare = || -> Option<SocketAddr> {
        let ip = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        Some(SocketAddr::new(ip.unwrap_or(address).parse().ok()?, port))
    };
    let address = address.parse().ok().or_else(bare).ok_or(EXPECTED)?;
    Ok((transport, address))
}

fn header_name(text: &str) -> Read<Arc<str>> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
    let fits = (1..=MAX_ID).contains(&text.len()) && text.bytes().all(token);
    // Taking one of these off a request would break the call.
    let needed = [
        "via",
        "v",
        "from",
        "f",
        "to",
        "t",
        "call-id",
        "i",
        "cseq",
        "contact",
        "m",
        "max-forwards",
        "route",
        "record-route",
        "content-length",
        "l",
        "content-type",
        "c",
        "require",
        "proxy-require",
        "supported",
        "k",
        "authorization",
        "proxy-authorization",
        "p-asserted-identity",
        "privacy",
        "identity",
        "y",
    ];
    let own = fits && !needed.iter().any(|name| name.eq_ignore_ascii_case(text));
    own.then(|| Arc::from(text))
        .ok_or("the name of a header of its own, such as \"X-Professional\"")
}

fn url(text: &str) -> Read<Arc<str>> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let good = |byte: u8| byte.is_ascii_graphic() && !b"<>\"".contains(&byte);
    rest.filter(|rest| !rest.is_empty() && text.len() <= MAX_URL && rest.bytes().all(good))
        .map(|_| Arc::from(text))
        .ok_or("a URL such as \"https://operator.example/redress\"")
}

fn number_format(text: &str) -> Read<NumberFormat> {
    [NumberFormat::AsDialled, NumberFormat::E164, NumberFormat::National]
        .into_iter()
        .find(|format| number_format_name(*format) == text)
        .ok_or("\"as-dialled\", \"e164\" or \"national\"")
}

/// As the file writes it.
pub(super) fn number_format_name(format: NumberFormat) -> &'static str {
    match format {
        NumberFormat::AsDialled => "as-dialled",
        NumberFormat::E164 => "e164",
        NumberFormat::National => "national",
    }
}

fn sha256(text: &str) -> Read<Hash> {
    hex(text).ok_or("the 64 hexadecimal digits of the token's SHA-256 (`printf %s TOKEN | sha256sum`)")
}

/// `N` bytes in hexadecimal.
pub(super) fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Port of SIP over UDP and TCP (RFC 3261 §19.1.2).
pub(super) const SIP_PORT: u16 = 5060;

const DNS_PORT: u16 = 53;

/// Port of SIP over TLS (RFC 3261 §19.1.2).
pub(super) const SIPS_PORT: u16 = 5061;

/// Longest id, in bytes.
const MAX_ID: usize = 64;

/// Longest URL, in bytes.
const MAX_URL: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(span("2m"), Ok(Duration::from_secs(120)));
        for text in ["", "10", "s", "-1s", "1.5s", "1 s", "99999999999s", "1d"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn peers_are_addresses_or_networks_with_or_without_port() {
        for (text, net, port) in [
            ("127.0.0.1", "127.0.0.1/32", None),
            ("127.0.0.1:5062", "127.0.0.1/32", Some(5062)),
            ("10.0.0.0/8", "10.0.0.0/8", None),
            ("10.0.0.0/8:5060", "10.0.0.0/8", Some(5060)),
            ("2001:db8::7", "2001:db8::7/128", None),
            ("[2001:db8::7]:5060", "2001:db8::7/128", Some(5060)),
            ("[2001:db8::]/32:5060", "2001:db8::/32", Some(5060)),
        ] {
            let net = net.parse().unwrap();
            assert_eq!(matcher(text), Ok(Matcher { net, port }), "{text}");
        }
        for text in [
            "",
            "pbx",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "127.0.0.1:0",
            "127.0.0.1:x",
            ":5060",
            "2001:db8::7]:5",
            "[2001:db8::7:5060",
        ] {
            assert!(matcher(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_check_digit_of_a_siren_is_luhns() {
        assert!(luhn_holds(Siren(552_100_554)) && luhn_holds(Siren(732_829_320)));
        assert!(!luhn_holds(Siren(552_100_555)));
        assert!(siren("552 100 554").is_err() && siren("55210055").is_err());
    }

    #[test]
    fn listeners_take_the_port_of_their_transport() {
        assert_eq!(
            listen("udp://127.0.0.1"),
            Ok((Transport::Udp, "127.0.0.1:5060".parse().unwrap()))
        );
        assert_eq!(
            listen("tls://[::1]"),
            Ok((Transport::Tls, "[::1]:5061".parse().unwrap()))
        );
        for text in [
            "127.0.0.1:5060",
            "sctp://127.0.0.1:5060",
            "udp://localhost:5060",
            "udp://",
        ] {
            assert!(listen(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hexadecimal_has_exactly_its_digits() {
        assert_eq!(hex("00fF"), Some([0, 255]));
        assert_eq!((hex::<2>("00f"), hex::<2>("00fg"), hex::<1>("+f")), (None, None, None));
    }
}
