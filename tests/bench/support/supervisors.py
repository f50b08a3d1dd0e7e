"""Starts each kind of supervisor around one command, for a side-by-side measurement."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent.parent
BUILD = pathlib.Path(os.environ.get("BUILD_DIRECTORY", ROOT / "build")).resolve()
PROGRAMS = BUILD / "tests/bench"
# No back-off, so that what is measured is the way from the death to the start; everything else as in production.
SETTINGS = ('{ backoff: { initial: 0, jitter: 0 }, gateway: { kind: "generic", stopTimeout: "5s" },'
            ' api: { port: 0 }, relay: { port: 0 } }')
END_TIMEOUT_S = 20
# Hides the cgroup v2 tree, whoever we are: below the empty directory no cgroup can be made.
WITHOUT_CGROUP = ('for point in $(while read -r _ _ _ _ at _ rest; do case " $rest " in *" - cgroup2 "*) echo "$at";; esac;'
                  ' done </proc/self/mountinfo); do mount -t tmpfs none "$point" || exit; done; exec "$@"')


class Supervisor:
    """One running supervisor. `name` for the table; `process` is what was started."""

    def __init__(self, name, command, directory, environment=None):
        self.name = name
        self.directory = pathlib.Path(directory)
        with open(self.directory / "said", "ab") as said:
            self.process = subprocess.Popen(command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=said,
                                            stderr=said, start_new_session=True, env=environment)

    @property
    def pid(self):
        return self.process.pid

    def said(self):
        return (self.directory / "said").read_text(errors="replace")

    def end(self):
        """TERM, then KILL to its whole session. Returns whether it ended by itself."""
        self.process.terminate()
        try:
            self.process.wait(END_TIMEOUT_S)
            return True
        except subprocess.TimeoutExpired:
            return False
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Place:
    """A directory in memory for everything of one benchmark; whatever was started in it is ended with it."""

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        self.path = pathlib.Path(self.stack.enter_context(
            tempfile.TemporaryDirectory(prefix="holdfast-bench-", dir="/dev/shm", ignore_cleanup_errors=True)))
        return self

    def __exit__(self, *why):
        return self.stack.__exit__(*why)

    def directory(self, name):
        path = self.path / name
        path.mkdir()
        return path

    def keep(self, supervisor):
        self.stack.callback(supervisor.end)
        return supervisor

    def fifo(self, name):
        path = self.path / name
        os.mkfifo(path)
        # Held open, so that no child waits in open().
        descriptor = os.open(path, os.O_RDWR)
        self.stack.callback(os.close, descriptor)
        return path

    def shell(self, command):
        """The floor: nothing starts a child again faster than a shell's loop does."""
        loop = 'while :; do "$@"; done'
        directory = self.directory("shell")
        shell = Supervisor("sh loop", ["sh", "-c", loop, "sh", *map(str, command)], directory)

        def end():
            # A shell that waits for its child would only ask what to do: the child dies with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.process.wait()

        self.stack.callback(end)
        return shell

    def holdfast(self, name, command, cgroup=True, state=None, settings=SETTINGS, keep=True):
        directory = self.directory(name.replace(" ", "-"))
        (directory / "holdfast.json").write_text(settings)
        whole = holdfast_command(directory, command, state)
        if not cgroup:
            user = [] if os.geteuid() == 0 else ["--map-root-user"]
            whole = ["unshare", "--mount", *user, "sh", "-c", WITHOUT_CGROUP, "sh", *whole]
        supervisor = Supervisor(name, whole, directory, environment=own_environment())
        return self.keep(supervisor) if keep else supervisor

    def s6(self, command, keep=True, name="s6-supervise"):
        directory = self.directory(name)
        write_script(directory / "run", command)
        supervisor = Supervisor(name, ["s6-supervise", "."], directory)
        return self.keep(supervisor) if keep else supervisor

    def runsv(self, command):
        directory = self.directory("runsv")
        write_script(directory / "run", command)
        return self.keep(Supervisor("runsv", ["runsv", "."], directory))


def own_environment():
    return {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}


def holdfast_command(directory, command, state=None):
    return [str(BUILD / "holdfast"), "run", "--state-dir", str(state or directory / "state"), "--runtime-dir",
            str(directory / "runtime"), "--config", str(directory / "holdfast.json"), "--", *map(str, command)]


def write_script(path, command):
    path.write_text("#!/bin/sh\nexec " + " ".join(map(str, command)) + "\n")
    path.chmod(0o755)


def missing_programs(*names):
    return [name for name in names if shutil.which(name) is None]


def wait_for(condition, what, timeout_s=20):
    until = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise TimeoutError(f"{what} did not happen within {timeout_s} s")
        time.sleep(0.002)


def alive(pid):
    """Whether the process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def processes():
    """(pid, parent) of every process."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                with open(f"/proc/{entry}/stat") as stat:
                    yield int(entry), int(stat.read().rpartition(")")[2].split()[1])


def children_of(pid):
    return [child for child, parent in processes() if parent == pid]


def arguments_of(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return []


def pids_of(program):
    return [pid for pid, _ in processes() if arguments_of(pid)[:1] == [str(program)]]


def name_of(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def in_own_cgroup(pid):
    return "/holdfast-" in pathlib.Path(f"/proc/{pid}/cgroup").read_text()
