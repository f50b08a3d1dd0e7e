#!/usr/bin/env python3
"""Stuck sessions, with a gateway that speaks as OpenClaw does: only the run that hangs is aborted, and nothing that anybody
says, or that breaks, makes it another.

Usage: sessions_test.py [WORD...]: only the tests whose names contain one of the words. BUILD_DIRECTORY says which build is
tried (default: build). Prints TAP. The same with the real OpenClaw: sessions_openclaw_test.py.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from fake_sessions import AGENT
from generic import between
from session_home import LATE_S, SESSION_S, TOOL_S, SessionHome
from system import expect, expect_equal, kill, main, steady, test, wait_for

VERIFY_S, AGAIN_S = 15, 2  # core/sessions.h
TURN_S = 30
MORE_S = 0.3               # longer than is looked
OLD = 3                    # the protocol of 2026.2.1
REFUSED = '"refuse"'


def expect_abort(ask, name, run=None):
    wanted = {"key": AGENT + name, **({"runId": run} if run else {})}
    expect_equal(ask["params"], wanted, "the abort that was asked for")
    expect(ask["connection"] > 1 and "operator.admin" in ask["scopes"], "asked over", ask)


# ---- 3: an abort that does not take (first, because it takes longest) ------------------------------------------------

@test("an abort that changes nothing is tried once more, then told; two such sessions restart nothing, three do, once")
def three_that_stay(place):
    home = SessionHome(place)
    home.do('hang("lies", "claim")', 'hang("denies", "deny")', 'drip("moves")')
    runs = {name: home.run_of(name) for name in ("lies", "denies")}
    for name in runs:
        failed = home.wait_session("abort_failed", name, seconds=SESSION_S + 2 * VERIFY_S + LATE_S)
        expect_equal(failed["evidence"]["attempts"], 2, "attempts")
        first, second = home.aborts(name)
        expect_abort(first, name, runs[name])
        expect_abort(second, name)
    expect_equal(home.trail("lies"), ["stuck", "aborted", "aborted", "abort_failed"], "what was told of it")
    expect_equal(home.trail("denies"), ["stuck", "abort_failed"], "what was told of it")
    expect_equal(failed["evidence"]["outcome"], "nothing" if failed["evidence"]["session"].endswith("denies") else "done", "outcome")
    steady(lambda: len(place.starts()) == 1, "restarted for two sessions", 1)
    expect_equal(place.status()["health"]["stuckSessions"], 2, "stuck sessions in the status")
    expect('2 sessions are stuck: "holdfast sessions" lists them' in place.done("status").stdout, place.done("status").stdout)

    home.do(f'hang("refuses", {REFUSED})')
    refused = home.wait_session("abort_failed", "refuses")
    expect("the session is busy" in refused["reason"], refused)
    condemned = home.wait_event("gateway.condemned")
    expect_equal(condemned["evidence"]["stuck"], 3, "stuck sessions")
    expect_equal(condemned["evidence"]["threshold"], 3, "the threshold")
    expect_equal(sorted(condemned["evidence"]["sessions"]), [AGENT + name for name in ("denies", "lies", "refuses")], "sessions")
    first = place.starts()[0]
    place.wait_ready(other_than=first)
    why = condemned["reason"].partition("because ")[2]
    expect(why.startswith("3 sessions were stuck and could not be aborted: agent:main:"), condemned)
    for kind in ("gateway.stopping", "gateway.started"):
        told = home.wait_event(kind, condemned["id"] - 1)
        expect(why in told["reason"], kind, told, why)
    expect_equal(place.status()["health"]["stuckSessions"], 0, "stuck sessions of the next gateway")

    after = home.last()
    names = ("lies", "denies", "refuses")
    home.do(*(f'hang("{name}", {REFUSED})' for name in names))
    for name in names:
        failed = home.wait_session("abort_failed", name, after)
        expect("does not cause another" in failed["reason"], failed)
    steady(lambda: len(place.starts()) == 2, "restarted again for the same sessions", 2)

    after = home.last()
    home.do(*(f'end("{name}")' for name in names))
    for name in names:
        home.wait_session("recovered", name, after)
    home.do(*(f'hang("{name}")' for name in names))
    home.wait_state(**{name: "running" for name in names})
    home.do(*(f'end("{name}")' for name in names))
    home.wait_state(**{name: "idle" for name in names})
    home.do(*(f'hang("{name}", {REFUSED})' for name in names))
    home.wait_event("gateway.condemned", after)
    place.wait_for(lambda: len(place.starts()) == 3, "another gateway", LATE_S)


@test("an abort that is never answered is tried once more; a late end of the run is a recovery")
def never_answered(place):
    home = SessionHome(place)
    home.do('hang("mute", "mute")')
    failed = home.wait_session("abort_failed", "mute", seconds=2 * (VERIFY_S + AGAIN_S) + SESSION_S + LATE_S)
    expect_equal(failed["evidence"]["outcome"], "unreachable", "outcome")
    expect_equal(len(home.aborts("mute")), 2, "aborts")
    expect_equal(home.trail("mute"), ["stuck", "abort_failed"], "what was told of it")
    home.do('end("mute")')
    home.wait_session("recovered", "mute")
    home.expect_same_gateway()


# ---- 5: the gateway's own recovery -----------------------------------------------------------------------------------

@test("the gateway's own recovery has its turn; that it says it has worked is not believed while the run is there")
def own_recovery(place):
    home = SessionHome(place)
    home.do('hang("own")', 'log_stalled("own", recovery="checking")', 'hang("helped")', 'log_stalled("helped", recovery="checking")')
    run = home.run_of("own")
    stuck = home.wait_session("stuck", "own")
    expect(stuck["evidence"]["own_quiet_ms"] == 400000 and "log" in stuck["evidence"]["witnesses"], stuck)
    expect("own recovery" in stuck["reason"], stuck)
    home.wait_session("stuck", "helped")
    home.do('log_recovered("own")', 'end("helped", aborted=True)')
    recovered = home.wait_session("recovered", "helped")
    expect("before it was aborted" in recovered["reason"], recovered)
    aborted = home.wait_session("aborted", "own", seconds=TURN_S + LATE_S)
    waited_s = between(stuck, aborted)
    expect(TURN_S - SESSION_S - 3 <= waited_s, "aborted after", waited_s)
    home.wait_session("recovered", "own")
    ask, = home.aborts()
    expect_abort(ask, "own", run)
    home.expect_same_gateway()


# ---- 1: hung in a model's answer -------------------------------------------------------------------------------------

def only_the_one(place, protocol, others):
    home = SessionHome(place, protocol, gateway={"toolTimeout": f"{TOOL_S * 3}s"})
    home.do(*others, 'hang("hung")')
    run = home.run_of("hung")
    home.wait_state(hung="running", slow="running", tool="running")
    stuck = home.wait_session("stuck", "hung")
    aborted, recovered = home.wait_session("aborted", "hung"), home.wait_session("recovered", "hung")
    evidence = stuck["evidence"]
    expect_equal({name: evidence[name] for name in ("session", "run", "waits", "limit_ms", "queued")},
                 {"session": AGENT + "hung", "run": run, "waits": "model", "limit_ms": SESSION_S * 1000, "queued": 0}, "evidence")
    expect_equal(evidence["witnesses"], ["events", "list" if protocol > OLD else "lock"], "witnesses")
    expect(SESSION_S * 1000 <= evidence["quiet_ms"] < (SESSION_S + LATE_S) * 1000, evidence)
    expect("attempts" not in evidence and "outcome" not in evidence, evidence)
    for event in (aborted, recovered):
        expect_equal((event["evidence"]["run"], event["evidence"]["attempts"], event["evidence"]["outcome"]), (run, 1, "done"),
                     event["kind"])
    expect("no progress" in stuck["reason"] and "waiting for a model" in stuck["reason"], stuck)
    expect("the run has ended" in recovered["reason"], recovered)
    expect_equal(home.trail("hung"), ["stuck", "aborted", "recovered"], "what was told of it")
    expect_equal(len(home.aborts()), 1, "aborts")
    # The others go on beyond the timeout of a session, and end by themselves.
    home.do('end("slow")', 'worked("tool")', 'end("tool")')
    home.wait_state(hung="idle", slow="idle", tool="idle")
    return home, run


@test("of one that hangs, a slow one, one in a tool, one that waits for a person, a queued and an idle one, only the first is aborted")
def hung_in_a_model(place):
    home, run = only_the_one(place, 4, ['drip("slow")', 'work("tool")', 'ask_person("person")', 'queue("queued")', 'idle("idle")'])
    expect_abort(home.aborts("hung")[0], "hung", run)
    standing = {ask["connection"] for ask in home.asked("sessions.list")}
    expect(home.aborts("hung")[0]["connection"] not in standing, "aborted over the standing connection")
    home.wait_state(person="running", queued="running")
    expect_equal(home.sessions()["person"]["waitsFor"], "approval", "what it waits for")
    expect_equal(home.sessions()["queued"]["waitsFor"], "queue", "what it waits for")
    quiet = lambda: home.sessions()["person"]["quietMs"] > TOOL_S * 1000 and home.sessions()["queued"]["quietMs"] > TOOL_S * 1000
    place.wait_for(quiet, "a long silence of those that wait", LATE_S)
    home.expect_touched("hung")
    expect_equal(len(home.aborts()), 1, "aborts")
    home.expect_same_gateway()


@test("2026.2.1: the same by its transcripts and their locks; aborted by a chat message, and told that the queue is lost")
def hung_in_a_model_old(place):
    home, _ = only_the_one(place, OLD, ['drip("slow")', 'work("tool")', 'idle("idle")'])
    expect("Messages that waited" in home.wait_session("aborted", "hung")["reason"], "no word of the queue")
    params = home.aborts("hung")[0]["params"]
    expect_equal((params["sessionKey"], params["message"]), (AGENT + "hung", "[sup] /stop"), "the message")
    home.expect_touched("hung")
    home.expect_same_gateway()


# ---- what only the kernel sees ------------------------------------------------------------------------------------------

PROMPT, STREAMED = 20000, 2000
ASK_MODEL = """\
async def ask_model():
    reader, writer = await asyncio.open_connection("127.0.0.1", %d)
    writer.write(b"p" * %d)
    while await reader.read(4096):
        pass
gateway.asking = later(ask_model())
"""
SOME_WORK = "while :; do i=0; while [ $i -lt 6000 ]; do i=$((i + 1)); done; sleep 0.2; done"
TOOLS = ("tool-0", "tool-1", "tool-2")
WORK_IN_TURN = """\
async def work_in_turn():
    for place in range(3):
        gateway.model.work(f"tool-{place}", %r)
        await asyncio.sleep(0.4)
gateway.working = later(work_in_turn())
"""


class Model:
    """A server that takes one prompt, and answers a little every second until it hangs."""

    def __init__(self):
        self.hangs, self.asked = threading.Event(), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connection = None
        self.thread = threading.Thread(target=self.answer, daemon=True)
        self.thread.start()

    def answer(self):
        self.connection = self.listener.accept()[0]
        missing = PROMPT
        while missing:
            missing -= len(self.connection.recv(missing)) or missing
        self.asked.set()
        while not self.hangs.wait(1):
            self.connection.sendall(b"w" * STREAMED)

    def end(self):
        self.hangs.set()
        self.thread.join()
        self.connection.close()
        self.listener.close()


@test("a model's answer that comes in while the gateway tells nobody holds the judgement back, until it ends")
def hidden_stream(place):
    timeout_s = SESSION_S * 2
    home = SessionHome(place, gateway={"sessionTimeout": f"{timeout_s}s"})
    model = Model()
    # The work of a tool moves its session, and is no answer that somebody receives; one or another moves at any time.
    home.order(ASK_MODEL % (model.port, PROMPT), "gateway.model.hang('writes')", WORK_IN_TURN % SOME_WORK)
    expect(model.asked.wait(LATE_S), "no prompt came")
    home.wait_state(writes="running", **dict.fromkeys(TOOLS, "running"))
    steady(lambda: not home.aborts() and not home.session_events(), "judged while it is answered", timeout_s * 2.5)
    model.hangs.set()
    stuck = home.wait_session("stuck", "writes")
    expect(stuck["evidence"]["quiet_ms"] >= timeout_s * 1000, stuck)
    home.wait_session("recovered", "writes")
    expect_equal(home.trail("writes"), ["stuck", "aborted", "recovered"], "what was told of it")
    home.expect_touched("writes")
    home.do(*(f'of("{name}").process.kill()' for name in TOOLS))
    model.end()


@test("a run that came through a channel is found by a change; it is judged by the gateway's log, and by its silence with the "
      "limit for tools")
def hidden(place):
    home = SessionHome(place, gateway={"sessions": [{"key": AGENT + "hung", "sessionTimeout": f"{SESSION_S}s", "toolTimeout": "1h"}]})
    home.place.wait_for(lambda: home.asked("sessions.subscribe"), "subscription to changes", LATE_S)
    lists = len(home.asked("sessions.list"))
    home.do('hang_hidden("hung")', 'hang_hidden("silent")')
    home.wait_state(hung="running", silent="running")
    place.wait_for(lambda: {ask["params"]["key"] for ask in home.asked("sessions.messages.subscribe")} ==
                   {AGENT + "hung", AGENT + "silent"}, "subscriptions to both", LATE_S)
    home.do('word("hung")')
    stuck = home.wait_session("stuck", "silent")
    expect_equal((stuck["evidence"]["waits"], stuck["evidence"]["limit_ms"], sorted(stuck["evidence"]["witnesses"])),
                 ("tool", TOOL_S * 1000, ["list", "silence"]), "evidence")
    home.wait_session("recovered", "silent")
    place.wait_for(lambda: home.sessions()["hung"]["quietMs"] > TOOL_S * 1000, "a long silence", LATE_S)
    expect_equal(home.session_events("hung"), [],
                 "what was told of the other without the log")
    home.do('log_stalled("hung")')
    stuck = home.wait_session("stuck", "hung")
    expect_equal((stuck["evidence"]["waits"], stuck["evidence"]["own_quiet_ms"], sorted(stuck["evidence"]["witnesses"])),
                 ("model", 400000, ["list", "log", "silence"]), "evidence")
    home.wait_session("recovered", "hung")
    expect_equal(len(home.aborts("hung")), 1, "aborts")
    place.wait_for(lambda: [ask["params"]["key"] for ask in home.asked("sessions.messages.unsubscribe")] ==
                   [AGENT + "silent", AGENT + "hung"], "subscriptions that are taken back", LATE_S)
    expect_equal(len(home.asked("sessions.list")), lists, "lists that were read")
    expect_equal(len(home.asked("sessions.subscribe")), 1, "subscriptions to changes")
    home.expect_touched("hung", "silent")
    home.expect_same_gateway()


# ---- 2: hung in a tool -----------------------------------------------------------------------------------------------

WORKING = "while :; do i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; sleep 0.2; done"


def hung_tool(place, protocol):
    """One whose tool's process sleeps; beside it, before that, one whose process works."""
    home = SessionHome(place, protocol)
    home.do(f'work("works", {WORKING!r})')
    works = home.place.wait_for(lambda: home.sessions().get("works"), "session that works")
    expect_equal(works["state"], "running", "its state")
    place.wait_for(lambda: home.sessions()["works"]["waitsFor"] == "tool", "the tool's start", LATE_S)
    # Longer than its timeout.
    began = time.monotonic()
    place.wait_for(lambda: time.monotonic() - began > TOOL_S * 2, "the time of two timeouts", TOOL_S * 3)
    expect_equal(home.session_events(), [], "what was told of one whose process works")
    home.order("import signal", "os.killpg(gateway.model.of('works').process.pid, signal.SIGSTOP)")
    stuck = home.wait_session("stuck", "works")
    expect_equal((stuck["evidence"]["waits"], stuck["evidence"]["tool"], stuck["evidence"]["limit_ms"]), ("tool", "exec", TOOL_S * 1000),
                 "evidence")
    expect("waiting for the tool exec" in stuck["reason"], stuck)
    home.wait_session("recovered", "works")
    expect_equal(len(home.aborts("works")), 1, "aborts")
    home.expect_same_gateway()


@test("hung in a tool: aborted after toolTimeout, and not while a process that was started with the tool uses CPU")
def hung_in_a_tool(place):
    hung_tool(place, 4)


@test("2026.2.1: hung in a tool: its transcript says so, and its process counts as well")
def hung_in_a_tool_old(place):
    hung_tool(place, OLD)


# ---- 4: it moves right before the abort ------------------------------------------------------------------------------

@test("what moves between the judgement and the abort, or runs another run by then, is not aborted")
def moves_before(place):
    home = SessionHome(place)
    home.order("gateway.model.before_abort = lambda session: gateway.model.word(session.key)", "gateway.model.hang('moves')")
    recovered = home.wait_session("recovered", "moves")
    expect_equal(recovered["evidence"]["outcome"], "moved", "outcome")
    home.do('end("moves")')
    home.wait_state(moves="idle")
    home.order("def again(session):", "    session.started_ms += 1", "gateway.model.before_abort = again", "gateway.model.hang('other')")
    recovered = home.wait_session("recovered", "other")
    expect_equal(recovered["evidence"]["outcome"], "moved", "outcome")
    home.do('end("other")')
    home.wait_state(other="idle")
    expect_equal(home.aborts(), [], "aborts")
    home.expect_same_gateway()


# ---- 6: what people want ---------------------------------------------------------------------------------------------

@test("autoRestart.onStuckSessions: false: told, not restarted; patterns of gateway.sessions have timeouts of their own")
def not_restarted(place):
    home = SessionHome(place, gateway={"autoRestart": {"onStuckSessions": False, "threshold": 1},
                                       "sessions": [{"key": "agent:main:patient*", "sessionTimeout": "60s"},
                                                    {"key": "agent:*", "sessionTimeout": "1s"}]})
    home.do('hang("patient-1")', f'hang("refuses", {REFUSED})', 'hang("quick")')
    expect_equal(home.wait_session("stuck", "quick")["evidence"]["limit_ms"], 1000, "its limit")
    home.wait_session("abort_failed", "refuses")
    left = home.wait_event("gateway.left_alone")
    expect("refuses" in json.dumps(left), left)
    home.wait_session("recovered", "quick")
    steady(lambda: len(place.starts()) == 1, "restarted", 1)
    seen = home.sessions()
    expect_equal((seen["patient-1"]["state"], seen["patient-1"]["limitMs"]), ("running", 60000), "the patient one")
    expect_equal((seen["refuses"]["state"], seen["refuses"]["attempts"]), ("failed", 2), "the one that is stuck")
    expect_equal(seen["quick"]["state"], "idle", "the quick one")
    home.expect_touched("refuses", "quick")
    home.expect_same_gateway()


@test("paused: nothing is aborted until it is resumed, but for what a person wants")
def paused(place):
    home = SessionHome(place)
    place.done("pause")
    home.do('hang("hung")', 'drip("moves")')
    home.wait_state(hung="running", moves="running")
    place.wait_for(lambda: home.sessions()["hung"]["quietMs"] > SESSION_S * 1000, "a long silence", LATE_S)
    steady(lambda: not home.aborts(), "aborted while paused", 1)
    expect_equal(home.session_events(), [], "what was told while paused")
    run = home.run_of("moves")
    place.done("abort", AGENT + "moves")
    aborted = home.wait_session("aborted", "moves")
    expect("asked for" in aborted["reason"], aborted)
    home.wait_session("recovered", "moves")
    expect_abort(home.aborts()[0], "moves", run)
    expect_equal(len(home.aborts()), 1, "aborts while paused")
    place.done("resume")
    home.wait_session("recovered", "hung")
    expect_equal(home.trail("hung"), ["stuck", "aborted", "recovered"], "what was told of it")
    home.expect_same_gateway()


@test("holdfast abort KEY: of one that moves, of an idle and of an unknown one; and not from inside the gateway")
def by_a_person(place):
    home = SessionHome(place)
    home.do('drip("moves")', 'idle("idle")', 'hang("begun")', 'end("begun")')
    home.wait_state(moves="running", begun="idle")
    for name, word in (("begun", "has no run"), ("nobody", "is known")):
        refused = place.command("abort", AGENT + name)
        expect(refused.returncode != 0 and word in refused.stderr, name, refused)
    home.order("import subprocess",
               f"subprocess.Popen(['holdfast', 'abort', {AGENT + 'moves'!r}, *{place.where()!r}], stderr=open('inside.part', 'w'),"
               " env={**os.environ, 'PATH': os.environ['PATH']})")
    inside = place.root / "inside.part"
    place.wait_for(lambda: inside.exists() and inside.read_text().endswith("\n"), "answer to who is inside", LATE_S)
    expect("from inside the gateway" in inside.read_text(), inside.read_text())
    expect_equal(home.aborts(), [], "aborts")
    run = home.run_of("moves")
    told = place.done("abort", AGENT + "moves").stdout
    expect("holdfast events" in told, told)
    home.wait_session("recovered", "moves")
    expect_abort(home.aborts()[0], "moves", run)
    expect_equal(home.trail("moves"), ["aborted", "recovered"], "what was told of it")
    home.expect_same_gateway()


# ---- 7: kill -9 ------------------------------------------------------------------------------------------------------

def kill_some(home, *names):
    """The supervisor and its sentry, or one of them; whoever is needed again comes back."""
    place = home.place
    sentry, connections = place.workers()["sentry"], len({ask["connection"] for ask in home.asked("sessions.list")})
    if "supervisor" in names:
        place.runs[-1].kill()
        place.runs[-1].wait()
    if "sentry" in names:
        kill(sentry)
    if "supervisor" in names:
        home.run()
        place.wait_for(lambda: place.status()["gateway"]["pid"] == place.starts()[0], "gateway that was adopted")
    if "sentry" in names:
        place.wait_workers(other_than=[sentry])
        home.wait_linked(connections + 1)


def killed(place, *names):
    """While one hangs; and while its abort is under way."""
    home = SessionHome(place)
    home.do('drip("moves")', 'hang("first")')
    home.wait_state(moves="running", first="running")
    kill_some(home, *names)
    # Nobody has seen it move, and nobody knows it any more: then the gateway's own log has to say that it hangs.
    home.do('log_stalled("first")')
    home.wait_session("recovered", "first")
    expect_equal(len(home.aborts("first")), 1, "aborts")

    home.do('hang("second", "mute")')
    place.wait_for(lambda: home.aborts("second"), "an abort under way", LATE_S)
    kill_some(home, *names)
    home.order("gateway.model.of('second').abort = 'obey'", "gateway.model.log_stalled('second')")
    home.wait_session("recovered", "second", seconds=20 + 2 + LATE_S)
    expect_equal(home.status_of("second"), "idle", "the session")
    expect(not home.aborts("moves"), "another was aborted")
    home.expect_touched("first", "second")
    expect_equal(home.status_of("moves"), "running", "the other session")
    home.expect_same_gateway()


@test("kill -9 of the supervisor while a session hangs and while an abort is under way: it is aborted all the same")
def supervisor_killed(place):
    killed(place, "supervisor")


@test("kill -9 of the sentry while a session hangs and while an abort is under way: it is aborted all the same")
def sentry_killed(place):
    killed(place, "sentry")


@test("kill -9 of both while a session hangs and while an abort is under way: it is aborted all the same")
def both_killed(place):
    killed(place, "supervisor", "sentry")


@test("2026.2.1: kill -9 of the sentry while a session hangs: it is aborted all the same")
def sentry_killed_old(place):
    home = SessionHome(place, OLD)
    home.do('hang("hung")')
    home.wait_state(hung="running")
    kill_some(home, "sentry")
    home.wait_session("recovered", "hung")
    expect_equal(len(home.aborts("hung")), 1, "aborts")
    expect_equal(home.status_of("hung"), "idle", "the session")
    home.expect_same_gateway()


# ---- 8: time that nobody watched ---------------------------------------------------------------------------------------

@test("a gateway that stood still for longer than the timeout: what goes on then is not aborted")
def stood_still(place):
    home = SessionHome(place)
    home.do('drip("moves")', 'hang("thinks")', 'drip("later", 0.9)')
    home.wait_state(moves="running", thinks="running", later="running")
    home.do('word("thinks")')
    gateway = place.starts()[0]
    os.kill(gateway, signal.SIGSTOP)
    stopped = time.monotonic()
    try:
        steady(lambda: not home.session_events(), "told of a session while nobody could see it", SESSION_S * 2)
    finally:
        os.kill(gateway, signal.SIGCONT)
    expect(time.monotonic() - stopped > SESSION_S, "it stood too short")
    steady(lambda: not home.session_events(), "took the time it stood for silence", SESSION_S * 0.4)
    home.do('word("thinks")')
    steady(lambda: not home.session_events(), "took the time it stood for silence", SESSION_S * 0.4)
    expect_equal(home.aborts(), [], "aborts")
    home.wait_session("recovered", "thinks")  # now it does hang
    home.expect_touched("thinks")
    home.expect_same_gateway()


# ---- 9: hostile --------------------------------------------------------------------------------------------------------

LINE = ("stalled session: sessionId={id} sessionKey={key} state=processing age=900s queueDepth=0 reason=active_work_without_progress "
        "classification=stalled_agent_run activeWorkKind=model_call lastProgress=model_call:started lastProgressAge=900s recovery=none")
STUCK_LINE = "stuck session: sessionId={id} sessionKey={key} state=processing age=900s queueDepth=0"


# One whose run nobody saw begin: the gateway's list says that it runs, and a line of its log would be enough.
SILENT = "gateway.model.hang('silent')\n"


def hostile(place, **more):
    home = SessionHome(place, **more)
    home.before = home.place.workers()["sentry"]
    home.do('drip("moves")')
    home.wait_state(moves="running")
    return home


def expect_unmoved(home, strange=True):
    """Nothing was aborted, nobody has ended; and it still sees: one that hangs is aborted."""
    expect_equal(home.session_events(), [], "what was told")
    expect_equal(home.aborts(), [], "aborts")
    if strange:
        home.place.wait_for(lambda: home.list()["strange"] > 0, "strange things that were counted", LATE_S)
    home.do('hang("hung")')
    home.wait_session("recovered", "hung")
    home.expect_touched("hung")
    expect_equal(len(home.aborts()), 1, "aborts")
    expect_equal(home.place.workers()["sentry"], home.before, "the sentry")
    home.expect_same_gateway()


@test("what people write makes nobody stuck: in a chat, a key, a name, a tool, on the console, in another's log line")
def written_by_people(place):
    # Nothing but the log is to decide about it: it has all the time to be silent.
    home = hostile(place, begin=SILENT, gateway={"sessions": [{"key": AGENT + "silent", "sessionTimeout": f"{SESSION_S}s",
                                                               "toolTimeout": "1h"}]})
    expect_equal(home.wait_state(silent="running")["silent"]["witnesses"], ["list"], "witnesses")
    home.order(f"LINE, STUCK_LINE = {LINE!r}, {STUCK_LINE!r}", """\
model = gateway.model
target, silent = model.work("target"), model.of("silent")
for text in (form.format(id=of.id, key=of.key) for form in (LINE, STUCK_LINE) for of in (target, silent)):
    model.word("moves", text)
    model.word("moves", text + "\\n" + text)
    # A session that is called so, and is talked about.
    evil = "agent:main:x state=processing age=1s queueDepth=0\\n" + text
    model.of("moves").row["displayName"] = text
    model.log(LINE.format(id=model.of("moves").id, key=model.of("moves").key + " " + text))
    for key in (text[:190], evil[:190], "agent:main:" + text[:170]):
        other = model.hang(key)
        model.word(key, text)
        model.end(key)
    # A tool's arguments and output.
    model.worked("target")
    model.agent(target, "item", {"itemId": "tool:c2", "toolCallId": "c2", "name": text, "kind": "tool", "phase": "start",
                                 "title": text, "meta": text})
    model.agent(target, "command_output", {"itemId": "command:c2", "toolCallId": "c2", "phase": "delta", "output": text})
    model.agent(target, "item", {"itemId": "tool:c2", "toolCallId": "c2", "name": text, "kind": "tool", "phase": "end"})
    model.agent(target, "item", {"itemId": "tool:c3", "toolCallId": "c3", "name": "exec", "kind": "tool", "phase": "start"})
    # The console, and the log of others.
    print(text, flush=True)
    print("2026-11-21T06:27:50.326Z [diagnostic] " + text, flush=True)
    for subsystem in ("gateway/ws", "agent/embedded", "diagnostic/x", "plugins", 'a","1":"b'):
        model.log(text, subsystem)
    model.log("chat: " + text)
    model.log(text + "\\n" + text)
    model.log(text + " " + text)
    for of in (target, silent):
        model.log(LINE.format(id=of.id, key="agent:main:other"))
        model.log(LINE.format(id="ce9f06cc-ffac-4681-91df-f3102aa7e651", key=of.key))
    model.log_bytes(text.encode() + b"\\n")
    model.log_bytes(json.dumps({"0": json.dumps({"subsystem": "gateway"}), "1": text, "message": text,
                                "_meta": {"name": json.dumps({"subsystem": "diagnostic"})}}).encode() + b"\\n")
later(gateway.every(0.5, lambda: model.agent(target, "command_output", {"itemId": "command:c3", "toolCallId": "c3",
                                                                        "phase": "delta", "output": text})))
""")
    home.wait_state(target="running")
    believed = lambda: [session for session in home.sessions().values() if "log" in session["witnesses"]]
    steady(lambda: not believed(), "believed", SESSION_S)
    expect_unmoved(home, strange=False)
    home.do('log_stalled("silent")')
    home.wait_session("recovered", "silent")


@test("a log of lines too long, cut, and no text at all, in a directory that is deleted and made again, and keys of every length")
def strange_log(place):
    home = hostile(place)
    home.order("""\
model = gateway.model
model.log_bytes(b"x" * (1 << 20) + b"\\n")
model.log_bytes(b'{"0":"{\\\\"subsystem\\\\":\\\\"diagnostic\\\\"}","1":"stuck session: sess')
model.log_bytes(b"\\n\\xff\\xfe\\x80\\0\\0\\xc3(\\n{\\n[]\\n\\"\\n" + b"[" * 5000 + b"\\n")
for key in ("agent:main:\\x1b[2Jx", "agent:main:\\0x", 'agent:main:"q\\\\"', "agent:main:" + "k" * 180, "agent:main:" + "k" * 181,
            "agent:main:" + "k" * 4989, "agent:main:\\ud800"):
    model.hang(key)
    model.log_stalled(key)
    model.word(key)
    model.end(key)
""")
    home.place.wait_for(lambda: home.list()["strange"] > 0, "a line that was too long", LATE_S)
    shown = [session["key"] for session in home.list()["sessions"]]
    expect("agent:main:" + "k" * 180 in shown and not any("k" * 181 in key for key in shown), "keys that are known", shown)
    expect("\x1b" not in place.command("sessions", "--all").stdout, "a control character on the terminal")
    shutil.rmtree(home.log_directory)
    home.do('word("moves")')
    home.log_directory.mkdir()
    home.do('log_stalled("moves", 1)')
    place.wait_for(lambda: "log" in home.sessions()["moves"]["witnesses"] or home.do('log_stalled("moves", 1)'),
                   "a log that is heard again", LATE_S)
    expect_unmoved(home)


SHAPES = """\
import itertools, random
model = gateway.model
random.seed(7)
deep = "[" * 100 + "]" * 100
foreign = {"key": "agent:main:foreign", "sessionId": "x", "status": "running", "hasActiveRun": True, "startedAt": 1}
def shapes(message):
    id = json.dumps(message["id"])
    for payload in ("null", "[]", "{}", "7", '"text"', '{"session":[]}', '{"session":{}}', '{"session":{"key":7,"status":7}}',
                    '{"session":{"key":["a"]}}', '{"session":"x"}', '{"sessions":{}}', '{"sessions":[7,null,"x",[],{}]}',
                    '{"sessions":[{"key":7},{"key":"","status":"running"}]}', '{"sessions":' + deep + '}',
                    '{"session":' + json.dumps(foreign) + '}', '{"session":{"key":"agent:main:moves","status":{},"startedAt":"x"}}',
                    '{"7":{"8":9},"sessions":[{"1":2}]}', json.dumps({"sessions": [{"key": "agent:main:moves", "fill": "x" * 200000}]}),
                    json.dumps({"session": {"key": "agent:main:moves", "fill": ["x"] * 50000}})):
        yield [f'{{"type":"res","id":{id},"ok":true,"payload":{payload}}}']
    yield [f'{{"type":"res","id":{id},"ok":true}}']
    yield [f'{{"type":"res","id":{id},"ok":"yes"}}']
    yield [f'{{"type":"res","id":{id}}}']
    yield [f'{{"type":"res","id":{id},"ok":false}}']
    yield [f'{{"type":"res","id":{id},"ok":false,"error":[]}}']
    yield [f'[{id}]', "not JSON", "", "{", f'{{"type":"res","id":{id},"ok":true,"payload":{{"session"', '"x"']
    yield ['{"type":"res","id":"h99999","ok":true,"payload":{"session":null}}', '{"type":"res","id":7,"ok":true}',
           '{"type":"res","id":"connect","ok":true}', '{"type":"res","id":"h","ok":true}', b"\\xff\\xfe\\0"]
kinds = itertools.cycle(range(len(list(shapes({"id": "x"})))))
def answer(message):
    with open("shaped", "a") as file:
        file.write(".")
    return list(shapes(message))[next(kinds)]
gateway.raw = {"sessions.describe": answer, "sessions.list": answer}
"""


@test("answers of every wrong shape, and events that are cut, huge and deep: counted, and nobody is touched for it")
def wrong_shapes(place):
    home = hostile(place)
    home.order(SHAPES, 'model.drip("other", 0.6)')
    home.order("""\
model = gateway.model
run, key = model.of("moves").run, model.of("moves").key
deep = '{"a":' * 100 + "1" + "}" * 100
for text in ('{"type":"event","event":"agent","payload":{"runId":"%s","stream":"lifecycle","data":' % run,
             '{"type":"event","event":"agent","payload":{"runId":"%s","stream":"lifecycle","data":%s,"sessionKey":"%s"}}' % (run, deep, key),
             '{"type":"event","event":"agent","payload":{"runId":"%s","stream":"item","data":{"fill":"%s"}}}' % (run, "x" * 500000),
             '{"type":"event","event":"agent","payload":[]}', '{"type":"event","event":"agent"}', '{"type":"event","event":"chat","payload":7}',
             '{"type":"event","event":"agent","payload":{"runId":7,"stream":{},"data":[],"sessionKey":{}}}',
             '{"type":"event","event":"agent","payload":{"runId":"","stream":"","sessionKey":""}}',
             '{"type":"event","event":"chat","payload":{"runId":"%s","sessionKey":"%s","state":"delta","message":%s}}' % (run, key, deep),
             '{"type":"event","event":"agent","payload":{"sessionKey":"%s","stream":"lifecycle","data":{"phase":"end"}}}' % key,
             '{"event":"agent","payload":{"runId":"%s","stream":"lifecycle","data":{"phase":"end"}}}' % run):
    model.tell(text)
""")
    shaped = place.root / "shaped"
    place.wait_for(lambda: shaped.exists() and shaped.stat().st_size >= 12, "answers of many shapes", 12 * 10 + LATE_S)
    home.order("gateway.raw = {}")
    expect_unmoved(home)


@test("right before an abort and after it: an answer that makes no sense aborts nobody, and proves nothing")
def wrong_answers_to_aborts(place):
    home = SessionHome(place, gateway={"autoRestart": {"threshold": 1, "onStuckSessions": False}})
    answers = ('{"type":"res","id":"%s","ok":true}', '{"type":"res","id":"%s","ok":true,"payload":{"status":["aborted"]}}')
    home.order(f"ANSWERS = {answers!r}", """\
answers = iter(ANSWERS)
gateway.raw = {"sessions.abort": lambda message: [next(answers) % message["id"]]}
gateway.model.hang("hung")
""")
    failed = home.wait_session("abort_failed", "hung")
    expect_equal(failed["evidence"]["outcome"], "refused", "outcome")
    expect_equal(home.trail("hung"), ["stuck", "abort_failed"], "what was told of it")
    home.do('end("hung")')
    home.wait_session("recovered", "hung")
    home.wait_state(hung="idle")
    # The last look before an abort names another session, or none.
    after = home.last()
    home.order("""\
model = gateway.model
rows = iter((model.row(model.of("other")), [], "x", None))
def describe(params, usual=gateway.methods["sessions.describe"]):
    return usual(params) if not model.is_last_look else {"session": next(rows, None)}
gateway.methods["sessions.describe"] = describe
model.hang("wrong")
""")
    failed = home.wait_session("abort_failed", "wrong", after, seconds=SESSION_S + 2 * VERIFY_S + LATE_S)
    expect_equal(failed["evidence"]["outcome"], "nothing", "outcome")
    expect_equal(home.aborts("wrong") + home.aborts("other"), [], "aborts")
    home.expect_same_gateway()


# ---- 10: the chat ------------------------------------------------------------------------------------------------------

@test("the chat is told of an abort only where that is wished: in its own channel, or in the transcript")
def told_in_the_chat(place):
    home = SessionHome(place, gateway={"notifyChat": True})
    home.do('hang("web", lastChannel="webchat", lastTo="x")',
            'hang("phone", deliveryContext={"channel": "telegram", "to": "telegram:77", "accountId": "work"})')
    for name in ("web", "phone"):
        home.wait_session("recovered", name)
    inject, = place.wait_for(lambda: home.asked("chat.inject"), "a sentence in the transcript", LATE_S)
    send, = place.wait_for(lambda: home.asked("send"), "a sentence in the channel", LATE_S)
    expect_equal(inject["params"]["sessionKey"], AGENT + "web", "the session")
    expect_equal({name: send["params"][name] for name in ("channel", "to", "accountId")},
                 {"channel": "telegram", "to": "telegram:77", "accountId": "work"}, "the channel")
    for ask in (inject, send):
        expect("made no progress" in ask["params"]["message"], ask)
    expect(send["params"]["idempotencyKey"], "no name that is used once")
    home.expect_same_gateway()


@test("the chat is not told by default")
def not_told_in_the_chat(place):
    home = SessionHome(place)
    home.do('hang("web")', 'hang("phone", deliveryContext={"channel": "telegram", "to": "telegram:77"})')
    for name in ("web", "phone"):
        home.wait_session("recovered", name)
    expect_equal(home.asked("chat.inject") + home.asked("send"), [], "sentences to chats")


if __name__ == "__main__":
    sys.exit(main(at_once=10))
