"""What scripts/bench is built on: processes that end with it, the service under test, and what proc(5) says.

It knows nothing of tables or of what is compared. The hard thing: nothing may be left running, however a
bench ends, and nothing may be ended that was not started here.
"""

import json
import os
import pathlib
import socket
import subprocess
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELEASE = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
# BENCH_SERVICE names another build, to compare two.
SERVICE = pathlib.Path(os.environ.get("BENCH_SERVICE", RELEASE / "srt-restream"))

# Bounds of what is waited for, seconds.
START_MAX_S = 15
CONNECT_MAX_S = 25
STOP_MAX_S = 6

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A run that gave no figure; the text says why."""


class Processes:
    """Every process that was started here; all of them are ended by their id, whatever happens."""

    def __init__(self):
        self.running = []

    def start(self, command, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.DEVNULL)
        process = subprocess.Popen([str(part) for part in command], **options)
        self.running.append(process)
        return process

    def cpu_seconds(self):
        return sum(cpu_seconds(process.pid) for process in self.running if process.poll() is None)

    def end(self):
        for process in reversed(self.running):
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_MAX_S
        for process in reversed(self.running):
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()


def wait_for(what, seconds, ready):
    """Polls until `ready` gives something true, and gives it back."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = ready()
        if result:
            return result
        time.sleep(0.05)
    raise Failed(f"{what} did not come within {seconds} s")


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(method, url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.loads(error.read() or b"null")
    except (urllib.error.URLError, ConnectionError, json.JSONDecodeError):
        return None


class Service:
    """The service with its defaults, on free loopback ports, its store in a directory of its own.

    In further settings `{http}` stands for its port.
    """

    def __init__(self, processes, directory, extra_environment=None):
        self.http = free_port(socket.SOCK_STREAM)
        self.rtmp = free_port(socket.SOCK_STREAM)
        self.srt = free_port(socket.SOCK_DGRAM)
        environment = dict(os.environ)
        environment.update({
            "SRT_RESTREAM__HTTP__LISTEN": f"127.0.0.1:{self.http}",
            "SRT_RESTREAM__HTTPS__LISTEN": "127.0.0.1:0",
            "SRT_RESTREAM__RTMP__LISTEN": f"127.0.0.1:{self.rtmp}",
            "SRT_RESTREAM__SRT__LISTEN": f"127.0.0.1:{self.srt}",
        })
        more = extra_environment or {}
        environment.update({name: value.replace("{http}", str(self.http)) for name, value in more.items()})
        log = open(os.path.join(directory, "service.log"), "wb")
        self.process = processes.start([SERVICE], cwd=directory, env=environment, stdout=log, stderr=log)
        self.broadcasts = f"http://127.0.0.1:{self.http}/live/rest/v2/broadcasts"
        self.url = f"{self.broadcasts}/bench"
        wait_for("the service", START_MAX_S, lambda: call("GET", f"http://127.0.0.1:{self.http}/health"))

    def publish_url(self, protocol):
        if protocol == "rtmp":
            return ["-f", "flv", f"rtmp://127.0.0.1:{self.rtmp}/live/bench"]
        return ["-f", "mpegts", f"srt://127.0.0.1:{self.srt}?streamid=live/bench&pkt_size=1316"]

    def wait_live(self):
        def live():
            broadcast = call("GET", self.url)
            return broadcast and broadcast.get("status") == "broadcasting"
        wait_for("the publisher", START_MAX_S, live)

    def add_endpoint(self, url):
        answer = call("POST", f"{self.url}/endpoint", {"endpointUrl": url})
        if not answer or not answer.get("success"):
            raise Failed(f"the service refused an endpoint: {answer}")


class Receivers:
    """benches/receivers.rs; each line written to it is answered by a report."""

    def __init__(self, processes):
        self.process = processes.start(
            [RELEASE / "examples" / "receivers"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = json.loads(self.process.stdout.readline())["listening"]

    def report(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def cpu_seconds(pid):
    """User and system time of all threads, also of those that have ended (proc(5), stat)."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def memory_kib(pid):
    """Proportional set size: shared pages are divided among those who share them."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise Failed("no Pss in smaps_rollup")


def busy_seconds():
    """CPU time of the whole machine, without idle and waiting (proc(5), stat)."""
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / CLOCK_TICKS
