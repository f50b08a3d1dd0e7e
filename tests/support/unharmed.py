"""That nothing was done to a gateway, and what almost was."""

import http.client
import json
import subprocess
import threading
import time

from system import expect, expect_equal, wait_for

SAMPLE_S = 0.2
CLEARED_S = 30
NEVER = ("gateway.condemned", "gateway.exited", "gateway.stopping", "gateway.killed", "gateway.started")


def ask(port, path="/healthz", patience_s=10):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


def answers(port, path="/healthz"):
    try:
        return ask(port, path)[0] > 0
    except (OSError, http.client.HTTPException):
        return False


class Unharmed:
    """From here on it is left alone: `then()` says whether it was. Meanwhile its health is looked at all the time."""

    def __init__(self, place, port):
        self.place, self.port = place, port
        self.before = place.last_event()
        self.gateway = place.status()["gateway"]
        self.pid = self.gateway["pid"]
        self.states, self.probes, self.unanswered, self.queue = set(), set(), 0, 0
        self.over = threading.Event()
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()

    def watch(self):
        while not self.over.wait(SAMPLE_S):
            try:
                health = self.place.status()["health"]
            except (json.JSONDecodeError, OSError, subprocess.TimeoutExpired):  # there is no supervisor just now
                continue
            self.states.add(health["state"])
            self.probes |= {health["probe"], health["webSocket"]}
            self.unanswered = max(self.unanswered, health["unanswered"])
            self.queue = max(self.queue, health["listenQueue"] or 0)

    def has_been(self, state, seconds=CLEARED_S):
        wait_for(lambda: state in self.states, f'health "{state}"', seconds)

    def events(self):
        return [event for event in self.place.events() if event["id"] > self.before]

    def is_well(self):
        status = self.place.status()
        return status["state"] == "running" and status["health"]["state"] == "live"

    def then(self, but=(), seconds=CLEARED_S, well=True):
        """It is the same process, it was not touched, and it answers. Returns what was seen, in one line."""
        if well:
            self.place.wait_for(self.is_well, "gateway that is well after all", seconds)
        self.over.set()
        self.watcher.join()
        self.place.last_event()
        events = self.events()
        wrong = [event["kind"] + ": " + event["reason"] for event in events
                 if event["kind"] in NEVER and event["kind"] not in but]
        expect(not wrong, "it was touched:", wrong)
        gateway = self.place.status()["gateway"]
        expect_equal((gateway["pid"], gateway["restarts"]), (self.pid, self.gateway["restarts"]), "pid and restarts")
        if well:
            wait_for(lambda: answers(self.port), "answer of the gateway", seconds)
        return self.row(events)

    def row(self, events):
        evidence = [event["evidence"] for event in events
                    if event["kind"] in ("gateway.suspected", "gateway.left_alone")]
        witnesses = sorted({word for each in evidence for word in each.get("witnesses", [])})
        held = sorted({word for each in evidence for word in each.get("held", [])})
        parts = ["/".join(sorted(filter(None, self.states))) or "not looked at",
                 "probes " + " ".join(sorted(filter(None, self.probes)))]
        if self.unanswered:
            parts.append(f"unanswered {self.unanswered}")
        if self.queue:
            parts.append(f"queue {self.queue}")
        if witnesses:
            parts.append("witnesses " + " ".join(witnesses))
        if held:
            parts.append("held " + " ".join(held))
        return "; ".join(parts) + "; restarts 0"


def hold_for(seconds, condition, what):
    """A disturbance that lasts: the condition holds all the while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        expect(condition(), what)
        time.sleep(min(SAMPLE_S, max(0, end - time.monotonic())))
