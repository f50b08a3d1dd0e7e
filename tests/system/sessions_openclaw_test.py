#!/usr/bin/env python3
"""Stuck sessions on the real OpenClaw: only the one that hangs is aborted; a restart only when several stay stuck.

Usage: sessions_openclaw_test.py [WORD...]: only the tests whose names contain one of the words. BUILD_DIRECTORY says which
build is tried (default: build). Needs what tools/install-openclaw puts into .local/: without it the tests are skipped, in
CI (CI=true) they fail. The short form uses timeouts of 15 s (a model) and 40 s (a tool), and a word every 3 s; LONG=1 the 120 s
that Holdfast has by itself, 100 s for the tool, and a word every 20 s. Prints TAP.
"""

import json
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
import system
from openclaw_home import NEW, OLD, Home, seconds_between
from system import ROOT, every_pid, expect, expect_equal, read_process, test, wait_for

LONG = bool(os.environ.get("LONG"))
# OpenClaw's own exec hands a command over to the background after 120 s, however long it is told to wait.
SESSION_S, TOOL_S, DRIP_S = (120, 100, 20) if LONG else (15, 40, 3)
LATE_S = 10  # it may be found so much later
SETTINGS = {"gateway": {"sessionTimeout": f"{SESSION_S}s", "toolTimeout": f"{TOOL_S}s"}}
KEY = "agent:main:"
RECOVER_S = 60


def sessions_events(place, after=0):
    return [event for event in place.events("--kind", "session.*") if event["id"] > after]


def session_of(event):
    return event["evidence"]["session"]


def wait_session(place, kind, name, seconds, after=0):
    def seen():
        return next((event for event in sessions_events(place, after)
                     if event["kind"] == kind and session_of(event) == KEY + name), None)
    return place.wait_for(seen, f"{kind} of {name}", seconds)


def listed(place):
    return {session["key"]: session for session in json.loads(place.done("sessions", "--all", "--json").stdout)["sessions"]}


def wait_running(place, *names, seconds=60):
    def seen():
        found = listed(place)
        return all(found.get(KEY + name, {}).get("state") == "running" for name in names) and found
    return place.wait_for(seen, f"sessions {names} that run", seconds)


def processes_of(command):
    wanted = command.encode()
    return [pid for pid in every_pid() if wanted in read_process(pid, "cmdline").replace(b"\0", b" ")]


def hang_only(place, version):
    """One that hangs in a model's answer, one that gets a word now and then, one in a long tool, one that is idle."""
    with Home(place, version, SETTINGS) as home:
        home.model.drip_s = DRIP_S
        home.model.command = f"sleep {SESSION_S + LATE_S + 5}"
        home.model.manners = {"HANG": "hang", "DRIP": "drip", "TOOL": "tool"}
        home.run()
        with home.client() as client:
            client.answer(client.chat("good morning", KEY + "idle")["runId"])
            hang = client.chat("HANG please", KEY + "hang")
            drip = client.chat("DRIP please", KEY + "drip")
            tool = client.chat("TOOL please", KEY + "tool")
            wait_running(place, "hang", "drip", "tool")
            asked = time.monotonic()
            stuck = wait_session(place, "session.stuck", "hang", SESSION_S + LATE_S + 30)
            found_s = time.monotonic() - asked
            quiet_s = stuck["evidence"]["quiet_ms"] / 1000
            expect(SESSION_S <= quiet_s <= SESSION_S + LATE_S, "found after a silence of", quiet_s, stuck)
            wait_session(place, "session.aborted", "hang", LATE_S)
            recovered = wait_session(place, "session.recovered", "hang", 20)
            home.model.manners.pop("HANG")
        with home.client() as client:
            expect_equal(client.answer(client.chat("and now?", KEY + "hang")["runId"]), "Done.", "its next message")
        with home.client() as client:  # the tool ends by itself, and the slow one when it is released
            wait_for(lambda: ("assistant", "Done.") in client.history(KEY + "tool"), "the end of the tool's run",
                     TOOL_S + 60)
            home.model.released.set()
            wait_for(lambda: any(text.endswith("end.") for _, text in client.history(KEY + "drip")),
                     "the end of the slow one's run", 60)
        touched = {session_of(event) for event in sessions_events(place)}
        expect_equal(touched, {KEY + "hang"}, "sessions that were touched")
        expect(hang and drip and tool, "all three were begun")
        return (f"OpenClaw {version}: found after {quiet_s:.1f} s of silence (limit {SESSION_S} s; {found_s:.0f} s after it was "
                f"seen to run), recovered {seconds_between(stuck, recovered):.1f} s later; the others finished")


@test("2026.9.6: of one that hangs, one that is slow, one in a tool and one idle, only the first is aborted")
def only_the_first(place):
    return hang_only(place, NEW)


@test("2026.2.1: of one that hangs, one that is slow, one in a tool and one idle, only the first is aborted")
def only_the_first_old(place):
    return hang_only(place, OLD)


@test("2026.9.6: a session that hangs in a tool is aborted after toolTimeout, and its process is gone")
def hung_in_a_tool(place):
    settings = {"gateway": {**SETTINGS["gateway"], "notifyChat": True}}
    with Home(place, NEW, settings) as home:
        home.model.command = "sleep 98765"
        home.model.manners = {"TOOL": "tool"}
        home.run()
        with home.client() as client:
            client.chat("TOOL please", KEY + "tool")
            wait_for(lambda: processes_of("sleep 98765"), "the tool's process", 60)
            stuck = wait_session(place, "session.stuck", "tool", TOOL_S + LATE_S + 20)
            quiet_s = stuck["evidence"]["quiet_ms"] / 1000
            expect(TOOL_S <= quiet_s <= TOOL_S + LATE_S, "found after a silence of", quiet_s, stuck)
            expect_equal(stuck["evidence"]["tool"], "exec", "the tool")
            recovered = wait_session(place, "session.recovered", "tool", 40)
            wait_for(lambda: not processes_of("sleep 98765"), "end of the tool's process", 20)
            home.model.manners.clear()
        with home.client() as client:
            expect(any("made no progress" in text for _, text in client.history(KEY + "tool")), "the chat was told")
            expect_equal(client.answer(client.chat("and now?", KEY + "tool")["runId"]), "Done.", "its next message")
        return (f"found after {quiet_s:.1f} s (limit {TOOL_S} s), recovered {seconds_between(stuck, recovered):.1f} s later, "
                f"its process gone")


@test("2026.9.6: three that hang and cannot be aborted cause one restart; hung again after it, they are aborted")
def several(place):
    refuse = place.root / "refuse"
    settings = {"gateway": {**SETTINGS["gateway"], "env": {
        "NODE_OPTIONS": f"--require={ROOT / 'tests/support/refuse.cjs'}", "REFUSE_ABORTS": str(refuse)}}}
    names = ("one", "two", "three")
    with Home(place, NEW, settings) as home:
        refuse.write_text("refuse")
        home.model.manner = "hang"
        home.run()
        pid = place.pid()
        with home.client() as client:
            for name in names:
                client.chat("are you there?", KEY + name)
        wait_running(place, *names)
        condemned = place.wait_event("gateway.condemned", seconds=SESSION_S + LATE_S + 60)
        expect("sessions were stuck" in condemned["reason"], condemned)
        expect_equal(set(condemned["evidence"]["sessions"]), {KEY + name for name in names}, "sessions in the event")
        before = sessions_events(place)
        for name in names:
            told = [event["kind"] for event in before if session_of(event) == KEY + name]
            expect_equal(told, ["session.stuck", "session.abort_failed"], f"what was told of {name}")
        refuse.unlink()
        home.ready(other_than=pid)
        second = place.pid()
        ready = place.wait_event("gateway.ready", condemned["id"])
        # The gateway resumes what was interrupted, and the model hangs again.
        recovered = [wait_session(place, "session.recovered", name, SESSION_S + LATE_S + 120, condemned["id"])
                     for name in names]
        home.model.manner = "say"
        for name in names:
            with home.client() as client:
                expect_equal(client.answer(client.chat("and now?", KEY + name)["runId"]), "Done.", f"{name}'s next message")
        expect_equal(place.pid(), second, "the gateway after the second hang")
        kinds = place.kinds()
        expect_equal(kinds.count("gateway.condemned"), 1, "restarts")
        return (f"condemned {seconds_between(before[0], condemned):.1f} s after the first was found stuck; ready {seconds_between(condemned, ready):.0f} s "
                f"later; what the gateway resumed hung again and was aborted {seconds_between(ready, recovered[-1]):.0f} s after that "
                f"({len(recovered)} of 3); all usable, no second restart")


if __name__ == "__main__":
    sys.exit(system.main(at_once=2))
