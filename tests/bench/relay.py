#!/usr/bin/env python3
"""What the relay to the language models costs, and how fast it fails over.

Given a mock of a model provider, and before it Holdfast's relay, nginx and HAProxy, each with one thread that works,
connections to the provider kept, and nothing else to do
When requests, streams and failures go through them in turns, round by round
Then the relay adds no more than nginx does: to the time of a request (one and 32 at once, bodies of 320 bytes and 300 kB) and
of an event (2,000 streams, 10,000 events a second); it carries at least 1.3 times as many requests with at most 0.8 times the
processor time; over TLS at most nginx's processor time; a stream costs at most 12 kB, the relay idle at most 10 MB; a second
profile answers as fast as nginx's next upstream does.

The short form prints each figure beside the same limit, and fails for one that is beyond it by more than a third: with so few
rounds a busy machine moves them by that. The full form counts each.

relay.py [--short] [--ordinary] [--json] [--only idle|requests|streams|tls|failover|silence]...
"""

import json
import statistics
import sys
import time

from support import proxies, supervisors, table

REQUESTS_FASTER, CPU_SHARE = 1.3, 0.8
STREAM_KB, IDLE_MB = 12, 10
FAILOVER_MORE_US = 50
CONNECTIONS = 32
BODIES = {"320 B": 320, "300 kB": 300_000}
ROUNDS, ROUND_S, WARM_S = 7, 0.6, 0.1
SHORT_ROUNDS, SHORT_ROUND_S = 3, 0.2
STREAMS, STREAM_ROUNDS, STREAM_ROUND_S = 2000, 5, 3.0
SHORT_STREAMS, SHORT_STREAM_ROUNDS, SHORT_STREAM_ROUND_S = 1000, 2, 0.8
FAILOVERS, SHORT_FAILOVERS, FAILOVER_ROUNDS = 50, 60, 5
SILENCES, SHORT_SILENCES = 5, 1
IDLE_S = 2
SHORT_SLACK = 0.35
PARTS = ("idle", "requests", "streams", "tls", "failover", "silence")


class Figures(table.Verdicts):
    """One line a figure: ours, the peer's, their ratio, the limit, and whether it is reached."""

    def __init__(self):
        super().__init__()
        self.all = []

    def tell(self, what, value, limit, reached, peer=None, unit="", at_least=False, others=None, over=None):
        slack = limit * SHORT_SLACK if table.is_short() else 0
        self.missed += not reached and (value is None or (value < limit - slack if at_least else value > limit + slack))
        ours = "not measured" if value is None else f"{value:.2f}{unit}"
        beside = "".join(f", {name} {other:.2f}{unit}"
                         for name, other in [*([("nginx", peer)] if peer is not None else []), *(others or {}).items()])
        ratio = f", ratio {value / peer:.2f}" if value is not None and peer else ""
        print(f"{'reached' if reached else 'MISSED':8}{what}: {ours}{beside}{ratio} "
              f"({'at least' if at_least else 'at most'} {limit:.2f}{unit}"
              f"{'' if over is None else f'; in the middle round {over:+.2f}{unit} from it'})", flush=True)
        self.all.append({"figure": what, "value": value, "nginx": peer, "others": others or {}, "limit": limit, "unit": unit,
                         "reached": reached})

    def compare(self, what, ours, nginx, factor=1.0, more=0.0, at_least=False, **how):
        """Values of rounds, one beside the other: the round in the middle decides, so what disturbs both disturbs neither.
        `ours` is None where there is no relay."""
        limit = factor * middle(nginx) + more
        if not ours:
            self.tell(what, None, limit, False, middle(nginx), at_least=at_least, **how)
            return
        over = middle([our - factor * peer - more for our, peer in zip(ours, nginx)])
        self.tell(what, middle(ours), limit, over >= 0 if at_least else over <= 0, middle(nginx), at_least=at_least, over=over,
                  **how)

    def within(self, what, value, limit, peer, **how):
        self.tell(what, value, limit, value is not None and value <= limit, peer, **how)


def middle(values):
    return statistics.median(values) if values else None


class Bench:
    def __init__(self, place, figures, short):
        self.place, self.figures, self.short = place, figures, short
        self.providers = proxies.Providers(place)
        self.direct = proxies.Direct(self.providers)
        self.nginx = proxies.Nginx(place, self.providers)
        self.peers = [self.nginx]
        if not short and not supervisors.missing_programs("haproxy"):
            self.peers.append(proxies.HAProxy(place, self.providers))
        self.relays = 0
        for peer in self.peers:
            self.await_way(peer, "plain")

    def await_way(self, proxy, way):
        """Waits until it answers for the provider, and returns whether it does."""
        def answer():
            if proxy.supervisor.process.poll() is not None:
                raise SystemExit(f"{proxy.name} ended: {proxy.supervisor.said()}")
            return proxies.answers(proxy.ways[way])
        status, words = supervisors.wait_for(answer, f"an answer through {proxy.name}")
        if status != 200:
            self.figures.note(f"{proxy.name}, {way}: {status} {words[:100]}")
        return status == 200

    def relay(self, *ways):
        """A relay of its own for these ways; None: it does not carry calls."""
        self.relays += 1
        relay = proxies.Relay(self.place, f"holdfast{self.relays}", self.providers, ways)
        return relay if self.await_way(relay, ways[0]) else None

    # -- requests

    def turns(self, subjects, rounds):
        """Every other round the other way round: nobody comes always after the same one."""
        for number in range(rounds):
            yield number, subjects if number % 2 else subjects[::-1]

    def rounds(self, subjects, way, *options):
        """{name: [result of each round]}, each with the processor time of a request in us."""
        rounds, seconds = (SHORT_ROUNDS, SHORT_ROUND_S) if self.short else (ROUNDS, ROUND_S)
        results = {subject.name: [] for subject in subjects}
        for number, turn in self.turns(subjects, rounds + 1):
            for subject in turn:
                before = subject.cpu_ns() if subject.pids else 0
                result = proxies.measured(proxies.load("requests", subject.ways[way], "--seconds",
                                                       seconds if number else WARM_S, *options))
                used = (subject.cpu_ns() if subject.pids else 0) - before
                result["cpu_us"] = used / 1000 / max(1, result["requests"])
                if number:  # the first round is for warmth
                    results[subject.name].append(result)
        return results

    def errors(self, results, what):
        for name, rounds in results.items():
            if errors := sum(result["errors"] for result in rounds):
                self.figures.fail(f"{what}, {name}: {errors} requests failed")

    def requests(self):
        relay = self.relay("plain")
        subjects = [self.direct, *self.peers, *([relay] if relay else [])]
        if not self.short:
            subjects.append(proxies.Passing(self.nginx))
        for body_name, body in BODIES.items():
            for connections in (1, CONNECTIONS):
                results = self.rounds(subjects, "plain", "--connections", connections, "--body", body)
                what = f"{body_name}, {connections} at once"
                self.errors(results, what)
                self.compare_requests(results, what, connections > 1)

    def compare_requests(self, results, what, with_throughput):
        def each(name, key):
            return [result[key] for result in results[name]] if name in results else None

        def added(name):
            return [ours["p50_us"] - direct["p50_us"] for ours, direct in zip(results.get(name, []), results["direct"])]

        others = [name for name in results if name not in ("nginx", "direct", "holdfast")]
        self.figures.compare(f"{what}, added p50", added("holdfast"), added("nginx"), unit=" us",
                             others={name: middle(added(name)) for name in others})
        if not with_throughput:
            return
        self.figures.compare(f"{what}, requests a second", each("holdfast", "per_second"), each("nginx", "per_second"),
                             REQUESTS_FASTER, at_least=True,
                             others={name: middle(each(name, "per_second")) for name in [*others, "direct"]})
        self.figures.compare(f"{what}, processor time of a request", each("holdfast", "cpu_us"), each("nginx", "cpu_us"),
                             CPU_SHARE, unit=" us", others={name: middle(each(name, "cpu_us")) for name in others})

    def tls(self):
        relay = self.relay("tls")
        subjects = [*self.peers, *([relay] if relay else [])]
        results = self.rounds(subjects, "tls", "--connections", CONNECTIONS, "--body", BODIES["320 B"])
        self.errors(results, "TLS")
        cost = {name: [result["cpu_us"] for result in rounds] for name, rounds in results.items()}
        self.figures.compare("TLS to the provider, processor time of a request", cost.pop("holdfast", None), cost.pop("nginx"),
                             unit=" us", others={name: middle(values) for name, values in cost.items()})

    # -- streams

    def stream(self, subject, streams, seconds):
        pids = subject.pids
        before = sum(map(proxies.pss_kib, pids))
        process = proxies.load("streams", subject.ways["stream"], "--connections", streams, "--seconds", seconds)
        opened = process.stdout.readline()
        grown = sum(map(proxies.pss_kib, pids)) - before
        result = proxies.measured(process)
        result["kb"] = grown * 1.024 / streams
        if int(opened.split()[1]) < streams or result["errors"]:
            self.figures.fail(f"{subject.name}: {opened.strip()} of {streams} streams, {result['errors']} ended")
        return result

    def streams(self):
        relay = self.relay("plain", "stream")
        streams, rounds, seconds = (SHORT_STREAMS, SHORT_STREAM_ROUNDS, SHORT_STREAM_ROUND_S) if self.short \
            else (STREAMS, STREAM_ROUNDS, STREAM_ROUND_S)
        subjects = [self.direct, *self.peers, *([relay] if relay else [])]
        results = {subject.name: [] for subject in subjects}
        for _, turn in self.turns(subjects, rounds):
            for subject in turn:
                results[subject.name].append(self.stream(subject, streams, seconds))
        self.compare_streams(results, streams)

    def compare_streams(self, results, streams):
        def added(name, key="p99_us"):
            return [ours[key] - direct[key] for ours, direct in zip(results.get(name, []), results["direct"])]

        def kilobytes(name):
            # What was never given back is there from the first round on: that is the one that grows.
            return max(result["kb"] for result in results[name]) if name in results else None

        others = [name for name in results if name not in ("nginx", "direct", "holdfast")]
        events = middle([result["per_second"] for result in results.get("holdfast", results["nginx"])])
        what = f"{streams} streams, {events:.0f} events a second"
        self.figures.compare(f"{what}, added p99", added("holdfast"), added("nginx"), unit=" us",
                             others={name: middle(added(name)) for name in others})
        middles = [f"{name} {middle(added(name, 'p50_us')):.2f} us" for name in results if name != "direct"]
        self.figures.note(f"added p50: {', '.join(middles)}; direct: p50 "
                          f"{middle([one['p50_us'] for one in results['direct']]):.2f} us, p99 "
                          f"{middle([one['p99_us'] for one in results['direct']]):.2f} us")
        self.figures.within(f"{what}, memory of a stream", kilobytes("holdfast"), STREAM_KB, kilobytes("nginx"), unit=" kB",
                            others={name: kilobytes(name) for name in others})

    # -- idle

    def idle(self):
        relay = self.relay("tls")
        self.await_way(self.nginx, "tls")
        time.sleep(IDLE_S)
        memory = [sum(map(proxies.rss_kib, each.pids)) * 1.024 / 1000 for each in (self.nginx, relay) if each]
        self.figures.within("idle with one TLS upstream used, RSS", memory[1] if relay else None, IDLE_MB, memory[0],
                            unit=" MB")

    # -- failover

    def failover_round(self, subject, kind, count):
        """The time from a request to the first byte of its answer, in the middle of `count`."""
        way, first = subject.ways[kind], self.providers.resets if kind == "reset" else self.providers.plain
        key = way[2] if subject is self.nginx else subject.first_keys.get(kind)
        before = first.uses().get(key, 0)
        result = proxies.measured(proxies.load("failover", way, "--count", count))
        tried = first.uses().get(key, 0) - before
        if result["errors"]:
            self.figures.fail(f"{kind}, {subject.name}: {result['errors']} of {count} requests failed")
        if key and kind != "refused" and tried < count:
            self.figures.fail(f"{kind}, {subject.name}: the first profile was tried {tried} times in {count}")
        return result["p50_us"]

    def failover(self):
        count = SHORT_FAILOVERS if self.short else FAILOVERS
        kinds = [kind for kind in proxies.KINDS if kind not in ("refused", "silent")]
        # A profile whose port refuses is not tried again for a while, whatever the model: each provider is asked once.
        refused = [f"refused{number}" for number in range(proxies.REFUSED)]
        times = {kind: {"nginx": [], "holdfast": []} for kind in [*kinds, "refused"]}
        for _ in range(1 if self.short else FAILOVER_ROUNDS):
            relay = self.relay("plain", *kinds)
            for kind in kinds:
                for subject in filter(None, (self.nginx, relay)):
                    times[kind][subject.name].append(self.failover_round(subject, kind, count))
            if relay is None:
                break
            relay.end()
            relay = self.relay("plain", *refused)
            once = [(self.failover_round(self.nginx, "refused", 1), self.failover_round(relay, each, 1)) for each in refused]
            for name, values in zip(("nginx", "holdfast"), zip(*once)):
                times["refused"][name].append(middle(values))
            relay.end()
        for kind in times if times["refused"]["nginx"] else kinds:
            self.figures.compare(f"first profile {kind}: the second's first byte", times[kind]["holdfast"],
                                 times[kind]["nginx"], more=FAILOVER_MORE_US, unit=" us")

    def silence(self):
        """Both wait at the same time: there is nothing else to do."""
        count = SHORT_SILENCES if self.short else SILENCES
        relay = self.relay("plain", "silent")
        subjects = [self.nginx, *([relay] if relay else [])]
        loads = [proxies.load("failover", subject.ways["silent"], "--count", count) for subject in subjects]
        results = [proxies.measured(load) for load in loads]
        for subject, result in zip(subjects, results):
            if result["errors"]:
                self.figures.fail(f"silent, {subject.name}: {result['errors']} of {count} requests failed")
        times = [result["p50_us"] / 1000 for result in results]
        self.figures.compare(f"first profile silent, limit {proxies.SILENCE_S} s: the second's first byte", times[1:],
                             times[:1], unit=" ms")


def main():
    words = sys.argv[1:]
    chosen = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "--only"] or PARTS
    if missing := supervisors.missing_programs("nginx", "openssl"):
        print(f"MISSED  not measured: {' and '.join(missing)} missing (tools/install-needs bench)")
        return 1
    figures = Figures()
    figures.note(table.go_first(real_time=True))
    with supervisors.Place() as place:
        bench = Bench(place, figures, table.is_short())
        for part in PARTS:
            if part in chosen:
                getattr(bench, part)()
    if "--json" in words:
        print(json.dumps({"bench": "relay", "figures": figures.all}))
    return figures.exit_code()


if __name__ == "__main__":
    sys.exit(main())
