//! Digest authentication of sources (RFC 3261 §22.3, RFC 7616, RFC 8760): stateless nonces that carry their time and a MAC, each count
//! of one good once, `stale=true` where only the nonce is at fault. Asked for every request without a To-tag; requests within a
//! dialog carry the MAC on our Route instead, and ACK and CANCEL cannot be challenged. Emergency calls are never challenged where
//! they could pass without.

use std::sync::Arc;

use md5::Md5;
use rustc_hash::FxHashMap;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::Proxy;
use super::keys::{Keys, Use};
use super::question;
use super::refuse::Arrival;
use crate::gate::SourceIndex;
use crate::rules::Reason;
use crate::sip::Now;
use crate::sip::message::{Credentials, Header, Message, Method, Snippet, Uri};
use crate::sip::peer::{DigestAccount, Nonce, Peer, Peers, Usage};

/// Whom credentials may come from; built with the lookups of addresses.
#[derive(Default)]
pub(super) struct Accounts {
    /// Realms whose credentials are ours to take off a request.
    pub(super) realms: Vec<Arc<str>>,
    /// Sources known by their credentials alone; they share one realm.
    by_username: FxHashMap<Arc<str>, SourceIndex>,
    /// What strangers are challenged with.
    strangers: Option<Challenge>,
}

/// What a challenge offers.
#[derive(Clone)]
struct Challenge {
    realm: Arc<str>,
    sha256: bool,
    md5: bool,
}

impl Challenge {
    fn of(account: &DigestAccount) -> Self {
        Self {
            realm: Arc::clone(&account.realm),
            sha256: account.sha256.is_some(),
            md5: account.md5.is_some(),
        }
    }
}

impl Accounts {
    pub(super) fn new(peers: &Peers) -> Self {
        let mut accounts = Self::default();
        for (source, index) in peers.sources.iter().zip(0_u16..) {
            let Some(account) = &source.access.digest else { continue };
            if !accounts.realms.contains(&account.realm) {
                accounts.realms.push(Arc::clone(&account.realm));
            }
            if !source.by_digest_alone() {
                continue;
            }
            let username = Arc::clone(&account.username);
            accounts.by_username.insert(username, SourceIndex(index));
            let own = Challenge::of(account);
            let all = accounts.strangers.get_or_insert_with(|| own.clone());
            all.sha256 |= own.sha256;
            all.md5 |= own.md5;
        }
        accounts
    }
}

/// What a request shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Nothing,
    Good,
    /// The right password over a nonce that is too old or has been used.
    Stale,
    Wrong,
}

impl Proxy {
    /// Who sends a request, once it has shown what it must; `None`: it has been challenged.
    pub(super) fn authenticate(&mut self, now: Now, arrival: &Arrival) -> Option<Peer> {
        let routed = self.routed.clone();
        let sources = &routed.routing.peers.sources;
        let message = &arrival.message;
        let (index, account, usage) = match arrival.peer {
            Peer::Source(index) => {
                let access = &sources.get(usize::from(index.0))?.access;
                let Some(account) = &access.digest else {
                    return Some(arrival.peer);
                };
                (index, account, &access.usage)
            }
            Peer::Unknown if routed.accounts.strangers.is_some() => {
                let named = credentials(message).find_map(|shown| routed.accounts.by_username.get(shown.username));
                let access = named.and_then(|index| Some((*index, &sources.get(usize::from(index.0))?.access)));
                match access.and_then(|(index, access)| Some((index, access.digest.as_ref()?, &access.usage))) {
                    Some(known) => known,
                    None => return self.challenge_stranger(now, arrival),
                }
            }
            peer => return Some(peer),
        };
        let shown = shown(&self.core.keys, now, message, account, usage);
        if shown == Shown::Good {
            return Some(Peer::Source(index));
        }
        if self.passes_anyway(now, arrival) {
            return Some(arrival.peer);
        }
        if shown == Shown::Wrong && message.method() == Method::Invite {
            let id = &sources[usize::from(index.0)].id;
            self.core.counters.invite(id, "refuse", Reason::SourceUnknown.code());
        }
        self.challenge(now, arrival, &Challenge::of(account), shown == Shown::Stale);
        None
    }

    /// A stranger may be a source on the move. Where strangers are met with silence, or this one reaches an emergency number anyway,
    /// it is not challenged.
    fn challenge_stranger(&mut self, now: Now, arrival: &Arrival) -> Option<Peer> {
        let routed = self.routed.clone();
        if routed.routing.peers.silence_unknown || self.passes_anyway(now, arrival) {
            return Some(Peer::Unknown);
        }
        if let Some(challenge) = &routed.accounts.strangers {
            self.challenge(now, arrival, challenge, false);
        }
        None
    }

    /// An emergency call that needs no credentials: of a source's address, or one that may reach emergency numbers.
    fn passes_anyway(&self, now: Now, arrival: &Arrival) -> bool {
        let address = arrival.flow.remote.ip().to_canonical();
        let known = arrival.peer != Peer::Unknown;
        let from = &self.routed.routing.peers.emergency_from;
        (known || from.iter().any(|net| net.contains(&address))) && self.may_be_emergency(now, arrival)
    }

    /// An INVITE to a number that is never blocked.
    pub(super) fn may_be_emergency(&self, now: Now, arrival: &Arrival) -> bool {
        let plan = &self.routed.routing.plan;
        let message = &arrival.message;
        message.method() == Method::Invite
            && question::is_emergency(
                plan,
                question::callee(plan, message.request_uri()),
                now.wall.date_naive(),
            )
    }

    fn challenge(&mut self, now: Now, arrival: &Arrival, challenge: &Challenge, stale: bool) {
        // Of the request's own transaction: a retransmission gets the same nonce, and no two requests do.
        let salt = self
            .core
            .keys
            .fields(Use::Nonce)
            .add(&arrival.key.0.to_le_bytes())
            .short();
        let nonce = Nonce {
            issued: seconds(now),
            salt,
        };
        let nonce = write_nonce(&self.core.keys, &challenge.realm, nonce);
        let stale = if stale { ", stale=true" } else { "" };
        let realm = &challenge.realm;
        // RFC 8760 §2.4: the strongest first, in a header of its own each.
        let offered = [("SHA-256", challenge.sha256), ("MD5", challenge.md5)];
        let values: Vec<String> = offered
            .into_iter()
            .filter(|(_, offered)| *offered)
            .map(|(algorithm, _)| {
                format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}")
            })
            .collect();
        let headers: Vec<Snippet<'_>> = values
            .iter()
            .map(|value| (Header::ProxyAuthenticate.as_str(), value.as_str()))
            .collect();
        self.core.reply(arrival, 407, &headers);
    }
}

/// Credentials that a proxy may be meant by; those that cannot be read are none.
fn credentials(message: &Message) -> impl Iterator<Item = Credentials<'_>> {
    message
        .spans()
        .iter()
        .filter(|span| span.header == Header::ProxyAuthorization)
        .filter_map(|span| Credentials::parse(message.value(span)))
        .take(MAX_CREDENTIALS)
}

fn shown(keys: &Keys, now: Now, message: &Message, account: &DigestAccount, usage: &Usage) -> Shown {
    let Some(shown) = credentials(message).find(|shown| *shown.realm == *account.realm) else {
        return Shown::Nothing;
    };
    let right = *shown.username == *account.username
        && same_resource(shown.uri, message.request_uri())
        && is_right(message.method_name(), &shown, account);
    if !right {
        return Shown::Wrong;
    }
    let issued = read_nonce(keys, &account.realm, shown.nonce).filter(|nonce| {
        let age = i64::from(seconds(now)) - i64::from(nonce.issued);
        (-MAX_SKEW..=NONCE_LIFE).contains(&age)
    });
    // Without a quality of protection nothing counts its uses: it is good for one.
    match issued {
        Some(nonce) if usage.spend(nonce, shown.nc.unwrap_or(1)) => Shown::Good,
        _ => Shown::Stale,
    }
}

/// Does the response come from who knows the password (RFC 7616 §3.4.1)? In constant time.
fn is_right(method: &str, shown: &Credentials<'_>, account: &DigestAccount) -> bool {
    let algorithm = shown.algorithm.unwrap_or("MD5");
    let is_sha256 = algorithm.eq_ignore_ascii_case("SHA-256");
    let ha1 = match &account {
        DigestAccount { sha256: Some(ha1), .. } if is_sha256 => ha1,
        DigestAccount { md5: Some(ha1), .. } if algorithm.eq_ignore_ascii_case("MD5") => ha1,
        _ => return false,
    };
    let hash = |parts: &[&str]| {
        if is_sha256 {
            hashed::<Sha256>(parts)
        } else {
            hashed::<Md5>(parts)
        }
    };
    let ha2 = hash(&[method, shown.uri]);
    let expected = match (shown.qop, shown.nc, shown.cnonce) {
        (Some(qop), Some(nc), Some(cnonce)) if qop.eq_ignore_ascii_case("auth") => {
            // As it was written: eight digits, in either case.
            let lower = format!("{nc:08x}");
            let response = hash(&[ha1, shown.nonce, &lower, cnonce, qop, &ha2]);
            if same(&response, shown.response) {
                return true;
            }
            hash(&[ha1, shown.nonce, &lower.to_ascii_uppercase(), cnonce, qop, &ha2])
        }
        // RFC 2069, which some old PBXs still speak.
        (None, None, None) if !is_sha256 => hash(&[ha1, shown.nonce, &ha2]),
        _ => return false,
    };
    same(&expected, shown.response)
}

fn same(expected: &str, shown: &str) -> bool {
    expected.as_bytes().ct_eq(shown.to_ascii_lowercase().as_bytes()).into()
}

/// The parts joined by colons, hashed, in lower-case hexadecimal.
fn hashed<D: sha2::Digest>(parts: &[&str]) -> String {
    let mut hash = D::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            hash.update(b":");
        }
        hash.update(part.as_bytes());
    }
    hash.finalize()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            use std::fmt::Write as _;
            // Writing into a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Do credentials for one URI hold for the other? Parameters and the case of the host may have changed on the way (§22.4), whom it
/// names may not.
fn same_resource(shown: &str, asked: &str) -> bool {
    if shown == asked {
        return true;
    }
    let (Some(shown), Some(asked)) = (Uri::parse(shown), Uri::parse(asked)) else {
        return false;
    };
    let host = |uri: &Uri<'_>| uri.host_port.map(|host| host.host.to_ascii_lowercase());
    shown.user == asked.user && host(&shown) == host(&asked)
}

fn seconds(now: Now) -> u32 {
    u32::try_from(now.wall.timestamp().max(0)).unwrap_or(u32::MAX)
}

fn nonce_mac(keys: &Keys, realm: &str, nonce: Nonce) -> u128 {
    keys.fields(Use::Nonce)
        .add(realm.as_bytes())
        .add(&nonce.issued.to_le_bytes())
        .add(&nonce.salt.to_le_bytes())
        .wide()
}

fn write_nonce(keys: &Keys, realm: &str, nonce: Nonce) -> String {
    let mac = nonce_mac(keys, realm, nonce);
    format!("{:08x}{:016x}{mac:032x}", nonce.issued, nonce.salt)
}

/// A nonce that some process with our secret made for that realm.
fn read_nonce(keys: &Keys, realm: &str, text: &str) -> Option<Nonce> {
    if text.len() != 56 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let nonce = Nonce {
        issued: u32::from_str_radix(text.get(..8)?, 16).ok()?,
        salt: u64::from_str_radix(text.get(8..24)?, 16).ok()?,
    };
    let mac = u128::from_str_radix(text.get(24..)?, 16).ok()?;
    let ours = nonce_mac(keys, realm, nonce);
    bool::from(mac.to_le_bytes().ct_eq(&ours.to_le_bytes())).then_some(nonce)
}

/// Seconds for which a nonce is good.
const NONCE_LIFE: i64 = 300;

/// Seconds by which the clocks of two processes may differ.
const MAX_SKEW: i64 = 5;

/// Credentials of one request that are looked at.
const MAX_CREDENTIALS: usize = 8;

#[cfg(test)]
#[path = "authenticate_tests.rs"]
mod tests;
