"""Instruction counts compared with those on record: what bench/callgrind --check fails for. Counts nothing itself."""
import dataclasses
import tomllib

TOLERANCE = 5  # per cent of the count on record, either way


@dataclasses.dataclass(frozen=True)
class Difference:
    operation: str
    recorded: int | None
    counted: int | None

    @property
    def change(self):
        return self.counted / self.recorded - 1

    @property
    def kind(self):
        """`same`, `rise`, `fall`, `new` (not on record), `gone` (on record and no more)."""
        if self.recorded is None:
            return "new"
        if self.counted is None:
            return "gone"
        if self.counted * 100 > self.recorded * (100 + TOLERANCE):
            return "rise"
        return "fall" if self.counted * 100 < self.recorded * (100 - TOLERANCE) else "same"

    def __str__(self):
        match self.kind:
            case "new":
                return f"{self.operation}: {self.counted:,} instructions, and none on record"
            case "gone":
                return f"{self.operation}: on record with {self.recorded:,} instructions, and no operation any more"
            case _:
                return f"{self.operation}: {self.recorded:,} -> {self.counted:,} instructions ({self.change:+.1%})"


def compare(recorded, counted):
    """Both are {operation: instructions}; every operation of either, in the order of the record."""
    names = list(recorded) + [name for name in counted if name not in recorded]
    return [Difference(name, recorded.get(name), counted.get(name)) for name in names]


def judge(differences, compilers):
    """(whether it passes, what to say). `compilers`: on record, and here."""
    of = {kind: [str(d) for d in differences if d.kind == kind] for kind in ("rise", "fall", "new", "gone")}
    say = []
    if of["rise"]:
        say += [f"More than {TOLERANCE} % above the record:", *of["rise"],
                "If the work is worth it, accept the new counts with `bench/callgrind --accept`, and give the reason in the commit."]
    if of["new"] or of["gone"]:
        say += ["The record does not match the operations of bench/operations.rs:", *of["new"], *of["gone"],
                "Write it anew with `bench/callgrind --accept`."]
    if of["fall"]:
        say += [f"More than {TOLERANCE} % below the record:", *of["fall"],
                "Please record it with `bench/callgrind --accept`, so that it is not lost again unseen."]
    if say and compilers[0] != compilers[1]:
        say.append(f"The record was made with another compiler: {compilers[0]}, and here is {compilers[1]}.")
    return not (of["rise"] or of["new"] or of["gone"]), say


def read(path):
    """({operation: instructions}, compiler, architecture) on record."""
    record = tomllib.loads(path.read_text())
    return record["instructions"], record["compiler"], record["architecture"]


def write(path, counted, compiler, architecture):
    lines = ["# Instructions an operation of bench/operations.rs, as callgrind counts them; `bench/callgrind --check` compares,",
             "# `bench/callgrind --accept` writes this file. The commit that changes a count says why.",
             f'compiler = "{compiler}"', f'architecture = "{architecture}"', "", "[instructions]"]
    path.write_text("\n".join(lines + [f"{name} = {count}" for name, count in counted.items()]) + "\n")
