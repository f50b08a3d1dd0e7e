#!/usr/bin/env python3
"""What an incident was: reports of autopsies on their way into the store, and `holdfast explain` for people and programs.

usage: explain_test.py RECORDER WORKER_HARNESS (holdfast is found in the same build)
"""
import contextlib
import fcntl
import json
import os
import pathlib
import pty
import sqlite3
import struct
import subprocess
import sys
import termios

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from recorder_test import ENVIRONMENT, HARNESS, PATIENCE_S, RECORDER, check, events_command, main, small_disk, supervised  # noqa: E402

HOLDFAST = pathlib.Path(RECORDER).parent.parent / "holdfast"
BEGAN_MS = 1795252458168  # 2026-11-21T09:14:18.168Z
INCIDENT = 1795252000

tests = []


def test(function):
    tests.append(function)
    return function


def report(**more):
    return {"generation": 3, "pid": 4242, "began_ms": BEGAN_MS + 43000, "took_ms": 713, "cause": "javascript",
            "sentence": "The event loop was running JavaScript in spin (/home/me/plugins/spin.js:12:5).",
            "advice": "Look at /home/me/plugins/spin.js, line 12, or leave that plugin out.", "opened": True,
            "process": {"state": "R", "wchan": None, "syscall": None, "rss_bytes": 812000000, "swap_bytes": 0, "threads": 14},
            "threads": [], "frames": [{"function": "spin", "file": "/home/me/plugins/spin.js", "line": 12, "column": 5},
                                      {"function": None, "file": "/home/me/plugins/spin.js", "line": 40, "column": 1}],
            "children": [{"pid": 4300, "parent": 4242, "state": "S", "age_ms": 60000, "cpu_ms": 10, "command": "sleep 600"}],
            "locks": "not visible", "sockets": "not visible", "listen_queue": 2, "pressure": {},
            "console": [f"line {number}" for number in range(20)] + ["", "again", "again", "again"], **more}


def explain(state, *words, program=None, timezone="UTC"):
    command = [RECORDER, "explain", "--state-dir", str(state)] if program is None else [str(program), "explain"]
    return subprocess.run([*command, *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False,
                          env={**ENVIRONMENT, "TZ": timezone, "HOLDFAST_STATE_DIR": str(state)})


@contextlib.contextmanager
def recording(directory):
    """A recorder that has a state and a runtime directory."""
    state, runtime = directory / "state", directory / "runtime"
    for path in (state, runtime):
        path.mkdir(mode=0o700, exist_ok=True)
    with supervised(state, "--set", f"runtime_dir={runtime}") as supervisor:
        supervisor.start()
        yield supervisor, state, runtime


def autopsy(supervisor, name="autopsy.3.json", incident=INCIDENT, seconds=46):
    supervisor.event(kind="gateway.autopsy", incident=incident, time_ms=BEGAN_MS + seconds * 1000, severity=0,
                     reason="The event loop was running JavaScript in spin (/home/me/plugins/spin.js:12:5).",
                     evidence={"generation": 3, "cause": "javascript", "report": name, "opened": True, "took_ms": 713})


def a_hang(supervisor):
    """The story of a gateway that hangs, from the first sign to the recovery."""
    supervisor.event(kind="gateway.started", time_ms=BEGAN_MS - 3600000, severity=0)
    supervisor.event(kind="gateway.suspected", time_ms=BEGAN_MS, reason="The gateway (pid 4242) is looked at closely.")
    supervisor.event(kind="gateway.condemned", incident=INCIDENT, time_ms=BEGAN_MS + 43000, severity=2,
                     reason="The gateway (pid 4242) is replaced, because it hangs.",
                     evidence={"generation": 3, "pid": 4242, "silent_ms": 53000, "blocked_ms": 43000, "unanswered": 34,
                               "queue": 2, "state": "R", "probe": "L7TOUT", "link": "WSTICK", "main_permille": 998,
                               "others_permille": 13, "witnesses": ["unanswered", "pinned"], "held": ["late", "another"]})
    autopsy(supervisor)
    supervisor.event(kind="gateway.killed", incident=INCIDENT, time_ms=BEGAN_MS + 48000,
                     reason="The gateway (pid 4242) and its whole tree are killed, because it hangs.")
    supervisor.event(kind="gateway.started", incident=INCIDENT, time_ms=BEGAN_MS + 48100, severity=0,
                     reason="The gateway was started (pid 4400).")
    supervisor.event(kind="gateway.recovered", incident=INCIDENT, time_ms=BEGAN_MS + 60000, severity=0,
                     reason="The gateway is ready again after 17 s.", evidence={"value": 17000})


def reports_in(state):
    with contextlib.closing(sqlite3.connect(f"file:{state}/events.db?mode=ro", uri=True)) as database:
        return [json.loads(row[0]) for row in database.execute("SELECT report FROM autopsies ORDER BY event")]


def missing_in(state):
    evidence = json.loads(events_command(state, "--json", "--kind", "gateway.autopsy").stdout.splitlines()[-1])["evidence"]
    return evidence.get("missing")


@test
def a_hang_is_told_with_what_was_seen_what_was_done_where_it_hung_what_it_cost_and_what_to_do(directory):
    with recording(directory) as (supervisor, state, runtime):
        (runtime / "autopsy.3.json").write_text(json.dumps(report()))
        a_hang(supervisor)
        supervisor.wait_until_acknowledged()
        check(not (runtime / "autopsy.3.json").exists(), "the file is gone once its report is stored")
        supervisor.finish()
    told = explain(state)
    check(told.returncode == 0 and told.stderr == "", told.stderr)
    for line in told.stdout.splitlines():
        print(f"#   {line}")
    for part in (f"Incident {INCIDENT} began on 2026-11-21 at 09:14:18 (UTC) and was over after 60 s.",
                 "09:14:18        +0.0 s  The gateway (pid 4242) is looked at closely.",
                 "09:15:01         +43 s  The gateway (pid 4242) is replaced, because it hangs.",
                 "last proved to be well 53 s before", "34 probes in a row had no answer (L7TOUT", "state R", "99 %",
                 "2 connections waited", "probes without an answer, a main thread that ran without pause.",
                 "What spoke for waiting: Holdfast itself was late, another.", "in spin (/home/me/plugins/spin.js:12:5)",
                 "/home/me/plugins/spin.js:12:5\n", "(anonymous)", "sleep 600", "812 MB", "| again  (3 times)", "| line 19",
                 "For 60 s, from the first sign at 09:14:18 to the proved recovery at 09:15:18, nobody was answered.", "started once.", "leave that plugin out."):
        check(part in told.stdout, f"{part!r} is not in what is told")
    check("| line 3\n" not in told.stdout, "only the last lines are shown")
    check(len(told.stdout.splitlines()) <= 50, f"one screen, not {len(told.stdout.splitlines())} lines")
    check("| line 3\n" in explain(state, "--console").stdout, "--console shows all lines")
    check("10:14:18" in explain(state, timezone="UTC-1").stdout, "times are local")
    check(explain(state, str(INCIDENT), program=HOLDFAST).stdout == told.stdout, "holdfast explain tells the same by number")
    check(explain(state, program=HOLDFAST).stdout == told.stdout, "and without one")


@test
def for_programs_it_is_one_object_with_everything_in_it(directory):
    with recording(directory) as (supervisor, state, runtime):
        (runtime / "autopsy.3.json").write_text(json.dumps(report(), indent=1))
        a_hang(supervisor)
        supervisor.wait_until_acknowledged()
        supervisor.finish()
    told = json.loads(explain(state, "--json").stdout)
    check(told["incident"]["id"] == INCIDENT and told["incident"]["kind"] == "gateway.condemned", told["incident"])
    check(told["incident"]["durationMs"] == 60000 and told["incident"]["severity"] == "error", told["incident"])
    check([event["kind"] for event in told["events"]] ==
          ["gateway.suspected", "gateway.condemned", "gateway.autopsy", "gateway.killed", "gateway.started",
           "gateway.recovered"], "the events in their order, the suspicion first")
    check(told["report"] == report(), "the whole report")
    check(told["advice"] == report()["advice"], told["advice"])


@test
def on_a_terminal_lines_are_broken_between_words(directory):
    with recording(directory) as (supervisor, state, runtime):
        (runtime / "autopsy.3.json").write_text(json.dumps(report(sentence="many words " * 40, console=["x" * 200])))
        a_hang(supervisor)
        supervisor.wait_until_acknowledged()
        supervisor.finish()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 70, 0, 0))
    process = subprocess.Popen([RECORDER, "explain", "--state-dir", str(state)], stdout=theirs, env=ENVIRONMENT)
    os.close(theirs)
    told = b""
    with contextlib.suppress(OSError):  # EIO: the other end is closed
        while piece := os.read(ours, 4096):
            told += piece
    os.close(ours)
    check(process.wait(PATIENCE_S) == 0, "it ends well")
    lines = told.decode().replace("\r", "").splitlines()
    check(all(len(line) <= 70 or line.startswith("  | ") for line in lines), [line for line in lines if len(line) > 70])
    check(any(len(line) > 60 for line in lines), "and not before they have to be")
    check(" ".join(told.decode().split()).count("many words") == 40, "no word is lost")


@test
def without_any_incident_and_with_an_unknown_number_one_sentence_is_said(directory):
    none = explain(directory)
    check(none.returncode == 0 and none.stdout.count("\n") == 1 and none.stderr == "", none)
    check(json.loads(explain(directory, "--json").stdout)["incident"] is None, "null for programs")
    with recording(directory) as (supervisor, state, _):
        supervisor.event()
        supervisor.wait_until_acknowledged()
        check(explain(state).stdout == none.stdout, "events are no incidents")
        a_hang(supervisor)
        supervisor.wait_until_acknowledged()
        for words, code in ((["7"], 1), (["7", "--json"], 1), (["seven"], 2), (["0"], 2), (["1", "2"], 2), (["--no"], 2)):
            answer = explain(state, *words)
            check(answer.returncode == code and answer.stdout == "", f"{words}: {answer}")
        check(explain(state, "7").stderr.count("\n") == 1, "one sentence")
        supervisor.finish()


@test
def a_report_that_cannot_be_kept_keeps_no_event_out_and_what_is_missing_is_said(directory):
    with recording(directory) as (supervisor, state, runtime):
        secret = directory / "secret.json"
        secret.write_text('{"secret":1}')
        (runtime / "autopsy.2.json").write_text('{"cut": "of')
        (runtime / "autopsy.4.json").write_text(json.dumps({"long": "x" * 65536}))
        (runtime / "autopsy.5.json").symlink_to(secret)
        os.mkfifo(runtime / "autopsy.6.json")
        (runtime / "autopsy.7.json").mkdir()
        (runtime / "autopsy.8.json").write_text("[1]")
        (runtime / "autopsy.9.json").write_bytes(b'{"text": "\xff"}')
        (runtime / "autopsy.10.json").write_text("")
        there = sorted(os.listdir(runtime))
        for name, said in (("autopsy.1.json", "was gone"), ("autopsy.2.json", "is damaged"), ("autopsy.4.json", "too long"),
                           ("autopsy.5.json", "could not be read"), ("autopsy.6.json", "is damaged"),
                           ("autopsy.7.json", "is damaged"), ("autopsy.8.json", "is damaged"),
                           ("autopsy.9.json", "is damaged"), ("autopsy.10.json", "is damaged"),
                           ("../secret.json", "is damaged"), ("autopsy..json", "is damaged"), ("autopsy.1.json/", "is damaged"),
                           ("autopsy.1.jsonx", "is damaged"), ("autopsy.1.json\0", "is damaged"), (7, "is damaged"),
                           ("autopsy.123456789012345678901.json", "is damaged"), ("", None), (None, None)):
            autopsy(supervisor, name)
            supervisor.wait_until_acknowledged()
            missing = missing_in(state)
            check(missing is None if said is None else said in missing, f"{name!r}: {missing!r}")
        check(reports_in(state) == [], "none is stored")
        check(sorted(os.listdir(runtime)) == there, "and what lies there is left alone")
        supervisor.event(kind="gateway.recovered", incident=INCIDENT)
        supervisor.wait_until_acknowledged()
        told = explain(state)
        check(told.returncode == 0 and "No report of it is kept." in told.stdout, told)
        supervisor.finish()


@test
def a_report_waits_in_its_file_while_the_disk_is_full(directory):
    state = directory / "state"
    state.mkdir(mode=0o700)
    with small_disk(state, 400000) as mounted, recording(directory) as (supervisor, state, runtime):
        if not mounted:
            print("# no disk of its own here: a directory that is gone takes its place")
            moved = state.rename(directory / "moved")
        else:
            supervisor.event()
            supervisor.wait_until_acknowledged()
            filler = state / "filler"
            with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
        (runtime / "autopsy.3.json").write_text(json.dumps(report(fill="x" * 50000)))
        autopsy(supervisor)
        supervisor.wait_for_store(writable=0)
        check((runtime / "autopsy.3.json").exists(), "the file stays until its report is committed")
        if mounted:
            filler.unlink()
        else:
            moved.rename(state)
        supervisor.wait_for_store(writable=1)
        supervisor.wait_until_acknowledged()
        check(reports_in(state) == [report(fill="x" * 50000)], "then it is stored, once")
        check(not (runtime / "autopsy.3.json").exists(), "and the file is gone")
        supervisor.finish()


@test
def a_recorder_killed_before_it_removed_the_file_leaves_it_to_the_next(directory):
    with recording(directory) as (supervisor, state, runtime):
        file = runtime / "autopsy.3.json"
        file.write_text(json.dumps(report()))
        autopsy(supervisor)
        supervisor.wait_until_acknowledged()
        supervisor.kill()
        file.write_text(json.dumps(report()))  # as if the kill had come between the commit and the removal
        supervisor.acknowledged = 0  # ... and before the acknowledgement
        supervisor.start()
        supervisor.wait_until_acknowledged()
        check(not file.exists(), "an event that comes again removes the file whose report is stored")
        check(len(reports_in(state)) == 1, "which is stored once")
        file.write_text(json.dumps(report()))
        supervisor.event()
        supervisor.wait_until_acknowledged()
        check(file.exists(), "a file that no event names is not touched")
        supervisor.finish()


@test
def hostile_reports_and_reasons_move_no_terminal_and_break_no_json(directory):
    evil = "\x1b[2J\u202eevil\u2028\x7f\u0085"
    with recording(directory) as (supervisor, state, runtime):
        hostile = report(sentence=evil, advice=evil * 100, console=[evil, 7, {"a": 1}, "x" * 9000],
                         frames=[{"function": evil, "file": evil, "line": -1, "column": 1e300}, 5, None],
                         children=[{"command": evil}, []], locks=[{"file": evil}, {"own": 7}, {"waited_for": True}],
                         process={"state": evil, "wchan": 5, "syscall": {"name": evil, "object": {"name": evil}, "path": 1}},
                         listen_queue="not visible", pid=evil)
        (runtime / "autopsy.3.json").write_text(json.dumps(hostile, ensure_ascii=False).replace("\x85", "\\u0085"))
        autopsy(supervisor)
        (runtime / "autopsy.4.json").write_text(json.dumps({"frames": "no", "console": {}, "process": []}))
        autopsy(supervisor, "autopsy.4.json", incident=INCIDENT + 1)
        (runtime / "autopsy.5.json").write_text('{"deep":' + "[" * 500 + "]" * 500 + "}")
        autopsy(supervisor, "autopsy.5.json", incident=INCIDENT + 2)
        supervisor.wait_until_acknowledged()
        told = explain(state, str(INCIDENT))
        check(told.returncode == 0 and not set(told.stdout) & set("\x1b\u202e\u2028\x7f\u0085"), told)
        as_json = explain(state, str(INCIDENT), "--json").stdout
        check(not set(as_json) & set("\x1b\u202e\u2028\x7f\u0085"), "nor as JSON")
        check(json.loads(as_json)["report"]["sentence"] == evil, "where it is whole all the same")
        odd = explain(state, str(INCIDENT + 1))
        check(odd.returncode == 0 and odd.stderr == "" and "Where it hung" in odd.stdout, odd)
        deep = explain(state, str(INCIDENT + 2))
        check(deep.returncode == 0 and "damaged" in deep.stdout, deep)
        check(json.loads(explain(state, str(INCIDENT + 2), "--json").stdout)["report"] is None, "null for programs")
        supervisor.finish()


@test
def a_long_incident_is_cut_in_the_middle_and_says_what_is_left_out(directory):
    with recording(directory) as (supervisor, state, _):
        for number in range(200):
            supervisor.event(kind="gateway.exited", incident=INCIDENT, time_ms=BEGAN_MS + number * 1000,
                             reason=f"The gateway ended for the {number + 1}. time.")
        supervisor.wait_until_acknowledged()
        told = explain(state).stdout
        check("for the 10. time" in told and "for the 11. time" not in told, "the first ones")
        check("for the 187. time" in told and "for the 186. time" not in told and "the 200. time" in told, "the last ones")
        check("... 176 more" in told, "and how many are left out")
        check(told.index("the 187. time") < told.index("the 200. time"), "in their order")
        check("Its end is not recorded" in told and "holdfast status" in told, told)
        check(len(json.loads(explain(state, "--json").stdout)["events"]) == 200, "programs get them all")
        supervisor.finish()


@test
def sessions_that_caused_a_restart_are_named(directory):
    with recording(directory) as (supervisor, state, _):
        supervisor.event(kind="gateway.condemned", incident=INCIDENT, time_ms=BEGAN_MS, severity=2,
                         reason="The gateway (pid 4242) is replaced, because 3 sessions were stuck.",
                         evidence={"stuck": 3, "threshold": 3, "sessions": ["agent:main:a", "agent:main:b", "agent:main:c"]})
        supervisor.wait_until_acknowledged()
        told = explain(state).stdout
        check("agent:main:a, agent:main:b, agent:main:c." in told, told)
        told = " ".join(told.split())
        for part in ("holdfast events --kind 'session.*'", "provider", "gateway.sessions"):
            check(part in told, f"{part!r} is not in the advice: {told}")
        check("makers of the gateway" not in told, "and not the advice for any other verdict")
        supervisor.finish()


@test
def a_suspicion_that_was_cleared_belongs_to_no_later_incident(directory):
    with recording(directory) as (supervisor, state, _):
        supervisor.event(kind="gateway.suspected", time_ms=BEGAN_MS)
        supervisor.event(kind="gateway.cleared", time_ms=BEGAN_MS + 5000)
        supervisor.event(kind="gateway.exited", incident=INCIDENT, time_ms=BEGAN_MS + 60000)
        supervisor.event(kind="gateway.condemned", incident=INCIDENT + 1, time_ms=BEGAN_MS + 90000)
        supervisor.event(kind="gateway.cleared", incident=INCIDENT + 1, time_ms=BEGAN_MS + 91000)
        supervisor.wait_until_acknowledged()
        kinds = [event["kind"] for event in json.loads(explain(state, str(INCIDENT), "--json").stdout)["events"]]
        check(kinds == ["gateway.exited"], kinds)
        check("was over after 1.0 s" in explain(state).stdout, "one that was well after all is over")
        supervisor.finish()


@test
def a_store_that_no_recorder_of_this_version_has_opened_can_be_explained_too(directory):
    with recording(directory) as (supervisor, state, _):
        a_hang(supervisor)
        supervisor.wait_until_acknowledged()
        supervisor.finish()
    with contextlib.closing(sqlite3.connect(state / "events.db")) as database:
        database.executescript("DROP TRIGGER autopsies_go; DROP TABLE autopsies; PRAGMA user_version = 1")
    told = explain(state)
    check(told.returncode == 0 and "was over after 60 s" in told.stdout, told)
    with recording(directory) as (supervisor, state, runtime):
        supervisor.last = supervisor.acknowledged = 8
        (runtime / "autopsy.3.json").write_text(json.dumps(report()))
        autopsy(supervisor, incident=INCIDENT)
        supervisor.wait_until_acknowledged()
        check(reports_in(state) == [report()], "the next recorder makes the table")
        check("leave that plugin out" in explain(state).stdout, "and what was there is there")
        supervisor.finish()


if __name__ == "__main__":
    sys.exit(main(tests))
