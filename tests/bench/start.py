#!/usr/bin/env python3
"""From `holdfast run` to the child's first instruction.

Given the same child as a service of s6-supervise
When each supervisor is started, and ended, in turn
Then Holdfast needs at most twice the time of s6-supervise.
"""

import subprocess
import sys

from support import supervisors, table

FLOOR = "s6-supervise"
ROUNDS, TIMES = (5, 20)
SHORT_ROUNDS, SHORT_TIMES = (5, 5)
RATIO = 2.0


def commands(place):
    """[(name, fifo, command)]: what is typed to have the child supervised."""
    def child(name):
        fifo = place.fifo(f"fifo-{name}")
        return fifo, [supervisors.PROGRAMS / "bench_child", fifo]

    found = []
    fifo, command = child("s6")
    service = place.directory("s6")
    supervisors.write_script(service / "run", command)
    found.append((FLOOR, fifo, ["s6-supervise", service]))

    fifo, command = child("svscan")
    services = place.directory("svscan")
    (services / "child").mkdir()
    supervisors.write_script(services / "child/run", command)
    found.append(("s6-svscan", fifo, ["s6-svscan", services]))

    fifo, command = child("holdfast")
    directory = place.directory("holdfast")
    (directory / "holdfast.json").write_text(supervisors.SETTINGS)
    found.append(("holdfast", fifo, supervisors.holdfast_command(directory, command)))
    return found


def measure(subjects, rounds, times):
    command = [str(supervisors.PROGRAMS / "bench_starts"), str(rounds), str(times)]
    for index, (_, fifo, words) in enumerate(subjects):
        command += [","] * (index > 0) + [str(fifo), *map(str, words)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env=supervisors.own_environment())
    lines = [line.split() for line in done.stdout.splitlines()]
    measured = [{} for _ in range(rounds)]
    for words in lines:
        # Between the figures stands what the supervisors themselves say.
        if len(words) == 3 and all(word.isdigit() for word in words):
            number, index, nanoseconds = map(int, words)
            measured[number].setdefault(subjects[index][0], []).append(nanoseconds / 1e6)
    if done.returncode != 0:
        sys.exit(f"start: {done.stderr.strip()[-2000:]}")
    return measured


def main():
    verdicts = table.Verdicts()
    priority = table.go_first(real_time=True)
    if supervisors.missing_programs("s6-supervise"):
        verdicts.note("not measured: s6-supervise is not installed")
        return 0
    rounds, times = (SHORT_ROUNDS, SHORT_TIMES) if table.is_short() else (ROUNDS, TIMES)
    with supervisors.Place() as place:
        subjects = commands(place)
        kept, thrown = table.undisturbed(measure(subjects, rounds, times), FLOOR)
    floor = table.median_of_rounds(kept, FLOOR)
    rows = []
    for name, _, _ in subjects:
        values, median = table.all_of(kept, name), table.median_of_rounds(kept, name)
        rows.append([name, len(values), f"{min(values):.2f}", f"{median:.2f}",
                     f"{table.percentile(values, 0.9):.2f}", f"{median / floor:.2f}"])
    table.table(["start to first instruction, ms", "n", "least", "median", "p90", "median/floor"], rows)
    verdicts.note(f"medians of {len(kept)} rounds' medians; {thrown} of {rounds} rounds thrown away: their floor doubled; "
                  f"{priority}")
    verdicts.check("holdfast run, median against s6-supervise", table.median_of_rounds(kept, "holdfast") / floor, RATIO)
    return verdicts.exit_code()


if __name__ == "__main__":
    sys.exit(main())
