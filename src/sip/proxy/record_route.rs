//! Our Record-Route, and what an in-dialog request proves by bringing it back: which call it belongs to, from which side, and that
//! To still names the other party. Whoever holds no such Route is not in a dialog.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::keys::{Keys, Use, push_hex, read_hex};
use super::question;
use crate::numbering::{Number, Plan};
use crate::sip::Transport;
use crate::sip::message::{Header, Message, NameAddr, Uri};

/// Where one side of a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) address: SocketAddr,
    pub(super) transport: Transport,
}

/// A dialog as its Record-Route tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialog {
    /// From a source to a trunk, and so judged.
    pub(super) outbound: bool,
    pub(super) caller_side: Side,
    pub(super) callee_side: Side,
    /// Hashes of the parties as From and To named them.
    caller: u64,
    callee: u64,
}

/// What an in-dialog request has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) dialog: Dialog,
    /// Sent by the side that called.
    pub(super) from_caller: bool,
    /// How many of the topmost Routes are ours.
    pub(super) routes: usize,
    /// Our Route stands in the Request-URI: the hop before is a strict router (RFC 3261 §16.4).
    pub(super) strict: bool,
}

impl Dialog {
    /// Of a dialog-opening request.
    pub(super) fn opening(
        keys: &Keys,
        plan: &Plan,
        request: &Message,
        outbound: bool,
        caller_side: Side,
        callee_side: Side,
    ) -> Self {
        Self {
            outbound,
            caller_side,
            callee_side,
            caller: party(keys, plan, request.from()),
            callee: party(keys, plan, request.to()),
        }
    }

    /// Writes the user part of our Record-Route URI.
    pub(super) fn push(&self, out: &mut String, keys: &Keys, call_id: &str, caller_tag: &str) {
        let begin = out.len();
        out.push(if self.outbound { 'o' } else { 'i' });
        push_hex(out, self.caller, 16);
        push_hex(out, self.callee, 16);
        self.caller_side.push(out);
        out.push('-');
        self.callee_side.push(out);
        let mac = mac(keys, &out[begin..], call_id, caller_tag);
        out.push('-');
        push_wide(out, mac);
    }

    fn parse(text: &str) -> Option<Self> {
        let outbound = match text.as_bytes().first()? {
            b'o' => true,
            b'i' => false,
            _ => return None,
        };
        let (caller_side, callee_side) = text.get(33..)?.split_once('-')?;
        Some(Self {
            outbound,
            caller: read_hex(text.get(1..17)?)?,
            callee: read_hex(text.get(17..33)?)?,
            caller_side: Side::parse(caller_side)?,
            callee_side: Side::parse(callee_side)?,
        })
    }
}

/// What a request with a To-tag proves; `None`: it is in no dialog of ours, or tampered with. `checked`: To must still name the
/// other party. Trunks, which are not judged, are spared that, since a party may change its name during a call (RFC 4916).
pub(super) fn prove(keys: &Keys, plan: &Plan, request: &Message, checked: bool) -> Option<Proof> {
    let (from, to) = (request.from()?, request.to()?);
    let (from_tag, to_tag) = (from.tag()?, to.tag()?);
    let call_id = request.call_id();
    let read = |uri: &Uri<'_>| -> Option<(Dialog, bool)> {
        let (text, written) = uri.user?.rsplit_once('-')?;
        let written = read_wide(written)?;
        let dialog = Dialog::parse(text)?;
        if mac(keys, text, call_id, from_tag) == written {
            Some((dialog, true))
        } else if mac(keys, text, call_id, to_tag) == written {
            Some((dialog, false))
        } else {
            None
        }
    };
    let in_uri = Uri::parse(request.request_uri()).and_then(|uri| read(&uri));
    let in_routes = |value: &str| NameAddr::parse(value).and_then(|route| read(&route.uri));
    let mut ours = request.values(Header::Route).take(MAX_OWN_ROUTES).map_while(in_routes);
    let topmost = ours.next();
    let routes = usize::from(topmost.is_some()) + ours.count();
    let (dialog, from_caller) = in_uri.or(topmost)?;
    let named = if from_caller { dialog.callee } else { dialog.caller };
    if checked && party(keys, plan, Some(to)) != named {
        return None;
    }
    Some(Proof {
        dialog,
        from_caller,
        routes,
        strict: in_uri.is_some(),
    })
}

fn mac(keys: &Keys, text: &str, call_id: &str, caller_tag: &str) -> u128 {
    keys.fields(Use::Dialog)
        .add(text.as_bytes())
        .add(call_id.as_bytes())
        .add(caller_tag.as_bytes())
        .wide()
}

/// A party as an address names it: by its number in whatever form, else by its user and host.
fn party(keys: &Keys, plan: &Plan, address: Option<NameAddr<'_>>) -> u64 {
    let Some(uri) = address.map(|address| address.uri) else {
        return 0;
    };
    let mut fields = keys.fields(Use::Party);
    match question::number(plan, &uri) {
        Some(Number::E164(number)) => fields.add(&number.get().to_le_bytes()).short(),
        Some(Number::Short(code)) => fields.add(&code.get().to_le_bytes()).short(),
        None => {
            let host = uri.host_port.map_or("", |host| host.host).to_ascii_lowercase();
            fields
                .add(uri.user.unwrap_or_default().as_bytes())
                .add(host.as_bytes())
                .short()
        }
    }
}

impl Side {
    fn push(&self, out: &mut String) {
        out.push(match self.transport {
            Transport::Udp => 'u',
            Transport::Tcp => 't',
            Transport::Tls => 's',
        });
        match self.address.ip().to_canonical() {
            IpAddr::V4(ip) => push_hex(out, u64::from(u32::from(ip)), 8),
            IpAddr::V6(ip) => push_wide(out, u128::from(ip)),
        }
        push_hex(out, u64::from(self.address.port()), 4);
    }

    fn parse(text: &str) -> Option<Self> {
        let transport = match text.as_bytes().first()? {
            b'u' => Transport::Udp,
            b't' => Transport::Tcp,
            b's' => Transport::Tls,
            _ => return None,
        };
        let (ip, port) = text.get(1..)?.split_at_checked(text.len().checked_sub(5)?)?;
        let ip = match ip.len() {
            8 => IpAddr::V4(Ipv4Addr::from(u32::try_from(read_hex(ip)?).ok()?)),
            32 => IpAddr::V6(Ipv6Addr::from(read_wide(ip)?)),
            _ => return None,
        };
        Some(Self {
            address: SocketAddr::new(ip, u16::try_from(read_hex(port)?).ok()?),
            transport,
        })
    }
}

/// Thirty-two hexadecimal digits.
fn push_wide(out: &mut String, number: u128) {
    for half in [number >> 64, number & u128::from(u64::MAX)] {
        // Half of it fits.
        push_hex(out, u64::try_from(half).unwrap_or_default(), 16);
    }
}

/// Reads what [`push_wide`] writes.
fn read_wide(text: &str) -> Option<u128> {
    let (high, low) = text.split_at_checked(16).filter(|(_, low)| low.len() == 16)?;
    Some(u128::from(read_hex(high)?) << 64 | u128::from(read_hex(low)?))
}

/// Two where a call goes from one listener to another (RFC 5658), one otherwise.
const MAX_OWN_ROUTES: usize = 2;

#[cfg(test)]
#[path = "record_route_tests.rs"]
mod tests;
