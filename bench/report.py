"""The tables and plots of bench/run and bench/scale, from the figures that they measured; measures nothing."""
import statistics

import plot
from page import PLOTS
from subjects import LISTED

NAMES = {"clapet-interval": "clapet, interval", "clapet-strict": "clapet, strict", "kamailio-rules": "Kamailio, rules",
         "kamailio-relay": "Kamailio, relay", "bare-relay": "bare relay", "bare-echo": "bare echo"}
ORDER = ("clapet-interval", "clapet-strict", "kamailio-rules", "kamailio-relay", "bare-relay")
LEAST = 0.05  # MiB, of the resident memory: less is lost in the pages of everything else
REFUSING = ("clapet-interval", "kamailio-rules", "bare-echo")
COLOUR = {name: at for at, name in enumerate(("clapet-interval", "kamailio-rules", "clapet-strict", "kamailio-relay", "bare-relay", "bare-echo"))}
COLOUR["bare-echo"] = COLOUR["bare-relay"]


def spread(values, digits=1):
    """Minimum and median over the rounds."""
    return f"{min(values):,.{digits}f} / {statistics.median(values):,.{digits}f}"


def table(head, rows):
    return ["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *("| " + " | ".join(row) + " |" for row in rows), ""]


class Figures:
    def __init__(self, figures):
        self.figures, self.options = figures, figures["options"]

    def rounds(self, kind, who, rate=None):
        return self.figures[kind][f"{who}@{rate}" if rate is not None else who]

    def values(self, kind, who, rate, key):
        return [one[key] for one in self.rounds(kind, who, rate)]

    def median(self, kind, who, rate, key):
        return statistics.median(self.values(kind, who, rate, key))

    def total(self, kind, who, rate, key):
        return sum(self.values(kind, who, rate, key))

    def of_total(self, kind, rate):
        """clapet's CPU time for one of Kamailio's with the same rules, in each round."""
        return [ours / theirs for ours, theirs in zip(self.values(kind, "clapet-interval", rate, "cpu_us"),
                                                      self.values(kind, "kamailio-rules", rate, "cpu_us"))]

    def of_own(self, kind, rate, floor):
        """The same for what each takes above the floor of its round."""
        each = [self.values(kind, who, rate, "cpu_us") for who in ("clapet-interval", "kamailio-rules", floor)]
        return [(ours - least) / (theirs - least) for ours, theirs, least in zip(*each) if theirs > least]


def beside_kamailio(figures):
    f = Figures(figures)
    options, machine = f.options, figures["machine"]
    say = [f"{machine['date']}, {machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}, {machine['rustc']}, "
           f"{machine['kamailio']} with {options['children']} children; {options['rounds']} rounds, {options['seconds']} s a load, "
           f"{options['listed']:,} listed numbers for clapet and {LISTED:,} for Kamailio; load of the machine before: "
           f"{machine['load_before']:.1f}. Two figures are minimum / median over the rounds.", "",
           "Forwarded calls (INVITE 180 200 ACK BYE 200), CPU µs a call, by `bench/calls.rs`:", ""]
    say += cpu(f, "calls", options["rates"])
    say += ["The same by SIPp, as dialer and as carrier:", ""] + cpu(f, "sipp", options["sipp_rates"])
    say += ["Response time from INVITE to 180 in µs, median over the rounds: p50 · p99 · p99.9; then calls failed and requests sent again in "
            "all rounds:", ""]
    rows = []
    for rate in options["rates"]:
        cells = []
        for who in ORDER:
            times = " · ".join(f"{f.median('calls', who, rate, key):,.0f}" for key in ("p50_us", "p99_us", "p999_us"))
            cells.append(f"{times}; {f.total('calls', who, rate, 'failed')}, {f.total('calls', who, rate, 'retransmissions')}")
        rows.append([f"{rate:,}/s", *cells])
    say += table(["rate", *(NAMES[who] for who in ORDER)], rows)
    say += ["SIPp's failed calls and retransmissions in all rounds:", ""]
    say += table(["rate", *(NAMES[who] for who in ORDER)],
                 [[f"{rate:,}/s", *(f"{f.total('sipp', who, rate, 'failed')}, {f.total('sipp', who, rate, 'retransmissions')}" for who in ORDER)]
                  for rate in options["sipp_rates"]])
    say += price_of_strict(f)
    say += refused(f)
    say.append("Peak resident MiB: " + ", ".join(f"{NAMES[name]} {mib:.0f}" for name, mib in figures["peak_mib"].items()) + ".")
    return "\n".join(say)


def cpu(f, kind, rates):
    rows = []
    for rate in rates:
        rows.append([f"{rate:,}/s", *(spread(f.values(kind, who, rate, "cpu_us")) for who in ORDER),
                     spread(f.of_total(kind, rate), 2), spread(f.of_own(kind, rate, "bare-relay") or [float("nan")], 2)])
    return table(["rate", *(NAMES[who] for who in ORDER), "clapet / Kamailio", "own cost: clapet / Kamailio"], rows)


def price_of_strict(f):
    rows = []
    for rate in f.options["strict_rates"]:
        both = ("clapet-interval", "clapet-strict")
        cpu = [f.median("calls", who, rate, "cpu_us") for who in both]
        delay = [[f.median("calls", who, rate, key) for who in both] for key in ("p50_us", "p99_us")]
        rows.append([f"{rate:,}/s", f"{cpu[0]:.1f}", f"{cpu[1]:.1f}", f"{cpu[1] - cpu[0]:+.1f}",
                     *(f"{strict / 1e3:.2f} ({(strict - interval) / 1e3:+.2f})" for interval, strict in delay),
                     str(f.total("calls", "clapet-strict", rate, "failed"))])
    return ["The price of `durability = \"strict\"` (synced before the call goes), medians over the rounds:", "",
            *table(["rate", "CPU µs a call, interval", "strict", "price", "INVITE to 180, p50 ms (more than interval)", "p99 ms (more)", "failed"],
                   rows)]


def refused(f):
    rows = []
    for rate in f.options["refused_rates"]:
        rows.append([f"CPU µs at {rate:,}/s", *(spread(f.values("refused", who, rate, "cpu_us")) for who in REFUSING),
                     spread(f.of_total("refused", rate), 2), spread(f.of_own("refused", rate, "bare-echo") or [float("nan")], 2)])
        times = (" · ".join(f"{f.median('refused', who, rate, key):,.0f}" for key in ("p50_us", "p99_us", "p999_us")) +
                 f"; {f.total('refused', who, rate, 'failed')}, {f.total('refused', who, rate, 'retransmissions')}" for who in REFUSING)
        rows.append([f"INVITE to 403 at {rate:,}/s, µs: p50 · p99 · p99.9; failed, sent again", *times, "", ""])
    most = {who: f.values("most", who, None, "per_second") for who in REFUSING}
    more = [ours / theirs for ours, theirs in zip(most["clapet-interval"], most["kamailio-rules"])]
    rows.append(["most a second, both cores shared with the generator: maximum / median",
                 *(f"{max(values):,.0f} / {statistics.median(values):,.0f}" for values in most.values()), spread(more, 2), ""])
    for key, label in (("p50_us", "p50"), ("p99_us", "p99"), ("p999_us", "p99.9")):
        each = {who: f.values("serial", who, None, key) for who in REFUSING}
        ratio = [ours / theirs for ours, theirs in zip(each["clapet-interval"], each["kamailio-rules"])]
        rows.append([f"one at a time, {label} µs", *(spread(values) for values in each.values()), spread(ratio, 2), ""])
    return ["Refused INVITEs (INVITE 403 ACK; listed numbers, so that every rule was asked):", "",
            *table(["", *(NAMES[who] for who in REFUSING), "clapet / Kamailio", "own cost: clapet / Kamailio"], rows)]


def draw(figures):
    f = Figures(figures)

    def lines(kind, who, rates, *keys):
        for dashed, (key, label) in enumerate(keys):
            points = [(rate, f.median(kind, who, rate, key)) for rate in rates]
            yield plot.Series(NAMES[who] + label, points, COLOUR[who], bool(dashed))

    rates, refusals = f.options["rates"], f.options["refused_rates"]
    plot.chart(PLOTS / "cpu-per-call.svg", "CPU time of a forwarded call", plot.Axis("calls a second", True, rates), plot.Axis("CPU µs a call"),
               [line for who in ORDER for line in lines("calls", who, rates, ("cpu_us", ""))])
    plot.chart(PLOTS / "cpu-per-refusal.svg", "CPU time of a refused INVITE", plot.Axis("refused INVITEs a second", True, refusals),
               plot.Axis("CPU µs an INVITE"), [line for who in REFUSING for line in lines("refused", who, refusals, ("cpu_us", ""))])
    both = (("p50_us", ", p50"), ("p99_us", ", p99"))
    plot.chart(PLOTS / "latency-calls.svg", "Response time against load: INVITE to 180", plot.Axis("calls a second", True, rates),
               plot.Axis("µs", True),
               [line for who in ("clapet-interval", "clapet-strict", "kamailio-rules", "bare-relay") for line in lines("calls", who, rates, *both)])
    plot.chart(PLOTS / "latency-refusals.svg", "Response time against load: INVITE to 403", plot.Axis("refused INVITEs a second", True, refusals),
               plot.Axis("µs", True), [line for who in REFUSING for line in lines("refused", who, refusals, *both)])


def sizes(rows):
    """`rows` of `cargo bench --bench decide -- growth`."""
    say, cells = [], []
    for row in rows:
        cells.append([row["of"], f"{row['size']:,}", f"{row['p50_us']:.2f}", f"{row['p99_us']:.2f}", f"{row['mib']:.1f}"])
    say += table(["growing", "size", "decision, p50 µs", "p99 µs", "resident MiB above the start"], cells)
    for of in dict.fromkeys(row["of"] for row in rows):
        mine = [row for row in rows if row["of"] == of]
        ratios = [mine[-1][key] / mine[0][key] for key in ("p50_us", "p99_us")]
        say.append(f"From {mine[0]['size']:,} to {mine[-1]['size']:,} {of}, a decision takes {ratios[0]:.2f} times as long at p50 and "
                   f"{ratios[1]:.2f} times at p99.")
    return "\n".join(say)


def draw_sizes(rows):
    kinds = list(dict.fromkeys(row["of"] for row in rows))
    decades = sorted({row["size"] for row in rows})

    def lines(key, label, dashed=False):
        return [plot.Series(of + label, [(row["size"], row[key]) for row in rows if row["of"] == of and row[key] > LEAST], colour, dashed)
                for colour, of in enumerate(kinds)]

    plot.chart(PLOTS / "decision-by-size.svg", "Decision time against what is kept", plot.Axis("numbers or records", True, decades),
               plot.Axis("µs a decision"), lines("p50_us", ", p50") + lines("p99_us", ", p99", True))
    plot.chart(PLOTS / "memory-by-size.svg", "Memory against what is kept", plot.Axis("numbers or records", True, decades),
               plot.Axis("resident MiB above the start", True), lines("mib", ""))
