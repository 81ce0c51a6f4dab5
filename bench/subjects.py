"""The programs that bench/run measures: clapet, Kamailio, and a relay that reads nothing; each on a port of its own, on loopback."""
import pathlib
import signal
import socket
import subprocess
import sys
import time

from measure import ROOT, config, free_port, open_law, wait_ready

# The opt-in regime begins long after the run: the one in force has every rule that Kamailio's tables can say.
NO_OPT_IN = [(r'from = "2026-08-11"', 'from = "2199-01-01"')]
LISTED = 1_000_000  # opposed numbers that are called; bench/kamailio/rules.cfg holds them too
FIRST_LISTED = 33_610_000_000


class Subject:
    """One program under test, listening on `sip` and sending to `trunk`."""

    def __init__(self, name, folder, trunk):
        self.name, self.folder, self.trunk, self.sip = name, folder / name, trunk, free_port()
        self.folder.mkdir()
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        if self.process and self.process.poll() is None:
            if self.process.stdin:
                self.process.stdin.close()
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()


class Clapet(Subject):
    def start(self, program, durability, listed):
        api = free_port(socket.SOCK_STREAM)
        path = config(self.folder, open_law(self.folder, NO_OPT_IN), self.sip, self.trunk, api, durability)
        numbers = self.folder / "bloctel.csv"
        with numbers.open("w") as f:
            for first in range(0, listed, 10_000):
                f.write("".join(f"+{FIRST_LISTED + i}\n" for i in range(first, min(first + 10_000, listed))))
        with (self.folder / "import.log").open("w") as log:
            subprocess.run([program, "import", "bloctel", numbers, "--professional", "acme", "--config", path], check=True,
                           stdout=subprocess.DEVNULL, stderr=log)
        numbers.unlink()
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen([program, "serve", "--config", path], stderr=log, stdout=subprocess.DEVNULL)
        wait_ready(api, self.process, self.folder / "log")


class Kamailio(Subject):
    def start(self, template, children):
        """Tuned for speed: as many children as cores, no debug log, nothing loaded that is not used, and the fast memory manager (`fm`):
        Debian's default is the one for debugging, which doubles its CPU time."""
        modules = next(pathlib.Path("/usr/lib").glob("*/kamailio/modules"))
        text = (ROOT / f"bench/kamailio/{template}.cfg").read_text()
        for mark, value in (("@SIP@", self.sip), ("@TRUNK@", self.trunk), ("@MODULES@", modules), ("@CHILDREN@", children)):
            text = text.replace(mark, str(value))
        path = self.folder / "kamailio.cfg"
        path.write_text(text)
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                ["kamailio", "-f", path, "-DD", "-E", "-x", "fm", "-X", "fm", "-m", "2048", "-M", "64",
                 "-Y", self.folder, "-w", self.folder],
                stderr=log, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                sys.exit(f"kamailio stopped: {(self.folder / 'log').read_text()[-2000:]}")
            if answers(self.sip):
                return
        sys.exit("kamailio did not become ready")


class Relay(Subject):
    def start(self, program, to):
        self.process = subprocess.Popen([program, str(self.sip), str(to)], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        time.sleep(0.2)


def answers(port):
    """Any answer to a BYE of no dialog: the proxy is up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.25)
        s.bind(("127.0.0.1", 0))
        here = s.getsockname()[1]
        s.sendto((f"BYE sip:x@127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{here};branch=z9hG4bKup{time.monotonic_ns()}\r\n"
                  f"From: <sip:x@127.0.0.1>;tag=1\r\nTo: <sip:x@127.0.0.1>;tag=2\r\nCall-ID: up\r\nCSeq: 1 BYE\r\n"
                  "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n").encode(), ("127.0.0.1", port))
        try:
            return bool(s.recv(4096))
        except OSError:
            time.sleep(0.1)
            return False
