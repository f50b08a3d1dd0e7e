#!/usr/bin/env python3
"""The real programs with a generic gateway, on a machine that is short of everything.

Usage: generic_trouble_test.py [WORD...]: only the tests whose names contain one of the words.
BUILD_DIRECTORY says which build is tried (default: build). Prints TAP.
"""

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
from generic import FORKED_TWICE, grandchildren, NO_BACKOFF, refused, TALKER
from system import (BUILD, cpu_seconds, expect, expect_equal, HOLDFAST, is_alive, kill, main, Skip, steady, test,
                    wait_for)


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
    # Lines that the disk was too slow for may be told as well, in an event of their own.
    told = place.wait_for(lambda: next((event for event in place.events() if event["kind"] == "console.dropped" and
                                        "bytes" in event["evidence"]), None), "the event about discarded bytes")
    expect(told["evidence"]["bytes"] > 0, told)
    expect_equal(place.wait_workers()["sentry"], sentry, "sentry")
    longest = float(progress.read_text().split()[1])
    expect(longest < 3.5, "one write took", longest, "s")
    (place.root / "quiet").touch()
    settled = place.status()["console"]["bytesDiscarded"]
    steady(lambda: place.status()["console"]["bytesDiscarded"] == settled, "it still discards", 1)
    return f"longest write {longest:.3f} s, {told['evidence']['bytes']} bytes discarded"


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
        expect_equal(supervisor.returncode, 1, "exit status: another try may do better")
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


@test("a runtime directory that is deleted costs the gateway nothing, and a signal still ends everything")
def runtime_gone(place):
    place.run_ready()
    gateway = place.pid()
    place.wait_workers()
    place.runtime_dir.rename(place.root / "was-runtime")
    place.wait_for(lambda: place.command("status").returncode == 0, "status, once it is made anew")
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


@test("a supervisor that is stopped, with more callers than its queue holds, is not called gone")
def no_answer(place):
    supervisor = place.run_ready()
    supervisor.send_signal(signal.SIGSTOP)
    callers = []
    for _ in range(60):
        caller = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        callers.append(caller)
        caller.setblocking(False)
        caller.connect_ex(str(place.runtime_dir / "control"))
    result = place.command("status")
    expect_equal(result.returncode, 1, result.stdout + result.stderr)
    expect("did not answer" in result.stdout + result.stderr, result.stdout, result.stderr)
    with subprocess.Popen([HOLDFAST, "status", *place.where()], env=place.environment,
                          stdout=subprocess.DEVNULL) as asking:
        supervisor.send_signal(signal.SIGCONT)
        expect_equal(asking.wait(10), 0, "exit status once it goes on")
    for caller in callers:
        caller.close()


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


if __name__ == "__main__":
    sys.exit(main())
