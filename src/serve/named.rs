//! Targets that are names: whose they are, and what was found of them, as [`Peers`] holds it. `control` puts it in force, `resolve`
//! finds it. Looks nothing up.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::sip::Transport;
use crate::sip::message::Uri;
use crate::sip::peer::{Peers, Place, Target};
use crate::sip::transport::Tls;

/// A target as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Named {
    pub(super) whose: Whose,
    pub(super) uri: Arc<str>,
}

/// Whose target, by id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    Trunk(Arc<str>),
    Source(Arc<str>),
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trunk(id) => write!(f, "trunk {id}"),
            Self::Source(id) => write!(f, "source {id}"),
        }
    }
}

/// Every target, with where its name was found to lead.
pub(super) fn targets(peers: &Peers) -> impl Iterator<Item = (Named, &Target, &[Place])> {
    let trunks = peers.trunks.iter();
    let of_trunks = trunks.map(|trunk| (Whose::Trunk(Arc::clone(&trunk.id)), &trunk.target, &*trunk.places));
    let sources = peers.sources.iter();
    let of_sources = sources.filter_map(|source| {
        let target = source.target.as_ref()?;
        Some((Whose::Source(Arc::clone(&source.id)), target, &*source.places))
    });
    of_trunks.chain(of_sources).map(|(whose, target, places)| {
        let uri = Arc::clone(&target.uri);
        (Named { whose, uri }, target, places)
    })
}

/// Lets targets lead where they were found to. Gives those for which that is news; where it is for none, nothing is copied. What was
/// looked up before its target was configured otherwise is nobody's any more.
pub(super) fn lead(peers: &mut Arc<Peers>, found: &HashMap<Named, Vec<Place>>) -> Vec<Named> {
    let is_news = |(named, _, known): (Named, &Target, &[Place])| {
        let places = found.get(&named).filter(|places| !places.is_empty())?;
        (places != known).then_some(named)
    };
    let news: Vec<Named> = targets(peers).filter_map(is_news).collect();
    if !news.is_empty() {
        put(Arc::make_mut(peers), found);
    }
    news
}

/// Targets that are configured as before keep what was found of them.
pub(super) fn keep(old: &Peers, new: &mut Peers) {
    let kept = targets(old).map(|(named, _, places)| (named, places.to_vec()));
    put(new, &kept.collect());
}

fn put(peers: &mut Peers, found: &HashMap<Named, Vec<Place>>) {
    let put = |whose, target: &mut Target, places: &mut Vec<Place>| {
        let uri = Arc::clone(&target.uri);
        let Some(found) = found.get(&Named { whose, uri }) else {
            return;
        };
        if let Some(first) = found.first() {
            (target.address, target.transport) = (first.address, first.transport);
            places.clone_from(found);
        }
    };
    for trunk in &mut peers.trunks {
        put(
            Whose::Trunk(Arc::clone(&trunk.id)),
            &mut trunk.target,
            &mut trunk.places,
        );
    }
    for source in &mut peers.sources {
        if let Some(target) = &mut source.target {
            put(Whose::Source(Arc::clone(&source.id)), target, &mut source.places);
        }
    }
}

/// For `/readyz`: whose name was not found yet, the first few by id.
pub(super) fn tell_lost(peers: &Peers) -> Vec<String> {
    let mut lost = targets(peers).filter(|(_, target, _)| target.is_lost());
    let first = lost.by_ref().take(MOST_TOLD);
    let mut told: Vec<String> = first
        .map(|(named, ..)| {
            format!(
                "the name of {} was not found yet: no call goes there until it is",
                named.whose
            )
        })
        .collect();
    let more = lost.count();
    if more > 0 {
        told.push(format!("nor were those of {more} others"));
    }
    told
}

/// Whoever answers where a name leads by TLS must show the certificate of that name.
pub(super) fn expect_certificates(peers: &Peers, tls: &mut Tls) {
    for (_, target, places) in targets(peers) {
        let Some(host) = Uri::parse(&target.uri).and_then(|uri| uri.host_port) else {
            continue;
        };
        for place in places.iter().filter(|place| place.transport == Transport::Tls) {
            tls.lead(host.host, place.address);
        }
    }
}

/// Names not found that are told one by one.
const MOST_TOLD: usize = 16;

#[cfg(test)]
#[path = "named_tests.rs"]
mod tests;
