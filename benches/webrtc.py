"""`scripts/bench webrtc`: what a browser's stream takes in time and CPU, and how far its sound moves.

A headless Chromium publishes, steered by WebDriver; the page is the one of the tests (tests/browser). It knows
nothing of tables. The hard thing: the browser encodes on the same cores, so that only the service's own CPU
time is a figure, and times hold the browser's share of them.
"""

import functools
import http.server
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import re
import select
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request

from harness import (CONNECT_MAX_S, ROOT, Failed, Processes, Service, call, cpu_seconds, free_port, wait_for)

# Of the connections to the receivers here; as little as SRT makes sense with.
SRT_LATENCY_MS = 20

# How long a piece must be that an A/V offset is taken from: some flashes.
OFFSET_S = 8

# What --codecs takes, and how it goes on.
WAYS = {"H264": "H.264, passed through, and Opus to AAC", "VP8": "VP8 to H.264, and Opus to AAC",
        "VP9": "VP9 to H.264, and Opus to AAC", "AV1": "AV1 to H.264, and Opus to AAC"}

# Pause between two publications or endpoints: nothing of the one before is left.
PAUSE_S = 1.0


def load_watch():
    """scripts/watch as a module: the judge of what arrives."""
    loader = importlib.machinery.SourceFileLoader("watch", str(ROOT / "scripts" / "watch"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("watch", loader))
    loader.exec_module(module)
    return module


watch = load_watch()


class Pages(http.server.ThreadingHTTPServer):
    """The test page, with the clients that npm has installed beside it."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    def __init__(self, host="127.0.0.1"):
        super().__init__((host, 0), functools.partial(self.Quiet, directory=ROOT / "tests" / "browser"))
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.origin = f"http://{host}:{self.server_port}"
        self.url = f"{self.origin}/publisher.html"


class Browser:
    """A headless Chromium; chromedriver and all that it starts are one process group.

    `inside` is put before its command (a network namespace, where it has the address `host`).
    """

    def __init__(self, directory, host="127.0.0.1", inside=(), more_flags=()):
        port = free_port(socket.SOCK_STREAM)
        self.base = f"http://{host}:{port}"
        environment = dict(os.environ, HOME=directory, TMPDIR=directory)
        open_to_us = ["--allowed-ips=", "--allowed-origins=*"] if inside else []
        self.driver = subprocess.Popen(
            [*inside, "chromedriver", f"--port={port}", *open_to_us], start_new_session=True, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for("chromedriver", CONNECT_MAX_S, lambda: call("GET", f"{self.base}/status"))
            # The flags are said once, beside the tests' browser.
            text = (ROOT / "tests/it/support/browser/mod.rs").read_text()
            flags = re.findall(r'^    "(--.*)",$', text.split("const FLAGS")[1].split("];")[0], re.MULTILINE)
            options = {"args": [*flags, *more_flags, f"--user-data-dir={directory}/profile"]}
            begun = self.post("/session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
            self.base += f"/session/{begun['sessionId']}"
        except BaseException:
            self.end()
            raise

    def post(self, path, body):
        request = urllib.request.Request(self.base + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, url):
        self.post("/url", {"url": url})
        wait_for("the page", CONNECT_MAX_S, lambda: self.eval("!!window.publisher"))

    def eval(self, expression):
        script = ("const done = arguments[arguments.length - 1];"
                  f"Promise.resolve().then(async () => ({expression}))"
                  ".then((value) => done([true, value ?? null]), (error) => done([false, String(error)]));")
        good, value = self.post("/execute/async", {"script": script, "args": []})
        if not good:
            raise Failed(f"the page threw: {value}")
        return value

    def end(self):
        os.killpg(self.driver.pid, signal.SIGKILL)
        self.driver.wait()


class Arrivals:
    """An SRT listener whose output is read here, with the time of its first picture."""

    def __init__(self, processes, keep=None):
        self.port = free_port(socket.SOCK_DGRAM)
        self.url = f"srt://127.0.0.1:{self.port}"
        self.meter, self.keep = watch.Meter(), keep
        self.process = processes.start(
            ["srt-live-transmit", "-q", "-a:no", f"srt://127.0.0.1:{self.port}?mode=listener&latency={SRT_LATENCY_MS}",
             "file://con"], stdout=subprocess.PIPE)
        wait_for("the receiver", CONNECT_MAX_S, self.is_bound)

    def is_bound(self):
        return f":{self.port:04X} " in pathlib.Path("/proc/net/udp").read_text()

    def read(self, seconds, enough=lambda: False):
        """Takes what comes for so long, or until it is enough; gives the time that took."""
        begun = time.monotonic()
        while not enough() and time.monotonic() - begun < seconds:
            if select.select([self.process.stdout], [], [], 0.005)[0]:
                data = os.read(self.process.stdout.fileno(), 65536)
                self.meter.feed(data)
                if self.keep:
                    self.keep.write(data)
        return time.monotonic() - begun

    def has_picture(self):
        # A picture is whole when the next one begins.
        return self.meter.count("video") >= 2


class Bench:
    """The service, a browser with the page, and what they are asked."""

    def __init__(self, processes, browser, pages, directory):
        self.processes, self.browser, self.pages = processes, browser, pages
        local = {"SRT_RESTREAM__WEBRTC__LOCAL_ADDRESSES": "127.0.0.1", "SRT_RESTREAM__HTTPS__LISTEN": "127.0.0.1:0"}
        self.service = Service(processes, directory, local)
        self.whip = f"http://127.0.0.1:{self.service.http}/live/whip/bench"
        browser.open(pages.url)

    def publish(self, media, options="{}"):
        self.browser.eval(f"publisher.whip('{self.whip}', await publisher.{media}, {options})")
        self.service.wait_live()

    def stop(self):
        self.browser.eval("publisher.client.stop()")
        time.sleep(PAUSE_S)
        self.browser.open(self.pages.url)

    def starts_ms(self, count):
        """From the SDK's publish to its publish_started."""
        taken = []
        self.browser.eval(f"publisher.sdk('ws://127.0.0.1:{self.service.http}/live/websocket', 'bench')")
        for number in range(1, count + 1):
            def started(wanted=number):
                return self.browser.eval(f"publisher.heard('publish_started') >= {wanted}")
            wait_for("publish_started", CONNECT_MAX_S, started)
            times = self.browser.eval("publisher.news.filter((one) => one.name === 'publish_started').map((one) => one.at_ms)")
            begun = self.browser.eval("publisher.begun ?? publisher.news.find((one) => one.name === 'initialized').at_ms")
            taken.append(times[-1] - begun)
            time.sleep(PAUSE_S)
            self.browser.eval("publisher.adaptor.stop('bench')")
            time.sleep(PAUSE_S)
            if number < count:
                self.browser.eval("(publisher.begun = publisher.clock(), publisher.adaptor.publish('bench'), null)")
        self.browser.open(self.pages.url)
        return taken

    def first_pictures_ms(self, count):
        """From asking for an endpoint to the first whole picture at its receiver."""
        taken = []
        for _ in range(count):
            arrivals = Arrivals(self.processes)
            begun = time.monotonic()
            self.service.add_endpoint(f"{arrivals.url}?latency={SRT_LATENCY_MS}")
            arrivals.read(CONNECT_MAX_S, arrivals.has_picture)
            if not arrivals.has_picture():
                raise Failed("no picture came")
            taken.append((time.monotonic() - begun) * 1000)
            arrivals.process.kill()
            for endpoint in call("GET", self.service.url)["endPointList"]:
                call("DELETE", f"{self.service.url}/endpoint?endpointServiceId={endpoint['endpointServiceId']}")
        return taken

    def climb(self, kbps, size):
        """What a page of noise sends after 5 and after 10 s, and what it believes it may send, kb/s."""
        begun = time.monotonic()
        self.publish(f"noise({{ width: {size[0]}, height: {size[1]} }})", f"{{ kbps: {kbps} }}")
        figures = []
        for second in (5, 10):
            time.sleep(max(0.0, begun + second - 1 - time.monotonic()))
            sent = self.browser.eval("publisher.sent_kbps(1)")
            may = self.browser.eval("publisher.sending('video')")["available_kbps"]
            figures.append((second, sent, may))
        self.stop()
        return figures

    def run(self, codec, seconds, directory):
        """CPU of the service in percent of one core, and the A/V offset at the start and at the end."""
        self.publish("flash({ width: 1280, height: 720 })", f"{{ codecs: ['{codec}'], kbps: 1500 }}")
        pieces = []
        with tempfile.TemporaryFile() as rest:
            arrivals = Arrivals(self.processes, rest)
            self.service.add_endpoint(arrivals.url)
            arrivals.read(CONNECT_MAX_S, arrivals.has_picture)
            cpu, begun = cpu_seconds(self.service.process.pid), time.monotonic()
            for name, length in (("start", OFFSET_S), (None, seconds - 2 * OFFSET_S), ("end", OFFSET_S)):
                if name is None:
                    # Only counted.
                    arrivals.keep = None
                    arrivals.read(length)
                    continue
                path = pathlib.Path(directory) / f"{name}.ts"
                with open(path, "wb") as arrivals.keep:
                    arrivals.read(length)
                pieces.append(watch.av_offset_ms(str(path)))
            cpu = 100 * (cpu_seconds(self.service.process.pid) - cpu) / (time.monotonic() - begun)
            sent = self.browser.eval("publisher.sending('video')")
            arrivals.process.kill()
        self.stop()
        return {"cpu": cpu, "offsets": pieces, "errors": arrivals.meter.continuity_errors, "codec": sent["codec"]}


def milliseconds(values):
    return f"{statistics.median(values):.0f} ms ({min(values):.0f} to {max(values):.0f}, {len(values)} times)"


def offset(piece):
    return f"{piece[0]:.1f} ms ({piece[2]} flashes)" if piece else "not found"


def bench(options):
    """The lines of the document."""
    codecs = options.codecs.split(",")
    if unknown := set(codecs) - set(WAYS):
        raise Failed(f"--codecs: {', '.join(unknown)} is none of {', '.join(WAYS)}")
    processes, pages = Processes(), Pages()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        browser = None
        try:
            browser = Browser(directory)
            all_of_it = Bench(processes, browser, pages, directory)
            started = all_of_it.starts_ms(options.n_times)
            print(f"publish to publish_started: {milliseconds(started)}", flush=True)
            all_of_it.publish("camera()")
            pictures = all_of_it.first_pictures_ms(options.n_times)
            all_of_it.stop()
            print(f"endpoint to first picture: {milliseconds(pictures)}", flush=True)
            climbs = [(wish, all_of_it.climb(wish, size)) for wish, size in ((1200, (640, 360)), (4000, (1280, 720)))]
            print(f"bit rates: {climbs}", flush=True)
            runs = [all_of_it.run(codec, max(options.seconds, 3 * OFFSET_S), directory) for codec in codecs]
            print(f"runs: {runs}", flush=True)
        finally:
            processes.end()
            pages.shutdown()
            if browser:
                browser.end()
    lines = [
        "A headless Chromium on the same machine publishes; ICE, SRT and the receiver are on loopback. Its encoder"
        " takes from the same cores, so the times hold its share. CPU is the service's, in percent of one core, with"
        " one endpoint.", "",
        "| | |", "|---|---:|",
        f"| the SDK's `publish` to `publish_started` | {milliseconds(started)} |",
        f"| an endpoint is asked for, until its first whole picture | {milliseconds(pictures)} |",
    ]
    for wish, figures in climbs:
        for second, sent, may in figures:
            lines.append(f"| noise that asks for {wish} kb/s, sent after {second} s (allowed by then)"
                         f" | {sent:.0f} kb/s ({may}) |")
    for name, run in zip((WAYS[codec] for codec in codecs), runs):
        first, last = run["offsets"]
        lines += [f"| {name}: CPU for 1280×720 at 30/s | {run['cpu']:.1f} % |",
                  f"| … beep after flash, at the start | {offset(first)} |",
                  f"| … after {max(options.seconds, 3 * OFFSET_S)} s | {offset(last)} |",
                  f"| … continuity errors | {run['errors']} |"]
    return lines
