#!/usr/bin/env python3
"""The mock of the model providers (tests/support/mock_upstream.c): what tests of the relay rest upon.

usage: mock_upstream_test.py MOCK_UPSTREAM
"""
import gzip
import http.client
import json
import os
import pathlib
import socket
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from mock_upstream import ANTHROPIC, OPENAI, Authority, MockUpstream, ask, events, headers_for, question  # noqa: E402

PROGRAM = os.path.abspath(sys.argv[1])
APIS = (ANTHROPIC, OPENAI)
PATIENCE_S = 10

tests = []


def test(function):
    tests.append(function)
    return function


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(part) for part in what))


def mock(**options):
    return MockUpstream(program=PROGRAM, **options)


def fails(port, key, stream, path=ANTHROPIC):
    """What was received before an answer broke off; None: it did not."""
    try:
        ask(port, key, path, stream, timeout=0.5)
    except http.client.IncompleteRead as broken:
        return broken.partial
    except (OSError, http.client.HTTPException, ValueError) as broken:
        return repr(broken).encode()
    return None


@test
def answers_on_both_apis_whole_and_as_a_stream():
    with mock() as upstream:
        for path in APIS:
            status, headers, body = ask(upstream.port, "sk-ok-1", path)
            answer = json.loads(body)
            check(status == 200 and headers["content-type"] == "application/json", status, headers)
            check("sk-ok-1" in json.dumps(answer) and answer["usage"], answer)
            status, headers, body = ask(upstream.port, "sk-ok-1", path, stream=True)
            seen = events(body)
            check(headers["content-type"].startswith("text/event-stream"), headers)
            last = seen[-1] if path == OPENAI else seen[-1]["type"]
            check(last == ("[DONE]" if path == OPENAI else "message_stop"), seen)


@test
def errors_have_their_documented_status_and_type():
    expected = {"429": (429, "rate_limit_error"), "529": (529, "overloaded_error"), "500": (500, "api_error"),
                "503": (503, "api_error"), "401": (401, "authentication_error"), "402billing": (402, "billing_error"),
                "spend": (429, "enforced_spend_limit_reached"), "usagelimit": (400, "specified API usage limits"),
                "toolong": (400, "prompt is too long"), "prefill": (400, "assistant message prefill")}
    with mock() as upstream:
        for word, (wanted, text) in expected.items():
            status, _, body = ask(upstream.port, f"sk-ant-{word}-a")
            check(status == wanted and text in body.decode() and json.loads(body)["type"] == "error", word, status, body)
        for word, (wanted, code) in {"429": (429, "rate_limit_exceeded"), "quota": (429, "insufficient_quota"),
                                     "toolong": (400, "context_length_exceeded"), "filter": (400, "content_filter"),
                                     "401": (401, "invalid_api_key")}.items():
            status, _, body = ask(upstream.port, f"sk-{word}", OPENAI)
            check(status == wanted and json.loads(body)["error"]["code"] == code, word, status, body)
        check(ask(upstream.port, "sk-429ra2-x")[1]["retry-after"] == "2", "no retry-after")
        check(ask(upstream.port, "nobody")[0] == 401, "a key without a manner was let in")


@test
def once_and_flapping_count_by_key_and_manners_can_be_changed():
    with mock() as upstream:
        def seen(key, count):
            return [ask(upstream.port, key)[0] for _ in range(count)]
        check(seen("sk-429once-a", 3) == [429, 200, 200] and seen("sk-429once-b", 2) == [429, 200], "once")
        check(seen("sk-flap-a", 4) == [500, 200, 500, 200] and seen("sk-flap429", 2) == [429, 200], "flap")
        upstream.manner("sk-ok-x", "529")
        check(seen("sk-ok-x", 2) == [529, 529], "not changed")
        upstream.manner("sk-ok-x", "-")
        check(seen("sk-ok-x", 1) == [200], "not changed back")


@test
def breaks_off_where_it_is_told_to():
    with mock() as upstream:
        for path in APIS:
            for stream in (False, True):
                check(b"Reset" in fails(upstream.port, "sk-reset", stream, path), "no reset")
                check(b"RemoteDisconnected" in fails(upstream.port, "sk-closed", stream, path), "no end")
                check(b"imeout" in fails(upstream.port, "sk-silent", stream, path), "no silence")
                for word in ("cut", "precut", "badchunk"):
                    check(fails(upstream.port, f"sk-{word}", stream, path) is not None, word, stream, path)
                for word in ("stall", "presilence"):
                    check(b"imeout" in fails(upstream.port, f"sk-{word}", stream, path), word, stream, path)
            body = ask(upstream.port, "sk-noend", path, stream=True)[2]
            check(b"Half an" in body and b"message_stop" not in body and b"DONE" not in body, body)
            body = ask(upstream.port, "sk-preerror", path, stream=True)[2]
            check("error" in events(body)[-1] and b"Answer" not in body, body)
            body = ask(upstream.port, "sk-miderror", path, stream=True)[2]
            check("error" in events(body)[-1] and b"Half an" in body, body)


@test
def tells_other_ends_and_other_usage():
    with mock() as upstream:
        check(json.loads(ask(upstream.port, "sk-filtered")[2])["stop_reason"] == "refusal", "no refusal")
        last = events(ask(upstream.port, "sk-filtered", OPENAI, stream=True)[2])[-3]
        check(last["choices"][0]["finish_reason"] == "content_filter", last)
        check(json.loads(ask(upstream.port, "sk-usage7")[2])["usage"]["input_tokens"] == 1007, "usage")
        seen = events(ask(upstream.port, "sk-usage7", stream=True)[2])
        check(seen[0]["message"]["usage"]["input_tokens"] == 1007 and seen[-2]["usage"]["output_tokens"] == 107, seen)
        for stream in (False, True):
            _, headers, body = ask(upstream.port, "sk-gzip", stream=stream)
            check(headers["content-encoding"] == "gzip" and b"sk-gzip" in gzip.decompress(body), headers)
        check(b"rate_limit_error" in gzip.decompress(ask(upstream.port, "sk-gzip429")[2]), "gzip429")


@test
def waits_as_long_as_it_is_told():
    with mock() as upstream:
        began = time.monotonic()
        status, _, _ = ask(upstream.port, "sk-late300-a", stream=True)
        check(status == 200 and 0.29 < time.monotonic() - began < 3, time.monotonic() - began)
        began = time.monotonic()
        check(b"answer" in ask(upstream.port, "sk-gap-300", stream=True)[2], "no end after the gap")
        check(0.29 < time.monotonic() - began < 3, time.monotonic() - began)


@test
def ticks_carry_the_time():
    with mock() as upstream, socket.create_connection(("127.0.0.1", upstream.port)) as caller:
        body = question(stream=True)
        caller.sendall(f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: sk-tick-5\r\ncontent-length: {len(body)}\r\n\r\n"
                       .encode() + body)
        text = b""
        while text.count(b"t=") < 5:
            text += caller.recv(65536)
        age_ns = time.monotonic_ns() - int(text.rpartition(b"t=")[2][:19])
        check(0 <= age_ns < 2_000_000_000, age_ns)


@test
def pings_are_no_content():
    with mock() as upstream:
        for path in APIS:
            link = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=PATIENCE_S)
            link.request("POST", path, question(path, True), headers_for(path, "sk-pings-10"))
            text = link.getresponse().read(200)
            check(text.count(b"ping" if path == ANTHROPIC else b": keep-alive") > 2 and b"text" not in text, text)
            link.close()


@test
def requests_are_remembered_with_their_bodies_and_fate():
    with mock() as upstream:
        body = question(stream=False, system='"\xe9\n')
        ask(upstream.port, "sk-ok-1", body=body)
        large = b"x" * 300_000
        ask(upstream.port, "sk-ok-2", body=large)
        first, second = upstream.requests()
        check(first["body"] == body and first["body_length"] == len(body), first)
        check(second["body"] is None and second["body_length"] == 300_000, second)
        check(["x-api-key", "sk-ok-1"] in first["headers"] and first["path"] == "/v1/messages", first)
        link = http.client.HTTPConnection("127.0.0.1", upstream.port)
        link.request("POST", OPENAI, question(OPENAI, True), headers_for(OPENAI, "sk-silent-z"))
        until = time.monotonic() + PATIENCE_S
        while not upstream.requests("sk-silent-z"):
            check(time.monotonic() < until, "the request did not come")
        link.close()
        while not upstream.requests("sk-silent-z")[0]["gone"]:
            check(time.monotonic() < until, "nobody noticed that the client left")
        check(upstream.counters()["open"] == 1, upstream.counters())
        upstream.forget()
        check(not upstream.requests(), "not forgotten")


@test
def bodies_in_chunks_are_read():
    with mock() as upstream:
        link = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=PATIENCE_S)
        for parts in ([b"a" * 10, b"b" * 70000], [b"1", b"2"]):
            link.request("POST", ANTHROPIC, iter(parts), headers_for(ANTHROPIC, "sk-ok"), encode_chunked=True)
            check(link.getresponse().read(), "no answer")
        first, second = upstream.requests()
        check(first["body_length"] == 70010 and second["body"] == b"12" and first["connection"] == second["connection"],
              first["body_length"], second)


@test
def hostile_answers_are_what_they_say():
    with mock() as upstream:
        for key in ("badstatus", "nothttp", "headbomb", "endlesshead", "endlessline"):
            seen = fails(upstream.port, f"sk-{key}", False)
            check(seen is not None, key, "was read")
        check(ask(upstream.port, "sk-info")[0] == 103, "no answer before the answer")
        check(ask(upstream.port, "sk-early", body=b"x" * 100_000)[0] == 413, "early")
        link = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=PATIENCE_S)
        link.request("POST", ANTHROPIC, question(stream=True), headers_for(ANTHROPIC, "sk-endlessbody"))
        check(len(link.getresponse().read(1 << 20)) == 1 << 20, "it ended")
        link.close()


@test
def tls_sessions_are_resumed():
    with tempfile.TemporaryDirectory() as directory:
        with mock(authority=Authority(directory)) as upstream:
            first, second = upstream.counters(), upstream.counters()
            check(first["handshakes"] == 1 and second["handshakes"] == 2, first, second)


def main():
    failed = 0
    for number, function in enumerate(tests, 1):
        try:
            function()
            word = "ok"
        except Exception:  # whatever it is, it is a result
            word = "not ok"
            print("# " + traceback.format_exc().replace("\n", "\n# "))
        failed += word != "ok"
        print(f"{word} {number} - {function.__name__.replace('_', ' ')}", flush=True)
    print(f"1..{len(tests)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
