"""A home of the real OpenClaw: its configuration, its state, and a stand-in for its language model."""

import http.client
import json
import os
import time

from gateway_client import GatewayClient
from mock_model import MockModel
from system import ROOT, Skip, describe_process, environment_of, expect, free_port, is_alive, start_time_of

LOCAL = ROOT / ".local"
NEW, OLD = "2026.9.6", "2026.2.1"
NODES = {NEW: "24.21.0", OLD: "22.23.3"}
TOKEN = "a-token-for-tests"
READY_S = 240  # on two busy cores; alone it takes about ten


def command_of(version):
    """node openclaw.mjs gateway run, with the Node that runs this version."""
    node = LOCAL / "node" / NODES[version] / "bin/node"
    program = LOCAL / "openclaw" / version / "node_modules/openclaw/openclaw.mjs"
    if not (node.exists() and program.exists()):
        missing = f"OpenClaw {version} is not in .local (tools/install-openclaw {version} .local)"
        if os.environ.get("CI"):
            raise AssertionError(missing)
        raise Skip(missing)
    return [str(node), str(program), "gateway", "run"]


class Home:
    """A place with a home of OpenClaw in it: its configuration, its state, its model."""

    def __init__(self, place, version=NEW, settings=None, **model):
        self.place = place
        self.command = command_of(version)
        self.model = MockModel(**model)
        self.port = free_port()
        self.config_file = place.root / "openclaw.json"
        place.environment.update(OPENCLAW_STATE_DIR=str(place.root / "openclaw"),
                                 OPENCLAW_CONFIG_PATH=str(self.config_file),
                                 NO_COLOR="1")
        (place.root / "workspace").mkdir()
        self.configure()
        place.settings({"backoff": {"initial": "1s", "jitter": 0}, **(settings or {})})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.model.close()

    def configure(self, **gateway):
        model = {"id": "m1", "name": "m1", "reasoning": False, "input": ["text"], "contextWindow": 128000,
                 "maxTokens": 4096, "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0}}
        part = self.config_file.with_suffix(".new")
        part.write_text(json.dumps({
            "gateway": {"mode": "local", "port": self.port, "bind": "loopback",
                        "auth": {"mode": "token", "token": TOKEN}, **gateway},
            "logging": {"file": str(self.place.root / "gateway.log")},
            "discovery": {"mdns": {"mode": "off"}},
            "agents": {"defaults": {"workspace": str(self.place.root / "workspace"), "model": {"primary": "mock/m1"}}},
            "models": {"mode": "merge", "providers": {"mock": {
                "baseUrl": f"http://127.0.0.1:{self.model.port}/v1", "apiKey": "sk-mock", "api": "openai-completions",
                "models": [model]}}}}, indent=1))
        part.rename(self.config_file)

    def run(self):
        began = time.monotonic()
        self.place.run(*self.command)
        self.ready()
        return time.monotonic() - began

    def ready(self, other_than=None):
        return self.place.wait_ready(other_than, READY_S)

    def ask(self, path):
        """Asks the gateway itself over HTTP: the status and what it says."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def is_serving(self):
        try:
            return self.ask("/startupz")[0] == 200
        except OSError:
            return False

    def client(self):
        return GatewayClient(self.port, TOKEN)

    def chat(self, text):
        with self.client() as client:
            client.chat(text)

    def tree(self):
        """Everything of the gateway's tree: pid and start time."""
        return {pid: start_time_of(pid) for pid in self.place.left() if "HOLDFAST_GENERATION" in environment_of(pid)}

    def expect_gone(self, tree):
        alive = [describe_process(pid) for pid, began in tree.items() if is_alive(pid) and start_time_of(pid) == began]
        expect(not alive, "of the old tree still alive:", alive)

    def words(self):
        """All that the gateway has put on its console."""
        return (self.place.state_dir / "console.log").read_text(errors="replace")


def trail(place, after):
    return [event for event in place.events() if event["id"] > after and not event["kind"].startswith("worker.")]


def seconds_between(earlier, later):
    def moment(event):
        hours, minutes, seconds = event["time"][11:-1].split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return (moment(later) - moment(earlier)) % 86400
