#!/usr/bin/env python3
"""The command, as a shell sees it: words, exit statuses, JSON, completion, wrong settings.

Usage: cli_test.py BUILD_DIRECTORY. Prints TAP. What needs a supervisor uses the real one.
"""

import contextlib
import errno
import fcntl
import functools
import json
import os
import pathlib
import pty
import re
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

BUILD = pathlib.Path(sys.argv[1]).resolve()
HOLDFAST = str(BUILD / "holdfast")
COMMANDS = ["run", "status", "events", "explain", "sessions", "abort", "start", "stop", "restart", "pause", "resume", "reload", "upgrade", "relay",
            "check", "completion", "version", "help"]
TESTS = []
DEADLINE_S = 30


class Skip(Exception):
    pass


def test(name):
    def add(function):
        TESTS.append((name, function))
        return function
    return add


class Place:
    """A home of its own: directories, environment, and the supervisor that may run there."""

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-cli-"))
        self.state, self.runtime = self.root / "state", self.root / "runtime"
        self.settings = self.root / "holdfast.json"
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.root), "TERM": "xterm",
                            "HOLDFAST_STATE_DIR": str(self.state), "HOLDFAST_RUNTIME_DIR": str(self.runtime)}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                self.environment[name] = os.environ[name]
        self.supervisor = None

    def run(self, *arguments, **options):
        environment = dict(self.environment, **options.pop("environment", {}))
        return subprocess.run([HOLDFAST, *arguments], env=environment, cwd=self.root, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60, **options)

    def write_settings(self, text):
        self.settings.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.environment["HOLDFAST_CONFIG"] = str(self.settings)

    def supervise(self, *command):
        if not (BUILD / "holdfast-supervise").exists():
            raise Skip("holdfast-supervise is not built")
        self.log = open(self.root / "log", "wb")
        self.supervisor = subprocess.Popen([HOLDFAST, "run", "--", *command], env=self.environment, cwd=self.root,
                                           stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.wait_for(lambda: self.run("status").returncode in (0, 4), "a supervisor that answers")

    def status(self):
        return json.loads(self.run("status", "--json").stdout)

    def wait_for(self, condition, what):
        end = time.monotonic() + DEADLINE_S
        while not condition():
            if self.supervisor and self.supervisor.poll() is not None:
                raise AssertionError("the supervisor ended: " + (self.root / "log").read_text(errors="replace"))
            if time.monotonic() > end:
                raise AssertionError(f"no {what} within {DEADLINE_S} s: " + self.run("status", "--json").stdout.decode())
            time.sleep(0.02)

    def wait_until(self, state):
        self.wait_for(lambda: self.status()["state"] == state, f'state "{state}"')

    def close_supervisor(self):
        if self.supervisor:
            # A second SIGINT does not wait for gateways that a test made stubborn.
            for _ in range(2):
                if self.supervisor.poll() is None:
                    self.supervisor.send_signal(signal.SIGINT)
                    try:
                        self.supervisor.wait(3)
                    except subprocess.TimeoutExpired:
                        continue
            if self.supervisor.poll() is None:
                self.supervisor.kill()
                self.supervisor.wait()
            self.log.close()
            self.supervisor = None

    def close(self):
        self.close_supervisor()
        subprocess.run(["rm", "-rf", str(self.root)], check=False)


def expect(condition, *seen):
    if not condition:
        raise AssertionError(" ".join(str(thing) for thing in seen))


def one_sentence(result):
    """Standard error has one sentence, and at most a hint where help is."""
    lines = result.stderr.decode().splitlines()
    expect(lines and lines[0].startswith("holdfast: "), lines)
    expect(all(line.startswith("Try ") for line in lines[1:]), lines)
    expect(lines[0].endswith((".", "?")), lines)
    return lines[0]


# Usage

@test("a wrong command line is refused with status 2 and a sentence that helps")
def _(place):
    cases = [
        ([], 'holdfast run'),
        (["stauts"], "did you mean status?"),
        (["xyzzyxyzzy"], "no command xyzzyxyzzy."),
        (["run", "--supervise"], "did you mean --supervised?"),
        (["events", "--folow"], "did you mean --follow?"),
        (["status", "--frobnicate-it"], "no option --frobnicate-it."),
        (["status", "now"], "takes no arguments"),
        (["run", "sleep", "1"], 'holdfast run -- sleep'),
        (["run", "--"], 'no command after "--"'),
        (["status", "--", "x"], 'take a command after "--"'),
        (["restart", "--reason"], "--reason needs a value"),
        (["restart", "--reason", "--force"], "--reason needs a value"),
        (["restart", "--reason", "x" * 256], "too long: it has 256 bytes"),
        (["restart", "--reason", "a\nb"], "control characters"),
        (["restart", "--reason", "a\x1b[31mb"], "control characters"),
        (["pause", "--for", "30"], "a number with a unit"),
        (["pause", "--for", "0s"], "a number with a unit"),
        (["pause", "--for", "99999d"], "a number with a unit"),
        (["pause", "--for", "99999999999999999999d"], "a number with a unit"),
        (["pause", "--for", "-5m"], "a number with a unit"),
        (["run", "--port", "0"], "from 1 to 65535"),
        (["run", "--port", "65536"], "from 1 to 65535"),
        (["run", "--port", "http"], "from 1 to 65535"),
        (["run", "--port="], "empty value"),
        (["status", "--state-dir", ""], "empty value"),
        (["events", "--severity", "bad"], "one of info warning error critical"),
        (["completion"], "holdfast completion bash"),
        (["completion", "fish"], "holdfast completion bash"),
        (["help", "rnu"], "did you mean run?"),
        (["help", "run", "stop"], "too much"),
        (["version", "--json=yes"], "takes no value"),
        (["gateway"], "holdfast run"),
        (["abort"], '"holdfast sessions" lists them'),
        (["abort", ""], '"holdfast sessions" lists them'),
        (["abort", "k" * 192], "at most 191 bytes"),
        (["abort", "a", "b"], "too much"),
        (["sessions", "a"], "takes no arguments"),
        (["sessions", "--al"], "did you mean --all?"),
        (["run", "--set"], "--set needs a value: --set KEY=VALUE"),
        (["status", "--set", "a=b"], "no option --set"),
        (["check", *["--set", "retention.days=1"] * 17], "more than 16 times"),
    ]
    for arguments, words in cases:
        result = place.run(*arguments)
        expect(result.returncode == 2 and not result.stdout, arguments, result)
        expect(words in one_sentence(result), arguments, result.stderr)


@test("every command explains itself, and the general help names each")
def _(place):
    everything = place.run("--help")
    expect(everything.returncode == 0 and everything.stdout == place.run("help").stdout, everything)
    for command in COMMANDS:
        expect(re.search(rf"^  {command} ", everything.stdout.decode(), re.M), command)
        by_option, by_word = place.run(command, "--help"), place.run("help", command)
        expect(by_option.returncode == 0 and by_option.stdout == by_word.stdout and not by_option.stderr, command)
        expect(by_option.stdout.startswith(f"Usage: holdfast {command} ".encode()), by_option.stdout)
        expect(place.run("-h", command).stdout == by_word.stdout, command)
        expect(max(len(line) for line in by_word.stdout.decode().splitlines()) <= 110, command)


@test("the version is printed, for programs as JSON")
def _(place):
    version = place.run("version").stdout.decode()
    expect(re.fullmatch(r"holdfast \d+\.\d+\.\d+\n", version), version)
    expect(place.run("--version").stdout.decode() == version)
    expect(json.loads(place.run("version", "--json").stdout) == {"name": "holdfast", "version": version.split()[1]})


@test("options may stand before the command, and \"gateway\" before everything")
def _(place):
    elsewhere = str(place.root / "elsewhere")
    for arguments in (["--runtime-dir", elsewhere, "status", "--json"], ["status", "--json", "--runtime-dir", elsewhere],
                      ["--json", f"--runtime-dir={elsewhere}", "status"],
                      ["gateway", "status", "--json", "--runtime-dir", elsewhere]):
        result = place.run(*arguments)
        expect(result.returncode == 3, arguments, result)
        expect(json.loads(result.stdout)["runtimeDir"] == elsewhere, arguments, result.stdout)


# Without a supervisor

@test("without a supervisor each command says so with status 3")
def _(place):
    for command in ("status", "start", "stop", "restart", "pause", "resume", "reload", "upgrade", "sessions",
                    "abort"):
        operands = ["agent:main:main"] if command == "abort" else []
        result = place.run(command, *operands)
        expect(result.returncode == 3 and not result.stdout, command, result)
        expect("No supervisor is running" in one_sentence(result), result.stderr)
        result = place.run(command, "--json", *operands)
        answer = json.loads(result.stdout)
        expect(result.returncode == 3 and not result.stderr, command, result)
        if command == "status":
            expect(answer["state"] == "no-supervisor" and "No supervisor" in answer["reason"], answer)
            expect(answer["gateway"]["pid"] is None and answer["gateway"]["ready"] is False, answer)
            expect(answer["supervisor"]["pid"] is None and answer["workers"] == [], answer)
        else:
            expect(answer["ok"] is False and "No supervisor" in answer["message"], answer)
    expect(not place.state.exists() and not place.runtime.exists(), "a question left something behind")


@test("something else at the place of the socket is no supervisor, and is not waited for")
def _(place):
    place.runtime.mkdir()
    (place.runtime / "control").write_text("not a socket")
    result = place.run("status")
    expect(result.returncode == 3, result)
    one_sentence(result)


@test("another user's supervisor is not called absent")
def _(place):
    if os.getuid() != 0:
        raise Skip("needs root to become another user")
    place.runtime.mkdir(mode=0o700)
    result = subprocess.run([HOLDFAST, "status"], env=place.environment, cwd="/", stdin=subprocess.DEVNULL, user=65534,
                            group=65534, extra_groups=[], capture_output=True, timeout=30, check=False)
    expect(result.returncode == 1 and "another user's" in one_sentence(result), result)


# Output

@test("a reader that goes away early is no error and no noise")
def _(place):
    for preexec in (None, lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN)):
        reading, writing = os.pipe()
        os.close(reading)
        process = subprocess.Popen([HOLDFAST, "help"], env=place.environment, stdout=writing, stderr=subprocess.PIPE,
                                   preexec_fn=preexec, restore_signals=preexec is None)
        os.close(writing)
        _, errors = process.communicate(timeout=30)
        expect(process.returncode == (-signal.SIGPIPE if preexec is None else 0), process.returncode)
        expect(errors == b"", errors)


@test("output that cannot be written is told")
def _(place):
    with open("/dev/full", "wb") as full:
        result = subprocess.run([HOLDFAST, "version"], env=place.environment, stdout=full, stderr=subprocess.PIPE,
                                timeout=30, check=False)
    expect(result.returncode == 1 and "could not be written" in one_sentence(result), result)


@test("closed standard descriptors do no harm")
def _(place):
    result = subprocess.run(["sh", "-c", 'exec "$0" version <&- >&- 2>&-', HOLDFAST], env=place.environment,
                            timeout=30, check=False)
    expect(result.returncode == 0, result)


@test("hostile words reach no terminal with their control characters")
def _(place):
    result = place.run("\x1b[31mred")
    expect(result.returncode == 2 and b"\x1b" not in result.stderr, result)


# Completion

def complete(place, *words):
    script = ('source <("$0" completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _holdfast; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    result = subprocess.run(["bash", "--norc", "--noprofile", "-c", script, HOLDFAST, "holdfast", *words],
                            env=place.environment, cwd=place.root, capture_output=True, timeout=30, check=False)
    expect(result.returncode == 0 and not result.stderr, words, result)
    return result.stdout.decode().split()


@test("a real bash completes commands, options, choices, files and directories")
def _(place):
    (place.root / "inner").mkdir()
    (place.root / "infile").write_text("")
    expect(set(COMMANDS) <= set(complete(place, "")), complete(place, ""))
    expect(sorted(complete(place, "st")) == ["start", "status", "stop"], complete(place, "st"))
    expect(complete(place, "gateway", "ru") == ["run"])
    expect(complete(place, "--state-dir", "st", "ru") == ["run"])
    expect(complete(place, "--state-dir", "=", "st", "ru") == ["run"])
    expect(sorted(complete(place, "restart", "--")) == ["--config", "--force", "--help", "--json", "--no-wait", "--reason",
                                                        "--runtime-dir", "--state-dir"])
    expect("--follow" in complete(place, "events", "--"))
    expect("--follow" not in complete(place, "status", "--"))
    expect(complete(place, "events", "--severity", "w") == ["warning"])
    expect(complete(place, "events", "--severity", "=", "cr") == ["critical"])
    expect(complete(place, "--state-dir", "in") == ["inner"])
    expect(sorted(complete(place, "check", "--config", "in")) == ["infile", "inner"])
    expect(complete(place, "restart", "--reason", "") == [])
    expect(complete(place, "help", "pau") == ["pause"])
    expect(complete(place, "completion", "b") == ["bash"])
    expect("sleep" in complete(place, "run", "--", "slee"))
    expect(complete(place, "run", "--", "sleep", "infi") == ["infile"])


# Settings

def refuses(place, words, *arguments, command=None):
    """Both check and run refuse with 78 and the same sentence, and nothing is started."""
    command = ["--", "touch", str(place.root / "started")] if command is None else command
    for verb in ("check", "run"):
        result = place.run(verb, *arguments, *command)
        expect(result.returncode == 78 and not result.stdout, verb, words, result)
        sentence = one_sentence(result)
        for word in [words] if isinstance(words, str) else words:
            expect(word in sentence, word, sentence)
        expect(len(sentence) < 600, sentence)
    answer = json.loads(place.run("check", "--json", *arguments, *command).stdout)
    expect(answer["ok"] is False and "holdfast: " + answer["message"] == sentence, answer, sentence)
    expect(not (place.root / "started").exists() and not place.state.exists(), "something was started")


@test("wrong settings are refused with file, line and column, and nothing is started")
def _(place):
    cases = [
        ('{\n  gateway: { port: "x" },\n}', ["holdfast.json:2:20"]),
        ('{ gateway: { prot: 1 } }', ["holdfast.json:1:14", "port"]),
        ('{ gatewy: {} }', ["holdfast.json:1:3", "gateway"]),
        ('{ gateway: 7 }', ["holdfast.json:1:12"]),
        ('{ gateway: { port: 70000 } }', ["70000", "65535"]),
        ('{ gateway: { port: 1.5 } }', ["1.5"]),
        ('{ gateway: { stopTimeout: "5 parsecs" } }', ["5 parsecs"]),
        ('{ gateway: { stopTimeout: -1 } }', ["-1"]),
        ('{ backoff: { factor: 0.5 } }', ["0.5"]),
        ('{ backoff: { jitter: true } }', ["true"]),
        ('{ backoff: { initial: "10s", max: "5s" } }', ["backoff"]),
        ('{ gateway: { autoRestart: { onCrash: "yes" } } }', ["yes"]),
        ('{ gateway: { kind: "nginx" } }', ["nginx", "openclaw"]),
        ('{ retention: { size: "200 elephants" } }', ["200 elephants"]),
        ('{ gateway: { env: { "A=B": "c" } } }', ["A=B"]),
        ('{ gateway: { workingDirectory: "/nowhere/at/all" } }', ["/nowhere/at/all"]),
        ('{ api: { host: "not an address" } }', ["not an address"]),
        ('{ alerts: [ { url: "https://example.org", format: "pigeon" } ] }', ["pigeon"]),
        ('{ relay: { providers: { a: { api: "anthropic-messages", baseUrl: "https://a.example", '
         'profiles: [ { id: "x", key: "sk-secret" } ] } } } }', ["env:"]),
        ('{', ["holdfast.json:1:2"]),
        ('', ["holdfast.json"]),
        ('[]', ["holdfast.json:1:1"]),
        ('{ a: 1 } b', ["holdfast.json:1:10"]),
        ('{ "a\u0001": }', ["holdfast.json:1"]),
        (b'{ gateway: { command: ["\xff\xfe"] } }', ["holdfast.json:1"]),
        (b'\x00\x01\x02', ["holdfast.json:1:1"]),
        ("[" * 100000, ["holdfast.json:1"]),
    ]
    for text, words in cases:
        place.write_settings(text)
        refuses(place, words)


@test("a secret is not repeated in the sentence that refuses it")
def _(place):
    place.write_settings('{ alerts: [ { url: "https://example.org", secret: "hunter2hunter2" } ] }')
    result = place.run("check", "--", "true")
    expect(result.returncode == 78 and b"hunter2" not in result.stderr + result.stdout, result)


@test("a settings file that is no file, unreadable, missing or huge is refused at once")
def _(place):
    place.environment["HOLDFAST_CONFIG"] = str(place.settings)
    refuses(place, "holdfast.json")
    place.settings.mkdir()
    refuses(place, "holdfast.json")
    place.settings.rmdir()
    os.mkfifo(place.settings)
    refuses(place, "holdfast.json")
    place.settings.unlink()
    with open(place.settings, "wb") as file:
        file.truncate(100 * 1024 * 1024)
    began = time.monotonic()
    refuses(place, "holdfast.json")
    expect(time.monotonic() - began < 5, "took too long")
    place.settings.unlink()
    place.settings.symlink_to(place.settings)
    refuses(place, "holdfast.json")
    if os.getuid() != 0:
        place.settings.unlink()
        place.write_settings("{}")
        place.settings.chmod(0)
        refuses(place, "holdfast.json")


@test("a wrong or unknown variable is named")
def _(place):
    for name, value, words in (("HOLDFAST_PORT", "seventy", ["HOLDFAST_PORT", "seventy"]),
                               ("HOLDFAST_SESION_TIMEOUT", "5s", ["HOLDFAST_SESSION_TIMEOUT"]),
                               ("HOLDFAST_STOP_TIMEOUT", "soon", ["HOLDFAST_STOP_TIMEOUT", "soon"])):
        place.environment[name] = value
        refuses(place, words)
        del place.environment[name]


@test("a wrong --set is named")
def _(place):
    refuses(place, "--set gateway.sessionTimeout is \"soon\", but must be", "--set", "gateway.sessionTimeout=soon")
    refuses(place, 'did you mean "gateway.autoRestart.threshold"?', "--set", "threshold=3")
    refuses(place, "a?b", "--set", "a\x1bb=1")


@test("a command that is missing or not executable is refused by its name")
def _(place):
    refuses(place, "no-such-program-here", command=["--", "no-such-program-here"])
    refuses(place, "/no/such/program", command=["--", "/no/such/program"])
    (place.root / "plain").write_text("text")
    refuses(place, "plain", command=["--", str(place.root / "plain")])
    refuses(place, str(place.root), command=["--", str(place.root)])


@test("without OpenClaw it says what was looked for and what to do")
def _(place):
    place.environment["PATH"] = "/nowhere"
    refuses(place, "openclaw", command=[])


@test("check prints every setting with its origin, and starts nothing")
def _(place):
    place.write_settings('{\n  gateway: { stopTimeout: "7s" },\n}')
    result = place.run("check", "--port", "1234", "--", "true", environment={"HOLDFAST_RETENTION_DAYS": "9"})
    text = result.stdout.decode()
    expect(result.returncode == 0, result)
    expect(re.search(r"gateway\.stopTimeout\b.*7s.*holdfast\.json:2:", text), text)
    expect(re.search(r"retention\.days\b.*9.*HOLDFAST_RETENTION_DAYS", text), text)
    expect(re.search(r"gateway\.port\b.*1234.*--port", text), text)
    text = place.run("check", "--set=gateway.sessionTimeout=60s", "--set", 'gateway.sessions=[{key:"a",toolTimeout:"1h"}]',
                     "--", "true").stdout.decode()
    expect('gateway.sessionTimeout = "1m"  (--set gateway.sessionTimeout)\n' in text, text)
    expect('gateway.sessions = [{"key":"a","toolTimeout":"1h"}]  (--set gateway.sessions)\n' in text, text)
    expect(re.search(r"backoff\.max\b.*default", text), text)
    answer = json.loads(place.run("check", "--json", "--", "true").stdout)
    expect(answer["ok"] is True and answer["remarks"] == [] and "gateway.stopTimeout" in answer["settings"], answer)
    expect(not place.state.exists() and not place.runtime.exists(), "check left something behind")


@test("keys that the gateway itself refuses are remarked upon")
def _(place):
    folder = place.root / ".openclaw"
    folder.mkdir()
    (folder / "openclaw.json").write_text('{ gateway: { mode: "local", sessionTimeout: 5000 } }')
    stand_in = place.root / "openclaw"
    stand_in.write_text("#!/bin/sh\n")
    stand_in.chmod(0o755)
    answer = json.loads(place.run("check", "--json", "--", str(stand_in), "gateway", "run").stdout)
    expect(answer["ok"] is True and len(answer["remarks"]) == 1 and "sessionTimeout" in answer["remarks"][0], answer)


# With a supervisor

@test("a supervised program runs, and status says so in words and in JSON")
def _(place):
    place.supervise("sleep", "1000")
    place.wait_until("running")
    result = place.run("status")
    expect(result.returncode == 0 and b"running and ready" in result.stdout and b"\x1b" not in result.stdout, result)
    status = place.status()
    expect(status["gateway"]["ready"] is True and status["gateway"]["restarts"] == 0, status)
    expect(status["gateway"]["kind"] == "generic" and status["gateway"]["command"].endswith("sleep 1000"), status)
    expect(os.path.exists(f"/proc/{status['gateway']['pid']}"), status)
    expect(status["supervisor"]["pid"] == place.supervisor.pid, status)
    expect(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", status["gateway"]["startedAt"]), status)
    expect({worker["name"] for worker in status["workers"]} == {"sentry", "recorder", "relay"}, status)
    expect(status["stateDir"] == str(place.state) and isinstance(status["reason"], str), status)
    expect(status["paused"] is False and status["incident"] is None and status["nextTry"] is None, status)
    expect(status["health"]["stuckSessions"] == 0 and b"sessions" not in result.stdout, status)
    for words in (["sessions"], ["abort", "agent:main:main"]):
        refused = place.run(*words)
        expect(refused.returncode == 1 and not refused.stdout and "Only an OpenClaw gateway has sessions" in one_sentence(refused), refused)


@test("a second supervisor is refused and the first goes on")
def _(place):
    place.supervise("sleep", "1000")
    place.wait_until("running")
    pid = place.status()["gateway"]["pid"]
    result = place.run("run", "--", "sleep", "1000")
    expect(result.returncode == 78 and str(place.supervisor.pid) in one_sentence(result), result)
    expect(place.status()["gateway"]["pid"] == pid)


@test("stop, start and restart return when it is so")
def _(place):
    place.supervise("sleep", "1000")
    place.wait_until("running")
    first = place.status()["gateway"]

    stopped = place.run("stop", "--reason", "a test")
    expect(stopped.returncode == 0 and b"stopped" in stopped.stdout, stopped)
    expect(place.status()["state"] == "stopped" and not os.path.exists(f"/proc/{first['pid']}"))
    status = place.run("status")
    expect(status.returncode == 4 and b'"holdfast start"' in status.stdout, status)
    expect(place.status()["gateway"]["pid"] is None)
    expect(place.run("stop").returncode == 0, "stopping what is stopped")

    started = place.run("start", "--json")
    expect(started.returncode == 0 and json.loads(started.stdout)["ok"] is True, started)
    expect(json.loads(started.stdout)["state"] == "running", started)
    second = place.status()["gateway"]
    expect(second["ready"] is True and second["generation"] > first["generation"], second)
    expect(place.run("start").returncode == 0, "starting what runs")
    expect(place.status()["gateway"]["pid"] == second["pid"])

    for options in ([], ["--force"]):
        before = place.status()["gateway"]
        restarted = place.run("restart", *options)
        after = place.status()["gateway"]
        expect(restarted.returncode == 0 and b"running and ready" in restarted.stdout, restarted)
        expect(after["generation"] > before["generation"] and after["pid"] != before["pid"], before, after)


@test("--no-wait returns at once")
def _(place):
    place.supervise("sleep", "1000")
    place.wait_until("running")
    result = place.run("stop", "--no-wait", "--json")
    expect(result.returncode == 0 and json.loads(result.stdout)["ok"] is True, result)
    place.wait_until("stopped")


@test("a start that comes to nothing is status 1 with the reason")
def _(place):
    script = place.root / "gateway"
    script.write_text(f"#!/bin/sh\n[ -e {place.root}/broken ] && exit 9\nexec sleep 1000\n")
    script.chmod(0o755)
    place.write_settings('{ backoff: { initial: "30s", immediateFirst: false }, health: { readyPath: "" } }')
    place.supervise(str(script))
    place.wait_until("running")
    (place.root / "broken").write_text("")
    for command in ("restart", "start"):
        result = place.run(command)
        expect(result.returncode == 1, result)
        sentence = one_sentence(result)
        expect("exit code 9" in sentence and "tried again in" in sentence, sentence)
    status = place.run("status")
    expect(status.returncode == 4 and b"next" in status.stdout and b"--force" in status.stdout, status)
    expect(place.status()["nextTry"] is not None and place.status()["incident"] is not None, place.status())


@test("whoever waits may stop waiting, and the request stays in force")
def _(place):
    place.write_settings('{ gateway: { stopTimeout: "4s" } }')
    place.supervise("sh", "-c", 'trap "" TERM; while :; do sleep 0.1; done')
    place.wait_until("running")
    waiting = subprocess.Popen([HOLDFAST, "stop"], env=place.environment, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    place.wait_until("draining")
    expect(select.select([waiting.stdout], [], [], DEADLINE_S)[0], "no word from stop")
    waiting.stdout.readline()
    waiting.send_signal(signal.SIGINT)
    _, errors = waiting.communicate(timeout=30)
    expect(waiting.returncode == 1 and b"stays in force" in errors, waiting.returncode, errors)
    place.wait_until("stopped")


@test("pause and resume are seen in the status")
def _(place):
    place.supervise("sleep", "1000")
    place.wait_until("running")
    expect(place.run("pause", "--for", "30m").returncode == 0)
    status = place.status()
    expect(status["paused"] is True and status["pausedUntil"] > status["time"], status)
    shown = place.run("status").stdout
    expect(b"paused" in shown and re.search(rb"for (29|30) min", shown), shown)
    expect(place.run("pause").returncode == 0)
    expect(place.status()["paused"] is True and place.status()["pausedUntil"] is None)
    expect(place.run("resume", "--json").returncode == 0)
    expect(place.status()["paused"] is False)


@test("reload follows edited settings, refuses wrong ones, and leaves the gateway alone")
def _(place):
    place.write_settings("{}")
    place.supervise("sleep", "1000")
    place.wait_until("running")
    before = place.status()
    place.write_settings('{ gateway: { stopTimeout: "7s", env: { A: "hunter2" } } }')
    result = place.run("reload")
    expect(result.returncode == 0 and not result.stderr, result)
    expect(result.stdout.decode().splitlines()[1:] == [
        'gateway.env: from [] to ["A"], with the gateway\'s next start (holdfast restart)',
        'gateway.stopTimeout: from "330s" to "7s", now'], result)
    place.write_settings('{ gateway: { stopTimeout: "soon" } }')
    result = place.run("reload", "--json")
    answer = json.loads(result.stdout)
    expect(result.returncode == 1 and answer["ok"] is False and "holdfast.json:1:" in answer["message"], result)
    expect(answer["changes"] == [], answer)
    place.write_settings('{ gateway: { stopTimeout: "7s", env: { A: "hunter2" } } }')
    answer = json.loads(place.run("reload", "--json").stdout)
    expect(answer["ok"] is True and answer["changes"] == [], answer)
    place.wait_until("running")
    after = place.status()
    for whose, what in (("gateway", "pid"), ("gateway", "startedAt"), ("supervisor", "pid")):
        expect(before[whose][what] == after[whose][what], before, after)


@test("upgrade lets the programs take over, and leaves the gateway alone")
def _(place):
    place.supervise("sleep", "1000")
    place.wait_until("running")
    before = place.status()
    result = place.run("upgrade")
    expect(result.returncode == 0 and b"not touched" in result.stdout, result)
    place.wait_until("running")
    after = place.status()
    for whose, what in (("gateway", "pid"), ("gateway", "startedAt"), ("supervisor", "pid")):
        expect(before[whose][what] == after[whose][what], before, after)


@test("start with every worker dead: commands go on working")
def _(place):
    place.supervise("sleep", "1000")
    place.wait_until("running")
    gateway = place.status()["gateway"]["pid"]
    for worker in place.status()["workers"]:
        if worker["pid"]:
            os.kill(worker["pid"], signal.SIGKILL)
    expect(place.run("status").returncode == 0)
    expect(place.status()["gateway"]["pid"] == gateway)
    expect(place.run("restart").returncode == 0)


@test("colours are for terminals, and not with NO_COLOR")
def _(place):
    place.supervise("sleep", "1000")
    place.wait_until("running")

    def shown(**more):
        parent, child = pty.openpty()
        process = subprocess.Popen([HOLDFAST, "status"], env=dict(place.environment, **more), stdout=child)
        os.close(child)
        data = b""
        while True:
            try:
                piece = os.read(parent, 4096)
            except OSError:
                break
            if not piece:
                break
            data += piece
        os.close(parent)
        expect(process.wait() == 0)
        return data

    expect(b"\x1b[32m" in shown())
    expect(b"\x1b" not in shown(NO_COLOR="1"))
    expect(b"\x1b[32m" in shown(NO_COLOR=""))
    expect(b"\x1b" not in shown(TERM="dumb"))


@test("a gateway that outlived its supervisor is named")
def _(place):
    place.supervise("sleep", "1000")
    place.wait_until("running")
    pid = place.status()["gateway"]["pid"]
    place.supervisor.kill()
    place.supervisor.wait()
    try:
        result = place.run("status")
        expect(result.returncode == 3 and f"pid {pid}".encode() in result.stderr, result)
        answer = json.loads(place.run("status", "--json").stdout)
        expect(answer["state"] == "no-supervisor" and answer["gateway"]["pid"] == pid, answer)
    finally:
        os.kill(pid, signal.SIGKILL)

# What the supervisor executes this program for

CHANNEL_FD, SETTINGS_FD = 3, 4
SETTINGS_MESSAGE = struct.Struct("=HHI II 384s 2048s")  # struct message with struct message_settings
SEALS = 0xf  # seal, shrink, grow, write
STAND_IN = """\
#!{python}
import json, os, sys
descriptors = {{}}
for name in os.listdir("/proc/self/fd"):
    try:
        descriptors[name] = os.readlink("/proc/self/fd/" + name)
    except OSError:
        pass
with open(os.environ["STAND_IN_REPORT"] + ".new", "w") as report:
    json.dump({{"arguments": sys.argv[1:], "descriptors": descriptors, "environment": dict(os.environ),
               "settings": open("/proc/self/fd/4", "rb").read().hex() if "4" in descriptors else None}}, report)
os.rename(report.name, os.environ["STAND_IN_REPORT"])
"""


@contextlib.contextmanager
def high(*descriptors):
    """Copies that are out of the way of low numbers."""
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD, 50 + number) for number, fd in enumerate(descriptors)]
    try:
        yield copies
    finally:
        for fd in copies:
            os.close(fd)


def execute(place, program, name, arguments, descriptors, before=""):
    """Runs the program under another name, with these as its descriptors from 3 on (None: closed)."""
    with high(*[fd for fd in descriptors if fd is not None]) as copies:
        waiting, moves = iter(copies), ""
        for number, fd in enumerate(descriptors, 3):
            moves += f" {number}<&-" if fd is None else f" {number}<&{next(waiting)}"
        moves += "".join(f" {copy}<&-" for copy in copies)
        script = f'{before}{f"exec{moves};" if moves else ""} exec -a {name} {shlex.quote(program)} "$@"'
        return subprocess.run(["bash", "-c", script, "bash", *arguments], env=place.environment, cwd=place.root,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60, pass_fds=copies, check=False)


def read_again(place, *arguments, in_force=None):
    """What holdfast-settings says: its result, the message, and the settings it passed, or None."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        result = execute(place, HOLDFAST, "holdfast-settings", arguments, [theirs.fileno(), in_force])
        theirs.close()
        packet, passed, _, _ = socket.recv_fds(ours, 8192, 4)
    expect(not result.stdout and not result.stderr, result)
    expect(len(packet) == SETTINGS_MESSAGE.size and len(passed) <= 1, len(packet), passed, result)
    _, _, size, refused, changed, sentence, changes = SETTINGS_MESSAGE.unpack(packet)
    expect(size == len(packet))
    message = {"refused": refused, "changed": changed, "sentence": sentence.partition(b"\0")[0].decode(),
               "changes": changes.partition(b"\0")[0].decode()}
    expect(bool(refused) == (not passed) == (result.returncode == 78), message, result)
    if passed:
        expect(fcntl.fcntl(passed[0], fcntl.F_GET_SEALS) == SEALS, "the settings are not sealed")
    return result, message, passed[0] if passed else None


def stage(place):
    """A holdfast whose supervisor is a stand-in that reports what it was given."""
    folder = place.root / "stage"
    folder.mkdir()
    shutil.copy(HOLDFAST, folder / "holdfast")
    (folder / "holdfast-supervise").write_text(STAND_IN.format(python=os.path.realpath(sys.executable)))
    (folder / "holdfast-supervise").chmod(0o755)
    place.environment["STAND_IN_REPORT"] = str(place.root / "report")
    return str(folder / "holdfast")


def reported(place, result):
    expect(result.returncode == 0, result)
    return json.loads((place.root / "report").read_text())


def instance_of(state_dir):
    """FNV-1a, 64 bits, as it stands in the settings."""
    value = 0xcbf29ce484222325
    for byte in str(state_dir).encode():
        value = (value ^ byte) * 0x100000001b3 % 2**64
    return value.to_bytes(8, sys.byteorder)


@test("run becomes the supervisor with its own arguments, to be read again")
def _(place):
    arguments = ["gateway", "run", "--state-dir", "state", "--supervised", "--", "sleep", "1 2"]
    seen = reported(place, execute(place, stage(place), "holdfast", arguments, [],
                                   before="export HOLDFAST_GENERATION=1:2:3; "))
    expect(seen["arguments"] == ["--", *arguments], seen["arguments"])
    expect("holdfast-settings" in seen["descriptors"]["4"], seen["descriptors"])
    expect("HOLDFAST_GENERATION" not in seen["environment"], "the mark of a gateway is passed on")


@test("the service manager's descriptors are moved away and named, and what has no name of ours is closed")
def _(place):
    program = stage(place)
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(7)]
        links = [os.readlink(f"/proc/self/fd/{file.fileno()}") for file in files]
        names = f"holdfast-api:Stored:lock::holdfast-{'x' * 33}:holdfast-relay"
        seen = reported(place, execute(
            place, program, "holdfast", ["run", "--", "true"], [file.fileno() for file in files],
            before=f"export LISTEN_PID=$$ LISTEN_FDS=7 LISTEN_FDNAMES={names}; "))
    option, *rest = seen["arguments"]
    expect(rest == ["--", "run", "--", "true"], rest)
    found = re.fullmatch(r"--descriptors=holdfast-api:(\d+),holdfast-relay:(\d+)", option)
    expect(found and min(int(fd) for fd in found.groups()) >= 10, option)
    expect([seen["descriptors"][fd] for fd in found.groups()] == [links[0], links[5]], option, seen["descriptors"])
    left = [fd for fd, link in seen["descriptors"].items() if link in links]
    expect(sorted(left) == sorted(found.groups()), left)
    expect("holdfast-settings" in seen["descriptors"]["4"], seen["descriptors"])
    expect(not [name for name in seen["environment"] if name.startswith("LISTEN_")], seen["environment"])


@test("at most 16 descriptors are taken over, and those of another process are left alone")
def _(place):
    program = stage(place)
    with open("/dev/null", "rb") as null:
        seen = reported(place, execute(
            place, program, "holdfast", ["run", "--", "true"], [null.fileno()] * 20,
            before=f"export LISTEN_PID=$$ LISTEN_FDS=20 LISTEN_FDNAMES={':'.join(['holdfast-n'] * 20)}; "))
        kept = seen["arguments"][0].removeprefix("--descriptors=").split(",")
        expect(len(set(kept)) == 16, seen["arguments"])
        expect(all(seen["descriptors"][entry.partition(":")[2]] == "/dev/null" for entry in kept), seen)
        for variables in ("LISTEN_PID=1 LISTEN_FDS=1", "LISTEN_PID=$$ LISTEN_FDS=x", "LISTEN_PID=$$ LISTEN_FDS=-1",
                          "LISTEN_PID=$$ LISTEN_FDS=99999999999", "LISTEN_FDS=1", "LISTEN_PID=$$",
                          "LISTEN_PID= LISTEN_FDS="):
            seen = reported(place, execute(place, program, "holdfast", ["run", "--", "true"], [null.fileno()],
                                           before=f"export LISTEN_FDNAMES=holdfast-a {variables}; "))
            expect(seen["arguments"] == ["--", "run", "--", "true"], variables, seen["arguments"])
            expect(seen["descriptors"]["3"] == "/dev/null", variables, seen["descriptors"])


@test("settings that are read again come sealed, with what changes and what waits for a start")
def _(place):
    arguments = ["run", "--", "sleep", "1000"]
    place.write_settings('{ gateway: { stopTimeout: "330s", env: { A: "hunter2" } } }')
    _, message, first = read_again(place, *arguments)
    expect(message["changed"] == 0 and message["changes"] == "" and "another version" in message["sentence"], message)
    _, message, same = read_again(place, *arguments, in_force=first)
    expect(message["changed"] == 0 and message["sentence"] == "No setting has changed.", message)

    place.write_settings('{ gateway: { stopTimeout: "5m", env: { A: "hunter3" } }, retention: { days: 9 } }')
    _, message, second = read_again(place, *arguments, in_force=first)
    later = "with the gateway's next start (holdfast restart)"
    expect(message["changes"].splitlines() == [
        f'gateway.env: ["A"] with other values, which are not shown, {later}',
        'gateway.stopTimeout: from "330s" to "5m", now', "retention.days: from 30 to 9, now"], message)
    expect(message["changed"] == 3 and "3 settings have changed, 1 of them for the gateway" in message["sentence"], message)

    _, message, third = read_again(place, "run", "--", "sleep", "2000", in_force=second)
    expect(message["changed"] == 1 and "1000" in message["changes"] and later in message["changes"], message)
    _, message, fourth = read_again(place, "run", "--set", "retention.days=8", "--set", "gateway.sessionTimeout=1m",
                                    "--", "sleep", "2000", in_force=third)
    expect(message["changes"].splitlines() == ['gateway.sessionTimeout: from "2m" to "1m", now',
                                               "retention.days: from 9 to 8, now"], message)
    for fd in (first, same, second, third, fourth):
        os.close(fd)


@test("settings in force that cannot be read are no reason to refuse the new ones")
def _(place):
    with open("/dev/null", "rb") as null, tempfile.TemporaryFile() as file:
        file.write(bytes(200000))
        file.flush()
        for in_force in (None, null.fileno(), file.fileno()):
            _, message, fd = read_again(place, "run", "--", "true", in_force=in_force)
            expect(fd is not None and message["changed"] == 0 and message["changes"] == "", message)
            os.close(fd)


@test("settings that cannot be followed are refused with the sentence, and no descriptor is passed")
def _(place):
    arguments = ["run", "--", "sleep", "1000"]
    place.write_settings("{}")
    _, _, in_force = read_again(place, *arguments)
    cases = [
        (arguments, {}, '{\n  gateway: { stopTimeout: "soon" } }', ["holdfast.json:2:", "soon"]),
        (["run", "--", "no-such-program-here"], {}, "{}", ["no-such-program-here"]),
        (["run", "--port", "x", "--", "sleep", "1000"], {}, "{}", ["--port x", "from 1 to 65535"]),
        (["run", "--of-an-older-version", "--", "sleep", "1000"], {}, "{}", ["--of-an-older-version"]),
        (["status"], {}, "{}", ["holdfast run"]),
        (["run", "--help"], {}, "{}", ["holdfast run"]),
        ([], {}, "{}", ["holdfast run"]),
        (["run", "--state-dir", "elsewhere", "--", "sleep", "1000"], {}, "{}",
         ["The state directory cannot change while Holdfast runs", "elsewhere"]),
        (arguments, {"HOLDFAST_RUNTIME_DIR": "/tmp/elsewhere"}, "{}",
         ["The runtime directory cannot change while Holdfast runs", "/tmp/elsewhere"]),
        (arguments, {}, '{ gateway: { kind: "openclaw" } }', ["gateway.kind cannot change while Holdfast runs"]),
    ]
    for words, environment, text, sentences in cases:
        place.write_settings(text)
        before, place.environment = place.environment, dict(place.environment, **environment)
        result, message, passed = read_again(place, *words, in_force=in_force)
        place.environment = before
        expect(result.returncode == 78 and passed is None and message["changes"] == "", words, message)
        for sentence in sentences:
            expect(sentence in message["sentence"], words, message)
    os.close(in_force)


@test("the supervisor's forms of this program are not for the command line")
def _(place):
    program = stage(place)
    for name, arguments in (("holdfast-settings", ["run"]), ("holdfast-trial", []), ("holdfast-trial", ["/a", "/b"]),
                            ("holdfast-trial", ["a", "/b", "--", "run"]), ("holdfast-trial", ["/a", "b", "--", "run"]),
                            ("holdfast-trial", ["/a", "/b", "run", "run"])):
        result = execute(place, program, name, arguments, [])
        expect(result.returncode == 1 and "not for the command line" in one_sentence(result), name, arguments, result)
    expect(not (place.root / "report").exists(), "a supervisor was started")


@test("a trial has directories of its own, whatever else names them, and the instance of the original")
def _(place):
    program, state, runtime = stage(place), str(place.root / "trial-state"), str(place.root / "trial-runtime")
    original = str(place.root / "original")
    arguments = ["run", "--state-dir", original, "--", "sleep", "1000"]
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with open("/dev/null", "rb") as null, ours, its:
        seen = reported(place, execute(place, program, "holdfast-trial", [state, runtime, "--", *arguments],
                                       [its.fileno(), null.fileno()]))
    settings = bytes.fromhex(seen["settings"])
    expect(seen["arguments"] == ["--trial", "--", *arguments], seen["arguments"])
    expect(seen["descriptors"]["3"].startswith("socket:"), seen["descriptors"])
    for directory in (state, runtime):
        expect(directory.encode() + b"\0" in settings, directory)
    for directory in (original, str(place.runtime), str(place.state)):
        expect(directory.encode() + b"\0" not in settings, directory)
    expect(instance_of(original) in settings and instance_of(state) not in settings, "the instance is not the original's")

    place.write_settings("{ gatewy: 1 }")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        result = execute(place, program, "holdfast-trial", [state, runtime, "--", *arguments], [theirs.fileno()])
        _, _, _, refused, _, sentence, _ = SETTINGS_MESSAGE.unpack(ours.recv(8192))
    expect(result.returncode == 78 and "gatewy" in one_sentence(result), result)
    expect(refused == 1 and b"gatewy" in sentence, sentence)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        result = execute(place, program, "holdfast-trial", [state, runtime, "--", "status"], [theirs.fileno()])
    expect(result.returncode == 78 and "holdfast run" in one_sentence(result), result)


# A supervisor of our own making

class Answering:
    """Stands at the control socket and answers each request with what `answer` makes of it; None: no answer."""

    def __init__(self, runtime, answer):
        runtime.mkdir(mode=0o700, exist_ok=True)
        self.path, self.requests = str(runtime / "control"), []
        self.answer = answer

    def __enter__(self):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path)
        self.listener.listen(8)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        return self

    def serve(self):
        while True:
            try:
                caller, _ = self.listener.accept()
            except OSError:
                return
            with caller:
                self.requests.append(caller.recv(65536))
                reply = self.answer(self.requests[-1])
                if reply is not None:
                    caller.send(reply)

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        os.unlink(self.path)


def a_reply(place):
    """The bytes of a real supervisor's answer, and a function that gives it another code, sentence and changes."""
    place.supervise("sleep", "1000")
    place.wait_until("running")
    with Answering(place.root / "elsewhere", lambda request: None) as listening:
        place.run("status", "--runtime-dir", str(place.root / "elsewhere"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
        asking.connect(str(place.runtime / "control"))
        asking.send(listening.requests[0])
        real = asking.recv(65536)
    place.close_supervisor()

    def altered(code, sentence, changes):
        return real[:4] + struct.pack("=i 384s 2048s", code, sentence, changes) + real[4 + 4 + 384 + 2048:]
    return altered


@test("reload and upgrade say what the supervisor answers, in words and in JSON")
def _(place):
    altered = a_reply(place)
    lines = b'gateway.stopTimeout: from "330s" to "5m", now\nretention.days: from 30 to 9, now\n'
    for command, sentence, changes in (("reload", b"2 settings have changed.", lines),
                                       ("upgrade", b"Upgraded: Holdfast 9 now supervises.", b"")):
        with Answering(place.runtime, lambda request: altered(0, sentence, changes)) as asked:
            result = place.run(command)
            expect(result.returncode == 0 and result.stdout == sentence + b"\n" + changes, result)
            answer = json.loads(place.run(command, "--json").stdout)
            expect(answer == {"ok": True, "message": sentence.decode(), "state": "running",
                              "changes": changes.decode().splitlines()}, answer)
        expect(len(asked.requests) == 2, asked.requests)
        if command == "upgrade":
            for program in ("holdfast", "holdfast-supervise"):
                expect(b"\0" + os.fsencode(BUILD / program) + b"\0" in asked.requests[0], program)

        with Answering(place.runtime, lambda request: altered(-22, b"Refused, because\x1b[31m.", b"")):
            result = place.run(command)
            expect(result.returncode == 1 and not result.stdout and b"\x1b" not in result.stderr, result)
            expect("Refused, because" in one_sentence(result), result)
            result = place.run(command, "--json")
            expect(result.returncode == 1 and json.loads(result.stdout)["ok"] is False, result)


@test("reload waits while another change is still under way")
def _(place):
    altered = a_reply(place)
    answers = iter([altered(-errno.EBUSY, b"Another change.", b"")] * 3 + [altered(0, b"Done.", b"")])
    with Answering(place.runtime, lambda request: next(answers)) as asked:
        result = place.run("reload")
    expect(result.returncode == 0 and result.stdout == b"Done.\n" and not result.stderr, result)
    expect(len(asked.requests) == 4, asked.requests)


@test("an upgrade without a supervisor's program is refused before anything is asked")
def _(place):
    (place.root / "stage").mkdir()
    shutil.copy(HOLDFAST, place.root / "stage" / "holdfast")
    with Answering(place.runtime, lambda request: None) as asked:
        result = subprocess.run([place.root / "stage" / "holdfast", "upgrade"], env=place.environment, timeout=30,
                                capture_output=True, check=False)
    if result.returncode == 1 and asked.requests:
        raise Skip("Holdfast is installed on this machine")
    expect(result.returncode == 1 and "holdfast-supervise is missing" in one_sentence(result), result)


@test("programs in bin and libexec are found for an upgrade")
def _(place):
    libexec = place.root / "libexec" / "holdfast"
    libexec.mkdir(parents=True)
    (place.root / "bin").mkdir()
    shutil.copy(HOLDFAST, place.root / "bin" / "holdfast")
    shutil.copy(HOLDFAST, libexec / "holdfast-supervise")
    with Answering(place.runtime, lambda request: None) as asked:
        subprocess.run([place.root / "bin" / "holdfast", "upgrade"], env=place.environment, timeout=30,
                       capture_output=True, check=False)
    for program in (place.root / "bin" / "holdfast", libexec / "holdfast-supervise"):
        expect(b"\0" + os.fsencode(program.resolve()) + b"\0" in asked.requests[0], program)


@test("a supervisor of another version is named as such, with what to do")
def _(place):
    for reply in (None, b"\1\0\0\0", bytes(100)):
        with Answering(place.runtime, lambda request: reply):
            for command in ("status", "reload", "upgrade", "stop"):
                result = place.run(command)
                expect(result.returncode == 1, command, result)
                sentence = one_sentence(result)
                expect("another version" in sentence and "start it again once" in sentence, command, sentence)


@test("a supervisor that ends while it is asked is not taken for another version's")
def _(place):
    altered = a_reply(place)
    answers = iter([None, altered(0, b"", b"")])
    with Answering(place.runtime, lambda request: next(answers)):
        result = place.run("reload")
        expect(result.returncode == 1 and "ended while it was asked" in one_sentence(result), result)


# Sessions

REQUEST = struct.Struct("@3Iq256s512s512s192sI4x")
STATUS, ABORT, SESSIONS = 0, 8, 9
HEAD, ROW = struct.Struct("@Ii384s3I2Q2I"), struct.Struct("@192s40s72s32s16s16s3q3I4x")
ROWS = 16
WITNESSES = ("events", "log", "list", "lock", "silence")


def a_session(key, state="running", waits="model", age=60000, quiet=1000, limit=120000, tool="", ident="", run="", witnesses=0,
              attempts=0, queued=0):
    texts = [text if isinstance(text, bytes) else text.encode() for text in (key, ident, run, tool, state, waits)]
    return ROW.pack(*texts, age, quiet, limit, witnesses, attempts, queued)


def a_part(rows, known=0, running=0, stuck=0, left=0, strange=0, next_part=0, code=0, sentence=b"", count=None):
    head = HEAD.pack(4, code, sentence, known, running, stuck, left, strange, next_part, len(rows) if count is None else count)
    return head + b"".join(rows).ljust(ROWS * ROW.size, b"\0")


@functools.cache
def a_status():
    place = Place()
    with contextlib.closing(place):
        return a_reply(place)(0, b"", b"")


def a_list(place, part):
    """Answers a look at the status as a real supervisor does, and a question for sessions by `part(after)`."""
    real = a_status()

    def answer(request):
        expect(len(request) == REQUEST.size, len(request), REQUEST.size)
        fields = REQUEST.unpack(request)
        return real if fields[1] == STATUS else part(fields[-1])
    return Answering(place.runtime, answer)


@test("sessions are listed for people: the stuck first, then those that run by how quiet they are, and the counts")
def _(place):
    rows = [a_session("agent:main:idle", "idle", "", -1, -1, -1),
            a_session("agent:main:fresh", quiet=500),
            a_session("agent:main:exec", waits="tool", tool="exec", age=400000, quiet=240000, limit=900000, queued=1),
            a_session("agent:main:asks", waits="approval", age=7200000, quiet=7100000, limit=-1),
            a_session("agent:main:turn", waits="queue", age=-1, quiet=-1, limit=-1, queued=2),
            a_session("agent:main:hangs", "verifying", age=300000, quiet=131000, attempts=1),
            a_session("agent:cron:hangs", "failed", waits="tool", age=900000, quiet=800000, limit=600000, attempts=2)]
    with a_list(place, lambda after: a_part(rows, 7, 6, 2, left=3)):
        result = place.run("sessions")
        everything = place.run("sessions", "--all").stdout.decode()
    expect(result.returncode == 0 and not result.stderr, result)
    lines = result.stdout.decode().splitlines()
    expect([re.split(r"  +", line.strip()) for line in lines] == [
        ["SESSION", "STATE", "RUNS FOR", "NO PROGRESS FOR", "WAITS FOR"],
        ["agent:cron:hangs", "failed", "15 min 0 s", "13 min 20 s",
         "a tool, 13 min 20 s of 10 min; its abort was tried twice"],
        ["agent:main:hangs", "verifying", "5 min 0 s", "2 min 11 s", "a model, 2 min 11 s of 2 min; its abort was tried once"],
        ["agent:main:asks", "running", "2 h 0 min", "118 min 20 s", "approval"],
        ["agent:main:exec", "running", "6 min 40 s", "4 min 0 s",
         "the tool exec, 4 min 0 s of 15 min; 1 message waits behind it"],
        ["agent:main:fresh", "running", "60 s", "0.5 s", "a model, 0.5 s of 2 min"],
        ["agent:main:turn", "running", "-", "-", "its turn; 2 messages wait behind it"],
        [""],
        ["7 sessions known, 6 running, 2 stuck; 1 idle, which --all lists; 3 idle ones have made room for others."]], lines)
    expect(len({line.index("a model") for line in lines if "a model" in line} | {lines[0].index("WAITS FOR")}) == 1, lines)
    expect(re.search(r"^agent:main:idle +idle +- +- +-$", everything, re.M), everything)
    expect(everything.splitlines()[-2:] == ["", "7 sessions known, 6 running, 2 stuck; 3 idle ones have made room for others."],
           everything)


@test("sessions for programs: every field, and nothing invented where nothing is known")
def _(place):
    rows = [a_session("agent:a:b", "idle", "", -1, -1, -1),
            a_session("agent:c:d", "stuck", "tool", 5000, 4000, 3000, tool="exec", ident="the-id", run="the-run",
                      witnesses=0b1101, attempts=1, queued=2)]
    with a_list(place, lambda after: a_part(rows, 2, 1, 1, left=2**63, strange=4)):
        result = place.run("sessions", "--json")
    expect(result.returncode == 0 and not result.stderr, result)
    expect(json.loads(result.stdout) == {
        "ok": True, "message": None, "known": 2, "running": 1, "stuck": 1, "left": 2**63, "strange": 4, "sessions": [
            {"key": "agent:c:d", "id": "the-id", "run": "the-run", "state": "stuck", "waitsFor": "tool", "tool": "exec",
             "ageMs": 5000, "quietMs": 4000, "limitMs": 3000, "witnesses": [WITNESSES[0], WITNESSES[2], WITNESSES[3]],
             "attempts": 1, "queued": 2},
            {"key": "agent:a:b", "id": None, "run": None, "state": "idle", "waitsFor": None, "tool": None, "ageMs": None,
             "quietMs": None, "limitMs": None, "witnesses": [], "attempts": 0, "queued": 0}]}, result.stdout)


@test("the list of sessions is fetched in as many parts as it has")
def _(place):
    places = [a_session(f"agent:main:{number:04}", quiet=number) for number in range(4096)]

    def part(after):
        rows = places[after:after + ROWS]
        return a_part(rows, 4096, 4096, next_part=after + ROWS if after + ROWS < len(places) else 0)

    with a_list(place, part) as asked:
        seen = json.loads(place.run("sessions", "--json").stdout)
        expect(len(asked.requests) == 4096 // ROWS, len(asked.requests))
        text = place.run("sessions").stdout.decode()
    expect(sorted(row["key"] for row in seen["sessions"]) == [f"agent:main:{number:04}" for number in range(4096)], len(seen))
    expect(seen["sessions"][0]["key"] == "agent:main:4095", seen["sessions"][0])
    expect(len(text.splitlines()) == 4096 + 3 and text.endswith("\n4096 sessions known, 4096 running, 0 stuck.\n"), text[-200:])


@test("without any session there is no table")
def _(place):
    with a_list(place, lambda after: a_part([])):
        result = place.run("sessions", "--all")
        expect(result.returncode == 0 and result.stdout == b"0 sessions known, 0 running, 0 stuck.\n", result)
        expect(json.loads(place.run("sessions", "--json").stdout)["sessions"] == [], result)
    with a_list(place, lambda after: a_part([a_session("a", "idle", "", -1, -1, -1)], 1)):
        result = place.run("sessions")
        expect(result.stdout == b"1 session known, 0 running, 0 stuck; 1 idle, which --all lists.\n", result)


@test("what sessions are called reaches no terminal with its control characters, and stays JSON")
def _(place):
    hostile = [a_session("agent:\x1b]0;owned\x07:\u202egnp", "stu\x1bck", "mo\ndel", tool="\x1b[2J"),
               a_session(b"agent:\xff\xfe\x9b31m", "running", "tool", tool=b"\xc3", ident=b"\x80", run=b"\r\n"),
               a_session("\U0001f600" * 47, "running", "tool", tool="\u00fc\u00df")]
    # No text ends: each has another behind it, and the last one numbers.
    endless = ROW.pack(b"\x01" * 192, b"\x02" * 40, b"\x03" * 72, b"\x04" * 32, b"\x05" * 16, b"\x06" * 16, 2**63 - 1, -2**63,
                       2**63 - 1, 2**32 - 1, 2**32 - 1, 2**32 - 1)
    rows = [*hostile, endless]
    with a_list(place, lambda after: a_part(rows, 2**32 - 1, 2**32 - 1, 2**32 - 1, left=2**64 - 1)):
        result = place.run("sessions", "--all")
        expect(result.returncode == 0 and not result.stderr, result)
        text = result.stdout.decode()  # it is UTF-8
        expect(not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text), text)
        expect(len(text.splitlines()) == len(rows) + 3 and "the tool \u00fc\u00df" in text, text)
        result = place.run("sessions", "--json")
        seen = json.loads(result.stdout)
        expect(result.returncode == 0 and len(seen["sessions"]) == len(rows), result)
        expect({row["key"] for row in seen["sessions"]} == {"agent:\x1b]0;owned\x07:\u202egnp", "agent:\ufffd\ufffd\ufffd31m",
                                                            "\U0001f600" * 47, "\x01" * 191}, seen)


@test("a list of sessions that makes no sense, or has no end, is refused")
def _(place):
    row = [a_session("agent:main:main")]
    for part in (lambda after: a_part(row, next_part=after or 1), lambda after: a_part(row, count=17),
                 lambda after: a_part(row * ROWS, next_part=after + 1), lambda after: a_part([], next_part=after or 1)):
        with a_list(place, part):
            result = place.run("sessions")
            expect(result.returncode == 1 and not result.stdout, result)
            expect("list of sessions" in one_sentence(result), result)
            answer = json.loads(place.run("sessions", "--json").stdout)
            expect(answer["ok"] is False and answer["sessions"] == [] and "list of sessions" in answer["message"], answer)
    for reply in (None, b"\4\0\0\0", a_part(row)[:-1], a_part(row) + b"x", b"\3" + a_part(row)[1:]):
        with a_list(place, lambda after: reply):
            result = place.run("sessions")
            expect(result.returncode == 1 and not result.stdout and one_sentence(result), result)


@test("that there are no sessions to be known is said plainly")
def _(place):
    for code, sentence in ((errno.EOPNOTSUPP, b"Only an OpenClaw gateway has sessions."),
                           (errno.ESRCH, b"No gateway is running, and so no session.")):
        words = sentence.decode()
        with a_list(place, lambda after: a_part([], code=-code, sentence=sentence)):
            result = place.run("sessions")
            expect(result.returncode == 1 and not result.stdout and words in one_sentence(result), result)
            result = place.run("sessions", "--json")
            answer = json.loads(result.stdout)
            expect(result.returncode == 1 and answer["ok"] is False and words in answer["message"], answer)
            expect((answer["known"], answer["running"], answer["stuck"], answer["left"], answer["sessions"]) ==
                   (0, 0, 0, 0, []), answer)
    with a_list(place, lambda after: a_part([], code=-errno.EAGAIN, sentence=b"It is not known yet\x1b[1m.")):
        result = place.run("sessions")
        expect(result.returncode == 1 and "It is not known yet?" in one_sentence(result), result)


@test("abort passes the session's key on, and says what the supervisor answers")
def _(place):
    altered = a_reply(place)
    key = "agent:main:gr\u00fc\u00dfe:" + "k" * 170
    with Answering(place.runtime, lambda request: altered(0, b"Its run is being aborted\x1b[1m.", b"")) as asked:
        result = place.run("abort", key)
        expect(result.returncode == 0 and result.stdout == b"Its run is being aborted?[1m.\n" and not result.stderr, result)
        answer = json.loads(place.run("abort", "--json", key).stdout)
        expect(answer == {"ok": True, "message": "Its run is being aborted\x1b[1m.", "state": "running"}, answer)
    for request in asked.requests:
        fields = REQUEST.unpack(request)
        expect(fields[1] == ABORT and fields[-2].rstrip(b"\0").decode() == key, fields)
    expect(len(asked.requests) == 2, asked.requests)
    with Answering(place.runtime, lambda request: altered(-errno.ENOENT, b"There is no such session.", b"")):
        result = place.run("abort", "x")
        expect(result.returncode == 1 and not result.stdout and "no such session" in one_sentence(result), result)
        result = place.run("abort", "x", "--json")
        expect(result.returncode == 1 and json.loads(result.stdout)["ok"] is False and not result.stderr, result)


def main():
    print(f"1..{len(TESTS)}", flush=True)
    failed = 0
    for number, (name, function) in enumerate(TESTS, 1):
        place = Place()
        try:
            function(place)
            print(f"ok {number} - {name}", flush=True)
        except Skip as why:
            print(f"ok {number} - {name} # SKIP {why}", flush=True)
        except Exception as why:  # any failure is this test's, and the others still run
            failed += 1
            frame = traceback.extract_tb(why.__traceback__)
            where = next((f for f in reversed(frame) if f.name == "_"), frame[-1])
            print(f"not ok {number} - {name}")
            print("\n".join(f"# line {where.lineno}: {line}" for line in (str(why) or repr(why)).splitlines()[:20]),
                  flush=True)
        finally:
            place.close()
    return failed != 0


sys.exit(main())
