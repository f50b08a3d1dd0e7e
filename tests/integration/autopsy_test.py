#!/usr/bin/env python3
"""Gateways that hang, each in its own way, examined from outside: is what blocks them named?

usage: autopsy_test.py AUTOPSY_ONCE [NODE [NAME...]]
"""
import contextlib
import json
import os
import pathlib
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
AUTOPSY = os.path.abspath(sys.argv[1])
NODE = sys.argv[2] if len(sys.argv) > 2 and sys.argv[2] != "-" else None
LIMIT_MS = 3000
PATIENCE_S = 20
NODE_OPTIONS = "--inspect-port=127.0.0.1:0 --inspect-publish-uid=stderr"
# What a memory checker reads at its end, it must be allowed to trace for.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:" + os.environ.get("ASAN_OPTIONS", "")}

tests = []


class Skip(Exception):
    pass


def test(function):
    tests.append(function)
    return function


def check(condition, *seen):
    if not condition:
        raise AssertionError(" ".join(str(thing) for thing in seen))


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        check(time.monotonic() < end, "waited in vain for:", what)
        time.sleep(0.01)


def find_node():
    """A Node whose inspector answers while JavaScript runs: 20 or later."""
    candidates = [NODE] if NODE else [str(path) for path in sorted(ROOT.glob(".local/node/*/bin/node"), reverse=True)]
    for node in candidates + ["node"]:
        with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
            version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20).stdout
            if int(version.lstrip("v").split(".")[0]) >= 22:
                return node
    raise Skip("no Node.js 22 or later is here")


def process_state(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def wait_channel(pid):
    return pathlib.Path(f"/proc/{pid}/wchan").read_text()


def queue_of(port):
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and int(words[1].split(":")[1], 16) == port:
            return int(words[4].split(":")[1], 16)
    return 0


# Serves HTTP, and says its port. Then it is told on its standard input what to do instead.
SERVER = """\
const server = require('http').createServer((request, response) => response.end('ok'));
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.once('data', () => require('./block.js')());
"""


class Gateway:
    """A process that serves a port until it is told to hang."""

    def __init__(self, root, command, node=False):
        self.root = root
        self.console, console = os.pipe()
        environment = {**os.environ, **({"NODE_OPTIONS": NODE_OPTIONS} if node else {})}
        self.process = subprocess.Popen(command, cwd=root, env=environment, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=console, start_new_session=True)
        os.close(console)
        self.pid = self.process.pid
        self.port = int(self.process.stdout.readline())

    def hang(self):
        self.process.stdin.write(b"x\n")
        self.process.stdin.flush()

    def call(self):
        """A caller that will not be answered; the kernel takes the connection."""
        return socket.create_connection(("127.0.0.1", self.port))

    def examine(self, may_open=True, blocked_ms=1000, as_user=None):
        began = time.monotonic()
        ended = subprocess.run([AUTOPSY, str(self.pid), str(self.port), str(self.root), str(int(may_open)), str(blocked_ms)],
                               stdin=self.console, env=ENVIRONMENT, capture_output=True, text=True, timeout=20,
                               user=as_user)
        took_ms = (time.monotonic() - began) * 1000
        check(ended.returncode == 0, "the autopsy ended with", ended.returncode, ended.stderr)
        result = json.loads(ended.stdout)
        print(f"# {result['took_ms']} ms: {result['cause']}: {result['sentence']}", flush=True)
        check(result["took_ms"] <= LIMIT_MS and took_ms <= LIMIT_MS + 1000, "took", result["took_ms"], "ms, in all", took_ms)
        check(len(result["sentence"].encode()) <= 303, "too long")
        result["report"] = read_report(self.root / result["file"], result)
        return result

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.console)


KEYS = {"generation", "pid", "began_ms", "took_ms", "cause", "sentence", "advice", "opened", "process", "threads", "frames",
        "children", "locks", "sockets", "listen_queue", "pressure", "console"}


def read_report(path, result):
    """Whatever hangs, the report is whole, private and bounded."""
    mode = path.stat()
    check(stat.S_IMODE(mode.st_mode) == 0o600 and mode.st_size <= 64 * 1024, "mode or size", mode)
    report = json.loads(path.read_text())
    check(KEYS <= set(report), "missing:", KEYS - set(report))
    check(report["cause"] == result["cause"] and report["sentence"] == result["sentence"], "another verdict", report)
    check(report["console"] == ["an earlier line", "[31ma ? line[0m with what a terminal obeys"], report["console"])
    return report


@contextlib.contextmanager
def gateway(source, language="node", options=()):
    root = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-autopsy-"))
    if language == "node":
        (root / "server.js").write_text(SERVER)
        (root / "block.js").write_text(source)
        command = [find_node(), *options, "server.js"]
    else:
        (root / "server.py").write_text(source)
        command = [sys.executable, "server.py"]
    it = Gateway(root, command, language == "node")
    try:
        yield it
    finally:
        it.end()
        subprocess.run(["rm", "-rf", str(root)], check=False)


def wait_running(it):
    def used():
        fields = pathlib.Path(f"/proc/{it.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
    before = used()
    wait_until(lambda: used() >= before + 30, "300 ms of CPU")


@test
def a_spin_is_named_by_its_function():
    with gateway("module.exports = function outer() {\n  function spin() {\n    for (;;) ;\n  }\n  spin();\n};\n") as it:
        it.hang()
        wait_running(it)
        seen = it.examine()
        check(seen["cause"] == "javascript" and seen["opened"], seen)
        check(f"function spin ({it.root}/block.js:3:" in seen["sentence"], seen["sentence"])
        check(f"called from function outer ({it.root}/block.js:5:" in seen["sentence"], seen["sentence"])
        frames = seen["report"]["frames"]
        check(frames[0]["function"] == "spin" and frames[0]["line"] == 3, frames)
        check(frames[1]["function"] == "outer" and frames[1]["file"] == f"{it.root}/block.js", frames)
        check(seen["report"]["threads"][0]["window_cpu_ms"] >= 20, seen["report"]["threads"])


@test
def a_catastrophic_regular_expression_is_named_by_the_function_that_runs_it():
    with gateway("function match() {\n  return /^(a+)+$/.test('a'.repeat(60) + '!');\n}\nmodule.exports = () => match();\n") as it:
        it.hang()
        wait_running(it)
        seen = it.examine()
        check(seen["cause"] == "javascript" and f"function match ({it.root}/block.js:2:" in seen["sentence"], seen)


@test
def a_deep_recursion_is_cut_to_its_innermost_frames():
    source = "function down(n) {\n  if (n > 0) return down(n - 1) + 1;\n  for (;;) ;\n}\nmodule.exports = () => down(5000);\n"
    with gateway(source) as it:
        it.hang()
        wait_running(it)
        seen = it.examine()
        check(seen["cause"] == "javascript" and f"function down ({it.root}/block.js:3:" in seen["sentence"], seen)
        check(len(seen["report"]["frames"]) == 32, len(seen["report"]["frames"]))


@test
def what_cannot_be_interrupted_is_said_to_be_so_in_time():
    with gateway("module.exports = () => require('crypto').pbkdf2Sync('a', 'b', 2 ** 31 - 1, 64, 'sha512');\n") as it:
        it.hang()
        wait_running(it)
        seen = it.examine()
        check(seen["cause"] == "javascript" and seen["opened"], seen)
        check("did not open" in seen["sentence"], seen["sentence"])


@test
def no_inspector_is_opened_where_that_was_not_allowed():
    with gateway("module.exports = () => { for (;;) ; };\n") as it:
        it.hang()
        wait_running(it)
        seen = it.examine(may_open=False)
        check(seen["cause"] == "javascript" and not seen["opened"], seen)
        check("may not be opened" in seen["sentence"], seen["sentence"])


@test
def a_synchronous_command_is_named():
    with gateway("module.exports = () => require('child_process').execSync('sleep 600');\n") as it:
        it.hang()
        wait_until(lambda: "sleep" in "".join(children_of(it.pid)), "the command")
        caller = it.call()
        wait_until(lambda: queue_of(it.port) == 1, "a caller in the queue")
        seen = it.examine()
        caller.close()
        check(seen["cause"] == "child" and not seen["opened"], seen)
        check("waiting for its child `" in seen["sentence"] and "sleep 600" in seen["sentence"], seen["sentence"])
        check(seen["report"]["listen_queue"] == 1, seen["report"]["listen_queue"])
        check(seen["report"]["process"]["syscall"]["object"]["serves_callers"] is False, seen["report"]["process"])


def children_of(pid):
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for child in children:
        with contextlib.suppress(OSError):
            yield pathlib.Path(f"/proc/{child}/cmdline").read_text()


@test
def an_idle_loop_is_not_taken_for_one_that_waits_for_its_child():
    with gateway("module.exports = () => require('child_process').spawn('sleep', ['600']);\n") as it:
        it.hang()
        wait_until(lambda: "sleep" in "".join(children_of(it.pid)), "the command")
        wait_until(lambda: wait_channel(it.pid) in ("do_epoll_wait", "ep_poll"), "an idle loop")
        seen = it.examine()
        check(seen["cause"] == "unknown" and "as an idle one does" in seen["sentence"], seen)


@test
def a_database_lock_is_named_with_its_file_and_its_holder():
    source = ("module.exports = () => {\n  const { DatabaseSync } = require('node:sqlite');\n"
              "  const database = new DatabaseSync('state.sqlite', { timeout: 600000 });\n"
              "  database.exec('begin immediate');\n};\n")
    with gateway(source) as it:
        holder = sqlite3.connect(it.root / "state.sqlite", isolation_level=None)
        holder.execute("create table things (name text)")
        holder.execute("begin exclusive")
        it.hang()
        wait_until(lambda: "nanosleep" in wait_channel(it.pid), "a busy wait")
        seen = it.examine()
        holder.close()
        check(seen["cause"] == "lock", seen)
        check(f"lock on {it.root}/state.sqlite" in seen["sentence"] and f"(pid {os.getpid()})" in seen["sentence"], seen["sentence"])


@test
def a_database_lock_in_wal_mode_is_named():
    source = ("module.exports = () => {\n  const { DatabaseSync } = require('node:sqlite');\n"
              "  const database = new DatabaseSync('state.sqlite', { timeout: 600000 });\n"
              "  database.exec('begin immediate');\n};\n")
    with gateway(source) as it:
        holder = sqlite3.connect(it.root / "state.sqlite", isolation_level=None)
        holder.execute("pragma journal_mode = wal")
        holder.execute("create table things (name text)")
        holder.execute("begin immediate")
        it.hang()
        wait_until(lambda: "nanosleep" in wait_channel(it.pid), "a busy wait")
        seen = it.examine()
        holder.close()
        check(seen["cause"] == "lock" and f"lock on {it.root}/state.sqlite," in seen["sentence"], seen)
        check(f"(pid {os.getpid()})" in seen["sentence"], seen["sentence"])


@test
def a_database_lock_that_it_holds_itself_is_named():
    source = ("module.exports = () => {\n  const { DatabaseSync } = require('node:sqlite');\n"
              "  new DatabaseSync('state.sqlite').exec('begin exclusive');\n"
              "  new DatabaseSync('state.sqlite', { timeout: 600000 }).exec('begin immediate');\n};\n")
    with gateway(source) as it:
        it.hang()
        wait_until(lambda: "nanosleep" in wait_channel(it.pid), "a busy wait")
        seen = it.examine()
        check(seen["cause"] == "lock" and f"lock on {it.root}/state.sqlite, held by another thread" in seen["sentence"], seen)


@test
def a_fifo_that_nobody_writes_to_is_named():
    with gateway("module.exports = () => require('fs').readFileSync('input');\n") as it:
        os.mkfifo(it.root / "input")
        it.hang()
        wait_until(lambda: process_state(it.pid) == "S" and "epoll" not in wait_channel(it.pid), "a wait")
        seen = it.examine()
        check(seen["cause"] == "pipe" and f"FIFO {it.root}/input" in seen["sentence"], seen)


@test
def a_fifo_whose_writer_says_nothing_is_named_with_its_writer():
    with gateway("module.exports = () => require('fs').readFileSync('input');\n") as it:
        os.mkfifo(it.root / "input")
        writer = os.open(it.root / "input", os.O_RDWR)
        it.hang()
        wait_until(lambda: "pipe" in wait_channel(it.pid), "a read")
        seen = it.examine()
        os.close(writer)
        check(seen["cause"] == "pipe" and f"read(2) on the FIFO {it.root}/input" in seen["sentence"], seen)
        check(f"(pid {os.getpid()})" in seen["sentence"], seen["sentence"])


@test
def a_stopped_process_is_said_to_be_stopped():
    with gateway("module.exports = () => {};\n") as it:
        os.kill(it.pid, signal.SIGSTOP)
        wait_until(lambda: process_state(it.pid) == "T", "a stop")
        seen = it.examine()
        check(seen["cause"] == "stopped" and "stopped by a signal" in seen["sentence"] and not seen["opened"], seen)


PYTHON_SERVER = """\
import fcntl, os, socket, subprocess, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
sys.stdin.readline()
"""


def waits_for_locks():
    return "".join(line for line in pathlib.Path("/proc/locks").read_text().splitlines() if "->" in line)


@test
def a_lock_the_kernel_keeps_it_waiting_for_is_named():
    with gateway(PYTHON_SERVER + "fcntl.lockf(open('lock', 'r+'), fcntl.LOCK_EX)\n", "python") as it:
        import fcntl
        (it.root / "lock").write_text("")
        with open(it.root / "lock", "r+") as held:
            fcntl.lockf(held, fcntl.LOCK_EX)
            it.hang()
            wait_until(lambda: f" {it.pid} " in waits_for_locks(), "a wait for the lock")
            seen = it.examine()
        check(seen["cause"] == "lock" and f"lock on {it.root}/lock, held by" in seen["sentence"], seen)
        check(f"(pid {os.getpid()})" in seen["sentence"], seen["sentence"])
        check(seen["report"]["locks"][0]["waited_for"], seen["report"]["locks"])


@test
def a_connection_that_says_nothing_is_named_by_its_peer():
    with socket.create_server(("127.0.0.1", 0)) as peer:
        port = peer.getsockname()[1]
        with gateway(PYTHON_SERVER + f"socket.create_connection(('127.0.0.1', {port})).recv(1)\n", "python") as it:
            it.hang()
            accepted = peer.accept()[0]
            wait_until(lambda: process_state(it.pid) == "S", "a wait")
            seen = it.examine()
            accepted.close()
            check(seen["cause"] == "socket" and f"connection with 127.0.0.1:{port}" in seen["sentence"], seen)


@test
def a_child_that_is_waited_for_by_any_other_program_is_named():
    with gateway(PYTHON_SERVER + "subprocess.run(['sleep', '601'])\n", "python") as it:
        it.hang()
        wait_until(lambda: "do_wait" in wait_channel(it.pid), "a wait")
        seen = it.examine()
        check(seen["cause"] == "child" and "`sleep 601`" in seen["sentence"], seen)


@test
def the_name_of_a_command_cannot_command_a_terminal():
    with gateway(PYTHON_SERVER + "subprocess.run(['\\x1b[2Jevil\\n\\u202e\\udcff', '30'], executable='sleep')\n", "python") as it:
        it.hang()
        wait_until(lambda: "do_wait" in wait_channel(it.pid), "a wait")
        seen = it.examine()
        check("`[2Jevil? 30`" in seen["sentence"], repr(seen["sentence"]))


@test
def a_program_that_is_not_node_is_never_sent_the_signal():
    source = "import signal\nsignal.signal(signal.SIGUSR1, lambda *_: os._exit(1))\nwhile True: pass\n"
    with gateway(PYTHON_SERVER + source, "python") as it:
        it.hang()
        wait_running(it)
        seen = it.examine()
        check(not seen["opened"] and "busy without a pause" in seen["sentence"], seen)
        check(process_state(it.pid) == "R", "it ended of it")


@test
def a_node_that_would_end_of_the_signal_is_never_sent_it():
    with gateway("module.exports = () => { for (;;) ; };\n", options=["--disable-sigusr1"]) as it:
        it.hang()
        wait_running(it)
        seen = it.examine()
        check(not seen["opened"] and process_state(it.pid) == "R", seen)


@test
def an_uninterruptible_sleep_is_said_to_be_one():
    # What calls clone so sleeps in state D until its child has ended.
    number = {"x86_64": 56, "aarch64": 220}.get(os.uname().machine)
    if not number:
        raise Skip("the number of clone(2) is not known for this machine")
    vfork = f"import ctypes, time; ctypes.CDLL(None).syscall({number}, 0x4000 | 17, 0, 0, 0, 0) or time.sleep(600)\n"
    with gateway(PYTHON_SERVER + vfork, "python") as it:
        it.hang()
        wait_until(lambda: process_state(it.pid) == "D", "state D")
        seen = it.examine()
        check(seen["cause"] == "uninterruptible" and "(state D)" in seen["sentence"], seen)


@test
def of_a_process_that_may_not_be_seen_the_rest_is_told():
    if os.geteuid() != 0:
        raise Skip("a process of another user needs root")
    with gateway("module.exports = () => { for (;;) ; };\n") as it:
        it.hang()
        wait_running(it)
        os.chmod(it.root, 0o777)
        seen = it.examine(as_user=65534)
        check(not seen["opened"] and "busy without a pause" in seen["sentence"], seen)
        report = seen["report"]
        check(report["process"]["syscall"] == report["sockets"] == report["locks"] == "not visible", report)
        check(report["process"]["state"] == "R" and report["threads"], report)


@test
def a_process_that_is_gone_is_not_examined():
    with gateway("module.exports = () => {};\n") as it:
        it.process.kill()
        it.process.wait()
        ended = subprocess.run([AUTOPSY, str(it.pid), str(it.port), str(it.root), "1", "0"], env=ENVIRONMENT,
                               stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
        check(ended.returncode == 1 and "No such process" in ended.stderr, ended)


@test
def an_address_that_somebody_else_serves_is_not_gone_to():
    # It keeps the signal to itself, so that no true address comes, and says another one again and again.
    source = ("module.exports = function liar() {\n  process.on('SIGUSR1', () => {});\n  for (let last = 0;;) {\n    if (Date.now() < last + 20) continue;\n"
              "    require('fs').writeSync(2, LINE + '\\n');\n    last = Date.now();\n  }\n};\n")
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        line = f"Debugger listening on ws://127.0.0.1:{other.getsockname()[1]}/{'0' * 8}-0000-0000-0000-{'0' * 12}"
        with gateway(source.replace("LINE", repr(line))) as it:
            it.hang()
            wait_running(it)
            seen = it.examine()
            check(seen["opened"] and "function liar" not in seen["sentence"], seen)
            try:
                other.accept()
                check(False, "it was gone to")
            except BlockingIOError:
                pass


@test
def what_was_found_of_one_is_not_told_of_the_next():
    with gateway("module.exports = function first() { for (;;) ; };\n") as it, gateway(PYTHON_SERVER, "python") as other:
        it.hang()
        wait_running(it)
        ended = subprocess.run([AUTOPSY, str(it.pid), str(it.port), str(it.root), "1", "0", str(other.pid), str(other.port)],
                               stdin=it.console, env=ENVIRONMENT, capture_output=True, text=True, timeout=20)
        first, second = (json.loads(line) for line in ended.stdout.splitlines())
        check("function first" in first["sentence"] and first["opened"], first)
        check("read(2) on a pipe" in second["sentence"] and not second["opened"], second)


@test
def only_so_many_reports_are_kept():
    with gateway(PYTHON_SERVER + "sys.stdin.readline()\n", "python") as it:
        for number in range(100, 112):
            (it.root / f"autopsy.{number}.json").write_text("{}")
            os.utime(it.root / f"autopsy.{number}.json", (number, number))
        (it.root / "autopsy.x.json").write_text("{}")
        it.examine()
        kept = sorted(path.name for path in it.root.glob("autopsy.*.json"))
        check(kept == sorted(["autopsy.7.json", "autopsy.x.json"] + [f"autopsy.{number}.json" for number in range(105, 112)]), kept)


def main():
    chosen = [function for function in tests if not sys.argv[3:] or function.__name__ in sys.argv[3:]]
    print(f"1..{len(chosen)}", flush=True)
    failed = False
    for number, function in enumerate(chosen, 1):
        name = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok {number} - {name}", flush=True)
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        except Exception:
            failed = True
            print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), end="")
            print(f"not ok {number} - {name}", flush=True)
    return failed


sys.exit(main())
