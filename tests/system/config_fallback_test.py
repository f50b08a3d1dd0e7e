#!/usr/bin/env python3
"""gateway.configFallback with the real OpenClaw: one that refuses its configuration runs from the copy kept when it was
last well, says so, and comes back to its own files.

Usage: config_fallback_test.py [WORD...]: only the tests whose names contain one of the words. BUILD_DIRECTORY says
which build is tried (default: build). Needs what tools/install-openclaw puts into .local/: without it the tests are
skipped, in CI (CI=true) they fail. Under a minute; LONG=1 adds the five minutes after which a copy is made, and more.
Prints TAP.
"""

import json
import os
import pathlib
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
import system
from openclaw_home import NEW, OLD, READY_S, command_of
from system import Skip, environment_of, expect, expect_equal, free_port, steady, test


class Home:
    """A home of OpenClaw with configFallback on. It is never talked to, so it has no model."""

    def __init__(self, place, version=NEW):
        self.place = place
        self.command = command_of(version)
        self.config_file = place.root / "openclaw.json"
        place.environment.update(OPENCLAW_STATE_DIR=str(place.root / "openclaw"),
                                 OPENCLAW_CONFIG_PATH=str(self.config_file), NO_COLOR="1")
        write(self.config_file, json.dumps({
            "gateway": {"mode": "local", "port": free_port(), "bind": "loopback",
                        "auth": {"mode": "token", "token": "a-token-for-tests"}},
            "logging": {"file": str(place.root / "gateway.log")},
            "discovery": {"mdns": {"mode": "off"}}}, indent=1))
        place.settings({"backoff": {"initial": "1s", "jitter": 0}, "gateway": {"configFallback": True}})

    def run(self):
        self.place.run(*self.command)
        self.ready()

    def ready(self, other_than=None):
        return self.place.wait_ready(other_than, READY_S)


def write(path, text):
    """As an editor does: another file takes its place."""
    part = path.with_suffix(".new")
    part.write_text(text)
    part.rename(path)


def change(home, **gateway):
    """Changes settings of OpenClaw's gateway section."""
    config = json.loads(home.config_file.read_text())
    config["gateway"].update(gateway)
    config["gateway"] = {key: value for key, value in config["gateway"].items() if value is not None}
    write(home.config_file, json.dumps(config, indent=1))


def keep(place, home):
    """What five healthy minutes would have left."""
    kept = place.state_dir / "known-good" / "kept-1"
    for directory in (place.state_dir, kept.parent, kept):
        directory.mkdir(mode=0o700)
    shutil.copy(home.config_file, kept / home.config_file.name)
    return kept / home.config_file.name


def event(place, kind, after=0):
    return place.wait_event(kind, after, 60)


def starts(place):
    return place.kinds().count("gateway.started")


def config_of(pid):
    return environment_of(pid)["OPENCLAW_CONFIG_PATH"]


@test(f"{NEW}: refused after a change, it runs from the copy, and from its own file again once that is valid")
def comes_back(place):
    home = Home(place)
    kept = keep(place, home)
    good = kept.read_text()
    running = place.state_dir / "known-good" / "running" / home.config_file.name
    change(home, bogus=1)
    bad = home.config_file.read_text()
    began = time.monotonic()
    place.run(*home.command)
    home.ready()
    said = [f"refused once, and ready from the copy after {time.monotonic() - began:.1f} s"]
    pid = place.pid()
    told = event(place, "gateway.config_fallback")
    expect_equal(told["severity"], "critical")
    expect("bogus" in told["reason"] and str(home.config_file) in told["reason"], told)
    status = place.status()
    expect(status["gateway"]["configFallback"], status["gateway"])
    expect("copy of its last good configuration" in status["reason"], status["reason"])
    expect_equal(config_of(pid), str(running))
    expect_equal(home.config_file.read_text(), bad, "the user's file was written")
    expect_equal((running.stat().st_mode & 0o777, running.parent.stat().st_mode & 0o777), (0o600, 0o700))
    expect("gateway.parked" not in place.kinds(), place.kinds())

    # Another mistake: OpenClaw says what is wrong with it, and nothing is touched.
    before = place.last_event()
    change(home, bogus=None, another=2)
    refused = event(place, "gateway.config_still_refused", before)
    expect("another" in refused["reason"], refused)
    expect_equal(place.pid(), pid, "it was replaced")

    before = place.last_event()
    change(home, another=None)
    began = time.monotonic()
    event(place, "gateway.config_restored", before)
    said.append(f"the mended file was found valid after {time.monotonic() - began:.1f} s")
    home.ready(other_than=pid)
    said.append(f"ready with it after {time.monotonic() - began:.1f} s")
    expect_equal(config_of(place.pid()), str(home.config_file))
    expect(not place.status()["gateway"]["configFallback"], place.status())
    expect_equal(kept.read_text(), good, "the copy was written")
    expect_equal(place.end(), 0, "exit status")
    place.expect_nothing_left()
    return said


@test(f"{NEW}: what its validator lets pass and its start refuses leads back to the copy, once for each change")
def once_a_change(place):
    if not os.environ.get("LONG"):
        raise Skip("LONG=1 tries it: four starts")
    home = Home(place)
    keep(place, home)
    change(home, bogus=1)
    place.run(*home.command)
    home.ready()
    before, started = place.last_event(), starts(place)
    change(home, bogus=None, mode=None)
    event(place, "gateway.config_restored", before)
    again = event(place, "gateway.config_fallback", before)
    home.ready()
    expect("mode" in again["reason"], again)
    expect_equal(starts(place) - started, 2, "starts for one change")
    steady(lambda: starts(place) - started == 2, "no further start", 10)
    return again["reason"]


@test(f"{OLD}: it cannot be asked, so that a change is tried")
def old_tries(place):
    if not os.environ.get("LONG"):
        raise Skip("LONG=1 tries it: four starts")
    home = Home(place, OLD)
    keep(place, home)
    change(home, bogus=1)
    place.run(*home.command)
    home.ready()
    first = place.pid()
    expect(place.status()["gateway"]["configFallback"], place.status())
    before = place.last_event()
    change(home, bogus=None)
    event(place, "gateway.config_restored", before)
    home.ready(other_than=first)
    expect(not place.status()["gateway"]["configFallback"], place.status())
    return event(place, "gateway.config_fallback")["reason"]


@test(f"{NEW}: after five healthy minutes its configuration is kept")
def is_kept(place):
    if not os.environ.get("LONG"):
        raise Skip("LONG=1 waits for it")
    home = Home(place)
    home.run()
    place.wait_event("config.kept", seconds=360)
    kept = place.state_dir / "known-good" / "kept-1" / home.config_file.name
    expect_equal(kept.read_text(), home.config_file.read_text(), "the copy")
    expect_equal((kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777), (0o600, 0o700))


if __name__ == "__main__":
    sys.exit(system.main(at_once=1))
