#!/usr/bin/env python3
"""The real programs with a generic gateway: new settings and new programs are taken up while it runs.

Usage: generic_change_test.py [WORD...]: only the tests whose names contain one of the words.
BUILD_DIRECTORY says which build is tried (default: build). Prints TAP.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from generic import expect_trail
from system import (BUILD, expect, expect_equal, free_port, is_alive, kill, main, read_process, steady, test,
                    wait_for)

PROGRAMS = ("holdfast", "holdfast-supervise", "holdfast-sentry", "holdfast-recorder", "holdfast-relay")


def copy_of_the_programs(place, name):
    directory = place.root / name
    directory.mkdir()
    for program in PROGRAMS:
        shutil.copy(BUILD / program, directory / program)
    return directory


def directory_of(pid):
    try:
        return os.path.dirname(os.readlink(f"/proc/{pid}/exe"))
    except OSError:  # it has just ended, or there is none
        return None


def replace(directory, program, text):
    path = directory / program
    path.unlink()
    path.write_text(text)
    path.chmod(0o755)


def upgrade_to(place, directory):
    return subprocess.run([directory / "holdfast", "upgrade", *place.where()], env=place.environment, cwd=place.root,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


def unchanged(place, before):
    after = place.status()
    for part in ("gateway", "workers"):
        expect_equal(after[part], before[part], part)
    expect_equal(after["supervisor"]["pid"], before["supervisor"]["pid"], "supervisor")
    expect_equal(after["supervisor"]["startedAt"], before["supervisor"]["startedAt"], "the same image")


def nothing_of_the_trial(place):
    expect(not (place.runtime_dir / ".trial").exists(), "the trial's runtime directory is left")


# ---- settings --------------------------------------------------------------------------------------------------------

@test("reload: what changed is said, the workers are succeeded, the gateway is not touched")
def reload_changes(place):
    place.run_ready()
    before = place.status()
    port = free_port()
    place.settings({"api": {"port": port}, "retention": {"days": 7}})
    result = place.done("reload")
    expect("api.port" in result.stdout and str(port) in result.stdout and "retention.days" in result.stdout,
           result.stdout)
    after = place.wait_ready()
    expect_equal(after["gateway"]["pid"], before["gateway"]["pid"], "gateway")
    expect_equal(after["supervisor"]["pid"], before["supervisor"]["pid"], "supervisor")
    place.wait_for(lambda: all(place.workers().values()), "workers")
    wait_for(lambda: not any(is_alive(worker["pid"]) for worker in before["workers"]), "end of the old workers")
    place.wait_event("settings.reloaded", 0)
    expect_equal(len(place.starts()), 1, "starts")
    # It is still our child: its exit status is known.
    at = place.last_event()
    kill(before["gateway"]["pid"])
    place.wait_ready(other_than=before["gateway"]["pid"])
    exited = place.wait_event("gateway.exited", at)
    expect("SIGKILL" in exited["reason"], exited)


@test("reload: a file that is wrong, or says the same, changes nothing; SIGHUP does the same and is recorded")
def reload_refused(place):
    supervisor = place.run_ready()
    place.wait_workers()
    before = place.status()
    place.settings('{"api": {"port": "a hundred"}}')
    result = place.command("reload")
    expect_equal(result.returncode, 1, result.stdout)
    expect("holdfast.json:1:" in result.stderr and "changed nothing" in result.stderr, result.stderr)
    at = place.last_event()
    supervisor.send_signal(signal.SIGHUP)
    refused = place.wait_event("settings.refused", at)
    expect("a hundred" in refused["reason"], refused)
    unchanged(place, before)
    place.settings({})
    expect("nothing" in place.done("reload").stdout, "it reloaded without a change")
    unchanged(place, before)


@test("reload: what the gateway is started with is taken up at its next start, and said so")
def reload_for_next_start(place):
    place.at_start('echo "$COLOUR" >>colours')
    place.settings({"gateway": {"env": {"COLOUR": "red"}}})
    place.run_ready()
    gateway = place.pid()
    place.settings({"gateway": {"env": {"COLOUR": "blue"}}})
    expect("next start" in place.done("reload").stdout, "not said")
    expect_equal(place.wait_ready()["gateway"]["pid"], gateway, "gateway")
    place.done("restart")
    place.wait_ready(other_than=gateway)
    expect_equal((place.root / "colours").read_text().split(), ["red", "blue"])


@test("reload: what cannot change while it runs is refused, and nothing else of the file is taken up")
def reload_fixed(place):
    place.run_ready("sh", "./gateway")
    place.wait_workers()
    before = place.status()
    place.settings({"gateway": {"kind": "openclaw"}, "retention": {"days": 3}})
    result = place.command("reload")
    expect_equal(result.returncode, 1, result.stdout)
    unchanged(place, before)


# ---- programs --------------------------------------------------------------------------------------------------------

@test("upgrade: the new programs supervise the same gateway, as their child, and no caller is refused")
def upgraded(place):
    supervisor = place.run_ready()
    gateway = place.pid()
    place.wait_workers()
    stop, failures, asked = threading.Event(), [], [0]

    def ask_all_the_time():
        while not stop.is_set():
            result = place.command("status", "--json")
            asked[0] += 1
            if result.returncode not in (0, 4) or json.loads(result.stdout)["gateway"]["pid"] != gateway:
                failures.append(result.stdout + result.stderr)
    asker = threading.Thread(target=ask_all_the_time)
    asker.start()
    for number in range(5):
        directory = copy_of_the_programs(place, f"new{number}")
        result = upgrade_to(place, directory)
        expect_equal(result.returncode, 0, result.stderr)
        expect(str(gateway) in result.stdout, result.stdout)
        expect_equal(os.readlink(f"/proc/{supervisor.pid}/exe"), str(directory / "holdfast-supervise"), "program")
        place.wait_for(lambda: [directory_of(pid) for pid in place.workers().values()] == [str(directory)] * 3,
                       "workers of the new build")
        nothing_of_the_trial(place)
    stop.set()
    asker.join()
    expect(not failures, failures[:1])
    expect_equal(place.starts(), [gateway], "starts")
    at = place.last_event()
    kill(gateway)
    expect("SIGKILL" in place.wait_event("gateway.exited", at)["reason"], "it was not our child")
    place.wait_ready(other_than=gateway)
    expect_equal(place.end(), 0, "exit status")
    place.expect_nothing_left()
    return f"5 upgrades, {asked[0]} questions meanwhile"


def refused_upgrade(place, directory, *words):
    before = place.status()
    began = time.monotonic()
    result = upgrade_to(place, directory)
    took = time.monotonic() - began
    expect_equal(result.returncode, 1, result.stdout)
    expect(all(word in result.stderr for word in ("changed nothing", *words)), result.stderr)
    unchanged(place, before)
    nothing_of_the_trial(place)
    return took


@test("upgrade: programs that do not prove themselves change nothing: broken, silent, missing, or with a broken worker")
def upgrade_refused(place):
    place.run_ready()
    place.wait_workers()
    at = place.last_event()
    directory = copy_of_the_programs(place, "ends")
    replace(directory, "holdfast-supervise", "#!/bin/sh\nexit 3\n")
    refused_upgrade(place, directory, "exit code 3")
    directory = copy_of_the_programs(place, "hangs")
    replace(directory, "holdfast-supervise", "#!/bin/sh\nexec sleep 1000\n")
    took = refused_upgrade(place, directory, "within 10 s")
    expect(9 < took < 15, took, "s")
    directory = copy_of_the_programs(place, "worker")
    replace(directory, "holdfast-recorder", "#!/bin/sh\nexec sleep 1000\n")
    refused_upgrade(place, directory, "workers")
    directory = copy_of_the_programs(place, "absent")
    (directory / "holdfast-supervise").unlink()
    before = place.status()
    expect_equal(upgrade_to(place, directory).returncode, 1)
    unchanged(place, before)
    directory = copy_of_the_programs(place, "not-executable")
    (directory / "holdfast-supervise").chmod(0o644)
    before = place.status()
    expect_equal(upgrade_to(place, directory).returncode, 1)
    unchanged(place, before)
    place.settings('{"api": ')
    refused_upgrade(place, copy_of_the_programs(place, "settings"), "holdfast.json")
    expect(place.kinds(at).count("upgrade.refused") >= 4, place.kinds(at))
    expect_equal(len(place.starts()), 1, "starts")
    return f"a silent one was given up after {took:.1f} s"


@test("upgrade and reload in every state: stopped stays stopped, a back-off goes on, a stop that was asked goes on")
def in_every_state(place):
    place.settings({"backoff": {"initial": "3s", "jitter": 0, "immediateFirst": False}})
    place.run_ready()
    place.done("stop")
    expect_equal(upgrade_to(place, copy_of_the_programs(place, "stopped")).returncode, 0)
    expect_equal(place.status()["state"], "stopped")
    place.done("start")
    gateway = place.wait_ready()["gateway"]["pid"]
    at = place.last_event()
    kill(gateway)
    waiting = place.wait_for(lambda: (lambda seen: seen["state"] == "backing-off" and seen)(place.status()), "back-off")
    expect_equal(upgrade_to(place, copy_of_the_programs(place, "waiting")).returncode, 0)
    after = place.status()
    expect_equal(after["state"], "backing-off")
    expect_equal(after["nextTry"][:21], waiting["nextTry"][:21], "the moment of the next try")
    place.wait_ready(other_than=gateway)
    expect_trail(place, at, "gateway.exited", "gateway.waiting", "supervisor.upgraded", "gateway.started",
                 "gateway.recovered")
    expect("gateway.adoption_refused" not in place.kinds(at), place.kinds(at))
    place.settings({"gateway": {"stopTimeout": "3s"}})
    place.done("reload")
    place.wait_ready()
    place.tell("trap '' TERM; touch deaf; while :; do sleep 0.1; done")
    place.wait_for(lambda: (place.root / "deaf").exists(), "deafness")
    stopper = threading.Thread(target=lambda: place.command("stop"))
    stopper.start()
    place.wait_for(lambda: place.state() == "draining", "drain")
    expect_equal(upgrade_to(place, copy_of_the_programs(place, "draining")).returncode, 0)
    stopper.join()
    expect_equal(place.state(), "stopped")
    steady(lambda: not place.status()["gateway"]["pid"], "it was started against what was asked", 0.3)


@test("two changes at once: the second waits for the first, and both come to their end")
def at_once(place):
    place.run_ready()
    place.wait_workers()
    slow = copy_of_the_programs(place, "slow")
    replace(slow, "holdfast-supervise", "#!/bin/sh\nexec sleep 1000\n")
    results = []
    first = threading.Thread(target=lambda: results.append(upgrade_to(place, slow)))
    first.start()
    place.wait_for(lambda: (place.runtime_dir / ".trial").exists(), "trial")
    place.settings({"retention": {"days": 7}})
    second = place.done("reload")
    first.join()
    expect_equal(results[0].returncode, 1)
    expect("retention.days" in second.stdout, second.stdout)


@test("a reload that fails at its last step changes nothing: the lock stays ours alone, and the next run adopts")
def fails_late(place):
    directory = copy_of_the_programs(place, "fixed")
    supervisor = place.run(program=directory / "holdfast")
    gateway = place.wait_ready()["gateway"]["pid"]
    place.wait_workers()
    before = place.status()
    (directory / "holdfast-supervise").chmod(0o644)
    place.settings({"retention": {"days": 7}})
    result = place.command("reload")
    expect_equal(result.returncode, 1, result.stdout)
    expect("Permission denied" in result.stderr, result.stderr)
    unchanged(place, before)
    kill(gateway)
    gateway = place.wait_ready(other_than=gateway)["gateway"]["pid"]
    held = [os.readlink(f"/proc/{gateway}/fd/{fd}") for fd in os.listdir(f"/proc/{gateway}/fd")]
    expect(not any("owner.lock" in path or "socket" in path for path in held), held)
    supervisor.kill()
    supervisor.wait()
    place.run_ready()
    expect_equal(place.pid(), gateway, "adopted")


@test("reload and upgrade judge the directories no second time: what was right at the start is not lost by a chmod")
def directories_again(place):
    place.run_ready()
    place.wait_workers()
    gateway = place.pid()
    place.state_dir.chmod(0o770)
    place.settings({"retention": {"days": 7}})
    place.done("reload")
    expect_equal(place.wait_ready()["gateway"]["pid"], gateway)
    expect_equal(place.starts(), [gateway], "starts")


@test("a worker whose successor fails goes on, heard, and the next upgrade is the way out")
def successor_fails(place):
    place.run_ready()
    place.wait_workers()
    directory = copy_of_the_programs(place, "half")
    expect_equal(upgrade_to(place, directory).returncode, 0)
    place.wait_for(lambda: all(place.workers().values()), "workers")
    recorder = place.wait_workers()["recorder"]
    replace(directory, "holdfast-recorder", "#!/bin/sh\nexit 1\n")
    place.settings({"retention": {"days": 9}})
    place.done("reload")
    place.wait_event("worker.exited", 0)
    place.wait_for(lambda: place.workers()["recorder"] == recorder, "the old recorder, heard again")
    place.wait_for(lambda: place.status()["store"]["waiting"] == 0, "events stored by it")
    place.wait_for(lambda: upgrade_to(place, copy_of_the_programs(place, "whole" + os.urandom(4).hex())).returncode == 0,
                   "upgrade")
    place.wait_for(lambda: place.workers()["recorder"] not in (None, 0, recorder), "a new recorder")
    place.wait_for(lambda: not is_alive(recorder), "end of the old one")
    expect_equal(len(place.starts()), 1, "starts")


def trial_processes(place):
    return [pid for pid in place.left() if b"sleep\x001000" in read_process(pid, "cmdline")]


@test("kill -9 of the supervisor, and its end, during a trial: nothing of the trial is left")
def dies_in_a_trial(place):
    slow = copy_of_the_programs(place, "slow")
    replace(slow, "holdfast-supervise", "#!/bin/sh\nexec sleep 1000\n")
    for end in (signal.SIGKILL, signal.SIGTERM):
        supervisor = place.run_ready()
        place.wait_workers()
        asker = threading.Thread(target=upgrade_to, args=(place, slow))
        asker.start()
        place.wait_for(lambda: (place.runtime_dir / ".trial").exists(), "trial")
        supervisor.send_signal(end)
        supervisor.wait()
        asker.join()
        wait_for(lambda: not trial_processes(place), "end of the trial")
    place.run_ready()
    nothing_of_the_trial(place)


@test("a hang-up during a change is followed after it")
def hangs_up_twice(place):
    supervisor = place.run_ready()
    place.wait_workers()
    slow = copy_of_the_programs(place, "slow")
    replace(slow, "holdfast-supervise", "#!/bin/sh\nsleep 1; exit 1\n")
    first = threading.Thread(target=upgrade_to, args=(place, slow))
    first.start()
    place.wait_for(lambda: (place.runtime_dir / ".trial").exists(), "trial")
    place.settings({"retention": {"days": 8}})
    supervisor.send_signal(signal.SIGHUP)
    first.join()
    place.wait_event("settings.reloaded", 0)


@test("a trial keeps its hands off the console and off what is not its own")
def trial_is_apart(place):
    place.run_ready()
    place.wait_workers()
    (place.state_dir / "trial").mkdir()
    (place.state_dir / "trial" / "thesis").write_text("mine")
    # After this the gateway's console has a name no more.
    place.runtime_dir.rename(place.root / "was-runtime")
    shutil.rmtree(place.root / "was-runtime")
    place.wait_event("runtime.restored", 0)
    place.wait_workers()
    directory = copy_of_the_programs(place, "slow")
    replace(directory, "holdfast-recorder", "#!/bin/sh\nexec sleep 5\n")
    asker = threading.Thread(target=upgrade_to, args=(place, directory))
    asker.start()
    place.wait_for(lambda: (place.runtime_dir / ".trial").exists(), "trial")
    for number in range(40):
        place.tell(f"echo line {number}")
        time.sleep(0.1)  # over the time that the trial takes
    asker.join()
    log = place.state_dir / "console.log"
    place.wait_for(lambda: "line 39\n" in log.read_text(), "last line")
    missing = [number for number in range(40) if f"line {number}\n" not in log.read_text()]
    expect(not missing, "lines went elsewhere:", missing)
    expect_equal((place.state_dir / "trial" / "thesis").read_text(), "mine")


if __name__ == "__main__":
    sys.exit(main())
