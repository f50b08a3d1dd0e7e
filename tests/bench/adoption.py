#!/usr/bin/env python3
"""From `holdfast run` to its first correct status: the gateway runs, with its pid.

Given a gateway that was not there, or that lives on under a supervisor that is killed: alone, or with all its workers
When `holdfast run` starts, and is asked over the control socket as fast as it answers
Then adopting takes at most twice as long as a plain start.
"""

import subprocess
import sys

from support import supervisors, table

WAYS = ["plain start", "adoption, supervisor killed", "adoption, everything killed"]
FLOOR = WAYS[0]
ROUNDS, TIMES = (12, 12)
SHORT_ROUNDS, SHORT_TIMES = (5, 5)
RATIO = 2.0


def measure(place, rounds, times):
    child = [supervisors.PROGRAMS / "bench_child", place.fifo("fifo")]
    directory = place.directory("holdfast")
    (directory / "holdfast.json").write_text(supervisors.SETTINGS)
    command = [str(supervisors.PROGRAMS / "bench_adoptions"), str(rounds * times), str(directory / "runtime")]
    done = subprocess.run(command + supervisors.holdfast_command(directory, child), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, env=supervisors.own_environment())
    if done.returncode != 0:
        sys.exit(f"adoption: {done.stderr.strip()[-2000:]}")
    measured = [{} for _ in range(rounds)]
    for words in map(str.split, done.stdout.splitlines()):
        # Between the figures stands what the supervisors themselves say.
        if len(words) == 3 and all(word.isdigit() for word in words):
            turn, index, nanoseconds = map(int, words)
            measured[turn // times].setdefault(WAYS[index], []).append(nanoseconds / 1e6)
    return measured


def main():
    verdicts = table.Verdicts()
    priority = table.go_first()
    rounds, times = (SHORT_ROUNDS, SHORT_TIMES) if table.is_short() else (ROUNDS, TIMES)
    with supervisors.Place() as place:
        kept, thrown = table.undisturbed(measure(place, rounds, times), FLOOR)
    floor = table.median_of_rounds(kept, FLOOR)
    rows = []
    for name in WAYS:
        values, median = table.all_of(kept, name), table.median_of_rounds(kept, name)
        rows.append([name, len(values), f"{min(values):.2f}", f"{median:.2f}",
                     f"{table.percentile(values, 0.9):.2f}", f"{median / floor:.2f}"])
    table.table(["start to right status, ms", "n", "least", "median", "p90", "median/plain"], rows)
    verdicts.note(f"medians of {len(kept)} rounds' medians; {thrown} of {rounds} rounds thrown away: their floor doubled; "
                  f"{priority}")
    for name in WAYS[1:]:
        verdicts.check(f"{name}, median against a plain start", table.median_of_rounds(kept, name) / floor, RATIO)
    return verdicts.exit_code()


if __name__ == "__main__":
    sys.exit(main())
