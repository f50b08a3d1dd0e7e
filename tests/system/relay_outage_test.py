#!/usr/bin/env python3
"""A relay that cannot stay up is taken out of the gateway's configuration; the gateway goes on.

Usage: relay_outage_test.py [WORD...]. BUILD_DIRECTORY says which build is tried (default: build). Prints TAP. A little
more than a minute: the relay has half a minute to stay up, and as long to prove that it is back.
"""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
import system
from relay_home import CONFIG, PROVIDERS, Given
from system import expect, expect_equal, kill, test, wait_for

PATIENCE_S = 60


def relay_pid(place):
    return next((worker["pid"] for worker in place.status()["workers"] if worker["name"] == "relay"), None)


def given_gateway(place, providers=None):
    given = Given(place, relay=False, providers=providers,
                  settings={"backoff": {"initial": "200ms", "max": "1s", "jitter": 0}, "api": {"port": place.api_port}})
    place.run(str(place.root / "openclaw"), "gateway", "run")
    wait_for(lambda: "The relay answers" in given.relay("status"), "relay that answers")
    return given


def event_of(place, kind):
    return next((event for event in place.events() if event["kind"] == kind), None)


@test("a relay that keeps dying is taken out after half a minute, and told of when it is back")
def _(place):
    given = given_gateway(place)
    given.relay("enable")
    gateway = place.pid()
    began = time.monotonic()

    def taken_out():
        pid = relay_pid(place)
        if pid:
            kill(pid)
        return event_of(place, "relay.taken_out")
    event = wait_for(taken_out, "relay.taken_out", PATIENCE_S)

    expect(29 < time.monotonic() - began < 45, "after", time.monotonic() - began, "s")
    expect_equal(event["severity"], "error", "severity")
    expect("as it was before" in event["reason"], event)
    expect_equal(given.text(), CONFIG, "the file")
    expect_equal(place.pid(), gateway, "the gateway")
    back = wait_for(lambda: event_of(place, "relay.back"), "relay.back", PATIENCE_S)
    expect("holdfast relay enable" in back["reason"], back)
    expect_equal(given.text(), CONFIG, "the file stays as it is until somebody asks")


@test("a relay that dies once, and one that the gateway does not use, change nothing")
def _(place):
    given = given_gateway(place, {"mock": PROVIDERS["mock"]})
    given.relay("enable")
    enabled = given.text()

    first = relay_pid(place)
    kill(first)
    wait_for(lambda: relay_pid(place) not in (None, first), "another relay")
    given.relay("disable")
    given.relay("enable")
    expect_equal(given.text(), enabled, "the file")

    given.relay("disable")
    began = time.monotonic()
    while time.monotonic() - began < 35:
        pid = relay_pid(place)
        if pid:
            kill(pid)
        time.sleep(0.05)
    expect_equal([kind for kind in place.kinds() if kind.startswith("relay.")], [], "events")


sys.exit(system.main())
