"""What bench/run puts on a subject: whole calls (bench/calls.rs, and SIPp beside it), refused INVITEs (bench/calls.rs, bench/blast.rs).

Each load says what it saw and what CPU time the subject took meanwhile.
"""
import csv
import json
import subprocess
import sys
import time

from measure import ROOT, cpu_seconds, free_port
from subjects import FIRST_LISTED, LISTED

FIRST_CALLED = 33_730_000_000  # numbers called lawfully: on no list
CALLED = 10_000_000            # so many; none is called twice in a run
CALLER = "+33162001234"
SIPP_CALLED = 33_790_000_000
FIVE_TIMES = 33_780_000_000


class Loads:
    def __init__(self, folder, trunk, programs):
        self.folder, self.trunk, self.programs = folder, trunk, programs
        self.called, self.refused, self.by_sipp = 0, 0, 0

    def must_count(self, subject):
        """Ten numbers five times each: four calls go, the fifth is refused."""
        out = self._calls(subject, 50, 1, FIVE_TIMES, 10, 0)
        if (out["served"], out["refused"]) != (40, 10):
            sys.exit(f"{subject.name} does not count to four: {out}")

    def calls(self, subject, rate, seconds):
        out = self._calls(subject, rate, seconds, FIRST_CALLED, CALLED, self.called)
        self.called += out["sent"]
        if self.called > CALLED:
            sys.exit("more calls than numbers: fewer rounds, please")
        out["cpu_us"] = out.pop("cpu") * 1e6 / max(out["served"], 1)
        return out

    def refusals(self, subject, rate, seconds):
        out = self._calls(subject, rate, seconds, FIRST_LISTED, LISTED, self.refused)
        self.refused += out["sent"]
        return self._refused(subject, out)

    def serial(self, subject, count):
        return self._refused(subject, self._measured(subject, "blast", subject.sip, "serial", count))

    def most(self, subject, seconds, window=64):
        out = self._refused(subject, self._measured(subject, "blast", subject.sip, "most", seconds, window))
        out["per_second"] = out["refused"] / out["seconds"]
        return out

    def sipp(self, subject, rate, seconds):
        """SIPp as dialer and as carrier."""
        carrier = subprocess.Popen(["sipp", "-sf", ROOT / "bench/sipp/carrier.xml", "-i", "127.0.0.1", "-p", str(self.trunk), "-nostdin",
                                    "-timeout", f"{seconds + 90}s"],
                                   cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.3)
            return self._dialer(subject, rate, seconds)
        finally:
            carrier.kill()
            carrier.wait(30)

    def _dialer(self, subject, rate, seconds):
        count = rate * seconds
        numbers = self.folder / "numbers.csv"
        with numbers.open("w") as f:
            f.write("SEQUENTIAL\n")
            for i in range(count):
                f.write(f"{CALLER};+{SIPP_CALLED + self.by_sipp + i};\n")
        self.by_sipp += count
        trace = self.folder / "stat.csv"
        trace.unlink(missing_ok=True)
        before = cpu_seconds(subject.pid)
        client = subprocess.Popen(
            ["sipp", f"127.0.0.1:{subject.sip}", "-sf", ROOT / "bench/sipp/call.xml", "-inf", numbers, "-i", "127.0.0.1", "-p",
             str(free_port()), "-r", str(rate), "-m", str(count), "-l", "20000", "-timeout", f"{seconds + 40}s", "-timeout_error",
             "-trace_stat", "-stf", trace, "-fd", "1", "-nostdin"], cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            client.wait(seconds + 60)
        finally:
            if client.poll() is None:
                client.kill()
        cpu = cpu_seconds(subject.pid) - before
        with trace.open() as f:
            last = list(csv.DictReader(f, delimiter=";"))[-1]
        good = int(last["SuccessfulCall(C)"])
        return {"served": good, "failed": int(last["FailedCall(C)"]), "retransmissions": int(last["Retransmissions(C)"]),
                "cpu_us": cpu * 1e6 / max(good, 1)}

    def _calls(self, subject, rate, seconds, *numbers):
        return self._measured(subject, "calls", subject.sip, self.trunk, rate, seconds, *numbers)

    def _measured(self, subject, program, *arguments):
        before = cpu_seconds(subject.pid)
        out = json.loads(subprocess.run([self.programs[program], *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True,
                                        timeout=300).stdout)
        out["cpu"] = cpu_seconds(subject.pid) - before
        return out

    @staticmethod
    def _refused(subject, out):
        if not subject.name.startswith("bare") and out["listed"] < out["refused"]:
            sys.exit(f"{subject.name} refused for another reason than the list: {out}")
        out["cpu_us"] = out.pop("cpu") * 1e6 / max(out["refused"], 1)
        return out
