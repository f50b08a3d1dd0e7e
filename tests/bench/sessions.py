#!/usr/bin/env python3
"""What it costs to follow a thousand sessions.

Given a gateway that tells of 1,000 sessions, each of which has 20 events a second, as OpenClaw 2026.9.6 writes them (a word
of the answer for agent and chat, now and then a tool), and writes 100 lines a second into its log
When that has gone on for a while
Then supervisor and sentry together use less than 5 % of a core for it, and have not grown. Beside it the floor: a program
that reads the same bytes and does nothing with them, in turns with it.
"""

import contextlib
import json
import pathlib
import subprocess
import sys
import time


sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
import system
from looked_at import LookedAt
from probing import cpu_ns

SHARE_PERCENT = 5
SESSIONS, EVENTS_S = 1000, 20
ROUNDS, ROUND_S = 6, 10
SHORT_ROUNDS, SHORT_ROUND_S = 3, 3
GROWTH_KIB = 256
LINES_S = 100
SETTLE_S = 3

# In the gateway's loop: frames made once, sent in pieces of 50 ms to whoever listens.
STREAM = """\
import json, random
SESSIONS, EVENTS_S, LINES_S, LOG = %(sessions)d, %(events)d, %(lines)d, %(log)r
PIECE_S = 0.05

def frame(message):
    data = json.dumps(message, separators=(",", ":")).encode()
    size = len(data)
    return (bytes([0x81, size]) if size < 126 else b"\\x81\\x7e" + struct.pack(">H", size)) + data

def events(number):
    run, key = f"5c5a79e5-aedb-40c4-985a-{number:012d}", f"agent:main:channel:{number}"
    head = {"runId": run, "sessionKey": key, "agentId": "main"}
    words = "word " * 20
    yield frame({"type": "event", "event": "agent", "payload": {"runId": run, "stream": "assistant", "data": {
        "text": words, "delta": " word", "itemId": "4e5bb040-c02b-4231-8775-8573dfd3d0fe:1"}, "sessionKey": key,
        "agentId": "main", "seq": 6, "ts": 1796073628259, "isHeartbeat": False}, "seq": 28})
    yield frame({"type": "event", "event": "chat", "payload": {**head, "seq": 6, "state": "delta", "deltaText": " word",
        "message": {"role": "assistant", "content": [{"type": "text", "text": words}], "timestamp": 1796073628264}},
        "seq": 29})

def item(number, phase):
    run, key = f"5c5a79e5-aedb-40c4-985a-{number:012d}", f"agent:main:channel:{number}"
    return frame({"type": "event", "event": "agent", "payload": {"runId": run, "stream": "item", "data": {
        "itemId": "tool:call_1", "toolCallId": "call_1", "name": "exec", "kind": "tool", "phase": phase, "title": "Exec",
        "status": "running", "startedAt": 1796073628627}, "sessionKey": key, "agentId": "main", "seq": 7,
        "ts": 1796073628638}, "seq": 47})

def start(number):
    run, key = f"5c5a79e5-aedb-40c4-985a-{number:012d}", f"agent:main:channel:{number}"
    return frame({"type": "event", "event": "agent", "payload": {"runId": run, "sessionKey": key,
        "sessionId": f"ce9f06cc-ffac-4681-91df-{number:012d}", "agentId": "main", "stream": "lifecycle",
        "data": {"phase": "start", "startedAt": 1796073628093}, "seq": 3, "ts": 1796073628093}, "seq": 24})

def row(number):
    return {"key": f"agent:main:channel:{number}", "sessionId": f"ce9f06cc-ffac-4681-91df-{number:012d}",
            "status": "running", "startedAt": 1796073628093, "updatedAt": 1796073628093, "hasActiveRun": True}

gateway.methods["sessions.list"] = lambda params: {"sessions": [
    row(number) for number in range(params.get("offset", 0), min(SESSIONS, params.get("offset", 0) + params["limit"]))],
    "hasMore": params.get("offset", 0) + params["limit"] < SESSIONS}
gateway.methods["sessions.describe"] = lambda params: {"session": row(int(params["key"].rpartition(":")[2]))}

every = [bytes for number in range(SESSIONS) for bytes in events(number)]
random.Random(7).shuffle(every)
open("event_bytes", "w").write(str(sum(map(len, every)) / len(every)))
per_piece = int(SESSIONS * EVENTS_S * PIECE_S)
pieces = [b"".join((every * 2)[at:at + per_piece]) for at in range(0, len(every), per_piece)]
tools = [item(number, phase) for number in range(0, SESSIONS, 20) for phase in ("start", "end")]
line = json.dumps({"0": json.dumps({"subsystem": "gateway/ws"}), "1": "res chat.send 50ms runId=x", "_meta": {
    "runtime": "node", "logLevelName": "INFO", "name": "x" * 300}, "time": "2026-11-30T21:20:15.858+00:00",
    "message": "res chat.send 50ms runId=x"}) + "\\n"

async def stream():
    log = open(LOG, "a", buffering=1 << 20)
    due, number = time.monotonic(), 0
    started = set()
    while True:
        for writer in list(gateway.sockets):
            if writer not in started:
                started.add(writer)
                writer.write(b"".join(start(session) for session in range(SESSIONS)))
            if writer.transport.get_write_buffer_size() < 1 << 22:
                writer.write(pieces[number %% len(pieces)] + tools[number %% len(tools)])
                gateway.sent_bytes = getattr(gateway, "sent_bytes", 0) + len(pieces[number %% len(pieces)])
        log.write(line * int(LINES_S * PIECE_S))
        log.flush()
        number += 1
        due += PIECE_S
        await asyncio.sleep(max(0, due - time.monotonic()))

later(stream())
"""

# The floor: the same stream, read by a program that does nothing with it.
READER = """\
import base64, json, os, signal, socket, struct, sys, time
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
peer.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: websocket\\r\\nSec-WebSocket-Key: " + base64.b64encode(os.urandom(16))
             + b"\\r\\n\\r\\n")
data = json.dumps({"type": "req", "id": "c", "method": "connect", "params": {"auth": {"token": sys.argv[2]}}}).encode()
peer.sendall(b"\\x81\\xfe" + struct.pack(">H", len(data)) + b"\\0\\0\\0\\0" + data)
room = bytearray(16384)
total, began = 0, time.monotonic()
def tell(*_):
    print(total / (time.monotonic() - began), flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, tell)
while size := peer.recv_into(room):
    total += size
"""


def rss_kib(pid):
    return sum(int(line.split()[1]) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
               if line.startswith(("RssAnon:", "RssShmem:")))


def percent(pids, seconds):
    """Of one core, used by these processes in so many seconds."""
    before, began = sum(map(cpu_ns, pids)), time.monotonic()
    time.sleep(seconds)
    return (sum(map(cpu_ns, pids)) - before) / 1e7 / (time.monotonic() - began)


def measure(place, rounds, round_s):
    gateway = LookedAt(place, {"interval": "30s"}, first_probes=1)
    log = place.root / "gateway.log"
    log.touch()
    config = place.root / "openclaw.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "logging": {"file": str(log)}}))
    port = place.status()["gateway"]["port"]
    pids = [place.runs[-1].pid, place.wait_workers()["sentry"]]
    gateway.order(STREAM % {"sessions": SESSIONS, "events": EVENTS_S, "lines": LINES_S, "log": str(log)})
    running = lambda: json.loads(place.done("sessions", "--json").stdout)["running"]
    system.wait_for(lambda: running() == SESSIONS, f"{SESSIONS} sessions that run", 60)
    time.sleep(SETTLE_S)
    small, shares, floors = [rss_kib(pid) for pid in pids], [], []
    with contextlib.ExitStack() as stack:
        reader = subprocess.Popen([sys.executable, "-c", READER, str(port), "a-token-for-tests"],
                                  stdout=subprocess.PIPE, text=True)
        stack.callback(reader.wait)
        stack.callback(reader.kill)
        time.sleep(SETTLE_S)
        for _ in range(rounds):
            shares.append(percent(pids, round_s))
            floors.append(percent([reader.pid], round_s))
        reader.terminate()
        bytes_s = float(reader.stdout.read())
        events_s = bytes_s / float((place.root / "event_bytes").read_text())
    grown = [rss_kib(pid) - before for pid, before in zip(pids, small)]
    events = place.events("--kind", "session.*")
    system.expect(not events, "sessions that were found stuck", events[:3])
    system.expect(running() == SESSIONS, "sessions that run at the end:", running())
    return shares, floors, grown, bytes_s, events_s


def main():
    short = "--short" in sys.argv
    place = system.open_place("sessions")
    try:
        shares, floors, grown, bytes_s, events_s = measure(place, *((SHORT_ROUNDS, SHORT_ROUND_S) if short else (ROUNDS, ROUND_S)))
    finally:
        system.close_place(place)
    middle = sorted(shares)[len(shares) // 2]
    floor = sorted(floors)[len(floors) // 2]
    reached = middle < SHARE_PERCENT and max(grown) <= GROWTH_KIB and events_s > SESSIONS * EVENTS_S * 0.95
    print(f"{SESSIONS} sessions, {events_s:.0f} events a second ({bytes_s / 1e6:.1f} MB): {middle:.2f} % of a core in the middle of "
          f"{len(shares)} rounds ({min(shares):.2f}-{max(shares):.2f}; limit {SHARE_PERCENT}), reading alone {floor:.2f} % "
          f"(ratio {middle / max(floor, 0.01):.2f}); grown by {grown[0]} KiB (supervisor) and {grown[1]} KiB (sentry), "
          f"limit {GROWTH_KIB}: {'reached' if reached else 'MISSED'}")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
