"""What the benchmarks share: clapet's files, whether it is up, and what the kernel says of a program."""
import json
import pathlib
import re
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent

HOURS = [
    (r'windows = \[\[.*?\]\]', 'windows = [["00:00", "24:00"]]'),
    (r'days = \["mon".*?\]', 'days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]'),
    (r'holidays = "national[^"]*"', 'holidays = "none"'),
]


def built(*names):
    """Paths of the benchmark programs of these names, built in release."""
    out = subprocess.run(["cargo", "bench", "--no-run", "--locked", "--quiet", *(word for name in names for word in ("--bench", name)),
                          "--message-format=json"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in out.splitlines()]
    programs = {message["target"]["name"]: message["executable"] for message in messages
                if message.get("reason") == "compiler-artifact" and message["target"]["name"] in names}
    missing = set(names) - set(programs)
    if missing:
        sys.exit(f"not built: {', '.join(sorted(missing))}")
    return programs


def free_port(kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def open_law(folder, changes):
    """The shipped law with every hour of every day open, and further changes (pattern, replacement)."""
    text = (ROOT / "config/law/fr.toml").read_text()
    for pattern, replacement in HOURS + changes:
        text, count = re.subn(pattern, replacement, text)
        if not count:
            sys.exit(f"the shipped law has changed: no {pattern}")
    path = folder / "law.toml"
    path.write_text(text)
    return path


def config(folder, law, sip, trunk, api, durability):
    path = folder / "clapet.toml"
    path.write_text(f'''
[sip]
listen = ["udp://127.0.0.1:{sip}"]
[store]
path = "{folder}/store"
durability = "{durability}"
[api]
listen = "127.0.0.1:{api}"
[law]
file = "{law}"
[[professional]]
id = "acme"
name = "ACME Assurances"
siren = "552100554"
numbers = ["+33162001000-+33162001999"]
mode = "enforce"
[[source]]
id = "dialer"
addresses = ["127.0.0.1"]
professionals = ["acme"]
dialling = "automated"
purpose = "canvassing"
[[trunk]]
id = "carrier"
target = "sip:127.0.0.1:{trunk};transport=udp"
''')
    return path


def wait_ready(api, process, log):
    for _ in range(1200):
        if process.poll() is not None:
            sys.exit(f"clapet stopped with {process.returncode}: {log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{api}/readyz", timeout=1) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    sys.exit("clapet did not become ready")


def children(pid):
    """A program and all that it started."""
    try:
        kids = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        kids = []
    return [pid] + [p for kid in kids for p in children(int(kid))]


def cpu_seconds(pid):
    """CPU time of a program and all that it started, ended threads included, to the nanosecond."""
    total = 0
    for each in children(pid):
        try:
            # The CPU clock of another process (clock_getcpuclockid): /proc/PID/stat counts in hundredths of a second.
            total += time.clock_gettime(~each << 3 | 2)
        except OSError:
            pass
    return total


def peak_mib(pid):
    total = 0
    for each in children(pid):
        try:
            total += int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{each}/status").read_text())[1])
        except (OSError, TypeError):
            pass
    return total / 1024
