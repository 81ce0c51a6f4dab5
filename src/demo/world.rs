//! The demonstration's world: a server on loopback with a moved clock, lines, a trunk, and what is known of the people called.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};

use super::cases::{Case, Line, Then};
use super::folder::Folder;
use super::pbx::{Answered, Pbx};
use super::trunk::Trunk;
use super::{DemoError, Shown};
use crate::config::Config;
use crate::gate::Policy;
use crate::ledger::{Entry, Key, Siren, Suspended, Suspension};
use crate::numbering::{E164, Number};
use crate::rules::{Consent, ConsentScope, Contract};
use crate::screening::{List, Snapshot};
use crate::serve::{MovedClock, Server, Setup, WallClock, wait_for};

/// As in the configuration below.
const ACME: Siren = Siren(999_000_001);
const WINES: Siren = Siren(999_000_002);
const FIBRE: Siren = Siren(999_000_005);

/// The code whose rule holds only where the operator requires it.
const UNSCREENED: &str = "bloctel.unscreened";

/// Everything that the calls need.
pub(super) struct World {
    server: Server,
    clock: MovedClock,
    lines: Vec<(Line, Pbx)>,
    trunk: Trunk,
    // Last, so that it is removed after the server has let go of it.
    _folder: Folder,
}

impl World {
    pub(super) fn build() -> Result<Self, DemoError> {
        let socket = |fault| DemoError::Io("a socket on loopback", fault);
        let folder = Folder::new().map_err(|fault| DemoError::Io("a folder for the store", fault))?;
        let trunk = Trunk::start().map_err(socket)?;
        let mut lines = Vec::new();
        for (line, _) in Line::ALL {
            lines.push((line, Pbx::new().map_err(socket)?));
        }
        let text = configuration(folder.path(), &lines, &trunk);
        let config = Config::parse(&text, Path::new("demo"))
            .map_err(|fault| DemoError::Load("the demonstration's configuration", fault.to_string()))?;
        let clock = MovedClock::default();
        let setup = Setup {
            clock: WallClock::Moved(clock.clone()),
            api: false,
            ..Setup::default()
        };
        let server = Server::start(config, setup)?;
        for (_, pbx) in &mut lines {
            pbx.connect(server.sip()[0]);
        }
        let world = Self {
            server,
            clock,
            lines,
            trunk,
            _folder: folder,
        };
        world.load_facts()?;
        world.load_lists()?;
        Ok(world)
    }

    /// Makes the calls of one row and compares with what should be.
    pub(super) fn play(&mut self, case: &'static Case) -> Result<Shown, DemoError> {
        let policy = self.server.gate().policy();
        if matches!(case.then, Then::Refused(UNSCREENED, _)) {
            self.server.gate().set_policy(Policy {
                bloctel_required: true,
                ..Policy::clone(&policy)
            });
        }
        let before = self.exemptions();
        let mut answer = None;
        let mut differs = None;
        for (at, then) in case.calls {
            self.clock.set(moment(at));
            self.trunk.answer_with(*then);
            let dialled: String = case.to.chars().filter(|character| *character != ' ').collect();
            let Some((_, pbx)) = self.lines.iter_mut().find(|(line, _)| *line == case.line) else {
                continue;
            };
            let answered = pbx
                .call(case.from, &dialled)
                .map_err(|fault| DemoError::Io("a socket on loopback", fault))?
                .ok_or(DemoError::Unanswered(case.words))?;
            let expected = if matches!(case.then, Then::Goes(_)) { *then } else { 403 };
            if answered.status != expected {
                differs = Some(format!("answered {} where {expected} is due", answered.status));
            }
            answer = Some(answered);
        }
        self.server.gate().set_policy(Policy::clone(&policy));
        let answer = answer.ok_or(DemoError::Unanswered(case.words))?;
        let given = answer
            .reason
            .as_deref()
            .and_then(|reason| between(reason, "text=\"", "\""));
        let reason = given.map(str::to_owned).or_else(|| {
            let now = self.exemptions();
            now.into_iter()
                .find(|one| !before.contains(one))
                .map(|(reason, _)| reason)
        });
        let shown = Shown {
            case,
            status: answer.status,
            next: next_of(&answer),
            reason,
            reached: self.trunk.take_seen(),
            differs,
        };
        Ok(compared(shown))
    }

    /// Flushes the store and ends.
    pub(super) fn close(self) -> Result<(), DemoError> {
        let Self { server, .. } = self;
        Ok(server.close()?)
    }

    /// How many calls were let go under each exemption so far, as the proxy counts them.
    fn exemptions(&self) -> Vec<(String, u64)> {
        let families = self.server.metrics().registry.gather();
        let invites = families.iter().filter(|family| family.name() == "clapet_invites_total");
        let mut counted: Vec<(String, u64)> = Vec::new();
        for metric in invites.flat_map(prometheus::proto::MetricFamily::get_metric) {
            let reason = metric.get_label().iter().find(|label| label.name() == "reason");
            let Some(reason) = reason.map(|label| label.value().to_owned()) else {
                continue;
            };
            if reason.starts_with("exempt.") {
                // Counters are whole numbers, and a demonstration's are small.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let value = metric.get_counter().get_value() as u64;
                counted.push((reason, value));
            }
        }
        counted
    }

    fn load_facts(&self) -> Result<(), DemoError> {
        let key_of = |siren, dialled: &str| -> Result<Key, DemoError> {
            Ok(Key {
                siren,
                callee: self.number(dialled)?,
            })
        };
        let key = |dialled: &str| key_of(ACME, dialled);
        let web = || -> Arc<str> { Arc::from("web form") };
        let consent = |dialled: &str, consent: Consent| -> Result<Entry, DemoError> {
            Ok(Entry::Consent {
                key: key(dialled)?,
                consent,
                channel: web(),
                object: Arc::from("insurance"),
            })
        };
        let given = |scope, at: &str, slot| Consent {
            scope,
            given_at: moment(at),
            expires: None,
            slot,
            withdrawn_at: None,
            used_at: None,
            evidence: Arc::from("form 4711"),
        };
        let refusal = |siren, dialled: &str, at: &str| -> Result<Entry, DemoError> {
            Ok(Entry::Refusal {
                key: key_of(siren, dialled)?,
                at: moment(at),
                channel: Arc::from("call"),
            })
        };
        let suspension = |what, id: &str| {
            Entry::Suspension(Suspension {
                what,
                id: Arc::from(id),
                suspended: true,
            })
        };
        let slot = (moment("2026-09-19T11:00:00+02:00"), moment("2026-09-19T11:30:00+02:00"));
        let entries = vec![
            suspension(Suspended::Source, "bpo-suspended"),
            suspension(Suspended::Professional, "flash-sales"),
            refusal(FIBRE, "0199000003", "2024-05-02T17:00:00+02:00")?,
            refusal(ACME, "0199000009", "2025-01-10T11:00:00+01:00")?,
            consent(
                "0199000007",
                given(ConsentScope::Prospecting, "2026-09-01T12:00:00+02:00", None),
            )?,
            consent(
                "0199000010",
                given(ConsentScope::Requested, "2026-09-14T19:00:00+02:00", None),
            )?,
            consent(
                "0199000011",
                given(ConsentScope::Prospecting, "2026-09-10T12:00:00+02:00", None),
            )?,
            consent(
                "0199000011",
                given(ConsentScope::Hours, "2026-09-10T12:00:00+02:00", Some(slot)),
            )?,
            Entry::Contract {
                key: key("0199000008")?,
                contract: Contract {
                    reference: Arc::from("policy 1234"),
                    from: day(2026, 1, 1),
                    until: None,
                },
            },
        ];
        let failed = |fault: String| DemoError::Load("what is known of the people called", fault);
        wait_for(self.server.ledger().record(entries).wait()).map_err(|fault| failed(fault.to_string()))?;
        self.server.control().refresh().map_err(failed)
    }

    fn load_lists(&self) -> Result<(), DemoError> {
        let (opposed, listed) = (self.number("0199000004")?, self.number("0199000005")?);
        let spring = day(2024, 5, 2);
        for (list, siren, day, number) in [
            (List::Bloctel, Some(WINES), day(2024, 3, 1), opposed),
            (List::Bloctel, Some(ACME), spring, opposed),
            (List::Opposition, None, spring, listed),
            (List::Bloctel, Some(ACME), day(2024, 6, 3), opposed),
            (List::Bloctel, Some(ACME), day(2024, 7, 1), opposed),
        ] {
            let snapshot = Snapshot::Plain { opposed: vec![number] };
            self.server
                .screening()
                .load(list, siren, day, snapshot)
                .map_err(|fault| DemoError::Load("the lists", fault.to_string()))?;
        }
        Ok(())
    }

    fn number(&self, dialled: &str) -> Result<E164, DemoError> {
        match self.server.gate().policy().law.plan.read(dialled) {
            Ok(Number::E164(number)) => Ok(number),
            _ => Err(DemoError::Load("an invented number", dialled.to_owned())),
        }
    }
}

/// Says what differs, unless something does already.
fn compared(mut shown: Shown) -> Shown {
    let (reached, reason, next) = match shown.case.then {
        Then::Goes(exemption) => (shown.case.calls.len(), exemption, ""),
        Then::Refused(code, next) => (0, code, next),
    };
    let mut differs = |what: &str, is: &str, due: &str| {
        if is != due && shown.differs.is_none() {
            shown.differs = Some(format!("{what} is {is:?} where {due:?} is due"));
        }
    };
    differs("calls at the trunk", &shown.reached.to_string(), &reached.to_string());
    differs("the code", shown.reason.as_deref().unwrap_or_default(), reason);
    differs("the next moment", shown.next.as_deref().unwrap_or_default(), next);
    shown
}

/// The next moment that a refusal's Warning names.
fn next_of(answer: &Answered) -> Option<String> {
    let warning = answer.warning.as_deref()?;
    between(warning, "next ", "\"").map(str::to_owned)
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

/// A moment of the demonstration's own writing; a slip shows as a call at the epoch, which fails.
pub(super) fn moment(text: &str) -> DateTime<Utc> {
    text.parse().unwrap_or_default()
}

fn day(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default()
}

fn configuration(store: &Path, lines: &[(Line, Pbx)], trunk: &Trunk) -> String {
    let mut text = format!(
        "[sip]\nlisten = [\"udp://127.0.0.1:0\"]\n[store]\npath = {:?}\n[api]\nlisten = \"127.0.0.1:0\"\n",
        store.join("store").display().to_string()
    );
    for (id, siren, numbers, more) in [
        ("acme", "999000001", "[\"0162001000-0162001999\", \"0145000001\"]", ""),
        ("wines", "999000002", "[\"0162002000-0162002999\"]", ""),
        (
            "warm-homes",
            "999000003",
            "[\"0162003000-0162003999\"]",
            "sector = \"energy-renovation\"",
        ),
        ("flash-sales", "999000004", "[\"0162004000-0162004999\"]", ""),
        ("fibre", "999000005", "[\"0162005000-0162005999\"]", ""),
        ("somebody-else", "999000006", "[\"0162008000-0162008999\"]", ""),
    ] {
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "[[professional]]\nid = \"{id}\"\nsiren = \"{siren}\"\nnumbers = {numbers}\n{more}\n"
        );
    }
    for ((line, id), (_, pbx)) in Line::ALL.iter().zip(lines) {
        let rest = match line {
            Line::Dialler | Line::Suspended => {
                "dialling = \"automated\"\nprofessionals = [\"acme\", \"wines\", \"warm-homes\", \"flash-sales\", \"fibre\"]"
            }
            Line::Agents => "dialling = \"manual\"\nprofessionals = [\"acme\"]",
            Line::Survey => "dialling = \"manual\"\npurpose = \"other\"",
            Line::SurveyDialler => "dialling = \"automated\"\npurpose = \"other\"",
            Line::Stranger => continue,
        };
        let _ = write!(
            text,
            "[[source]]\nid = \"{id}\"\naddresses = [\"{}\"]\n{rest}\n",
            pbx.local()
        );
    }
    let _ = write!(
        text,
        "[[trunk]]\nid = \"carrier\"\ntarget = \"sip:{};transport=udp\"\n",
        trunk.local()
    );
    text
}
