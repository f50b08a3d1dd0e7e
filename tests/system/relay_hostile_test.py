#!/usr/bin/env python3
"""The relay among callers and providers that mean harm: each is refused or bounded, and all others go on.

Usage: relay_hostile_test.py [WORD...]: only the tests whose names contain one of the words. BUILD_DIRECTORY says which build
is tried (default: build). LONG=1 keeps everything up for longer. Prints TAP.
"""

import http.client
import os
import pathlib
import re
import resource
import select
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from mock_upstream import MockUpstream, ask, headers_for, question
from system import expect, expect_equal, free_port, main, read_process, test, wait_for

LONG = bool(os.environ.get("LONG"))
IDLE = 10000
BOUND_MIB = 96  # whatever is done to it, it never needs more
PATH = "/a/v1/messages"
# What a provider may not do, and its caller must not suffer from.
HOSTILE = ["badstatus", "nothttp", "badname", "folded", "twolengths", "badlength", "smuggle", "nul", "infoflood", "headbomb",
           "endlesshead", "endlessline", "endlesserror", "upgrade", "badchunk", "precut", "extra", "info", "http10", "204"]
# What is answered all the same: it is odd, and harms nobody.
WELL = {"extra", "info", "http10", "204"}


class Relay:
    def __init__(self, place, first="ok", second="ok2", **relay):
        self.place, self.port, self.upstream = place, free_port(), MockUpstream()
        place.settings({"api": {"port": place.api_port}, "relay": {
            "port": self.port, "firstContentTimeout": "1s", "lastResortTimeout": "3s", "gapTimeout": "1s",
            "providers": {"a": {"api": "anthropic-messages", "baseUrl": self.upstream.url,
                                "profiles": [{"id": "p0", "key": "env:K0"}, {"id": "p1", "key": "env:K1"}]}}, **relay}})
        place.run_ready(environment={"K0": f"sk-{first}-0", "K1": f"sk-{second}-1"})
        wait_for(self.is_well, "the relay")
        self.pid = next(worker["pid"] for worker in place.status()["workers"] if worker["name"] == "relay")

    def is_well(self):
        try:
            return ask(self.port, "placeholder", PATH)[0] == 200
        except OSError:
            return False

    def answer_s(self):
        began = time.monotonic()
        expect_equal(ask(self.port, "placeholder", PATH)[0], 200)
        return time.monotonic() - began

    def resident_mib(self):
        return int(read_process(self.pid, "statm").split()[1]) * resource.getpagesize() >> 20

    def expect_unharmed(self):
        expect(any(worker["name"] == "relay" and worker["pid"] == self.pid for worker in self.place.status()["workers"]),
               "it is the same process", self.place.status()["workers"])
        expect(self.is_well(), "it answers")

    def expect_bounded(self):
        if "sanitized" not in os.environ.get("BUILD_DIRECTORY", ""):
            expect(self.resident_mib() < BOUND_MIB, self.resident_mib(), "MiB")

    def say(self, words, seconds=3):
        """Sends the bytes and returns all that comes back, until the relay closes or nothing more comes."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as link:
            try:
                link.sendall(words)
            except OSError:
                pass
            got = b""
            until = time.monotonic() + seconds
            watch = select.poll()
            watch.register(link, select.POLLIN)
            while (left := until - time.monotonic()) > 0 and watch.poll(left * 1000):
                try:
                    part = link.recv(65536)
                except OSError:
                    break
                if not part:
                    break
                got += part
            return got

    def close(self):
        self.upstream.close()


def given(place, **options):
    return Relay(place, **options)


HEAD = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: p\r\n".encode()
BODY = question(PATH)
HIDDEN = b"GET /a/hidden HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
REFUSED = {
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 50\r\n\r\nhello" + HIDDEN,
    "a length and chunks": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunks and a length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + HIDDEN,
    "two codings": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a coding that is unknown": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "codings in a list": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a coding with a tab": HEAD + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a blank before the colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a folded field": HEAD + b"x-a: 1\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a bare line feed": HEAD.replace(b"\r\n", b"\n") + b"\n",
    "a bare return": HEAD + b"x-a: 1\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a NUL": HEAD + b"x-a: \x00\r\n\r\n",
    "a length with a sign": HEAD + b"Content-Length: +5\r\n\r\nhello" + HIDDEN,
    "a length in hexadecimal": HEAD + b"Content-Length: 0x5\r\n\r\nhello" + HIDDEN,
    "a length beyond all bounds": HEAD + b"Content-Length: 99999999999999999999\r\n\r\n" + HIDDEN,
    "a chunk size that is none": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n" + HIDDEN,
    "a chunk size beyond all bounds": HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n" + HIDDEN,
    "a chunk that is longer than it says": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n" + HIDDEN,
    "a chunk's line with a bare line feed": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n" + HIDDEN,
    "no host": f"POST {PATH} HTTP/1.1\r\nx-api-key: p\r\n\r\n".encode(),
    "two hosts": HEAD + b"Host: b\r\n\r\n",
    "another host": f"POST {PATH} HTTP/1.1\r\nHost: evil.example\r\n\r\n".encode(),
    "a page's origin": HEAD + b"Origin: http://evil.example\r\n\r\n",
    "an address of its own": f"GET http://127.0.0.1{PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(),
    "HTTP/0.9": f"GET {PATH}\r\n\r\n".encode(),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "an upgrade": HEAD + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "too long a head": HEAD + b"x-a: " + b"a" * 20000 + b"\r\n\r\n",
    "too many fields": HEAD + b"".join(b"x-%d: a\r\n" % number for number in range(200)) + b"\r\n",
    "credentials without end": HEAD + b"x-api-key: p\r\n" * 40 + b"\r\n",
    "too large a body": HEAD + b"Content-Length: 33554433\r\n\r\n",
}


@test("what two readers could read differently is refused, and nothing of it reaches a provider")
def smuggling(place):
    relay = given(place)
    try:
        for name, words in REFUSED.items():
            before = relay.upstream.counters()["requests"]
            got = relay.say(words)
            expect(got.startswith(b"HTTP/1.1 4") or got == b"", name, got[:200])
            expect(len(re.findall(rb"HTTP/1\.1 \d\d\d ", got)) <= 1, name, "one answer, and no more", got[:600])
            expect_equal(relay.upstream.counters()["requests"], before, name)
        relay.expect_unharmed()
    finally:
        relay.close()


@test("requests one behind the other are answered in their order, each with its own answer")
def pipelined(place):
    relay = given(place)
    try:
        words = b""
        for number in range(20):
            body = question(PATH, model=f"model-{number}")
            words += HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
        got = relay.say(words, 2)
        places = [got.find(f'"model":"model-{number}"'.encode()) for number in range(20)]
        expect(all(place_ >= 0 for place_ in places) and places == sorted(places), places)
    finally:
        relay.close()


@test("a provider that means harm is another failure: its caller is answered by the next profile")
def hostile_upstream(place):
    relay = given(place)
    try:
        for manner in HOSTILE:
            relay.upstream.manner("sk-ok-0", manner)
            for stream in (False, True):
                before = relay.upstream.uses().get("sk-ok2-1", 0)
                status, _, body = ask(relay.port, "p", PATH, stream, body=question(PATH, stream, model=f"{manner}-{stream}"))
                if manner in WELL:
                    continue
                if manner == "badchunk" and stream:
                    expect(b"event: error" in body, manner, body[-200:])
                    continue
                expect_equal(status, 200, f"{manner} {stream} {body[:200]}")
                expect(relay.upstream.uses()["sk-ok2-1"] > before, manner, "the second one took over")
            relay.expect_bounded()
        relay.upstream.manner("sk-ok-0", "ok")
        relay.expect_unharmed()
    finally:
        relay.close()


@test("answers without end are passed on in bounded memory, and end with their caller")
def endless(place):
    relay = given(place)
    try:
        for manner in ("endlessbody", "endlessevent"):
            relay.upstream.manner("sk-ok-0", manner)
            link = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=10)
            link.request("POST", PATH, question(PATH, True, model=manner), headers_for(PATH, "p"))
            answer = link.getresponse()
            until = time.monotonic() + (20 if LONG else 2)
            while time.monotonic() < until and answer.read(1 << 20):
                pass
            time_began = time.monotonic()
            relay.expect_bounded()
            # Its caller reads no more: neither does the relay.
            wait_for(lambda began=time_began: time.monotonic() - began > 0.5, "some time")
            relay.expect_bounded()
            link.close()
        relay.upstream.manner("sk-ok-0", "ok")
        relay.expect_unharmed()
    finally:
        relay.close()


@test("10,000 connections that say nothing: others are answered as fast as before")
def idle(place):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(IDLE, hard - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    relay = given(place)
    links = []
    try:
        before = sorted(relay.answer_s() for _ in range(20))[10]
        for number in range(count):
            link = socket.socket()
            link.connect(("127.0.0.1", relay.port))
            links.append(link)
            if number % 3 == 0:
                link.sendall(HEAD[:number % len(HEAD)])
        during = sorted(relay.answer_s() for _ in range(20))[10]
        expect(during < 20 * before + 0.05, during, before)
        relay.expect_bounded()
        relay.expect_unharmed()
        return [f"{count} connections: answered in {during * 1000:.2f} ms, {before * 1000:.2f} ms without them; "
                f"{relay.resident_mib()} MiB"]
    finally:
        for link in links:
            link.close()
        relay.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@test("heads and bodies that trickle are cut off, and others are answered meanwhile")
def trickle(place):
    relay = given(place)
    try:
        done = {}

        def slow(name, words, every_s):
            with socket.create_connection(("127.0.0.1", relay.port), 60) as link:
                began = time.monotonic()
                try:
                    for byte in words:
                        link.sendall(bytes([byte]))
                        watch = select.poll()
                        watch.register(link, select.POLLIN)
                        if watch.poll(every_s * 1000):
                            break
                except OSError:
                    pass
                done[name] = time.monotonic() - began

        body = HEAD + b"Content-Length: 1000\r\n\r\n"
        threads = [threading.Thread(target=slow, args=("head", HEAD + b"x: " + b"a" * 1000, 0.2), daemon=True),
                   threading.Thread(target=slow, args=("body", body, 0.0001), daemon=True)]
        for thread in threads:
            thread.start()
        for _ in range(50):
            expect(relay.answer_s() < 0.5, "others")
        threads[0].join(30)
        expect(9 < done.get("head", 0) < 15, "a head has ten seconds", done)
        relay.expect_unharmed()
    finally:
        relay.close()


@test("many large bodies at once are bounded, and refused beyond it")
def large_bodies(place):
    relay = given(place)
    relay.upstream.manner("sk-ok-0", "silent")
    links = []
    try:
        size = 32 * 1024 * 1024 - 1000
        part = b"x" * (1 << 20)
        for _ in range(4 if not LONG else 12):
            link = socket.create_connection(("127.0.0.1", relay.port), 10)
            link.sendall(HEAD + f"Content-Length: {size}\r\n\r\n".encode())
            link.setblocking(False)
            links.append([link, 0])
        until = time.monotonic() + 4
        while time.monotonic() < until and any(sent < size for _, sent in links):
            for entry in links:
                try:
                    entry[1] += entry[0].send(part[:size - entry[1]])
                except OSError:
                    pass
        if "sanitized" not in os.environ.get("BUILD_DIRECTORY", ""):
            expect(relay.resident_mib() < 300, relay.resident_mib())
    finally:
        for link, _ in links:
            link.close()
        relay.close()


if __name__ == "__main__":
    sys.exit(main())
