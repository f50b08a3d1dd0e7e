#!/usr/bin/env python3
"""The sentry as its supervisor and its gateway meet it: floods, full disks, words, start-up, configuration, succession.

usage: sentry_test.py SENTRY WORKER_HARNESS [NAME...]
"""
import concurrent.futures
import contextlib
import ctypes
import fcntl
import itertools
import json
import os
import pathlib
import queue
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

SENTRY, HARNESS = (os.path.abspath(path) for path in sys.argv[1:3])
PATIENCE_S = 30
# A worker gives up being traced, which the leak checker would do at its end.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:" + os.environ.get("ASAN_OPTIONS", "")}
PIPE_BYTES = 1 << 20
WORDS = {"none": 0, "config": 1, "migration": 2, "contention": 3, "memory": 4}

tests = []


class Skip(Exception):
    pass


def test(function):
    tests.append(function)
    return function


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def wait_until(condition, what, patience_s=PATIENCE_S):
    end = time.monotonic() + patience_s
    while not condition():
        check(time.monotonic() < end, f"waited in vain for: {what}")
        time.sleep(0.01)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def memory_kib(pid, name="VmRSS"):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0


def is_sanitized():
    return b"__asan_init" in pathlib.Path(SENTRY).read_bytes()


class Place:
    """A state and a runtime directory, with the console's FIFO held open as the supervisor and its child hold it."""

    def __init__(self, fifo=True):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-sentry-"))
        # As in life: the state on a disk, the rest on tmpfs.
        self.memory = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-sentry-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
        self.state, self.runtime = self.root / "state", self.memory / "runtime"
        self.state.mkdir(0o700)
        self.runtime.mkdir(0o700)
        self.fifo = self.runtime / "console"
        self.ring = self.runtime / "console.ring"
        self.console = -1
        if fifo:
            self.make_fifo()

    def make_fifo(self):
        os.mkfifo(self.fifo, 0o600)
        self.console = os.open(self.fifo, os.O_RDWR)
        fcntl.fcntl(self.console, 1031, PIPE_BYTES)  # F_SETPIPE_SZ

    def write(self, text):
        os.write(self.console, text.encode() if isinstance(text, str) else text)

    def log(self):
        return b"".join(path.read_bytes() for path in sorted(self.state.glob("console.log*"), reverse=True)).decode(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.console >= 0:
            os.close(self.console)
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.rmtree(self.memory, ignore_errors=True)


class Supervisor:
    def __init__(self, place, *options, stdout=None, environment=None, **settings):
        settings = {"state_dir": place.state, "runtime_dir": place.runtime, "kind": "openclaw", "ready_path": "/startupz", **settings}
        command = [HARNESS]
        for name, value in settings.items():
            for one in value if isinstance(value, list) else [value]:
                command += ["--set", f"{name}={one}"]
        command += ["--stdout", str(stdout or place.root / "stdout"), *options, SENTRY]
        self.harness = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**ENVIRONMENT, **(environment or {})})
        self.messages, self.seen = queue.Queue(), []
        threading.Thread(target=self.read, daemon=True).start()
        self.pid = self.expect("STARTED")["pid"]
        self.expect("HELLO")
        if place.console >= 0:
            self.say("CONSOLE", f"/proc/{os.getpid()}/fd/{place.console}")

    def read(self):
        for line in self.harness.stdout:
            self.messages.put(json.loads(line))
        self.messages.put({"type": "GONE"})

    def say(self, *words):
        self.harness.stdin.write("\t".join(str(word) for word in words) + "\n")
        self.harness.stdin.flush()

    def expect(self, kind, patience_s=PATIENCE_S):
        """The next message of this kind; others are remembered in `seen`."""
        end = time.monotonic() + patience_s
        while True:
            try:
                message = self.messages.get(timeout=max(0.001, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"waited in vain for {kind}; seen: {self.seen[-5:]}") from None
            self.seen.append(message)
            if message["type"] == kind:
                return message
            check(message["type"] != "GONE", f"the sentry ended instead of saying {kind}: {self.seen[-5:]}")

    def expect_none(self, kind, within_s):
        with contextlib.suppress(AssertionError):
            raise RuntimeError(f"unexpected: {self.expect(kind, within_s)}")

    def words(self, generation):
        self.say("ASK_WORDS", generation)
        return self.expect("WORDS")

    def sync(self):
        self.say("PING")
        self.expect("PONG")

    def finish(self):
        self.say("FINISH")
        ended = self.expect("EXIT")
        check(ended["code"] == 0, f"ended with {ended}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.harness.kill()
        self.harness.wait()


GATEWAY = r'''
import json, socket, sys, threading
answer, lock = {"raw": ""}, threading.Lock()
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
def serve():
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=one, args=(peer,), daemon=True).start()
def one(peer):
    peer.recv(4096)
    with lock:
        now = dict(answer)
    if now["raw"] is None:
        import time
        time.sleep(3600)
    peer.sendall(now["raw"].encode("latin-1"))
    peer.close()
for line in sys.stdin:
    command = json.loads(line)
    if "spin" in command:
        threading.Thread(target=lambda: exec("while True: pass"), daemon=True).start()
    if "raw" in command:
        with lock:
            answer.update(command)
    if "listen" in command:
        listener.bind(("127.0.0.1", command["listen"]))
        listener.listen(64)
        threading.Thread(target=serve, daemon=True).start()
    print("done", flush=True)
'''


def reply(status, body, kind="application/json", extra=""):
    return f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{extra}Connection: close\r\n\r\n{body}"


STARTED = reply(200, '{"ok":true,"status":"started","version":"2026.9.6","uptimeMs":5}')
STARTING = reply(503, '{"ok":false,"status":"starting","pendingReason":"startup-sidecars"}')
DRAINING = reply(503, '{"ok":false,"status":"draining"}')
PAGE = reply(200, "<!doctype html><html></html>", "text/html")


class Gateway:
    """A process that answers HTTP as it is told; all its answers come from itself."""

    def __init__(self, port=None, raw=None):
        self.process = subprocess.Popen([sys.executable, "-c", GATEWAY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        if raw is not None:
            self.tell(raw=raw)
        if port is not None:
            self.tell(listen=port)

    def tell(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        check(self.process.stdout.readline() == "done\n", "the gateway of this test died")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


# --- console ---------------------------------------------------------------------------------------------------------


@test
def the_console_goes_to_the_file_and_to_the_foreground():
    with Place() as place, Supervisor(place) as supervisor:
        place.write("\x1b[36mhello\x1b[39m\nworld\n")
        supervisor.say("NOTE", "the gateway is \x1b[31mready")
        place.write("no line end")
        wait_until(lambda: "no line end" in (place.root / "stdout").read_text(), "an unfinished line is shown")
        supervisor.finish()
        shown = (place.root / "stdout").read_text()
        check("\x1b[36mhello\x1b[39m\nworld\n" in shown, "colours are passed through as the gateway wrote them")
        check("holdfast: the gateway is ready\n" in shown, f"the note is shown, without its own escapes: {shown!r}")
        check("Z [holdfast] the gateway is ready\n" in place.log(), "the note is in the file, with its time")
        check((place.state / "console.log").stat().st_mode & 0o777 == 0o600, "the file is private")


@test
def a_console_that_comes_late_is_found():
    with Place(fifo=False) as place, Supervisor(place) as supervisor:
        supervisor.sync()
        supervisor.say("NOTE", "said before it")
        supervisor.sync()
        place.make_fifo()
        place.write("late\n")
        supervisor.say("CONSOLE", place.fifo)
        wait_until(lambda: place.state.joinpath("console.log").exists() and "late\n" in place.log(), "the late line")
        supervisor.finish()
        check(place.log().endswith("Z [holdfast] said before it\nlate\n"), f"what we said before comes before: {place.log()!r}")


@test
def lines_longer_than_a_piece_arrive_whole_where_there_is_room():
    with Place() as place, Supervisor(place) as supervisor:
        long_line = "x" * 300000 + "\n"
        place.write("before\n" + long_line + "after\n")
        supervisor.finish()
        check(place.log() == "before\n" + long_line + "after\n", "the long line is complete")


@test
def finish_leaves_nothing_in_the_console():
    with Place() as place, Supervisor(place) as supervisor:
        lines = "".join(f"line {number}\n" for number in range(50000))
        place.write(lines)
        supervisor.finish()
        check(place.log() == lines, "every line is in the file")


class Writer:
    """Writes lines at 100 MB/s for some seconds and keeps the longest time a write took."""

    def __init__(self, fd, seconds):
        self.fd, self.seconds, self.longest_s, self.total = fd, seconds, 0.0, 0
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        block = (b"0123456789" * 9 + b"abcdefghi\n") * 655
        began = time.perf_counter()
        while (now := time.perf_counter()) - began < self.seconds:
            ahead_s = self.total / 100e6 - (now - began)
            if ahead_s > 0:
                time.sleep(ahead_s)
                continue
            self.total += os.write(self.fd, block)
            self.longest_s = max(self.longest_s, time.perf_counter() - now)


def flood(place, seconds=2):
    writer = Writer(place.console, seconds)
    writer.thread.join()
    return writer


def flood_floor(seconds=2):
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as cat:
        fcntl.fcntl(cat.stdin, 1031, PIPE_BYTES)
        writer = Writer(cat.stdin.fileno(), seconds)
        writer.thread.join()
        cat.stdin.close()
    return writer


@contextlib.contextmanager
def full_disk(place):
    """A disk of 1 MB where we may mount one; else a limit on the size of a file. Yields the harness's options and a cure."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0 and libc.mount(b"none", bytes(place.state), b"tmpfs", 0, b"size=1m,mode=700") == 0:
        try:
            yield [], lambda: libc.mount(b"none", bytes(place.state), b"tmpfs", 32, b"size=200m")  # MS_REMOUNT
        finally:
            libc.umount2(bytes(place.state), 2)
    else:
        yield ["--file-limit", str(1 << 20)], None


@test
def a_flood_onto_a_full_disk_blocks_nobody_and_nothing_grows():
    with Place() as place, full_disk(place) as (options, cure):
        with Supervisor(place, *options, stdout="/dev/null") as supervisor:
            flood(place, 1)
            before_kib = memory_kib(supervisor.pid)
            floor, writer = flood_floor(), flood(place)
            after_kib = memory_kib(supervisor.pid)
            dropped = supervisor.expect("CONSOLE_DROPPED")
            supervisor.sync()

            print(f"# longest write {writer.longest_s * 1000:.1f} ms, into cat {floor.longest_s * 1000:.1f} ms: ratio "
                  f"{writer.longest_s / floor.longest_s:.2f}; {writer.total / 2e6:.0f} MB/s; RSS {before_kib} -> {after_kib} KiB")
            check(writer.total > 0.8 * floor.total, "the writer kept its pace")
            check(writer.longest_s < 0.5, f"one write took {writer.longest_s:.3f} s")
            # Two rings of 1 MiB, whose pages count once they have been used: the first flood need not have used all.
            check(after_kib - before_kib < 2 * 1024 + 512, "the sentry did not grow beyond its rings")
            check(is_sanitized() or after_kib < 8192, f"the sentry stays small: {after_kib} KiB")
            check(dropped["lines"] > 100000, f"lines are counted: {dropped}")
            check(dropped["why"] == "the disk was full", f"the reason is said: {dropped}")
            if cure is not None:
                check(cure() == 0, "the disk is made larger")
                place.write("after the cure\n")
                wait_until(lambda: "were dropped here: the disk was full\n" in place.log(), "the notice in the file", 60)
            supervisor.finish()


@test
def the_files_stay_within_their_bounds():
    with Place() as place, Supervisor(place, stdout="/dev/null", size_bytes=4000000) as supervisor:
        for round_ in range(30):
            place.write((f"{round_:09}" + "y" * 90 + "\n") * 5000)
        supervisor.finish()
        sizes = {path.name: path.stat().st_size for path in place.state.glob("console.log*")}
        check(len(sizes) == 5 and max(sizes.values()) <= 200000, f"five files, each within its share: {sizes}")
        for name in sizes:
            text = (place.state / name).read_text()
            check(text.endswith("\n") and (text[0].isdigit() or text.startswith("[holdfast] ")), f"{name} holds whole lines")


@test
def a_foreground_that_is_not_read_costs_the_file_nothing():
    with Place() as place:
        stuck = place.root / "stuck"
        os.mkfifo(stuck)
        held = os.open(stuck, os.O_RDWR)
        with Supervisor(place, stdout=stuck) as supervisor:
            lines = "".join(f"line {number} " + "z" * 90 + "\n" for number in range(30000))
            for at in range(0, len(lines), 300000):
                place.write(lines[at:at + 300000])
                wait_until(lambda: len(place.log()) == len(lines[:at + 300000]), "every line is in the file")
            began = time.monotonic()
            supervisor.finish()
            check(time.monotonic() - began < 10, "a stuck foreground does not keep the sentry")
        os.close(held)


@test
def a_terminal_gets_colour_for_our_own_lines_only_without_no_color():
    import pty
    for no_color, wanted in (("", "\x1b[1;36mholdfast:\x1b[0m hello"), ("1", "holdfast: hello")):
        master, slave = pty.openpty()
        with Place() as place, Supervisor(place, stdout=os.ttyname(slave), environment={"NO_COLOR": no_color, "TERM": "xterm"}) as supervisor:
            supervisor.say("NOTE", "hello")
            shown = ""
            while "hello" not in shown:
                shown += os.read(master, 1000).decode()
            check(shown.startswith(wanted), f"{shown!r}")
            supervisor.finish()
        os.close(master)
        os.close(slave)


@test
def a_ping_is_answered_at_once_in_a_flood():
    with Place() as place, Supervisor(place, stdout="/dev/null") as supervisor:
        writer = Writer(place.console, 2)
        longest_s = 0
        while writer.thread.is_alive():
            began = time.monotonic()
            supervisor.sync()
            longest_s = max(longest_s, time.monotonic() - began)
            time.sleep(0.02)
        print(f"# slowest answer {longest_s * 1000:.0f} ms")
        check(longest_s < 1, f"a ping took {longest_s:.3f} s")
        supervisor.finish()


# --- words -----------------------------------------------------------------------------------------------------------


@test
def words_are_those_of_the_generation_asked_for():
    with Place() as place, Gateway() as gateway, Supervisor(place, port=free_port()) as supervisor:
        supervisor.say("GATEWAY_STARTED", 1, gateway.pid)
        place.write("Gateway failed to start: Invalid config at /x.json:\n<root>: bad\n")
        supervisor.say("GATEWAY_GONE", 1, gateway.pid)
        supervisor.sync()
        place.write("\x1b[31mFATAL ERROR: Reached heap limit - JavaScript heap out of memory\x1b[0m\n1: 0x1234\n")
        supervisor.say("GATEWAY_STARTED", 2, gateway.pid)

        second, first = supervisor.words(2), supervisor.words(1)
        check((first["generation"], first["words"]) == (1, WORDS["config"]), f"{first}")
        check(first["line"] == "Gateway failed to start: Invalid config at /x.json: <root>: bad", f"{first}")
        check((second["generation"], second["words"]) == (2, WORDS["memory"]), f"{second}")
        check(second["line"] == "FATAL ERROR: Reached heap limit - JavaScript heap out of memory", f"{second}")
        supervisor.finish()


@test
def words_name_who_holds_the_port():
    port = free_port()
    with Place() as place, Gateway(port, "") as other, Supervisor(place, port=port) as supervisor:
        supervisor.say("GATEWAY_STARTED", 1, os.getpid())
        place.write(f"Gateway failed to start: another gateway instance is already listening on ws://127.0.0.1:{port}\n")
        began = time.monotonic()
        words = supervisor.words(1)
        took_s = time.monotonic() - began
        check(words["words"] == WORDS["contention"], f"{words}")
        check(words["line"].startswith(f"port {port} is held by pid {other.pid} (python"), f"{words}")
        print(f"# answered after {took_s * 1000:.0f} ms")
        check(took_s < 1, f"it took {took_s:.3f} s")
        supervisor.finish()


@test
def no_words_give_the_last_line():
    with Place() as place, Supervisor(place) as supervisor:
        supervisor.say("GATEWAY_STARTED", 1, os.getpid())
        place.write("one\n\x1b[1mSegmentation fault\x1b[0m\n\n")
        words = supervisor.words(1)
        check((words["words"], words["line"]) == (WORDS["none"], "Segmentation fault"), f"{words}")
        supervisor.finish()


@test
def old_words_of_a_gateway_that_was_ready_are_not_why_it_ended():
    with starting(STARTED) as (place, _, supervisor):
        place.write("Config invalid: a reload was refused\n")
        supervisor.expect("READY")
        check(supervisor.words(1)["words"] == WORDS["config"], "said just before the end")
        place.write("".join(f"line {number}\n" for number in range(40)) + "Uncaught exception\n")
        words = supervisor.words(1)
        check((words["words"], words["line"]) == (WORDS["none"], "Uncaught exception"), f"{words}")


# --- start-up --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def starting(raw, listens=True, **settings):
    port = free_port()
    with Place() as place, Gateway(port if listens else None, raw) as gateway, Supervisor(place, port=port, **settings) as supervisor:
        supervisor.say("GATEWAY_STARTED", 1, gateway.pid)
        supervisor.say("PROBE_START", 1, gateway.pid)
        yield place, gateway, supervisor
        supervisor.finish()


@test
def started_is_ready():
    with starting(STARTING) as (_, gateway, supervisor):
        supervisor.expect_none("READY", 1)
        gateway.tell(raw=STARTED)
        ready = supervisor.expect("READY")
        check(ready["generation"] == 1 and ready["note"].startswith("GET /startupz said started after 1."), f"{ready}")
        supervisor.expect_none("READY", 1)


@test
def ready_comes_when_the_port_opens():
    port = free_port()
    with Place() as place, Gateway(raw=STARTED) as gateway, Supervisor(place, port=port) as supervisor:
        supervisor.say("PROBE_START", 7, gateway.pid)
        supervisor.expect_none("READY", 0.6)
        gateway.tell(listen=port)
        check(supervisor.expect("READY", 5)["generation"] == 7, "ready for the generation asked about")
        supervisor.finish()


@test
def an_old_gateway_is_ready_once_it_says_that_it_listens_and_answers():
    with starting(PAGE) as (place, _, supervisor):
        place.write("2026-11-21T09:41:16.069Z [gateway] listening on ws://127.0.0.1:38030 (PID 7916)\n")
        ready = supervisor.expect("READY", 1.5)
        check("said on its console that it listens" in ready["note"], f"{ready}")


@test
def an_old_gateway_is_ready_when_it_answers_for_two_seconds():
    for raw in (PAGE, reply(404, "Not Found", "text/plain")):
        with starting(raw) as (_, _, supervisor):
            ready = supervisor.expect("READY", 10)
            check(ready["note"].startswith("it answered twice after 2."), f"{ready}")


@test
def another_programs_answers_are_not_the_gateways():
    port = free_port()
    with Place() as place, Gateway(port, STARTED) as other, Gateway() as gateway, Supervisor(place, port=port) as supervisor:
        supervisor.say("PROBE_START", 1, gateway.pid)
        supervisor.expect_none("READY", 1.5)
        other.kill()
        gateway.tell(raw=STARTED, listen=port)
        supervisor.expect("READY", 5)
        supervisor.finish()


@test
def a_descendant_of_the_gateway_may_answer():
    port = free_port()
    with Place() as place, Gateway(port, STARTED) as child, Supervisor(place, port=port) as supervisor:
        supervisor.say("PROBE_START", 1, os.getpid())
        check(child.pid != os.getpid() and supervisor.expect("READY", 5), "ready")
        supervisor.finish()


@test
def malformed_answers_are_no_answers():
    bad = [STARTED.replace("Connection: close", "Connection : close"), STARTED.replace("Connection:", " folded"),
           STARTED.replace("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\n"), "\x00" * 50, "x" * 100000, STARTED[:60], "",
           reply(200, "{" * 2000), reply(200, "x" * 20000)[:200]]
    with starting(bad[0]) as (_, gateway, supervisor):
        for raw in bad:
            gateway.tell(raw=raw)
            supervisor.expect_none("READY", 0.4)
        gateway.tell(raw=STARTED)
        supervisor.expect("READY", 5)


@test
def a_gateway_that_speaks_tls_is_ready_after_twenty_seconds_of_listening():
    # What a TLS server does with plain HTTP: it closes the connection without a word.
    with starting("") as (_, _, supervisor):
        supervisor.expect_none("READY", 15)
        ready = supervisor.expect("READY", 15)
        check(ready["note"].startswith("it takes connections, but no plain HTTP (TLS?)"), f"{ready}")


@test
def another_program_that_listens_is_not_the_gateway():
    port = free_port()
    with Place() as place, Gateway(port, "") as _, Gateway() as gateway, Supervisor(place, port=port) as supervisor:
        supervisor.say("PROBE_START", 1, gateway.pid)
        supervisor.expect_none("READY", 25)
        supervisor.finish()


@test
def a_chunked_answer_is_understood():
    body = '{"ok":true,"status":"started"}'
    with starting(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n{body}\r\n0\r\n\r\n") as (_, _, supervisor):
        supervisor.expect("READY", 5)


@test
def an_answer_that_never_comes_is_given_up():
    with starting(None, timeout_ms=300) as (_, gateway, supervisor):
        supervisor.expect_none("READY", 1)
        gateway.tell(raw=STARTED)
        supervisor.expect("READY", 5)


@test
def a_generic_program_is_ready_by_its_status_alone():
    with starting(reply(503, "no"), kind="generic", ready_path="/ready") as (_, gateway, supervisor):
        supervisor.expect_none("READY", 0.6)
        gateway.tell(raw="HTTP/1.1 204 No Content\r\n\r\n")
        check(supervisor.expect("READY", 5)["note"].startswith("GET /ready was answered with 204"), "by its status")


@test
def a_gateway_that_is_gone_is_not_ready():
    with starting(STARTING) as (_, gateway, supervisor):
        supervisor.say("GATEWAY_GONE", 1, gateway.pid)
        supervisor.sync()
        gateway.tell(raw=STARTED)
        supervisor.expect_none("READY", 1)


@test
def a_start_that_moves_is_told_apart_from_one_that_does_not():
    with starting("", listens=False) as (place, gateway, supervisor):
        supervisor.expect_none("PROGRESS", 6)
        gateway.tell(spin=1)
        check(supervisor.expect("PROGRESS", 12)["generation"] == 1, "CPU time is progress")


@test
def console_lines_are_progress():
    with starting("", listens=False) as (place, _, supervisor):
        supervisor.sync()
        place.write("loading plugins\n")
        supervisor.expect("PROGRESS", 8)


@test
def a_restart_in_the_same_process_is_ready_again():
    with starting(STARTED) as (place, gateway, supervisor):
        supervisor.expect("READY")
        gateway.tell(raw=DRAINING)
        place.write("\x1b[36m[gateway]\x1b[39m \x1b[36mshutdown budget at shutdown: drain=315000ms shutdown=325000ms\x1b[39m\n"
                    "[gateway] draining active work before restart with timeout 315000ms: queueSize=2\n")
        drain = supervisor.expect("DRAIN_BEGAN")
        check((drain["generation"], drain["budget_ms"]) == (1, 315000), f"{drain}")
        supervisor.expect_none("READY", 1)
        gateway.tell(raw=STARTED)
        check(supervisor.expect("READY", 5)["generation"] == 1, "ready again")
        check(not any(message["type"] == "DRAIN_BEGAN" for message in supervisor.seen[supervisor.seen.index(drain) + 1:]), "told once")


@test
def a_drain_that_was_called_off_is_ready_again():
    with starting(STARTED) as (place, _, supervisor):
        supervisor.expect("READY")
        place.write("[gateway] draining active work before restart without a timeout: queueSize=2\n")
        check(supervisor.expect("DRAIN_BEGAN")["budget_ms"] == 3600000, "a bounded budget")
        supervisor.expect("READY", 10)


@test
def a_drain_line_of_a_gateway_that_is_gone_is_nothing():
    with Place() as place, Supervisor(place) as supervisor:
        supervisor.say("GATEWAY_STARTED", 1, os.getpid())
        supervisor.say("GATEWAY_GONE", 1, os.getpid())
        supervisor.sync()
        place.write("draining active work before stop with timeout 5ms: x\n")
        supervisor.expect_none("DRAIN_BEGAN", 0.5)
        supervisor.finish()


# --- configuration ---------------------------------------------------------------------------------------------------


@test
def changes_of_the_configuration_are_told():
    with Place() as place:
        home, later = place.root / "home", place.root / "later"
        home.mkdir()
        config, included, neighbour, away = home / "openclaw.json", home / "part.txt", home / "more.json5", later / "x.json"
        config.write_text("{}")
        included.write_text("{}")
        with Supervisor(place, watched=[config, included, away]) as supervisor:
            supervisor.say("WATCH_CONFIG", 1)
            supervisor.sync()

            def told(path, what):
                note = supervisor.expect("CONFIG_CHANGED", 10)["note"]
                check(note == str(path), f"{what}: told of {note}")

            config.write_text("{ a: 1 }")
            told(config, "written in place")
            (home / "new").write_text("{ a: 2 }")
            os.rename(home / "new", config)
            told(config, "replaced")
            included.write_text("{ b: 1 }")
            told(included, "an included file")
            config.unlink()
            told(config, "deleted")
            config.write_text("{}")
            told(config, "made again")
            neighbour.write_text("{}")
            told(neighbour, "a new file beside it")
            later.mkdir()
            away.write_text("{}")
            told(away, "a directory that came later")
            (home / "gateway.log").write_text("noise")
            supervisor.expect_none("CONFIG_CHANGED", 1)
            os.utime(home / "gateway.log")
            supervisor.say("WATCH_CONFIG", 0)
            supervisor.sync()
            config.write_text("{ unseen: true }")
            supervisor.expect_none("CONFIG_CHANGED", 1)
            supervisor.finish()


# --- succession ------------------------------------------------------------------------------------------------------


@test
def what_was_mended_between_the_start_and_the_watch_is_told_once_a_minute():
    with Place() as place:
        config = place.root / "openclaw.json"
        config.write_text("{ bad }")
        with Supervisor(place, watched=[config]) as supervisor:
            supervisor.say("GATEWAY_STARTED", 1, os.getpid())
            supervisor.sync()
            config.write_text("{ mended: true }")
            supervisor.say("WATCH_CONFIG", 1)
            check(supervisor.expect("CONFIG_CHANGED", 10)["note"] == str(config), "mended in between")
            supervisor.say("WATCH_CONFIG", 0)
            # A gateway that writes its own file at each start must not be started again and again for it.
            supervisor.say("GATEWAY_STARTED", 2, os.getpid())
            supervisor.sync()
            config.write_text("{ written: 'by itself' }")
            supervisor.say("WATCH_CONFIG", 1)
            supervisor.expect_none("CONFIG_CHANGED", 1)
            config.write_text("{ mended: 'by a person' }")
            supervisor.expect("CONFIG_CHANGED", 10)
            supervisor.finish()


@test
def an_abandoned_sentry_drains_until_it_is_taken_back():
    with Place() as place, Gateway() as gateway, Supervisor(place) as supervisor:
        supervisor.say("GATEWAY_STARTED", 1, gateway.pid)
        supervisor.sync()
        supervisor.say("CLOSE")
        place.write("still here\n")
        wait_until(lambda: place.state.joinpath("console.log").exists() and "still here\n" in place.log(), "drained without a supervisor")
        supervisor.expect_none("EXIT", 0.5)
        supervisor.say("CONNECT", "sentry")
        check(supervisor.expect("HELLO")["pid"] == supervisor.pid, "the same sentry")
        supervisor.say("CONSOLE", place.fifo)
        supervisor.say("GATEWAY_STARTED", 1, gateway.pid)
        place.write("Config invalid: as before\n")
        check(supervisor.words(1)["words"] == WORDS["config"], "it goes on as before")
        supervisor.finish()
        check(place.log() == "still here\nConfig invalid: as before\n", "each line once")


@test
def an_abandoned_sentry_drains_on_after_the_gateways_end_and_then_ends():
    with Place() as place, Gateway() as gateway, Supervisor(place) as supervisor:
        supervisor.say("GATEWAY_STARTED", 1, gateway.pid)
        supervisor.sync()
        supervisor.say("CLOSE")
        gateway.kill()
        place.write("its helper's last words\n")
        wait_until(lambda: place.state.joinpath("console.log").exists() and place.log(), "drained")
        place.write("and more")
        check(supervisor.expect("EXIT")["code"] == 0, "ended")
        check(place.log() == "its helper's last words\nand more", "and wrote what was there")


class Counter:
    """Writes numbered lines until it is told to stop, at most so many in a second."""

    def __init__(self, place, lines_per_s, padding=""):
        self.place, self.rate, self.padding, self.stopping = place, lines_per_s, padding, threading.Event()
        self.written, self.longest_s = 0, 0.0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        began = time.monotonic()
        while not self.stopping.wait(0.001):
            due = int((time.monotonic() - began) * self.rate)
            if due > self.written:
                text, now = "".join(f"line {number} {self.padding}\n" for number in range(self.written, due)), time.perf_counter()
                self.place.write(text)
                self.written, self.longest_s = due, max(self.longest_s, time.perf_counter() - now)

    def await_more(self, lines):
        wanted = self.written + lines
        wait_until(lambda: self.written >= wanted, "more lines")

    def stop(self):
        self.stopping.set()
        self.thread.join()

    def check_all(self, log, told=0):
        """`told`: so many lines are missing, by the file's own words."""
        lines = [line for line in log.split("\n") if not DROPPED.fullmatch(line)]
        numbers = [int(line.split()[1]) for line in lines[:-1] if line.startswith("line ")]
        lost, doubled = set(range(self.written)) - set(numbers), len(numbers) - len(set(numbers))
        check(len(lost) == told and not doubled,
              f"of {self.written} lines {len(lost)} lost ({sorted(lost)[:3]}), {told} of them told, {doubled} doubled")
        check(numbers == sorted(numbers), "in order")
        check(len(numbers) == len(lines) - 1 and not lines[-1], "and nothing else")
        check(all(line.endswith(" " + self.padding) for line in lines[:-1]), "and each whole")


@test
def a_successor_takes_the_console_over_without_losing_a_line():
    with Place() as place, Gateway() as gateway, Supervisor(place) as first:
        first.say("GATEWAY_STARTED", 1, gateway.pid)
        first.sync()
        counter = Counter(place, 50000)
        counter.await_more(500)
        with Supervisor(place) as second:
            second.sync()
            counter.await_more(5000)
            first.finish()
            counter.await_more(5000)
            counter.stop()
            second.say("GATEWAY_STARTED", 1, gateway.pid)
            second.finish()
        counter.check_all(place.log())


@test
def while_a_stuck_foreground_keeps_a_sentry_from_ending_it_goes_on_draining():
    with Place() as place:
        stuck = place.root / "stuck"
        os.mkfifo(stuck)
        held = os.open(stuck, os.O_RDWR)
        with Supervisor(place, stdout=stuck) as first, Supervisor(place, stdout="/dev/null") as second:
            first.sync()
            counter = Counter(place, 30000, "z" * 90)
            counter.await_more(10000)
            first.say("FINISH")
            counter.longest_s = 0
            check(first.expect("EXIT")["code"] == 0, "ended")
            counter.stop()
            print(f"# longest write meanwhile {counter.longest_s * 1000:.0f} ms")
            check(counter.longest_s < 0.5, "and nobody waited for it")
            second.finish()
            counter.check_all(place.log())
        os.close(held)


def kill_often(place, counter, kills, longest_s):
    for _ in range(kills):
        with Supervisor(place, stdout="/dev/null") as supervisor:
            time.sleep(random.uniform(0, longest_s))  # no event: the kill is to come at any moment
            supervisor.say("SIGNAL", 9)
            supervisor.expect("EXIT")
    with Supervisor(place, stdout="/dev/null") as last:
        counter.stop()  # not before somebody reads: it may be waiting for room
        last.finish()


DROPPED = re.compile(r"^\[holdfast\] (\d+) lines \([^)]*\) were dropped here: the disk was too slow$", re.MULTILINE)


def seeded():
    seed = os.environ.get("HOLDFAST_SEED") or str(random.randrange(1 << 32))
    random.seed(seed)
    print(f"# HOLDFAST_SEED={seed}")


@test
def a_sentry_killed_a_hundred_times_loses_and_doubles_nothing():
    seeded()
    with Place() as place:
        counter = Counter(place, 1000)
        kill_often(place, counter, 100, 0.03)
        print(f"# {counter.written} lines, 100 kills")
        check(counter.written > 1000, "there was something to lose")
        counter.check_all(place.log())


@test
def nor_in_a_flood_that_is_in_all_its_hands_at_once():
    seeded()
    # About 20 MB/s, and files that rotate several times.
    with Place() as place:
        counter = Counter(place, 100000, "y" * 190)
        kill_often(place, counter, 50, 0.02)
        # What its disk is too slow for is dropped, and counted: also that count must outlive the kills.
        told = sum(int(line[1]) for line in DROPPED.finditer(place.log()))
        print(f"# {counter.written} lines, 50 kills, {told} dropped and told")
        check(told < counter.written / 10, "most are written")
        counter.check_all(place.log(), told)


@test
def one_killed_while_its_disk_was_full_leaves_its_lines_and_its_counts():
    with Place() as place, full_disk(place) as (options, cure):
        if cure is None:
            raise Skip("no disk can be mounted here")
        with Supervisor(place, stdout="/dev/null") as first:
            Writer(place.console, 0.2).thread.join()
            first.expect("CONSOLE_DROPPED", 60)
            place.write("the last that is dropped\n")
            first.sync()
            first.say("SIGNAL", 9)
            first.expect("EXIT")
        before = len(place.log())
        check(cure() == 0, "the disk is made larger")
        with Supervisor(place, stdout="/dev/null") as second:
            wait_until(lambda: "were dropped here: the disk was full\n" in place.log(), "the notice in the file")
            check(len(place.log()) > before + 900000, "what the first one kept is written")
            second.finish()


@test
def another_console_comes_after_what_is_left_in_the_first():
    with Place() as place, Supervisor(place) as supervisor:
        place.write("one\n")
        wait_until(lambda: place.state.joinpath("console.log").exists() and place.log() == "one\n", "the first console is read")
        shutil.rmtree(place.runtime)
        place.write("two\n")
        wait_until(lambda: place.log() == "one\ntwo\n", "also when its directory is gone")
        place.runtime.mkdir(0o700)
        old = place.console
        place.make_fifo()
        place.write("four\n")
        os.write(old, b"three\n" * 10000)
        supervisor.say("CONSOLE", place.fifo)
        wait_until(lambda: place.log().endswith("four\n"), "the new one is read")
        check(place.log() == "one\ntwo\n" + "three\n" * 10000 + "four\n", "after the old one")
        os.close(old)

        # Its memory has moved to the new place as well.
        check(place.ring.exists(), "the ring is there again")
        counter = Counter(place, 20000)
        counter.await_more(100)
        supervisor.say("SIGNAL", 9)
        supervisor.expect("EXIT")
        counter.stop()
        with Supervisor(place) as second:
            second.finish()
        counter.check_all(place.log().split("four\n")[1])


@test
def damaged_memory_of_a_predecessor_is_said():
    with Place() as place:
        place.ring.write_bytes(b"nonsense" * 1000)
        place.ring.chmod(0o600)
        with Supervisor(place) as supervisor:
            place.write("goes on\n")
            supervisor.expect("CONSOLE_DROPPED")
            supervisor.finish()
        check("[holdfast] Lines may be missing here" in place.log() and place.log().endswith("goes on\n"), place.log())


@contextlib.contextmanager
def small_disk(path, size):
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.mount(b"none", bytes(path), b"tmpfs", 0, f"size={size},mode=700".encode()) != 0:
        raise Skip("no disk can be mounted here")
    try:
        yield
    finally:
        libc.umount2(bytes(path), 2)


@test
def a_full_runtime_directory_costs_nothing_but_the_safety():
    for size in ("64k", "1m"):
        with Place(fifo=False) as place, small_disk(place.runtime, size):
            place.make_fifo()
            with Supervisor(place) as supervisor:
                lines = "".join(f"line {number}\n" for number in range(50000))
                place.write(lines)
                supervisor.finish()
                log = place.log()
                check("[holdfast] The runtime directory has no room" in log, f"it is said: {log[:200]}")
                check(log.endswith("\n" + lines), "every line is in the file")


@test
def a_runtime_directory_that_becomes_full_costs_lines_and_no_sentry():
    with Place(fifo=False) as place, small_disk(place.runtime, "3m"), small_disk(place.state, "1m"):
        place.make_fifo()
        with Supervisor(place, stdout="/dev/null") as supervisor:
            supervisor.sync()
            with contextlib.suppress(OSError), open(place.runtime / "filler", "wb", buffering=0) as filler:
                while filler.write(bytes(4096)):
                    pass
            Writer(place.console, 0.2).thread.join()
            dropped = supervisor.expect("CONSOLE_DROPPED")
            check(dropped["lines"] > 1000, f"{dropped}")
            supervisor.sync()
            (place.runtime / "filler").unlink()
            supervisor.finish()


def run(function):
    began = time.monotonic()
    try:
        function()
        return True, "", time.monotonic() - began
    except Skip as why:
        return True, f" # SKIP {why}", time.monotonic() - began
    except Exception as why:  # pylint: disable=broad-except
        return False, f"# {type(why).__name__}: {why}\n", time.monotonic() - began


def main():
    wanted = sys.argv[3:]
    chosen = [function for function in tests if not wanted or function.__name__ in wanted]
    failed = 0
    print(f"1..{len(chosen)}", flush=True)
    # Most of them wait for most of their time; those that count on a swift disk have it to themselves.
    alone = [function for function in chosen if "flood" in function.__name__ or "hundred" in function.__name__]
    chosen = [function for function in chosen if function not in alone]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        results = itertools.chain(zip(chosen, pool.map(run, chosen)), ((function, run(function)) for function in alone))
        for number, (function, result) in enumerate(results, 1):
            passed, words, seconds = result
            name = function.__name__.replace("_", " ")
            failed += not passed
            print(f"ok {number} - {name}{words}" if passed else f"{words}not ok {number} - {name}", flush=True)
            print(f"# {seconds:.1f} s", flush=True)
    return failed != 0


sys.exit(main())
