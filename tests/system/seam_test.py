#!/usr/bin/env python3
"""Each of our programs is ended before and after every call that changes the world, and every such call fails.

Given a gateway and the programs of BUILD/tests/seam, whose calls go through the tests' layer (tests/seam/layer.c)
When the gateway is started, stopped, restarted, ended or kept through an upgrade, and one call is the last that a
program makes, or fails
Then the next `run` finds what it needs: never two gateways, none that was not wanted, none restarted that was well,
nothing left over, no record and no event lost, what was acknowledged done.

The points (a place in the code, which of its calls, and what is done there) come from a run that only traces them. The
short form takes some of each place, COUNT=N so many for each test, LONG=1 all (of a loop, its first turns).

Usage: seam_test.py [WORD...]: only the tests whose names contain one of the words. BUILD_DIRECTORY says which build is
tried (default: build), SEED repeats a run's draws, POINTS=TEXT takes the points in whose description the text is, and
AT_ONCE says how many are tried at once (default: 3). Prints TAP.
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import random
import subprocess
import sys
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
import seam
from system import (close_place, DEADLINE_S, describe_process, expect, expect_equal, free_port, is_alive, kill, main,
                    open_place, test, wait_for)

LONG = bool(os.environ.get("LONG"))
# The same sample each time where a change is tested; another each time in the full form.
SEED = int(os.environ.get("SEED") or (random.randrange(1 << 32) if LONG else 20261121))
POINTS = os.environ.get("POINTS")
COUNT = int(os.environ.get("COUNT", "0"))
AT_ONCE = int(os.environ.get("AT_ONCE", "3"))
PLACE_MAX = 24  # points of one place in the code, in the full form
TOLD_MAX = 12  # of the points that failed, in full
EXITS_REFUSED = (1, 78)
NEVER_KINDS = ("record.refused", "store.replaced", "orphans.reaped")

# How each call fails when it does. Those that are not named cannot: begin, umask, and waitid, which is called only for
# children that are ours, and never waits.
ERRORS = {
    "EMFILE": "accept4 dup2 dup3 epoll_create1 fcntl inotify_init1 memfd_create open openat opendir pidfd_open signalfd "
              "socket socketpair",
    "ENOSPC": "epoll_ctl fallocate ftruncate inotify_add_watch mkdir mkdirat mkfifoat posix_fallocate pwrite rename renameat write",
    "EAGAIN": "clone clone3 fork pthread_create recv recvmsg send sendmsg",
    "ENOMEM": "mmap madvise",
    "EACCES": "chdir unlink unlinkat rmdir",
    "EADDRINUSE": "bind listen",
    "ECONNREFUSED": "connect",
    "EIO": "execv execve read",
    "EPERM": "fchmod pidfd_send_signal prctl setrlimit setsid",
    "ENOLCK": "flock",
    "ENOSYS": "close_range",
}
ERROR_OF = {call: name for name, calls in ERRORS.items() for call in calls.split()}
NUMBER_OF = {"EMFILE": 24, "ENOSPC": 28, "EAGAIN": 11, "ENOMEM": 12, "EACCES": 13, "EADDRINUSE": 98, "ECONNREFUSED": 111,
             "EIO": 5, "EPERM": 1, "ENOLCK": 37, "ENOSYS": 38}

# A second gateway says so.
ALONE = "exec 9>alone; flock -n 9 || echo twin >>twins"

# One that answers, and says what it was asked for.
ANSWERING = """\
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(self.path, flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""

Point = collections.namedtuple("Point", "call action error")


def describe(point):
    what = seam.ACTIONS[point.action]
    return f"{seam.describe(point.call)}, {what}" + (f" with {point.error}" if point.error else "")


def points_of(call):
    """What can be done at one call."""
    kills = [seam.KILL_BEFORE, seam.KILL_AFTER]
    if call.call in ("begin", "execv", "execve"):
        kills = [seam.KILL_BEFORE]  # after it, there is another program
    if call.caller & seam.SPAWNED:
        kills += [seam.KILL_PARENT_BEFORE] + [seam.KILL_PARENT_AFTER] * (len(kills) - 1)
    yield from (Point(call, action, None) for action in kills)
    if call.call in ERROR_OF:
        yield Point(call, seam.FAIL, ERROR_OF[call.call])


# ---- one try ---------------------------------------------------------------------------------------------------------

class Try:
    """One place, one plan, one point: or none, when only a trace is made."""

    def __init__(self, name, point=None):
        self.place = open_place("seam-" + name)
        self.point = point
        self.plan = seam.Plan(self.place.root / "plan")
        self.api, self.relay = free_port(), free_port()
        self.place.environment["TEST_KEY"] = "secret"
        self.settings()
        self.place.at_start(ALONE)
        self.command = ()
        self.planned_pid = 0
        self.said = ""

    def answers(self):
        """Given: a gateway that is asked whether it is ready. Returns its port."""
        port = free_port()
        self.settings(gateway={"port": port}, health={"readyPath": "/ready"})
        (self.place.root / "gateway.py").write_text(ANSWERING)
        self.command = ("sh", "-c", f'echo $$ >>starts; {ALONE}; exec "$@"', "sh", sys.executable,
                        str(self.place.root / "gateway.py"), str(port))
        return port

    def settings(self, gateway=None, **more):
        self.place.settings({
            "gateway": {"kind": "generic", "stopTimeout": "2s", **(gateway or {})}, "backoff": {"initial": "20ms", "max": "100ms", "jitter": 0}, "api": {"port": self.api},
            "relay": {"port": self.relay, "providers": {"nobody": {
                "api": "openai-completions", "baseUrl": f"http://127.0.0.1:{free_port()}",
                "profiles": [{"id": "one", "key": "env:TEST_KEY"}]}}}, **more})

    def arm(self):
        if self.point:
            self.plan.arm(self.point.call, self.point.action, NUMBER_OF.get(self.point.error, 0))
        else:
            self.plan.arm()

    def disarm(self):
        """Returns whether the point was come to. What comes after is not tried."""
        self.plan.disarm()
        if self.plan.fired() == 0:
            return False
        # Whoever was killed may have answered before, and still be on its way.
        if self.point and self.point.action in (seam.KILL_BEFORE, seam.KILL_AFTER):
            wait_for(lambda: not is_alive(self.plan.fired_pid()), "end of who was killed")
        elif self.point and self.point.action in (seam.KILL_PARENT_BEFORE, seam.KILL_PARENT_AFTER) and \
                not self.point.call.caller & seam.TRIAL:  # that one's parent is no concern of ours
            wait_for(lambda: not is_alive(self.planned_pid), "end of the parent that was killed")
        return True

    def run(self, planned):
        self.place.run(*self.command, program=seam.HOLDFAST, wait=False,
                       environment=self.plan.environment if planned else None)
        if planned:
            self.planned_pid = self.place.runs[-1].pid

    def ended(self):
        """Whether the supervisor has ended: killed, or by itself."""
        return self.place.runs[-1].poll() is not None

    def killed(self):
        return self.place.runs[-1].returncode == -9

    def starts_again(self, may_refuse=False):
        """What was killed is started again, by whoever does that, without a plan."""
        if not self.ended():
            return
        code = self.place.runs[-1].returncode
        if may_refuse and self.point and self.point.action == seam.FAIL and not self.killed():
            # It has nothing to hold the gateway with: that is said, and the gateway goes on.
            said = [line for line in self.place.console().splitlines() if line.startswith("holdfast: ")]
            expect(code in EXITS_REFUSED and said[-1].endswith("."), "it ended with", code, said[-1])
        else:
            expect(self.killed(), "the supervisor ended by itself, with", code)
        self.run(planned=False)

    def look(self):
        answer = self.place.command("status", "--json")
        return json.loads(answer.stdout) if answer.returncode in (0, 4) else None

    def settled_status(self, state="running"):
        """The status once everything that is to be there is there, and written down."""
        status = self.look()
        if not status or status["state"] != state or (state == "running" and not status["gateway"]["ready"]):
            return None
        if not all(worker["pid"] for worker in status["workers"]) or status["store"]["waiting"] != 0:
            return None
        return status

    def wait_settled(self, state="running"):
        return self.place.wait_for(lambda: self.settled_status(state), f'"{state}" with everything there')

    def wait_settled_or_ended(self):
        wait_for(lambda: self.ended() or self.settled_status(), "supervisor that works or ends")

    # -- then

    def expect_refused(self):
        """It could not do it: one sentence, and nothing of it is left."""
        code = self.place.runs[-1].returncode
        expect(code in EXITS_REFUSED, "it ended with", code, self.place.console()[-400:])
        said = [line for line in self.place.console().splitlines() if line.startswith("holdfast: ")]
        expect(len(said) == 1 and said[0].endswith("."), "not one sentence:", self.place.console()[-600:])
        expect_equal(self.place.starts(), [], "a gateway was started all the same")
        self.place.expect_nothing_left()

    def expect_one_gateway(self, status):
        wanted = [status["gateway"]["pid"]] if status["state"] == "running" else []
        wait_for(lambda: set(wanted) <= set(self.place.starts()), "gateway that runs its program")
        starts = self.place.starts()
        living = [pid for pid in starts if is_alive(pid)]
        expect(not (self.place.root / "twins").exists(), "two gateways at once")
        expect_equal(living, wanted, f"living gateways, of {starts}, state {status['state']}")
        return starts

    def expect_no_other(self, status):
        """Nothing lives but who is told of. An earlier life's workers get the time they may take."""
        def others():
            seen = self.look() or status
            known = {self.place.runs[-1].pid, *(worker["pid"] for worker in seen["workers"]), *self.place.starts()}
            return [pid for pid in self.place.left() if pid not in known]
        try:
            wait_for(lambda: not others(), "end of what is not needed", 12)
        except AssertionError:
            raise AssertionError("left over: " + ", ".join(map(describe_process, others()))) from None

    def expect_record(self):
        kinds = self.place.kinds()
        for kind in NEVER_KINDS:
            expect(kind not in kinds, kind, "among", kinds)
        expect("supervisor.started" in kinds, "no supervisor.started among", kinds)

    def expect_well(self, state="running"):
        """Everything is as it should be while it runs. Returns the gateways that ever ran."""
        status = self.wait_settled(state)
        expect(status["supervisor"]["pid"] == self.place.runs[-1].pid, "status of", status["supervisor"])
        starts = self.expect_one_gateway(status)
        self.expect_no_other(status)
        self.expect_record()
        return starts

    def expect_clean_end(self):
        expect_equal(self.place.end(), 0, "exit status")
        self.place.expect_nothing_left()

    def close(self):
        close_place(self.place)
        self.plan.close()


# ---- the scenarios ---------------------------------------------------------------------------------------------------
# Each is a function that does everything with a Try and judges it, and returns whether the point was come to.

def is_failure(attempt):
    return attempt.point is not None and attempt.point.action == seam.FAIL


def start(attempt):
    attempt.arm()
    attempt.run(planned=True)
    attempt.wait_settled_or_ended()
    reached = attempt.disarm()
    if attempt.ended() and is_failure(attempt):
        attempt.expect_refused()
        attempt.place.log_file.unlink()
        attempt.run(planned=False)
    attempt.starts_again()
    starts = attempt.expect_well()
    expect_equal(len(starts), 1, f"a gateway was started again that was well: {starts}")
    attempt.expect_clean_end()
    return reached


def adopt(attempt, workers_too):
    """Given: a gateway whose supervisor was killed, alone or with all of its workers. The next one takes it over."""
    attempt.run(planned=False)
    status = attempt.wait_settled()
    gateway = status["gateway"]["pid"]
    attempt.place.runs[-1].kill()
    for worker in status["workers"] if workers_too else ():
        kill(worker["pid"])
    attempt.place.runs[-1].wait()
    attempt.arm()
    attempt.run(planned=True)
    attempt.wait_settled_or_ended()
    reached = attempt.disarm()
    if attempt.ended() and is_failure(attempt):
        expect(is_alive(gateway), "the gateway was not adopted, and ended")
    attempt.starts_again(may_refuse=True)
    expect_equal(attempt.expect_well(), [gateway], "the gateway was restarted")
    attempt.expect_clean_end()
    return reached


def stay_stopped(attempt):
    """Given: a gateway that somebody stopped, and a supervisor that was killed since. The next one leaves it so."""
    attempt.run(planned=False)
    gateway = attempt.wait_settled()["gateway"]["pid"]
    attempt.place.done("stop")
    attempt.place.runs[-1].kill()
    attempt.place.runs[-1].wait()
    attempt.arm()
    attempt.run(planned=True)
    wait_for(lambda: attempt.ended() or attempt.settled_status("stopped") or attempt.settled_status("running"),
             "supervisor that works or ends")
    reached = attempt.disarm()
    attempt.starts_again(may_refuse=True)
    expect_equal(attempt.expect_well("stopped"), [gateway], "started against what was asked")
    attempt.expect_clean_end()
    return reached


def adopt_with_workers(attempt):
    return adopt(attempt, workers_too=False)


def adopt_all_dead(attempt):
    return adopt(attempt, workers_too=True)


def begin(attempt):
    """Given: a gateway that runs, and a supervisor that will do as planned. Returns the gateway's pid."""
    attempt.run(planned=True)
    pid = attempt.wait_settled()["gateway"]["pid"]
    attempt.arm()
    return pid


def ask(attempt, *words, program=None):
    """A command, while the supervisor may die of it: it is started again. Returns whether it was acknowledged."""
    place = attempt.place
    command = subprocess.Popen([program or str(seam.BUILD / "holdfast"), *words, *place.where()], env=place.environment,
                               cwd=place.root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    wait_for(lambda: command.poll() is not None or attempt.ended(), "end of the command, or of the supervisor")
    attempt.starts_again(may_refuse=words[0] in ("reload", "upgrade"))
    said, complained = command.communicate(timeout=DEADLINE_S)
    attempt.said = f"{words[0]} ended with {command.returncode}, said {said!r} {complained!r}"
    if command.returncode == 0:
        expect(said and not complained, attempt.said)
    else:
        expect(command.returncode in (1, 3), attempt.said)
        expect(len(complained.splitlines()) == 1 and complained.rstrip().endswith("."), attempt.said)
    return said != ""


def after_command(attempt):
    """The point may still be ahead, in what the supervisor does after its answer."""
    wait_for(lambda: attempt.ended() or attempt.settled_status("running") or attempt.settled_status("stopped"),
             "supervisor that works")
    reached = attempt.disarm()
    if reached and not is_failure(attempt):
        wait_for(lambda: attempt.ended() or attempt.look(), "supervisor")
    attempt.starts_again(may_refuse=True)
    return reached


def stop(attempt):
    gateway = begin(attempt)
    acknowledged = ask(attempt, "stop")
    reached = after_command(attempt)
    if is_failure(attempt) and not acknowledged:
        attempt.place.done("stop")  # refused once, it can be asked again
        acknowledged = True
    status = wait_for(lambda: attempt.settled_status("stopped") or
                      (not acknowledged and attempt.settled_status("running")), "what was acknowledged: " + attempt.said)
    expect_equal(attempt.expect_well(status["state"]), [gateway], "started again")
    if status["state"] == "stopped":
        attempt.place.done("start")
        expect_equal(len(attempt.expect_well()), 2, "starts after a start")
    attempt.expect_clean_end()
    return reached


def restart(attempt):
    gateway = begin(attempt)
    acknowledged = ask(attempt, "restart")
    reached = after_command(attempt)
    if acknowledged:
        wait_for(lambda: len(attempt.place.starts()) > 1, "restart that was acknowledged: " + attempt.said)
    starts = attempt.expect_well()
    expect(starts[0] == gateway and len(starts) <= 2, "starts", starts)
    attempt.expect_clean_end()
    return reached


def end(attempt):
    gateway = begin(attempt)
    attempt.place.runs[-1].terminate()
    attempt.place.runs[-1].wait(DEADLINE_S)
    reached = attempt.disarm()
    if not attempt.killed():
        expect_equal(attempt.place.runs[-1].returncode, 0, "exit status")
        wait_for(lambda: not attempt.place.left(), "end of everything")
        attempt.run(planned=False)
    attempt.starts_again()
    starts = attempt.expect_well()
    expect(starts[0] == gateway and len(starts) <= 2, "starts", starts)
    attempt.expect_clean_end()
    return reached


def change(attempt, verb):
    gateway = begin(attempt)
    attempt.settings(retention={"days": 29})
    acknowledged = ask(attempt, verb, program=seam.HOLDFAST)
    reached = after_command(attempt)
    expect_equal(attempt.expect_well(), [gateway], "the gateway was restarted: " + attempt.said)
    if is_failure(attempt) and not acknowledged:
        attempt.place.done(verb)
        expect_equal(attempt.expect_well(), [gateway], "the gateway was restarted")
    attempt.expect_clean_end()
    return reached


def reload(attempt):
    return change(attempt, "reload")


def upgrade(attempt):
    return change(attempt, "upgrade")


def call(port, path="/healthz"):
    """Somebody calls; what is answered is another test's business, that nobody is refused is ours."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            answer.read()
    except urllib.error.URLError as problem:
        expect(not isinstance(problem.reason, ConnectionRefusedError), "refused at port", port)
    except OSError:
        pass  # cut off by the death of who was answering


def workers(attempt):
    """What a worker does in its life: it begins, is called, hears of a restart, and is taken over by another life."""
    place, port = attempt.place, attempt.answers()
    attempt.arm()
    attempt.run(planned=True)
    gateway = attempt.wait_settled()["gateway"]["pid"]
    for called in (attempt.api, attempt.relay, port):
        call(called)
    place.runs[-1].kill()
    place.runs[-1].wait()
    attempt.run(planned=False)
    attempt.wait_settled()
    place.done("restart")
    attempt.wait_settled()
    reached = attempt.disarm()
    attempt.wait_settled()
    call(port, "/still-there")
    log = place.state_dir / "console.log"
    place.wait_for(lambda: log.exists() and "/still-there" in log.read_text(), "console")
    starts = attempt.expect_well()
    expect(starts[0] == gateway and len(starts) == 2, "starts", starts)
    expect_events(place)
    attempt.expect_clean_end()
    return reached


def expect_events(place):
    kinds = collections.Counter(place.kinds())
    for kind, count in (("supervisor.started", 2), ("gateway.started", 2), ("gateway.ready", 3), ("gateway.adopted", 1),
                        ("gateway.stopping", 1), ("gateway.exited", 1)):
        expect_equal(kinds[kind], count, f"{kind}, each once, of {dict(kinds)}")


# ---- all points of a scenario ----------------------------------------------------------------------------------------

def trace(scenario):
    attempt = Try(scenario.__name__ + "-trace")
    kept = []
    attempt.disarm = lambda: kept.extend(attempt.plan.trace()) or True
    try:
        scenario(attempt)
    finally:
        attempt.close()
    seam.describe_places(kept)
    return kept


def choose(points, count):
    """Some of each place in turn, so that the many calls of one do not hide the few of another."""
    chance = random.Random(SEED)
    count = COUNT or count
    if POINTS:
        return [point for point in points if POINTS in describe(point)]
    if not COUNT and not LONG and count >= len(points):
        return points
    of_place = collections.defaultdict(list)
    for point in points:
        of_place[(point.call.caller, point.call.place)].append(point)
    places = sorted(of_place)
    if LONG:
        # A loop over /proc or a directory makes one place a thousand points: its first turns stand for the others.
        return [point for place in places for point in of_place[place][:PLACE_MAX]]
    chance.shuffle(places)
    for place in places:
        chance.shuffle(of_place[place])
    count = min(count, len(points))
    chosen = []
    while len(chosen) < count:
        chosen += [of_place[place].pop() for place in places if of_place[place]]
    return chosen[:count]


def try_point(scenario, point):
    """Returns whether it was come to, and what was wrong."""
    attempt = Try(scenario.__name__, point)
    try:
        return scenario(attempt), None
    except Exception as problem:  # whatever it is, it is a result
        if POINTS:
            print("# " + attempt.place.explain().replace("\n", "\n# "), flush=True)
        return True, f"{type(problem).__name__}: {problem}"
    finally:
        attempt.close()


def try_points(scenario, programs, count):
    began = time.monotonic()
    numbers = {seam.PROGRAMS[program] for program in programs}
    points = [point for each in trace(scenario) if each.caller & ~(seam.SPAWNED | seam.TRIAL) in numbers
              for point in points_of(each)]
    chosen = choose(points, count)
    expect(points and chosen, "no points")
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(lambda point: try_point(scenario, point), chosen))
    wrong = [f"{describe(point)}: {problem}" for point, (_, problem) in zip(chosen, results) if problem]
    missed = sum(not reached for reached, _ in results)
    sums = (f"{len(chosen)} of {len(points)} points, {missed} not come to, {len(wrong)} wrong, "
            f"{time.monotonic() - began:.0f} s")
    expect(not wrong, f"SEED={SEED}, {sums}:\n  " + "\n  ".join(wrong if LONG or COUNT else wrong[:TOLD_MAX]))
    return f"SEED={SEED}, {sums}"


SUPERVISOR = ("holdfast", "holdfast-supervise")


@test("start: the supervisor is ended at every call, and every call fails: one gateway, or a refusal")
def started(_place):
    return try_points(start, SUPERVISOR, 160)


@test("adoption: the supervisor is ended at every call, and every call fails: the gateway is kept")
def adopted(_place):
    return try_points(adopt_with_workers, SUPERVISOR, 100)


@test("adoption with every worker dead: the supervisor is ended at every call, and every call fails: the gateway is kept")
def adopted_alone(_place):
    return try_points(adopt_all_dead, SUPERVISOR, 60)


@test("a stopped gateway: the supervisor is ended at every call, and every call fails: it stays stopped")
def stays_stopped(_place):
    return try_points(stay_stopped, SUPERVISOR, 60)


@test("stop: the supervisor is ended at every call, and every call fails: what was acknowledged is so")
def stopped(_place):
    return try_points(stop, SUPERVISOR, 24)


@test("restart: the supervisor is ended at every call, and every call fails: no restart is lost, none is doubled")
def restarted(_place):
    return try_points(restart, SUPERVISOR, 30)


@test("reload: the supervisor is ended at every call, and every call fails: the gateway is kept")
def reloaded(_place):
    return try_points(reload, SUPERVISOR, 30)


@test("upgrade: the supervisor is ended at every call, and every call fails: the gateway is kept")
def upgraded(_place):
    return try_points(upgrade, SUPERVISOR, 30)


@test("the end: the supervisor is ended at every call, and every call fails: the next run has one gateway")
def at_its_end(_place):
    return try_points(end, SUPERVISOR, 20)


@test("the sentry is ended at every call, and every call fails: the gateway is not touched")
def sentry(_place):
    return try_points(workers, ("holdfast-sentry",), 20)


@test("the recorder is ended at every call, and every call fails: the gateway is not touched, no event is lost")
def recorder(_place):
    return try_points(workers, ("holdfast-recorder",), 20)


@test("the relay is ended at every call, and every call fails: the gateway is not touched")
def relay(_place):
    return try_points(workers, ("holdfast-relay",), 12)


if __name__ == "__main__":
    # Each tries several points at once.
    sys.exit(main(at_once=1))
