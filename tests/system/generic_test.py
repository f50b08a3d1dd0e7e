#!/usr/bin/env python3
"""The real programs with a generic gateway: its life and death, ours, and what is left behind (nothing).

Usage: generic_test.py [WORD...]: only the tests whose names contain one of the words. BUILD_DIRECTORY says which build
is tried (default: build). Prints TAP.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from system import (HOLDFAST, Skip, cpu_seconds, environment_of, every_pid, expect, expect_equal, free_port, is_alive,
                    kill, listen_on, main, parent_of, process_state, processes_with, start_time_of, steady, test,
                    wait_for)

SLOW_BACKOFF = {"initial": "1s", "factor": 2, "jitter": 0}
NO_BACKOFF = {"initial": 0, "jitter": 0}


def moment(event):
    """An event's time in seconds of its day."""
    hours, minutes, seconds = event["time"][11:-1].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def between(earlier, later):
    return (moment(later) - moment(earlier)) % 86400


def expect_trail(place, after, *kinds):
    """The events after an id are these, in this order, whatever stands between them."""
    seen = place.kinds(after)
    at = 0
    for kind in seen:
        if at < len(kinds) and kind == kinds[at]:
            at += 1
    expect(at == len(kinds), "expected", kinds, "in this order, saw", seen)


# ---- a gateway's life ----------------------------------------------------------------------------------------------

@test("a gateway is started, ready and told by status and events")
def started(place):
    supervisor = place.run_ready()
    status = place.status()
    pid = place.starts()[-1]
    expect_equal(status["gateway"]["pid"], pid, "pid")
    expect_equal(status["supervisor"]["pid"], supervisor.pid, "`run` is the supervisor")
    expect_equal(status["state"], "running")
    expect_equal(status["gateway"]["restarts"], 0)
    expect(status["gateway"]["ready"] and status["gateway"]["startedAt"].endswith("Z"), status)
    expect_equal(status["incident"], None)
    expect_equal(sorted(place.wait_workers()), ["recorder", "relay", "sentry"])
    expect_equal(place.command("status").returncode, 0, "status")
    place.wait_event("gateway.ready")
    expect_equal(place.kinds(), ["supervisor.started", "gateway.started", "gateway.ready"])
    expect(os.getsid(pid) == pid, "the gateway has no session of its own")
    expect_equal(os.readlink(f"/proc/{pid}/fd/0"), "/dev/null")
    place.tell("echo this is the gateway speaking")
    place.wait_for(lambda: "this is the gateway speaking" in place.console(), "line on the terminal")
    place.wait_for(lambda: "this is the gateway speaking" in (place.state / "console.log").read_text(),
                   "line in console.log")


@test("a crash after a healthy run is mended at once, the next ones after a growing back-off, each as one incident")
def crashes(place):
    place.settings({"backoff": SLOW_BACKOFF})
    place.run_ready()
    waits, incidents = [], []
    for nth in range(3):
        before, pid = place.last_event(), place.pid()
        kill(pid)
        place.wait_ready(other_than=pid)
        place.wait_event("gateway.recovered", before)
        trail = {event["kind"]: event for event in place.events() if event["id"] > before}
        waits.append(between(trail["gateway.exited"], trail["gateway.started"]))
        expect_trail(place, before, "gateway.exited", "gateway.started", "gateway.ready", "gateway.recovered")
        numbers = {trail[kind]["incident"] for kind in trail}
        expect(len(numbers) == 1 and None not in numbers, "one incident expected, saw", numbers)
        expect_equal(trail["gateway.exited"]["severity"], "error")
        expect("SIGKILL" in trail["gateway.exited"]["reason"], trail["gateway.exited"]["reason"])
        incidents += numbers
    expect_equal(len(set(incidents)), 3, "incidents")
    expect_equal(place.status()["gateway"]["restarts"], 3)
    expect_equal(place.status()["incident"], None)
    expect(waits[0] < 0.5 and 1.0 <= waits[1] < 1.7 and 2.0 <= waits[2] < 2.7, "waits", waits)
    return f"waited {', '.join(f'{wait:.3f}' for wait in waits)} s"


@test("an exit 0 after a healthy run is no crash and is mended at once")
def clean_exit(place):
    place.settings({"backoff": {"initial": "20s", "jitter": 0, "immediateFirst": False}})
    pid = place.run_ready() and place.pid()
    steady(lambda: place.pid() == pid, "it was restarted", 10.2)  # as long as it takes to count as healthy
    before = place.last_event()
    place.tell("exit 0")
    place.wait_ready(other_than=pid, seconds=5)
    exited = place.wait_event("gateway.exited", before)
    expect_equal((exited["severity"], exited["incident"]), ("info", None))
    place.wait_event("gateway.ready", before)
    expect("gateway.recovered" not in place.kinds(before), place.kinds(before))


@test("an exit 0 at once is a failed start and waits for the back-off")
def failing_start(place):
    place.settings({"backoff": {"initial": "30s", "jitter": 0, "immediateFirst": False}})
    place.at_start("exit 0")
    place.run()
    status = place.wait_state("backing-off")
    expect("exit code 0" in status["reason"] and status["nextTry"], status)
    expect(status["incident"] is not None, "no incident is open")
    expect_equal(place.command("status").returncode, 4, "status")
    steady(lambda: len(place.starts()) == 1, "it did not wait", 1)
    place.at_start("")
    place.done("start", "--force")
    place.wait_ready()
    place.wait_event("gateway.recovered")


@test("a command that cannot be executed any more is told, waited for, and started when it is back")
def not_executable(place):
    place.settings({"backoff": {"initial": "500ms", "jitter": 0}})
    program, away = place.root / "bin", place.root / "away"
    program.write_text("#!/bin/sh\n. ./gateway\n")
    program.chmod(0o755)
    place.run_ready(str(program))
    before = place.last_event()
    program.rename(away)
    kill(place.pid())
    failed = place.wait_event("gateway.start_failed", before, count=2)
    expect("No such file" in failed["reason"] and str(program) in failed["reason"], failed["reason"])
    status = place.wait_state("backing-off")
    expect(status["gateway"]["pid"] is None, status["gateway"])
    away.rename(program)
    place.wait_ready()
    place.wait_event("gateway.recovered", before)
    expect_equal(len({event["incident"] for event in place.events() if event["id"] > before}), 1, "incidents")


# ---- the end of a gateway, and of all of it --------------------------------------------------------------------------

@test("a gateway that ignores SIGTERM is killed after stopTimeout")
def stubborn(place):
    place.settings({"gateway": {"stopTimeout": "1s"}})
    place.run_ready()
    place.tell("trap '' TERM; : >deaf")
    place.wait_for((place.root / "deaf").exists, "deaf gateway")
    before, pid = place.last_event(), place.pid()
    place.done("stop")
    stopped = place.wait_event("gateway.stopped", before)
    trail = {event["kind"]: event for event in place.events() if event["id"] > before}
    expect_trail(place, before, "gateway.stopping", "gateway.killed", "gateway.exited", "gateway.stopped")
    took = between(trail["gateway.stopping"], stopped)
    expect(1.0 <= took < 1.8, "took", took)
    expect(not is_alive(pid), "it still lives")
    expect_equal(place.status()["state"], "stopped")
    expect(not [event for event in trail.values() if event["severity"] == "error"], "an end that was asked for is no error")
    return f"killed after {took:.3f} s"


FORKED_TWICE = "(setsid sh -c 'echo $$ >>grandchildren; exec sleep 1000' >/dev/null 2>&1 &) ; "


def grandchildren(place, count):
    file = place.root / "grandchildren"
    place.wait_for(lambda: file.exists() and len(file.read_text().split()) >= count, "grandchildren")
    return [int(word) for word in file.read_text().split()]


@test("double-forked grandchildren with sessions of their own are gone before the new start, and after a stop")
def no_orphans(place):
    place.settings({"backoff": NO_BACKOFF})
    # What is still alive at a start is written down by the new gateway itself.
    place.at_start("for old in $(cat grandchildren 2>/dev/null); do"
                   " case $(cut -d' ' -f3 /proc/$old/stat 2>/dev/null) in ''|Z|X) ;; *) echo $old >>survivors;; esac; done; "
                   + FORKED_TWICE * 3)
    place.run_ready()
    for nth in range(1, 9):
        pid = place.pid()
        grandchildren(place, 3 * nth)
        before = place.last_event()
        kill(pid)
        place.wait_ready(other_than=pid)
        reaped = place.wait_event("orphans.reaped", before)
        expect("sleep" in reaped["reason"], reaped["reason"])
    old = grandchildren(place, 27)
    expect(not (place.root / "survivors").exists(), "alive at the next start")
    expect_equal(sum(is_alive(pid) for pid in old), 3, "grandchildren alive")
    place.done("stop")
    expect_equal([pid for pid in old if is_alive(pid)], [], "grandchildren alive after the stop")
    return "contained by " + place.status()["gateway"]["containment"]


@test("orphans of an earlier life are removed and recorded; what carries another's marker is left alone")
def earlier_life(place):
    supervisor = place.run_ready()
    place.tell(FORKED_TWICE)
    orphan, = grandchildren(place, 1)
    gateway = place.pid()
    marker = environment_of(orphan)["HOLDFAST_GENERATION"]
    instance, pid, start_time = marker.split(":")
    expect_equal((int(pid), int(start_time)), (gateway, start_time_of(gateway)), "marker")
    environment = {**place.environment,
                   "HOLDFAST_GENERATION": f"{int(instance, 16) ^ 1:016x}:{pid}:{start_time}"}
    with subprocess.Popen(["sleep", "1000"], env=environment) as stranger:
        try:
            # The supervisor first, so that nobody cleans up.
            supervisor.kill()
            supervisor.wait()
            kill(gateway)
            wait_for(lambda: not is_alive(gateway), "end of the gateway")
            expect(is_alive(orphan), "the orphan ended by itself")
            before = place.last_event()
            place.run_ready()
            reaped = place.wait_event("orphans.reaped", before)
            expect(str(orphan) in reaped["reason"], reaped["reason"])
            expect(not is_alive(orphan), "the orphan lives")
            expect(stranger.poll() is None, "a process with another instance's marker was ended")
            expect(place.pid() not in (None, gateway), "no new gateway")
        finally:
            stranger.kill()


# ---- the deaths of our own processes ---------------------------------------------------------------------------------

@test("kill -9 of each worker, and of all at once, five times: the gateway does not notice and no event is lost")
def workers_die(place):
    place.settings({"backoff": {"initial": "20ms", "max": "50ms", "jitter": 0}})
    place.run_ready()
    gateway = place.pid()
    ended = []
    for _ in range(5):
        for names in (["sentry"], ["recorder"], ["relay"], ["sentry", "recorder", "relay"]):
            workers = place.wait_workers()
            victims = [workers[name] for name in names]
            for pid in victims:
                kill(pid)
            ended += victims
            place.wait_workers(other_than=victims)
    expect_equal(place.pid(), gateway, "gateway")
    expect_equal(place.starts(), [gateway], "starts")
    place.done("restart", "--reason", "to see the trail")
    place.wait_ready(other_than=gateway)
    place.wait_for(lambda: place.status()["store"]["waiting"] == 0, "events on disk")
    events = place.events()
    told = sorted(event["evidence"]["pid"] for event in events if event["kind"] == "worker.exited")
    expect_equal(told, sorted(ended), "worker.exited, each once")
    kinds = [event["kind"] for event in events]
    for kind in ("supervisor.started", "gateway.stopping", "gateway.exited"):
        expect_equal(kinds.count(kind), 1, kind)
    for kind in ("gateway.started", "gateway.ready"):
        expect_equal(kinds.count(kind), 2, kind)
    expect_equal([event["id"] for event in events], sorted(event["id"] for event in events), "order")
    place.tell("echo after all that")
    place.wait_for(lambda: "after all that" in place.console(), "console")
    return f"{len(ended)} workers killed"


@test("kill -9 of the supervisor: the gateway lives, the next run adopts it, and can stop it")
def adoption(place):
    supervisor = place.run_ready()
    gateway = place.pid()
    place.tell(FORKED_TWICE)
    orphan, = grandchildren(place, 1)
    supervisor.kill()
    supervisor.wait()
    expect_equal(place.command("status").returncode, 3, "status")
    place.tell("echo nobody supervises me")
    expect(is_alive(gateway), "the gateway ended with its supervisor")
    before = place.last_event()
    place.run()
    status = place.wait_ready()
    expect_equal(status["gateway"]["pid"], gateway, "adopted")
    expect_equal(place.starts(), [gateway], "starts")
    place.wait_event("gateway.adopted", before)
    place.wait_workers()
    place.tell("echo and now somebody does")
    place.wait_for(lambda: "and now somebody does" in place.console(), "console")
    place.wait_for(lambda: "nobody supervises me" in place.console(), "what it said in between")
    place.done("stop")
    expect_equal(place.status()["state"], "stopped")
    expect(not is_alive(gateway) and not is_alive(orphan), "the tree lives")
    place.done("start")
    place.wait_ready(other_than=gateway)
    expect_equal(place.end(), 0, "exit status")
    place.expect_nothing_left()


@test("an adopted gateway that is killed is replaced, with its grandchildren")
def adopted_dies(place):
    supervisor = place.run_ready()
    gateway = place.pid()
    place.tell(FORKED_TWICE)
    orphan, = grandchildren(place, 1)
    supervisor.kill()
    supervisor.wait()
    place.run_ready()
    before = place.last_event()
    kill(gateway)
    place.wait_ready(other_than=gateway)
    place.wait_event("gateway.recovered", before)
    expect_trail(place, before, "gateway.exited", "gateway.started", "gateway.ready", "gateway.recovered")
    expect(not is_alive(orphan), "its grandchild lives")


@test("what people asked for outlives the supervisor: a stopped gateway stays stopped, a pause goes on")
def intentions(place):
    supervisor = place.run_ready()
    place.done("pause", "--for", "1h")
    supervisor.kill()
    supervisor.wait()
    place.run()
    status = place.wait_ready()
    expect(status["paused"], "the pause is forgotten")
    place.done("resume")


# ---- one owner -----------------------------------------------------------------------------------------------------

@test("a second run is refused with 78 and names the first, which is not touched")
def second_run(place):
    supervisor = place.run_ready()
    before = place.status()
    result = place.try_run("sh", "./gateway")
    expect_equal(result.returncode, 78, result.stderr)
    expect(str(supervisor.pid) in result.stderr and len(result.stderr.splitlines()) == 1, result.stderr)
    after = place.status()
    expect_equal(after["gateway"], before["gateway"])
    expect_equal(after["workers"], before["workers"])
    expect_equal(len(place.starts()), 1, "starts")


@test("a port that is taken is refused with 78, the holder's pid and the place the port was set")
def port_taken(place):
    port = free_port()
    place.settings('{\n  gateway: {\n    port: %d,\n  },\n}\n' % port)
    with listen_on(port):
        result = place.try_run("sh", "./gateway")
        expect_equal(result.returncode, 78, result.stderr)
        expect(f"pid {os.getpid()}" in result.stderr, result.stderr)
        expect(f"{place.settings_file}:3:11" in result.stderr, result.stderr)
        expect_equal(place.starts(), [], "starts")
        place.expect_nothing_left()


# ---- what people ask for ---------------------------------------------------------------------------------------------

@test("start, stop, restart, pause and resume do what they say, and are recorded with their reasons")
def commands(place):
    place.settings({"backoff": SLOW_BACKOFF})
    place.run_ready()
    first = place.pid()
    place.done("restart", "--reason", "new key")
    second = place.wait_ready(other_than=first)["gateway"]["pid"]
    stopping = place.wait_event("gateway.stopping")
    expect("new key" in stopping["reason"], stopping["reason"])
    place.done("stop", "--reason", "holidays")
    expect_equal(place.state(), "stopped")
    expect(not is_alive(second), "it lives")
    expect_equal(place.command("status").returncode, 4, "status")
    place.done("start")
    third = place.wait_ready()["gateway"]["pid"]
    before = place.last_event()
    place.done("pause")
    kill(third)
    place.wait_state("backing-off")
    steady(lambda: len(place.starts()) == 3, "it was started during the pause", 1.5)
    expect("paused" in place.status()["reason"], place.status()["reason"])
    place.done("resume")
    place.wait_ready(other_than=third)
    place.wait_event("gateway.recovered", before)
    expect_trail(place, before, "supervisor.paused", "gateway.exited", "gateway.waiting", "supervisor.resumed",
                 "gateway.started", "gateway.ready", "gateway.recovered")
    expect_equal(len(place.starts()), 4, "starts")


@test("a restart asked from inside the gateway drains, survives its asker, and has a budget")
def restart_from_inside(place):
    place.run_ready()
    ask = f"{HOLDFAST} restart --no-wait --reason mine {' '.join(place.where())} >asked 2>&1; echo $? >answer"
    for nth in range(3):
        pid, before = place.pid(), place.last_event()
        place.tell("trap 'sleep 0.3; exit 0' TERM")
        place.tell(f"{ask} &")
        place.wait_ready(other_than=pid)
        trail = {event["kind"]: event for event in place.events() if event["id"] > before}
        expect_trail(place, before, "gateway.stopping", "gateway.exited", "gateway.started", "gateway.ready")
        expect("from inside" in trail["gateway.stopping"]["reason"] and "mine" in trail["gateway.stopping"]["reason"],
               trail["gateway.stopping"]["reason"])
        expect("gateway.killed" not in trail, "it was not drained")
        expect_equal(trail["gateway.exited"]["severity"], "info")
    pid = place.pid()
    answer = place.root / "answer"
    answer.unlink(missing_ok=True)
    place.tell(f"{ask} &")
    place.wait_for(lambda: answer.exists() and answer.read_text().strip(), "answer")
    expect_equal(answer.read_text().strip(), "1", "exit status")
    expect("within an hour" in (place.root / "asked").read_text(), (place.root / "asked").read_text())
    steady(lambda: place.pid() == pid, "it was restarted over the budget", 0.5)
    place.done("restart")  # a person still may
    place.wait_ready(other_than=pid)


@test("SIGTERM and SIGINT end everything and leave no process and no socket")
def ended(place):
    place.at_start(FORKED_TWICE)
    for nth, number in enumerate((signal.SIGTERM, signal.SIGINT), 1):
        place.run_ready()
        grandchildren(place, nth)
        place.wait_workers()
        expect_equal(place.end(number), 0, "exit status")
        place.expect_nothing_left()
        expect_equal(place.events()[-1]["kind"], "supervisor.stopped")
        expect_equal(place.command("status").returncode, 3, "status")
    expect_equal([kind for kind in place.kinds() if kind == "gateway.stopped"], ["gateway.stopped"] * 2)
    expect_equal(sorted(path.name for path in place.state.iterdir() if path.name.endswith(("-wal", "-shm"))), [],
                 "files of an open database")


@test("a second SIGINT does not wait for the gateway")
def forced(place):
    supervisor = place.run_ready()
    place.tell("trap '' TERM; : >deaf")
    place.wait_for((place.root / "deaf").exists, "deaf gateway")
    supervisor.send_signal(signal.SIGINT)
    place.wait_state("draining")
    began = time.monotonic()
    expect_equal(place.end(signal.SIGINT, 5), 0, "exit status")
    place.expect_nothing_left()
    return f"ended after {time.monotonic() - began:.3f} s"


if __name__ == "__main__":
    sys.exit(main())
