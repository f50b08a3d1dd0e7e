"""A provider of language models that does what its keys say (mock_upstream.c), and as little of a client as tests need.

    with MockUpstream() as upstream:
        ... upstream.url ...                       "http://127.0.0.1:PORT"
        upstream.requests()                        what was asked, oldest first: key, path, headers, body, gone, ...
        upstream.manner("sk-429-a", "ok")          the provider has recovered; "-": as the key says
    MockUpstream(authority=Authority(directory))   over TLS, with a certificate for 127.0.0.1 and localhost
"""

import http.client
import json
import os
import pathlib
import ssl
import subprocess

BUILD = pathlib.Path(os.environ.get("BUILD_DIRECTORY", pathlib.Path(__file__).resolve().parent.parent.parent / "build"))
PROGRAM = BUILD / "tests/support/mock_upstream"
ANTHROPIC, OPENAI = "/v1/messages", "/v1/chat/completions"
QUESTION = {"model": "mock-model", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}


class Authority:
    """A certificate authority for tests; `file` is to be trusted, `certificate` and `key` are a server's."""

    def __init__(self, directory, names="IP:127.0.0.1,DNS:localhost", days=2):
        directory = pathlib.Path(directory)
        self.file, self.certificate, self.key = (directory / name for name in ("ca.pem", "server.pem", "server.key"))
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", str(days)]
        self._run("req", "-x509", *curve, "-keyout", directory / "ca.key", "-out", self.file, "-subj", "/CN=Tests")
        self._run("req", *curve[:-2], "-keyout", self.key, "-out", directory / "server.csr", "-subj", "/CN=localhost")
        (directory / "names").write_text(f"subjectAltName={names}\n")
        self._run("x509", "-req", "-in", directory / "server.csr", "-CA", self.file, "-CAkey", directory / "ca.key",
                  "-CAcreateserial", "-days", str(days), "-extfile", directory / "names", "-out", self.certificate)

    def _run(self, *words):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


class MockUpstream:
    def __init__(self, authority=None, port=0, bench=False, program=PROGRAM, only=None):
        tls = ["--tls", str(authority.certificate), str(authority.key)] if authority else []
        self.authority = authority
        # Its stdin is ours: it ends with us, whatever becomes of us.
        self.process = subprocess.Popen([str(program), "--port", str(port), *tls, *(["--bench"] if bench else []),
                                         *(["--manner", only] if only else [])],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.url = f"{'https' if authority else 'http'}://127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def _control(self, method, path):
        context = ssl.create_default_context(cafile=str(self.authority.file)) if self.authority else None
        link = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=context) if self.authority \
            else http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            link.request(method, path)
            return link.getresponse().read()
        finally:
            link.close()

    def _seen(self):
        return json.loads(self._control("GET", "/__requests"))

    def requests(self, key=None):
        """The requests it remembers; `headers` are pairs in their order, `body` is bytes, or None above 64 KiB."""
        seen = self._seen()["requests"]
        for request in seen:
            request["body"] = None if request["body"] is None else request["body"].encode("latin-1")
        return [request for request in seen if key in (None, request["key"])]

    def counters(self):
        """open (this question's connection included), accepted, requests, answered, gone, handshakes, resumed."""
        return self._seen()["counters"]

    def uses(self):
        """How often each key was used."""
        return self._seen()["keys"]

    def manner(self, key, manner):
        self._control("POST", f"/__manner/{key}/{manner}")

    def forget(self):
        self._control("POST", "/__forget")


def question(api=ANTHROPIC, stream=False, **more):
    """A request's body."""
    return json.dumps({**QUESTION, **({"stream": True} if stream else {}), **more}).encode()


def headers_for(api, key):
    credential = {"x-api-key": key, "anthropic-version": "2023-06-01"} if api.endswith("/messages") \
        else {"authorization": f"Bearer {key}"}
    return {"content-type": "application/json", **credential}


def ask(port, key, path=ANTHROPIC, stream=False, timeout=10, body=None):
    """Asks once, and returns (status, headers, body); a connection that ends early raises as http.client does."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        link.request("POST", path, body if body is not None else question(path, stream), headers_for(path, key))
        answer = link.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        link.close()


def events(body):
    """The data of a stream's events, in order: objects, and "[DONE]"."""
    found = []
    for block in body.decode().split("\n\n"):
        for line in block.splitlines():
            if line.startswith("data:"):
                text = line[5:].strip()
                found.append(text if text == "[DONE]" else json.loads(text))
    return found
