#!/usr/bin/env python3
"""Callers who never stop: they connect to each of some ports every few milliseconds, and do not wait for an answer
before they call again. A process of its own, so that nothing delays it: callers.py '{"NAME": PORT, ...}' calls until
its input ends and everybody was answered or given up; it prints each call that was not answered, as JSON on a line
of its own, and last the sums.
"""

import collections
import errno
import json
import os
import pathlib
import selectors
import socket
import struct
import subprocess
import sys
import time

from system import DEADLINE_S, expect_equal, PLACE_VARIABLE, POLL_S

EVERY_S = 0.003
SLOW_S = 1
GIVEN_UP_S = 10
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n"
NO_LINGERING = struct.pack("ii", 1, 0)  # a thousand calls a second would use up the ports


class Calls:
    """The calls to one port."""

    def __init__(self, name, port, selector):
        self.name, self.port, self.selector = name, port, selector
        self.open = {}  # by socket: when the call was made
        self.due = time.monotonic()
        self.counts = collections.Counter()
        self.slowest_s = 0

    def make(self, now):
        self.due = max(self.due + EVERY_S, now)
        call = socket.socket()
        call.setblocking(False)
        call.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGERING)
        self.open[call] = now
        self.counts["made"] += 1
        error = call.connect_ex(("127.0.0.1", self.port))
        if error in (0, errno.EINPROGRESS):
            self.selector.register(call, selectors.EVENT_WRITE, self)
        else:
            self.end(call, error)

    def goes_on(self, call, events):
        error = call.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        said = b""
        try:
            if error == 0 and events & selectors.EVENT_WRITE:
                call.sendall(REQUEST % self.port)
                self.selector.modify(call, selectors.EVENT_READ, self)
                return
            if error == 0:
                said = call.recv(4096)
        except BlockingIOError:
            return
        except OSError as problem:
            error = problem.errno
        self.end(call, error, said)

    def end(self, call, error, said=b""):
        took_s = time.monotonic() - self.open[call]
        if said.startswith(b"HTTP/1.1 "):
            self.counts["answered"] += 1
            self.counts["slow"] += took_s > SLOW_S
            self.slowest_s = max(self.slowest_s, took_s)
        else:
            what = {errno.ECONNREFUSED: "refused", errno.ETIMEDOUT: "given up"}.get(error, "cut off")
            self.counts[what] += 1
            print(json.dumps({"port": self.name, "what": what, "at": self.open[call], "took": took_s,
                              "why": errno.errorcode.get(error, repr(said[:40]))}), flush=True)
        if call in self.selector.get_map():
            self.selector.unregister(call)
        call.close()
        del self.open[call]

    def give_up(self, now):
        for call in [call for call, since in self.open.items() if now - since > GIVEN_UP_S]:
            self.end(call, errno.ETIMEDOUT)

    def sums(self):
        return {**dict.fromkeys(("made", "answered", "refused", "cut off", "given up", "slow"), 0), **self.counts,
                "slowest_ms": self.slowest_s * 1000}


def call_for_ever(ports):
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    calls = [Calls(name, port, selector) for name, port in ports.items()]
    more = True
    while more or any(each.open for each in calls):
        now = time.monotonic()
        for each in calls:
            if more and now >= each.due:
                each.make(now)
            each.give_up(now)
        wait_s = min(each.due for each in calls) - time.monotonic() if more else POLL_S
        for key, events in selector.select(max(0, wait_s)):
            if key.data is not None:
                key.data.goes_on(key.fileobj, events)
            else:
                more = False
                selector.unregister(sys.stdin)
    print(json.dumps({each.name: each.sums() for each in calls}), flush=True)


class Callers:
    """That process, as a test sees it."""

    def __init__(self, place, ports):
        self.output = place.root / "calls"
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen([sys.executable, str(pathlib.Path(__file__).resolve()), json.dumps(ports)],
                                            env={**os.environ, PLACE_VARIABLE: str(place.root)},
                                            stdin=subprocess.PIPE, stdout=output, stderr=output)

    def stop(self):
        self.process.stdin.close()

    def end(self):
        """Returns the calls that were not answered, and the sums by port."""
        self.stop()
        self.process.wait(GIVEN_UP_S + DEADLINE_S)
        lines = self.output.read_text().splitlines()
        expect_equal(self.process.returncode, 0, "callers: " + "\n".join(lines[-20:]))
        return [json.loads(line) for line in lines[:-1]], json.loads(lines[-1])


if __name__ == "__main__":
    call_for_ever(json.loads(sys.argv[1]))
