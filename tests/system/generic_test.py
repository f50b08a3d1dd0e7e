#!/usr/bin/env python3
"""The real programs with a generic gateway: its life and death, ours, and what is left behind (nothing).

Usage: generic_test.py [WORD...]: only the tests whose names contain one of the words. BUILD_DIRECTORY says which build
is tried (default: build). Prints TAP.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from system import (BUILD, HOLDFAST, Skip, cpu_seconds, environment_of, every_pid, expect, expect_equal, free_port, is_alive,
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
    place.tell("readlink /proc/self/fd/0 >input")
    place.wait_for(lambda: (place.root / "input").exists() and (place.root / "input").read_text(), "its input")
    expect_equal((place.root / "input").read_text().strip(), "/dev/null", "input")
    for sentence in (event["reason"] for event in place.events()):
        place.wait_for(lambda: sentence in place.console(), f'"{sentence}" on the terminal')
    place.tell("echo this is the gateway speaking")
    place.wait_for(lambda: "this is the gateway speaking" in place.console(), "line on the terminal")
    place.wait_for(lambda: "this is the gateway speaking" in (place.state_dir / "console.log").read_text(),
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


# The supervisor sees no cgroup file system: what it then has is its being a subreaper, and the marker.
WITHOUT_CGROUP = ("unshare", "--mount", "sh", "-c",
                  "for at in $(awk '$3 == \"cgroup2\" { print $2 }' /proc/mounts); do umount -l $at || exit; done;"
                  ' exec "$@"', "sh")


def without_cgroup():
    if os.geteuid() != 0:
        raise Skip("a mount namespace needs root")
    return {"prefix": WITHOUT_CGROUP}


@test("double-forked grandchildren with sessions of their own are gone before the new start, and after a stop")
def no_orphans(place):
    return orphans_go(place)


@test("double-forked grandchildren are gone before the new start without a cgroup, too")
def no_orphans_without_cgroup(place):
    return orphans_go(place, **without_cgroup())


def orphans_go(place, **options):
    place.settings({"backoff": NO_BACKOFF})
    # What is still alive at a start is written down by the new gateway itself.
    place.at_start("for old in $(cat grandchildren 2>/dev/null); do"
                   " case $(cut -d' ' -f3 /proc/$old/stat 2>/dev/null) in ''|Z|X) ;; *) echo $old >>survivors;; esac; done; "
                   + FORKED_TWICE * 3)
    place.run_ready(**options)
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
    contained = place.status()["gateway"]["containment"]
    expect(contained == "subreaper" or not options, "contained by", contained)
    return "contained by " + contained


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


# Many threads and much memory: its leader is a zombie long before the last thread has given back what it holds.
SLOW_TO_DIE = """\
import threading, time
held = bytearray(150_000_000)
held[::4096] = b'x' * len(held[::4096])
for _ in range(30):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print('heavy', file=open('heavy', 'a'))
time.sleep(1000)
"""


@test("what takes its time to die is waited for: each crash is one start, which lives")
def slow_to_die(place):
    slow_to_die_goes(place)


@test("what takes its time to die is waited for without a cgroup, too")
def slow_to_die_without_cgroup(place):
    slow_to_die_goes(place, **without_cgroup())


def slow_to_die_goes(place, **options):
    place.settings({"backoff": NO_BACKOFF})
    (place.root / "heavy.py").write_text(SLOW_TO_DIE)
    # What was there and can still be seen in the kernel's list of threads at a start is written down.
    place.at_start("for old in $(cat grandchildren 2>/dev/null); do"
                   " [ $(ls /proc/$old/task 2>/dev/null | wc -l) -le 1 ] || echo $old >>survivors; done;"
                   " (setsid python3 -c 'import os; print(os.getpid(), flush=True);"
                   " exec(open(\"heavy.py\").read())' >>grandchildren 2>heavy.log &); " + FORKED_TWICE * 6)
    place.run_ready(**options)
    heavy = place.root / "heavy"
    for nth in range(12):
        place.wait_for(lambda: heavy.exists() and len(heavy.read_text().split()) > nth, "heavy grandchild")
        pid, before = place.pid(), place.last_event()
        kill(pid)
        place.wait_ready(other_than=pid)
        place.wait_event("gateway.recovered", before)
        place.last_event()
        kinds = place.kinds(before)
        expect_equal((kinds.count("gateway.exited"), kinds.count("gateway.started")), (1, 1), "ends and starts")
    expect(not (place.root / "survivors").exists(), "threads of the old tree lived at the next start")


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
    adopted_goes(place)


@test("an adopted gateway that is killed is replaced, with its grandchildren, without a cgroup, too")
def adopted_dies_without_cgroup(place):
    adopted_goes(place, **without_cgroup())


def adopted_goes(place, **options):
    supervisor = place.run_ready(**options)
    gateway = place.pid()
    place.tell(FORKED_TWICE)
    orphan, = grandchildren(place, 1)
    supervisor.kill()
    supervisor.wait()
    place.run_ready(**options)
    before = place.last_event()
    kill(gateway)
    place.wait_ready(other_than=gateway)
    place.wait_event("gateway.recovered", before)
    expect_trail(place, before, "gateway.exited", "gateway.started", "gateway.ready", "gateway.recovered")
    expect(not is_alive(orphan), "its grandchild lives")


@test("kill -9 of the supervisor and all its workers at once: the next run adopts the gateway")
def all_die(place):
    supervisor = place.run_ready()
    gateway = place.pid()
    victims = [supervisor.pid, *place.wait_workers().values()]
    for pid in victims:
        kill(pid)
    supervisor.wait()
    place.tell("echo all alone")
    place.run_ready()
    expect_equal(place.pid(), gateway, "adopted")
    place.wait_for(lambda: "all alone" in place.console(), "what it said in between")
    kinds = place.kinds()
    expect("store.replaced" not in kinds and "orphans.reaped" not in kinds, kinds)


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
    place.done("stop")
    place.runs[-1].kill()
    place.runs[-1].wait()
    place.run()
    expect_equal(place.status()["state"], "stopped")
    steady(lambda: len(place.starts()) == 1, "it was started against what was asked", 0.5)
    place.done("start")
    place.wait_ready()


@test("a supervisor killed at any moment of its first tenth of a second leaves one gateway, and no record is lost")
def killed_early(place):
    rounds = 20
    for nth in range(rounds):
        for late in (nth, rounds - nth):
            supervisor = place.run(wait=False)
            # Not a wait for anything: the moment of death is what is tried.
            time.sleep(0.1 * late / rounds)
            supervisor.kill()
            supervisor.wait()
        place.run_ready()
        place.last_event()
        kinds = place.kinds()
        expect("store.replaced" not in kinds and "record.refused" not in kinds, kinds)
        expect_equal(len(processes_with_marker(place)), 1, "gateways")
        place.end()
        place.expect_nothing_left()
        subprocess.run(["rm", "-rf", str(place.state_dir), str(place.runtime_dir)], check=True)


def processes_with_marker(place):
    return [pid for pid in place.left() if "HOLDFAST_GENERATION" in environment_of(pid)]


# Each line has the next number, about a thousand a second.
COUNTER = """\
import itertools, os, time
for number in itertools.count():
    os.write(1, f'line {number}\\n'.encode())
    open('written', 'w').write(str(number))
    while os.path.exists('hush'):
        time.sleep(0.01)
    time.sleep(0.001)
"""


@test("no line of the console is lost or doubled when the supervisor is killed and the next one comes")
def console_goes_on(place):
    supervisor = place.run_ready("python3", "-c", COUNTER)

    def number():
        text = (place.root / "written").read_text() if (place.root / "written").exists() else ""
        return int(text or -1)
    for _ in range(5):
        at = number()
        place.wait_for(lambda: number() > at + 200, "lines")
        supervisor.kill()
        supervisor.wait()
        at = number()
        wait_for(lambda: number() > at + 100, "lines while nobody supervises")
        supervisor = place.run_ready("python3", "-c", COUNTER)
    (place.root / "hush").touch()
    last = wait_for(lambda: (lambda before: (time.sleep(0.05), number() == before and before)[1])(number()), "rest")
    log = place.state_dir / "console.log"
    place.wait_for(lambda: f"line {last}\n" in log.read_text(), "last line")
    seen = [int(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("line ")]
    missing = sorted(set(range(last + 1)) - set(seen))
    expect(not missing, len(missing), "lines are missing:", missing[:10])
    expect_equal(len(seen), last + 1, "lines")
    expect_equal(seen, sorted(seen), "order")
    return f"{last + 1} lines through 6 lives"


@test("no event is lost or doubled when supervisor and recorder are killed in the middle of a storm of crashes")
def events_go_on(place):
    place.settings({"backoff": NO_BACKOFF})
    place.at_start("exec 9>alone; flock -n 9 || echo twin >>twins; sleep 0.02; exit 1")
    for nth in range(6):
        supervisor = place.run()
        crashed = len(place.starts())
        place.wait_for(lambda: len(place.starts()) > crashed + 8, "crashes")
        recorder = place.workers()["recorder"]
        if nth % 2 and recorder:
            kill(recorder)
        supervisor.kill()
        supervisor.wait()
    place.at_start("")
    place.run_ready()
    place.last_event()
    events = place.events()
    expect("store.replaced" not in [event["kind"] for event in events], "the store was replaced")
    generations = [event["evidence"]["generation"] for event in events if event["kind"] == "gateway.started"]
    dropped = sum(event["evidence"]["dropped"] for event in events if event["kind"] == "events.dropped")
    # A start whose supervisor died before it wrote it down is seen by its end, or by what the next life finds.
    expect_equal(generations, sorted(set(generations)), "generations, each once and in order")
    missing = sorted(set(range(1, generations[-1] + 1)) - set(generations))
    expect(len(missing) <= 6 + dropped, len(missing), "starts are not recorded:", missing)
    expect(not (place.root / "twins").exists(), "two gateways at once")
    return f"{generations[-1]} generations, {len(missing)} starts unrecorded at 6 deaths of the supervisor"


@test("many people at once: whatever they ask for, there are never two gateways, and the last word counts")
def crowd(place):
    place.settings({"backoff": NO_BACKOFF})
    place.at_start("exec 9>alone; flock -n 9 || echo twin >>twins")
    place.run_ready()
    words = ["restart", "stop", "start", "restart", "pause", "resume"]
    crowd = [subprocess.Popen([HOLDFAST, words[nth % len(words)], *place.where(),
                               *(["--no-wait"] if words[nth % len(words)] in ("restart", "stop", "start") else [])],
                              env=place.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
             for nth in range(60)]
    for one in crowd:
        one.wait(30)
    place.done("resume")
    place.done("start")
    place.wait_ready()
    expect_equal(len([pid for pid in place.starts() if is_alive(pid)]), 1, "gateways")
    place.done("stop")
    expect_equal([pid for pid in place.starts() if is_alive(pid)], [], "gateways after the stop")
    expect(not (place.root / "twins").exists(), "two gateways at once")


@test("of several runs at once one supervises, and the others are refused and touch nothing")
def race(place):
    place.at_start("exec 9>alone; flock -n 9 || echo twin >>twins")
    runs = [place.run(wait=False) for _ in range(8)]
    wait_for(lambda: sum(run.poll() is None for run in runs) == 1, "seven refusals")
    expect_equal(sorted(run.returncode for run in runs if run.poll() is not None), [78] * 7, "exit statuses")
    winner = next(run for run in runs if run.poll() is None)
    place.runs.remove(winner)
    place.runs.append(winner)
    place.wait_ready()
    expect_equal(place.status()["supervisor"]["pid"], winner.pid)
    expect_equal(len(place.starts()), 1, "starts")
    expect_equal(place.end(), 0, "exit status")
    place.expect_nothing_left()


@test("a runtime directory on a full disk: it supervises, or says why not and starts nothing")
def runtime_full(place):
    if os.geteuid() != 0:
        raise Skip("a file system of its own needs root")
    place.runtime_dir.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "tmpfs", str(place.runtime_dir)], check=True)
    place.mounts.append(place.runtime_dir)
    with open(place.runtime_dir / "ballast", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    supervisor = place.run(wait=False)
    wait_for(lambda: supervisor.poll() is not None or place.command("status").returncode in (0, 4), "answer or refusal")
    if supervisor.poll() is not None:
        expect_equal(supervisor.returncode, 78, "exit status")
        expect_equal(place.starts(), [], "starts")
        said = place.console().strip()
        expect(str(place.runtime_dir) in said and len(said.splitlines()) == 1, said)
        return said
    place.wait_ready()
    pid = place.pid()
    kill(pid)
    place.wait_ready(other_than=pid)
    place.wait_event("gateway.recovered")
    expect_equal(place.end(), 0, "exit status")
    return "it supervises"


SLOW_TO_SERVE = """\
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if os.path.exists('open') and self.path == '/up' else 503)
        self.end_headers()
    def log_message(self, *words):
        pass
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
"""


@test("with a start-up probe it is starting until the probe says ready, in every life of the supervisor")
def probed(place):
    port = free_port()
    place.settings({"gateway": {"port": port}, "health": {"readyPath": "/up"}})
    command = ("python3", "-c", SLOW_TO_SERVE, str(port))
    supervisor = place.run(*command)
    gateway = place.wait_state("starting")["gateway"]["pid"]
    expect_equal(place.command("status").returncode, 4, "status")
    steady(lambda: place.status()["state"] == "starting", "it was called ready", 1)
    supervisor.kill()
    supervisor.wait()
    place.run(*command)
    steady(lambda: place.status()["state"] in ("starting", "adopting"), "it was called ready", 1)
    (place.root / "open").touch()
    expect_equal(place.wait_ready()["gateway"]["pid"], gateway, "pid")
    place.wait_event("gateway.ready")
    expect_equal(place.command("status").returncode, 0, "status")


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
        expect("holdfast.json:3:11: port" in result.stderr, result.stderr)
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
        expect_equal([path.name for path in place.state_dir.iterdir() if path.name.endswith(("-wal", "-shm"))], [],
                     "files of an open database")
        expect_equal(place.events()[-1]["kind"], "supervisor.stopped")
        expect_equal(place.command("status").returncode, 3, "status")
    expect_equal([kind for kind in place.kinds() if kind == "gateway.stopped"], ["gateway.stopped"] * 2)


@test("Ctrl-C reaches every process of the terminal, and ends the gateway in good order all the same")
def interrupted(place):
    supervisor = place.run_ready()
    place.tell("trap 'echo it says good-bye; exit 0' TERM; : >armed")
    place.wait_for((place.root / "armed").exists, "trap")
    place.wait_workers()
    os.killpg(supervisor.pid, signal.SIGINT)
    expect_equal(supervisor.wait(20), 0, "exit status")
    place.expect_nothing_left()
    expect("it says good-bye" in place.console(), place.console())
    exited = next(event for event in place.events() if event["kind"] == "gateway.exited")
    expect("exit code 0" in exited["reason"], exited["reason"])
    expect_equal(place.events()[-1]["kind"], "supervisor.stopped")


@test("a hang-up ends nothing, and a gateway that is stopped by a signal can be ended in good order")
def signals(place):
    supervisor = place.run_ready()
    place.tell("trap 'exit 0' TERM; : >armed")
    place.wait_for((place.root / "armed").exists, "trap")
    supervisor.send_signal(signal.SIGHUP)
    pid = place.pid()
    kill(pid, signal.SIGSTOP)
    wait_for(lambda: process_state(pid) == "T", "stopped process")
    place.done("stop")
    exited = place.wait_event("gateway.exited")
    expect("exit code 0" in exited["reason"], exited["reason"])
    expect(supervisor.poll() is None, "the hang-up ended it")


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


# ---- trouble around us -------------------------------------------------------------------------------------------------

# Writes lines without a break and says once a second how many bytes it got rid of and the longest time one write took.
TALKER = """\
import os, sys, time
line = b'x' * 99 + b'\\n'
written = longest = told = 0
while True:
    began = time.monotonic()
    written += os.write(1, line * 100)
    longest = max(longest, time.monotonic() - began)
    if time.monotonic() - told > 0.1:
        told = time.monotonic()
        with open('progress.new', 'w') as file:
            file.write(f'{written} {longest}')
        os.rename('progress.new', 'progress')
    if os.path.exists('quiet'):
        break
    time.sleep(0.0005)
while True:
    time.sleep(1000)
"""


@test("a sentry that is stopped blocks no gateway for long; what was discarded meanwhile is counted and told")
def sentry_stopped(place):
    place.run_ready("python3", "-c", TALKER)
    progress = place.root / "progress"

    def written():
        return int(progress.read_text().split()[0]) if progress.exists() else 0
    place.wait_for(lambda: written() > 1000000, "output")
    sentry = place.wait_workers()["sentry"]
    kill(sentry, signal.SIGSTOP)
    try:
        place.wait_for(lambda: place.status()["console"]["bytesDiscarded"] > 0, "discarded bytes", 6)
        at = written()
        # More than the pipe holds goes through while nobody reads.
        place.wait_for(lambda: written() > at + 3000000, "further output")
    finally:
        kill(sentry, signal.SIGCONT)
    told = place.wait_event("console.dropped")
    expect(told["evidence"]["bytes"] > 0, told)
    expect_equal(place.wait_workers()["sentry"], sentry, "sentry")
    longest = float(progress.read_text().split()[1])
    expect(longest < 3.5, "one write took", longest, "s")
    (place.root / "quiet").touch()
    settled = place.status()["console"]["bytesDiscarded"]
    steady(lambda: place.status()["console"]["bytesDiscarded"] == settled, "it still discards", 1)
    return f"longest write {longest:.3f} s, {told['evidence']['bytes']} bytes discarded"


@test("on a full disk the gateway is supervised all the same; the events wait, and are there in order afterwards")
def disk_full(place):
    if os.geteuid() != 0:
        raise Skip("a file system of 1 MB needs root")
    place.state_dir.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(place.state_dir)], check=True)
    place.mounts.append(place.state_dir)
    place.settings({"backoff": NO_BACKOFF})
    place.run_ready()
    place.last_event()
    ballast = place.state_dir / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass

    def crash():
        pid = place.pid()
        kill(pid)
        place.wait_ready(other_than=pid)
        return place.status()["store"]
    place.wait_for(lambda: not crash()["writable"], "store that cannot be written")
    store = place.status()["store"]
    expect("full" in store["why"] or "space" in store["why"], store)
    expect(store["why"] in place.command("status").stdout, place.command("status").stdout)
    for _ in range(5):
        waiting = crash()["waiting"]
    expect(waiting >= 20, "waiting", waiting)
    # Until more happens than is kept.
    while crash()["dropped"] == 0:
        pass
    store = place.status()["store"]
    generation = place.status()["gateway"]["generation"]
    before = place.last_event_on_disk()
    ballast.unlink()
    dropped = place.wait_event("events.dropped", before)
    place.last_event()
    expect_equal(dropped["evidence"]["dropped"], store["dropped"], "dropped")
    later = [event for event in place.events() if event["id"] > before]
    numbers = [event["evidence"]["generation"] for event in later if event["kind"] == "gateway.started"]
    expect_equal(numbers, list(range(numbers[0], generation + 1)), "the generations that were kept")
    expect(store["waiting"] <= len(later) <= store["waiting"] + 3, len(later), "events stored,", store["waiting"], "waited")
    expect(place.status()["store"]["writable"], place.status()["store"])
    crash()
    place.wait_event("gateway.recovered", dropped["id"])
    return f"{store['waiting']} events waited, {store['dropped']} dropped"


@test("a run that begins on a full disk supervises, too")
def begin_full(place):
    if os.geteuid() != 0:
        raise Skip("a file system of 1 MB needs root")
    place.state_dir.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(place.state_dir)], check=True)
    place.mounts.append(place.state_dir)
    ballast = place.state_dir / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    place.run_ready()
    place.wait_for(lambda: not place.status()["store"]["writable"], "store that cannot be written")
    pid = place.pid()
    kill(pid)
    place.wait_ready(other_than=pid)
    subprocess.run(["mount", "-o", "remount,size=4m", str(place.state_dir)], check=True)
    ballast.unlink()
    place.wait_event("gateway.recovered")
    expect_equal(place.kinds()[:2], ["supervisor.started", "gateway.started"])


@test("a runtime directory that is deleted costs the gateway nothing, and a signal still ends everything")
def runtime_gone(place):
    place.run_ready()
    gateway = place.pid()
    place.wait_workers()
    for path in place.runtime_dir.iterdir():
        path.unlink()
    place.runtime_dir.rmdir()
    expect_equal(place.command("status").returncode, 3, "status")
    place.tell("echo still speaking")
    place.wait_for(lambda: "still speaking" in place.console(), "console")
    before = place.starts()
    kill(gateway)
    place.wait_for(lambda: len(place.starts()) > len(before), "new gateway")
    place.tell("echo the next one speaks")
    place.wait_for(lambda: "the next one speaks" in place.console(), "console")
    expect_equal(place.end(), 0, "exit status")
    place.expect_nothing_left()


@test("with as few descriptors as it asks for it does all it has to, and with fewer it starts nothing and says why")
def few_descriptors(place):
    place.settings({"backoff": {"initial": "50ms", "max": "50ms", "jitter": 0}})
    refused(place, place.try_run("sh", "./gateway", prefix=("prlimit", "--nofile=63")), 78, "ulimit -n")
    supervisor = place.run_ready(prefix=("prlimit", "--nofile=64"))
    place.wait_workers()
    began = cpu_seconds(supervisor.pid)
    # More callers than are served at once, who say nothing
    idle = []
    for _ in range(100):
        caller = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        idle.append(caller)
        caller.setblocking(False)
        caller.connect_ex(str(place.runtime_dir / "control"))
    for _ in range(3):
        pid = place.pid()
        kill(pid)
        place.wait_ready(other_than=pid)
        workers = place.wait_workers()
        kill(workers["sentry"])
        place.wait_workers(other_than=[workers["sentry"]])
    steady(lambda: supervisor.poll() is None, "it ended", 1)
    spent = cpu_seconds(supervisor.pid) - began
    expect(spent < 0.3, "it used", spent, "s of CPU")
    for caller in idle:
        caller.close()
    expect_equal(place.end(), 0, "exit status")
    place.expect_nothing_left()
    return f"{spent:.2f} s of CPU"


@test("workers whose supervisor was killed go on as long as the gateway lives, and end with it")
def abandoned(place):
    supervisor = place.run_ready()
    gateway, workers = place.pid(), place.wait_workers()
    supervisor.kill()
    supervisor.wait()
    place.tell("echo the console is still drained")
    log = place.state_dir / "console.log"
    wait_for(lambda: "still drained" in log.read_text(), "line in console.log")
    expect(is_alive(workers["sentry"]), "the sentry ended before the gateway")
    kill(gateway)
    wait_for(lambda: not place.left(), "end of the workers")
    before = place.last_event_on_disk()
    place.run_ready()
    place.wait_event("gateway.recovered", before)
    expect_trail(place, before, "gateway.adoption_refused", "gateway.started", "gateway.ready", "gateway.recovered")


@test("a terminal that is closed or that nobody reads disturbs nothing, and does not keep it from ending")
def no_reader(place):
    place.settings({"gateway": {"stopTimeout": "2s"}})
    for is_closed in (True, False):
        (place.root / "progress").unlink(missing_ok=True)
        reader, writer = os.pipe()
        try:
            if is_closed:
                os.close(reader)
            place.run_ready("python3", "-c", TALKER, output=writer)
            os.close(writer)
            gateway = place.pid()
            progress = place.root / "progress"
            # More than any pipe or buffer on the way holds
            place.wait_for(lambda: progress.exists() and int((progress.read_text().split() or [0])[0]) > 20_000_000,
                           "output")
            expect(float(progress.read_text().split()[1]) < 1, "a write took", progress.read_text().split()[1], "s")
            expect_equal(place.pid(), gateway, "gateway")
            began = time.monotonic()
            expect_equal(place.end(), 0, "exit status")
            expect(time.monotonic() - began < 8, "it took", time.monotonic() - began, "s to end")
            place.expect_nothing_left()
        finally:
            if not is_closed:
                os.close(reader)


@test("without its workers' programs the supervisor does its duty all the same")
def no_workers(place):
    programs = place.root / "programs"
    programs.mkdir()
    for name in ("holdfast", "holdfast-supervise"):
        shutil.copy(BUILD / name, programs / name)
    supervisor = place.run_ready(program=str(programs / "holdfast"))
    expect_equal([pid for pid in place.workers().values() if pid], [], "workers")
    gateway = place.pid()
    kill(gateway)
    place.wait_ready(other_than=gateway)
    place.tell("head -c 3000000 /dev/zero; : >written")  # more than the console holds
    place.wait_for((place.root / "written").exists, "end of a long output")
    place.done("restart")
    place.done("stop")
    expect(cpu_seconds(supervisor.pid) < 1, "it used", cpu_seconds(supervisor.pid), "s of CPU")
    expect_equal(place.end(), 0, "exit status")
    place.expect_nothing_left()
    # What happened is on record once there is a recorder
    place.run_ready()
    place.wait_event("supervisor.stopped")
    expect_equal(place.kinds()[:3], ["supervisor.started", "gateway.started", "gateway.ready"])


@test("an ordinary user needs nothing of root: all of the life, death and end of a gateway")
def ordinary_user(place):
    if os.geteuid() != 0:
        raise Skip("it is an ordinary user all the time")
    programs = place.root / "programs"
    shutil.copytree(BUILD, programs, ignore=lambda where, names: [name for name in names if not (
        name.startswith("holdfast") and os.path.isfile(os.path.join(where, name)))])
    for path in (place.root, *place.root.rglob("*")):
        os.chown(path, 65534, 65534)
    options = {"program": str(programs / "holdfast"),
               "prefix": ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")}
    place.at_start(FORKED_TWICE)
    supervisor = place.run_ready(**options)
    first = place.pid()
    expect_equal(os.stat(f"/proc/{first}").st_uid, 65534, "user")
    old = grandchildren(place, 1)
    kill(first)
    second = place.wait_ready(other_than=first)["gateway"]["pid"]
    expect(not is_alive(old[0]), "the grandchild lives")
    supervisor.kill()
    supervisor.wait()
    place.run_ready(**options)
    expect_equal(place.pid(), second, "adopted")
    old = grandchildren(place, 2)
    place.done("stop")
    expect(not is_alive(old[1]), "the grandchild lives")
    contained = place.status()["gateway"]["containment"]
    expect_equal(place.end(), 0, "exit status")
    place.expect_nothing_left()
    for path in (place.state_dir, place.runtime_dir):
        expect_equal(oct(path.stat().st_mode & 0o777), "0o700", str(path))
    expect(not [path for path in place.state_dir.iterdir() if path.stat().st_mode & 0o077], "files others may read")
    return f"contained by {contained}"


@test("it ends at once while the gateway waits for its next start")
def ended_waiting(place):
    place.settings({"backoff": {"initial": "30s", "jitter": 0, "immediateFirst": False}})
    place.at_start("exit 3")
    place.run()
    place.wait_state("backing-off")
    began = time.monotonic()
    expect_equal(place.end(), 0, "exit status")
    expect(time.monotonic() - began < 2, "it took", time.monotonic() - began, "s")
    place.expect_nothing_left()
    expect_equal(place.kinds()[-2:], ["gateway.stopped", "supervisor.stopped"])


# ---- what the gateway gets ---------------------------------------------------------------------------------------------

@test("the gateway's environment has its marker, and neither what a service manager said to us nor our secrets")
def environment(place):
    place.settings({"gateway": {"env": {"ADDED": "by the settings"}},
                    "relay": {"providers": {"mock": {"api": "anthropic-messages", "baseUrl": "http://127.0.0.1:1",
                                                     "profiles": [{"id": "a", "key": "env:OUR_KEY"}]}}},
                    "alerts": [{"url": "http://127.0.0.1:1", "secret": "env:OUR_HOOK"}]})
    kept = {"NODE_OPTIONS": "--max-old-space-size=300", "LANG": "C", "ORDINARY": "kept"}
    gone = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_PID": "1", "WATCHDOG_USEC": "1000000", "LISTEN_PID": "1",
            "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x", "INVOCATION_ID": "0123", "JOURNAL_STREAM": "8:1",
            "SYSTEMD_EXEC_PID": "1", "OUR_KEY": "secret-1", "OUR_HOOK": "secret-2",
            "HOLDFAST_BACKOFF_INITIAL": "2s"}
    place.run_ready(environment={**kept, **gone})
    pid = place.pid()
    seen = environment_of(pid)
    expect_equal({name: seen.get(name) for name in kept}, kept)
    expect_equal([name for name in gone if name in seen], [], "not for the gateway")
    expect(not [value for value in seen.values() if "secret" in value], "a secret")
    expect_equal(seen["ADDED"], "by the settings")
    expect_equal([name for name in seen if name.startswith("HOLDFAST_")], ["HOLDFAST_GENERATION"])
    expect_equal(seen["HOLDFAST_GENERATION"].split(":")[1:], [str(pid), str(start_time_of(pid))], "marker")
    inherited = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    expect(inherited <= {"/dev/null", *(str(path) for path in (place.runtime_dir / "console", place.root / "orders",
                                                               place.root / "gateway"))}, "descriptors", inherited)


@test("settings that are wrong start nothing, and are refused with one sentence and 78 or 2")
def bad_settings(place):
    huge = place.root / "huge.json"
    with open(huge, "wb") as file:
        file.truncate(100_000_000)
    secret = place.root / "directory.json"
    secret.mkdir()
    cases = [
        ({"gateway": {"stopTimeout": True}}, "holdfast.json:1:"),
        ({"gateway": {"stopTimout": "3s"}}, "stopTimeout"),
        ({"backoff": {"factor": 0.5}}, "holdfast.json:1:"),
        ({"gateway": {"port": 70000}}, "holdfast.json:1:"),
        ({"gateway": {"kind": "docker"}}, "openclaw"),
        ({"retention": {"size": "1XB"}}, "holdfast.json:1:"),
        ('{ gateway: { port: 1 } ', "holdfast.json:1:"),
        ("{\n  gateway: {\n    port: 'x'\n  }\n}", "holdfast.json:3:11"),
        ("[]", "holdfast.json:1:1"),
        ("\xff\xfe", "holdfast.json:1:1"),
        ({"alerts": [{"url": "http://x", "secret": "plain"}]}, "env:"),
    ]
    for settings, words in cases:
        place.settings(settings)
        refused(place, place.try_run("sh", "./gateway"), 78, words)
    place.settings({})
    for path, words in ((huge, "huge.json"), (secret, "directory.json"), (place.root / "none.json", "none.json")):
        refused(place, place.try_run("sh", "./gateway", options=("--config", str(path))), 78, words)
    refused(place, place.try_run("./no-such-program"), 78, "no-such-program")
    refused(place, place.try_run(str(place.root)), 78, str(place.root))
    refused(place, place.try_run("sh", "./gateway", environment={"HOLDFAST_STOP_TIMEOUT": "soon"}), 78,
            "HOLDFAST_STOP_TIMEOUT")
    refused(place, place.try_run("sh", "./gateway", environment={"HOLDFAST_STOP_TIMOUT": "3s"}), 78,
            "HOLDFAST_STOP_TIMEOUT")
    refused(place, place.try_run("sh", "./gateway", options=("--port", "0")), 2, "65535")
    refused(place, place.try_run("sh", "./gateway", options=("--prot", "1")), 2, "--port")
    expect_equal(place.starts(), [], "starts")
    expect(not place.state_dir.exists(), "a state directory was made")


def refused(place, result, code, words):
    lines = result.stderr.splitlines()
    expect_equal(result.returncode, code, result.stderr)
    expect(words in lines[0], words, "is not in", lines[0])
    expect(all(line.startswith("Try ") for line in lines[1:]), lines)
    expect(not place.left(), "it was started all the same")


if __name__ == "__main__":
    sys.exit(main())
