#!/usr/bin/env python3
"""Looking at a gateway allocates nothing: neither in the sentry, which probes, nor in the supervisor, which judges.

Usage: allocations_test.py [WORD...]: only the tests whose names contain one of the words. BUILD_DIRECTORY says which
build is tried (default: build). Every call of malloc(3) and its like is counted by a preloaded library. With LONG=1 it
is watched for so long that memory and orphans are looked at, too. Prints TAP.
"""

import json
import os
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
import system
from openclaw_home import TOKEN
from system import BUILD, ROOT, expect, expect_equal, free_port, test, wait_for

FAKE = str(ROOT / "tests/support/fake_gateway.py")
LIBRARY = BUILD / "tests/support/libcount_allocations.so"
FIRST_PROBES, PROBES, FRESH_PROBES, TICKS = 10, 100, 20, 5
LONG_PROBES = 700  # 70 s: orphans are looked for every 60 s
SLOW_S = 120
# Python for the gateway's loop. What it is asked for, it writes down; and how often it ticked.
COUNTING = """\
class Counting(dict):
    def get(self, path, default=None):
        with open("asked", "a") as file:
            print(path, file=file)
        return super().get(path, default)
gateway.answers = Counting(gateway.answers)
def tell():
    with open("tick", "a") as file:
        print(len(gateway.sockets), file=file)
later(gateway.every(TICK_MS / 1000, tell))
"""
# A probe that is not answered, while ticks come and new connections open: suspect for as long as a test wants.
MUTE = """\
answer = gateway.answer
class Mute(set):
    def __contains__(self, path):
        if path == "/healthz":
            with open("fresh", "a") as file:
                print(path, file=file)
        return path == "/healthz"
gateway.hangs = Mute()
speak = gateway.speak
def count_and_speak(*call):
    with open("trial", "a") as file:
        print("opened", file=file)
    return speak(*call)
gateway.speak = count_and_speak
"""


class It:
    """The gateway under a Holdfast that looks ten times a second, and is counted."""

    def __init__(self, place):
        self.place, self.counts = place, place.root / "allocations"
        port, config = free_port(), place.root / "openclaw.json"
        config.write_text(json.dumps({"gateway": {"mode": "local", "auth": {"mode": "token", "token": TOKEN}}}))
        place.environment.update(OPENCLAW_STATE_DIR=str(place.root / "openclaw"), OPENCLAW_CONFIG_PATH=str(config),
                                 LD_PRELOAD=str(LIBRARY), TEST_ALLOCATIONS=str(self.counts))
        place.settings({"health": {"interval": "100ms", "timeout": "100ms", "failures": 2},
                        "gateway": {"kind": "openclaw", "port": port, "stopTimeout": "3s"}})
        place.run_ready(sys.executable, FAKE, str(port))
        place.wait_workers()
        place.wait_for(self.is_well, "health that is live, with a link")

    def is_well(self):
        health = self.place.status()["health"]
        return health["state"] == "live" and health["answeredAt"] and health["webSocket"] == "WSOK"

    def order(self, order):
        part = self.place.root / "order.new"
        part.write_text(order)
        part.rename(self.place.root / "order")
        wait_for((self.place.root / "ordered").exists, "gateway that takes orders")
        (self.place.root / "ordered").unlink()

    def allocations(self):
        """Of the supervisor and the sentry, since they began."""
        return struct.unpack("QQ", self.counts.read_bytes()[:16])

    def lines(self, name):
        try:
            return (self.place.root / name).read_text().split()
        except FileNotFoundError:
            return []

    def wait_lines(self, name, word, count):
        wait_for(lambda: self.lines(name).count(word) >= count, f"{count} times {word!r} in {name}", SLOW_S)


@test("probes, looks, readiness probes and ticks of a healthy gateway allocate nothing after the first")
def healthy(place):
    it = It(place)
    it.order(COUNTING)
    it.wait_lines("asked", "/healthz", FIRST_PROBES)
    before = it.allocations()
    expect(before[0] > 0 and before[1] > 0, "the library counts nothing:", before)
    probes, ticks = it.lines("asked").count("/healthz"), it.lines("tick").count("1")
    it.wait_lines("asked", "/healthz", probes + (LONG_PROBES if os.environ.get("LONG") else PROBES))
    it.wait_lines("asked", "/readyz", PROBES // 2)
    it.wait_lines("tick", "1", ticks + TICKS)
    after = it.allocations()
    asked = it.lines("asked")
    said = (f"{asked.count('/healthz') - probes} probes, {asked.count('/readyz')} readiness probes, "
            f"{it.lines('tick').count('1') - ticks} ticks; allocated in all before: supervisor {before[0]}, sentry {before[1]}")
    expect_equal(after, before, f"allocations of supervisor and sentry, after {said}")
    return said


@test("fresh probes of a suspect gateway allocate nothing; each trial of a new WebSocket allocates once")
def suspect(place):
    it = It(place)
    it.order(COUNTING + MUTE)
    place.wait_for(lambda: place.status()["health"]["state"] == "suspect", "suspicion")
    it.wait_lines("fresh", "/healthz", FIRST_PROBES)
    before, fresh, tried = it.allocations(), len(it.lines("fresh")), len(it.lines("trial"))
    it.wait_lines("fresh", "/healthz", fresh + FRESH_PROBES)
    it.wait_lines("trial", "opened", tried + FRESH_PROBES)
    after, fresh, tried = it.allocations(), len(it.lines("fresh")) - fresh, len(it.lines("trial")) - tried
    said = f"{fresh} fresh probes, {tried} new WebSockets, {after[1] - before[1]} allocations in the sentry"
    expect_equal(place.status()["health"]["state"], "suspect", "health")
    expect_equal(after[0], before[0], "allocations of the supervisor")
    expect(after[1] - before[1] <= tried + 1, said)  # one may be on its way
    return said


if __name__ == "__main__":
    sys.exit(system.main())
