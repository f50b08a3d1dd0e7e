#!/usr/bin/env python3
"""The real programs with a generic gateway that starts processes of its own: nothing of them is left behind.

Usage: generic_tree_test.py [WORD...]: only the tests whose names contain one of the words.
BUILD_DIRECTORY says which build is tried (default: build). Prints TAP.
"""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from generic import expect_trail, FORKED_TWICE, grandchildren, NO_BACKOFF, without_cgroup
from system import environment_of, expect, expect_equal, is_alive, kill, main, start_time_of, test, wait_for


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


if __name__ == "__main__":
    sys.exit(main())
