"""What stands between a load and model providers, each tuned for it: nginx, HAProxy, Holdfast's relay, or nothing.

All are given the same three ways: `plain` and `stream` to a provider over HTTP, `tls` to one over HTTPS (verified, sessions
resumed, connections kept), and nginx and the relay the ways that fail over: `KINDS`. A way is (port, path)."""

import json
import os
import pathlib
import subprocess
import sys

from support import supervisors

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "support"))
# pylint: disable=wrong-import-position
import mock_upstream  # noqa: E402
import system  # noqa: E402

API = "/v1/messages"
# What the first profile meets; the second is well.
KINDS = ("429", "529", "500", "reset", "refused", "silent")
SILENCE_S = 1
TICK_MS = 200
OK_KEY, TICK_KEY, SECOND_KEY = "sk-ok-1", f"sk-tick-{TICK_MS}", "sk-ok-2"
# As many providers whose first profile is refused as there is room for: each can be asked once before it is known.
REFUSED = 7


class Providers:
    """The mocks: plain, TLS, one that is well whatever the key, one that resets every connection (so that none is kept that
    turns out to be dead), and a port where nobody listens."""

    def __init__(self, place):
        directory = place.directory("authority")
        self.authority = mock_upstream.Authority(directory)
        self.plain = mock_upstream.MockUpstream(bench=True)
        self.well = mock_upstream.MockUpstream(bench=True, only="ok")
        self.resets = mock_upstream.MockUpstream(bench=True, only="reset")
        self.tls = mock_upstream.MockUpstream(bench=True, authority=self.authority)
        self.dead_port = system.free_port()
        for one in (self.plain, self.well, self.resets, self.tls):
            place.stack.callback(one.close)


class Direct:
    name = "direct"
    pids = ()

    def __init__(self, providers):
        self.ways = {"plain": (providers.plain.port, API, OK_KEY), "stream": (providers.plain.port, API, TICK_KEY)}


class Proxy:
    """`ways`: name to (port, path, key)."""

    def __init__(self, place, name, command, directory, environment=None):
        self.name = name
        self.supervisor = place.keep(supervisors.Supervisor(name, command, directory, environment))

    @property
    def pids(self):
        return [self.supervisor.pid, *supervisors.children_of(self.supervisor.pid)]

    def cpu_ns(self):
        return sum(cpu_ns(pid) for pid in self.pids)

    def memory_kib(self):
        return sum(pss_kib(pid) for pid in self.pids)


def cpu_ns(pid):
    return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


def pss_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise ValueError("no Pss in smaps_rollup")


def rss_kib(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


NGINX = """\
daemon off; worker_processes 1; pid nginx.pid; error_log stderr crit; worker_rlimit_nofile 16384; %(user)s
events { worker_connections 8192; }
http {
  access_log off; tcp_nodelay on; server_tokens off;
  keepalive_timeout 300s; keepalive_requests 100000000;
  client_body_buffer_size 512k; client_max_body_size 64m; client_body_temp_path body; proxy_temp_path proxy;
  fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_read_timeout 300s; 
  upstream plain { server 127.0.0.1:%(plain)d max_fails=0; %(kept)s }
  upstream tls { server 127.0.0.1:%(tls)d max_fails=0; %(kept)s }
  upstream two { server 127.0.0.1:%(plain)d max_fails=0; server 127.0.0.1:%(well)d backup max_fails=0; %(kept)s }
  upstream dead { server 127.0.0.1:%(dead)d max_fails=0; server 127.0.0.1:%(well)d backup max_fails=0; %(kept)s }
  upstream reset { server 127.0.0.1:%(resets)d max_fails=0; server 127.0.0.1:%(well)d backup max_fails=0; %(kept)s }
  upstream well { server 127.0.0.1:%(well)d max_fails=0; %(kept)s }
  proxy_next_upstream error timeout http_429 http_500 http_503 non_idempotent;
  # proxy_set_header in a location takes the place of all that stand outside it.
  server { listen 127.0.0.1:%(at_plain)d; location / {
    proxy_set_header Connection ""; proxy_set_header x-api-key %(ok)s; proxy_pass http://plain; } }
  server { listen 127.0.0.1:%(at_passing)d; client_body_buffer_size 64k; proxy_request_buffering off; location / {
    proxy_set_header Connection ""; proxy_set_header x-api-key %(ok)s; proxy_pass http://plain; } }
  server { listen 127.0.0.1:%(at_stream)d; location / {
    proxy_buffering off; proxy_set_header Connection ""; proxy_set_header x-api-key %(tick)s; proxy_pass http://plain; } }
  server { listen 127.0.0.1:%(at_tls)d; location / {
    proxy_ssl_verify on; proxy_ssl_trusted_certificate %(authority)s; proxy_ssl_name localhost; proxy_ssl_server_name on;
    proxy_ssl_session_reuse on; proxy_ssl_protocols TLSv1.2 TLSv1.3;
    proxy_set_header Connection ""; proxy_set_header x-api-key %(ok)s; proxy_pass https://tls; } }
  server { listen 127.0.0.1:%(at_two)d; location / { proxy_pass http://two; } }
  server { listen 127.0.0.1:%(at_dead)d; location / { proxy_pass http://dead; } }
  server { listen 127.0.0.1:%(at_reset)d; location / { proxy_pass http://reset; } }
  server { listen 127.0.0.1:%(at_silent)d; location / { proxy_read_timeout %(silence)ds; proxy_pass http://two; } }
  server { listen 127.0.0.1:%(at_529)d; proxy_intercept_errors on; error_page 529 = @second;
    location / { proxy_pass http://plain; } location @second { proxy_pass http://well; } }
}
"""


class Nginx(Proxy):
    """One worker; connections to providers are kept. It holds a request's body, as it must to try another provider; the way
    `passing` does not. It cannot choose the key by the profile: its second provider is well whatever the key."""

    def __init__(self, place, providers):
        ports = {name: system.free_port()
                 for name in ("plain", "passing", "stream", "tls", "two", "reset", "dead", "silent", "529")}
        values = {f"at_{name}": port for name, port in ports.items()}
        values |= {"plain": providers.plain.port, "tls": providers.tls.port, "well": providers.well.port,
                   "dead": providers.dead_port, "resets": providers.resets.port, "ok": OK_KEY, "tick": TICK_KEY,
                   "silence": SILENCE_S, "authority": providers.authority.file,
                   "user": "user root;" if os.geteuid() == 0 else "",
                   "kept": "keepalive 256; keepalive_requests 100000000; keepalive_timeout 300s;"}
        directory = place.directory("nginx")
        (directory / "nginx.conf").write_text(NGINX % values)
        super().__init__(place, "nginx", ["nginx", "-p", str(directory), "-c", "nginx.conf", "-e", "stderr"], directory)
        self.ways = {name: (ports[name], API, OK_KEY) for name in ("plain", "passing", "stream", "tls")}
        for kind in KINDS:
            way = {"529": "529", "refused": "dead", "reset": "reset", "silent": "silent"}.get(kind, "two")
            self.ways[kind] = (ports[way], API, f"sk-{kind}-n" if kind != "refused" else OK_KEY)


class Passing:
    """nginx where it does not hold the body: it could not try another provider with it."""

    name = "nginx without retry"

    def __init__(self, nginx):
        self.nginx, self.ways = nginx, {"plain": nginx.ways["passing"]}

    @property
    def pids(self):
        return self.nginx.pids

    def cpu_ns(self):
        return self.nginx.cpu_ns()


HAPROXY = """\
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  option http-keep-alive
  http-reuse always
listen plain
  bind 127.0.0.1:%(at_plain)d
  http-request set-header x-api-key %(ok)s
  server one 127.0.0.1:%(plain)d pool-max-conn 256
listen stream
  bind 127.0.0.1:%(at_stream)d
  option http-no-delay
  http-request set-header x-api-key %(tick)s
  server one 127.0.0.1:%(plain)d pool-max-conn 256
listen tls
  bind 127.0.0.1:%(at_tls)d
  http-request set-header x-api-key %(ok)s
  server one 127.0.0.1:%(tls)d pool-max-conn 256 ssl verify required ca-file %(authority)s sni str(localhost)
"""


class HAProxy(Proxy):
    """One thread."""

    def __init__(self, place, providers):
        ports = {name: system.free_port() for name in ("plain", "stream", "tls")}
        values = {f"at_{name}": port for name, port in ports.items()}
        values |= {"plain": providers.plain.port, "tls": providers.tls.port, "ok": OK_KEY, "tick": TICK_KEY,
                   "authority": providers.authority.file}
        directory = place.directory("haproxy")
        (directory / "haproxy.cfg").write_text(HAPROXY % values)
        super().__init__(place, "haproxy", ["haproxy", "-db", "-f", "haproxy.cfg"], directory)
        self.ways = {name: (port, API, OK_KEY) for name, port in ports.items()}


class Relay(Proxy):
    """Holdfast as it runs in production, around a child that sleeps. `ways`: which of them it is set up for."""

    def __init__(self, place, name, providers, ways):
        self.port = system.free_port()
        plain, keys = providers.plain.url, {"BENCH_OK": OK_KEY, "BENCH_TICK": TICK_KEY, "BENCH_SECOND": SECOND_KEY}
        settings, self.ways, self.first_keys = {}, {}, {}

        def provider(way, url, *profiles):
            settings[way] = {"api": "anthropic-messages", "baseUrl": url, "profiles": list(profiles)}
            self.ways[way] = (self.port, f"/{way}{API}", "sk-ant-placeholder")

        second = {"id": "second", "key": "env:BENCH_SECOND"}
        for way in ways:
            if way == "plain":
                provider(way, plain, {"id": "only", "key": "env:BENCH_OK"})
            elif way == "stream":
                provider(way, plain, {"id": "only", "key": "env:BENCH_TICK"})
            elif way == "tls":
                provider(way, f"https://localhost:{providers.tls.port}", {"id": "only", "key": "env:BENCH_OK"})
            elif way.startswith("refused"):
                dead = f"http://127.0.0.1:{providers.dead_port}"
                provider(way, plain, {"id": "first", "key": "env:BENCH_OK", "baseUrl": dead}, second)
            else:
                keys[f"BENCH_{way.upper()}"] = self.first_keys[way] = f"sk-{way}-{name}"
                first = {"id": "first", "key": f"env:BENCH_{way.upper()}"}
                if way == "reset":
                    first["baseUrl"] = providers.resets.url
                provider(way, plain, first, second)
        directory = place.directory(name)
        (directory / "holdfast.json").write_text(json.dumps({
            "gateway": {"kind": "generic", "stopTimeout": "5s"}, "api": {"port": 0},
            "relay": {"port": self.port, "firstContentTimeout": f"{SILENCE_S}s", "providers": settings}}))
        environment = {**supervisors.own_environment(), **keys, "SSL_CERT_FILE": str(providers.authority.file)}
        command = supervisors.holdfast_command(directory, ["sleep", "1000000"])
        super().__init__(place, "holdfast", command, directory, environment)

    @property
    def pids(self):
        return [pid for pid in supervisors.children_of(self.supervisor.pid)
                if supervisors.name_of(pid).startswith("holdfast-relay")]

    def end(self):
        self.supervisor.end()


def answers(way):
    """Whether a way leads to an answer of a provider: its status and words, or None while nobody listens."""
    port, path, key = way
    try:
        status, _, body = mock_upstream.ask(port, key, path, timeout=5)
    except (OSError, ValueError):
        return None
    return status, body.decode(errors="replace")


def load(mode, way, *options):
    """Starts tests/bench/load.c on a way."""
    port, path, key = way
    return subprocess.Popen([str(supervisors.PROGRAMS / "bench_load"), mode, "--port", str(port), "--path", path, "--key", key,
                             *map(str, options)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def measured(process):
    """What a load printed at its end."""
    printed, _ = process.communicate("\n", timeout=180)
    return json.loads(printed.splitlines()[-1])
