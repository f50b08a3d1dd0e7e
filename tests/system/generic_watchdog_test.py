#!/usr/bin/env python3
"""The real programs with a generic gateway that speaks sd_notify(3): when it is ready, what it promises, and who is
heard.

Usage: generic_watchdog_test.py [WORD...]: only the tests whose names contain one of the words.
BUILD_DIRECTORY says which build is tried (default: build). Prints TAP.
"""

import os
import pathlib
import shutil
import signal
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from generic import expect_trail, NO_BACKOFF
from system import Skip, environment_of, expect, expect_equal, is_alive, kill, main, steady, test, wait_for

# Speaks what stands in the file `says`, a datagram a line ("\\n" within one), each time the file is there anew; and
# WATCHDOG=1 every 20 ms while there is a file `lives`. What it could not send is in the file `unsaid`.
SPEAKER = """\
import os, signal, socket, time
signal.signal(signal.SIGTERM, signal.SIG_DFL)
with open('starts', 'a') as file:
    print(os.getpid(), file=file)
def say(words):
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
            speaker.sendto(words.encode(), os.environ['NOTIFY_SOCKET'])
    except OSError as error:
        with open('unsaid', 'a') as file:
            print(time.monotonic(), words, error, file=file)
spoken = 0
while True:
    try:
        os.rename('says', 'said')
        with open('said') as file:
            for line in file.read().splitlines():
                say(line.replace('\\\\n', '\\n'))
        spoken += 1
        with open('spoken.new', 'w') as file:
            print(os.getpid(), spoken, file=file)
        os.rename('spoken.new', 'spoken')
    except FileNotFoundError:
        pass
    if os.path.exists('lives'):
        say('WATCHDOG=1')
    time.sleep(0.02)
"""
PROMISE_MS = 1000


def say(place, *lines, waits=True):
    """The gateway says each of these; returns when it has, unless that is its end."""
    spoken = place.root / "spoken"
    before = spoken.read_text() if spoken.exists() else ""
    part = place.root / "says.new"
    part.write_text("\n".join(lines) + "\n")
    part.rename(place.root / "says")
    if waits:
        place.wait_for(lambda: spoken.exists() and spoken.read_text() != before, "words")


def live(place, alive=True):
    file = place.root / "lives"
    if alive:
        file.touch()
    else:
        file.unlink(missing_ok=True)


def run(place, wait=True, health=None, **more):
    place.settings({"backoff": NO_BACKOFF, "gateway": {"kind": "generic", "stopTimeout": "5s"},
                    "health": {"readyPath": "notify", "hangGrace": 0, **(health or {})}, **more})
    (place.root / "speaker.py").write_text(SPEAKER)
    process = place.run(sys.executable, "speaker.py")
    place.wait_for(place.starts, "gateway that runs")
    if wait:
        say(place, "READY=1")
        place.wait_ready()
    return process


def promise(place, **more):
    """A gateway that keeps its promise."""
    live(place)
    process = run(place, wait=False, health={"watchdog": PROMISE_MS, "readyPath": "", "autopsy": False}, **more)
    place.wait_ready()
    return process


# ---- ready ---------------------------------------------------------------------------------------------------------

def is_removed(directory):
    try:
        shutil.rmtree(directory)
        return True
    except OSError:  # a file was made in it meanwhile
        return False


@test("it is ready when it says READY=1, and not before; nobody else can say it")
def ready(place):
    run(place, wait=False)
    place.wait_state("starting")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"READY=1", str(place.runtime_dir / "notify"))
    say(place, "STATUS=Getting up", "READY=0")
    steady(lambda: place.state() == "starting", "it was ready without a word", 0.5)
    say(place, "READY=1\\nSTATUS=Up")
    expect_equal(place.wait_ready()["gateway"]["pid"], place.starts()[-1], "gateway")
    event = place.wait_event("gateway.ready")
    expect(event["evidence"]["proof"].startswith("it said READY=1"), event)
    place.end()
    place.expect_nothing_left()
    expect(not (place.runtime_dir / "notify").exists(), "the socket was left behind")


@test("a descendant's word counts: systemd-notify in a shell script")
def descendant(place):
    if shutil.which("systemd-notify") is None:
        raise Skip("systemd-notify is not installed")
    place.settings({"gateway": {"kind": "generic"}, "health": {"readyPath": "notify"}})
    place.at_start("systemd-notify --ready --status='From a script'")
    place.run_ready()


@test("its socket is its own: the service manager's is not handed on, and the promise is told where there is one")
def environment(place):
    place.settings({"gateway": {"kind": "generic"}, "health": {"watchdog": "90s"}})
    place.run_ready(environment={"NOTIFY_SOCKET": "@nobody", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"})
    seen = environment_of(place.pid())
    expect_equal(seen.get("NOTIFY_SOCKET"), str(place.runtime_dir / "notify"), "NOTIFY_SOCKET")
    expect_equal(seen.get("WATCHDOG_USEC"), "90000000", "WATCHDOG_USEC")
    expect("WATCHDOG_PID" not in seen, seen)


@test("an adopted gateway is ready without saying it again: after the death of all, of the sentry, of the directory")
def adopted(place):
    run(place)
    gateway = place.pid()
    victims = [place.runs[-1].pid, *place.wait_workers().values()]
    for pid in victims:
        kill(pid)
    wait_for(lambda: not any(map(is_alive, victims)), "death of all")
    expect(is_alive(gateway), "the gateway died with them")
    place.run(sys.executable, "speaker.py")
    expect_equal(place.wait_ready()["gateway"]["pid"], gateway, "adopted gateway")
    place.wait_workers()
    before = place.last_event()
    wait_for(lambda: is_removed(place.runtime_dir), "removal of a directory in which files are made")
    place.wait_event("runtime.restored", after=before)
    place.wait_for((place.runtime_dir / "notify").exists, "socket made anew")
    victims = [place.runs[-1].pid, *place.wait_workers().values()]
    for pid in victims:
        kill(pid)
    wait_for(lambda: not any(map(is_alive, victims)), "death of all")
    place.run(sys.executable, "speaker.py")
    expect_equal(place.wait_ready()["gateway"]["pid"], gateway, "adopted gateway, its memory lost")
    expect_equal(place.starts(), [gateway], "starts")


@test("it ends by itself, or starts anew in the same process, as it says")
def stopping(place):
    run(place)
    gateway = place.pid()
    say(place, "STOPPING=1")
    place.wait_state("draining")
    say(place, "READY=1")
    expect_equal(place.wait_ready()["gateway"]["pid"], gateway, "gateway")
    expect_equal(place.starts(), [gateway], "starts")


# ---- the promise ---------------------------------------------------------------------------------------------------

@test("a gateway that keeps its promise is left alone, also while each of our programs dies")
def kept(place):
    promise(place)
    gateway = place.pid()
    for names in (["sentry"], ["recorder", "relay"], ["sentry", "recorder", "relay"]):
        workers = place.wait_workers()
        for name in names:
            kill(workers[name])
        place.wait_workers(other_than=[workers[name] for name in names])
    kill(place.runs[-1].pid)
    wait_for(lambda: place.runs[-1].poll() is not None, "death of the supervisor")
    place.run(sys.executable, "speaker.py")
    place.wait_ready()
    expect_equal(place.done("reload").returncode, 0, "reload")
    steady(lambda: place.starts() == [gateway], "it was replaced", 2 * PROMISE_MS / 1000)
    expect(not (place.root / "unsaid").exists(), "it could not speak:",
           (place.root / "unsaid").read_text() if (place.root / "unsaid").exists() else "")


def broken(place, order):
    """The promise is broken by `order`, and the gateway replaced. Returns what was recorded."""
    gateway = place.pid()
    before = place.last_event()
    order(gateway)
    place.wait_ready(other_than=gateway)
    place.wait_for(lambda: place.starts()[-1] == place.pid(), "its successor's first words")
    place.last_event()
    expect_trail(place, before, "gateway.condemned", "gateway.exited", "gateway.started", "gateway.ready")
    expect(not is_alive(gateway), "the old one lives")
    return place.wait_event("gateway.condemned", after=before)


@test("a promise that is broken is the end of it: stopped, or silent though it runs")
def missed(place):
    promise(place)
    event = broken(place, lambda pid: kill(pid, signal.SIGSTOP))
    expect("WATCHDOG=1" in event["reason"] or "watchdog" in event["reason"].lower(), event)
    steady(lambda: len(place.starts()) == 2, "the new one, which lives, was replaced", 1.5 * PROMISE_MS / 1000)
    broken(place, lambda pid: live(place, False))
    steady(lambda: len(place.starts()) == 3, "one that never promised was replaced", 1.5 * PROMISE_MS / 1000)


@test("it asks to be replaced: WATCHDOG=trigger")
def trigger(place):
    promise(place)
    broken(place, lambda pid: say(place, "WATCHDOG=trigger", waits=False))


@test("it promises by itself, and takes it back: WATCHDOG_USEC")
def own_promise(place):
    run(place, health={"autopsy": False})
    gateway = place.pid()
    say(place, "WATCHDOG_USEC=300000\\nWATCHDOG=1", "WATCHDOG_USEC=0")
    steady(lambda: place.pid() == gateway, "it was replaced though it promised nothing any more", 0.8)
    say(place, "WATCHDOG_USEC=300000\\nWATCHDOG=1")
    place.wait_for(lambda: len(place.starts()) == 2, "second start")


# ---- nobody reads --------------------------------------------------------------------------------------------------

@test("while no sentry reads, the gateway is not kept waiting; nothing is held against it afterwards")
def unread(place):
    promise(place)
    gateway = place.pid()
    sentry = place.wait_workers()["sentry"]
    kill(sentry, signal.SIGSTOP)
    (place.root / "spoken").unlink(missing_ok=True)
    # Far more than the socket holds.
    say(place, *["STATUS=nobody hears this"] * 2000)
    kill(sentry, signal.SIGCONT)
    steady(lambda: place.starts() == [gateway], "it was replaced", 2 * PROMISE_MS / 1000)
    kill(sentry)
    place.wait_workers(other_than=[sentry])
    broken(place, lambda pid: kill(pid, signal.SIGSTOP))


if __name__ == "__main__":
    sys.exit(main())
