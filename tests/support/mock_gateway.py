"""OpenClaw's WebSocket, as far as a client that only reads needs it, and as badly as a test wants it."""

import base64
import hashlib
import json
import queue
import re
import socket
import struct
import threading

HELLO = {
    3: {"type": "hello-ok", "protocol": 3, "server": {"version": "dev", "host": "vm", "connId": "c1"},
        "features": {"methods": ["health"] * 60, "events": ["tick"]}, "snapshot": {"presence": [], "health": {}},
        "policy": {"maxPayload": 524288, "maxBufferedBytes": 1572864, "tickIntervalMs": 30000}},
    4: {"type": "hello-ok", "protocol": 4,
        "server": {"version": "2026.9.6", "buildId": "b", "bootId": "1dfaeb36", "connId": "c1"},
        "features": {"methods": ["method.number.%d" % i for i in range(600)], "events": ["tick"]},
        "snapshot": {"presence": [], "health": {}}, "auth": {"role": "operator", "scopes": ["operator.read"]},
        "policy": {"maxPayload": 26214400, "maxBufferedBytes": 52428800, "tickIntervalMs": 15000}},
}


class Refusal:
    """An answer that is none."""

    def __init__(self, code, sentence):
        self.code, self.sentence = code, sentence


class Close:
    """Instead of an answer the connection ends."""


class Connection:
    def __init__(self, gateway, peer):
        self.gateway, self.peer = gateway, peer
        self.frames = queue.Queue()
        self.head = b""
        self.scopes = None          # asked for by its connect

    def send_frame(self, first, data):
        size = len(data)
        length = bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size) if size < 65536 \
            else b"\x7f" + struct.pack(">Q", size)
        self.peer.sendall(bytes([first]) + length + data)

    def say(self, message):
        self.send_frame(0x81, json.dumps(message, separators=(",", ":")).encode())

    def event(self, name, payload=None):
        self.say({"type": "event", "event": name, "payload": payload or {}})

    def close(self, code=1000, reason=""):
        self.send_frame(0x88, struct.pack(">H", code) + reason.encode())
        self.peer.close()

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            more = self.peer.recv(size - len(data))
            if not more:
                raise ConnectionError("the client has closed")
            data += more
        return data

    def handshake(self):
        while b"\r\n\r\n" not in self.head:
            self.head += self._exactly(1)
        if self.gateway.refuse_with:
            self.peer.sendall(f"HTTP/1.1 {self.gateway.refuse_with} No\r\nContent-Length: 0\r\n\r\n".encode())
            raise ConnectionError("refused")
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", self.head)[1]
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        self.peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")

    def hear(self):
        """The next message, or None for a close."""
        while True:
            first, second = self._exactly(2)
            assert first & 0x80 and second & 0x80, "a client's frames are masked"
            size = second & 0x7F
            size = struct.unpack(">H", self._exactly(2))[0] if size == 126 else size
            mask = self._exactly(4)
            data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(self._exactly(size)))
            if first & 0xF == 8:
                return None
            if first & 0xF == 1:
                return json.loads(data)


class Gateway:
    """Listens on a port of its own; every connection gets a thread."""

    def __init__(self, protocol=4, token="secret", port=0):
        self.protocol, self.token = protocol, token
        self.refuse_with = 0        # an HTTP status instead of the upgrade
        self.mute = False           # accepts, and says nothing
        self.no_challenge = False   # upgrades, and says nothing
        self.unavailable = False    # refuses connect because it is starting
        self.hello_extra = {}
        self.before_hello = []      # called with the connection
        self.answers = {"health": {"ok": True, "durationMs": 0}}  # what is sent; a function makes it from the params
        self.requests = []          # method, params and scopes of every other request
        self.connects = []          # the params of every connect
        self.opened = 0             # handshakes done
        self.up = []                # connections that got hello-ok
        self.held = []
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.up:
            connection.peer.close()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        connection = Connection(self, peer)
        if self.mute:
            self.held.append(connection)
            return
        try:
            connection.handshake()
            self.opened += 1
            if self.no_challenge:
                self.held.append(connection)
                return
            connection.event("connect.challenge", {"nonce": "5ea4", "ts": 1795242277299})
            while (message := connection.hear()) is not None:
                self._answer(connection, message)
        except (OSError, AssertionError):
            pass

    def _answer(self, connection, message):
        if message["method"] != "connect":
            self._answer_request(connection, message)
            return
        self.connects.append(message["params"])
        connection.scopes = message["params"].get("scopes")
        auth = message["params"].get("auth", {})
        if self.unavailable:
            self._refuse(connection, message, {"code": "UNAVAILABLE", "message": "gateway starting"}, 1013)
        elif (auth.get("token") or auth.get("password")) == self.token:
            for call in self.before_hello:
                call(connection)
            self.up.append(connection)
            connection.say({"type": "res", "id": message["id"], "ok": True,
                            "payload": {**HELLO[self.protocol], **self.hello_extra}})
        else:
            error = {"code": "INVALID_REQUEST", "message": "unauthorized: gateway token mismatch"}
            if self.protocol >= 4:
                error["details"] = {"code": "AUTH_TOKEN_MISMATCH"}
            self._refuse(connection, message, error, 1008)

    def _answer_request(self, connection, message):
        method, params = message["method"], message.get("params")
        self.requests.append((method, params, connection.scopes))
        answer = self.answers.get(method)
        if callable(answer):
            answer = answer(params)
        if isinstance(answer, Refusal):
            connection.say({"type": "res", "id": message["id"], "ok": False,
                            "error": {"code": answer.code, "message": answer.sentence}})
        elif answer is Close:
            connection.close(1012, "service restart")
        elif answer is not None:
            connection.say({"type": "res", "id": message["id"], "ok": True, "payload": answer})

    def _refuse(self, connection, message, error, code):
        connection.say({"type": "res", "id": message["id"], "ok": False, "error": error})
        connection.close(code, error["message"])
