#!/usr/bin/env python3
"""`holdfast relay enable` and `disable` with the real OpenClaw, both versions: accepted, taken up without a restart, for a
provider of the configuration and for one that is built in. A stand-in for the relay says which calls came its way.

Usage: relay_openclaw_test.py [WORD...]: only the tests whose names contain one of the words. BUILD_DIRECTORY says which
build is tried (default: build). Needs what tools/install-openclaw puts into .local/: without it the tests are skipped, in
CI (CI=true) they fail. About a minute, most of it two starts of each version side by side. Prints TAP.
"""

import http.client
import http.server
import json
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
import system
from openclaw_home import NEW, OLD, Home
from system import expect, expect_equal, test, wait_for

TAKEN_UP_S = 60
BUILT_IN = "claude-sonnet-4-5"


class Relay:
    """Calls of "mock" go on to the model, all others are refused; what came is in `calls`."""

    def __init__(self, model):
        self.calls = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler(model))
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, name):
        return [call for call in list(self.calls) if call[0].startswith(f"/{name}/")]

    def _handler(relay, model):  # pylint: disable=no-self-argument
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status, body, kind="application/json"):
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):  # pylint: disable=invalid-name
                self.answer(200, b"{}")

            def do_POST(self):  # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                relay.calls.append((self.path, dict(self.headers), json.loads(body or b"{}")))
                if not self.path.startswith("/mock/"):
                    self.answer(401, b'{"type":"error","error":{"type":"authentication_error","message":"no"}}')
                    return
                connection = http.client.HTTPConnection("127.0.0.1", model.port, timeout=30)
                connection.request("POST", self.path.replace("/mock", "/v1", 1), body,
                                   {"content-type": "application/json"})
                answer = connection.getresponse()
                self.answer(answer.status, answer.read(), answer.headers["content-type"])
        return Handler


class Given:
    """A gateway that Holdfast runs, and settings with which the commands know of a relay."""

    def __init__(self, place, version):
        self.place = place
        self.home = Home(place, version, {"relay": {"port": 0}})
        self.relay = Relay(self.home.model)
        key = place.root / "key"
        key.write_text("sk-ant-oat01-abc\n")
        key.chmod(0o600)
        self.settings = place.root / "relay.json"
        self.settings.write_text(json.dumps({
            "gateway": {"command": self.home.command}, "api": {"port": 0},
            "relay": {"port": self.relay.port, "providers": {
                "mock": {"api": "openai-completions", "baseUrl": f"http://127.0.0.1:{self.home.model.port}/v1",
                         "profiles": [{"id": "a", "key": f"file:{key}"}]},
                "anthropic": {"api": "anthropic-messages", "baseUrl": "https://api.anthropic.com",
                              "profiles": [{"id": "a", "key": f"file:{key}"}]}}}}))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.home.model.close()
        self.relay.server.shutdown()

    def command(self, *words):
        return self.place.done("relay", *words, environment={"HOLDFAST_CONFIG": str(self.settings)}).stdout


def ask(given, text):
    """One run to its end. One that begins while 2026.9.6 takes up a new configuration may fail there."""
    try:
        with given.home.client() as client:
            client.answer(client.chat(text)["runId"])
    except (AssertionError, OSError) as why:
        return str(why)
    return ""


def ask_until(given, text, condition, what):
    """Runs one after the other until one is answered as is expected."""
    seen = []

    def tried():
        calls, asked = len(given.relay.of("mock")), given.home.model.asked
        seen.append(ask(given, text))
        return not seen[-1] and condition(len(given.relay.of("mock")) > calls, given.home.model.asked > asked)
    try:
        wait_for(tried, what, TAKEN_UP_S)
    except AssertionError as why:
        raise AssertionError(f"{why}; runs: {seen}") from why


def hot_reload(place, version):
    with Given(place, version) as given:
        given.home.run()
        gateway, before = place.pid(), given.home.config_file.read_bytes()
        ask_until(given, "directly", lambda relayed, asked: asked and not relayed, "direct call")

        given.command("enable")
        ask_until(given, "through the relay", lambda relayed, asked: asked and relayed, "call through the relay")
        expect("through the relay" in given.command("status"), given.command("status"))
        given.command("disable")

        expect_equal(given.home.config_file.read_bytes(), before, "the file")
        ask_until(given, "directly again", lambda relayed, asked: asked and not relayed, "direct call")
        expect_equal(place.pid(), gateway, "the gateway's process")


def built_in(place, version):
    with Given(place, version) as given:
        config = json.loads(given.home.config_file.read_text())
        config["agents"]["defaults"]["model"]["primary"] = f"anthropic/{BUILT_IN}"
        given.home.config_file.write_text(json.dumps(config, indent=1))

        given.command("enable")
        given.home.run()
        given.home.chat("hello")

        _, headers, body = wait_for(lambda: [call for call in given.relay.of("anthropic") if call[2].get("model") == BUILT_IN],
                                       "call of the session's model through the relay", TAKEN_UP_S)[0]
        headers = {name.lower(): value for name, value in headers.items()}
        expect(body["messages"], body)
        paths = {path.partition("?")[0] for path, _, _ in given.relay.of("anthropic")}
        expect_equal(paths, {"/anthropic/v1/messages"}, "where it calls")
        expect_equal(headers.get("authorization"), "Bearer sk-ant-oat01-held-by-the-holdfast-relay", headers)


@test("2026.9.6 takes up the relay, and its absence, without a restart")
def _(place):
    hot_reload(place, NEW)


@test("2026.2.1 takes up the relay, and its absence, without a restart")
def _(place):
    hot_reload(place, OLD)


@test("2026.9.6 calls a built-in provider through the relay, with a placeholder that begins as the key does")
def _(place):
    built_in(place, NEW)


@test("2026.2.1 calls a built-in provider through the relay, with an empty list of models")
def _(place):
    built_in(place, OLD)


sys.exit(system.main(at_once=2))
