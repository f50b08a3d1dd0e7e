#!/usr/bin/env python3
"""Channels against a mock gateway of both protocols: which looks are seen, what is restarted, and how.

usage: channels_test.py CHANNELS_DUMP
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
from mock_gateway import Close, Gateway, Refusal  # noqa: E402

CHANNELS_DUMP = os.path.abspath(sys.argv[1])
PATIENCE_S = 30
INTERVAL_MS = 100
STARTED, NOT_STARTED, LEFT_STOPPED, UNREACHABLE = range(4)  # enum channel_outcome of core/channels.h

# As seen in 2026.9.6.
UP = {"enabled": True, "configured": True, "running": True, "connected": True, "restartPending": False,
      "reconnectAttempts": 0, "lastStartAt": 1796074580597, "lastStopAt": None, "lastConnectedAt": 1796074593124,
      "lastError": None, "lifecycle": "ready", "mode": "polling"}
REFUSED = {**UP, "running": False, "connected": False, "lastStopAt": 1796074600000, "lifecycle": "blocked",
           "terminalDisconnect": True, "lastError": "Unauthorized", "healthState": "terminal-disconnect"}
DISCONNECTED = {**UP, "connected": False, "healthState": "disconnected", "lastError": "socket closed"}
GIVEN_UP = {**REFUSED, "lifecycle": "stopped", "reconnectAttempts": 10, "healthState": "not-running"}
PENDING = {**UP, "running": False, "connected": False, "restartPending": True, "reconnectAttempts": 8,
           "healthState": "not-running", "lastError": "409: Conflict"}
STOPPED = {**UP, "running": False, "connected": False, "lastStopAt": 1796074600000, "lifecycle": "stopped",
           "healthState": "not-running"}
DISABLED = {**UP, "enabled": False, "running": False, "connected": False, "stateReason": "disabled"}

tests = []


def test(function):
    tests.append(function)
    return function


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(part) for part in what))


class Bots(Gateway):
    """A gateway whose channels are what a test says, until they are started."""

    def __init__(self, accounts, protocol=4):
        super().__init__(protocol)
        self.accounts = accounts
        self.starts = True
        self.answers.update({"channels.status": self.status, "channels.stop": self.stop, "channels.start": self.start})

    def status(self, _):
        return {"ts": 1, "channelOrder": ["telegram"], "channels": {}, "channelDefaultAccountId": {},
                "channelAccounts": {"telegram": [{"accountId": name, **account}
                                                 for name, account in self.accounts.items()]}}

    def stop(self, params):
        self.accounts[params["accountId"]] = {**STOPPED, "lastStopAt": int(time.time() * 1000)}
        return {**params, "stopped": True}

    def start(self, params):
        if not self.starts:
            return {**params, "started": False, "outcome": {"status": "retry", "reason": "task-owned"}}
        if self.accounts[params["accountId"]]["running"]:
            return {**params, "started": True, "outcome": {"status": "retry", "reason": "task-owned"}}
        self.accounts[params["accountId"]] = {**UP, "lastStartAt": int(time.time() * 1000)}
        return {**params, "started": True, "outcome": {"status": "handed-off"}}

    def changes(self):
        return [(method, params) for method, params, _ in self.requests if method != "channels.status"]


class Dump:
    def __init__(self, directory, gateway, interval_ms=INTERVAL_MS):
        config = directory / "openclaw.json"
        config.write_text(json.dumps({"gateway": {"auth": {"token": "secret"}}}))
        self.process = subprocess.Popen(
            [CHANNELS_DUMP, str(config), str(directory), str(gateway.port), str(os.getpid()), "2000", str(interval_ms)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told, self.lines = [], queue.Queue()
        threading.Thread(target=lambda: [self.lines.put(json.loads(line)) for line in self.process.stdout],
                         daemon=True).start()

    def wait(self, what, **wanted):
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                said = self.lines.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"waited in vain for {what} {wanted}; told last: {self.told[-8:]}") from None
            self.told.append(said)
            if said["what"] == what and all(said[key] == value for key, value in wanted.items()):
                return said

    def looks(self, account, count):
        return [self.wait("look", account=account)["detail"] for _ in range(count)]

    def has_told(self, *what):
        return any(said["what"] in what for said in self.told)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        code = self.process.wait(PATIENCE_S)
        check(kind is not None or code == 0, "it ended with", code)


def own(account):
    return {"channel": "telegram", "accountId": account}


@test
def every_shape_of_2026_9_6_is_seen_as_what_it_is_and_only_what_is_dead_is_restarted(directory):
    kinds = {"up": UP, "recovering": PENDING, "stopped": STOPPED, "off": DISABLED}
    gateway = Bots(dict(kinds))
    with Dump(directory, gateway) as dump:
        for _ in range(6):
            for name in kinds:
                check(dump.looks(name, 1) == [name], name, dump.told[-1])
    check(not dump.has_told("dead", "restart", "puzzled") and not gateway.changes(), dump.told, gateway.changes())
    check(gateway.requests[0] == ("channels.status", {"probe": False}, ["operator.read"]), gateway.requests[0])
    check(len(gateway.connects) == 1, "one connection is enough to look")


@test
def what_does_not_run_is_started_and_what_runs_is_stopped_before(directory):
    for dead, calls in ((REFUSED, ["channels.start"]), (GIVEN_UP, ["channels.start"]),
                        (DISCONNECTED, ["channels.stop", "channels.start"])):
        gateway = Bots({"a": dead, "b": UP})
        with Dump(directory, gateway) as dump:
            check(dump.wait("dead")["account"] == "a", dump.told)
            dump.wait("restart", account="a", detail="telegram", number=1)
            dump.wait("restarted", account="a", number=STARTED)
            dump.wait("recovered", account="a", number=1)
            check(dump.looks("a", 3) == ["up"] * 3, dump.told)
        check(gateway.changes() == [(call, own("a")) for call in calls], gateway.changes())
        check(gateway.connects[1]["scopes"] == ["operator.read", "operator.admin"], gateway.connects)
        check(len(gateway.connects) == 2, gateway.connects)


@test
def a_stop_whose_connection_ends_is_followed_by_a_start_on_the_next_one(directory):
    gateway = Bots({"a": DISCONNECTED})

    def stop(params):
        gateway.stop(params)
        return Close

    gateway.answers["channels.stop"] = stop
    with Dump(directory, gateway) as dump:
        dump.wait("restarted", account="a", number=STARTED)
        dump.wait("recovered", account="a")
    check([call for call, _ in gateway.changes()] == ["channels.stop", "channels.start"], gateway.changes())


@test
def a_start_that_never_succeeds_after_a_stop_is_told_as_what_it_is(directory):
    gateway = Bots({"a": DISCONNECTED})
    gateway.answers["channels.start"] = lambda _: Close
    with Dump(directory, gateway) as dump:
        dump.wait("restarted", account="a", number=LEFT_STOPPED)
    check([call for call, _ in gateway.changes()] == ["channels.stop"] + ["channels.start"] * 3, gateway.changes())
    gateway = Bots({"a": DISCONNECTED})
    gateway.starts = False
    with Dump(directory, gateway) as dump:
        said = dump.wait("restarted", account="a", number=LEFT_STOPPED)
        check("task-owned" in said["detail"], said)


@test
def a_refusal_is_told_with_the_gateways_words_and_nothing_was_stopped(directory):
    gateway = Bots({"a": DISCONNECTED})
    refusal = Refusal("FORBIDDEN", "missing scope: operator.admin \x1b[31m")
    gateway.answers.update({"channels.stop": refusal, "channels.start": refusal})
    with Dump(directory, gateway) as dump:
        said = dump.wait("restarted", account="a", number=NOT_STARTED)
        check("missing scope: operator.admin" in said["detail"] and "\x1b" not in said["detail"], said)
        check(dump.looks("a", 5) == ["dead"] * 5, dump.told)
    check(len(gateway.changes()) == 2, "it is not asked again at once:", gateway.changes())


@test
def a_secret_that_is_not_accepted_any_more_is_no_restart(directory):
    gateway = Bots({"a": UP})
    with Dump(directory, gateway) as dump:
        dump.looks("a", 1)
        gateway.token = "rotated"
        gateway.accounts["a"] = REFUSED
        dump.wait("restarted", account="a", number=UNREACHABLE)
    check(not gateway.changes(), gateway.changes())


@test
def an_old_version_has_its_dead_channel_told_once_and_left_alone(directory):
    old = {"enabled": True, "configured": True, "running": True, "lastStartAt": 1796074580597, "lastStopAt": None,
           "lastError": None}
    gateway = Bots({"a": old}, protocol=3)
    with Dump(directory, gateway) as dump:
        check(dump.looks("a", 2) == ["up"] * 2, dump.told)
        gateway.accounts["a"] = {**old, "running": False, "lastStopAt": 1796074600000, "lastError": "socket hang up"}
        check(dump.wait("dead")["detail"] == "socket hang up", dump.told)
        check(dump.looks("a", 20) == ["dead"] * 20, dump.told)
    check(sum(said["what"] == "dead" for said in dump.told) == 1, dump.told)
    check(not dump.has_told("restart") and not gateway.changes(), gateway.changes())


@test
def wrong_shapes_are_counted_and_told_once_and_never_acted_on(directory):
    wrong = [{}, {"channelAccounts": None}, {"channelAccounts": []}, {"channelAccounts": {"telegram": 7}},
             {"channelAccounts": {"telegram": [None, 1, [], {}]}},
             {"channelAccounts": {"telegram": [{**REFUSED, "accountId": ["a"]}]}},
             {"channelAccounts": {"telegram": [{**REFUSED, "accountId": "a" * 5000}]}},
             {"channelAccounts": {"telegram": [{**REFUSED, "accountId": "a", "enabled": 1}]}},
             {"channelAccounts": {"telegram": [{**REFUSED, "accountId": "a", "running": "no"}]}},
             {"noise": "x" * 300000}, {"channelAccounts": {"telegram": [UP] * 5000}},
             Refusal("UNAVAILABLE", "busy"), [1, 2], "text"]
    gateway = Bots({"a": UP})
    asked = []

    def status(_):
        asked.append(1)
        return wrong[len(asked) % len(wrong)]

    gateway.answers["channels.status"] = status
    with Dump(directory, gateway, interval_ms=20) as dump:
        dump.wait("puzzled")
        until = time.monotonic() + PATIENCE_S
        while len(asked) < 4 * len(wrong):
            check(time.monotonic() < until, "asked", len(asked), "times only")
            time.sleep(0.01)
        gateway.answers["channels.status"] = gateway.status
        seen = dump.wait("look", detail="up")
        check(seen["wrong"] >= 3 * len(wrong), seen)
    check(sum(said["what"] == "puzzled" for said in dump.told) == 1, dump.told)
    check(not dump.has_told("dead", "restart") and not gateway.changes(), gateway.changes())


@test
def more_accounts_than_there_are_places_for_are_left_out(directory):
    gateway = Bots({f"a{i}": UP for i in range(60)})
    with Dump(directory, gateway) as dump:
        dump.looks("a31", 2)
    check(not any(said["account"] == "a32" for said in dump.told), "the 33rd is looked at")


@test
def an_answer_that_does_not_come_is_waited_for_and_not_asked_for_again(directory):
    gateway = Bots({"a": UP})
    gateway.answers["channels.status"] = None
    with Dump(directory, gateway) as dump:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            time.sleep(0.05)
        check(len(gateway.requests) == 1, gateway.requests)
        gateway.answers["channels.status"] = gateway.status
        dump.looks("a", 2)


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
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        for number, (function, fault) in enumerate(zip(tests, pool.map(run, tests)), 1):
            failed += fault is not None
            for line in (fault or "").splitlines():
                print(f"# {line}")
            print(f"{'ok' if fault is None else 'not ok'} {number} - {function.__name__.replace('_', ' ')}", flush=True)
    return 1 if failed else 0


sys.exit(main())
