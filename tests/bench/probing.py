#!/usr/bin/env python3
"""What it costs to look at a healthy gateway.

Given the real OpenClaw under Holdfast with default settings, and another whose health is looked at once an hour
When both are ready, and nothing happens for five minutes
Then supervisor and sentry use less than 0.1 % of a core, everything they do included; beside it the floor, so that
the difference is what probing costs, and the parts of both.

In the short form, and where OpenClaw is not installed (tools/install-openclaw), a small gateway is probed ten times a
second, and what a probe costs is counted as often as it comes at default settings.
"""

import contextlib
import pathlib
import sys
import time

from support import table

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
import system
from looked_at import LookedAt
from openclaw_home import Home

SHARE_PERCENT = 0.1
MEASURED_S, SHORT_MEASURED_S = 300, 10
SETTLE_S = 30  # the first looks, the link and its hello are behind us by then
SAMPLE_S = 0.1
BURST_S = 0.4  # what comes sooner after another belongs to it
INTERVAL_S = 30  # of health.interval by default, and of the memory's samples
SELDOM = {"health": {"interval": "1h"}}
OFTEN, OFTEN_S = {"interval": "100ms", "timeout": "100ms"}, 0.1


def cpu_ns(pid):
    """Of all its threads. None of them ends while nothing happens."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


class Subject:
    """The supervisor and the sentry of one place."""

    def __init__(self, place):
        self.pids = {"supervisor": place.runs[-1].pid, "sentry": place.wait_workers()["sentry"]}
        self.began, self.used_ns = time.monotonic(), self.cpu()
        self.seen, self.bursts = sum(self.used_ns.values()), []  # [beginning, end, ns]

    def cpu(self):
        return {name: cpu_ns(pid) for name, pid in self.pids.items()}

    def sample(self):
        """What was used since the last sample belongs to the burst that goes on, or is a new one."""
        now, seen = time.monotonic() - self.began, sum(self.cpu().values())
        if seen == self.seen:
            return
        if not self.bursts or now - self.bursts[-1][1] > BURST_S:
            self.bursts.append([now, now, 0])
        self.bursts[-1][1] = now
        self.bursts[-1][2] += seen - self.seen
        self.seen = seen

    def measured(self):
        """Ends it: the ns used by each, and the seconds it took."""
        used = self.cpu()
        return {name: used[name] - self.used_ns[name] for name in used}, time.monotonic() - self.began

    def part(self, phase_s):
        """The ns of the bursts that come every INTERVAL_S at that phase, and those of all others."""
        inside = [ns for began, _, ns in self.bursts if abs((began - phase_s + 15) % INTERVAL_S - 15) < 1.5]
        return sum(inside), sum(ns for _, _, ns in self.bursts) - sum(inside)

    def phase(self):
        """Where in the interval most is used."""
        return max((began for began, _, _ in self.bursts), key=lambda began: self.part(began)[0])


def percent(ns, seconds):
    return ns / 1e7 / seconds


def watch(subjects, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for subject in subjects:
            subject.sample()
        time.sleep(SAMPLE_S)


@contextlib.contextmanager
def place_named(name):
    place = system.open_place(name)
    try:
        yield place
    finally:
        system.close_place(place)


def rows_of(name, subject):
    used, seconds = subject.measured()
    total = sum(used.values())
    return [name, *(f"{used[each] / 1e6:.2f}" for each in subject.pids), f"{percent(total, seconds):.4f} %"], total, seconds


def report_parts(looks, floor, seconds, verdicts):
    """What comes at which moment of the interval. Memory and orphans are looked at together with health; in the floor
    they are alone."""
    tree, others = floor.part(floor.phase())
    together, rest = looks.part(looks.phase())
    readiness, _ = looks.part(looks.phase() + INTERVAL_S / 2)
    for what, ns in (("looks and probes", together - tree), ("readiness probes", readiness),
                     ("samples of memory, orphans", tree), ("ticks and other words of the gateway", rest - readiness),
                     ("the same, of the floor's", others)):
        verdicts.note(f"{what}: {ns / 1e6:.2f} ms, {percent(ns, seconds):.4f} %")


def measure_openclaw(verdicts):
    with contextlib.ExitStack() as stack:
        subjects = []
        for name, settings in (("probing", {}), ("seldom", SELDOM)):
            home = stack.enter_context(Home(stack.enter_context(place_named(name)), settings=settings))
            home.run()
            subjects.append(home.place)
        time.sleep(SETTLE_S)
        looks, floor = subjects = [Subject(place) for place in subjects]
        watch(subjects, MEASURED_S)
        row, total, seconds = rows_of("OpenClaw, default settings", looks)
        floor_row, floor_total, _ = rows_of("the same, looked at once an hour", floor)
    table.table([f"CPU in {seconds:.0f} s", "supervisor ms", "sentry ms", "of a core"], [row, floor_row])
    report_parts(looks, floor, seconds, verdicts)
    verdicts.note(f"probing is the difference: {percent(total - floor_total, seconds):.4f} %")
    verdicts.check("supervisor and sentry, of a core", percent(total, seconds), SHARE_PERCENT, " %", 4)


def measure_small(verdicts):
    with place_named("probing") as place, place_named("seldom") as other:
        it = LookedAt(place, OFTEN)
        LookedAt(other, SELDOM["health"], first_probes=0)
        looks, floor = subjects = [Subject(it.place), Subject(other)]
        probes, readiness = it.count("asked", "/healthz"), it.count("asked", "/readyz")
        watch(subjects, SHORT_MEASURED_S)
        row, total, seconds = rows_of("probed ten times a second", looks)
        floor_row, floor_total, _ = rows_of("the same, once an hour", floor)
        probes, readiness = it.count("asked", "/healthz") - probes, it.count("asked", "/readyz") - readiness
    table.table([f"CPU in {seconds:.0f} s", "supervisor ms", "sentry ms", "of a core"], [row, floor_row])
    if probes < seconds / OFTEN_S / 2 or readiness < probes / 2:
        verdicts.fail(f"only {probes} probes and {readiness} readiness probes were seen")
        return
    each = (total - floor_total) / probes
    verdicts.note(f"{probes} probes and looks with a readiness probe each: {each / 1e3:.0f} us")
    verdicts.check(f"such a probe every {INTERVAL_S} s, of a core", percent(each, INTERVAL_S), SHARE_PERCENT, " %", 4)


def main():
    verdicts = table.Verdicts()
    is_short = table.is_short()
    if not is_short:
        try:
            measure_openclaw(verdicts)
        except system.Skip as missing:
            verdicts.note(f"not measured: {missing}")
            is_short = True
    if is_short:
        measure_small(verdicts)
    return verdicts.exit_code()


if __name__ == "__main__":
    sys.exit(main())
