#!/usr/bin/env python3
"""The sentry's link to OpenClaw's WebSocket, against a mock gateway of both protocols.

usage: link_test.py LINK_DUMP
"""
import concurrent.futures
import json
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from mock_gateway import Gateway  # noqa: E402

LINK_DUMP = os.path.abspath(sys.argv[1])
PATIENCE_S = 20
REQUESTS_MAX = 16  # under way at once
# enum probe_result of core/health.h
SOCKERR, L4CON, L7TOUT, L7RSP, L7STS, WSOK, WSTICK, WSAUTH = 1, 3, 6, 7, 8, 9, 10, 11

tests = []


def test(function):
    tests.append(function)
    return function


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(part) for part in what))


def wait_for(condition, what):
    until = time.monotonic() + PATIENCE_S
    while not condition():
        check(time.monotonic() < until, "waited in vain for:", what)
        time.sleep(0.005)


class Link:
    def __init__(self, directory, gateway, *options, token="secret", config=None, timeout_ms=400, interval_ms=300,
                 environment=None):
        self.config = directory / "openclaw.json"
        self.write(config if config is not None else {"gateway": {"auth": {"token": token}}})
        # The process whose environment names the secret.
        self.holder = subprocess.Popen(["sleep", "1000"], env={"HOME": str(directory), **(environment or {})})
        self.process = subprocess.Popen(
            [LINK_DUMP, str(self.config), str(directory), str(gateway.port), str(self.holder.pid), str(timeout_ms),
             str(interval_ms), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told = []
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def write(self, config):
        text = config if isinstance(config, str) else json.dumps(config)
        fresh = self.config.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.config)

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait(self, what=None, **wanted):
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                said = self.lines.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"waited in vain for {what} {wanted}; told last: {self.told[-8:]}") from None
            self.told.append(said)
            if (what is None or said["what"] == what) and all(said[key] == value for key, value in wanted.items()):
                return said

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(PATIENCE_S)
        self.holder.kill()
        self.holder.wait()
        return code


def with_link(directory, gateway, use, *options, **more):
    link = Link(directory, gateway, *options, **more)
    try:
        use(link)
    finally:
        code = link.close()
    check(code == 0, "the link ended with", code)


@test
def both_protocols_come_up_and_tick(directory):
    for protocol, version, interval_ms in ((3, "dev", 30000), (4, "2026.9.6", 15000)):
        gateway = Gateway(protocol)

        def use(link):
            up = link.wait(state="up")
            check(up["result"] == WSOK and up["protocol"] == protocol and up["version"] == version, up)
            check(up["tick_interval_ms"] == interval_ms, up)
            asked = gateway.connects[0]
            check(asked["minProtocol"] == 3 and asked["maxProtocol"] == 4, asked)
            check(asked["role"] == "operator" and asked["scopes"] == ["operator.read"], asked)
            wait_for(lambda: gateway.up, "the connection")
            gateway.up[0].event("tick", {"ts": 1})
            link.wait("tick", ticks=1)
            gateway.up[0].event("health", {"noise": "x" * 100000})
            gateway.up[0].event("agent", {"noise": "x" * 5000000})
            gateway.up[0].event("tick", {"ts": 2})
            seen = link.wait("tick", ticks=2)
            check(seen["too_large"] == 1 and seen["state"] == "up", seen)

        with_link(directory, gateway, use)
        gateway.close()


@test
def events_before_hello_and_a_hello_that_is_too_large_are_survived(directory):
    gateway = Gateway()
    gateway.before_hello.append(lambda connection: connection.event("presence", {"noise": ["x"] * 10000}))
    gateway.before_hello.append(lambda connection: connection.event("tick", {"ts": 1}))
    gateway.hello_extra = {"snapshot": {"noise": "x" * 300000}}

    def use(link):
        up = link.wait(state="up")
        check(up["tick_interval_ms"] == 30000 and up["too_large"] == 1, up)
        gateway.up[0].event("tick", {"ts": 2})
        link.wait("tick", ticks=1)

    with_link(directory, gateway, use)
    gateway.close()


@test
def a_token_that_is_refused_is_told_once_and_the_right_one_is_used_when_it_comes(directory):
    for protocol, code in ((3, "INVALID_REQUEST"), (4, "AUTH_TOKEN_MISMATCH")):
        gateway = Gateway(protocol, token="right")

        def use(link):
            said = link.wait("said")
            check(code in said["detail"] and "wrong" not in said["detail"], said)
            denied = link.wait(state="denied")
            check(denied["result"] == WSAUTH and not denied["failing"], denied)
            # New connections are tried all the same, without the secret, once in each interval.
            wait_for(lambda: gateway.opened >= 8, "trials")
            check(1 <= len(gateway.connects) <= 4, "shown", len(gateway.connects), "times")
            check(gateway.opened - len(gateway.connects) >= 3, gateway.opened, len(gateway.connects))
            link.write({"gateway": {"auth": {"token": "right"}}})
            up = link.wait(state="up")
            check(up["result"] == WSOK, up)
            check(sum(said["what"] == "said" for said in link.told) == 1, "told more than once")

        with_link(directory, gateway, use, token="wrong", interval_ms=60)
        gateway.close()


@test
def a_token_that_is_rotated_under_it_is_used_for_the_next_connection(directory):
    gateway = Gateway(token="first")

    def use(link):
        link.wait(state="up")
        gateway.token = "second"
        link.write({"gateway": {"auth": {"token": "second"}}})
        gateway.up[0].close(1008, "token rotated")
        link.wait(state="waiting")
        link.wait(state="up")
        check(gateway.connects[-1]["auth"] == {"token": "second"}, gateway.connects[-1])
        check(not any(said["state"] == "denied" for said in link.told), "denied meanwhile")

    with_link(directory, gateway, use, token="first")
    gateway.close()


@test
def without_a_token_new_connections_are_tried_and_nothing_is_shown(directory):
    gateway = Gateway()

    def use(link):
        said = link.wait("said")
        check("gateway.auth.token" in said["detail"], said)
        link.wait(state="denied", result=WSAUTH)
        wait_for(lambda: gateway.opened >= 4, "trials")
        check(not gateway.connects, "something was shown:", gateway.connects)
        # Deaf: that is seen without a secret, too, and over again.
        gateway.mute = True
        link.wait(state="denied", result=L7TOUT, failing=True)
        gateway.mute = False
        link.wait(state="denied", result=WSAUTH, failing=False)

    with_link(directory, gateway, use, config={"gateway": {"mode": "local"}}, interval_ms=100, timeout_ms=150)
    gateway.close()


@test
def the_token_of_the_gateways_own_environment_and_a_password_are_used(directory):
    gateway = Gateway()

    def by_variable(link):
        link.wait(state="up")
        check(gateway.connects[-1]["auth"] == {"token": "secret"}, gateway.connects)

    def by_password(link):
        link.wait(state="up")
        check(gateway.connects[-1]["auth"] == {"password": "secret"}, gateway.connects)

    with_link(directory, gateway, by_variable, config={}, environment={"OPENCLAW_GATEWAY_TOKEN": "secret"})
    with_link(directory, gateway, by_password, config={"gateway": {"auth": {"password": "${THE_PASSWORD}"}}},
              environment={"THE_PASSWORD": "secret"})
    gateway.close()


@test
def failures_are_named_by_layer_and_end_with_the_first_success(directory):
    gateway = Gateway()
    port = gateway.port
    gateway.close()

    def use(link):
        refused = link.wait(state="waiting", result=L4CON)
        check(refused["failing"], refused)
        second = Gateway(port=port)
        link.wait(state="up")
        link.wait("failing", failing=False)
        second.refuse_with = 503
        second.up[-1].close(1012, "service restart")
        draining = link.wait(state="waiting", result=L7STS)
        check(draining["status"] == 503 and draining["failing"], draining)
        second.refuse_with = 0
        second.no_challenge = True
        link.wait(state="waiting", result=L7TOUT)
        second.no_challenge = False
        second.mute = True
        link.wait(state="connecting")
        link.wait(state="waiting", result=L7TOUT)
        second.mute = False
        up = link.wait(state="up")
        check(not up["failing"], up)
        second.close()

    with_link(directory, gateway, use, timeout_ms=150)


@test
def who_may_not_even_open_one_is_denied_and_not_ill(directory):
    gateway = Gateway()
    gateway.refuse_with = 401

    def use(link):
        link.wait("said")
        link.wait(state="denied", result=WSAUTH, failing=False)
        gateway.refuse_with = 503
        link.wait(result=L7STS, failing=True)
        gateway.refuse_with = 403
        link.wait(state="denied", result=WSAUTH, failing=False)

    with_link(directory, gateway, use, interval_ms=50)
    gateway.close()


@test
def a_gateway_that_is_starting_is_no_matter_of_the_secret(directory):
    gateway = Gateway()
    gateway.unavailable = True

    def use(link):
        waiting = link.wait(state="waiting", result=L7RSP)
        check(not waiting["failing"], "it answered, so that nothing is failing", waiting)
        gateway.unavailable = False
        link.wait(state="up")
        check(not any(said["what"] == "said" for said in link.told), link.told)

    with_link(directory, gateway, use)
    gateway.close()


@test
def silence_is_seen_and_the_connection_is_kept_unless_new_ones_work(directory):
    gateway = Gateway()
    gateway.hello_extra = {"policy": {"tickIntervalMs": 1000}}

    def use(link):
        link.wait(state="up")
        gateway.mute = True
        # Three ticks are missed, and the new connection is not answered: the old one stays, as a witness.
        failing = link.wait("failing", failing=True)
        check(failing["state"] == "up" and failing["result"] == WSTICK, failing)
        check(failing["silent_ms"] >= 3000, failing)
        # Now new ones work: the old one is dead, and another takes its place.
        gateway.mute = False
        link.wait(state="waiting", result=WSTICK)
        link.wait(state="up", result=WSOK)
        check(len(gateway.up) == 2, gateway.up)

    with_link(directory, gateway, use, timeout_ms=200)
    gateway.close()


@test
def a_trial_while_up_shows_whether_new_connections_work(directory):
    gateway = Gateway()

    def use(link):
        link.wait(state="up")
        gateway.mute = True
        link.tell("try")
        failing = link.wait("failing", failing=True)
        check(failing["state"] == "up" and failing["result"] == WSOK, failing)
        gateway.mute = False
        link.tell("try")
        link.wait("failing", failing=False)
        check(len(gateway.connects) == 1, "a trial shows no secret")

    with_link(directory, gateway, use, timeout_ms=150)
    gateway.close()


@test
def requests_are_answered_by_id_refused_unanswered_or_cut_off(directory):
    gateway = Gateway()

    def use(link):
        link.tell("request health")
        link.wait("requested", detail="health -107")
        link.wait(state="up")
        for _ in range(3):
            link.tell("request health")
            link.wait("answered", detail="health 0 ok ")
        gateway.answers["large"] = {"noise": "x" * 1000000}
        link.tell("request large")
        link.wait("answered", detail="large -90 ok ")
        link.tell("request unknown.method")
        link.wait("answered", detail="unknown.method -110 not-ok ")
        for _ in range(REQUESTS_MAX + 1):
            link.tell("request unanswered")
        link.wait("requested", detail="unanswered -16")
        gateway.up[0].close(1012, "service restart")
        for _ in range(REQUESTS_MAX):
            link.wait("answered", detail="unanswered -104 not-ok ")

    with_link(directory, gateway, use)
    gateway.close()


@test
def a_short_connection_asks_for_its_own_scopes_and_does_not_come_back(directory):
    gateway = Gateway()

    def use(link):
        link.wait(state="up")
        check(gateway.connects[0]["scopes"] == ["operator.read", "operator.write"], gateway.connects)
        gateway.up[0].close()
        link.wait(state="off")
        link.tell("start")
        link.wait(state="up")
        link.tell("stop")
        link.wait("stopped", state="off")

    with_link(directory, gateway, use, "once", "operator.read", "operator.write")
    gateway.close()


@test
def nonsense_is_survived(directory):
    gateway = Gateway()

    def use(link):
        link.wait(state="up")
        for junk in (b"", b"null", b"[1,2", b'{"type":"res"}', b'{"type":"res","id":5,"ok":1}', b"\xff\xfe",
                     b'{"type":"event"}', b'{"type":"event","event":"tic', b"[" * 5000, b'{"a":' * 100,
                     b'{"type":"res","id":"h1","ok":true,"payload":{}}'):
            gateway.up[0].send_frame(0x81, junk)
        gateway.up[0].event("tick", {})
        link.wait("tick", ticks=1, state="up")
        # A frame that no server may send.
        gateway.up[0].peer.sendall(b"\x83\x00")
        link.wait(state="waiting", result=L7RSP)
        link.wait(state="up")

    with_link(directory, gateway, use)
    gateway.close()


def run(function):
    """What went wrong, or None."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            function(pathlib.Path(directory))
            return None
        except Exception:  # whatever it is, it is a result
            return traceback.format_exc()


def main():
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    # Most of the time is back-off.
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        for number, (function, fault) in enumerate(zip(tests, pool.map(run, tests)), 1):
            failed += fault is not None
            for line in (fault or "").splitlines():
                print(f"# {line}")
            print(f"{'ok' if fault is None else 'not ok'} {number} - {function.__name__.replace('_', ' ')}", flush=True)
    return 1 if failed else 0


sys.exit(main())
