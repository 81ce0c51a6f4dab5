//! Typed, borrowed views of values: URI, name-addr, Via, CSeq. No allocation.

use super::Method;
use crate::sip::Transport;
use std::net::IpAddr;

/// Host and port; the host may be a name, IPv4, or IPv6 in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct HostPort<'a> {
    pub host: &'a str,
    pub port: Option<u16>,
}

impl HostPort<'_> {
    /// The address where the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        todo!()
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
    pub user: Option<&'a str>,
    pub host_port: Option<HostPort<'a>>,
    /// From the first `;` after the host, without it.
    pub params: &'a str,
    /// From the `?`, without it.
    pub headers: &'a str,
}

impl<'a> Uri<'a> {
    /// Parses; `None` where no URI.
    pub fn parse(_text: &'a str) -> Option<Self> {
        todo!()
    }

    /// Value of a parameter (empty for a flag), name case-insensitive.
    pub fn param(&self, _name: &str) -> Option<&'a str> {
        todo!()
    }

    /// Transport named by the parameter, or by the scheme (`sips`).
    pub fn transport(&self) -> Option<Transport> {
        todo!()
    }

    /// `urn:service:sos` and its sub-services (RFC 5031).
    pub fn is_emergency_service(&self) -> bool {
        todo!()
    }
}

/// A name-addr or addr-spec with header parameters (From, To, Contact, Route, P-Asserted-Identity).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct NameAddr<'a> {
    pub display: Option<&'a str>,
    pub uri: Uri<'a>,
    /// Parameters after the URI, without the first `;`.
    pub params: &'a str,
}

impl<'a> NameAddr<'a> {
    /// Parses; `None` where malformed.
    pub fn parse(_value: &'a str) -> Option<Self> {
        todo!()
    }

    /// Value of a header parameter.
    pub fn param(&self, _name: &str) -> Option<&'a str> {
        todo!()
    }

    /// The tag.
    pub fn tag(&self) -> Option<&'a str> {
        self.param("tag").filter(|tag| !tag.is_empty())
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
    /// Parses; `None` where malformed.
    pub fn parse(_value: &'a str) -> Option<Self> {
        todo!()
    }

    /// Value of a parameter (empty for a flag such as `rport`).
    pub fn param(&self, _name: &str) -> Option<&'a str> {
        todo!()
    }

    /// The branch.
    pub fn branch(&self) -> Option<&'a str> {
        self.param("branch").filter(|branch| !branch.is_empty())
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
    pub fn parse(_value: &'a str) -> Option<Self> {
        todo!()
    }
}

/// Splits a header value at its commas, those in quotes, angle brackets and comments apart; white space around each is left out.
pub fn split_values(_value: &str) -> impl Iterator<Item = &str> {
    std::iter::empty()
}
