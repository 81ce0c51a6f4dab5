//! Sources (PBX and BPO accounts) and trunks: who a message comes from, and where a call goes.

mod access;
mod directory;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;

pub use access::{Access, DigestAccount, Held, Nonce, Rate, Usage};
pub use directory::Directory;
pub use watch::{Health, MAX_RETRY_AFTER, Probing, Watch};

use super::Transport;
use crate::gate::{NumberRange, SourceIndex};

/// Position of a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TrunkIndex(pub u16);

/// An address, with a port where only that port is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Matcher {
    pub net: IpNet,
    pub port: Option<u16>,
}

/// Where to send: a resolved target.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Target {
    /// As configured, for the Request-URI's host part and the logs.
    pub uri: Arc<str>,
    pub address: SocketAddr,
    pub transport: Transport,
}

impl Target {
    /// One whose name is still to be found: no call goes there until it is.
    pub fn lost(uri: &str, transport: Transport) -> Self {
        Self {
            uri: Arc::from(uri),
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            transport,
        }
    }

    /// Is its name still to be found?
    pub fn is_lost(&self) -> bool {
        self.address.ip().is_unspecified()
    }
}

/// One of the addresses that a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub address: SocketAddr,
    /// By which transport.
    pub transport: Transport,
    /// Lower first (RFC 2782).
    pub priority: u16,
    /// Share among those of the same priority.
    pub weight: u16,
}

/// Headers that carry personal or commercial facts from a trusted source, removed towards the trunk.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct TrustedHeaders {
    pub professional: Option<Arc<str>>,
    pub purpose: Option<Arc<str>>,
}

/// A PBX, dialer or BPO account, as SIP sees it; what it may do is [`crate::gate::SourcePolicy`] at the same position.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Source {
    pub id: Arc<str>,
    pub addresses: Vec<Matcher>,
    /// It is known by this name in its client certificate (over TLS), from one of `addresses` where there are any; an address alone
    /// is then not enough.
    pub certificate: Option<Arc<str>>,
    pub trusted: TrustedHeaders,
    /// Trunks it may use; empty: all.
    pub trunks: Vec<TrunkIndex>,
    /// Where calls from a trunk to `inbound` numbers go.
    pub target: Option<Target>,
    /// Where that target's name leads (RFC 3263), the target's own address among them; empty: to that address alone.
    pub places: Vec<Place>,
    pub inbound: Vec<NumberRange>,
    /// 403, 603 or 608.
    pub refuse_with: u16,
    /// For 608 (RFC 8688): the Call-Info value naming whom to ask for redress.
    pub redress: Option<Arc<str>>,
    /// Canvasses: MESSAGE, REFER, SUBSCRIBE and PUBLISH outside a dialog get 405.
    pub canvasses: bool,
    /// What it must show beside its address, and its limits.
    pub access: Access,
}

impl Source {
    /// Neither its address nor a certificate tells it: its credentials (RFC 7616) alone do.
    pub fn by_digest_alone(&self) -> bool {
        self.addresses.is_empty() && self.certificate.is_none() && self.access.digest.is_some()
    }
}

/// How numbers are written towards a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum NumberFormat {
    AsDialled,
    E164,
    National,
}

/// A carrier.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Trunk {
    pub id: Arc<str>,
    pub target: Target,
    /// Addresses its calls and requests come from; the target's is always among them.
    pub addresses: Vec<Matcher>,
    /// Where its target's name leads (RFC 3263), the target's own address among them; empty: to that address alone.
    pub places: Vec<Place>,
    /// How it is watched, and how it is.
    pub watch: Watch,
    /// Lower first.
    pub priority: u16,
    /// Share among those of the same priority.
    pub weight: u16,
    pub number_format: NumberFormat,
    /// Its target takes TCP at the same address too: requests that are too large for a datagram go that way (RFC 3261 §18.1.1).
    pub large_over_tcp: bool,
}

impl Trunk {
    /// Does any of its addresses take TLS?
    pub fn takes_tls(&self) -> bool {
        let mut found = self.places.iter();
        self.target.transport == Transport::Tls || found.any(|place| place.transport == Transport::Tls)
    }
}

/// Who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Peer {
    Source(SourceIndex),
    Trunk(TrunkIndex),
    Unknown,
}

/// Everybody that SIP talks to; replaced whole on reload.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Peers {
    pub sources: Vec<Source>,
    pub trunks: Vec<Trunk>,
    /// Unknown addresses that may still reach emergency numbers.
    pub emergency_from: Vec<IpNet>,
    /// Answer unknown sources with silence instead of 403.
    pub silence_unknown: bool,
}
