#!/usr/bin/env python3
"""The relay between callers and providers that fail in every way: who answers, what the caller gets, what is said of it.

Usage: relay_test.py [WORD...]: only the tests whose names contain one of the words.
BUILD_DIRECTORY says which build is tried (default: build). Prints TAP.
"""

import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
import mock_upstream
from mock_upstream import MockUpstream, ask, events, headers_for, question
from system import Skip, expect, expect_equal, free_port, is_alive, kill, main, read_process, test, wait_for

FIRST_S, LAST_RESORT_S, GAP_S = 1, 4, 1
RETURN_S = 30  # a preferred profile is used again so soon after it is well
APIS = {"anthropic": ("anthropic-messages", "", "/v1/messages"), "openai": ("openai-completions", "/v1", "/chat/completions")}


class Relay:
    """One Holdfast; a provider for each interface, and for streams and whole answers each: what one of them learns is no
    matter for the others. The first profile's key says how it fails."""

    def __init__(self, place, *profiles, **settings):
        self.place, self.port = place, free_port()
        self.upstream = MockUpstream()
        self.keys, providers, environment = {}, {}, {}
        for name, (api, base, _) in APIS.items():
            for stream in (False, True):
                way = f"{name}-{'stream' if stream else 'whole'}"
                self.keys[name, stream] = [f"sk-{manner}-{way}-{number}" for number, manner in enumerate(profiles)]
                listed = []
                for number, key in enumerate(self.keys[name, stream]):
                    variable = f"KEY_{len(environment)}"
                    environment[variable] = key
                    listed.append({"id": f"p{number}", "key": f"env:{variable}"})
                providers[way] = {"api": api, "baseUrl": self.upstream.url + base, "profiles": listed}
        place.settings({"api": {"port": place.api_port},
                        "relay": {"port": self.port, "firstContentTimeout": f"{FIRST_S}s",
                                  "lastResortTimeout": f"{LAST_RESORT_S}s", "gapTimeout": f"{GAP_S}s",
                                  "providers": providers, **settings}})
        place.run_ready(environment=environment)
        wait_for(self.answers, "the relay")

    def answers(self):
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def get(self, path):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            link.request("GET", path)
            answer = link.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()

    def path(self, name, stream):
        return f"/{name}-{'stream' if stream else 'whole'}{APIS[name][2]}"

    def ask(self, name, stream, **options):
        return ask(self.port, "placeholder", self.path(name, stream), stream, **options)

    def asked(self, name, stream, profile):
        """How often the profile was tried."""
        return self.upstream.uses().get(self.keys[name, stream][profile], 0)

    def profile(self, name, stream, number):
        way = f"{name}-{'stream' if stream else 'whole'}"
        for provider in json.loads(self.get("/profiles")[1])["providers"]:
            if provider["name"] == way:
                return provider["profiles"][number]
        raise AssertionError(f"no provider {way}")

    def close(self):
        self.upstream.close()


def each_way():
    return [(name, stream) for name in APIS for stream in (False, True)]


def text_of(name, stream, body):
    """What the model said."""
    if not stream:
        said = json.loads(body)
        return said["content"][0]["text"] if name == "anthropic" else said["choices"][0]["message"]["content"]
    words = []
    for event in events(body):
        if event == "[DONE]" or not isinstance(event, dict):
            continue
        if name == "anthropic":
            words.append(event.get("delta", {}).get("text", ""))
        else:
            words += [choice["delta"].get("content") or "" for choice in event.get("choices", [])]
    return "".join(words)


def expect_answer_of(relay, name, stream, profile, answer):
    status, _, body = answer
    expect_equal(status, 200, body[:300])
    key = relay.keys[name, stream][profile]
    expect(f"Answer of {key}" in text_of(name, stream, body), name, stream, "wanted the answer of", key, body[:400])
    if stream:
        last = events(body)[-1]
        expect(last == "[DONE]" if name == "openai" else last["type"] == "message_stop", "its own end", last)


def expect_broken_off(relay, name, answer):
    """The answer of the first profile was cut: it ends with its interface's own error event, and in no other way."""
    status, _, body = answer
    expect_equal(status, 200)
    seen = events(body)
    expect("error" in seen[-1], "the last event is an error", seen[-1])
    expect("[DONE]" not in seen and not any(isinstance(event, dict) and event.get("type") == "message_stop"
                                            for event in seen), "no clean end", seen)
    if name == "anthropic":
        expect_equal(seen[-1]["type"], "error")
        expect(b"event: error\ndata: " in body, body[-300:])
    expect_equal(text_of(name, True, body), "Half an", "what came before it came through")


def the_second_takes_over(manner, takes_at_least_s=0.0, streams=(False, True), cause=None):
    """Before any content: the caller notices nothing."""
    def run(place):
        relay = Relay(place, manner, "ok")
        try:
            for name, stream in each_way():
                if stream not in streams:
                    continue
                began = time.monotonic()
                answer = relay.ask(name, stream)
                took = time.monotonic() - began
                expect_answer_of(relay, name, stream, 1, answer)
                expect(takes_at_least_s - 0.05 <= took < takes_at_least_s + 1, name, stream, "took", took)
                # On a connection that was kept it may just have been closed: it is tried anew.
                tried = relay.asked(name, stream, 0)
                expect(tried == 1 or (tried == 2 and cause == "reset"), "the first was tried", tried)
                # While it cools down it is not asked.
                expect_answer_of(relay, name, stream, 1, relay.ask(name, stream))
                expect_equal(relay.asked(name, stream, 0), tried, "the first is left alone")
                if cause:
                    expect_equal(relay.profile(name, stream, 0)["cause"], cause)
            event = place.wait_event("relay.failover")
            expect("p0" in event["reason"] and "p1" in event["reason"], event)
            place.wait_event("profile.cooling")
        finally:
            relay.close()
    return run


for what, manner, takes_s, reason in (
        ("limited (429)", "429", 0, "rate_limited"), ("overloaded (529)", "529", 0, "overloaded"),
        ("a server error (500)", "500", 0, "server_error"), ("unavailable (503)", "503", 0, "overloaded"),
        ("reset", "reset", 0, "reset"), ("closed without an answer", "closed", 0, "reset"),
        ("silent", "silent", FIRST_S, "silent"), ("silent behind its head", "presilence", FIRST_S, "silent"),
        ("an error event within a 200", "preerror", 0, "overloaded"), ("a limit within a 200", "prerate", 0, "rate_limited"),
        ("cut before its first content", "precut", 0, "reset"), ("a compressed 429", "gzip429", 0, "rate_limited")):
    test(f"before content another profile takes over: {what}")(the_second_takes_over(manner, takes_s, cause=reason))

for what, manner, takes_s in (("cut", "cut", 0), ("stalled", "stall", GAP_S), ("a malformed chunk", "badchunk", 0),
                              ("without its end", "noend", 0)):
    test(f"an answer that is no stream is whole or another's: {what}")(
        the_second_takes_over(manner, takes_s, streams=(False,)))

for what, manner, takes_s in (("cut", "cut", 0), ("stalled", "stall", GAP_S), ("a malformed chunk", "badchunk", 0),
                              ("without its end marker", "noend", 0)):
    def _broken_off(place, manner=manner, takes_s=takes_s):
        relay = Relay(place, manner, "ok")
        try:
            for name in APIS:
                began = time.monotonic()
                answer = relay.ask(name, True)
                took = time.monotonic() - began
                expect_broken_off(relay, name, answer)
                expect(takes_s - 0.05 <= took < takes_s + 1, name, "took", took)
                expect_equal(relay.asked(name, True, 1), 0, "no other profile was asked")
        finally:
            relay.close()
    test(f"after content a stream ends with an error event: {what}")(_broken_off)

for what, manner, status in (("context too long", "toolong", 400), ("a content filter", "filter", 400),
                             ("a refused prefill", "prefill", 400), ("a bad request", "400", 400)):
    def _passed_on(place, manner=manner, status=status):
        relay = Relay(place, manner, "ok")
        try:
            for name, stream in each_way():
                api = APIS[name]
                seen = relay.ask(name, stream)
                direct = ask(relay.upstream.port, relay.keys[name, stream][0], api[1] + api[2], stream)
                expect_equal(seen[0], status)
                expect_equal(seen[2], direct[2], "byte for byte")
                expect_equal(relay.asked(name, stream, 1), 0, "no other profile was asked")
                expect_equal(relay.profile(name, stream, 0)["state"], "ready")
        finally:
            relay.close()
    test(f"the caller's own fault is passed on: {what}")(_passed_on)


@test("a filter that ends an answer is passed on")
def a_filter_at_the_end(place):
    relay = Relay(place, "filtered", "ok")
    try:
        for name, stream in each_way():
            expect_answer_of(relay, name, stream, 0, relay.ask(name, stream))
            expect_equal(relay.asked(name, stream, 1), 0)
    finally:
        relay.close()


@test("limited once, with Retry-After: left alone for that long, then used again")
def limited_once(place):
    relay = Relay(place, "429raonce2", "ok")
    try:
        for name, stream in each_way():
            expect_answer_of(relay, name, stream, 1, relay.ask(name, stream))
        began = time.monotonic()
        for name, stream in each_way():
            wait_for(lambda: relay.keys[name, stream][0] in text_of(name, stream, relay.ask(name, stream)[2]),
                     "the first answers again", RETURN_S)
            expect(1.5 < time.monotonic() - began < 10, name, stream, time.monotonic() - began)
        place.wait_event("profile.recovered")
    finally:
        relay.close()


@test("a server error once: the preferred profile is back within 30 s of its being well")
def an_error_once(place):
    relay = Relay(place, "500once", "ok")
    try:
        for name, stream in each_way():
            expect_answer_of(relay, name, stream, 1, relay.ask(name, stream))
        for name, stream in each_way():
            wait_for(lambda: relay.keys[name, stream][0] in text_of(name, stream, relay.ask(name, stream)[2]),
                     "the first answers again", RETURN_S)
    finally:
        relay.close()


@test("limited for good, all of them: 429 at once, with the soonest time")
def all_limited(place):
    relay = Relay(place, "429ra40", "429ra20")
    try:
        for name, stream in each_way():
            relay.ask(name, stream)
            before = relay.upstream.counters()["requests"]
            began = time.monotonic()
            status, head, body = relay.ask(name, stream)
            expect_equal(status, 429)
            expect(time.monotonic() - began < 0.5, "at once")
            expect(15 <= int(head["retry-after"]) <= 20, head)
            error = json.loads(body)["error"]
            expect_equal(error["type"], "rate_limit_error" if name == "anthropic" else "requests")
            expect("cooling down" in error["message"], error)
            expect_equal(relay.upstream.counters()["requests"], before, "nobody was asked")
    finally:
        relay.close()


@test("a first token that is late is waited for")
def late(place):
    for manner in ("late500", "slow500"):
        relay = Relay(place, manner, "ok")
        try:
            for name, stream in each_way():
                answer = relay.ask(name, stream)
                expect_equal(answer[0], 200)
                expect_equal(relay.asked(name, stream, 1), 0, "nobody else was asked")
        finally:
            relay.close()
        place.end()


@test("pings are no words: who only pings is silent")
def pings(place):
    relay = Relay(place, "pings50", "ok")
    try:
        for name in APIS:
            began = time.monotonic()
            expect_answer_of(relay, name, True, 1, relay.ask(name, True))
            expect(FIRST_S - 0.1 < time.monotonic() - began < FIRST_S + 1, time.monotonic() - began)
    finally:
        relay.close()


@test("one silence a call is waited out with the short clock; the last one has the long one")
def one_silence(place):
    relay = Relay(place, "silent", "silent", "ok")
    try:
        for name in APIS:
            began = time.monotonic()
            answer = relay.ask(name, True, timeout=20)
            took = time.monotonic() - began
            expect_answer_of(relay, name, True, 2, answer)
            expect(FIRST_S + LAST_RESORT_S - 0.1 < took < FIRST_S + LAST_RESORT_S + 1, took)
    finally:
        relay.close()


@test("a primary that flaps: every call is answered")
def flapping(place):
    relay = Relay(place, "flap500", "ok")
    try:
        until = time.monotonic() + 7
        served = {0: 0, 1: 0}
        while time.monotonic() < until:
            for name, stream in each_way():
                status, _, body = relay.ask(name, stream)
                expect_equal(status, 200, body[:200])
                text = text_of(name, stream, body)
                served[0 if relay.keys[name, stream][0] in text else 1] += 1
        expect(served[0] > 0 and served[1] > 0, "both had their turn", served)
    finally:
        relay.close()


@test("usage is that of the profile which answered")
def usage(place):
    relay = Relay(place, "500", "usage7")
    try:
        for name, stream in each_way():
            expect_equal(relay.ask(name, stream)[0], 200)
            expect_equal(relay.profile(name, stream, 0)["tokens"]["input"], 0)
            tokens = relay.profile(name, stream, 1)["tokens"]
            expect_equal((tokens["input"], tokens["output"]), (1007, 107))
        metrics = relay.get("/metrics")[1].decode()
        for way in ("anthropic-stream", "openai-whole"):
            expect(f'holdfast_relay_tokens_total{{provider="{way}",profile="p1",kind="input"}} 1007' in metrics, metrics)
            expect(f'holdfast_relay_attempts_total{{provider="{way}",profile="p0",outcome="server_error"}} 1' in metrics,
                   metrics)
    finally:
        relay.close()


@test("who is out of credit or has a bad key is left out for long, and people are told")
def long_ones(place):
    for manner, cause in (("401", "auth"), ("402billing", None), ("spend", "quota"), ("usagelimit", "billing"),
                          ("quota", None)):
        relay = Relay(place, manner, "ok")
        try:
            for name, stream in each_way():
                expect_answer_of(relay, name, stream, 1, relay.ask(name, stream))
                profile = relay.profile(name, stream, 0)
                expect(profile["state"] == "cooling" and (cause is None or profile["cause"] == cause), manner, profile)
            place.wait_event("profile.disabled")
        finally:
            relay.close()
        place.end()


@test("what reaches the provider is what was sent, but for the host and the credential")
def the_same_on_the_wire(place):
    relay = Relay(place, "ok", "ok")
    try:
        for name in APIS:
            body = question(relay.path(name, True), True, text="ä" * 20000)
            head = [("Host", None), ("User-Agent", "Anthropic/JS 0.125.0"), ("Accept", "application/json"),
                    ("X-Stainless-Lang", "js"), ("anthropic-version", "2023-06-01"), ("x-custom", "a, b;c"),
                    ("x-api-key" if name == "anthropic" else "authorization",
                     "placeholder" if name == "anthropic" else "Bearer placeholder"),
                    ("accept-encoding", "gzip, deflate"), ("content-type", "application/json"),
                    ("content-length", str(len(body))), ("connection", "keep-alive")]
            link = socket.create_connection(("127.0.0.1", relay.port), 10)
            lines = [f"POST {relay.path(name, True)}?beta=true HTTP/1.1"]
            lines += [f"{key}: {value if value is not None else f'127.0.0.1:{relay.port}'}" for key, value in head]
            link.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            answer = http.client.HTTPResponse(link)
            answer.begin()
            answer.read()
            link.close()
            key = relay.keys[name, True][0]
            seen = relay.upstream.requests(key)[-1]
            expect_equal(seen["path"], APIS[name][1] + APIS[name][2] + "?beta=true")
            wanted = [[field, key if field == "x-api-key" else f"Bearer {key}" if field == "authorization" else
                       f"127.0.0.1:{relay.upstream.port}" if field == "Host" else value] for field, value in head]
            expect_equal(seen["headers"], wanted)
            expect_equal(seen["body_length"], len(body))
    finally:
        relay.close()


@test("a body of 32 MB is given to the next profile as it was")
def a_large_body(place):
    relay = Relay(place, "500", "ok")
    try:
        body = question(relay.path("anthropic", False), False)
        body = body[:-1] + b', "padding": "' + b"x" * (32 * 1024 * 1024 - len(body) - 20) + b'"}'
        expect_answer_of(relay, "anthropic", False, 1, relay.ask("anthropic", False, body=body, timeout=30))
        one, other = (relay.upstream.requests(key)[-1] for key in relay.keys["anthropic", False])
        expect_equal((one["body_length"], one["body_hash"]), (other["body_length"], other["body_hash"]))
        expect_equal(other["body_length"], len(body))
    finally:
        relay.close()


@test("a client that goes takes its upstream with it, at once")
def gone(place):
    relay = Relay(place, "tick100", "ok")
    try:
        for name in APIS:
            path = relay.path(name, True)
            link = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=10)
            link.request("POST", path, question(path, True), headers_for(path, "placeholder"))
            link.getresponse().read(10)
            before = relay.upstream.counters()["gone"]
            link.close()
            wait_for(lambda: relay.upstream.counters()["gone"] > before, "the provider sees it go", 2)
    finally:
        relay.close()


@test("a connection that its provider closes while it is kept is no failure")
def closed_while_kept(place):
    relay = Relay(place, "goes", "ok")
    try:
        for name, stream in each_way():
            for _ in range(5):
                expect_answer_of(relay, name, stream, 0, relay.ask(name, stream))
            expect_equal(relay.profile(name, stream, 0)["attempts"], {"answered": 5})
    finally:
        relay.close()


@test("callers on one connection and on many get their own answers only")
def no_mixing(place):
    relay = Relay(place, "flap500", "ok")
    try:
        link = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=10)
        for number in range(40):
            name, stream = each_way()[number % 4]
            path = relay.path(name, stream)
            model = f"model-{number}"
            link.request("POST", path, question(path, stream, model=model), headers_for(path, "placeholder"))
            answer = link.getresponse()
            body = answer.read()
            expect_equal(answer.status, 200, body[:200])
            expect(model.encode() in body, model, body[:300])
            expect(not any(f"model-{other}\"".encode() in body for other in range(40) if other != number), body[:300])
        link.close()
    finally:
        relay.close()


@test("a compressed answer passes as it came, and is read all the same")
def compressed(place):
    relay = Relay(place, "gzip", "ok")
    try:
        for name, stream in each_way():
            api = APIS[name]
            seen = relay.ask(name, stream)
            direct = ask(relay.upstream.port, relay.keys[name, stream][0], api[1] + api[2], stream)
            expect_equal(seen[2], direct[2], "byte for byte")
            expect(relay.profile(name, stream, 0)["tokens"]["output"] > 0, "its tokens are counted")
    finally:
        relay.close()


def stream_in_pieces(relay, name, path=None):
    """A stream under way: its connection and its answer, of which the first piece was read."""
    path = path or relay.path(name, True)
    link = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=20)
    link.request("POST", path, question(path, True), headers_for(path, "placeholder"))
    answer = link.getresponse()
    return link, answer, answer.read1(1 << 16)


@test("settings that are read anew drop no stream, and count for the next call")
def reloaded(place):
    relay = Relay(place, "drip200", "ok")
    try:
        link, answer, first = stream_in_pieces(relay, "anthropic")
        before = next(worker["pid"] for worker in place.status()["workers"] if worker["name"] == "relay")
        settings = json.loads(place.settings_file.read_text())
        settings["relay"]["providers"]["another"] = {"api": "anthropic-messages", "baseUrl": relay.upstream.url, "profiles": [
            {"id": "only", "key": "exec:/bin/echo sk-ok-another"}]}
        place.settings(settings)
        place.done("reload")
        # Until the new one accepts, the one before answers, and knows nothing of it.
        wait_for(lambda: b"sk-ok-another" in ask(relay.port, "placeholder", "/another/v1/messages")[2], "the new provider")
        body = first + answer.read()
        expect_equal(text_of("anthropic", True, body), "word " * 10)
        expect_equal(events(body)[-1]["type"], "message_stop")
        link.close()
        wait_for(lambda: not is_alive(before), "the end of the one before")
    finally:
        relay.close()


@test("a relay that is killed is there again for the next call, which waits for it")
def killed(place):
    relay = Relay(place, "ok", "ok")
    try:
        for _ in range(2):
            pid = next(worker["pid"] for worker in place.status()["workers"] if worker["name"] == "relay")
            kill(pid)
            expect_answer_of(relay, "openai", False, 0, relay.ask("openai", False))
    finally:
        relay.close()


@test("the processes of another user are not answered")
def another_user(place):
    if os.geteuid() != 0:
        raise Skip("another user's process needs root")
    relay = Relay(place, "ok", "ok")
    try:
        request = "GET /healthz HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n"
        words = f"exec 3<>/dev/tcp/127.0.0.1/{relay.port}; printf '{request}' >&3; head -c 100 <&3 | wc -c"
        said = subprocess.run(["/bin/bash", "-c", words], user=65534, cwd="/", capture_output=True, text=True, timeout=20)
        expect(said.stdout.strip() in ("0", ""), "closed before it could ask, or without an answer", said)
        expect(relay.answers(), "its own user's are")
        expect(b"holdfast_relay_refused_total 1" in relay.get("/metrics")[1], "it is counted")
    finally:
        relay.close()


@test("keys are given to the relay alone, and shown nowhere")
def keys_are_nowhere(place):
    relay = Relay(place, "ok", "429")
    try:
        for name, stream in each_way():
            relay.ask(name, stream)
        workers = {worker["name"]: worker["pid"] for worker in place.status()["workers"]}
        key = relay.keys["anthropic", False][0].encode()
        for who, pid in {"gateway": place.pid(), **workers}.items():
            expect(key not in read_process(pid, "environ"), who, "has a key in its environment")
        shown = b"".join([relay.get("/profiles")[1], relay.get("/metrics")[1], place.done("status", "--json").stdout.encode(),
                          place.done("check", "--json", "--config", str(place.settings_file), "--", "sleep", "1",
                                     environment={f"KEY_{number}": "x" for number in range(8)}).stdout.encode(),
                          place.log_file.read_bytes(), json.dumps(place.events()).encode()])
        for key in (key for keys in relay.keys.values() for key in keys):
            expect(key.encode() not in shown, "a key is shown")
    finally:
        relay.close()


if __name__ == "__main__":
    sys.exit(main())
