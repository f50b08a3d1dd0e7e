#!/usr/bin/env python3
"""From the moment a child that promised WATCHDOG=1 every 100 ms hangs to its successor's first instruction.

Given Holdfast (all its workers running, every event recorded) and a real systemd, each around the same child, with no
wait before a restart
When the child is stopped, or runs in circles, now under one and now under the other
Then Holdfast's median is not above systemd's.
"""

import os
import pathlib
import random
import signal
import statistics
import struct
import sys
import time
import types

from support import supervisors, table

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from service_manager import ServiceManager
from system import Skip

PROMISE_MS = 100
ROUNDS, SHORT_ROUNDS = 40, 8
LIVES_MS = (200, 300)  # it has kept its promise for so long before it hangs
TIMEOUT_S = 10
# Without a systemd beside it: the promise, and what is lost in a machine that does other things too.
ALONE_MS = PROMISE_MS + 50
HANGS = {"stopped": signal.SIGSTOP, "in circles": signal.SIGUSR1}
SETTINGS = ('{ backoff: { initial: 0, jitter: 0 }, gateway: { kind: "generic", stopTimeout: "5s" },'
            ' health: { watchdog: "100ms", autopsy: false, hangGrace: 0 }, api: { port: 0 }, relay: { port: 0 } }')
UNIT = """\
[Unit]
DefaultDependencies=no
StartLimitIntervalSec=0
[Service]
ExecStart={command}
WatchdogSec=100ms
NotifyAccess=all
Restart=always
RestartSec=0
LimitCORE=0
"""
STAMP = struct.Struct("qq")


class Subject:
    """One supervisor's child, by the FIFO into which each of its lives writes first of all."""

    def __init__(self, place, name):
        self.name = name
        self.fifo = place.fifo(f"fifo-{name}")
        self.descriptor = os.open(self.fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.pid = 0
        self.needless = 0  # lives that ended though the child had kept its promise
        place.stack.callback(os.close, self.descriptor)

    def command(self):
        return [supervisors.PROGRAMS / "bench_promise", self.fifo]

    def stamp(self):
        try:
            return os.read(self.descriptor, STAMP.size)
        except BlockingIOError:
            return None

    def next_life(self):
        """Waits for the next first instruction; returns its moment in ns."""
        self.pid, moment = STAMP.unpack(supervisors.wait_for(self.stamp, f"life of {self.name}'s child", TIMEOUT_S))
        return moment

    def live(self, seconds):
        """Its child keeps its promise for so long."""
        time.sleep(seconds)  # what is measured is life as it goes on, at any point of it
        while stamp := self.stamp():
            self.pid = STAMP.unpack(stamp)[0]
            self.needless += 1
            time.sleep(seconds)

    def hang(self, number):
        """Returns the ms from there to the next life."""
        self.live(random.uniform(*LIVES_MS) / 1000)
        began = time.monotonic_ns()
        os.kill(self.pid, number)
        return (self.next_life() - began) / 1e6


def start_systemd(place, subject):
    manager = ServiceManager(types.SimpleNamespace(root=place.path), "user")
    place.stack.callback(manager.close)
    manager.add_unit("promise.service", UNIT.format(command=" ".join(map(str, subject.command()))))
    manager.done("start", "--no-block", "promise.service")


def start_all(place):
    """Returns the subjects, and why one of them is missing."""
    ours, theirs = Subject(place, "holdfast"), Subject(place, "systemd")
    place.holdfast("holdfast", ours.command(), settings=SETTINGS)
    ours.next_life()
    try:
        start_systemd(place, theirs)
        theirs.next_life()
    except Skip as why:
        return [ours], str(why)
    return [ours, theirs], None


def measure(subjects, rounds):
    """{hang: {name: [ms]}}"""
    measured = {hang: {subject.name: [] for subject in subjects} for hang in HANGS}
    for _ in range(rounds):
        for hang, number in HANGS.items():
            for subject in subjects:
                measured[hang][subject.name].append(subject.hang(number))
    return measured


def report(subjects, measured, missing, verdicts):
    rows = []
    for hang, by_name in measured.items():
        for name, values in by_name.items():
            rows.append([f"{name}, {hang}", len(values), f"{min(values):.1f}", f"{statistics.median(values):.1f}",
                         f"{table.percentile(values, 0.99):.1f}"])
    table.table(["hang to first instruction, ms", "n", "least", "median", "p99"], rows)
    for hang, by_name in measured.items():
        median = statistics.median(by_name["holdfast"])
        if missing:
            verdicts.check(f"holdfast, {hang}, median", median, ALONE_MS, " ms", 1)
        else:
            verdicts.check(f"holdfast, {hang}, median against systemd's", median, statistics.median(by_name["systemd"]),
                           " ms", 1)
    verdicts.note("replaced though they had kept their promise: " +
                  ", ".join(f"{subject.name} {subject.needless}" for subject in subjects))
    if missing:
        verdicts.note(f"not measured: systemd ({missing})")


def main():
    verdicts = table.Verdicts()
    priority = table.go_first()
    with supervisors.Place() as place:
        subjects, missing = start_all(place)
        measured = measure(subjects, SHORT_ROUNDS if table.is_short() else ROUNDS)
    report(subjects, measured, missing, verdicts)
    verdicts.note(priority)
    verdicts.note(f"the promise is {PROMISE_MS} ms, and kept every 20 ms: what is left of it when the child hangs is waited for")
    return verdicts.exit_code()


if __name__ == "__main__":
    sys.exit(main())
