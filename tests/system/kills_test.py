#!/usr/bin/env python3
"""Supervisor and workers are killed at random, singly and together, and the gateway never notices.

Given a gateway that prints a thousand numbered lines a second, and callers who never stop calling it, the API and the
relay; under systemd as the system's manager, as a user's, and without any
When random sets of Holdfast's processes are killed at random moments, also in the middle of coming back
Then the gateway is the same one, there never was another, no caller was refused, no line of its console is missing or
doubled, and within a second of its start each new supervisor's status is right.

Usage: kills_test.py [WORD...]: only the tests whose names contain one of the words. BUILD_DIRECTORY says which build is
tried (default: build), SEED repeats a run's draws, LONG=1 kills a thousand times instead of a hundred. Prints TAP.
"""

import collections
import json
import os
import pathlib
import random
import re
import select
import signal
import socket
import statistics
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from callers import Callers
from service_manager import cgroup_of, pid_inside, ServiceManager
from system import (DEADLINE_S, describe_process, every_pid, expect, expect_equal, free_port, HOLDFAST, is_alive,
                    main, parent_of, PLACE_VARIABLE, POLL_S, read_process, start_time_of, test, wait_for)

KILLS = (334, 333, 333) if os.environ.get("LONG") else (34, 33, 33)
SEED = os.environ.get("SEED") or str(random.SystemRandom().randrange(1 << 32))
RIGHT_WITHIN_MS = 1000
PAUSE_MAX_S = 0.4
EARLY_CHANCE, EARLY_PAUSE_MAX_S = 0.25, 0.08
LOOK_AT_MANAGER_S = 0.5
NOTICED_WITHIN_S = 0.05
HELD_LINES = 1000  # more than a sentry has in its hands
UNIT = "holdfast.service"
OURS = ("supervisor", "sentry", "recorder", "relay")
PROGRAMS = {"holdfast": "supervisor", "holdfast-supervise": "supervisor", "holdfast-sentry": "sentry",
            "holdfast-recorder": "recorder", "holdfast-relay": "relay"}
ANSWERED_BY = {"api": "recorder", "relay": "relay"}

# Each line has the next number, about a thousand a second; `written` says how far it got. Whoever calls is answered.
GATEWAY = """\
import os, select, socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=512)
written = os.open("written", os.O_WRONLY | os.O_CREAT, 0o600)
answer = b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok"
number, due = 0, time.monotonic()
while True:
    if select.select([listener], [], [], max(0, due - time.monotonic()))[0]:
        caller = listener.accept()[0]
        try:
            caller.settimeout(1)
            caller.recv(4096)
            caller.sendall(answer)
        except OSError:
            pass
        caller.close()
    if time.monotonic() < due:
        continue
    due = max(due + 0.001, time.monotonic() - 0.1)
    if number % 100 or not os.path.exists("hush"):
        os.write(1, b"line %d\\n" % number)
        os.pwrite(written, b"%-12d" % number, 0)
        number += 1
"""


# ---- who starts the supervisor again ---------------------------------------------------------------------------------

class NoManager:
    """Nobody does: the test itself, at once."""

    keeps_listeners = False

    def __init__(self, place, command):
        self.place, self.command = place, command

    def start(self):
        self.place.run(*self.command, wait=False)

    def supervisor_killed(self):
        self.place.runs.pop().wait()
        self.start()

    def expect_going(self):
        expect(self.place.runs[-1].poll() is None, "the supervisor ended with", self.place.runs[-1].returncode)

    def stop(self):
        expect_equal(self.place.end(), 0, "exit status")

    def said(self):
        return ""

    def is_own(self, _pid):
        return False

    def close(self):
        pass


class Systemd(ServiceManager):
    """It keeps what it was given to keep, too."""

    keeps_listeners = True

    def __init__(self, place, command, mode):
        super().__init__(place, mode)
        run = [HOLDFAST, "run", *place.where(), "--config", str(place.settings_file), "--", *command]
        self.add_unit(UNIT, "\n".join([
            "[Unit]", "DefaultDependencies=no", "StartLimitIntervalSec=0",
            "[Service]", "Type=notify", f"ExecStart={' '.join(run)}",
            f"ExecReload={HOLDFAST} reload {' '.join(place.where())}", f"WorkingDirectory={place.root}",
            *(f'Environment="{name}={value}"' for name, value in place.environment.items()),
            "NotifyAccess=main", "FileDescriptorStoreMax=8", "KillMode=process", "Delegate=yes", "OOMPolicy=continue",
            "Restart=always", "RestartSec=50ms", "RestartPreventExitStatus=78", "TimeoutStartSec=20",
            f"StandardOutput=append:{place.log_file}", f"StandardError=append:{place.log_file}", ""]))

    def start(self):
        self.done("start", "--no-block", UNIT)

    def supervisor_killed(self):
        pass

    def expect_going(self):
        seen = self.property(UNIT, "ActiveState")
        expect(seen in ("active", "activating", "deactivating"), "the unit is", seen, self.said()[-2000:])

    def stop(self):
        expect_equal(self.property(UNIT, "NFileDescriptorStore"), "2", "listening sockets that systemd keeps")
        self.done("stop", UNIT)
        expect_equal(self.property(UNIT, "Result"), "success", "the unit's result")


# ---- what is watched all the time ------------------------------------------------------------------------------------

class Watcher(threading.Thread):
    """Looks for a second process of the gateway's program, all the time."""

    def __init__(self, place):
        super().__init__(daemon=True)
        self.script = str(script_of(place)).encode()
        self.looks = 0
        self.twins = set()
        self.problem = None
        self.ended = threading.Event()

    def gateways(self):
        return [pid for pid in every_pid()
                if self.script in read_process(pid, "cmdline").split(b"\0") and is_alive(pid)]

    def run(self):
        try:
            while not self.ended.wait(POLL_S):
                seen = self.gateways()
                self.looks += 1
                if len(seen) != 1:
                    self.twins.add(tuple(seen))
        except Exception as problem:  # a watcher that has fallen asleep proves nothing
            self.problem = problem


def overlaps(call, times):
    over = call["at"] + call["took"]
    return any(begin <= over and call["at"] <= end + NOTICED_WITHIN_S for begin, end in times)


def script_of(place):
    return place.root / "gateway.py"


def boot_ms():
    return time.clock_gettime(time.CLOCK_BOOTTIME) * 1000


def hold(pid):
    """A pidfd, or None: it had done its work meanwhile."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def kill_held(pidfd):
    try:
        if pidfd is not None:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        pass


def wait_held(pidfd):
    if pidfd is not None:
        expect(select.select([pidfd], [], [], DEADLINE_S)[0], "a killed process does not end")
        os.close(pidfd)


class Story:
    """One run: a place, whoever starts the supervisor again, a seed, and what was seen."""

    def __init__(self, place, manager, gateway, seed):
        self.place, self.manager, self.gateway = place, manager, gateway
        self.chance = random.Random(seed)
        self.mark = f"{PLACE_VARIABLE}={place.root}".encode()
        self.killed = collections.Counter()
        self.together = self.all_at_once = self.early = 0
        self.deaths = collections.defaultdict(list)  # by name: from when to when
        self.dead_supervisors = set()  # as they were called where they ran
        self.right_after_ms = []
        gateway_pid = next(pid for pid in place.left() if pid_inside(pid) == gateway["pid"])
        self.cgroup = cgroup_of(gateway_pid) if gateway["containment"] == "cgroup" else None
        self.workers = {}  # their names by pid, as they were told last
        self.told = []  # when was what killed, of what
        self.holders = set()  # those of ours that keep the listening sockets
        self.holes = []  # from when to when nobody did
        self.sentry_died_at = []  # numbers of lines

    def ours(self):
        """Holdfast's living processes: their names by pid. What has not come to its program yet is none."""
        found = {}
        for pid in every_pid():
            try:
                program = os.readlink(f"/proc/{pid}/exe")
            except OSError:
                continue
            name = PROGRAMS.get(os.path.basename(program))
            if name is not None and self.mark in read_process(pid, "environ").split(b"\0") and is_alive(pid):
                found[pid] = name
        if os.geteuid() != 0:  # the workers let nobody but root look into them
            found.update((pid, name) for pid, name in self.workers.items()
                         if read_process(pid, "comm").startswith(b"holdfast-") and is_alive(pid))
        return {pid: name for pid, name in found.items()
                if name != "supervisor" or found.get(parent_of(pid)) != "supervisor"}

    def kill(self):
        """A random set of ours, as nearly as can be in one moment. Returns whether the supervisor was one."""
        # One by itself is as likely as all four at once.
        names = self.chance.sample(OURS, self.chance.choice((1, 1, 2, 3, 4, 4)))
        living = self.ours()
        victims = {pid: hold(pid) for name in names for pid in living if living[pid] == name}
        if "supervisor" in names:
            self.dead_supervisors |= {pid_inside(pid) for pid in victims if living[pid] == "supervisor"}
        at = time.monotonic()
        self.told.append((at, sorted(living[pid] for pid in victims), sorted(living.values())))
        for pidfd in victims.values():
            kill_held(pidfd)
        for pidfd in victims.values():
            wait_held(pidfd)
        self.count([living[pid] for pid in victims], at)
        self.holders &= living.keys()
        if self.holders and self.holders <= victims.keys() and not self.manager.keeps_listeners:
            self.holes.append((at, None))
        self.holders -= victims.keys()
        return "supervisor" in [living[pid] for pid in victims]

    def count(self, killed, at):
        self.killed.update(killed)
        self.together += len(set(killed)) > 1
        self.all_at_once += len(set(killed)) == len(OURS)
        for name in killed:
            self.deaths[name].append((at, time.monotonic()))
        if "sentry" in killed:
            self.sentry_died_at.append(self.written())

    def written(self):
        text = (self.place.root / "written").read_text() if (self.place.root / "written").exists() else ""
        return int(text or 0)

    def wrong(self, status):
        """What a status says that is not so; None when it is right."""
        if status["state"] != "running" or not status["gateway"]["ready"]:
            return f"state {status['state']}, ready {status['gateway']['ready']}"
        if status["supervisor"]["pid"] in self.dead_supervisors:
            return f"supervisor {status['supervisor']['pid']} is dead"
        for name in ("pid", "startedAt", "generation", "restarts", "port", "command", "containment"):
            if status["gateway"][name] != self.gateway[name]:
                return f"gateway's {name} is {status['gateway'][name]}, was {self.gateway[name]}"
        return None

    def wait_right(self, is_new):
        """Until the status is right: whoever is asked may still have to come. A new supervisor is timed."""
        end = time.monotonic() + DEADLINE_S
        look = time.monotonic() + LOOK_AT_MANAGER_S
        while True:
            answer = self.place.command("status", "--json")
            now_ms = boot_ms()
            status = json.loads(answer.stdout)
            wrong = "nobody answers" if answer.returncode == 3 else self.wrong(status)
            if wrong is None:
                break
            expect(time.monotonic() < end, f"no right status within {DEADLINE_S} s: {wrong}")
            if time.monotonic() > look:
                self.manager.expect_going()
                look = time.monotonic() + LOOK_AT_MANAGER_S
        self.workers = {worker["pid"]: worker["name"] for worker in status["workers"] if worker["pid"]}
        living = self.ours()
        supervisor = next((pid for pid, name in living.items() if name == "supervisor" and
                           pid_inside(pid) == status["supervisor"]["pid"]), None)
        expect(supervisor is not None, "no process is the supervisor of the status:", status["supervisor"], living)
        if is_new:
            self.right_after_ms.append(now_ms - start_time_of(supervisor) * 1000 / os.sysconf("SC_CLK_TCK"))
        self.holders = {pid for pid in living if pid == supervisor or pid_inside(pid) in self.workers}
        self.holes = [(begin, end or time.monotonic()) for begin, end in self.holes]

    def kill_again_and_again(self, times):
        is_new = False
        for nth in range(times):
            is_early = nth > 0 and self.chance.random() < EARLY_CHANCE
            if not is_early:
                self.wait_right(is_new)
                is_new = False
            # Not a wait for anything: the moment of death is what is tried.
            time.sleep(self.chance.uniform(0, EARLY_PAUSE_MAX_S if is_early else PAUSE_MAX_S))
            self.early += is_early
            if self.kill():
                self.manager.supervisor_killed()
                is_new = True
        self.wait_right(is_new)

    # -- then

    def expect_one_gateway(self, watcher):
        expect(watcher.problem is None, "the watcher failed:", watcher.problem)
        expect(not watcher.twins, "other than one gateway:", sorted(watcher.twins)[:5])
        starts = self.place.starts()
        expect_equal(len(starts), 1, f"starts {starts}")
        self.place.last_event()
        told = collections.Counter(event["kind"] for event in self.place.events())
        for kind, count in (("gateway.started", 1), ("gateway.exited", 0), ("gateway.adoption_refused", 0),
                            ("record.refused", 0), ("orphans.reaped", 0), ("store.replaced", 0)):
            expect_equal(told[kind], count, kind)

    def expect_nobody_refused(self, failures, sums):
        """Where nobody lived who could have kept a listening socket, callers are refused; they are counted apart."""
        in_holes = collections.Counter()
        others = []
        for call in failures:
            if overlaps(call, self.holes):
                in_holes[call["port"], call["what"]] += 1
            elif call["what"] != "cut off" or not overlaps(call, self.deaths[ANSWERED_BY.get(call["port"])]):
                others.append(call)
        expect(not others, len(others), "callers were refused, cut off by the living, or never answered:", others[:5],
               "What was killed, of what lived:", [entry for entry in self.told if others and
                                                   -1 < entry[0] - others[0]["at"] < others[0]["took"] + 0.1])
        for port, seen in sums.items():
            expect(seen["answered"] > 0, "nobody was answered by", port)
            yield (f"{port}: {seen['made']} calls, {seen['answered']} answered, "
                   f"{seen['refused'] - in_holes[port, 'refused']} refused, "
                   f"{seen['cut off'] - in_holes[port, 'cut off']} cut off by the death of who answered them, "
                   f"{seen['slow']} slow, slowest {seen['slowest_ms']:.0f} ms")
        if self.holes:
            lasted_ms = [(end - begin) * 1000 for begin, end in self.holes]
            yield (f"nobody was left who could keep a listening socket {len(self.holes)} times, for "
                   f"{statistics.median(lasted_ms):.0f} ms in the middle; then "
                   + ", ".join(f"{port}: {in_holes[port, 'refused']} refused, {in_holes[port, 'cut off']} cut off"
                               for port in sums if port != "gateway"))

    def expect_whole_console(self):
        (self.place.root / "hush").touch()
        last = self.place.wait_for(self.silent_at, "silence")
        logs = [self.place.state_dir / f"console.log.{number}" for number in (4, 3, 2, 1)]
        logs = [path for path in logs if path.exists()] + [self.place.state_dir / "console.log"]
        self.place.wait_for(lambda: f"line {last}\n" in logs[-1].read_text(), "last line")
        lines = "".join(path.read_text() for path in logs).splitlines()
        seen = [int(line.split()[1]) for line in lines if re.fullmatch(r"line \d+", line)]
        torn = [line for line in lines if not re.fullmatch(r"line \d+|.*\[holdfast\].*", line)]
        missing = sorted(set(range(last + 1)) - set(seen))
        doubled = [number for number, count in collections.Counter(seen).items() if count > 1]
        expect(not torn, len(torn), "lines are torn:", torn[:10])
        expect(not doubled, len(doubled), "lines are doubled:", doubled[:10])
        expect(seen == sorted(seen), "lines are out of order")
        alive = [number for number in missing
                 if not any(died - HELD_LINES <= number <= died + 1 for died in self.sentry_died_at)]
        expect(not alive, len(alive), "lines are missing though the sentry lived:", alive[:10])
        counted = sum(event["evidence"].get("lines", 0) for event in self.place.events()
                      if event["kind"] == "console.dropped")
        expect(counted >= len(missing), len(missing), "lines are missing and", counted, "are counted:", missing[:10],
               "the sentry was killed at:", self.sentry_died_at[:40])
        return (f"console: {last + 1} lines, {len(missing)} missing and counted, 0 doubled "
                f"(the sentry was killed {self.killed['sentry']} times)")

    def expect_nothing_left(self):
        def left():
            return [pid for pid in {*self.place.left(), *self.ours()} if not self.manager.is_own(pid)]
        try:
            wait_for(lambda: not left(), "end of everything", 5)
        except AssertionError:
            raise AssertionError("left behind: " + ", ".join(map(describe_process, left()))) from None
        files = sorted(path.name for path in self.place.runtime_dir.iterdir())
        expect("control" not in files and "console" not in files, "left in the runtime directory:", files)
        expect(self.cgroup is None or not self.cgroup.exists(), "left behind: the gateway's cgroup", self.cgroup)

    def silent_at(self):
        before = self.written()
        time.sleep(0.3)
        return before == self.written() and before

    def sums(self):
        kinds = ", ".join(f"{name} {self.killed[name]}" for name in OURS)
        middle, worst = (f(self.right_after_ms) for f in (statistics.median, max))
        expect(worst <= RIGHT_WITHIN_MS, f"a status was right only {worst:.0f} ms after its supervisor's start")
        yield (f"killed: {kinds}; together {self.together} times, all four {self.all_at_once} times, "
               f"while still coming back {self.early} times")
        yield (f"status right {middle:.0f} ms after a supervisor's start in the middle, {worst:.0f} ms at worst, "
               f"of {len(self.right_after_ms)}")


# ---- the tests -------------------------------------------------------------------------------------------------------

def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def begin(place, make_manager):
    """Given: a gateway that runs and is ready, and everybody listening. Returns manager, status and ports."""
    ports = {"gateway": free_port(), "api": free_port(), "relay": free_port()}
    place.environment["TEST_KEY"] = "secret"
    place.settings({
        "gateway": {"kind": "generic", "port": ports["gateway"], "stopTimeout": "5s"},
        "health": {"readyPath": "/startupz"},
        "backoff": {"initial": "20ms", "max": "100ms", "jitter": 0},
        "api": {"port": ports["api"]},
        "relay": {"port": ports["relay"], "providers": {"nobody": {
            "api": "openai-completions", "baseUrl": f"http://127.0.0.1:{free_port()}",
            "profiles": [{"id": "one", "key": "env:TEST_KEY"}]}}}})
    script_of(place).write_text(GATEWAY)
    (place.root / "gateway").write_text(
        f"echo $$ >>starts; exec {sys.executable} {script_of(place)} {ports['gateway']}\n")
    manager = make_manager(place, ["sh", "./gateway"])
    try:
        manager.start()
        wait_for(lambda: place.command("status").returncode == 0, "gateway that is ready")
        place.wait_workers()
        for name, port in ports.items():
            wait_for(lambda port=port: listens(port), f"listener at the port of the {name}")
    except BaseException:
        manager.close()
        raise
    return manager, place.status(), ports


def survive(place, times, make_manager):
    seed = f"{SEED} {place.root.name.split('-')[1]}"
    manager, status, ports = begin(place, make_manager)
    callers, watcher = Callers(place, ports), Watcher(place)
    story = Story(place, manager, status["gateway"], seed)
    watcher.start()
    try:
        story.kill_again_and_again(times)
        place.wait_workers()
        story.wait_right(False)
        failures, sums = callers.end()
        watcher.ended.set()
        watcher.join()
        notes = [*story.expect_nobody_refused(failures, sums), story.expect_whole_console()]
        story.expect_one_gateway(watcher)
        manager.stop()
        story.expect_nothing_left()
    except BaseException as problem:
        seen = place.command("status", "--json").stdout
        raise AssertionError(f"SEED={SEED}: {problem}\n{seen}{manager.said()[-2000:]}") from problem
    finally:
        watcher.ended.set()
        callers.stop()
        manager.close()
    return [f"SEED={SEED}, gateway restarts 0, duplicates 0 in {watcher.looks} looks", *story.sums(), *notes]


@test("random kills under systemd as the system's manager: neither the gateway nor its callers notice")
def system_manager(place):
    return survive(place, KILLS[0], lambda *given: Systemd(*given, "system"))


@test("random kills under systemd as a user's manager: neither the gateway nor its callers notice")
def user_manager(place):
    return survive(place, KILLS[1], lambda *given: Systemd(*given, "user"))


@test("random kills without a service manager: neither the gateway nor its callers notice")
def no_manager(place):
    return survive(place, KILLS[2], NoManager)


if __name__ == "__main__":
    # One after the other: each measures time.
    sys.exit(main(at_once=1))
