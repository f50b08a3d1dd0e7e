#!/usr/bin/env python3
"""The recorder as its supervisor and its readers meet it: killed, without a disk, overtaken, abandoned.

usage: recorder_test.py RECORDER WORKER_HARNESS [SEED]
"""
import contextlib
import json
import os
import pathlib
import pty
import queue
import random
import resource
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

RECORDER, HARNESS = (os.path.abspath(path) for path in sys.argv[1:3])
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(1 << 32)
PATIENCE_S = 60
LIFE = 4242
# A worker gives up being traced, which the leak checker would do at its end.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:" + os.environ.get("ASAN_OPTIONS", "")}

tests = []


class Skip(Exception):
    pass


def test(function):
    tests.append(function)
    return function


def check(condition, what):
    if not condition:
        raise AssertionError(what)


class Supervisor:
    """Keeps events until they are acknowledged, and sends them again after HELLO and STORE writable 1."""

    def __init__(self, directory, *options):
        self.directory, self.options = directory, options
        self.last, self.acknowledged, self.dropped_below = 0, 0, 1
        self.sent = {}
        self.harness = None
        self.store_messages = []

    def start(self, *options):
        command = [HARNESS, "--set", f"state_dir={self.directory}", *self.options, *options, RECORDER]
        self.harness = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        self.messages = queue.Queue()
        self.reader = threading.Thread(target=self._read, args=(self.harness.stdout, self.messages), daemon=True)
        self.reader.start()
        self.pid = self.wait_for("STARTED")["pid"]
        self.wait_for("HELLO")
        self.resend()

    @staticmethod
    def _read(stream, messages):
        for line in stream:
            messages.put(json.loads(line))
        messages.put(None)

    def say(self, *words):
        try:
            self.harness.stdin.write("\t".join(str(word) for word in words) + "\n")
            self.harness.stdin.flush()
        except BrokenPipeError:
            pass

    def send(self, sequence, kind="gateway.waiting", incident=0, oldest=None, reason=None, severity=1, time_ms=None,
             evidence=None):
        self.say("EVENT", LIFE, sequence, self.oldest() if oldest is None else oldest, time_ms or int(time.time() * 1000),
                 incident, severity, kind, reason or f"Event {sequence} happened.",
                 json.dumps({"sequence": sequence} if evidence is None else evidence))

    def oldest(self):
        return max(self.acknowledged + 1, self.dropped_below)

    def event(self, **more):
        self.last += 1
        self.sent[self.last] = more
        self.send(self.last, **more)

    def resend(self):
        for sequence in range(self.oldest(), self.last + 1):
            self.send(sequence, **self.sent.get(sequence, {}))

    def take(self, message):
        if message is None:
            return
        if message["type"] == "STORED":
            check(message["life"] == LIFE, "an acknowledgement for another life")
            check(message["sequence"] <= self.last, "an acknowledgement for an event that was never sent")
            self.acknowledged = max(self.acknowledged, message["sequence"])
        elif message["type"] == "STORE":
            self.store_messages.append(message)
            if message["writable"]:
                self.resend()

    def take_queued(self):
        with contextlib.suppress(queue.Empty):
            while True:
                self.take(self.messages.get_nowait())

    def wait_for(self, kind, seconds=PATIENCE_S, condition=lambda message: True):
        until = time.monotonic() + seconds
        while True:
            try:
                message = self.messages.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {kind} within {seconds} s") from None
            self.take(message)
            if message is None:
                raise AssertionError(f"the worker ended before {kind}")
            if message["type"] == kind and condition(message):
                return message

    def wait_until_acknowledged(self, seconds=PATIENCE_S):
        until = time.monotonic() + seconds
        self.take_queued()
        while self.acknowledged < self.last:
            self.wait_for("STORED", max(0.01, until - time.monotonic()))

    def wait_for_store(self, writable):
        return self.wait_for("STORE", condition=lambda message: message["writable"] == writable)

    def wait_for_end(self):
        message = self.wait_for("EXIT")
        self.harness.stdin.close()
        self.harness.wait(PATIENCE_S)
        self.reader.join(PATIENCE_S)
        self.take_queued()
        self.harness.stdout.close()
        self.harness = None
        return message

    def finish(self):
        self.say("FINISH")
        ended = self.wait_for_end()
        check(ended["code"] == 0, f"the recorder ended with {ended}")

    def kill(self):
        self.say("SIGNAL", int(signal.SIGKILL))
        return self.wait_for_end()

    def stop_at_any_rate(self):
        if self.harness is not None:
            self.harness.kill()
            self.harness.wait()


def sequences(directory):
    with contextlib.closing(sqlite3.connect(f"file:{directory}/events.db?mode=ro", uri=True)) as database:
        return [row[0] for row in database.execute("SELECT sequence FROM events WHERE life = ? ORDER BY id", (LIFE,))]


def kinds(directory):
    with contextlib.closing(sqlite3.connect(f"file:{directory}/events.db?mode=ro", uri=True)) as database:
        return [row[0] for row in database.execute("SELECT kind FROM events ORDER BY id")]


def events_command(directory, *options, **more):
    return subprocess.run([RECORDER, "events", "--state-dir", str(directory), *options], capture_output=True, text=True,
                          timeout=PATIENCE_S, check=False, env=ENVIRONMENT, **more)


@contextlib.contextmanager
def small_disk(directory, size_bytes):
    """A disk of its own, where this machine lets us have one."""
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=700", "tmpfs", str(directory)],
        capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(directory)], check=False)


@contextlib.contextmanager
def supervised(directory, *options):
    supervisor = Supervisor(directory, *options)
    try:
        yield supervisor
    finally:
        supervisor.stop_at_any_rate()


@test
def events_are_acknowledged_once_stored_and_a_clean_end_leaves_one_file(directory):
    with supervised(directory) as supervisor:
        supervisor.start()
        for _ in range(1000):
            supervisor.event()
        supervisor.wait_until_acknowledged()
        check(sequences(directory) == list(range(1, 1001)), "all are there, in order, when acknowledged")
        check((directory / "events.db").stat().st_mode & 0o777 == 0o600, "the file is the owner's alone")
        supervisor.event()
        supervisor.finish()
    check(not (directory / "events.db-wal").exists(), "the log went into the file")
    check(sequences(directory)[-1] == 1001, "what was sent before FINISH is stored")
    check(supervisor.acknowledged == 1001, "and acknowledged")


@test
def forty_kills_lose_nothing_acknowledged_and_double_nothing(directory):
    chance = random.Random(SEED)
    with supervised(directory) as supervisor:
        in_the_middle = 0
        for _ in range(40):
            before = supervisor.acknowledged
            supervisor.start()
            until = time.monotonic() + chance.random() * 0.08
            while time.monotonic() < until:
                for _ in range(chance.randrange(1, 40)):
                    supervisor.event(incident=supervisor.last // 50 + 1)
                supervisor.take_queued()
            supervisor.kill()
            in_the_middle += before < supervisor.acknowledged < supervisor.last
            stored = sequences(directory) if supervisor.acknowledged else []
            check(supervisor.acknowledged == 0 or stored[supervisor.acknowledged - 1] == supervisor.acknowledged,
                  "everything acknowledged is there after the kill")
        supervisor.start()
        supervisor.wait_until_acknowledged()
        supervisor.finish()
    check(sequences(directory) == list(range(1, supervisor.last + 1)), "every event is there once, in order")
    print(f"# {supervisor.last} events over 40 kills, {in_the_middle} of them between two acknowledgements")
    check(in_the_middle >= 10, "the kills come while events stream")
    with contextlib.closing(sqlite3.connect(directory / "events.db")) as database:
        check(database.execute("PRAGMA integrity_check").fetchone()[0] == "ok", "the file is sound")
        wrong = database.execute("SELECT count(*) FROM incidents i WHERE i.events <>"
                                 " (SELECT count(*) FROM events e WHERE e.incident = i.id)").fetchone()[0]
        check(wrong == 0, "incidents count what is there")


@test
def a_full_disk_is_said_and_when_there_is_room_again_nothing_is_missing(directory):
    with small_disk(directory, 1500000) as mounted, supervised(directory) as supervisor:
        filler = directory / "filler"
        if mounted:
            supervisor.start()
            supervisor.event()
            supervisor.wait_until_acknowledged()
            filler.write_bytes(bytes(900000))
        else:
            print("# no disk of its own here: with a file size limit instead")
            supervisor.start("--file-limit", "400000")
        full = None
        while full is None and supervisor.last < 20000:
            for _ in range(100):
                supervisor.event(reason="x" * 300)
            with contextlib.suppress(queue.Empty):
                supervisor.take(supervisor.messages.get(timeout=0.05))
            full = next((message for message in supervisor.store_messages if not message["writable"]), None)
        check(full is not None, "the disk ran full and it was said")
        print(f"# after {supervisor.acknowledged} events: {full['why']}")
        check(("disk is full" if mounted else "largest file size") in full["why"], "the reason is named")
        listing = events_command(directory, "--limit", "3")
        check(listing.returncode == 0 and len(listing.stdout.splitlines()) == 3, "events can be read on a full disk")
        supervisor.last = supervisor.acknowledged + min(supervisor.last - supervisor.acknowledged, 500)
        if mounted:
            filler.unlink()
        else:
            resource.prlimit(supervisor.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        supervisor.wait_for_store(writable=1)
        supervisor.wait_until_acknowledged()
        supervisor.finish()
        stored = sequences(directory)
        check(stored == list(range(1, supervisor.last + 1)), "all are there, in order")


@test
def a_read_only_directory_is_said_and_used_once_it_can_be_written(directory):
    with small_disk(directory, 1500000) as mounted, supervised(directory) as supervisor:
        if mounted:
            subprocess.run(["mount", "-o", "remount,ro", str(directory)], check=True)
        elif os.geteuid() == 0:
            raise Skip("root writes everywhere, and no disk of its own can be mounted here")
        else:
            directory.chmod(0o500)
        supervisor.start()
        said = supervisor.wait_for_store(writable=0)
        check("read-only" in said["why"] or "may not be written" in said["why"], said["why"])
        supervisor.event()
        if mounted:
            subprocess.run(["mount", "-o", "remount,rw", str(directory)], check=True)
        else:
            directory.chmod(0o700)
        supervisor.wait_for_store(writable=1)
        supervisor.wait_until_acknowledged()
        supervisor.finish()
        check(sequences(directory) == [1], "the event is there")
        if mounted:
            subprocess.run(["mount", "-o", "remount,ro", str(directory)], check=True)
            listing = events_command(directory, "--json")
            check(listing.returncode == 0 and json.loads(listing.stdout)["id"] == 1, "read-only can be read")


@test
def a_directory_that_vanishes_is_said_and_used_once_it_is_back(directory):
    state = directory / "state"
    state.mkdir()
    with supervised(state) as supervisor:
        supervisor.start()
        supervisor.event()
        supervisor.wait_until_acknowledged()
        shutil.rmtree(state)
        supervisor.event()
        said = supervisor.wait_for_store(writable=0)
        check("directory is gone" in said["why"], said["why"])
        check(supervisor.acknowledged == 1, "nothing is acknowledged into a file without a name")
        state.mkdir(mode=0o700)
        supervisor.wait_for_store(writable=1)
        supervisor.wait_until_acknowledged()
        supervisor.finish()
    check(kinds(state) == ["store.replaced", "gateway.waiting"], f"a new store says so: {kinds(state)}")


@test
def a_store_removed_under_it_is_begun_anew_at_once(directory):
    with supervised(directory) as supervisor:
        supervisor.start()
        supervisor.event()
        supervisor.wait_until_acknowledged()
        for path in directory.glob("events.db*"):
            path.unlink()
        supervisor.event()
        supervisor.wait_until_acknowledged()
        check(supervisor.store_messages == [], "it was no failure")
        supervisor.finish()
    check(kinds(directory) == ["store.replaced", "gateway.waiting"], "and says so")


@test
def a_damaged_store_is_put_aside_and_never_deleted(directory):
    rubbish = random.Random(SEED).randbytes(70000)
    (directory / "events.db").write_bytes(rubbish)
    with supervised(directory) as supervisor:
        supervisor.start()
        supervisor.event()
        supervisor.wait_until_acknowledged()
        supervisor.finish()
    aside = list(directory.glob("events.db.corrupt-*"))
    check(len(aside) == 1 and aside[0].read_bytes() == rubbish, "the old file is there, unchanged")
    check(kinds(directory) == ["store.replaced", "gateway.waiting"], "and the new one says so")


@test
def a_lock_held_by_another_program_is_waited_for(directory):
    with supervised(directory) as supervisor:
        supervisor.start()
        supervisor.event()
        supervisor.wait_until_acknowledged()
        with contextlib.closing(sqlite3.connect(directory / "events.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            supervisor.event()
            said = supervisor.wait_for_store(writable=0)
            check("locked" in said["why"], said["why"])
            other.execute("ROLLBACK")
        supervisor.wait_for_store(writable=1)
        supervisor.wait_until_acknowledged()
        supervisor.finish()
    check(sequences(directory) == [1, 2], "both are there")


@test
def an_event_out_of_turn_is_refused_until_those_before_it_have_come(directory):
    with supervised(directory) as supervisor:
        supervisor.start()
        supervisor.event()
        supervisor.wait_until_acknowledged()
        supervisor.last = 3
        supervisor.send(3)
        supervisor.wait_for_store(writable=1)
        supervisor.wait_until_acknowledged()
        check(sequences(directory) == [1, 2, 3], "the missing one was asked for")
        supervisor.dropped_below, supervisor.last = 10, 11
        supervisor.resend()
        supervisor.wait_until_acknowledged()
        check(sequences(directory) == [1, 2, 3, 10, 11], "what is lost for good is not waited for")
        supervisor.last = 20
        supervisor.send(20, oldest=0)
        supervisor.wait_until_acknowledged()
        supervisor.finish()


@test
def a_supervisor_that_does_not_listen_for_a_while_misses_no_acknowledgement(directory):
    with supervised(directory) as supervisor:
        supervisor.start()
        supervisor.say("DEAF", 700)
        for _ in range(3000):
            supervisor.event()
        supervisor.wait_until_acknowledged()
        supervisor.finish()


@test
def without_its_supervisor_it_stores_what_it_has_and_ends(directory):
    with supervised(directory) as supervisor:
        supervisor.start()
        for _ in range(100):
            supervisor.event()
        supervisor.say("CLOSE")
        check(supervisor.wait_for_end()["code"] == 0, "it ends well")
        check(sequences(directory) == list(range(1, 101)), "all that was sent is there")
        supervisor.start()
        supervisor.wait_until_acknowledged()
        supervisor.event()
        supervisor.wait_until_acknowledged()
        supervisor.say("SIGNAL", int(signal.SIGTERM))
        check(supervisor.wait_for_end()["code"] == 0, "SIGTERM ends it well, too")
    check(sequences(directory) == list(range(1, 102)), "what was sent again is there once")


@test
def started_by_hand_it_says_what_it_is(directory):
    by_hand = subprocess.run([RECORDER], capture_output=True, text=True, stdin=subprocess.DEVNULL, env=ENVIRONMENT,
                             timeout=PATIENCE_S, check=False, cwd=directory)
    check(by_hand.returncode == 78 and "holdfast run" in by_hand.stderr and by_hand.stderr.count("\n") == 1, by_hand.stderr)


def store_some(directory, count, **more):
    with supervised(directory) as supervisor:
        supervisor.start()
        for number in range(count):
            supervisor.event(kind=["gateway.exited", "gateway.started", "worker.exited"][number % 3], **more)
        supervisor.wait_until_acknowledged()
        supervisor.finish()


@test
def the_events_command_prints_filters_and_limits(directory):
    store_some(directory, 60, incident=3)
    lines = events_command(directory).stdout.splitlines()
    check(len(lines) == 50 and "Event 60 happened." in lines[-1] and "\033" not in lines[0], "the last 50, without colours")
    check(len(events_command(directory, "--limit", "0").stdout.splitlines()) == 60, "--limit 0: all")
    objects = [json.loads(line) for line in events_command(directory, "--json").stdout.splitlines()]
    check([one["id"] for one in objects] == list(range(1, 61)), "--json: all")
    check(list(objects[0]) == ["id", "time", "kind", "severity", "incident", "reason", "evidence"], "the fields")
    check(objects[0]["evidence"] == {"sequence": 1} and objects[0]["severity"] == "warning" and
          objects[0]["incident"] == 3 and objects[0]["time"].endswith("Z"), "their values")

    def ids(*options):
        return [json.loads(line)["id"] for line in events_command(directory, "--json", *options).stdout.splitlines()]
    check(ids("--kind", "worker.*", "--limit", "2") == [57, 60], "--kind with the last 2")
    check(len(ids("--kind", "gateway.exited,worker.exited")) == 40, "two kinds")
    check(len(ids("--kind", "gateway.exited", "--kind=worker.exited")) == 40, "--kind twice")
    check(ids("--after", "10", "--limit", "2") == [11, 12], "--after with the first 2")
    check(ids("--after", "0", "--limit", "1") == [1], "--after 0")
    check(len(ids("--since", "1h")) == 60 and ids("--since", "2999-01-01") == [], "--since")
    check(len(ids("--severity", "warning")) == 60 and ids("--severity", "error") == [], "--severity")
    check(len(ids("--incident", "3")) == 60 and ids("--incident", "4") == [], "--incident")


@test
def wrong_use_is_one_sentence_and_exit_2(directory):
    for options in (["--since", "yesterday"], ["--limit", "-1"], ["--limit", "x"], ["--severity", "bad"], ["--kind", ""],
                    ["--kind", "a,,b"], ["--incident", "0"], ["--incident", "x"], ["--after", "1e3"], ["--unknown"],
                    ["word"], ["--since"]):
        result = events_command(directory, *options)
        if options == ["--kind", ""]:
            check(result.returncode == 0, "an empty pattern filters nothing")
            continue
        check(result.returncode == 2 and result.stdout == "", f"{options}: exit {result.returncode}")
        check(result.stderr.startswith("holdfast events: "), f"{options}: {result.stderr}")
    check(subprocess.run([RECORDER, "events"], capture_output=True, check=False, env=ENVIRONMENT).returncode == 2,
          "--state-dir is needed")
    check(events_command(directory, "--help").returncode == 0, "--help")


@test
def a_missing_or_damaged_store_is_said(directory):
    nothing = events_command(directory)
    check(nothing.returncode == 0 and nothing.stdout == "" and "no events yet" in nothing.stderr, nothing.stderr)
    nothing = events_command(directory, "--json")
    check(nothing.returncode == 0 and nothing.stdout == nothing.stderr == "", "a script gets nothing")
    (directory / "events.db").write_bytes(b"rubbish" * 1000)
    damaged = events_command(directory)
    check(damaged.returncode == 1 and "damaged" in damaged.stderr and damaged.stderr.count("\n") == 1, damaged.stderr)


@test
def colours_appear_on_a_terminal_only_and_no_color_is_heeded(directory):
    store_some(directory, 1, reason="A \033[2J trick.")

    def on_a_terminal(environment):
        main, terminal = pty.openpty()
        child = subprocess.Popen([RECORDER, "events", "--state-dir", str(directory)], stdout=terminal, env=environment)
        os.close(terminal)
        seen = b""
        with contextlib.suppress(OSError):
            while data := os.read(main, 65536):
                seen += data
        os.close(main)
        check(child.wait(PATIENCE_S) == 0, "it ends well")
        return seen
    environment = {**ENVIRONMENT, "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    seen = on_a_terminal(environment)
    check(b"\033[33mwarning" in seen and b"\\x1b[2J" in seen, f"{seen}")
    check(b"\033" not in on_a_terminal({**environment, "NO_COLOR": "1"}), "NO_COLOR")


class Follower:
    def __init__(self, directory, *options):
        self.process = subprocess.Popen([RECORDER, "events", "--state-dir", str(directory), "--follow", "--json", *options],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
        self.rest = b""

    def next(self):
        until = time.monotonic() + PATIENCE_S
        while b"\n" not in self.rest:
            check(select.select([self.process.stdout], [], [], max(0, until - time.monotonic()))[0], "no further event came")
            data = os.read(self.process.stdout.fileno(), 65536)
            check(data, "the follower ended")
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def stop(self):
        self.process.kill()
        self.process.communicate()


@test
def follow_waits_for_the_first_event_and_survives_a_new_store(directory):
    state = directory / "state"
    follower = Follower(state)
    try:
        state.mkdir()
        with supervised(state) as supervisor:
            supervisor.start()
            for number in range(1, 201):
                supervisor.event()
                if number % 50 == 0:
                    supervisor.wait_until_acknowledged()
            check([follower.next()["evidence"]["sequence"] for _ in range(200)] == list(range(1, 201)), "each once, in order")
            for path in state.glob("events.db*"):
                path.unlink()
            supervisor.event()
            check(follower.next()["kind"] == "store.replaced", "the new store is found")
            check(follower.next()["evidence"] == {"sequence": 201}, "and goes on")
            supervisor.kill()
            supervisor.start()
            supervisor.event()
            check(follower.next()["evidence"] == {"sequence": 202}, "a recorder that was killed is no end")
            supervisor.wait_until_acknowledged()
            supervisor.finish()
        follower.process.send_signal(signal.SIGINT)
        check(follower.process.wait(PATIENCE_S) == 0, "Ctrl-C is a good end")
        complaint = follower.process.stderr.read()
        check(complaint == b"", f"nothing was complained about: {complaint}")
    finally:
        follower.stop()


@test
def a_reader_that_goes_away_ends_it_quietly(directory):
    store_some(directory, 300)
    command = [RECORDER, "events", "--state-dir", str(directory), "--json"]
    for options in ([], ["--follow"]):
        child = subprocess.Popen(command + options, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
        os.read(child.stdout.fileno(), 100)
        child.stdout.close()
        check(child.wait(PATIENCE_S) == 0, f"{options}: exit {child.returncode}")
        check(child.stderr.read() == b"", "nothing is said")
        child.stderr.close()


@test
def a_reader_that_stalls_does_not_make_the_log_grow(directory):
    store_some(directory, 500)
    stalled = subprocess.Popen([RECORDER, "events", "--state-dir", str(directory), "--json"], stdout=subprocess.PIPE,
                               env=ENVIRONMENT)
    try:
        os.read(stalled.stdout.fileno(), 10)
        with supervised(directory) as supervisor:
            supervisor.last = supervisor.acknowledged = 500
            supervisor.start()
            for _ in range(6000):
                supervisor.event()
            supervisor.wait_until_acknowledged()
            size = (directory / "events.db-wal").stat().st_size
            check(size < 4000000, f"the log has {size} bytes")
            supervisor.finish()
    finally:
        stalled.kill()
        stalled.communicate()


@test
def retention_runs_by_itself(directory):
    store_some(directory, 600)
    with contextlib.closing(sqlite3.connect(directory / "events.db")) as database, database:
        database.execute("UPDATE events SET time_ms = 1000 WHERE id <= 500")
    with supervised(directory, "--set", "days=1") as supervisor:
        supervisor.last = supervisor.acknowledged = 600
        supervisor.start()
        until = time.monotonic() + PATIENCE_S
        while len(sequences(directory)) > 256 and time.monotonic() < until:
            time.sleep(0.05)  # there is no word for it: what is awaited is the file itself
        check(len(sequences(directory)) == 256, "the old ones are gone, the newest stay")
        supervisor.finish()


@test
def how_fast_it_is_for_information(directory):
    count = 20000
    with contextlib.closing(sqlite3.connect(directory / "floor.db", isolation_level=None)) as floor:
        floor.execute("PRAGMA journal_mode = WAL")
        floor.execute("PRAGMA synchronous = NORMAL")
        floor.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, time_ms, kind, reason, evidence)")
        began = time.monotonic()
        for number in range(count):
            floor.execute("INSERT INTO events (time_ms, kind, reason, evidence) VALUES (?, ?, ?, ?)",
                          (number, "gateway.waiting", f"Event {number} happened.", '{"sequence": 1}'))
        floor_s = time.monotonic() - began
    with supervised(directory) as supervisor:
        supervisor.start()
        began = time.monotonic()
        lines = "".join(f"EVENT\t{LIFE}\t{number}\t1\t{number}\t0\t1\tgateway.waiting\tEvent {number} happened.\t{{\"n\":1}}\n"
                        for number in range(1, count + 1))
        supervisor.last = count
        supervisor.harness.stdin.write(lines)
        supervisor.harness.stdin.flush()
        supervisor.wait_until_acknowledged()
        ours_s = time.monotonic() - began
        supervisor.finish()
    print(f"# {count / ours_s:.0f} events/s acknowledged; a bare insert loop, a commit each: {count / floor_s:.0f};"
          f" ratio {floor_s / ours_s:.2f}")


def main(tests):
    print(f"1..{len(tests)}")
    print(f"# seed {SEED}")
    failed = 0
    for number, function in enumerate(tests, 1):
        name = function.__name__.replace("_", " ")
        directory = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-recorder-"))
        began = time.monotonic()
        try:
            function(directory)
            print(f"ok {number} - {name}")
        except Skip as skip:
            print(f"ok {number} - {name} # SKIP {skip}")
        except Exception as error:  # a test that breaks has failed, and the others still run
            failed += 1
            print(f"not ok {number} - {name}")
            print(f"# {type(error).__name__}: {error} (line {error.__traceback__.tb_next.tb_lineno})")
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        if time.monotonic() - began > 3:
            print(f"# took {time.monotonic() - began:.1f} s")
        sys.stdout.flush()
    return failed != 0


if __name__ == "__main__":
    sys.exit(main(tests))
