"""What the system tests share: a home for one supervisor and its gateway, and the telling of results as TAP.

Each test has a Place: directories, settings and an environment of its own. Everything that is started in a place
carries the place's name in its environment, so that whatever is left of it is found, and ended by its pid. A test
waits for what it expects to see, never for time to pass; `steady` is for what must not happen.
"""

import concurrent.futures
import errno
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("BUILD_DIRECTORY", ROOT / "build")).resolve()
HOLDFAST = str(BUILD / "holdfast")
PLACE_VARIABLE = "TEST_PLACE"  # a HOLDFAST_ variable would be kept from the gateway
DEADLINE_S = 20
POLL_S = 0.02
PASSED_ON = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LANG", "TZ")

# A gateway that does what it is told: what stands in the file `at-start` first, then each line written to the FIFO
# `orders`. Its pids are in `starts`, oldest first.
GATEWAY = """\
echo $$ >>starts
[ ! -e at-start ] || . ./at-start
exec 3<>orders
while read -r order <&3; do eval "$order"; done
"""


class Skip(Exception):
    """This cannot be tried here, and why."""


def expect(condition, *seen):
    if not condition:
        raise AssertionError(" ".join(str(thing) for thing in seen))


def expect_equal(seen, wanted, what=""):
    expect(seen == wanted, f"{what}: saw {seen!r}, expected {wanted!r}")


# ---- processes -----------------------------------------------------------------------------------------------------

def read_process(pid, name):
    try:
        return pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def process_state(pid):
    """The kernel's letter, or "" for a process that is gone."""
    stat = read_process(pid, "stat").decode(errors="replace")
    return stat.rpartition(")")[2].split()[0] if stat else ""


def is_alive(pid):
    return process_state(pid) not in ("", "Z", "X")


def parent_of(pid):
    stat = read_process(pid, "stat").decode(errors="replace")
    return int(stat.rpartition(")")[2].split()[1]) if stat else 0


def start_time_of(pid):
    stat = read_process(pid, "stat").decode(errors="replace")
    return int(stat.rpartition(")")[2].split()[19]) if stat else 0


def cpu_seconds(pid):
    fields = read_process(pid, "stat").decode(errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def environment_of(pid):
    pairs = (pair.partition(b"=") for pair in read_process(pid, "environ").split(b"\0") if pair)
    return {name.decode(errors="replace"): value.decode(errors="replace") for name, _, value in pairs}


def every_pid():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def processes_with(variable, value):
    """Pids of the living processes that carry the variable in their environment."""
    wanted = f"{variable}={value}".encode()
    return [pid for pid in every_pid() if wanted in read_process(pid, "environ").split(b"\0") and is_alive(pid)]


def describe_process(pid):
    words = read_process(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()
    return f"{pid} ({words or read_process(pid, 'comm').decode(errors='replace').strip()})"


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def wait_for(condition, what, seconds=DEADLINE_S):
    """Waits until `condition()` is true, and returns what it returned."""
    end = time.monotonic() + seconds
    while True:
        seen = condition()
        if seen:
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"no {what} within {seconds} s")
        time.sleep(POLL_S)


def steady(condition, what, seconds):
    """What must not happen: the condition holds all the while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        expect(condition(), what)
        time.sleep(POLL_S)


# ---- ports ---------------------------------------------------------------------------------------------------------

_ports_lock = threading.Lock()
_ports_given = set()


def free_port():
    """A port nobody listens on and that no other test of this run was given."""
    with _ports_lock:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            if port not in _ports_given:
                _ports_given.add(port)
                return port


def listen_on(port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


# ---- a place -------------------------------------------------------------------------------------------------------

class Place:
    def __init__(self, name):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix=f"holdfast-{name}-"))
        self.state_dir, self.runtime_dir = self.root / "state", self.root / "runtime"
        self.settings_file = self.root / "holdfast.json"
        self.log_file = self.root / "log"
        self.environment = {"PATH": f"{BUILD}:{os.environ['PATH']}", "HOME": str(self.root), "TERM": "dumb",
                            PLACE_VARIABLE: str(self.root)}
        self.environment.update({name: os.environ[name] for name in PASSED_ON if name in os.environ})
        self.runs = []
        self.mounts = []
        self.api_port = free_port()
        (self.root / "gateway").write_text(GATEWAY)
        os.mkfifo(self.root / "orders")
        self.settings({})

    # -- given

    def settings(self, settings):
        """Without a port of its own for the HTTP interface, tests that run side by side would take it in turns."""
        if not isinstance(settings, str):
            settings = json.dumps({"api": {"port": self.api_port}, **settings})
        self.settings_file.write_text(settings)

    def at_start(self, order):
        part = self.root / "at-start.new"
        part.write_text(order + "\n")
        part.rename(self.root / "at-start")

    def where(self):
        return ["--state-dir", str(self.state_dir), "--runtime-dir", str(self.runtime_dir)]

    # -- when

    def command(self, *words, environment=None, **options):
        """One of the commands people type, to its end."""
        return subprocess.run([HOLDFAST, *words, *self.where()], env={**self.environment, **(environment or {})},
                              cwd=self.root, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, **options)

    def done(self, *words, **options):
        """A command that must succeed."""
        result = self.command(*words, **options)
        expect(result.returncode == 0, words, "ended with", result.returncode, result.stdout, result.stderr)
        return result

    def try_run(self, *command, options=(), environment=None, prefix=()):
        """A `run` that is expected to be refused: returns its result."""
        return subprocess.run([*prefix, HOLDFAST, "run", *self.where(), "--config", str(self.settings_file), *options,
                               *(["--", *command] if command else [])],
                              env={**self.environment, **(environment or {})}, cwd=self.root, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    def run(self, *command, options=(), environment=None, prefix=(), wait=True, program=HOLDFAST, output=None):
        """Starts a supervisor; without a command it is the gateway that obeys. `output`: a descriptor for what it says,
        instead of the log."""
        command = command or ("sh", "./gateway")
        with open(self.log_file, "ab") as log:
            process = subprocess.Popen([*prefix, program, "run", *self.where(), "--config", str(self.settings_file),
                                        *options, "--", *command],
                                       env={**self.environment, **(environment or {})}, cwd=self.root,
                                       stdin=subprocess.DEVNULL, stdout=log if output is None else output, stderr=log,
                                       start_new_session=True)
        self.runs.append(process)
        if wait:
            self.wait_for(lambda: self.command("status").returncode in (0, 4), "a supervisor that answers")
        return process

    def run_ready(self, *command, **options):
        process = self.run(*command, **options)
        self.wait_ready()
        return process

    def tell(self, order):
        """An order to the obeying gateway; it is carried out when it gets there."""
        def listener():
            try:
                return os.open(self.root / "orders", os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:  # it has not yet begun to read
                    raise
                return None
        fd = wait_for(listener, "gateway that reads orders")
        os.write(fd, order.encode() + b"\n")
        os.close(fd)

    def end(self, number=signal.SIGTERM, seconds=DEADLINE_S):
        """Ends the supervisor as an operator would, and returns its exit status."""
        self.runs[-1].send_signal(number)
        return self.runs[-1].wait(seconds)

    # -- then

    def wait_for(self, condition, what, seconds=DEADLINE_S):
        def watched():
            seen = condition()
            if not seen and self.runs and self.runs[-1].poll() is not None:
                raise AssertionError(f"while waiting for {what}: the supervisor ended with {self.runs[-1].returncode}")
            return seen
        return wait_for(watched, what, seconds)

    def api_answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.api_port), 1) as caller:
                caller.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return caller.recv(4096).startswith(b"HTTP/1.1 200 ")
        except OSError:
            return False

    def status(self):
        return json.loads(self.command("status", "--json").stdout)

    def state(self):
        return self.status()["state"]

    def pid(self):
        return self.status()["gateway"]["pid"]

    def wait_state(self, state, seconds=DEADLINE_S):
        return self.wait_for(lambda: (lambda seen: seen if seen["state"] == state else None)(self.status()),
                             f'state "{state}"', seconds)

    def wait_ready(self, other_than=None, seconds=DEADLINE_S):
        """Waits until a gateway is ready that is not `other_than`; returns the status."""
        def ready():
            seen = self.status()
            gateway = seen["gateway"]
            return seen if seen["state"] == "running" and gateway["ready"] and gateway["pid"] != other_than else None
        return self.wait_for(ready, "gateway that is ready", seconds)

    def starts(self):
        try:
            return [int(line) for line in (self.root / "starts").read_text().split()]
        except FileNotFoundError:
            return []

    def workers(self):
        return {worker["name"]: worker["pid"] for worker in self.status()["workers"]}

    def wait_workers(self, other_than=(), seconds=DEADLINE_S):
        def all_back():
            seen = self.workers()
            return seen if all(seen.values()) and not set(seen.values()) & set(other_than) else None
        return self.wait_for(all_back, "workers that are all there", seconds)

    def events(self, *options):
        lines = self.command("events", "--json", *options).stdout.splitlines()
        return [json.loads(line) for line in lines]

    def kinds(self, after=0):
        return [event["kind"] for event in self.events() if event["id"] > after]

    def last_event(self):
        """The number of the last event, once everything that has happened so far is on disk."""
        self.wait_for(lambda: self.status()["store"]["waiting"] in (0, None), "events on disk")
        return self.last_event_on_disk()

    def last_event_on_disk(self):
        events = self.events()
        return events[-1]["id"] if events else 0

    def wait_event(self, kind, after=0, seconds=DEADLINE_S, count=1):
        """Waits for the event (the `count`th of its kind after an id), and returns it."""
        def seen():
            found = [event for event in self.events() if event["kind"] == kind and event["id"] > after]
            return found[count - 1] if len(found) >= count else None
        return wait_for(seen, f"event {kind}", seconds)

    def console(self):
        """What the supervisor has put on its terminal."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def left(self):
        """Everything that lives and was started in this place."""
        return processes_with(PLACE_VARIABLE, self.root)

    def expect_nothing_left(self, seconds=5):
        try:
            wait_for(lambda: not self.left(), "end of everything", seconds)
        except AssertionError:
            raise AssertionError("left behind: " + ", ".join(map(describe_process, self.left()))) from None
        files = sorted(path.name for path in self.runtime_dir.iterdir()) if self.runtime_dir.exists() else []
        expect("control" not in files and "console" not in files, "left in the runtime directory:", files)

    # -- the end

    def explain(self):
        """For a failed test: what there was to see."""
        parts = ["status: " + self.command("status", "--json").stdout.strip()]
        parts += ["events:"] + ["  {id} {time} {kind} {incident} {reason}".format(**event)
                                for event in self.events()[-40:]]
        parts += ["terminal:"] + ["  " + line for line in self.console().splitlines()[-40:]]
        return "\n".join(parts)

    def close(self):
        for _ in range(2):  # the second SIGINT waits for nothing
            for process in self.runs:
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)
                    try:
                        process.wait(3)
                    except subprocess.TimeoutExpired:
                        continue
        self.abandon()

    def abandon(self):
        for _ in range(5):
            for pid in self.left():
                kill(pid)
        for process in self.runs:
            if process.poll() is None:
                process.kill()
            process.wait()
        for mount in self.mounts:
            subprocess.run(["umount", "--lazy", str(mount)], check=False, capture_output=True)
        shutil.rmtree(self.root, ignore_errors=True)


# ---- results -------------------------------------------------------------------------------------------------------

_tests = []
_open_places = set()


def test(name):
    def add(function):
        _tests.append((name, function))
        return function
    return add


def open_place(name):
    """A place of which nothing outlives us, whatever ends us."""
    place = Place(name)
    _open_places.add(place)
    return place


def close_place(place):
    place.close()
    _open_places.discard(place)


def _run_one(name, function):
    """Returns TAP's "ok" or "not ok", what stands behind the name, and comments."""
    place = open_place(function.__name__)
    began = time.monotonic()
    try:
        notes = function(place)
        comments = [f"{name}: {note}" for note in ([notes] if isinstance(notes, str) else notes or [])]
        return "ok", f" ({time.monotonic() - began:.1f} s)", comments
    except Skip as why:
        return "ok", f" # SKIP {why}", []
    except Exception:  # whatever it is, it is a result
        return "not ok", "", (traceback.format_exc().rstrip() + "\n" + _explain(place)).splitlines()
    finally:
        close_place(place)


def _explain(place):
    try:
        return place.explain()
    except Exception as error:
        return f"(nothing to see: {error})"


def _terminated(_number, _frame):
    raise KeyboardInterrupt


def main(at_once=3):
    """Runs the tests, or those whose names contain a word of the command line; several at once."""
    words = sys.argv[1:]
    chosen = [entry for entry in _tests if not words or any(word in entry[0] for word in words)]
    failed = 0
    signal.signal(signal.SIGTERM, _terminated)
    print(f"1..{len(chosen)}", flush=True)
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        running = [(name, pool.submit(_run_one, name, function)) for name, function in chosen]
        try:
            for number, (name, result) in enumerate(running, 1):
                word, behind, comments = result.result()
                failed += word != "ok"
                print(f"{word} {number} - {name}{behind}", flush=True)
                for comment in comments:
                    print(f"# {comment}", flush=True)
        except KeyboardInterrupt:
            # The tests that run cannot be stopped, but nothing of theirs may outlive us.
            pool.shutdown(wait=False, cancel_futures=True)
            for place in list(_open_places):
                place.abandon()
            os._exit(130)
    return 1 if failed else 0
