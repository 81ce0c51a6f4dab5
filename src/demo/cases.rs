//! The calls of the demonstration and what must become of each. Numbers, names and SIRENs are invented.

/// From which account a call comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A predictive dialler that calls for several professionals.
    Dialler,
    /// Agents who dial each call themselves.
    Agents,
    /// A survey institute's agents: nothing is sold.
    Survey,
    /// A survey institute's dialler, which calls for nobody known.
    SurveyDialler,
    /// An account that the operator suspended.
    Suspended,
    /// Nobody's.
    Stranger,
}

impl Line {
    /// All of them, with the name each has in the configuration.
    pub(super) const ALL: [(Line, &'static str); 6] = [
        (Line::Dialler, "dialler"),
        (Line::Agents, "agents"),
        (Line::Survey, "survey"),
        (Line::SurveyDialler, "survey-dialler"),
        (Line::Suspended, "bpo-suspended"),
        (Line::Stranger, ""),
    ];
}

/// One row: a call, or several of the same kind.
#[derive(Debug)]
pub(super) struct Case {
    /// Heading before the row, where one begins.
    pub part: &'static str,
    /// Moments in the callee's local time, and what the person called does (200 answers, 486 busy, 480 no answer, 404 no such number).
    pub calls: &'static [(&'static str, u16)],
    pub line: Line,
    /// From header without its tag.
    pub from: &'static str,
    /// As the table names the caller.
    pub caller: &'static str,
    /// As dialled.
    pub to: &'static str,
    /// What happens, in plain words.
    pub words: &'static str,
    pub then: Then,
}

/// What must become of a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It reaches the trunk, whose answers come back; with the exemption that the proxy names.
    Goes(&'static str),
    /// 403 with this code; the moment from which it would be lawful, where the answer names one.
    Refused(&'static str, &'static str),
}

/// ACME, whose numbers are 01 62 00 10 00 to 01 62 00 19 99.
const ACME: &str = "<sip:+33162001001@pbx.example>";
const ACME_SHOWN: &str = "01 62 00 10 01";

/// A professional that never loaded a Bloctel list.
const FIBRE: &str = "<sip:0162005001@pbx.example>";
const FIBRE_SHOWN: &str = "01 62 00 50 01";

const fn case(
    part: &'static str,
    calls: &'static [(&'static str, u16)],
    to: &'static str,
    words: &'static str,
    then: Then,
) -> Case {
    Case {
        part,
        calls,
        line: Line::Dialler,
        from: ACME,
        caller: ACME_SHOWN,
        to,
        words,
        then,
    }
}

const fn from(case: Case, from: &'static str, caller: &'static str) -> Case {
    Case { from, caller, ..case }
}

const fn by(case: Case, line: Line) -> Case {
    Case { line, ..case }
}

const MORNING: &[(&str, u16)] = &[("2024-05-14T10:30:00+02:00", 200)];
const SUNDAY_NIGHT: &[(&str, u16)] = &[("2024-05-19T03:12:00+02:00", 200)];
const OPT_IN: &[(&str, u16)] = &[("2026-09-15T11:00:00+02:00", 200)];
const OPT_IN_EVENING: &[(&str, u16)] = &[("2026-09-15T20:30:00+02:00", 200)];

/// In the order of their dates, since the ledger counts them.
pub(super) const CASES: &[Case] = &[
    case(
        "Who calls",
        MORNING,
        "01 99 00 00 01",
        "A lawful call for ACME: rings, is answered.",
        Then::Goes(""),
    ),
    by(
        case(
            "",
            MORNING,
            "01 99 00 00 01",
            "From an address that nobody configured.",
            Then::Refused("source.unknown", ""),
        ),
        Line::Stranger,
    ),
    by(
        case(
            "",
            MORNING,
            "01 99 00 00 01",
            "From a contact centre that is suspended.",
            Then::Refused("source.suspended", ""),
        ),
        Line::Suspended,
    ),
    from(
        case(
            "",
            MORNING,
            "01 99 00 00 01",
            "For a professional that is suspended.",
            Then::Refused("professional.suspended", ""),
        ),
        "<sip:0162004001@pbx.example>",
        "01 62 00 40 01",
    ),
    by(
        from(
            case(
                "",
                MORNING,
                "01 99 00 00 01",
                "For nobody known: no one owns the number.",
                Then::Refused("professional.unknown", ""),
            ),
            "<sip:0162009001@pbx.example>",
            "01 62 00 90 01",
        ),
        Line::SurveyDialler,
    ),
    from(
        case(
            "Which number is shown",
            MORNING,
            "01 99 00 00 01",
            "A caller who hides.",
            Then::Refused("caller-id.masked", ""),
        ),
        "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
        "hidden",
    ),
    from(
        case(
            "",
            MORNING,
            "01 99 00 00 01",
            "A caller without a number.",
            Then::Refused("caller-id.missing", ""),
        ),
        "<sip:pbx.example>",
        "none",
    ),
    from(
        case(
            "",
            MORNING,
            "01 99 00 00 01",
            "A caller whose number is none.",
            Then::Refused("caller-id.unparseable", ""),
        ),
        "<sip:sales-team@pbx.example>",
        "sales-team",
    ),
    from(
        case(
            "",
            MORNING,
            "01 99 00 00 01",
            "A contact centre may not show a mobile.",
            Then::Refused("caller-id.mobile", ""),
        ),
        "<sip:0612000001@pbx.example>",
        "06 12 00 00 01",
    ),
    from(
        case(
            "",
            MORNING,
            "01 99 00 00 01",
            "A dialler may not show a geographic number.",
            Then::Refused("caller-id.not-npv", ""),
        ),
        "<sip:0142000001@pbx.example>",
        "01 42 00 00 01",
    ),
    by(
        from(
            case(
                "",
                MORNING,
                "01 99 00 00 02",
                "An agent who dials by hand may show one.",
                Then::Goes(""),
            ),
            "<sip:0145000001@pbx.example>",
            "01 45 00 00 01",
        ),
        Line::Agents,
    ),
    from(
        case(
            "",
            MORNING,
            "01 99 00 00 01",
            "Nobody may call from a premium number.",
            Then::Refused("caller-id.category", ""),
        ),
        "<sip:0899000001@pbx.example>",
        "08 99 00 00 01",
    ),
    from(
        case(
            "",
            MORNING,
            "01 99 00 00 01",
            "A verified number, but of somebody else.",
            Then::Refused("caller-id.not-owned", ""),
        ),
        "<sip:0162008001@pbx.example>",
        "01 62 00 80 01",
    ),
    case(
        "Who is called",
        MORNING,
        "reception",
        "Not a number at all.",
        Then::Refused("callee.unparseable", ""),
    ),
    from(
        case(
            "",
            MORNING,
            "01 99 00 00 01",
            "Energy renovation may not canvass at all.",
            Then::Refused("sector.banned", ""),
        ),
        "<sip:0162003001@pbx.example>",
        "01 62 00 30 01",
    ),
    from(
        case(
            "",
            MORNING,
            "01 99 00 00 03",
            "She refused on 2 May: none for sixty days.",
            Then::Refused("refusal.active", "2024-07-02T10:00:00+02:00"),
        ),
        FIBRE,
        FIBRE_SHOWN,
    ),
    case(
        "",
        MORNING,
        "01 99 00 00 04",
        "On the Bloctel list.",
        Then::Refused("bloctel.opposed", ""),
    ),
    from(
        case(
            "",
            MORNING,
            "01 99 00 00 01",
            "The list is older than thirty days.",
            Then::Refused("bloctel.stale", ""),
        ),
        "<sip:0162002001@pbx.example>",
        "01 62 00 20 01",
    ),
    from(
        case(
            "",
            MORNING,
            "01 99 00 00 01",
            "Never screened, where that is required.",
            Then::Refused("bloctel.unscreened", ""),
        ),
        FIBRE,
        FIBRE_SHOWN,
    ),
    case(
        "",
        MORNING,
        "01 99 00 00 05",
        "On the operator's own list.",
        Then::Refused("opposition.listed", ""),
    ),
    case(
        "When",
        &[("2024-05-14T13:30:00+02:00", 200)],
        "01 99 00 00 01",
        "Between 13:00 and 14:00 nobody is called.",
        Then::Refused("hours.window", "2024-05-14T14:00:00+02:00"),
    ),
    case(
        "",
        &[("2024-05-14T21:00:00+04:00", 200)],
        "0262 00 00 01",
        "19:00 in Paris, but 21:00 in La Réunion.",
        Then::Refused("hours.window", "2024-05-15T10:00:00+04:00"),
    ),
    case(
        "",
        &[("2024-05-18T11:00:00+02:00", 200)],
        "01 99 00 00 01",
        "Saturday. Monday is a holiday, so Tuesday.",
        Then::Refused("hours.day", "2024-05-21T10:00:00+02:00"),
    ),
    case(
        "",
        SUNDAY_NIGHT,
        "112",
        "An emergency number passes, always.",
        Then::Goes("exempt.emergency"),
    ),
    case(
        "",
        SUNDAY_NIGHT,
        "+44 2079460001",
        "To another country: other hours hold there.",
        Then::Goes("exempt.foreign"),
    ),
    by(
        from(
            case(
                "",
                SUNDAY_NIGHT,
                "01 99 00 00 01",
                "A call by hand that sells nothing.",
                Then::Goes("exempt.purpose"),
            ),
            "<sip:0145000009@pbx.example>",
            "01 45 00 00 09",
        ),
        Line::Survey,
    ),
    case(
        "",
        &[("2024-05-20T11:00:00+02:00", 200)],
        "01 99 00 00 01",
        "Whit Monday, a public holiday.",
        Then::Refused("hours.holiday", "2024-05-21T10:00:00+02:00"),
    ),
    case(
        "How often",
        &[("2024-06-03T10:15:00+02:00", 404)],
        "01 99 00 00 06",
        "The network knows no such number: not counted.",
        Then::Goes(""),
    ),
    case(
        "",
        &[
            ("2024-06-03T10:30:00+02:00", 200),
            ("2024-06-04T17:00:00+02:00", 486),
            ("2024-06-05T11:00:00+02:00", 480),
            ("2024-06-06T19:59:00+02:00", 200),
        ],
        "01 99 00 00 06",
        "Answered, busy, no answer, answered: four tries.",
        Then::Goes(""),
    ),
    case(
        "",
        &[("2024-06-07T10:00:00+02:00", 200)],
        "01 99 00 00 06",
        "The fifth within thirty days.",
        Then::Refused("frequency.exhausted", "2024-07-03T10:00:00+02:00"),
    ),
    by(
        case(
            "",
            &[("2024-06-07T10:05:00+02:00", 200)],
            "01 99 00 00 06",
            "The fifth through another contact centre.",
            Then::Refused("frequency.exhausted", "2024-07-03T10:00:00+02:00"),
        ),
        Line::Agents,
    ),
    case(
        "",
        &[("2024-07-03T10:00:00+02:00", 200)],
        "01 99 00 00 06",
        "The same call when it is lawful again.",
        Then::Goes(""),
    ),
    case(
        "Since 11 August 2026",
        OPT_IN,
        "01 99 00 00 01",
        "Nobody is canvassed without prior consent.",
        Then::Refused("consent.missing", ""),
    ),
    case(
        "",
        OPT_IN,
        "01 99 00 00 07",
        "He consented on 1 September.",
        Then::Goes(""),
    ),
    case(
        "",
        OPT_IN,
        "01 99 00 00 08",
        "She has a current contract with ACME.",
        Then::Goes("exempt.contract"),
    ),
    case(
        "",
        OPT_IN,
        "01 99 00 00 09",
        "He refused in 2025: binds until a new consent.",
        Then::Refused("refusal.active", ""),
    ),
    case(
        "",
        OPT_IN_EVENING,
        "01 99 00 00 10",
        "She asked the day before to be called.",
        Then::Goes("exempt.requested"),
    ),
    case(
        "",
        &[("2026-09-19T11:10:00+02:00", 200)],
        "01 99 00 00 11",
        "He agreed to this Saturday, 11:00 to 11:30.",
        Then::Goes(""),
    ),
];
