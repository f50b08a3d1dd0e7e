#!/usr/bin/env python3
"""The real programs with a generic gateway that loses its children, grows, or is killed for want of memory.

Usage: generic_memory_test.py [WORD...]: only the tests whose names contain one of the words.
BUILD_DIRECTORY says which build is tried (default: build). Prints TAP.
"""

import contextlib
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from generic import NO_BACKOFF, without_cgroup
from system import ROOT, Skip, expect, expect_equal, free_port, is_alive, kill, main, test, wait_for

# Three that outlive their parents: a command of the gateway's own program, a copy of it that was forked and executed
# nothing, and somebody else's work. Then it does what it is told.
LOSES_CHILDREN = """\
if [ "$1" = once ]; then echo $$ >own; while :; do sleep 1000; done; fi
(setsid sh ./forsaken once >/dev/null 2>&1 &)
(setsid sleep 1000 >/dev/null 2>&1 & echo $! >background)
( (while :; do sleep 1000; done) >/dev/null 2>&1 & echo $! >helper)
. ./gateway
"""
ENOUGH_MB = 500
GROWS = """\
import time
held = []
open('growing', 'w').close()
while not __import__('os').path.exists('grow'): time.sleep(0.01)
while True: held.append(b'x' * 1000000)
"""


def number_in(place, name):
    file = place.root / name
    return int(place.wait_for(lambda: file.exists() and file.read_text().strip(), name))


def orphans_told(place, **options):
    (place.root / "forsaken").write_text(LOSES_CHILDREN)
    place.run_ready("sh", "./forsaken", **options)
    expected = {"own command": number_in(place, "own"), "background": number_in(place, "background"),
                "helper": number_in(place, "helper")}
    told = place.wait_event("orphans.found")
    expect("outlived" in told["reason"], told["reason"])
    # It may have looked before all of them were there, and looks again in a minute: another sentry does at once.
    kill(place.workers()["sentry"])
    place.wait_for(lambda: {orphan["kind"]: orphan["pid"] for orphan in
                            place.status()["health"]["orphans"]["processes"]} == expected, "orphans by kind in the status")
    expect(all(is_alive(pid) for pid in expected.values()), "all of them are left alone")
    place.done("stop")
    wait_for(lambda: not any(is_alive(pid) for pid in expected.values()), "end of the orphans with their gateway")


@test("processes that outlived their parents are told while the gateway runs, each as what it is")
def orphans(place):
    orphans_told(place)


@test("and without a cgroup, where they are found below the supervisor")
def orphans_without_cgroup(place):
    orphans_told(place, **without_cgroup())


def oom_score(pid):
    return int(pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text())


@test("when memory runs out the gateway goes first: its score is above that of all who start it again")
def oom_scores(place):
    place.at_start("cat /proc/self/oom_score_adj >score; (sleep 1000 & echo $! >child)")
    place.run_ready()
    supervisor = place.runs[-1].pid
    ours = oom_score(os.getpid())
    expect_equal(number_in(place, "score"), min(ours + 200, 1000), "score of its first command")
    expect_equal(oom_score(place.pid()), min(ours + 200, 1000), "score of the gateway")
    expect_equal(oom_score(number_in(place, "child")), min(ours + 200, 1000), "score of its child")
    expect_equal({oom_score(pid) for pid in (supervisor, *place.workers().values())}, {ours}, "ours")
    gateway = place.pid()
    kill(gateway)
    place.wait_ready(other_than=gateway)
    expect_equal((oom_score(place.pid()), oom_score(supervisor)), (min(ours + 200, 1000), ours), "after a restart")
    place.done("stop")


def memory_cgroups():
    """Where a cgroup with a limit can be made, with the names of its two files."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split(" - ")
        mount, kind = pathlib.Path(fields[0].split()[4]), fields[1].split()
        if kind[0] == "cgroup" and "memory" in kind[-1].split(","):
            return mount, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
        if kind[0] == "cgroup2" and "memory" in (mount / "cgroup.subtree_control").read_text().split():
            return mount, "memory.max", "memory.swap.max"
    raise Skip("no cgroup tree in which memory can be limited")


@contextlib.contextmanager
def limited(place, megabytes):
    """A cgroup with so much memory, and how to start something in it."""
    if os.geteuid() != 0:
        raise Skip("a limit of memory needs root")
    mount, limit, swap = memory_cgroups()
    cgroup = mount / f"{place.root.name}-limit"
    cgroup.mkdir()
    try:
        (cgroup / limit).write_text(str(megabytes * 1000000))
        if (cgroup / swap).exists():
            (cgroup / swap).write_text("0" if limit == "memory.max" else str(megabytes * 1000000))
        yield {"prefix": ("sh", "-c", f"echo $$ >{cgroup}/cgroup.procs && exec \"$@\"", "sh")}
        place.close()
    finally:
        with contextlib.suppress(OSError):
            cgroup.rmdir()


@test("a gateway that the kernel kills for want of memory is named as such, and started again")
def killed_by_the_kernel(place):
    place.settings({"backoff": NO_BACKOFF})
    (place.root / "grows.py").write_text(GROWS)
    place.at_start("[ -e grown ] || { touch grown; exec python3 grows.py; }")
    with limited(place, ENOUGH_MB) as options:
        place.run_ready(**options)
        pid = place.pid()
        place.wait_for((place.root / "growing").exists, "gateway that is about to grow")
        workers = place.workers()
        (place.root / "grow").touch()
        place.wait_ready(other_than=pid)
        ended = place.wait_event("gateway.out_of_memory")
        expect("the kernel ended it because memory had run out" in ended["reason"], ended["reason"])
        expect("oom_kill 0 -> 1" in ended["evidence"]["said"], ended["evidence"])
        expect_equal(place.workers(), workers, "nobody else was killed")
        place.done("stop")


@test("one that somebody else kills is not")
def killed_by_somebody(place):
    place.settings({"backoff": NO_BACKOFF})
    place.run_ready()
    pid = place.pid()
    kill(pid)
    place.wait_ready(other_than=pid)
    place.last_event()
    expect("gateway.out_of_memory" not in place.kinds(), place.kinds())
    place.done("stop")


@test("a JavaScript heap that ran full is named, in the words of the engine")
def full_heap(place):
    node = ROOT / ".local/node/24.21.0/bin/node"
    if not node.exists():
        raise Skip("Node is not in .local (tools/install-openclaw 2026.9.6 .local)")
    (place.root / "leak.js").write_text("const held = []; setInterval(() => { for (;;) held.push({ one: 1 }); }, 1);")
    place.settings({"gateway": {"kind": "openclaw", "port": free_port()}, "health": {"readyPath": ""},
                    "backoff": NO_BACKOFF})
    place.run(str(node), "--max-old-space-size=40", "leak.js")
    ended = place.wait_event("gateway.out_of_memory")
    expect("JavaScript heap" in ended["reason"], ended["reason"])
    place.wait_for(lambda: place.status()["gateway"]["restarts"] > 0, "its next start")
    place.done("stop")


sys.exit(main())
