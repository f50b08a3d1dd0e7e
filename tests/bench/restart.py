#!/usr/bin/env python3
"""From SIGKILL of the child to its successor's first instruction, back-off 0.

Given a shell's loop, Holdfast with and without a cgroup (all its workers running, every event recorded), s6-supervise
and runsv, each around the same child
When the children are killed in turn, again and again
Then Holdfast's median is at most 1.4 times, its 99th percentile at most twice, that of the shell's loop.
"""

import subprocess
import sys

from support import supervisors, table

FLOOR = "sh loop"
ROUNDS, KILLS = (20, 60)
SHORT_ROUNDS, SHORT_KILLS = (10, 50)
ROUNDS_NEEDED = 5
SETTLE_MS = 8
# Of the floor: a machine that is busy shows in the slow ones first.
DISTURBED_PARTS = (0.5, 0.95)
# Neither has a setting for its delay of one second; runsv has none where the child lived for longer than that.
PACKAGED_LIFE_MS = 1100
MEDIAN_RATIO, LATE_RATIO = 1.4, 2.0


def start_all(place):
    """Starts every supervisor there is. Returns [(name, fifo, life_ms)], and what cannot be measured here."""
    subjects, missing = [], []

    def fifo_for(name, life_ms=0):
        fifo = place.fifo(f"fifo-{name.replace(' ', '-')}")
        subjects.append((name, fifo, life_ms))
        return [supervisors.PROGRAMS / "bench_child", fifo]

    place.shell(fifo_for(FLOOR))
    place.holdfast("holdfast", fifo_for("holdfast"))
    try:
        subprocess.run(["unshare", "--mount", "--map-root-user", "true"], check=True, capture_output=True)
        place.holdfast("holdfast without cgroup", fifo_for("holdfast without cgroup"), cgroup=False)
    except (subprocess.CalledProcessError, FileNotFoundError):
        missing.append("holdfast without cgroup (no mount namespace can be made)")
    if supervisors.missing_programs("s6-supervise"):
        missing.append("s6-supervise (not installed)")
    else:
        place.s6(fifo_for("s6-supervise", PACKAGED_LIFE_MS))
    if supervisors.missing_programs("runsv"):
        missing.append("runsv (not installed)")
    else:
        place.runsv(fifo_for("runsv", PACKAGED_LIFE_MS))
    return subjects, missing


def measure(subjects, rounds, kills):
    command = [supervisors.PROGRAMS / "bench_kills", str(rounds), str(kills), str(SETTLE_MS)]
    done = subprocess.run(command + [f"{fifo}:{life_ms}" for _, fifo, life_ms in subjects], capture_output=True,
                          text=True)
    if done.returncode != 0:
        sys.exit(f"restart: {done.stderr.strip()}")
    measured = [{} for _ in range(rounds)]
    for line in done.stdout.splitlines():
        number, index, nanoseconds = (int(word) for word in line.split())
        measured[number].setdefault(subjects[index][0], []).append(nanoseconds / 1000)
    return measured


def child_cgroups(place, subjects):
    """Which Holdfast's child is in a cgroup of its own: said, not supposed."""
    said = []
    for pid in supervisors.pids_of(supervisors.PROGRAMS / "bench_child"):
        arguments = supervisors.arguments_of(pid)
        for name, fifo, _ in subjects:
            if name.startswith("holdfast") and str(fifo) in arguments:
                said.append(f"{name}: {'in a cgroup of its own' if supervisors.in_own_cgroup(pid) else 'no cgroup'}")
    return said


def report(rounds, subjects, verdicts):
    kept, thrown = table.undisturbed(rounds, FLOOR, DISTURBED_PARTS)
    if len(kept) < ROUNDS_NEEDED:
        verdicts.fail(f"only {len(kept)} of {len(rounds)} rounds were undisturbed, {ROUNDS_NEEDED} are needed")
    floor, floor_late = table.median_of_rounds(kept, FLOOR), table.percentile(table.all_of(kept, FLOOR), 0.99)
    rows = []
    for name, _, _ in subjects:
        values = table.all_of(kept, name)
        if not values:
            continue
        median, late = table.median_of_rounds(kept, name), table.percentile(values, 0.99)
        rows.append([name, len(values), f"{min(values):.0f}", f"{median:.0f}", f"{late:.0f}", f"{median / floor:.2f}",
                     f"{late / floor_late:.2f}"])
    table.table(["SIGKILL to first instruction, µs", "n", "least", "median", "p99", "median/floor", "p99/floor"], rows)
    verdicts.note(f"medians of {len(kept)} rounds' medians; {thrown} of {len(rounds)} rounds thrown away: their floor's median or 95th percentile doubled")
    for name in (name for name, _, _ in subjects if name.startswith("holdfast")):
        verdicts.check(f"{name}, median against the shell's loop", table.median_of_rounds(kept, name) / floor, MEDIAN_RATIO)
        verdicts.check(f"{name}, 99th percentile against it",
                       table.percentile(table.all_of(kept, name), 0.99) / floor_late, LATE_RATIO)


def main():
    verdicts = table.Verdicts()
    priority = table.go_first(real_time=True)
    rounds, kills = (SHORT_ROUNDS, SHORT_KILLS) if table.is_short() else (ROUNDS, KILLS)
    with supervisors.Place() as place:
        subjects, missing = start_all(place)
        rounds = measure(subjects, rounds, kills)
        said = child_cgroups(place, subjects)
    report(rounds, subjects, verdicts)
    verdicts.note("; ".join(said))
    verdicts.note(priority)
    verdicts.note("s6-supervise waits a second before each start, runsv when its child has lived for less than one; neither "
                  f"can be told otherwise. Their children had lived for {PACKAGED_LIFE_MS} ms")
    for name in missing:
        verdicts.note(f"not measured: {name}")
    return verdicts.exit_code()


if __name__ == "__main__":
    sys.exit(main())
