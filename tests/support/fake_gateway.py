#!/usr/bin/env python3
"""fake_gateway.py PORT: what Holdfast sees of an OpenClaw, in one event loop, and as badly as a test wants it.

It lives in its working directory: its pids are in `starts`, and the file `order` is Python to be run in its loop, with
`gateway` and the functions below; it is renamed to `ordered` when it is taken up. The file `at-begin` is such an order
for each gateway that starts there. TEST_PROTOCOL says which version's protocol it speaks: 4 (2026.9.6), or 3 (2026.2.1).
"""

import asyncio
import base64
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import threading
import time

from mock_gateway import HELLO

POLL_S = 0.01
TICK_MS = 1000  # the least that is believed
JSON = "application/json"
PROTOCOL = int(os.environ.get("TEST_PROTOCOL", 4))
UNANSWERED = object()


class Gateway:
    def __init__(self):
        self.answers = {"/healthz": (200, {"ok": True, "status": "live"}),
                        "/readyz": (200, {"ready": True, "failing": []}),
                        "/startupz": (200, {"ok": True, "status": "started", "version": "2026.9.6"})}
        self.next_answers = []        # for /healthz: each once
        self.delay_s = 0              # before any answer
        self.hangs = set()            # paths that are never answered
        self.closes = False           # instead of an answer
        self.says = None              # bytes instead of an answer
        self.token = "a-token-for-tests"
        self.ticks = True
        self.upgrades = True          # else a new WebSocket gets no word
        self.methods = {}             # called with the params of a request, for what is answered
        self.raw = {}                 # called with a whole request, for the frames that are sent instead of an answer
        self.asked = []               # every request that came: method and params
        self.heard = None             # called with each of them: the connection's number, its scopes, method, params
        self.connections = 0
        self.sockets = set()
        self.server = None

    async def serve(self, reader, writer):
        try:
            while await self.answer(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.sockets.discard(writer)
            writer.close()

    async def answer(self, reader, writer):
        """One request. Returns whether another may follow."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode(errors="replace")
        path = head.split(" ", 2)[1]
        if "upgrade: websocket" in head.lower():
            await self.speak(reader, writer, re.search(r"(?i)Sec-WebSocket-Key: (\S+)", head)[1])
            return False
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if path in self.hangs:
            await asyncio.sleep(1000)
        if self.closes:
            return False
        if path == "/stream":
            await stream(writer)
        if self.says is not None:
            writer.write(self.says)
            return False
        status, body = self.answers.get(path, (404, {"error": "not found"}))
        if path == "/healthz" and self.next_answers:
            status, body = self.next_answers.pop(0)
        data = json.dumps(body).encode()
        writer.write(f"HTTP/1.1 {status} Said\r\nContent-Type: {JSON}\r\nContent-Length: {len(data)}\r\n\r\n".encode())
        writer.write(data)
        await writer.drain()
        return "connection: close" not in head.lower()

    # -- the WebSocket

    async def speak(self, reader, writer, key):
        if not self.upgrades:
            await asyncio.sleep(1000)
        accept = base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        say(writer, {"type": "event", "event": "connect.challenge", "payload": {"nonce": "5ea4", "ts": 1}})
        self.connections += 1
        number, scopes = self.connections, []
        while (message := await hear(reader)) is not None:
            if message.get("method") != "connect":
                if self.heard:
                    self.heard(number, scopes, message.get("method"), message.get("params") or {})
                self.answer_request(writer, message)
                continue
            scopes = message["params"].get("scopes") or []
            auth = message["params"].get("auth") or {}
            if self.token is None or auth.get("token") != self.token:
                say(writer, {"type": "res", "id": message["id"], "ok": False, "error": {
                    "code": "INVALID_REQUEST", "message": "unauthorized: gateway token mismatch",
                    "details": {"code": "AUTH_TOKEN_MISMATCH"}}})
                return
            self.sockets.add(writer)
            hello = {**HELLO[PROTOCOL], "policy": {**HELLO[PROTOCOL]["policy"], "tickIntervalMs": TICK_MS}}
            say(writer, {"type": "res", "id": message["id"], "ok": True, "payload": hello})

    def answer_request(self, writer, message):
        """Answers with what its method returns; with an error where that is an Exception, with nothing where there is none."""
        self.asked.append((message.get("method"), message.get("params")))
        if message.get("method") in self.raw:
            for frame in self.raw[message["method"]](message):
                say_text(writer, frame)
            return
        method = self.methods.get(message.get("method"))
        if method is None:
            return
        payload = method(message.get("params") or {})
        if payload is UNANSWERED:
            return
        if isinstance(payload, Exception):
            say(writer, {"type": "res", "id": message["id"], "ok": False,
                         "error": {"code": "INVALID_REQUEST", "message": str(payload)}})
        else:
            say(writer, {"type": "res", "id": message["id"], "ok": True, "payload": payload})

    def cut(self):
        for writer in list(self.sockets):
            writer.transport.abort()

    async def tick(self):
        while True:
            await asyncio.sleep(TICK_MS / 1000)
            for writer in list(self.sockets) if self.ticks else []:
                say(writer, {"type": "event", "event": "tick", "payload": {"ts": 1}})

    # -- listening

    async def listen(self, backlog=511):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", int(sys.argv[1]), backlog=backlog)

    async def away(self, seconds):
        """Its port is closed for a while; what is connected stays."""
        self.server.close()
        await asyncio.sleep(seconds)
        await self.listen()

    async def every(self, seconds, call):
        while True:
            await asyncio.sleep(seconds)
            call()

    def carry_out(self, name):
        with open(name) as file:
            exec(file.read(), {**globals(), "gateway": self, "later": asyncio.get_running_loop().create_task})

    async def obey(self):
        while True:
            await asyncio.sleep(POLL_S)
            try:
                os.rename("order", "ordered")
            except FileNotFoundError:
                continue
            self.carry_out("ordered")


def say(writer, message):
    say_text(writer, json.dumps(message, separators=(",", ":")))


def say_text(writer, text):
    data = text if isinstance(text, bytes) else text.encode()
    size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack(">H", len(data)) \
        if len(data) < 65536 else b"\x7f" + struct.pack(">Q", len(data))
    writer.write(b"\x81" + size + data)


async def hear(reader):
    """The next message; None: it was closed."""
    while True:
        first, second = await reader.readexactly(2)
        size = second & 0x7F
        size = struct.unpack(">H", await reader.readexactly(2))[0] if size == 126 else size
        mask = await reader.readexactly(4)
        data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(await reader.readexactly(size)))
        if first & 0xF == 8:
            return None
        if first & 0xF == 1:
            return json.loads(data)


async def stream(writer):
    """A response without an end."""
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {JSON}\r\nContent-Length: 1000000000000\r\n\r\n".encode())
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


# ---- what an order may ask for -------------------------------------------------------------------------------------

def block(seconds):
    time.sleep(seconds)


def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def run_thread(call):
    threading.Thread(target=call, daemon=True).start()


def burn_thread(seconds):
    """A thread that uses a processor and leaves the loop alone."""
    def burn():
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            hashlib.pbkdf2_hmac("sha256", b"a", b"b", 300000)
    run_thread(burn)


def burn_child(seconds):
    subprocess.Popen(["timeout", str(seconds), "sh", "-c", "while :; do :; done"])


def flood(seconds, bytes_per_second):
    lines = (b"x" * 127 + b"\n") * 512

    def write():
        began = time.monotonic()
        written = 0
        while time.monotonic() < began + seconds:
            written += os.write(1, lines)
            ahead = written / bytes_per_second - (time.monotonic() - began)
            if ahead > 0:
                time.sleep(ahead)
        with open("flooded", "w") as file:
            file.write(str(written))
    run_thread(write)


async def main():
    gateway = Gateway()
    if os.path.exists("at-begin"):
        gateway.carry_out("at-begin")
    await gateway.listen()
    tasks = [asyncio.create_task(gateway.tick()), asyncio.create_task(gateway.obey())]
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    with open("starts", "a") as starts:
        print(os.getpid(), file=starts, flush=True)
    time.sleep(float(os.environ.get("TEST_START_S", 0)))
    asyncio.run(main())
