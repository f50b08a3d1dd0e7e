#!/usr/bin/env python3
"""A healthy gateway is never touched: false restarts are 0, whatever is done to it and to Holdfast.

Usage: healthy_test.py [WORD...]: only the causes whose names contain one of the words. BUILD_DIRECTORY says which
build is tried (default: build). The gateway is a small one that speaks as OpenClaw does; Holdfast looks every second,
so that its window is 3.5 s (healthy_openclaw_test.py does the same to the real OpenClaw). For each cause a comment says
what was seen and which witnesses almost agreed. The last test shows that what is not healthy is replaced at these
settings. Two minutes. Prints TAP.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
import disturb
import system
from generic import NO_BACKOFF
from openclaw_home import TOKEN, command_of, NEW
from system import BUILD, ROOT, expect, expect_equal, free_port, is_alive, kill, process_state, test, wait_for
from unharmed import Unharmed, hold_for

FAKE = str(ROOT / "tests/support/fake_gateway.py")
CLOCK_STEP = str(BUILD / "tests/support/libclock_step.so")
HEALTH = {"interval": "1s", "timeout": "500ms", "failures": 2}
WINDOW_S = 3.5
LONG_S = 3 * WINDOW_S + 1  # past every postponement
AT_ONCE = 10


class Alone:
    """What uses the whole machine is tried when nothing else is; the rest side by side."""

    def __init__(self):
        self.changed, self.others, self.waiting, self.is_taken = threading.Condition(), 0, 0, False

    @contextlib.contextmanager
    def hold(self, alone):
        with self.changed:
            self.waiting += alone
            self.changed.wait_for(lambda: not self.is_taken and (self.others == 0 if alone else self.waiting == 0))
            self.waiting -= alone
            if alone:
                self.is_taken = True
            else:
                self.others += 1
        try:
            yield
        finally:
            with self.changed:
                if alone:
                    self.is_taken = False
                else:
                    self.others -= 1
                self.changed.notify_all()


_machine = Alone()


class It:
    """The gateway, under a Holdfast of its own."""

    def __init__(self, place, command=None, settings=None, config=None, environment=None, link="WSOK", wait=True,
                 port=None):
        self.place, self.port = place, port or free_port()
        self.command = command or [sys.executable, FAKE, str(self.port)]
        self.config = place.root / "openclaw.json"
        self.configure(config)
        place.environment.update(OPENCLAW_STATE_DIR=str(place.root / "openclaw"),
                                 OPENCLAW_CONFIG_PATH=str(self.config), **(environment or {}))
        more = settings or {}
        place.settings({"backoff": NO_BACKOFF, **more, "health": {**HEALTH, **more.get("health", {})},
                        "gateway": {"kind": "openclaw", "port": self.port, "stopTimeout": "3s",
                                    **more.get("gateway", {})}})
        place.run(*self.command)
        if wait:
            self.ready(link)

    def configure(self, config=None):
        part = self.config.with_suffix(".new")
        part.write_text(json.dumps(config or {"gateway": {"mode": "local", "auth": {"mode": "token", "token": TOKEN}}}))
        part.rename(self.config)

    def ready(self, link="WSOK"):
        self.place.wait_ready()
        self.place.wait_workers()
        self.place.wait_for(lambda: self.is_known(link), f"health that is live, and {link}")
        self.watch = Unharmed(self.place, self.port)
        self.pid = self.watch.pid

    def is_known(self, link):
        health = self.place.status()["health"]
        return health["state"] == "live" and health["answeredAt"] and (link is None or health["webSocket"] == link)

    def order(self, line):
        """Python for the gateway's loop; returns when it was taken up."""
        part = self.place.root / "order.new"
        part.write_text(line + "\n")
        part.rename(self.place.root / "order")
        wait_for(lambda: not (self.place.root / "order").exists(), "gateway that takes orders", 30)

    def go_on(self, seconds=LONG_S):
        hold_for(seconds, lambda: is_alive(self.pid), "the gateway was ended")

    def went_unanswered(self):
        """It was seen not to answer: else the test would prove nothing."""
        self.watch.has_been("suspect")

    def run_again(self, seconds=20):
        self.place.runs[-1].wait(seconds)
        self.place.run(*self.command)


def cause(name, alone=False, but=(), **given):
    """The test of one cause: the function is what happens to the gateway."""
    def add(happens):
        @test(name)
        def run(place):
            with _machine.hold(alone):
                it = It(place, **given)
                said = happens(it)
                row = it.watch.then(but)
                return row if said is None else f"{row}; {said}"
        return run
    return add


def trail(it, kind):
    return [event for event in it.watch.events() if event["kind"] == kind]


# ---- the machine is busy -------------------------------------------------------------------------------------------

@cause("all processors are kept busy by others", alone=True)
def saturated(it):
    with disturb.spinning(8 * os.cpu_count()):
        it.order(f"spin({WINDOW_S - 1})")
        it.go_on()


@cause("the same, and the gateway is niced down", alone=True)
def niced(it):
    with disturb.niced(it.pid, 19), disturb.spinning(8 * os.cpu_count()):
        it.go_on(2 * WINDOW_S)


@cause("a thread of the gateway uses a processor without a break")
def busy_thread(it):
    it.order(f"burn_thread({LONG_S})")
    it.go_on()


@cause("a child of the gateway uses a processor without a break")
def busy_child(it):
    it.order(f"burn_child({LONG_S})")
    it.go_on()


@cause("its main thread is busy for most of the time, and answers in between")
def busy_loop(it):
    it.order("later(gateway.every(0.05, lambda: spin(0.4)))")
    it.go_on()


@cause("200 MB of console a second", alone=True)
def flooded(it):
    it.order("flood(5, 200e6)")
    it.go_on(5)
    file = it.place.root / "flooded"
    written = wait_for(lambda: file.exists() and file.read_text(), "end of the flood", 60)
    return f"{int(written) / 5e6:.0f} MB a second were written"


@cause("its memory is taken away by a neighbour in its memory cgroup", alone=True)
def thrashed(it):
    before = disturb.memory_stall_s()
    with disturb.thrashing(it.pid, it.place.root, 48 << 20):
        for _ in range(3):
            it.order(f"spin({WINDOW_S - 1})")
            it.go_on(WINDOW_S)
    return f"somebody waited for memory for {disturb.memory_stall_s() - before:.1f} s"


# ---- slow, late, and blocked for less than the window --------------------------------------------------------------

@cause("a start of 20 s", environment={"TEST_START_S": "20"}, wait=False)
def slow_start(it):
    it.place.wait_for(it.place.starts, "start")
    it.place.wait_ready(seconds=60)
    it.ready()
    expect_equal(it.place.starts(), [it.pid], "starts")


@cause("each answer takes almost as long as it may")
def slow(it):
    it.order("gateway.delay_s = 0.4")
    it.go_on()


@cause("each answer comes after its time is over, and before the window is")
def late(it):
    it.order("gateway.delay_s = WINDOW_S - 0.5".replace("WINDOW_S", str(WINDOW_S)))
    it.go_on()
    it.went_unanswered()
    it.order("gateway.delay_s = 0")


@cause("its loop sleeps for a second less than the window, again and again")
def blocked(it):
    for _ in range(4):
        it.order(f"block({WINDOW_S - 1})")
        it.go_on(WINDOW_S)
    it.went_unanswered()


@cause("its loop spins for a second less than the window, again and again")
def spun(it):
    for _ in range(4):
        it.order(f"spin({WINDOW_S - 1})")
        it.go_on(WINDOW_S)
    it.went_unanswered()


@cause("its loop sleeps while hundreds of clients fill its listen queue")
def backlog(it):
    it.order(f"block({WINDOW_S - 1})")
    with disturb.connections(it.port, 700):
        it.go_on(WINDOW_S)
    it.went_unanswered()
    expect(it.watch.queue > 100, "its queue was no longer than", it.watch.queue)


@cause("its main thread is in a system call that does not end, for less than the window", alone=False)
def uninterruptible(it):
    it.order(f"subprocess.run(['sleep', '{WINDOW_S - 1}'])")
    it.go_on(WINDOW_S)
    it.went_unanswered()


# ---- what it says --------------------------------------------------------------------------------------------------

@cause("/readyz says 503 for ever")
def not_ready(it):
    it.order("gateway.answers['/readyz'] = (503, {'ready': False, 'failing': ['discord']})")
    it.go_on()


@cause("/startupz says 503 after the start")
def not_started(it):
    it.order("gateway.answers['/startupz'] = (503, {'ok': False, 'status': 'starting'})")
    it.go_on()


@cause("/healthz says 500 once")
def failed_once(it):
    it.order("gateway.next_answers = [(500, {})]")
    it.go_on(WINDOW_S)
    expect("L7STS" in it.watch.probes, it.watch.probes)


@cause("/healthz says 500 again and again, while ticks come")
def failing(it):
    it.order("gateway.answers['/healthz'] = (500, {})")
    it.go_on()
    it.order("gateway.answers['/healthz'] = (200, {})")


@cause("/healthz is not there: 404")
def not_found(it):
    it.order("del gateway.answers['/healthz']")
    it.go_on()
    expect("L7STS" in it.watch.probes, it.watch.probes)


@cause("/healthz says ok: false")
def not_ok(it):
    it.order("gateway.answers['/healthz'] = (200, {'ok': False})")
    it.go_on()
    it.order("gateway.answers['/healthz'] = (200, {'ok': True})")


@cause("/healthz is never answered, while ticks come")
def one_path_hangs(it):
    it.order("gateway.hangs.add('/healthz')")
    it.go_on()
    it.went_unanswered()
    it.order("gateway.hangs.clear()")


@cause("/healthz is never answered, and there is no WebSocket: nobody agrees with the probes", link="WSAUTH",
       config={"gateway": {"auth": {"mode": "token", "token": "not its own"}}})
def one_path_hangs_alone(it):
    it.order("gateway.hangs.add('/healthz')")
    it.go_on()
    it.went_unanswered()
    it.order("gateway.hangs.clear()")


@cause("each probe is closed without an answer, while ticks come")
def closing(it):
    it.order("gateway.closes = True")
    it.go_on()
    it.order("gateway.closes = False")


@cause("each probe is answered with nonsense, while ticks come")
def nonsense(it):
    it.order("gateway.says = b'SSH-2.0-OpenSSH_9.2\\r\\n'")
    it.go_on()
    it.order("gateway.says = None")


@cause("nothing listens on its port for a while, while ticks come")
def away(it):
    it.order(f"later(gateway.away({LONG_S}))")
    it.go_on()
    expect("L4CON" in it.watch.probes, it.watch.probes)


# ---- its WebSocket -------------------------------------------------------------------------------------------------

@cause("its token is not the one that is configured", link="WSAUTH",
       config={"gateway": {"auth": {"mode": "token", "token": "not its own"}}})
def wrong_token(it):
    it.go_on()


@cause("its token is changed under Holdfast, first in the gateway, then in the file")
def rotated(it):
    it.order("gateway.token = 'another'; gateway.cut()")
    it.go_on(WINDOW_S)
    it.configure({"gateway": {"mode": "local", "auth": {"mode": "token", "token": "another"}}})
    it.place.wait_for(lambda: it.is_known("WSOK"), "a WebSocket with the new token", 30)


@cause("it gives nobody a WebSocket", link=None)
def no_token(it):
    it.order("gateway.token = None; gateway.cut()")
    it.go_on()


@cause("its WebSocket is cut every second")
def cut(it):
    it.order("later(gateway.every(1, gateway.cut))")
    it.go_on()


@cause("no tick comes, while probes are answered")
def no_ticks(it):
    it.order("gateway.ticks = False")
    it.go_on()
    expect("WSTICK" in it.watch.probes, it.watch.probes)
    it.order("gateway.ticks = True")


@cause("a new WebSocket gets no word, while probes are answered")
def no_upgrade(it):
    it.order("gateway.upgrades = False; gateway.cut()")
    it.go_on()
    it.order("gateway.upgrades = True")


# ---- others on its port --------------------------------------------------------------------------------------------

@cause("two thousand idle connections")
def idle_connections(it):
    disturb.allow_descriptors(4096)
    with disturb.connections(it.port, 2000):
        it.go_on()


@cause("four clients are sent a response without an end")
def streaming(it):
    with disturb.connections(it.port, 4, b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n") as callers:
        def drain():
            for caller in callers:
                with contextlib.suppress(OSError):
                    caller.recv(1 << 20)
        with disturb.repeated(drain, 0.001):
            it.go_on()


@cause("another listens on its port at another address, accepts nothing, and has a full queue")
def squatted(it):
    with disturb.squatting(it.port, "127.0.0.2"), disturb.connections(it.port, 40, address="127.0.0.2"):
        it.order("gateway.hangs.add('/healthz')")
        it.go_on()
        it.went_unanswered()
        it.order("gateway.hangs.clear()")


# ---- stopped, frozen, debugged -------------------------------------------------------------------------------------

@cause("it is stopped for 2 s, and continued (Ctrl-Z, fg)")
def stopped_shortly(it):
    with disturb.stopped(it.pid):
        it.go_on(2)


@cause("it is stopped for ever: it is continued, and not replaced")
def stopped_for_ever(it):
    kill(it.pid, signal.SIGSTOP)
    it.place.wait_event("gateway.continued", it.watch.before)
    wait_for(lambda: process_state(it.pid) != "T", "gateway that goes on")


@cause("a debugger holds it for longer than three windows")
def debugged(it):
    with disturb.traced(it.pid):
        it.go_on()
        it.went_unanswered()


@cause("its cgroup is frozen for longer than three windows")
def frozen(it):
    with disturb.frozen(it.pid):
        it.go_on()
        it.went_unanswered()


NODE_SERVER = """\
require('node:http').createServer((request, answer) => answer.end('{"ok":true,"status":"started"}'))
    .listen(Number(process.argv[1]), '127.0.0.1');
"""


def node_it(place):
    node = command_of(NEW)[0]
    port = free_port()
    return It(place, command=[node, "-e", NODE_SERVER, str(port)], port=port, link=None)


@test("a person's debugger is connected to its inspector and pauses it for longer than three windows")
def inspected(place):
    with _machine.hold(False):
        it = node_it(place)
        with disturb.inspected(it.pid, place):
            it.go_on()
            it.went_unanswered()
        return it.watch.then()


# ---- Holdfast itself -----------------------------------------------------------------------------------------------

@cause("the sentry can open no descriptor")
def no_descriptors(it):
    with disturb.no_descriptors(it.place.workers()["sentry"]):
        it.order(f"block({WINDOW_S - 1})")
        it.go_on()
    expect("SOCKERR" in it.watch.probes, it.watch.probes)


@cause("all of Holdfast is stopped for longer than the window while it is blocked, as if the host had slept")
def all_stopped(it):
    with disturb.stopped(it.place.runs[-1].pid, *it.place.workers().values()):
        it.order(f"block({WINDOW_S - 1})")
        it.go_on(2 * WINDOW_S)
        it.order(f"block({WINDOW_S - 1})")
    it.go_on(WINDOW_S)


@cause("the supervisor is stopped while it is blocked again and again")
def supervisor_stopped(it):
    with disturb.stopped(it.place.runs[-1].pid):
        for _ in range(3):
            it.order(f"block({WINDOW_S - 1})")
            it.go_on(WINDOW_S)
    it.go_on(WINDOW_S)


@cause("the sentry is stopped while the gateway is suspect")
def sentry_stopped(it):
    it.order(f"block({WINDOW_S - 1})")
    it.went_unanswered()
    with disturb.stopped(it.place.workers()["sentry"]):
        it.go_on(2 * WINDOW_S)
        it.order(f"block({WINDOW_S - 1})")
    it.go_on(WINDOW_S)


@cause("the sentry is killed again and again while the gateway is blocked")
def sentry_killed(it):
    for _ in range(4):
        it.order(f"block({WINDOW_S - 1})")
        for _ in range(3):
            sentry = it.place.workers().get("sentry")
            if sentry:
                kill(sentry)
            it.go_on(WINDOW_S / 3)


@cause("the supervisor is killed while the gateway is blocked, and run again")
def supervisor_killed(it):
    for _ in range(2):
        it.order(f"block({WINDOW_S - 1})")
        kill(it.place.runs[-1].pid)
        it.run_again()
        it.go_on(WINDOW_S)


@cause("Holdfast is upgraded and reloaded while the gateway is suspect")
def changed(it):
    it.order(f"block({WINDOW_S - 1})")
    it.went_unanswered()
    it.place.done("upgrade")
    it.order(f"block({WINDOW_S - 1})")
    settings = json.loads(it.place.settings_file.read_text())
    it.place.settings({**settings, "retention": {"days": 7}})
    it.place.done("reload")
    it.order(f"block({WINDOW_S - 1})")
    it.go_on(WINDOW_S)


@cause("the clock is stepped by an hour, both ways", environment={"LD_PRELOAD": CLOCK_STEP}, wait=False)
def clock_stepped(it):
    clock = it.place.root / "clock"
    clock.write_text("0")
    it.ready()
    for offset_s in (3600, -3600):
        clock.write_text(str(offset_s))
        it.go_on(WINDOW_S)
        it.order(f"block({WINDOW_S - 1})")
        it.go_on(WINDOW_S)
        shown = time.strptime(it.place.status()["time"][:19], "%Y-%m-%dT%H:%M:%S")
        seen = time.mktime(shown) - time.mktime(time.gmtime())
        expect(abs(seen - offset_s) < 60, "Holdfast's clock was stepped by", seen, "s")
    clock.write_text("0")


# ---- what people have said -----------------------------------------------------------------------------------------

@cause("Holdfast is paused while it hangs for longer than three windows: nothing happens")
def paused(it):
    it.place.done("pause")
    it.order(f"block({LONG_S})")
    it.go_on(LONG_S + 1)
    it.place.done("resume")


@cause("gateway.autoRestart.onHang is false while it hangs: an event, and no restart",
       settings={"gateway": {"autoRestart": {"onHang": False}}})
def not_wanted(it):
    it.order(f"block({LONG_S})")
    it.go_on(LONG_S)
    expect_equal(len(trail(it, "gateway.left_alone")), 1, "gateway.left_alone")


@cause("it drains by itself for longer than the window, its loop blocked in between")
def drained(it):
    it.order("print('shutdown budget at shutdown: drain=60000ms shutdown=60000ms', flush=True)")
    it.order(f"block({WINDOW_S - 1})")
    it.go_on(WINDOW_S)
    it.order("print('listening on ws://', flush=True)")


# ---- and what is not healthy ---------------------------------------------------------------------------------------

@test("blocked for longer than the window, it is replaced at these settings: these tests can fail")
def replaced(place):
    it = It(place)
    it.order("block(60)")
    place.wait_event("gateway.condemned", it.watch.before)
    place.wait_ready(other_than=it.pid)
    try:
        it.watch.then()
    except AssertionError as seen:
        expect("it was touched" in str(seen), seen)
        return re.sub(r"\s+", " ", str(seen))[:300]
    raise AssertionError("what tells a false restart from none did not")


if __name__ == "__main__":
    sys.exit(system.main(at_once=AT_ONCE))
