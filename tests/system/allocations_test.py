#!/usr/bin/env python3
"""Looking at a gateway allocates nothing: neither in the sentry, which probes, nor in the supervisor, which judges.

Usage: allocations_test.py [WORD...]: only the tests whose names contain one of the words. BUILD_DIRECTORY says which
build is tried (default: build). Every call of malloc(3) and its like is counted by a preloaded library. With LONG=1 it
is watched for so long that memory and orphans are looked at, too. Prints TAP.
"""

import os
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
import system
from looked_at import LookedAt
from system import BUILD, expect, expect_equal, test

LIBRARY = BUILD / "tests/support/libcount_allocations.so"
FIRST_PROBES, PROBES, FRESH_PROBES, TICKS = 10, 100, 20, 5
LONG_PROBES = 700  # 70 s: orphans are looked for every 60 s
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


class Counted(LookedAt):
    """Holdfast looks ten times a second, and its allocations are counted."""

    def __init__(self, place):
        self.counts = place.root / "allocations"
        super().__init__(place, {"interval": "100ms", "timeout": "100ms", "failures": 2},
                         {"LD_PRELOAD": str(LIBRARY), "TEST_ALLOCATIONS": str(self.counts)}, FIRST_PROBES)

    def allocations(self):
        """Of the supervisor and the sentry, since they began."""
        return struct.unpack("QQ", self.counts.read_bytes()[:16])


@test("probes, looks, readiness probes and ticks of a healthy gateway allocate nothing after the first")
def healthy(place):
    it = Counted(place)
    before = it.allocations()
    expect(min(before) > 0, "the library counts nothing:", before)
    probes, readiness, ticks = it.count("asked", "/healthz"), it.count("asked", "/readyz"), it.count("tick", "1")
    it.wait_count("asked", "/healthz", probes + (LONG_PROBES if os.environ.get("LONG") else PROBES))
    it.wait_count("asked", "/readyz", readiness + PROBES // 2)
    it.wait_count("tick", "1", ticks + TICKS)
    after = it.allocations()
    said = (f"{it.count('asked', '/healthz') - probes} probes, {it.count('asked', '/readyz') - readiness} readiness probes, "
            f"{it.count('tick', '1') - ticks} ticks; before: supervisor {before[0]}, sentry {before[1]}")
    expect_equal(after, before, f"allocations of supervisor and sentry, after {said}")
    return said


@test("fresh probes of a suspect gateway allocate nothing; each new WebSocket beside the standing one allocates once")
def suspect(place):
    it = Counted(place)
    it.order(MUTE)
    place.wait_for(lambda: place.status()["health"]["state"] == "suspect", "suspicion")
    it.wait_count("fresh", "/healthz", FIRST_PROBES)
    before, fresh, tried = it.allocations(), it.count("fresh", "/healthz"), it.count("trial", "opened")
    it.wait_count("fresh", "/healthz", fresh + FRESH_PROBES)
    it.wait_count("trial", "opened", tried + FRESH_PROBES)
    after, fresh, tried = it.allocations(), it.count("fresh", "/healthz") - fresh, it.count("trial", "opened") - tried
    said = f"{fresh} fresh probes, {tried} new WebSockets, {after[1] - before[1]} allocations in the sentry"
    expect_equal(place.status()["health"]["state"], "suspect", "health")
    expect_equal(after[0], before[0], "allocations of the supervisor")
    expect(after[1] - before[1] <= tried + 2, said)  # one may be on its way, at each of the two moments
    return said


if __name__ == "__main__":
    sys.exit(system.main())
