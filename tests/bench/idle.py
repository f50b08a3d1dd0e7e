#!/usr/bin/env python3
"""What Holdfast costs while nothing happens.

Given Holdfast, and s6-supervise beside it, each around a child that sleeps
When nothing happens for a minute
Then the supervisor was not woken once, and its share of memory (PSS) is at most 600 KiB.
"""

import pathlib
import subprocess
import sys
import tempfile
import time

from support import supervisors, table

IDLE_S, SHORT_IDLE_S = 60, 10
TRACED_S = 3
# The recorder's first store, the start-up events and the workers' own start are behind us by then.
SETTLE_S = 4
PSS_KIB = 600


def switches(pid):
    """How often the process has been given a processor: every thread of it."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if "ctxt_switches" in line:
                total += int(line.split()[1])
    return total


def pss_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise ValueError("no Pss in smaps_rollup")


def traced_calls(pid, seconds):
    """The system calls made meanwhile, or None where strace is missing or may not look."""
    if supervisors.missing_programs("strace"):
        return None
    with tempfile.NamedTemporaryFile(mode="r") as output:
        tracer = subprocess.Popen(["strace", "-f", "-q", "-o", output.name, "-p", str(pid)], stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        failed = tracer.poll() is not None
        tracer.terminate()
        tracer.wait()
        # The call in which it was found, begun before, shows as the first line; that is no call of this time.
        lines = [line for line in output.read().splitlines() if "<detached ...>" not in line and "+++" not in line]
    return None if failed else lines


def main():
    verdicts = table.Verdicts()
    seconds = SHORT_IDLE_S if table.is_short() else IDLE_S
    with supervisors.Place() as place:
        fifo = place.fifo("fifo")
        command = [supervisors.PROGRAMS / "bench_child", fifo]
        watched = [place.holdfast("holdfast", command)]
        if not supervisors.missing_programs("s6-supervise"):
            watched.append(place.s6(command))
        supervisors.wait_for(lambda: len(supervisors.children_of(watched[0].pid)) >= 3, "the workers' start")
        time.sleep(SETTLE_S)
        workers = [(supervisors.name_of(pid), pid) for pid in supervisors.children_of(watched[0].pid)]
        subjects = [("holdfast-supervise", watched[0].pid)]
        subjects += [("s6-supervise", supervisor.pid) for supervisor in watched[1:]]
        subjects += [(name, pid) for name, pid in workers if name.startswith("holdfast")]
        before = {pid: switches(pid) for _, pid in subjects}
        time.sleep(seconds)
        wakeups = {pid: switches(pid) - before[pid] for _, pid in subjects}
        memory = {pid: pss_kib(pid) for _, pid in subjects}
        calls = traced_calls(watched[0].pid, TRACED_S)
    table.table([f"idle for {seconds} s", "wake-ups", "PSS KiB"],
                [[name, wakeups[pid], memory[pid]] for name, pid in subjects])
    verdicts.check("holdfast-supervise, wake-ups", wakeups[watched[0].pid], 0, precision=0)
    verdicts.check("holdfast-supervise, PSS", memory[watched[0].pid], PSS_KIB, " KiB", precision=0)
    if calls is None:
        verdicts.note("system calls not counted: strace is missing or may not trace")
    else:
        verdicts.check(f"holdfast-supervise, system calls seen by strace in {TRACED_S} s", len(calls), 0, precision=0)
    return verdicts.exit_code()


if __name__ == "__main__":
    sys.exit(main())
