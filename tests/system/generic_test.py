#!/usr/bin/env python3
"""The real programs with a generic gateway: its life, what people ask for, and what it gets.

Usage: generic_test.py [WORD...]: only the tests whose names contain one of the words.
BUILD_DIRECTORY says which build is tried (default: build). Prints TAP.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from generic import between, expect_trail, FORKED_TWICE, grandchildren, NO_BACKOFF, refused, SLOW_BACKOFF
from system import (environment_of, expect, expect_equal, free_port, HOLDFAST, is_alive, kill, main, process_state,
                    start_time_of, steady, test, wait_for)


# ---- a gateway's life -----------------------------------------------------------------------------------------------

@test("a gateway is started, ready and told by status and events")
def started(place):
    supervisor = place.run_ready()
    status = place.status()
    pid = place.starts()[-1]
    expect_equal(status["gateway"]["pid"], pid, "pid")
    expect_equal(status["supervisor"]["pid"], supervisor.pid, "`run` is the supervisor")
    expect_equal(status["state"], "running")
    expect_equal(status["gateway"]["restarts"], 0)
    expect(status["gateway"]["ready"] and status["gateway"]["startedAt"].endswith("Z"), status)
    expect_equal(status["incident"], None)
    expect_equal(sorted(place.wait_workers()), ["recorder", "relay", "sentry"])
    expect_equal(place.command("status").returncode, 0, "status")
    place.wait_event("gateway.ready")
    expect_equal(place.kinds(), ["supervisor.started", "gateway.started", "gateway.ready"])
    expect(os.getsid(pid) == pid, "the gateway has no session of its own")
    place.tell("readlink /proc/self/fd/0 >input")
    place.wait_for(lambda: (place.root / "input").exists() and (place.root / "input").read_text(), "its input")
    expect_equal((place.root / "input").read_text().strip(), "/dev/null", "input")
    for sentence in (event["reason"] for event in place.events()):
        place.wait_for(lambda: sentence in place.console(), f'"{sentence}" on the terminal')
    place.tell("echo this is the gateway speaking")
    place.wait_for(lambda: "this is the gateway speaking" in place.console(), "line on the terminal")
    place.wait_for(lambda: "this is the gateway speaking" in (place.state_dir / "console.log").read_text(),
                   "line in console.log")


@test("a crash after a healthy run is mended at once, the next ones after a growing back-off, each as one incident")
def crashes(place):
    place.settings({"backoff": SLOW_BACKOFF})
    place.run_ready()
    waits, incidents = [], []
    for nth in range(3):
        before, pid = place.last_event(), place.pid()
        kill(pid)
        place.wait_ready(other_than=pid)
        place.wait_event("gateway.recovered", before)
        trail = {event["kind"]: event for event in place.events() if event["id"] > before}
        waits.append(between(trail["gateway.exited"], trail["gateway.started"]))
        expect_trail(place, before, "gateway.exited", "gateway.started", "gateway.ready", "gateway.recovered")
        numbers = {trail[kind]["incident"] for kind in trail}
        expect(len(numbers) == 1 and None not in numbers, "one incident expected, saw", numbers)
        expect_equal(trail["gateway.exited"]["severity"], "error")
        expect("SIGKILL" in trail["gateway.exited"]["reason"], trail["gateway.exited"]["reason"])
        incidents += numbers
    expect_equal(len(set(incidents)), 3, "incidents")
    expect_equal(place.status()["gateway"]["restarts"], 3)
    expect_equal(place.status()["incident"], None)
    expect(waits[0] < 0.5 and 1.0 <= waits[1] < 1.7 and 2.0 <= waits[2] < 2.7, "waits", waits)
    return f"waited {', '.join(f'{wait:.3f}' for wait in waits)} s"


@test("an exit 0 after a healthy run is no crash and is mended at once")
def clean_exit(place):
    place.settings({"backoff": {"initial": "20s", "jitter": 0, "immediateFirst": False}})
    pid = place.run_ready() and place.pid()
    steady(lambda: place.pid() == pid, "it was restarted", 10.2)  # as long as it takes to count as healthy
    before = place.last_event()
    place.tell("exit 0")
    place.wait_ready(other_than=pid, seconds=5)
    exited = place.wait_event("gateway.exited", before)
    expect_equal((exited["severity"], exited["incident"]), ("info", None))
    place.wait_event("gateway.ready", before)
    expect("gateway.recovered" not in place.kinds(before), place.kinds(before))


@test("an exit 0 at once is a failed start and waits for the back-off")
def failing_start(place):
    place.settings({"backoff": {"initial": "30s", "jitter": 0, "immediateFirst": False}})
    place.at_start("exit 0")
    place.run()
    status = place.wait_state("backing-off")
    expect("exit code 0" in status["reason"] and status["nextTry"], status)
    expect(status["incident"] is not None, "no incident is open")
    expect_equal(place.command("status").returncode, 4, "status")
    steady(lambda: len(place.starts()) == 1, "it did not wait", 1)
    place.at_start("")
    place.done("start", "--force")
    place.wait_ready()
    place.wait_event("gateway.recovered")


@test("a command that cannot be executed any more is told, waited for, and started when it is back")
def not_executable(place):
    place.settings({"backoff": {"initial": "500ms", "jitter": 0}})
    program, away = place.root / "bin", place.root / "away"
    program.write_text("#!/bin/sh\n. ./gateway\n")
    program.chmod(0o755)
    place.run_ready(str(program))
    before = place.last_event()
    program.rename(away)
    kill(place.pid())
    failed = place.wait_event("gateway.start_failed", before, count=2)
    expect("No such file" in failed["reason"] and str(program) in failed["reason"], failed["reason"])
    status = place.wait_state("backing-off")
    expect(status["gateway"]["pid"] is None, status["gateway"])
    away.rename(program)
    place.wait_ready()
    place.wait_event("gateway.recovered", before)
    expect_equal(len({event["incident"] for event in place.events() if event["id"] > before}), 1, "incidents")


SLOW_TO_SERVE = """\
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if os.path.exists('open') and self.path == '/up' else 503)
        self.end_headers()
    def log_message(self, *words):
        pass
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
"""


@test("with a start-up probe it is starting until the probe says ready, in every life of the supervisor")
def probed(place):
    port = free_port()
    place.settings({"gateway": {"port": port}, "health": {"readyPath": "/up"}})
    command = ("python3", "-c", SLOW_TO_SERVE, str(port))
    supervisor = place.run(*command)
    gateway = place.wait_state("starting")["gateway"]["pid"]
    expect_equal(place.command("status").returncode, 4, "status")
    steady(lambda: place.status()["state"] == "starting", "it was called ready", 1)
    supervisor.kill()
    supervisor.wait()
    place.run(*command)
    steady(lambda: place.status()["state"] in ("starting", "adopting"), "it was called ready", 1)
    (place.root / "open").touch()
    expect_equal(place.wait_ready()["gateway"]["pid"], gateway, "pid")
    place.wait_event("gateway.ready")
    expect_equal(place.command("status").returncode, 0, "status")


@test("a gateway that ignores SIGTERM is killed after stopTimeout")
def stubborn(place):
    place.settings({"gateway": {"stopTimeout": "1s"}})
    place.run_ready()
    place.tell("trap '' TERM; : >deaf")
    place.wait_for((place.root / "deaf").exists, "deaf gateway")
    before, pid = place.last_event(), place.pid()
    place.done("stop")
    stopped = place.wait_event("gateway.stopped", before)
    trail = {event["kind"]: event for event in place.events() if event["id"] > before}
    expect_trail(place, before, "gateway.stopping", "gateway.killed", "gateway.exited", "gateway.stopped")
    took = between(trail["gateway.stopping"], stopped)
    expect(1.0 <= took < 1.8, "took", took)
    expect(not is_alive(pid), "it still lives")
    expect_equal(place.status()["state"], "stopped")
    expect(not [event for event in trail.values() if event["severity"] == "error"], "an end that was asked for is no error")
    return f"killed after {took:.3f} s"


# ---- what people ask for --------------------------------------------------------------------------------------------

@test("start, stop, restart, pause and resume do what they say, and are recorded with their reasons")
def commands(place):
    place.settings({"backoff": SLOW_BACKOFF})
    place.run_ready()
    first = place.pid()
    place.done("restart", "--reason", "new key")
    second = place.wait_ready(other_than=first)["gateway"]["pid"]
    stopping = place.wait_event("gateway.stopping")
    expect("new key" in stopping["reason"], stopping["reason"])
    place.done("stop", "--reason", "holidays")
    expect_equal(place.state(), "stopped")
    expect(not is_alive(second), "it lives")
    expect_equal(place.command("status").returncode, 4, "status")
    place.done("start")
    third = place.wait_ready()["gateway"]["pid"]
    before = place.last_event()
    place.done("pause")
    kill(third)
    place.wait_state("backing-off")
    steady(lambda: len(place.starts()) == 3, "it was started during the pause", 1.5)
    expect("paused" in place.status()["reason"], place.status()["reason"])
    place.done("resume")
    place.wait_ready(other_than=third)
    place.wait_event("gateway.recovered", before)
    expect_trail(place, before, "supervisor.paused", "gateway.exited", "gateway.waiting", "supervisor.resumed",
                 "gateway.started", "gateway.ready", "gateway.recovered")
    expect_equal(len(place.starts()), 4, "starts")


@test("a restart asked from inside the gateway drains, survives its asker, and has a budget")
def restart_from_inside(place):
    place.run_ready()
    ask = f"{HOLDFAST} restart --no-wait --reason mine {' '.join(place.where())} >asked 2>&1; echo $? >answer"
    for nth in range(3):
        pid, before = place.pid(), place.last_event()
        place.tell("trap 'sleep 0.3; exit 0' TERM")
        place.tell(f"{ask} &")
        place.wait_ready(other_than=pid)
        trail = {event["kind"]: event for event in place.events() if event["id"] > before}
        expect_trail(place, before, "gateway.stopping", "gateway.exited", "gateway.started", "gateway.ready")
        expect("from inside" in trail["gateway.stopping"]["reason"] and "mine" in trail["gateway.stopping"]["reason"],
               trail["gateway.stopping"]["reason"])
        expect("gateway.killed" not in trail, "it was not drained")
        expect_equal(trail["gateway.exited"]["severity"], "info")
    pid = place.pid()
    answer = place.root / "answer"
    answer.unlink(missing_ok=True)
    place.tell(f"{ask} &")
    place.wait_for(lambda: answer.exists() and answer.read_text().strip(), "answer")
    expect_equal(answer.read_text().strip(), "1", "exit status")
    expect("within an hour" in (place.root / "asked").read_text(), (place.root / "asked").read_text())
    steady(lambda: place.pid() == pid, "it was restarted over the budget", 0.5)
    place.done("restart")  # a person still may
    place.wait_ready(other_than=pid)


@test("many people at once: whatever they ask for, there are never two gateways, and the last word counts")
def crowd(place):
    place.settings({"backoff": NO_BACKOFF})
    place.at_start("exec 9>alone; flock -n 9 || echo twin >>twins")
    place.run_ready()
    words = ["restart", "stop", "start", "restart", "pause", "resume"]
    crowd = [subprocess.Popen([HOLDFAST, words[nth % len(words)], *place.where(),
                               *(["--no-wait"] if words[nth % len(words)] in ("restart", "stop", "start") else [])],
                              env=place.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
             for nth in range(60)]
    for one in crowd:
        one.wait(30)
    place.done("resume")
    place.done("start")
    place.wait_ready()
    expect_equal(len([pid for pid in place.starts() if is_alive(pid)]), 1, "gateways")
    place.done("stop")
    expect_equal([pid for pid in place.starts() if is_alive(pid)], [], "gateways after the stop")
    expect(not (place.root / "twins").exists(), "two gateways at once")


# ---- the end of all of it -------------------------------------------------------------------------------------------

@test("SIGTERM and SIGINT end everything and leave no process and no socket")
def ended(place):
    place.at_start(FORKED_TWICE)
    for nth, number in enumerate((signal.SIGTERM, signal.SIGINT), 1):
        place.run_ready()
        grandchildren(place, nth)
        place.wait_workers()
        expect_equal(place.end(number), 0, "exit status")
        place.expect_nothing_left()
        expect_equal([path.name for path in place.state_dir.iterdir() if path.name.endswith(("-wal", "-shm"))], [],
                     "files of an open database")
        expect_equal(place.events()[-1]["kind"], "supervisor.stopped")
        expect_equal(place.command("status").returncode, 3, "status")
    expect_equal([kind for kind in place.kinds() if kind == "gateway.stopped"], ["gateway.stopped"] * 2)


@test("Ctrl-C reaches every process of the terminal, and ends the gateway in good order all the same")
def interrupted(place):
    supervisor = place.run_ready()
    place.tell("trap 'echo it says good-bye; exit 0' TERM; : >armed")
    place.wait_for((place.root / "armed").exists, "trap")
    place.wait_workers()
    os.killpg(supervisor.pid, signal.SIGINT)
    expect_equal(supervisor.wait(20), 0, "exit status")
    place.expect_nothing_left()
    expect("it says good-bye" in place.console(), place.console())
    exited = next(event for event in place.events() if event["kind"] == "gateway.exited")
    expect("exit code 0" in exited["reason"], exited["reason"])
    expect_equal(place.events()[-1]["kind"], "supervisor.stopped")


@test("a hang-up ends nothing, and a gateway that is stopped by a signal can be ended in good order")
def signals(place):
    supervisor = place.run_ready()
    place.tell("trap 'exit 0' TERM; : >armed")
    place.wait_for((place.root / "armed").exists, "trap")
    supervisor.send_signal(signal.SIGHUP)
    pid = place.pid()
    kill(pid, signal.SIGSTOP)
    wait_for(lambda: process_state(pid) == "T", "stopped process")
    place.done("stop")
    exited = place.wait_event("gateway.exited")
    expect("exit code 0" in exited["reason"], exited["reason"])
    expect(supervisor.poll() is None, "the hang-up ended it")


@test("a second SIGINT does not wait for the gateway")
def forced(place):
    supervisor = place.run_ready()
    place.tell("trap '' TERM; : >deaf")
    place.wait_for((place.root / "deaf").exists, "deaf gateway")
    supervisor.send_signal(signal.SIGINT)
    place.wait_state("draining")
    began = time.monotonic()
    expect_equal(place.end(signal.SIGINT, 5), 0, "exit status")
    place.expect_nothing_left()
    return f"ended after {time.monotonic() - began:.3f} s"


@test("it ends at once while the gateway waits for its next start")
def ended_waiting(place):
    place.settings({"backoff": {"initial": "30s", "jitter": 0, "immediateFirst": False}})
    place.at_start("exit 3")
    place.run()
    place.wait_state("backing-off")
    began = time.monotonic()
    expect_equal(place.end(), 0, "exit status")
    expect(time.monotonic() - began < 2, "it took", time.monotonic() - began, "s")
    place.expect_nothing_left()
    expect_equal(place.kinds()[-2:], ["gateway.stopped", "supervisor.stopped"])


# ---- what the gateway gets ------------------------------------------------------------------------------------------

@test("an OpenClaw for which nobody configured a token is given one, from its first start on, and keeps it")
def token_given(place):
    (place.root / "openclaw.json").write_text('{ gateway: { mode: "local" } }')
    place.environment.update(OPENCLAW_CONFIG_PATH=str(place.root / "openclaw.json"),
                             OPENCLAW_STATE_DIR=str(place.root / "openclaw"))
    place.settings({"gateway": {"kind": "openclaw", "port": free_port()}, "health": {"readyPath": ""}})
    shutil.rmtree(place.state_dir, ignore_errors=True)
    place.run_ready()
    given = environment_of(place.pid())["OPENCLAW_GATEWAY_TOKEN"]
    expect(len(given) == 64, "a token:", given)
    file = place.state_dir / "gateway-token"
    expect_equal(file.stat().st_mode & 0o777, 0o600, "who may read it")
    expect_equal(file.read_text().strip(), given)
    before = place.pid()
    place.done("restart")
    place.wait_ready(other_than=before)
    expect_equal(environment_of(place.pid())["OPENCLAW_GATEWAY_TOKEN"], given, "after a restart")


@test("the gateway's environment has its marker, and neither what a service manager said to us nor our secrets")
def environment(place):
    place.settings({"gateway": {"env": {"ADDED": "by the settings"}},
                    "relay": {"providers": {"mock": {"api": "anthropic-messages", "baseUrl": "http://127.0.0.1:1",
                                                     "profiles": [{"id": "a", "key": "env:OUR_KEY"}]}}},
                    "alerts": [{"url": "http://127.0.0.1:1", "secret": "env:OUR_HOOK"}]})
    kept = {"NODE_OPTIONS": "--max-old-space-size=300", "LANG": "C", "ORDINARY": "kept"}
    gone = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_PID": "1", "WATCHDOG_USEC": "1000000", "LISTEN_PID": "1",
            "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x", "INVOCATION_ID": "0123", "JOURNAL_STREAM": "8:1",
            "SYSTEMD_EXEC_PID": "1", "OUR_KEY": "secret-1", "OUR_HOOK": "secret-2",
            "HOLDFAST_BACKOFF_INITIAL": "2s"}
    place.run_ready(environment={**kept, **gone})
    pid = place.pid()
    seen = environment_of(pid)
    expect_equal({name: seen.get(name) for name in kept}, kept)
    # A socket of ours takes the place of the service manager's.
    expect_equal(seen.pop("NOTIFY_SOCKET"), str(place.runtime_dir / "notify"))
    expect_equal([name for name in gone if name in seen], [], "not for the gateway")
    expect(not [value for value in seen.values() if "secret" in value], "a secret")
    expect_equal(seen["ADDED"], "by the settings")
    expect_equal([name for name in seen if name.startswith("HOLDFAST_")], ["HOLDFAST_GENERATION"])
    expect_equal(seen["HOLDFAST_GENERATION"].split(":")[1:], [str(pid), str(start_time_of(pid))], "marker")
    inherited = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    expect(inherited <= {"/dev/null", *(str(path) for path in (place.runtime_dir / "console", place.root / "orders",
                                                               place.root / "gateway"))}, "descriptors", inherited)


@test("settings that are wrong start nothing, and are refused with one sentence and 78 or 2")
def bad_settings(place):
    huge = place.root / "huge.json"
    with open(huge, "wb") as file:
        file.truncate(100_000_000)
    secret = place.root / "directory.json"
    secret.mkdir()
    cases = [
        ({"gateway": {"stopTimeout": True}}, "holdfast.json:1:"),
        ({"gateway": {"stopTimout": "3s"}}, "stopTimeout"),
        ({"backoff": {"factor": 0.5}}, "holdfast.json:1:"),
        ({"gateway": {"port": 70000}}, "holdfast.json:1:"),
        ({"gateway": {"kind": "docker"}}, "openclaw"),
        ({"retention": {"size": "1XB"}}, "holdfast.json:1:"),
        ('{ gateway: { port: 1 } ', "holdfast.json:1:"),
        ("{\n  gateway: {\n    port: 'x'\n  }\n}", "holdfast.json:3:11"),
        ("[]", "holdfast.json:1:1"),
        ("\xff\xfe", "holdfast.json:1:1"),
        ({"alerts": [{"url": "http://x", "secret": "plain"}]}, "env:"),
    ]
    for settings, words in cases:
        place.settings(settings)
        refused(place, place.try_run("sh", "./gateway"), 78, words)
    place.settings({})
    for path, words in ((huge, "huge.json"), (secret, "directory.json"), (place.root / "none.json", "none.json")):
        refused(place, place.try_run("sh", "./gateway", options=("--config", str(path))), 78, words)
    refused(place, place.try_run("./no-such-program"), 78, "no-such-program")
    refused(place, place.try_run(str(place.root)), 78, str(place.root))
    refused(place, place.try_run("sh", "./gateway", environment={"HOLDFAST_STOP_TIMEOUT": "soon"}), 78,
            "HOLDFAST_STOP_TIMEOUT")
    refused(place, place.try_run("sh", "./gateway", environment={"HOLDFAST_STOP_TIMOUT": "3s"}), 78,
            "HOLDFAST_STOP_TIMEOUT")
    refused(place, place.try_run("sh", "./gateway", options=("--port", "0")), 2, "65535")
    refused(place, place.try_run("sh", "./gateway", options=("--prot", "1")), 2, "--port")
    expect_equal(place.starts(), [], "starts")
    expect(not place.state_dir.exists(), "a state directory was made")


if __name__ == "__main__":
    sys.exit(main())
