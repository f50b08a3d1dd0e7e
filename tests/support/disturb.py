"""What disturbs a gateway, or Holdfast, from outside, and is put away at the end."""

import contextlib
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import sys
import threading

from gateway_client import GatewayClient
from system import PLACE_VARIABLE, Skip, expect, is_alive, kill, process_state, read_process, wait_for

SPINNER = ("sh", "-c", "while :; do :; done")
HOLDER = """\
import ctypes, os, sys
libc, pid = ctypes.CDLL(None, use_errno=True), int(sys.argv[1])
for request in (16, 17):  # PTRACE_ATTACH, PTRACE_DETACH
    if libc.ptrace(request, pid, None, None):
        sys.exit(os.strerror(ctypes.get_errno()))
    if request == 16:
        os.waitpid(pid, 0x40000000)
        print("attached", flush=True)
        sys.stdin.read()
"""
# Reads a file again and again that has no room in the memory it shares with the gateway.
HOG = """\
import mmap, sys
with open(sys.argv[1], 'rb') as file:
    pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
while True:
    for at in range(0, len(pages), 4096):
        pages[at]
"""
CGROUP_V1 = pathlib.Path("/sys/fs/cgroup")


def outside():
    """An environment that belongs to no place."""
    return {name: value for name, value in os.environ.items() if name != PLACE_VARIABLE}


@contextlib.contextmanager
def ended(*processes):
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def spinning(count):
    return ended(*[subprocess.Popen(SPINNER, env=outside(), start_new_session=True) for _ in range(count)])


@contextlib.contextmanager
def traced(pid):
    """A debugger holds its main thread: state t."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(pid)], env=outside(), text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with ended(holder):
        if holder.stdout.readline() != "attached\n":
            raise Skip("this process may not be traced here: " + holder.stderr.read().strip())
        expect(process_state(pid) == "t", "state", process_state(pid))
        yield
        holder.stdin.close()
        holder.wait(10)


@contextlib.contextmanager
def niced(pid, to):
    threads = [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    for thread in threads:
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, thread, to)
    try:
        yield
    finally:
        for thread in threads:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.setpriority(os.PRIO_PROCESS, thread, 0)


@contextlib.contextmanager
def stopped(*pids):
    try:
        for pid in pids:
            kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            kill(pid, signal.SIGCONT)


def cgroup_of(pid):
    """Its directory in the unified hierarchy; None where it has none of its own."""
    for line in read_process(pid, "cgroup").decode().splitlines():
        if line.startswith("0::/") and len(line) > 4:
            for mount in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
                if (pathlib.Path(mount) / line[4:] / "cgroup.freeze").exists():
                    return pathlib.Path(mount) / line[4:]
    return None


@contextlib.contextmanager
def frozen(pid):
    """Its whole cgroup is frozen, as a container's by `pause`."""
    cgroup = cgroup_of(pid)
    if cgroup is None:
        raise Skip("the gateway has no cgroup of its own here")
    try:
        (cgroup / "cgroup.freeze").write_text("1")
        wait_for(lambda: "frozen 1" in (cgroup / "cgroup.events").read_text(), "frozen cgroup")
        yield
    finally:
        (cgroup / "cgroup.freeze").write_text("0")


def memory_stall_s():
    """The time in which somebody on this machine has waited for memory; 0 where the kernel does not count it."""
    with contextlib.suppress(OSError):
        return int(pathlib.Path("/proc/pressure/memory").read_text().splitlines()[0].rpartition("=")[2]) / 1e6
    return 0


@contextlib.contextmanager
def thrashing(pid, directory, room_bytes):
    """It shares `room_bytes` of memory with a program that reads more than that: its pages are taken away all the
    time."""
    group = CGROUP_V1 / "memory" / f"thrash-{os.getpid()}-{pid}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(room_bytes))
        (group / "cgroup.procs").write_text(str(pid))
    except OSError as error:
        raise Skip(f"no memory cgroup can be made here: {error}") from None
    home = next(line.split(":", 2)[2] for line in read_process(os.getpid(), "cgroup").decode().splitlines()
                if ":memory:" in line)
    pages = directory / "pages"
    with open(pages, "wb") as file:
        for _ in range(room_bytes * 4 >> 20):
            file.write(os.urandom(1 << 20))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # or they would be ours, not the hogs'
    hogs = [subprocess.Popen([sys.executable, "-c", HOG, str(pages)], env=outside()) for _ in range(2)]
    try:
        with ended(*hogs):
            for hog in hogs:
                (group / "cgroup.procs").write_text(str(hog.pid))
            yield group
            expect(all(hog.poll() is None for hog in hogs), "the hog died")
    finally:
        with contextlib.suppress(OSError):
            (CGROUP_V1 / "memory" / home.strip("/") / "cgroup.procs").write_text(str(pid))
        with contextlib.suppress(OSError):
            group.rmdir()


@contextlib.contextmanager
def no_descriptors(pid):
    """It cannot open another one."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    first_free = next(number for number in range(len(used) + 1) if number not in used)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (first_free, before[1]))
    try:
        yield
    finally:
        if is_alive(pid):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def allow_descriptors(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


@contextlib.contextmanager
def connections(port, count, say=b"", patience_s=5, address="127.0.0.1"):
    """That many connections, held open; those that the kernel does not let in are given up."""
    held = []
    try:
        for _ in range(count):
            caller = socket.socket()
            held.append(caller)
            caller.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                caller.connect((address, port))
        if say:
            for caller in held:
                caller.settimeout(patience_s)
                caller.sendall(say)
        yield held
    finally:
        for caller in held:
            caller.close()


@contextlib.contextmanager
def repeated(call, every_s):
    """Calls it again and again, in a thread of its own."""
    over = threading.Event()

    def go():
        while not over.wait(every_s):
            call()
    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def squatting(port, address):
    """Somebody listens there, and accepts nothing."""
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind((address, port))
        squatter.listen(30)
        yield


class Inspector(GatewayClient):
    """A person's debugger."""

    def __init__(self, port, path):
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.file = self.socket.makefile("rb")
        self._upgrade(port, path)
        self.number = 0

    def say(self, method):
        self.number += 1
        self._send({"id": self.number, "method": method})

    def wait(self, method):
        self._receive_until(lambda frame: frame.get("method") == method)


def console_of(place):
    file = place.state_dir / "console.log"
    return file.read_text(errors="replace") if file.exists() else ""


@contextlib.contextmanager
def inspected(pid, place):
    """A person has its inspector opened and pauses it: its main thread only waits, in state S."""
    kill(pid, signal.SIGUSR1)
    found = place.wait_for(lambda: re.search(r"Debugger listening on ws://127\.0\.0\.1:(\d+)(/\S+)", console_of(place)),
                           "address of the inspector")
    with Inspector(int(found[1]), found[2]) as debugger:
        debugger.say("Debugger.enable")
        debugger.say("Debugger.pause")
        debugger.wait("Debugger.paused")
        yield
        debugger.say("Debugger.resume")
        debugger.say("Debugger.disable")
