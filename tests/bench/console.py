#!/usr/bin/env python3
"""A child that prints 100 MB/s while the disk is full.

Given Holdfast with its state directory on a disk without a free byte, and the same child printing into `cat >/dev/null`
When each prints 100 MB/s in turn
Then Holdfast's child is blocked no more than the other one, and neither it nor Holdfast grows.
"""

import os
import pathlib
import sys

from support import supervisors, table

FLOOR = "cat >/dev/null"
BYTES_PER_S = 100_000_000
ROUNDS, SECONDS = (5, 10)
SHORT_ROUNDS, SHORT_SECONDS = (5, 1)
WARM_UP_MS = 1000
DISK = "2m"
# The achieved pace, against the floor's; and no write() may take longer than a reader that is late by a few turns of a
# busy machine's scheduler, or than twice the worst that cat let its writer wait.
PACE_RATIO, LONGEST_MS = 1.05, 100
# The sentry's rings have their bound of 1 MiB each, and are filled by the warm-up.
GROWTH_KIB = 1024
ON_SMALL_DISK = 'mount -t tmpfs -o "size=$0,mode=700" none "$1" || exit; shift; exec "$@"'


class Writer:
    """Prints for as long as it is told to, and tells how it went."""

    def __init__(self, place, name):
        self.name = name
        self.orders, self.results = (place.fifo(f"{kind}-{name}") for kind in ("orders", "results"))
        self.command = [supervisors.PROGRAMS / "bench_writer", self.orders, self.results, BYTES_PER_S]

    def print_for(self, milliseconds):
        with open(self.orders, "w") as orders, open(self.results) as results:
            print(milliseconds, file=orders, flush=True)
            moved, elapsed_ns, blocked_ns, longest_ns, _ = map(int, results.readline().split())
        return {"MB/s": moved / elapsed_ns * 1000, "blocked %": blocked_ns / elapsed_ns * 100,
                "longest ms": longest_ns / 1e6}


def rss_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def start_holdfast(place, writer):
    """Its state directory is a small disk of its own: mounted where only it sees it."""
    state = place.directory("disk")
    directory = place.directory("holdfast")
    (directory / "holdfast.json").write_text(supervisors.SETTINGS)
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", "--mount", *user, "sh", "-c", ON_SMALL_DISK, DISK, str(state),
               *supervisors.holdfast_command(directory, writer.command, state)]
    supervisor = place.keep(supervisors.Supervisor("holdfast", command, directory, supervisors.own_environment()))
    names = supervisors.wait_for(
        lambda: (found := workers_of(supervisor.pid)) and len(found) >= 3 and found, "the workers' start")
    # The same mount, seen through the process that has it.
    return supervisor, names, pathlib.Path(f"/proc/{supervisor.pid}/root{state}")


def workers_of(pid):
    return {supervisors.name_of(child): child for child in supervisors.children_of(pid)
            if supervisors.name_of(child).startswith("holdfast-")}


def fill(disk):
    """Returns how much it took until nothing more went in."""
    taken = 0
    with open(disk / "filler", "ab", buffering=0) as filler:
        for size in (65536, 4096, 1):
            try:
                while True:
                    taken += filler.write(b"x" * size)
            except OSError:
                continue
    return taken


def measure(place, rounds, milliseconds):
    floor, ours = Writer(place, "cat"), Writer(place, "holdfast")
    command = " ".join(map(str, floor.command)) + " | cat >/dev/null"
    place.keep(supervisors.Supervisor(FLOOR, ["sh", "-c", command], place.directory("cat")))
    supervisor, workers, disk = start_holdfast(place, ours)
    fill(disk)
    for writer in (floor, ours):
        writer.print_for(WARM_UP_MS)
    fill(disk)
    processes = {"the child": supervisors.pids_of(ours.command[0]), "holdfast-supervise": [supervisor.pid],
                 "holdfast-sentry": [workers["holdfast-sentry"]]}
    processes["the child"] = [pid for pid in processes["the child"] if str(ours.orders) in supervisors.arguments_of(pid)]
    before = {name: rss_kib(pids[0]) for name, pids in processes.items()}
    measured = [{FLOOR: floor.print_for(milliseconds), "holdfast": ours.print_for(milliseconds)} for _ in range(rounds)]
    growth = {name: (before[name], rss_kib(pids[0])) for name, pids in processes.items()}
    room = os.statvfs(disk)
    return measured, growth, room.f_bavail * room.f_bsize


def main():
    verdicts = table.Verdicts()
    priority = table.go_first()
    rounds, seconds = (SHORT_ROUNDS, SHORT_SECONDS) if table.is_short() else (ROUNDS, SECONDS)
    with supervisors.Place() as place:
        measured, growth, free = measure(place, rounds, seconds * 1000)
    # As times: a floor that takes twice as long for the same bytes was disturbed.
    times = [{name: [BYTES_PER_S / 1e6 / figures["MB/s"]] for name, figures in each.items()} for each in measured]
    kept, thrown = table.undisturbed(times, FLOOR)
    rows = []
    for name in (FLOOR, "holdfast"):
        row = [name]
        for figure, precision in (("MB/s", 1), ("blocked %", 1), ("longest ms", 2)):
            values = sorted(each[name][figure] for each in measured)
            row.append(f"{values[len(values) // 2]:.{precision}f}")
        rows.append(row + [f"{max(each[name]['longest ms'] for each in measured):.2f}"])
    table.table([f"{rounds} rounds of {seconds} s", "MB/s", "in write() %", "longest write() ms", "worst ms"], rows)
    table.table(["RSS KiB", "before", "after"], [[name, *pair] for name, pair in growth.items()])
    verdicts.note(f"free on Holdfast's disk at the end: {free} bytes; {thrown} of {rounds} rounds thrown away; {priority}")
    ratio = table.median_of_rounds(kept, "holdfast") / table.median_of_rounds(kept, FLOOR)
    longest = sorted(each["holdfast"]["longest ms"] for each in measured)[rounds // 2]
    verdicts.check("time for the same bytes, against cat", ratio, PACE_RATIO)
    floor_worst = max(each[FLOOR]["longest ms"] for each in measured)
    verdicts.check("longest write(), median of the rounds", longest, max(LONGEST_MS, 2 * floor_worst), " ms", precision=1)
    for name, (before, after) in growth.items():
        verdicts.check(f"{name} grew by", after - before, GROWTH_KIB, " KiB", precision=0)
    return verdicts.exit_code()


if __name__ == "__main__":
    sys.exit(main())
