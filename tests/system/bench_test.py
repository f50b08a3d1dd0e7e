#!/usr/bin/env python3
"""The short form of every benchmark (tests/bench/*.py): the same figures must be reached as in `make bench`, with
fewer repetitions. One that misses is measured again, twice at most: a busy machine can spoil a short run. Prints TAP."""

import os
import pathlib
import subprocess
import sys

BENCH = pathlib.Path(__file__).resolve().parent.parent / "bench"
TIMEOUT_S = 120
ATTEMPTS = 3


def measure(path):
    """Returns whether it reached what it must, and what it printed."""
    try:
        done = subprocess.run([sys.executable, str(path), "--short"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S,
                              env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    except subprocess.TimeoutExpired as late:
        return False, f"did not end within {TIMEOUT_S} s\n{late.stdout or ''}"
    return done.returncode == 0, done.stdout


def main():
    failed = 0
    paths = sorted(BENCH.glob("*.py"))
    for number, path in enumerate(paths, 1):
        for attempt in range(ATTEMPTS):
            reached, printed = measure(path)
            for line in printed.splitlines():
                print(f"# {line}")
            if reached:
                break
        failed += not reached
        print(f"{'ok' if reached else 'not ok'} {number} - {path.stem}, short form", flush=True)
    print(f"1..{len(paths)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
