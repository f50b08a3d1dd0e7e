"""A fake gateway with sessions (fake_sessions.py) under a Holdfast, and what both have done."""

import json
import subprocess
import sys

from fake_sessions import AGENT, STOP
from generic import NO_BACKOFF
from openclaw_home import TOKEN
from system import HOLDFAST, ROOT, expect, expect_equal, free_port

FAKE = str(ROOT / "tests/support/fake_gateway.py")
SESSION_S, TOOL_S = 2, 4
LATE_S = 20  # a busy machine
BEGIN = """\
import fake_sessions
gateway.model = fake_sessions.Sessions(gateway, PROTOCOL, %r)
"""


class SessionHome:
    def __init__(self, place, protocol=4, gateway=None, begin="", **settings):
        self.place, self.protocol = place, protocol
        self.port = free_port()
        self.log_directory = place.root / "logs"
        self.log_directory.mkdir()
        log, config = self.log_directory / "gateway.log", place.root / "openclaw.json"
        config.write_text(json.dumps({"gateway": {"mode": "local", "auth": {"mode": "token", "token": TOKEN}},
                                      "logging": {"file": str(log)}}))
        place.environment.update(OPENCLAW_STATE_DIR=str(place.root / "openclaw"), OPENCLAW_CONFIG_PATH=str(config),
                                 TEST_PROTOCOL=str(protocol))
        (place.root / "at-begin").write_text(BEGIN % str(log) + begin)
        place.settings({"health": {"interval": "30s"}, "backoff": NO_BACKOFF, **settings,
                        "gateway": {"kind": "openclaw", "port": self.port, "stopTimeout": "3s",
                                    "sessionTimeout": f"{SESSION_S}s", "toolTimeout": f"{TOOL_S}s", **(gateway or {})}})
        self.run()
        self.story = open(place.root / "story", "w+")
        place.runs.insert(0, subprocess.Popen([HOLDFAST, "events", "--json", "--follow", *place.where()],
                                              env=place.environment, cwd=place.root, stdout=self.story,
                                              stderr=subprocess.DEVNULL))
        self.wait_linked(1)

    def run(self, wait=True):
        return self.place.run(sys.executable, FAKE, str(self.port), wait=wait)

    # -- the gateway

    def wait_linked(self, connections):
        """So many lists were read from their beginning, each over a connection of its own."""
        def seen():
            return len({ask["connection"] for ask in self.asked("sessions.list") if "operator.write" not in ask["scopes"]}) \
                >= connections
        self.place.wait_for(seen, f"{connections} connections that read the list", LATE_S)

    def order(self, *lines):
        """Python in the gateway's loop; returns when it is done."""
        done = self.place.root / "done"
        before = done.stat().st_size if done.exists() else 0
        part = self.place.root / "order.new"
        part.write_text("\n".join([*lines, "with open('done', 'a') as file: file.write('.')"]) + "\n")
        part.rename(self.place.root / "order")
        self.place.wait_for(lambda: done.exists() and done.stat().st_size > before, "gateway that has done it")

    def do(self, *calls):
        """Of the model: 'hang("a")'."""
        self.order(*("gateway.model." + call for call in calls))

    def look(self, expression):
        """What the model knows."""
        self.order("import json", "with open('looked', 'w') as file: json.dump(" + expression + ", file)")
        return json.loads((self.place.root / "looked").read_text())

    def run_of(self, name):
        return self.look(f"gateway.model.of({name!r}).run")

    def status_of(self, name):
        return self.look(f"gateway.model.of({name!r}).status")

    def asked(self, method):
        try:
            lines = (self.place.root / "asks").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [ask for ask in map(json.loads, lines) if ask["method"] == method]

    def aborts(self, name=None):
        """Every abort that was asked for."""
        asks = self.asked("sessions.abort") if self.protocol > 3 else \
            [ask for ask in self.asked("chat.send") if ask["params"]["message"] == STOP]
        key = "key" if self.protocol > 3 else "sessionKey"
        return [ask for ask in asks if name is None or ask["params"][key] == AGENT + name]

    # -- Holdfast

    def events(self, after=0):
        with open(self.place.root / "story") as file:
            lines = file.read().split("\n")[:-1]
        return [event for event in map(json.loads, lines) if event["id"] > after]

    def last(self):
        return self.place.last_event()

    def session_events(self, name=None, after=0):
        return [event for event in self.events(after) if event["kind"].startswith("session.")
                and (name is None or event["evidence"]["session"] == AGENT + name)]

    def wait_session(self, kind, name, after=0, seconds=LATE_S, count=1):
        def seen():
            found = [event for event in self.session_events(name, after) if event["kind"] == "session." + kind]
            return found[count - 1] if len(found) >= count else None
        return self.place.wait_for(seen, f"session.{kind} of {name}", seconds)

    def wait_event(self, kind, after=0, seconds=LATE_S, count=1):
        def seen():
            found = [event for event in self.events(after) if event["kind"] == kind]
            return found[count - 1] if len(found) >= count else None
        return self.place.wait_for(seen, f"event {kind}", seconds)

    def trail(self, name, after=0):
        return [event["kind"].partition(".")[2] for event in self.session_events(name, after)]

    def list(self):
        return json.loads(self.place.done("sessions", "--all", "--json").stdout)

    def sessions(self):
        return {session["key"].removeprefix(AGENT): session for session in self.list()["sessions"]}

    def wait_state(self, **states):
        """The list of sessions shows these."""
        def seen():
            found = self.sessions()
            return all(found.get(name, {}).get("state") == state for name, state in states.items()) and found
        return self.place.wait_for(seen, f"sessions {states}", LATE_S)

    def expect_touched(self, *names, after=0):
        touched = {event["evidence"]["session"].removeprefix(AGENT) for event in self.session_events(after=after)}
        expect_equal(touched, set(names), "sessions that were touched")

    def expect_same_gateway(self):
        starts = self.place.starts()
        expect(len(starts) == 1, "gateways that were started:", starts)
        expect_equal(self.place.pid(), starts[0], "the gateway")
