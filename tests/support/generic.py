"""What the tests with a generic gateway share."""

import os
import time

from system import Skip, expect, expect_equal, wait_for

SLOW_BACKOFF = {"initial": "1s", "factor": 2, "jitter": 0}
NO_BACKOFF = {"initial": 0, "jitter": 0}


def moment(event):
    """An event's time in seconds of its day."""
    hours, minutes, seconds = event["time"][11:-1].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def between(earlier, later):
    return (moment(later) - moment(earlier)) % 86400


def expect_trail(place, after, *kinds):
    """The events after an id are these, in this order, whatever stands between them."""
    seen = place.kinds(after)
    at = 0
    for kind in seen:
        if at < len(kinds) and kind == kinds[at]:
            at += 1
    expect(at == len(kinds), "expected", kinds, "in this order, saw", seen)


FORKED_TWICE = "(setsid sh -c 'echo $$ >>grandchildren; exec sleep 1000' >/dev/null 2>&1 &) ; "


def grandchildren(place, count):
    file = place.root / "grandchildren"
    place.wait_for(lambda: file.exists() and len(file.read_text().split()) >= count, "grandchildren")
    return [int(word) for word in file.read_text().split()]


# The supervisor sees no cgroup file system: what it then has is its being a subreaper, and the marker.
WITHOUT_CGROUP = ("unshare", "--mount", "sh", "-c",
                  "for at in $(awk '$3 == \"cgroup2\" { print $2 }' /proc/mounts); do umount -l $at || exit; done;"
                  ' exec "$@"', "sh")


def without_cgroup():
    if os.geteuid() != 0:
        raise Skip("a mount namespace needs root")
    return {"prefix": WITHOUT_CGROUP}


# Writes lines without a break and says once a second how many bytes it got rid of and the longest time one write took.
TALKER = """\
import os, sys, time
line = b'x' * 99 + b'\\n'
written = longest = told = 0
while True:
    began = time.monotonic()
    written += os.write(1, line * 100)
    longest = max(longest, time.monotonic() - began)
    if time.monotonic() - told > 0.1:
        told = time.monotonic()
        with open('progress.new', 'w') as file:
            file.write(f'{written} {longest}')
        os.rename('progress.new', 'progress')
    if os.path.exists('quiet'):
        break
    time.sleep(0.0005)
while True:
    time.sleep(1000)
"""


def refused(place, result, code, words):
    lines = result.stderr.splitlines()
    expect_equal(result.returncode, code, result.stderr)
    expect(words in lines[0], words, "is not in", lines[0])
    expect(all(line.startswith("Try ") for line in lines[1:]), lines)
    expect(not place.left(), "it was started all the same")
