"""As little of a client of OpenClaw's WebSocket as a test needs: connect with the shared token, ask, be answered."""

import base64
import json
import os
import socket
import struct
import uuid

MESSAGE_MAX_BYTES = 16 << 20
ENDS = ("final", "aborted", "error")


def text_of(message):
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


class GatewayClient:
    def __init__(self, port, token, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.file = self.socket.makefile("rb")
        self._upgrade(port)
        self._receive_until(lambda frame: frame.get("event") == "connect.challenge")
        self.ask("connect", {"minProtocol": 3, "maxProtocol": 4, "role": "operator", "caps": [],
                             "client": {"id": "cli", "version": "1.0.0", "platform": "linux", "mode": "cli"},
                             "scopes": ["operator.admin", "operator.read", "operator.write"],
                             "auth": {"token": token}, "locale": "en-US", "userAgent": "test/1"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def ask(self, method, parameters):
        """Sends a request and returns what its answer carries."""
        number = str(uuid.uuid4())
        self._send({"type": "req", "id": number, "method": method, "params": parameters})
        answer = self._receive_until(lambda frame: frame.get("type") == "res" and frame.get("id") == number)
        if not answer.get("ok"):
            raise AssertionError(f"{method} was refused: {answer.get('error')}")
        return answer.get("payload")

    def chat(self, text, session="agent:main:test"):
        return self.ask("chat.send", {"sessionKey": session, "message": text, "idempotencyKey": str(uuid.uuid4())})

    def answer(self, run):
        """Waits for the end of a run that `chat` began, and returns its whole answer."""
        frame = self._receive_until(lambda frame: frame.get("event") == "chat" and
                                    frame["payload"].get("runId") == run and frame["payload"]["state"] in ENDS)
        if frame["payload"]["state"] != "final":
            raise AssertionError(f"the run ended otherwise: {frame['payload']}")
        return text_of(frame["payload"]["message"])

    def history(self, session):
        """What was said in a session: (role, text), oldest first."""
        messages = self.ask("chat.history", {"sessionKey": session})["messages"]
        return [(message["role"], text_of(message)) for message in messages]

    def _upgrade(self, port, path="/"):
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        status = self.file.readline()
        if b" 101 " not in status:
            raise AssertionError(f"no WebSocket: {status!r}")
        while self.file.readline().strip():
            pass

    def _send(self, frame):
        self._send_frame(0x81, json.dumps(frame).encode())

    def _send_frame(self, kind, payload):
        mask = os.urandom(4)
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", kind, 0x80 | size)
        else:
            head = struct.pack("!BBH", kind, 0x80 | 126, size)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        self.socket.sendall(head + mask + masked)

    def _receive(self):
        """The next whole text message; pings that come before it are answered."""
        message = b""
        while True:
            first, size = struct.unpack("!BB", self._read(2))
            if size == 126:
                size, = struct.unpack("!H", self._read(2))
            elif size == 127:
                size, = struct.unpack("!Q", self._read(8))
            if size > MESSAGE_MAX_BYTES:
                raise AssertionError(f"a message of {size} bytes")
            payload = self._read(size)
            if first & 0x0F == 9:
                self._send_frame(0x8A, payload)
            if first & 0x0F == 8:
                raise AssertionError(f"the gateway closed the connection: {payload[2:]!r}")
            if first & 0x0F in (0, 1):
                message += payload
                if first & 0x80:
                    return json.loads(message)

    def _read(self, count):
        read = self.file.read(count)
        if len(read) < count:
            raise AssertionError("the gateway closed the connection")
        return read

    def _receive_until(self, is_wanted):
        while True:
            frame = self._receive()
            if is_wanted(frame):
                return frame
