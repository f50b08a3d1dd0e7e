#!/usr/bin/env python3
"""The real OpenClaw with its event loop blocked, under Holdfast with default settings: what hangs for ever is replaced
in time and explained; what comes back by itself is left alone.

Usage: hang_test.py [WORD...]: only the tests whose names contain one of the words. BUILD_DIRECTORY says which build is
tried (default: build). Needs OpenClaw 2026.9.6 in .local (tools/install-openclaw). The short form takes two minutes and
a half; LONG=1 blocks in ten phases of the probe's interval, for ever in five ways, for 25 s and for 40 s: 20 minutes.
Prints TAP.
"""

import json
import os
import pathlib
import re
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
import system
from blocking import Blocked, SETTLE_S
from openclaw_home import NEW, READY_S, trail
from system import POLL_S, expect, expect_equal, is_alive, read_process, test, wait_for
from unharmed import Unharmed

INTERVAL_S = 30
KILLED_WITHIN_S = 80
START_TIMES = 1.5
PHASES = 10
GATEWAYS = 2
# Where others keep the processors from it, judgement is postponed to three times the window at the most.
WINDOW_S = 43
STARVED_S = 5
# For ever: what `explain` must name, and what the cause is.
WAYS = {"spin": ("function spin", "javascript"), "match": ("function match", "javascript"),
        "runChild": ("sleep 600", "child"), "readFifo": ("/fifo", "pipe"), "lockDatabase": ("/state.sqlite", "lock")}


_processor = threading.Lock()  # what spins does so alone


def kept_waiting_s(pid):
    """How long its main thread has been ready to run and was not let."""
    words = read_process(pid, "schedstat").split()
    return int(words[1]) / 1e9 if words else 0


class Hang(Blocked):
    def holding(self, way):
        holds = super().holding(way)
        if way in ("spin", "match"):
            holds.enter_context(_processor)
        return holds

    def hangs_for_ever(self, way, phase_s):
        """Given a gateway that is well, when it is blocked for ever, then it is replaced in time, as one incident that
        is explained, and nothing of it is left. Returns the figures."""
        place = self.place
        with self.holding(way):
            self.settled()
            gateway, tree, before = place.pid(), self.home.tree(), place.last_event()
            began = self.block(way, phase_s)
            killed, starved = self.wait_killed(gateway, began)
        place.wait_ready(other_than=gateway, seconds=READY_S)
        ready = time.time() - began
        may_take = KILLED_WITHIN_S + (2 * WINDOW_S if starved > STARVED_S else 0)
        limit = may_take + START_TIMES * max(self.starts)
        expect(killed <= may_take, "killed", killed, "s after the first blocked millisecond; starved for", starved, "s")
        expect(ready <= limit, "ready again after", ready, "s, not within", limit)
        self.home.expect_gone(tree)
        place.wait_event("gateway.recovered", before)
        place.last_event()
        said = self.expect_explained(way, before)
        kept = f" (others kept it from the processors for {starved:.0f} s)" if starved > STARVED_S else ""
        return f"killed after {killed:.1f} s{kept}, ready after {ready:.1f} s (at most {limit:.1f}): {said}"

    def wait_killed(self, gateway, began):
        """Returns after how long it was, and for how long of that others had kept it from the processors."""
        before = seen = kept_waiting_s(gateway)
        while is_alive(gateway):
            seen = max(seen, kept_waiting_s(gateway))
            expect(time.time() < began + KILLED_WITHIN_S + 2 * WINDOW_S + 10, "the blocked gateway was not ended")
            time.sleep(POLL_S)
        return time.time() - began, seen - before

    def expect_explained(self, way, before):
        events = trail(self.place, before)
        condemned = [event for event in events if event["kind"] == "gateway.condemned"]
        expect_equal(len(condemned), 1, "gateway.condemned")
        incidents = {event["incident"] for event in events if event["incident"] is not None}
        expect_equal(incidents, {condemned[0]["incident"]}, "incidents")
        incident = str(condemned[0]["incident"])
        words, cause = WAYS[way]
        text = self.place.done("explain", incident).stdout
        expect(words in text, f"{words!r} is not in", text)
        if cause == "javascript":
            expect(re.search(rf"{re.escape(words)} \(\S*block\.cjs:\d+", text), "no file and line in", text)
        told = json.loads(self.place.done("explain", incident, "--json").stdout)
        autopsies = [event for event in told["events"] if event["kind"] == "gateway.autopsy"]
        expect_equal(len(autopsies), 1, f"autopsies in {told}")
        expect_equal(autopsies[0]["evidence"]["cause"], cause, autopsies[0]["reason"])
        witnesses = condemned[0]["evidence"]["witnesses"]
        return f"{autopsies[0]['reason']} ({autopsies[0]['evidence']['took_ms']} ms; {', '.join(witnesses)})"

    def comes_back(self, way, phase_s, seconds):
        """Given a gateway that is well, when it is blocked for so long, then it is left alone and answers again."""
        with self.holding(way):
            self.settled()
            watch = Unharmed(self.place, self.home.port)
            self.block(way, phase_s, seconds)
            wait_for((self.orders / "ended").exists, "end of the block", seconds + 20)
        return watch.then(seconds=SETTLE_S)


def told(way, phase_s, seconds, figures):
    how_long = "for ever" if seconds is None else f"for {seconds} s"
    return f"{way} {how_long}, {phase_s:.1f} s after a probe: {figures}"


if not os.environ.get("LONG"):
    @test(f"{NEW}: blocked for ever right after a probe, it is replaced in time and explained")
    def for_ever(place):
        with Hang(place) as it:
            it.run()
            return f"start {it.starts[0]:.1f} s; " + told("spin", 0.2, None, it.hangs_for_ever("spin", 0.2))

    @test(f"{NEW}: blocked for 40 s right before a probe, it is left alone")
    def for_40_s(place):
        with Hang(place) as it:
            it.run()
            return told("runChild", INTERVAL_S - 0.5, 40, it.comes_back("runChild", INTERVAL_S - 0.5, 40))
else:
    def phases(number):
        """Those that one of the gateways is blocked in; each for ever once, since OpenClaw counts unclean boots."""
        ways = list(WAYS)
        for nth in range(number, PHASES, GATEWAYS):
            yield 0.2 + nth * (INTERVAL_S - 0.7) / (PHASES - 1), ways[nth % len(ways)], ["spin", "runChild"][nth % 2]

    def all_blocks(number):
        def run(place):
            with Hang(place) as it:
                it.run()
                failed = []

                def tries(way, phase_s, seconds, blocks):
                    try:
                        line = told(way, phase_s, seconds, blocks())
                    except AssertionError as wrong:
                        line = told(way, phase_s, seconds, f"FAILED: {wrong}")
                        failed.append(line)
                    print("# " + line, flush=True)
                for phase_s, way, short_way in phases(number):
                    for seconds in (25, 40):
                        tries(short_way, phase_s, seconds, lambda: it.comes_back(short_way, phase_s, seconds))
                    tries(way, phase_s, None, lambda: it.hangs_for_ever(way, phase_s))
                expect(not failed, *failed)
        return run

    for number in range(GATEWAYS):
        its_phases = ", ".join(map(str, range(number, PHASES, GATEWAYS)))
        test(f"{NEW}: blocked in phases {its_phases} of {PHASES}, for 25 s, 40 s and for ever")(all_blocks(number))


if __name__ == "__main__":
    sys.exit(system.main(at_once=GATEWAYS))
