#!/usr/bin/env python3
"""The real programs with a generic gateway: it outlives each of them, and there is one owner.

Usage: generic_survival_test.py [WORD...]: only the tests whose names contain one of the words.
BUILD_DIRECTORY says which build is tried (default: build). Prints TAP.
"""

import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from generic import expect_trail, FORKED_TWICE, grandchildren, NO_BACKOFF
from system import (environment_of, expect, expect_equal, free_port, is_alive, kill, listen_on, main, steady, test,
                    wait_for)


# ---- the deaths of our own processes --------------------------------------------------------------------------------

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


@test("kill -9 of the supervisor, and its runtime directory lost: the gateway is found by its marker and adopted")
def record_lost(place):
    supervisor = place.run_ready()
    gateway = place.pid()
    supervisor.kill()
    supervisor.wait()
    subprocess.run(["rm", "-rf", str(place.runtime_dir)], check=True)
    place.run_ready()
    expect_equal(place.pid(), gateway, "adopted")
    expect_equal(place.starts(), [gateway], "starts")
    place.done("restart")
    place.wait_ready(other_than=gateway)
    expect(not is_alive(gateway), "two gateways")


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


# ---- one owner ------------------------------------------------------------------------------------------------------

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


@test("a run whose runtime directory is another supervisor's is refused, and that one is not touched")
def runtime_shared(place):
    place.run_ready()
    before = place.status()
    result = place.try_run("sh", "./gateway", options=("--state-dir", str(place.root / "other")))
    expect_equal(result.returncode, 78, result.stderr)
    expect("--runtime-dir" in result.stderr and len(result.stderr.splitlines()) == 1, result.stderr)
    expect_equal(place.status()["gateway"], before["gateway"])
    expect_equal(len(place.starts()), 1, "starts")


@test("a run after one that ended is a first start, and the gateway has the umask that Holdfast was given")
def run_again(place):
    place.run_ready(prefix=("sh", "-c", 'umask 027; exec "$@"', "sh"))
    place.tell("umask >mask")
    place.wait_for(lambda: (place.root / "mask").exists() and (place.root / "mask").read_text(), "umask")
    expect_equal((place.root / "mask").read_text().strip(), "0027", "umask")
    place.end()
    place.run_ready()
    expect_equal(place.status()["gateway"]["restarts"], 0, "restarts")


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


if __name__ == "__main__":
    sys.exit(main())
