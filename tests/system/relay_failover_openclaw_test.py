#!/usr/bin/env python3
"""The real OpenClaw through the relay: a limited or a silent profile costs it nothing, or the limit of the silence; and
of its own logins it uses the next one at once.

Usage: relay_failover_openclaw_test.py [WORD...]: only the tests whose names contain one of the words. BUILD_DIRECTORY says
which build is tried (default: build). Needs what tools/install-openclaw puts into .local/: without it the tests are
skipped, in CI (CI=true) they fail. LONG=1 shows beside it how long the gateway takes without the relay (two minutes and more),
and tries 2026.2.1 too. Prints TAP.
"""

import json
import os
import pathlib
import subprocess
import sys
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
import system
from mock_upstream import MockUpstream
from openclaw_home import NEW, OLD, Home
from system import expect, free_port, test, wait_for

LONG = bool(os.environ.get("LONG"))
FIRST_S = 2
BUSY_S = 3
ANSWERED_S = 200 if LONG else 60
MODEL = {"id": "m1", "name": "m1", "reasoning": False, "input": ["text"], "contextWindow": 128000, "maxTokens": 4096,
         "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0}}
TAIL = "0123456789abcdef" * 5
SIDE_BYTES = 8192  # what asks for a title or an embedding is shorter than an agent's prompt


def key_of(manner, name):
    return f"sk-ant-api03-{manner}-{name}-{TAIL}"


class Gateway:
    """An OpenClaw whose Anthropic goes through the relay, unless `direct`. `logins`: keys that it holds itself."""

    def __init__(self, place, version, profiles=(), logins=(), direct=False):
        self.place, self.upstream, self.relay_port = place, MockUpstream(), free_port()
        environment = {f"KEY_{number}": key for number, key in enumerate(profiles)}
        listed = [{"id": f"p{number}", "key": f"env:KEY_{number}"} for number in range(len(profiles))]
        if logins:
            listed = [{"id": "login", "key": "gateway"}]
        self.home = Home(place, version, {"relay": {
            "port": self.relay_port, "firstContentTimeout": f"{FIRST_S}s",
            "providers": {"anthropic": {"api": "anthropic-messages", "baseUrl": self.upstream.url,
                                        "profiles": listed or [{"id": "none", "key": "gateway"}]}}}})
        address = self.upstream.url if direct else f"http://127.0.0.1:{self.relay_port}/anthropic"
        settings = json.loads(self.home.config_file.read_text())
        provider = {"baseUrl": address, "api": "anthropic-messages", "models": [MODEL]}
        if not logins:
            provider["apiKey"] = key_of("placeholder", "none")
        settings["models"]["providers"] = {"anthropic": provider}
        settings["agents"]["defaults"]["model"]["primary"] = "anthropic/m1"
        self.home.config_file.write_text(json.dumps(settings))
        self.log_in(version, logins)
        place.environment.update(environment)
        self.home.run()

    def log_in(self, version, logins):
        names = [f"anthropic:l{number}" for number in range(len(logins))]
        if version == OLD and logins:
            directory = self.place.root / "openclaw/agents/main/agent"
            directory.mkdir(parents=True)
            (directory / "auth-profiles.json").write_text(json.dumps({"version": 1, "profiles": {
                name: {"type": "api_key", "provider": "anthropic", "key": key} for name, key in zip(names, logins)}}))
        elif logins:
            for name, key in zip(names, logins):
                subprocess.run([*self.home.command[:2], "models", "auth", "paste-api-key", "--provider", "anthropic",
                                "--profile-id", name], input=key + "\n", text=True, check=True, capture_output=True,
                               env=self.place.environment, timeout=120)
        if logins:
            settings = json.loads(self.home.config_file.read_text())
            settings["auth"] = {"profiles": {name: {"provider": "anthropic", "mode": "api_key"} for name in names},
                                "order": {"anthropic": names}}
            self.home.config_file.write_text(json.dumps(settings))

    def ask(self):
        """Asks in a conversation of its own: the answer, and how long it took."""
        with self.home.client() as client:
            client.socket.settimeout(ANSWERED_S)
            began = time.monotonic()
            run = client.chat("Good morning", f"agent:main:{uuid.uuid4()}")["runId"]
            try:
                said = client.answer(run)
            except KeyError:  # 2026.2.1 ends a run without its words when it changed its login on the way
                said = ""
            return said, time.monotonic() - began

    def prompts(self, key):
        """When an agent's prompt came with this key, in s."""
        return [request["came_ns"] / 1e9 for request in self.upstream.requests(key) if request["body_length"] > SIDE_BYTES]

    def close(self):
        self.upstream.close()
        self.home.model.close()


def from_first_to_second(gateway, first, second, before):
    """From the first prompt with one key to the first one with the other; `before`: how many each had had."""
    wait_for(lambda: len(gateway.prompts(second)) > before[1], "the second key in use", ANSWERED_S)
    return gateway.prompts(second)[before[1]] - gateway.prompts(first)[before[0]]


def counts(gateway, *keys):
    return [len(gateway.prompts(key)) for key in keys]


def held_by_the_relay(place, version):
    """Its first message, while all is well; then the first profile is limited, and then it is silent."""
    first, second = key_of("ok", "a"), key_of("ok", "b")
    gateway = Gateway(place, version, [first, second])
    try:
        said, first_s = gateway.ask()
        expect(first in said, said)
        usual_s = gateway.ask()[1]

        gateway.upstream.manner(first, "429ra1")
        before = counts(gateway, first, second)
        said, limited_s = gateway.ask()
        limited = from_first_to_second(gateway, first, second, before)
        expect(second in said, said)
        # The gateway itself takes its time on a busy machine: what the relay adds is the first figure.
        expect(limited < 0.1 and limited_s < usual_s + BUSY_S, "limited:", limited, limited_s, "usually", usual_s)

        gateway.upstream.manner(first, "silent")
        before = counts(gateway, first, second)
        wait_for(lambda: "cooling" not in place.done("profiles").stdout, "the first profile is tried again", 10)
        said, silent_s = gateway.ask()
        silent = from_first_to_second(gateway, first, second, before)
        expect(second in said, said)
        expect(FIRST_S - 0.1 < silent < FIRST_S + 1 and silent_s < usual_s + FIRST_S + BUSY_S, silent, silent_s, usual_s)
        return [f"the first message took {first_s:.1f} s, the next {usual_s:.1f} s; limited: the second profile had the call "
                f"after {limited * 1000:.1f} ms, answered after {limited_s:.1f} s; silent, with a limit of {FIRST_S} s: after "
                f"{silent:.3f} s, answered after {silent_s:.1f} s"]
    finally:
        gateway.close()


def held_by_the_gateway(place, version, direct=False):
    """One of its own logins is limited."""
    first, second = key_of("ok", "a"), key_of("ok", "b")
    gateway = Gateway(place, version, logins=[first, second], direct=direct)
    try:
        gateway.ask()
        gateway.upstream.manner(first, "429")
        before = counts(gateway, first, second)
        gateway.ask()
        took = from_first_to_second(gateway, first, second, before)
        if direct:
            return [f"without the relay the next login was in use after {took:.1f} s"]
        expect(took < 2, "the gateway used its second login after", took)
        return [f"the next login was in use after {took:.2f} s"]
    finally:
        gateway.close()


for version in (NEW, OLD) if LONG else (NEW,):
    test(f"{version}: a profile that is limited, or silent, costs nothing, or the limit of the silence")(
        lambda place, version=version: held_by_the_relay(place, version))
    test(f"{version}: a login that the gateway holds is limited: it uses the next one within 2 s")(
        lambda place, version=version: held_by_the_gateway(place, version))
    if LONG:
        test(f"{version}: without the relay, to be compared with")(
            lambda place, version=version: held_by_the_gateway(place, version, direct=True))


if __name__ == "__main__":
    sys.exit(system.main(at_once=2))
