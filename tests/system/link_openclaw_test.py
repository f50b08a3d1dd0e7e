#!/usr/bin/env python3
"""The sentry's link against the real OpenClaw, both versions: hello-ok, two ticks, a request, a wrong secret.

Usage: link_openclaw_test.py [WORD...]: only the tests whose names contain one of the words. BUILD_DIRECTORY says which
build is tried (default: build). Needs what tools/install-openclaw puts into .local/: without it the tests are skipped,
in CI (CI=true) they fail. A minute and a half, most of it spent waiting for ticks: too long for every change, so that
without LONG=1 they are skipped, too. Prints TAP.
"""

import http.client
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
import system
from system import BUILD, ROOT, Skip, expect, expect_equal, free_port, test, wait_for

LOCAL = ROOT / ".local"
NEW, OLD = "2026.9.6", "2026.2.1"
NODES = {NEW: "24.21.0", OLD: "22.23.3"}
TOKEN = "a-token-for-tests"
READY_S = 180  # on two busy cores; alone it takes about ten
TICKS_S = 100
LINK_DUMP = BUILD / "tests/support/link_dump"
WSOK, WSAUTH = 9, 11  # enum probe_result of core/health.h


class Gateway:
    """The gateway alone, with its secret in a variable that openclaw.json names."""

    def __init__(self, place, version, auth, variables):
        node = LOCAL / "node" / NODES[version] / "bin/node"
        program = LOCAL / "openclaw" / version / "node_modules/openclaw/openclaw.mjs"
        if not (node.exists() and program.exists() and LINK_DUMP.exists()):
            missing = f"OpenClaw {version} is not in .local (tools/install-openclaw {version} .local), or no link_dump"
            if os.environ.get("CI"):
                raise AssertionError(missing)
            raise Skip(missing)
        self.place, self.port, self.variables = place, free_port(), variables
        self.state = place.root / "openclaw"
        self.config = place.root / "openclaw.json"
        (place.root / "workspace").mkdir()
        self.config.write_text(json.dumps({
            "gateway": {"mode": "local", "port": self.port, "bind": "loopback", **auth},
            "logging": {"file": str(place.root / "gateway.log")}, "discovery": {"mdns": {"mode": "off"}},
            "agents": {"defaults": {"workspace": str(place.root / "workspace")}}}))
        environment = {**place.environment, "OPENCLAW_STATE_DIR": str(self.state), "NO_COLOR": "1",
                       "OPENCLAW_CONFIG_PATH": str(self.config), "OPENCLAW_NO_RESPAWN": "1", **variables}
        self.console = place.root / "gateway.console"
        with open(self.console, "wb") as console:
            self.process = subprocess.Popen([str(node), str(program), "gateway", "run"], env=environment,
                                            stdin=subprocess.DEVNULL, stdout=console, stderr=console)

    def answers(self):
        expect(self.process.poll() is None, self.console.read_text(errors="replace")[-2000:])
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Link:
    def __init__(self, gateway, *options, config=None, timeout_ms=10000, interval_ms=30000):
        self.process = subprocess.Popen(
            [str(LINK_DUMP), str(config or gateway.config), str(gateway.state), str(gateway.port),
             str(gateway.process.pid), str(timeout_ms), str(interval_ms), *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told, self.lines = [], queue.Queue()
        threading.Thread(target=lambda: [self.lines.put(json.loads(line)) for line in self.process.stdout],
                         daemon=True).start()

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait(self, what=None, seconds=20, **wanted):
        until = time.monotonic() + seconds
        while True:
            try:
                said = self.lines.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"waited in vain for {what} {wanted}; told: {self.told[-8:]}") from None
            self.told.append(said)
            if (what is None or said["what"] == what) and all(said[key] == value for key, value in wanted.items()):
                return said

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(20)


def speak(place, version, protocol, auth, variables):
    if not os.environ.get("LONG"):
        raise Skip("only with LONG=1 (make campaign): it waits for two ticks")
    with Gateway(place, version, auth, variables) as gateway:
        wait_for(gateway.answers, "the gateway's first answer", READY_S)
        with Link(gateway) as link:
            up = link.wait(state="up", seconds=READY_S)
            expect_equal(up["protocol"], protocol, "protocol")
            expect_equal(up["result"], WSOK, "result")
            link.tell("request health")
            link.wait("answered", detail="health 0 ok ")
            link.tell("request sessions.abort")
            refused = link.wait("answered")
            expect(" 0 not-ok " in refused["detail"], refused)
            wrong_secret(place, gateway)
            with Link(gateway, "once", "operator.read", "operator.write") as short:
                short.wait(state="up")
                short.tell("request health")
                short.wait("answered", detail="health 0 ok ")
            link.wait("tick", ticks=2, seconds=TICKS_S)
            link.tell("try")
            expect(not any(said["failing"] for said in link.told[-2:]), link.told[-2:])
            return (f"OpenClaw {up['version']}: protocol {up['protocol']}, a tick each {up['tick_interval_ms']} ms, "
                    f"two seen; without write scope: {refused['detail']}")


def wrong_secret(place, gateway):
    other = place.root / "other.json"
    other.write_text(json.dumps({"gateway": {"auth": {"mode": "token", "token": "wrong"}}}))
    with Link(gateway, config=other, interval_ms=1000) as denied:
        said = denied.wait("said")
        expect("wrong" not in said["detail"].split("(")[0] and TOKEN not in said["detail"], said)
        denied.wait(state="denied", result=WSAUTH)
        other.write_text(json.dumps({"gateway": {"auth": {"mode": "token", "token": TOKEN}}}))
        denied.wait(state="up")
    other.write_text(json.dumps({"gateway": {}}))
    with Link(gateway, "once", config=other) as given:
        given.wait(state="up" if "OPENCLAW_GATEWAY_TOKEN" in gateway.variables else "denied")


@test("2026.9.6: the link comes up by a token in a variable, and ticks come")
def new_by_variable(place):
    return speak(place, NEW, 4, {"auth": {"mode": "token", "token": "${THE_TOKEN}"}}, {"THE_TOKEN": TOKEN})


@test("2026.2.1: the link comes up by the token that is given to the process, and ticks come")
def old_given(place):
    return speak(place, OLD, 3, {}, {"OPENCLAW_GATEWAY_TOKEN": TOKEN})


if __name__ == "__main__":
    sys.exit(system.main(at_once=1))
