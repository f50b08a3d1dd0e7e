#!/usr/bin/env python3
"""A gateway that crashes thirty times, and each time leaves a daemon behind.

Given a gateway that starts a helper by two forks with a setsid() between; the helper ignores every polite signal
When the gateway is killed, thirty times over
Then each time it runs again nothing of its predecessor is alive, and after the stop nothing of any of them is:
with a cgroup, and without one. Prints TAP.
"""

import os
import pathlib
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))

from support import supervisors  # noqa: E402

CRASHES = 30
BROOD = struct.Struct("=qq")
WAIT_S = 20


class Result:
    count = failed = 0

    def test(self, name, good, *details):
        self.count += 1
        self.failed += not good
        if not good:
            for line in details:
                print(f"# {line}")
        print(f"{'ok' if good else 'not ok'} {self.count} - {name}", flush=True)

    def skip(self, name, why):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {why}", flush=True)


def next_brood(fifo):
    """The pids of the gateway that just started and of its helper."""
    os.set_blocking(fifo, False)
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        try:
            return BROOD.unpack(os.read(fifo, BROOD.size))
        except BlockingIOError:
            time.sleep(0.002)
    raise TimeoutError(f"no gateway started within {WAIT_S} s")


def crash_again_and_again(place, name, cgroup, result):
    path = place.fifo(f"broods-{name}")
    fifo = os.open(path, os.O_RDWR)
    supervisor = place.holdfast(name, [supervisors.PROGRAMS / "bench_brood", path], cgroup=cgroup)
    try:
        gateway, helper = next_brood(fifo)
    except TimeoutError as problem:
        result.test(f"{name}: the gateway starts", False, str(problem), *supervisor.said().splitlines()[-20:])
        return
    result.test(f"{name}: the gateway is where it should be", supervisors.in_own_cgroup(gateway) == cgroup,
                f"in a cgroup of its own: {supervisors.in_own_cgroup(gateway)}")
    everyone, left = [gateway, helper], []
    for crash in range(CRASHES):
        before = (gateway, helper)
        os.kill(gateway, signal.SIGKILL)
        gateway, helper = next_brood(fifo)
        left += [f"crash {crash + 1}: pid {pid} was still alive" for pid in before if supervisors.alive(pid)]
        everyone += [gateway, helper]
    result.test(f"{name}: nothing of the old gateway lives when the new one runs, {CRASHES} times", not left, *left)
    living = [pid for pid in everyone if supervisors.alive(pid)]
    result.test(f"{name}: exactly one gateway and its helper live", sorted(living) == sorted((gateway, helper)),
                f"alive: {living}")
    ended = supervisor.end()
    living = [pid for pid in everyone if supervisors.alive(pid)]
    result.test(f"{name}: after the stop nothing of any of them lives", ended and not living,
                f"ended by itself: {ended}; alive: {living}", *supervisor.said().splitlines()[-20:])
    os.close(fifo)


def has_cgroup():
    """Whether a cgroup can be made here: asked of the kernel, not of Holdfast."""
    if tuple(map(int, os.uname().release.split(".")[:2])) < (5, 14):
        return False  # without cgroup.kill Holdfast does not use one
    own = next((line[3:] for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines()
                if line.startswith("0::")), None)
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 ") and own is not None:
            return os.access(before.split()[4] + own, os.W_OK)
    return False


def can_hide_cgroup():
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return subprocess.run(["unshare", "--mount", *user, "true"], capture_output=True).returncode == 0


def main():
    result = Result()
    with supervisors.Place() as place:
        if has_cgroup():
            crash_again_and_again(place, "with a cgroup", True, result)
        else:
            result.skip("with a cgroup", "no cgroup can be made here")
        if can_hide_cgroup():
            crash_again_and_again(place, "without a cgroup", False, result)
        elif not has_cgroup():
            crash_again_and_again(place, "with no cgroup to be had", False, result)
        else:
            result.skip("without a cgroup", "no mount namespace can be made here to hide it")
    print(f"1..{result.count}")
    return 1 if result.failed else 0


if __name__ == "__main__":
    sys.exit(main())
