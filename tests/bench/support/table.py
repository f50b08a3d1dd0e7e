"""Rounds, medians and the table that every benchmark prints."""

import os
import statistics
import sys

FLOOR_DOUBLES = 2.0


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def undisturbed(rounds, floor, parts=(0.5,)):
    """`rounds` is a list of {name: [values]}. Returns those whose floor did not double against the run's median floor,
    and how many were thrown away. `parts`: the percentiles of the floor that are looked at."""
    kept = rounds
    for part in parts:
        floors = [percentile(each[floor], part) for each in rounds]
        limit = FLOOR_DOUBLES * statistics.median(floors)
        kept = [each for each, value in zip(rounds, floors) if value < limit and each in kept]
    return kept, len(rounds) - len(kept)


def all_of(rounds, name):
    return [value for each in rounds for value in each.get(name, [])]


def median_of_rounds(rounds, name):
    return statistics.median(statistics.median(each[name]) for each in rounds if each.get(name))


class Verdicts:
    """Collects what was measured against what must be reached; prints one line for each."""

    def __init__(self):
        self.missed = 0

    def check(self, what, value, limit, unit="", precision=2):
        reached = value <= limit
        self.missed += not reached
        print(f"{'reached' if reached else 'MISSED':8}{what}: {value:.{precision}f}{unit} "
              f"(at most {limit:.{precision}f}{unit})", flush=True)
        return reached

    def fail(self, what):
        self.missed += 1
        print(f"{'MISSED':8}{what}", flush=True)

    def note(self, text):
        print(f"        {text}", flush=True)

    def exit_code(self):
        return 1 if self.missed else 0


def table(heads, rows):
    cells = [heads, *rows]
    widths = [max(len(str(row[i])) for row in cells) for i in range(len(heads))]
    for row in cells:
        first, *others = (str(cell) for cell in row)
        print("  ".join([first.ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(others, widths[1:])]),
              flush=True)


def is_short():
    return "--short" in sys.argv[1:]


def go_first(real_time=False):
    """What is measured goes before what else the machine does, where we may say so: all of it, the floor included.
    `--ordinary` leaves it among the rest. Returns the words for it."""
    if "--ordinary" in sys.argv[1:]:
        return "at ordinary priority"
    try:
        if real_time:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
            return "before other work on the machine (SCHED_RR), the floor too"
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        return "before other work on the machine (nice -20), the floor too"
    except PermissionError:
        return "at ordinary priority, among other work on the machine (root would go before it)"
