#!/usr/bin/env python3
"""The recorder and the relay on their ports: asked over HTTP, abandoned, taken back, succeeded.

usage: serve_test.py RECORDER RELAY WORKER_HARNESS
"""
import contextlib
import http.client
import json
import os
import pathlib
import queue
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

RECORDER, RELAY, HARNESS = (os.path.abspath(path) for path in sys.argv[1:4])
PATIENCE_S = 60
LIFE = 77
API, RELAY_PORT = 0, 1
# A worker gives up being traced, which the leak checker would do at its end.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:" + os.environ.get("ASAN_OPTIONS", "")}

tests = []


def test(function):
    tests.append(function)
    return function


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(part) for part in what))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Worker:
    """A worker, and the supervisor that the harness plays to it."""

    def __init__(self, program, directory, *options):
        self.name = os.path.basename(program).removeprefix("holdfast-")
        runtime = pathlib.Path(tempfile.mkdtemp(prefix="runtime-", dir=directory))
        (directory / "state").mkdir(exist_ok=True)
        self.harness = subprocess.Popen(
            [HARNESS, "--set", f"state_dir={directory}/state", "--set", f"runtime_dir={runtime}", *options, program],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        self.messages = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.pid = self.wait_for("STARTED")["pid"]
        self.wait_for("HELLO")

    def _read(self):
        for line in self.harness.stdout:
            self.messages.put(json.loads(line))
        self.messages.put(None)

    def say(self, *words):
        self.harness.stdin.write("\t".join(str(word) for word in words) + "\n")
        self.harness.stdin.flush()

    def event(self, sequence, oldest):
        self.say("EVENT", LIFE, sequence, oldest, int(time.time() * 1000), 0, 1, "gateway.waiting", f"Event {sequence}.", "{}")

    def wait_for(self, kind, condition=lambda message: True):
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                message = self.messages.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{self.name}: no {kind} within {PATIENCE_S} s") from None
            check(message is not None, self.name, "ended before", kind)
            if message["type"] == kind and condition(message):
                return message

    def wait_stored(self, sequence):
        self.wait_for("STORED", lambda message: message["sequence"] >= sequence)

    def listen(self, which):
        port = free_port()
        self.say("LISTEN", which, port)
        return port

    def finish(self):
        self.say("FINISH")
        self.wait_end()

    def wait_end(self):
        end = self.wait_for("EXIT")
        check(end["code"] == 0, self.name, "ended with", end)

    def stop_at_any_rate(self):
        self.harness.kill()
        self.harness.wait()


@contextlib.contextmanager
def worker(program, directory, *options):
    started = Worker(program, directory, *options)
    try:
        yield started
    finally:
        started.stop_at_any_rate()


def ask(port, path="/healthz", method="GET", **headers):
    """Its status and what it says. The listening socket is there before the worker is told of it: who calls now waits."""
    end = time.monotonic() + PATIENCE_S
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            check(answer.getheader("Content-Type") == "application/json", "no JSON:", answer.getheaders())
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        except ConnectionRefusedError:
            # Only before the harness has made the socket.
            check(time.monotonic() < end, "nobody listens")
            time.sleep(0.01)
        finally:
            connection.close()


def begin_request(port):
    caller = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
    caller.sendall(b"GET /healthz HTTP/1.1\r\n")
    return caller


def end_request(caller):
    caller.sendall(b"Host: localhost\r\n\r\n")
    heard = b""
    while data := caller.recv(65536):
        heard += data
    caller.close()
    return heard


def sequences(directory):
    with contextlib.closing(sqlite3.connect(f"file:{directory}/state/events.db?mode=ro", uri=True)) as database:
        return [row[0] for row in database.execute("SELECT sequence FROM events WHERE life = ? ORDER BY id", (LIFE,))]


@test
def the_recorder_tells_its_health_and_refuses_what_is_not_for_it(directory):
    with worker(RECORDER, directory) as recorder:
        port = recorder.listen(API)
        check(ask(port) == (200, {"status": "ok"}), "healthy")
        check(ask(port, method="HEAD") == (200, None), "HEAD")
        for wanted, request in ((404, {"path": "/nothing"}), (405, {"method": "POST"}), (405, {"method": "DELETE"}),
                                (403, {"Host": "evil.example"}), (403, {"Origin": "http://evil.example"})):
            status, said = ask(port, **request)
            check(status == wanted and said["error"].endswith("."), request, status, said)
        recorder.finish()


@test
def abandoned_it_stores_what_it_has_and_goes_on_serving_and_is_taken_back(directory):
    with worker(RECORDER, directory) as recorder:
        recorder.say("GATEWAY_STARTED", 1, os.getpid())
        port = recorder.listen(API)
        for sequence in range(1, 41):
            recorder.event(sequence, 1)
        recorder.say("CLOSE")
        check(ask(port) == (200, {"status": "ok"}), "it answers without a supervisor")
        check(sequences(directory) == list(range(1, 41)), "what was sent is stored")
        recorder.say("CONNECT", "recorder")
        check(recorder.wait_for("LISTENER")["which"] == API, "the listening socket is given back")
        for sequence in range(31, 51):  # what was not acknowledged, and more
            recorder.event(sequence, 31)
        recorder.wait_stored(50)
        check(sequences(directory) == list(range(1, 51)), "each is there once")
        check(ask(port) == (200, {"status": "ok"}), "it answers")
        recorder.finish()


@test
def taken_back_it_says_again_that_it_cannot_store(directory):
    with worker(RECORDER, directory) as recorder:
        recorder.say("GATEWAY_STARTED", 1, os.getpid())
        recorder.event(1, 1)
        recorder.wait_stored(1)
        shutil.rmtree(directory / "state")
        recorder.event(2, 2)
        recorder.wait_for("STORE", lambda message: message["writable"] == 0)
        recorder.say("CLOSE")
        recorder.say("CONNECT", "recorder")
        said = recorder.wait_for("STORE")
        check(said["writable"] == 0 and "directory is gone" in said["why"], "the new supervisor is told:", said)
        (directory / "state").mkdir()
        recorder.wait_for("STORE", lambda message: message["writable"] == 1)
        recorder.event(2, 2)
        recorder.wait_stored(2)
        recorder.finish()


@test
def the_old_and_the_new_one_use_the_store_together_and_each_event_is_there_once(directory):
    with worker(RECORDER, directory) as old, worker(RECORDER, directory) as new:
        for sequence in range(1, 401):
            # As at a handover, only for longer: what one has not acknowledged, the other gets as well.
            old.event(sequence, max(1, sequence - 5))
            new.event(sequence, max(1, sequence - 5))
        old.wait_stored(400)
        new.wait_stored(400)
        check(sequences(directory) == list(range(1, 401)), "each is there once, in order")
        old.finish()
        new.event(401, 401)
        new.wait_stored(401)
        check(sequences(directory)[-1] == 401, "the one that stays goes on")
        new.finish()
        check(not (directory / "state" / "events.db-wal").exists(), "the last one puts the log into the file")


@test
def finishing_it_answers_who_is_in_flight_and_leaves_the_others_to_its_successor(directory):
    with worker(RECORDER, directory) as recorder:
        port = recorder.listen(API)
        ask(port)
        in_flight = begin_request(port)
        # Answered behind it: so it was accepted.
        ask(port)
        recorder.event(1, 1)
        recorder.say("FINISH")
        recorder.wait_stored(1)
        late = begin_request(port)  # not refused: it waits at the socket, which is open in the supervisor as well
        check(b"{\"status\":\"ok\"}" in end_request(in_flight), "who was in flight is answered")
        recorder.wait_end()
        late.close()


@test
def finishing_it_waits_for_the_silent_no_longer_than_it_may(directory):
    for program, which, at_most_s in ((RECORDER, API, 2), (RELAY, RELAY_PORT, 5)):
        with worker(program, directory) as one:
            port = one.listen(which)
            ask(port)
            silent = begin_request(port)
            ask(port)
            began = time.monotonic()
            one.finish()
            took = time.monotonic() - began
            check(at_most_s - 0.1 < took < at_most_s + 5, one.name, "took", took)
            silent.close()


@test
def the_relay_tells_its_health_and_knows_no_provider_that_is_not_configured(directory):
    with worker(RELAY, directory) as relay:
        relay.say("GATEWAY_STARTED", 1, os.getpid())
        port = relay.listen(RELAY_PORT)
        check(ask(port) == (200, {"status": "ok"}), "healthy")
        for request in ({"path": "/v1/messages", "method": "POST"}, {"path": "/v1/models"}):
            status, said = ask(port, **request)
            check(status == 404 and "relay" in said["error"], request, status, said)
        check(ask(port, Host="evil.example")[0] == 403, "a foreign name")
        relay.say("CLOSE")
        check(ask(port) == (200, {"status": "ok"}), "it answers without a supervisor")
        relay.say("CONNECT", "relay")
        check(relay.wait_for("LISTENER")["which"] == RELAY_PORT, "the listening socket is given back")
        in_flight = begin_request(port)
        ask(port)
        relay.say("FINISH")
        check(b"{\"status\":\"ok\"}" in end_request(in_flight), "who was in flight is answered")
        relay.wait_end()


@test
def each_accepts_from_its_own_socket_only_and_from_the_last_it_was_given(directory):
    with worker(RECORDER, directory) as recorder:
        of_the_relay = recorder.listen(RELAY_PORT)
        first = recorder.listen(API)
        check(ask(first) == (200, {"status": "ok"}), "its own")
        with socket.create_connection(("127.0.0.1", of_the_relay), PATIENCE_S) as other:
            other.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            second = recorder.listen(API)
            check(ask(second) == (200, {"status": "ok"}), "the new one")
            other.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                check(not other.recv(1), "it answered on the relay's port")
        recorder.finish()


def main():
    print(f"1..{len(tests)}")
    failed = 0
    for number, function in enumerate(tests, 1):
        name = function.__name__.replace("_", " ")
        directory = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-serve-"))
        try:
            function(directory)
            print(f"ok {number} - {name}")
        except Exception as error:  # a test that breaks has failed, and the others still run
            failed += 1
            print(f"not ok {number} - {name}")
            print(f"# {type(error).__name__}: {error} (line {error.__traceback__.tb_next.tb_lineno})")
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        sys.stdout.flush()
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
