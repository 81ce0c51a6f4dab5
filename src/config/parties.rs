//! `[[professional]]`, `[[source]]` and `[[trunk]]`: on whose behalf, from where and to where calls go.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use toml::Spanned;

use super::access::access;
use super::ranges;
use super::section::{Faults, Section};
use super::server::SipRead;
use super::target::{Read, Targets, UsesTls};
use super::tls::{TlsTargets, authorities_at};
use super::values::{HeaderName, Id, MatcherText, NumberFormatText, SirenText, Url, luhn_holds};
use super::watch::watch;
use crate::gate::{Mode, NumberRange, Professional, ProfessionalIndex, SourcePolicy};
use crate::law::{Frequency, Holidays, Hours, Law, Sector};
use crate::ledger::Siren;
use crate::numbering::Plan;
use crate::rules::{Dialling, OwnLimits, Purpose};
use crate::sip::Transport;
use crate::sip::peer::{Matcher, NumberFormat, Source, Trunk, TrunkIndex, TrustedHeaders};

/// The professionals, each with the place of its table, by position and by id.
#[derive(Default)]
pub(super) struct Professionals {
    list: Vec<(Range<usize>, Professional)>,
    by_id: HashMap<Arc<str>, usize>,
}

impl Professionals {
    /// All of them.
    pub(super) fn list(&self) -> impl Iterator<Item = &Professional> {
        self.list.iter().map(|(_, one)| one)
    }

    /// The one that an id names; an unknown id is a fault.
    pub(super) fn find(&self, id: &Spanned<String>, faults: &Faults) -> Option<(ProfessionalIndex, &Professional)> {
        let found = self.by_id.get(id.get_ref().as_str()).copied();
        if found.is_none() {
            faults.push(
                id.span(),
                format!("{:?}: expected the id of a [[professional]]", id.get_ref()),
            );
        }
        // As many as fit an index: `MAX_PARTIES`.
        found.map(|at| {
            (
                ProfessionalIndex(u16::try_from(at).unwrap_or(u16::MAX)),
                &self.list[at].1,
            )
        })
    }
}

impl IntoIterator for Professionals {
    type Item = (Range<usize>, Professional);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

/// The sources, each with the place of its table: what it may do, and how SIP sees it.
pub(super) type Sources = Vec<(Range<usize>, SourcePolicy, Source)>;

/// The trunks, each with the place of its table.
pub(super) type Trunks = Vec<(Range<usize>, Trunk)>;

/// Reads every `[[professional]]`.
pub(super) fn professionals(root: &mut Section<'_, '_>, law: &Law) -> Professionals {
    let faults = root.faults;
    let mut read = Professionals::default();
    let mut owned: Vec<(Siren, NumberRange, Range<usize>)> = Vec::new();
    for mut table in root.sections("professional", MAX_PARTIES) {
        let at = table.at();
        if let Some((one, places)) = professional(&mut table, law) {
            if read.by_id.insert(Arc::clone(&one.id), read.list.len()).is_some() {
                faults.push(at.clone(), duplicate("professional", &one.id));
            }
            owned.extend(
                one.numbers
                    .iter()
                    .zip(places)
                    .map(|(range, at)| (one.siren, *range, at)),
            );
            read.list.push((at, one));
        }
        table.finish();
    }
    ranges::disjoint(owned, |siren| format!("SIREN {siren}"), faults);
    read
}

fn professional(table: &mut Section<'_, '_>, law: &Law) -> Option<(Professional, Vec<Range<usize>>)> {
    let id = table.required::<Id>("id", "\"acme\"");
    let name = table.get::<String>("name");
    let siren = table.required::<SirenText>("siren", "\"552100554\"");
    let sector: Option<Spanned<Sector>> = table.get("sector");
    let (numbers, places) = ranges::list(table, "numbers", &law.plan).into_iter().unzip();
    let mode: Option<Spanned<Mode>> = table.get("mode");
    let hours: Option<Spanned<Hours>> = table.get("hours");
    let frequency: Option<Spanned<Frequency>> = table.get("frequency");
    if let Some(hours) = &hours {
        own_hours(hours, law, table.faults);
    }
    if let Some(frequency) = &frequency {
        own_frequency(frequency, law, table.faults);
    }
    if let Some(siren) = siren.as_ref().filter(|siren| !luhn_holds(siren.get_ref().0)) {
        table
            .faults
            .warn(siren.span(), "its check digit does not hold: a slip?");
    }
    if let Some(name) = name.as_ref().filter(|name| name.get_ref().len() > MAX_NAME) {
        table
            .faults
            .push(name.span(), format!("expected at most {MAX_NAME} bytes"));
    }
    let id = id?.into_inner().0;
    let one = Professional {
        name: name.map_or_else(|| Arc::clone(&id), |name| Arc::from(name.into_inner())),
        id,
        siren: siren?.into_inner().0,
        sector: sector.map(Spanned::into_inner),
        numbers,
        mode: mode.map_or(Mode::Enforce, Spanned::into_inner),
        own: OwnLimits {
            hours: hours.map(Spanned::into_inner),
            frequency: frequency.map(Spanned::into_inner),
        },
        suspended: false,
    };
    Some((one, places))
}

/// A professional's own hours lie within those of every regime that has any.
fn own_hours(own: &Spanned<Hours>, law: &Law, faults: &Faults) {
    let hours = own.get_ref();
    for regime in law.regimes() {
        let Some(lawful) = &regime.hours else { continue };
        let days = hours.days.iter().zip(lawful.days).all(|(own, lawful)| lawful || !own);
        let within = |own: &(u32, u32)| {
            lawful
                .windows
                .iter()
                .any(|window| window.0 <= own.0 && own.1 <= window.1)
        };
        let why = if !days {
            "a day"
        } else if !hours.windows.iter().all(within) {
            "an hour"
        } else if strictness(hours.holidays) < strictness(lawful.holidays) {
            "a holiday"
        } else {
            continue;
        };
        faults.push(
            own.span(),
            format!(
                "{why} that regime {} does not allow: expected hours stricter than the law's",
                regime.name
            ),
        );
        return;
    }
}

fn strictness(holidays: Holidays) -> u8 {
    match holidays {
        Holidays::None => 0,
        Holidays::National => 1,
        Holidays::NationalAndTerritory => 2,
    }
}

/// A professional's own frequency allows no more calls, in no shorter a period.
fn own_frequency(own: &Spanned<Frequency>, law: &Law, faults: &Faults) {
    let Frequency { max, days } = *own.get_ref();
    if days == 0 {
        faults.push(own.span(), "expected at least one day");
        return;
    }
    let lawful = law
        .regimes()
        .iter()
        .filter_map(|regime| Some((regime, regime.frequency?)));
    for (regime, lawful) in lawful {
        if max > lawful.max || days < lawful.days {
            faults.push(
                own.span(),
                format!(
                    "{max} in {days} days may be more than regime {} allows: expected at most {} in at least {} days",
                    regime.name, lawful.max, lawful.days
                ),
            );
            return;
        }
    }
}

/// Reads every `[[trunk]]`.
pub(super) fn trunks(
    root: &mut Section<'_, '_>,
    sip: Option<&SipRead>,
    targets: &Targets<'_>,
    tls: &mut TlsTargets,
    ca_files: &mut Vec<(Arc<str>, PathBuf)>,
) -> Trunks {
    let faults = root.faults;
    let mut trunks: Trunks = Vec::new();
    let tables = root.sections("trunk", MAX_TRUNKS);
    if tables.is_empty() {
        root.missing("trunk", "expected at least one `[[trunk]]`, where calls go");
    }
    for mut table in tables {
        let at = table.at();
        let id = table.required::<Id>("id", "\"carrier-a\"");
        let target = table.required::<String>("target", "\"sip:192.0.2.1:5060;transport=udp\"");
        let place = target.as_ref().map_or_else(|| at.clone(), Spanned::span);
        let target = target.and_then(|target| targets.read(&target, faults));
        let ca = authorities_at(&mut table, "ca");
        let large_over_tcp: Option<Spanned<bool>> = table.get("large_over_tcp");
        let (_, mut addresses) = matchers(&mut table);
        let watch = watch(&mut table);
        let priority: Option<Spanned<u16>> = table.get("priority");
        let weight: Option<Spanned<u16>> = table.get("weight");
        let number_format = table.get::<NumberFormatText>("number_format");
        table.finish();
        let (Some(id), Some(Read { target, tls: uses_tls })) = (id, target) else {
            continue;
        };
        let id = id.into_inner().0;
        if trunks.iter().any(|(_, other)| other.id == id) {
            faults.push(at.clone(), duplicate("trunk", &id));
        }
        let own = Matcher {
            net: target.address.ip().into(),
            port: Some(target.address.port()),
        };
        ca_files.extend(ca.iter().map(|(file, _)| (Arc::clone(&id), file.clone())));
        if uses_tls == UsesTls::Never && ca.is_some() {
            faults.push(
                place,
                "`ca` goes with a target that TLS may lead to: expected transport=tls, or a host name without port and transport and a \
                 tls:// socket in [sip] listen",
            );
        } else {
            tls.add(place, &target, uses_tls, ca, faults);
        }
        let large_over_tcp = large_over_tcp.filter(|over| *over.get_ref());
        if let Some(over) = &large_over_tcp {
            let reaches = |listen: &super::Listen| {
                listen.transport == Transport::Tcp && listen.address.is_ipv4() == target.address.is_ipv4()
            };
            if target.transport != Transport::Udp || sip.is_some_and(|sip| !sip.listen.iter().any(reaches)) {
                faults.push(
                    over.span(),
                    "goes with a target of transport udp, and a tcp:// socket of its address family in [sip] listen",
                );
            }
        }
        if !target.is_lost() && !addresses.contains(&own) {
            addresses.push(own);
        }
        let trunk = Trunk {
            id,
            target,
            addresses,
            places: Vec::new(),
            watch,
            priority: priority.map_or(DEFAULT_PRIORITY, Spanned::into_inner),
            weight: weight.map_or(DEFAULT_WEIGHT, Spanned::into_inner),
            number_format: number_format.map_or(NumberFormat::AsDialled, |format| format.into_inner().0),
            large_over_tcp: large_over_tcp.is_some(),
        };
        trunks.push((at, trunk));
    }
    trunks
}

/// Reads every `[[source]]`.
pub(super) fn sources(
    root: &mut Section<'_, '_>,
    sip: Option<&SipRead>,
    plan: &Plan,
    professionals: &Professionals,
    trunks: &Trunks,
    targets: &Targets<'_>,
    tls: &mut TlsTargets,
) -> Sources {
    let faults = root.faults;
    let mut read: Sources = Vec::new();
    let mut inbound: Vec<(usize, NumberRange, Range<usize>)> = Vec::new();
    let tables = root.sections("source", MAX_PARTIES);
    let mut by_address: HashMap<(ipnet::IpNet, Option<u16>), Arc<str>> = HashMap::new();
    let mut ids = std::collections::HashSet::new();
    for mut table in tables {
        let at = table.at();
        let places = ranges::list(&mut table, "inbound", plan);
        let source = source(&mut table, sip, professionals, trunks, &places, targets, tls);
        table.finish();
        let Some((policy, peer)) = source else { continue };
        if !ids.insert(Arc::clone(&policy.id)) {
            faults.push(at.clone(), duplicate("source", &policy.id));
        }
        let other = peer.certificate.as_ref().and_then(|certificate| {
            let known = |(_, _, other): &&(_, _, Source)| other.certificate.as_ref() == Some(certificate);
            read.iter().find(known)
        });
        if let Some((_, other, _)) = other {
            let message = format!("source {} has the same certificate: expected one of its own", other.id);
            faults.push(at.clone(), message);
        }
        // An address says nothing of a source that shows a certificate.
        for matcher in peer.addresses.iter().filter(|_| peer.certificate.is_none()) {
            if let Some(other) = by_address.insert((matcher.net, matcher.port), Arc::clone(&policy.id)) {
                let message = format!("{} is also an address of source {other}: expected one", matcher.net);
                faults.push(at.clone(), message);
            }
        }
        if let Some(digest) = peer.access.digest.as_ref().filter(|_| peer.by_digest_alone()) {
            let alone = |(_, _, other): &&(_, _, Source)| other.by_digest_alone();
            let others = read.iter().filter(alone);
            for (other, account) in others.filter_map(|(_, _, other)| Some((&other.id, other.access.digest.as_ref()?)))
            {
                if account.realm != digest.realm {
                    let message = format!(
                        "realm {:?}, and source {other} has {:?}: expected one realm for all sources without addresses",
                        digest.realm, account.realm
                    );
                    faults.push(at.clone(), message);
                } else if account.username == digest.username {
                    let message = format!("source {other} has the same username: expected one of its own");
                    faults.push(at.clone(), message);
                }
            }
            if sip.is_some_and(|sip| sip.silence_unknown) {
                faults.warn(
                    at.clone(),
                    "unknown_sources = \"silence\" challenges nobody: only a source that shows credentials unasked is known by them",
                );
            }
        }
        inbound.extend(places.into_iter().map(|(range, at)| (read.len(), range, at)));
        read.push((at, policy, peer));
    }
    let describe = |&position: &usize| format!("source {}", read[position].1.id);
    ranges::disjoint(inbound, describe, faults);
    read
}

fn source(
    table: &mut Section<'_, '_>,
    sip: Option<&SipRead>,
    professionals: &Professionals,
    trunks: &Trunks,
    inbound: &[ranges::Placed],
    targets: &Targets<'_>,
    tls: &mut TlsTargets,
) -> Option<(SourcePolicy, Source)> {
    let faults = table.faults;
    let id = table.required::<Id>("id", "\"bpo-lyon\"");
    let access = access(table);
    let certificate = certificate(table, sip);
    let (count, addresses) = matchers(table);
    if count == 0 && certificate.is_none() && access.digest.is_none() {
        table.missing(
            "addresses",
            "expected at least one address such as `addresses = [\"192.0.2.7\"]`, or `digest`, or `certificate`",
        );
    }
    let dialling: Option<Spanned<Dialling>> = table.get("dialling");
    let purpose: Option<Spanned<Purpose>> = table.get("purpose");
    let purpose = purpose.map_or(Purpose::Canvassing, Spanned::into_inner);
    let named = table.list::<String>("professionals");
    let mut may_call_for = Vec::new();
    for id in named.iter().flat_map(|(_, named)| named) {
        if let Some((index, _)) = professionals.find(id, faults) {
            if may_call_for.contains(&index) {
                faults.push(id.span(), "expected each professional once");
            }
            may_call_for.push(index);
        }
    }
    if named.is_none_or(|(count, _)| count == 0) && purpose != Purpose::Other {
        table.missing(
            "professionals",
            "expected those for whom it may call, such as `professionals = [\"acme\"]`",
        );
    }
    let trusted = TrustedHeaders {
        professional: table
            .get::<HeaderName>("professional_header")
            .map(|name| name.into_inner().0),
        purpose: table
            .get::<HeaderName>("purpose_header")
            .map(|name| name.into_inner().0),
    };
    let named = table.list::<String>("trunks");
    let mut its_trunks = Vec::new();
    for id in named.iter().flat_map(|(_, named)| named) {
        match trunks.iter().position(|(_, trunk)| *trunk.id == **id.get_ref()) {
            // As many as fit: `MAX_TRUNKS`.
            Some(position) => its_trunks.push(TrunkIndex(u16::try_from(position).unwrap_or(u16::MAX))),
            None => faults.push(id.span(), format!("{:?}: expected the id of a [[trunk]]", id.get_ref())),
        }
    }
    let target: Option<Spanned<String>> = table.get("target");
    match (&target, inbound) {
        (Some(target), []) => faults.push(
            target.span(),
            "no number leads to it: expected `inbound = [\"+33162001000-+33162001999\"]` beside it",
        ),
        (None, [(_, at), ..]) => {
            faults.push(
                at.clone(),
                "expected `target = \"sip:192.0.2.10:5060\"` beside it, where these calls go",
            );
        }
        _ => {}
    }
    let target = target.and_then(|written| {
        let Read { target, tls: uses_tls } = targets.read(&written, faults)?;
        tls.add(written.span(), &target, uses_tls, None, faults);
        Some(target)
    });
    let refuse_with: Option<Spanned<u16>> = table.get("refuse_with");
    if let Some(status) = refuse_with
        .as_ref()
        .filter(|status| !REFUSALS.contains(status.get_ref()))
    {
        let written = status.get_ref();
        faults.push(
            status.span(),
            format!("{written}: expected 403, 603 or 608; others make a dialer try again"),
        );
    }
    let refuse_with = refuse_with.map_or(REFUSALS[0], Spanned::into_inner);
    let redress = table.get::<Url>("redress");
    match &redress {
        None if refuse_with == 608 => {
            let expected = "608 names whom to ask for redress: expected `redress = \"https://…\"` (RFC 8688)";
            table.missing("redress", expected);
        }
        Some(redress) if refuse_with != 608 => {
            faults.push(redress.span(), "goes with `refuse_with = 608` only");
        }
        _ => {}
    }
    let id = id?.into_inner().0;
    let policy = SourcePolicy {
        id: Arc::clone(&id),
        professionals: may_call_for,
        dialling: dialling.map_or(Dialling::Automated, Spanned::into_inner),
        purpose,
        suspended: false,
    };
    let peer = Source {
        id,
        addresses,
        certificate,
        trusted,
        trunks: its_trunks,
        target,
        places: Vec::new(),
        inbound: inbound.iter().map(|(range, _)| *range).collect(),
        refuse_with,
        // RFC 8688 §3.2.
        redress: redress.map(|url| Arc::from(format!("<{}>;purpose=jwscard", url.get_ref().0))),
        canvasses: matches!(purpose, Purpose::Canvassing | Purpose::Press),
        access,
    };
    Some((policy, peer))
}

/// The name in a source's client certificate.
fn certificate(table: &mut Section<'_, '_>, sip: Option<&SipRead>) -> Option<Arc<str>> {
    let written: Spanned<String> = table.get("certificate")?;
    let name = written.get_ref();
    if name.is_empty()
        || name.len() > MAX_NAME
        || !name.bytes().all(|byte| byte.is_ascii_graphic())
        || name.contains('*')
    {
        table.faults.push(
            written.span(),
            "expected a name as it stands among the certificate's subject alternative names, such as \"pbx.bpo-lyon.example\"",
        );
    }
    let takes_it = |sip: &SipRead| {
        sip.tls.client_ca.is_some() && sip.listen.iter().any(|listen| listen.transport == Transport::Tls)
    };
    if sip.is_some_and(|sip| !takes_it(sip)) {
        table.faults.push(
            written.span(),
            "nobody asks for it: expected a tls:// socket in [sip] listen, and `client_ca` in [sip.tls]",
        );
    }
    Some(Arc::from(name.as_str()))
}

/// How many addresses are written, and those that are none of them a fault.
fn matchers(table: &mut Section<'_, '_>) -> (usize, Vec<Matcher>) {
    let (count, written) = table.list::<MatcherText>("addresses").unwrap_or_default();
    let mut matchers: Vec<Matcher> = Vec::with_capacity(written.len() + 1);
    for matcher in written {
        if matchers.contains(&matcher.get_ref().0) {
            table.faults.push(matcher.span(), "expected each address once");
        }
        matchers.push(matcher.into_inner().0);
    }
    (count, matchers)
}

fn duplicate(what: &str, id: &str) -> String {
    format!("a second {what} called {id:?}: expected an id of its own")
}

/// Statuses that end a call without making a dialer try again.
const REFUSALS: [u16; 3] = [403, 603, 608];

const DEFAULT_PRIORITY: u16 = 1;
const DEFAULT_WEIGHT: u16 = 10;

/// Professionals, and sources: as many as their index tells apart.
const MAX_PARTIES: usize = 65_535;

const MAX_TRUNKS: usize = 1_024;

/// Longest name of a professional, in bytes.
const MAX_NAME: usize = 256;
