#!/usr/bin/env python3
"""A healthy OpenClaw is never touched: the real 2026.9.6, disturbed in every way that its own machinery allows.

Usage: healthy_openclaw_test.py [WORD...]: only the causes whose names contain one of the words. BUILD_DIRECTORY says
which build is tried (default: build). Needs OpenClaw 2026.9.6 in .local (tools/install-openclaw). The short form looks
every 2 s, so that the window is 6 s, and takes two minutes; with LONG=1 the settings are the default ones, the window
is 43 s, and it takes a quarter of an hour. healthy_test.py tries many more causes with a small gateway. Prints TAP.
"""

import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
import disturb
import system
from blocking import Blocked
from openclaw_home import NEW, READY_S
from system import expect, is_alive, kill, process_state, test, wait_for
from unharmed import Unharmed, hold_for

LONG = bool(os.environ.get("LONG"))
HEALTH = {} if LONG else {"interval": "2s", "timeout": "1s", "failures": 3}
WINDOW_S = 43 if LONG else 6
INTERVAL_S = 30 if LONG else 2
SETTLE_S = 2 * INTERVAL_S + 60

WORDS = sys.argv[1:]
_causes = []


def cause(name, gateway=0, loud=False):
    """The test of one cause. Loud: it would disturb the tests beside this one, and is left to the long form."""
    def add(happens):
        if (LONG or not loud) and (not WORDS or any(word in name for word in WORDS)):
            _causes.append((name, gateway, happens))
        return happens
    return add


class It(Blocked):
    def __init__(self, place):
        super().__init__(place, {"health": HEALTH})
        self.watch, self.failed = None, []

    @property
    def pid(self):
        return self.watch.pid

    def tries(self, name, happens):
        """One cause; returns what was seen."""
        self.settled(SETTLE_S)
        self.watch = Unharmed(self.place, self.home.port)
        try:
            happens(self)
            return self.watch.then(seconds=SETTLE_S)
        except AssertionError as wrong:
            self.failed.append(f"{name}: {wrong}")
            return f"FAILED: {wrong}"
        finally:
            self.watch.over.set()

    def go_on(self, seconds=1.2 * (INTERVAL_S + WINDOW_S)):
        hold_for(seconds, lambda: is_alive(self.pid), "the gateway was ended")

    def went_unanswered(self):
        self.watch.has_been("suspect", SETTLE_S)

    def blocked(self, way, seconds=WINDOW_S - (3 if LONG else 1.5)):
        """For a little less than the window, from right before a probe on."""
        self.block(way, INTERVAL_S - 0.4, seconds)
        return wait_for((self.orders / "ended").exists, "end of the block", seconds + 30)


# ---- the first gateway: itself -------------------------------------------------------------------------------------

@cause("its loop spins for a little less than the window")
def spins(it):
    it.blocked("spin")
    it.went_unanswered()


@cause("it waits for a child synchronously, for a little less than the window")
def waits(it):
    it.blocked("runChild")
    it.went_unanswered()


@cause("a worker thread of its own uses a processor without a break")
def burns(it):
    it.block("burn", 0.1, 1.2 * WINDOW_S)
    it.go_on()


@cause("a child of its own uses a processor without a break")
def burns_child(it):
    it.block("burnChild", 0.1, 1.2 * WINDOW_S)
    it.go_on()


@cause("it prints 200 MB a second", loud=True)
def floods(it):
    it.block("flood", 0.1, 4)
    it.go_on(4)


@cause("it restarts in its own process (SIGUSR2)")
def restarts(it):
    kill(it.pid, signal.SIGUSR2)
    it.place.wait_event("gateway.restarted_itself", it.watch.before, READY_S)
    it.home.ready()


@cause("its token is changed in openclaw.json under it")
def rotates(it):
    it.home.configure(auth={"mode": "token", "token": "another-token-for-tests"})
    it.go_on()
    it.home.configure()
    it.go_on(INTERVAL_S)


@cause("it is stopped for 2 s, and continued")
def stopped(it):
    with disturb.stopped(it.pid):
        it.go_on(2)


@cause("it is stopped for ever: it is continued, and not replaced")
def stopped_for_ever(it):
    kill(it.pid, signal.SIGSTOP)
    it.place.wait_event("gateway.continued", it.watch.before, SETTLE_S)
    wait_for(lambda: process_state(it.pid) != "T", "gateway that goes on")


# ---- the second: what others do to it ------------------------------------------------------------------------------

@cause("all processors are kept busy by others", gateway=1, loud=True)
def saturated(it):
    with disturb.spinning(4 * os.cpu_count()):
        it.go_on()


@cause("the same, and it is niced down", gateway=1, loud=True)
def niced(it):
    with disturb.niced(it.pid, 19), disturb.spinning(2 * os.cpu_count()):
        it.go_on()


@cause("a debugger holds it for longer than the window", gateway=1)
def traced(it):
    with disturb.traced(it.pid):
        it.go_on()
        it.went_unanswered()


@cause("a person's debugger is connected to its inspector and pauses it", gateway=1)
def inspected(it):
    with disturb.inspected(it.pid, it.place):
        it.go_on(2 * WINDOW_S)
        it.went_unanswered()


@cause("its cgroup is frozen for longer than the window", gateway=1)
def frozen(it):
    with disturb.frozen(it.pid):
        it.go_on()
        it.went_unanswered()


@cause("two thousand idle connections", gateway=1)
def crowded(it):
    disturb.allow_descriptors(4096)
    with disturb.connections(it.home.port, 2000):
        it.go_on()


@cause("the sentry can open no descriptor", gateway=1)
def no_descriptors(it):
    with disturb.no_descriptors(it.place.workers()["sentry"]):
        it.go_on()


@cause("the sentry is killed while it is blocked", gateway=1)
def sentry_killed(it):
    sentry = it.place.workers()["sentry"]
    it.block("spin", INTERVAL_S - 0.4, WINDOW_S - 2)
    it.went_unanswered()
    kill(sentry)
    wait_for((it.orders / "ended").exists, "end of the block", WINDOW_S + 30)


@cause("all of Holdfast is stopped while it is blocked, as if the host had slept", gateway=1)
def all_stopped(it):
    with disturb.stopped(it.place.runs[-1].pid, *it.place.workers().values()):
        it.block("spin", None, WINDOW_S - 2)
        it.go_on(WINDOW_S + 2)


@cause("the supervisor is killed while it is blocked, and run again", gateway=1)
def supervisor_killed(it):
    it.block("spin", INTERVAL_S - 0.4, WINDOW_S - 2)
    kill(it.place.runs[-1].pid)
    it.place.runs[-1].wait(20)
    it.place.run(*it.home.command)
    wait_for((it.orders / "ended").exists, "end of the block", WINDOW_S + 30)


@cause("it hangs for longer than the window while Holdfast is paused", gateway=1)
def paused(it):
    it.place.done("pause")
    # On a machine that others keep busy a verdict is postponed, up to three windows.
    it.block("spin", 0.1, 3.2 * WINDOW_S + INTERVAL_S)
    wait_for((it.orders / "ended").exists, "end of the block", 4 * WINDOW_S + INTERVAL_S + 30)
    it.watch.has_been("hung", 1)
    it.place.done("resume")


def all_causes(place, causes):
    with It(place) as it:
        it.run()
        print(f"# ready after {it.starts[0]:.1f} s: restarts {place.status()['gateway']['restarts']}", flush=True)
        for name, happens in causes:
            print(f"# {name}: {it.tries(name, happens)}", flush=True)
        expect(not it.failed, *it.failed)


def causes_of(number):
    return [(name, happens) for name, gateway, happens in _causes if gateway == number]


@test(f"{NEW}: left alone after a start of more than 20 s, and whatever it does itself")
def by_itself(place):
    place.environment["TEST_START_S"] = "20"
    all_causes(place, causes_of(0))


@test(f"{NEW}: left alone, whatever is done to it and to Holdfast")
def by_others(place):
    all_causes(place, causes_of(1))


if __name__ == "__main__":
    del sys.argv[1:]  # they name causes, and not tests
    sys.exit(system.main(at_once=2))
