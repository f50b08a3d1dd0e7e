"""Stand-ins for what `holdfast relay` deals with: OpenClaw's own program, its configuration, a relay that answers."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from system import expect_equal, free_port

# What of OpenClaw's own program is asked. 2026.2.1 knows no "validate", and wants a list of models.
GATEWAY = """#!/usr/bin/env python3
import os, re, sys
version, words = "%s", sys.argv[1:]
text = open(os.environ["OPENCLAW_CONFIG_PATH"]).read()
open(os.environ["ASKED"], "a").write(" ".join(words) + "\\n")
bad = "REFUSED" in text
if words == ["config", "validate", "--json"]:
    if version == "2026.2.1":
        sys.exit("error: unknown option '--json'")
    print('{"valid":false,"issues":[{"path":"gateway","message":"Unrecognized key: REFUSED"}]}' if bad else '{"valid":true}')
    sys.exit(bad)
if version == "2026.2.1" and ("timeoutSeconds" in text or re.search(r'anthropic: { baseUrl: .[^"]*" }', text)):
    bad = True
if bad:
    print("Config invalid\\nProblem:\\n  - models: REFUSED")
    sys.exit(1)
if words == ["gateway", "run"]:
    import signal
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        signal.pause()
print(text)
"""

SECRET = "sk-ant-api03-the-gateways-own-secret"
CONFIG = """// my gateway
{
\tgateway: { mode: 'local', port: 28001 }, // do not move
\tmodels: {
\t\tmode: 'merge',
\t\tproviders: {
\t\t\tmock: { apiKey: '%s', baseUrl: "https://api.mock.example/v1", api: 'openai-completions', models: [], }, // %s
\t\t},
\t},
}
""" % (SECRET, SECRET)
PROVIDERS = {
    "mock": {"api": "openai-completions", "baseUrl": "https://api.mock.example/v1/",
             "profiles": [{"id": "a", "key": "env:MOCK_KEY"}]},
    "anthropic": {"api": "anthropic-messages", "baseUrl": "https://api.anthropic.com",
                  "profiles": [{"id": "a", "key": "env:ANTHROPIC_API_KEY"}]}}


class Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # pylint: disable=invalid-name
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


class Given:
    def __init__(self, place, version="2026.9.6", config=CONFIG, providers=None, relay=True, settings=None):
        self.place = place
        self.port = free_port()
        self.config = place.root / "openclaw.json"
        self.copy = place.root / "openclaw.json.before-relay"
        self.record = place.state_dir / "relay-enabled.json"
        if config is not None:
            self.config.write_text(config)
            self.config.chmod(0o640)
        program = place.root / "openclaw"
        program.write_text(GATEWAY % version)
        program.chmod(0o755)
        self.asked = place.root / "asked"
        place.environment.update(OPENCLAW_CONFIG_PATH=str(self.config), OPENCLAW_STATE_DIR=str(place.root / "openclaw-state"),
                                 HOLDFAST_CONFIG=str(place.settings_file), ASKED=str(self.asked),
                                 MOCK_KEY="sk-proj-x", ANTHROPIC_API_KEY="sk-ant-oat01-abcdef")
        place.settings({"gateway": {"kind": "openclaw", "command": [str(program), "gateway", "run"]},
                        "relay": {"port": self.port, "providers": PROVIDERS if providers is None else providers},
                        **(settings or {})})
        if relay:
            self.server = HTTPServer(("127.0.0.1", self.port), Relay)
            threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def relay(self, *words, code=0):
        result = self.place.command("relay", *words)
        expect_equal(result.returncode, code, f"{words}: {result.stdout}{result.stderr}")
        return result.stdout + result.stderr

    def text(self):
        return self.config.read_text()

    def address(self, name):
        return f"http://127.0.0.1:{self.port}/{name}"
