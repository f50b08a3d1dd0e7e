"""A real systemd for tests that is not the machine's first process.

`system`: systemd is process 1 of a pid namespace; `user`: `systemd --user`, among everybody else's processes. Each sees
a mount namespace and a cgroup namespace of its own, with cgroup v2 alone at /sys/fs/cgroup, its own /run, and /etc and
the kernel's settings read-only. Network and all other files are the machine's, so that what runs as a unit is reached
from outside by its ports, its sockets and its pids (`pid_inside` says what such a process is called within).

It takes root. What cannot be had here is a Skip that says why.
"""

import os
import pathlib
import shutil
import subprocess

from system import PLACE_VARIABLE, Skip, every_pid, expect, is_alive, kill, read_process, wait_for

SYSTEMD = next((path for path in ("/lib/systemd/systemd", "/usr/lib/systemd/systemd") if os.path.exists(path)), None)
GROUP_PREFIX = "holdfast-test-"
FIRST_TARGET = "[Unit]\nDefaultDependencies=no\n"

# Given: the namespaces. Then: what a service manager needs of them, and nothing it could harm.
ENTER = """\
set -e
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mount --bind "$RUN" /run
mkdir -p /run/systemd/system /run/user/0/systemd /run/lock
for path in /etc /proc/sys; do
    mount --bind $path $path
    mount -o remount,bind,ro $path
done
exec "$@"
"""
JOIN = 'echo $$ >"$GROUP/cgroup.procs" && exec "$@"'
NAMESPACES = {
    "system": ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--cgroup", "--uts", "--ipc",
               "--propagation", "private"],
    "user": ["unshare", "--mount", "--cgroup", "--propagation", "private"],
}


def pid_inside(pid):
    """What a process is called in the innermost pid namespace it is in; 0 for one that is gone."""
    for line in read_process(pid, "status").decode(errors="replace").splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return 0


def cgroup_of(pid):
    """The directory of its cgroup in the v2 tree, or None."""
    own = next((line[3:] for line in read_process(pid, "cgroup").decode().splitlines() if line.startswith("0::")), None)
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if own is not None and after.startswith("cgroup2 "):
            return pathlib.Path(before.split()[4] + own)
    return None


def _members(group):
    """Pids in a cgroup and all below it."""
    pids = []
    for path in group.rglob("cgroup.procs"):
        try:
            pids += map(int, path.read_text().split())
        except OSError:
            pass  # it went
    return pids


def _remove_group(group):
    """Takes away an empty cgroup with all below it. Returns whether it is gone."""
    for path in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
        try:
            path.rmdir()
        except OSError:
            pass
    try:
        group.rmdir()
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


def _remove_left_groups(home):
    """Those of tests that were killed before they could."""
    for group in home.glob(GROUP_PREFIX + "*"):
        if not is_alive(int(group.name.rpartition("-")[2])):
            _remove_group(group)


class ServiceManager:
    """Starts at once; `close` ends it with everything in it."""

    def __init__(self, place, mode):
        self.place, self.mode = place, mode
        self.directory = place.root / f"systemd-{mode}"
        self.units, self.run = self.directory / "units", self.directory / "run"
        self.log_file = self.directory / "log"
        self.process = None
        self.pid = 0
        self._look_for_tools()
        home = cgroup_of("self")
        if home is None:
            raise Skip("there is no cgroup v2 here")
        _remove_left_groups(home)
        self.group = home / f"{GROUP_PREFIX}{mode}-{place.root.name.replace('-', '')[-12:]}-{os.getpid()}"
        try:
            self.group.mkdir()
        except OSError as error:
            raise Skip(f"no cgroup can be made here: {error.strerror}") from None
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _look_for_tools():
        if os.geteuid() != 0:
            raise Skip("a systemd of our own takes root")
        if SYSTEMD is None:
            raise Skip("systemd is not installed")
        for tool in ("systemctl", "unshare", "nsenter", "mount"):
            if shutil.which(tool) is None:
                raise Skip(f"{tool} is not installed")

    def _command(self, *words):
        return ["sh", "-c", JOIN, "sh", *NAMESPACES[self.mode], "sh", "-c", ENTER, "sh", *words]

    def _environment(self):
        return {"PATH": os.environ["PATH"], "GROUP": str(self.group), "RUN": str(self.run),
                PLACE_VARIABLE: str(self.place.root)}

    def _begin(self):
        self.units.mkdir(parents=True)
        self.run.mkdir()
        self.run.chmod(0o755)
        (self.units / "first.target").write_text(FIRST_TARGET)
        tried = subprocess.run(self._command("true"), env=self._environment(), capture_output=True, text=True)
        if tried.returncode != 0:
            raise Skip(f"its namespaces cannot be made here: {tried.stderr.strip()}")
        # The place's name, so that whoever ends the place ends the manager; "container": it is no machine's.
        variables = {"PATH": os.environ["PATH"], "HOME": str(self.place.root), "container": "test",
                     "XDG_RUNTIME_DIR": "/run/user/0", "SYSTEMD_UNIT_PATH": f"{self.units}:",
                     PLACE_VARIABLE: str(self.place.root)}
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                self._command("env", "-i", *(f"{name}={value}" for name, value in variables.items()),
                              SYSTEMD, f"--{self.mode}", "--unit=first.target", "--log-target=console",
                              "--show-status=no"),
                env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_for(self._is_up, f"systemd --{self.mode}; it said: {self.said()}")

    def _find(self):
        """The process that is systemd: what we started, or its child, the first of the namespace."""
        for pid in [self.process.pid] + [pid for pid in every_pid() if pid_inside(pid) == 1]:
            words = read_process(pid, "cmdline").split(b"\0")
            if words[0] == SYSTEMD.encode() and read_process(pid, "environ").find(str(self.place.root).encode()) >= 0:
                return pid
        return 0

    def _is_up(self):
        expect(self.process.poll() is None, f"systemd --{self.mode} ended:", self.said())
        self.pid = self.pid or self._find()
        return self.pid and self.control("is-active", "first.target").stdout.strip() == "active"

    def said(self):
        return self.log_file.read_text(errors="replace").strip() if self.log_file.exists() else ""

    # -- when

    def control(self, *words):
        """systemctl, to its end."""
        namespaces = ["-m", "-p", "-C"] if self.mode == "system" else ["-m", "-C"]
        return subprocess.run(["nsenter", "-t", str(self.pid), *namespaces, "systemctl", f"--{self.mode}", *words],
                              env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": "/run/user/0", "LANG": "C"},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    def done(self, *words):
        """A systemctl that must succeed."""
        result = self.control(*words)
        expect(result.returncode == 0, "systemctl", *words, "ended with", result.returncode, result.stdout,
               result.stderr, "systemd said:", self.said()[-2000:])
        return result

    def add_unit(self, name, text):
        (self.units / name).write_text(text)
        self.done("daemon-reload")

    def property(self, unit, name):
        return self.done("show", "--value", "--property", name, unit).stdout.strip()

    # -- the end

    def is_own(self, pid):
        """Whether this is the manager itself, and not what it runs."""
        return pid in (self.pid, self.process.pid) or read_process(pid, "cmdline").split(b"\0")[0] == SYSTEMD.encode()

    def close(self):
        """Ends systemd and what is left in its cgroup, each by its pid, and removes the cgroup."""
        def is_empty():
            for pid in _members(self.group):
                kill(pid)
            return _remove_group(self.group)

        if self.pid:
            kill(self.pid)
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
        wait_for(is_empty, f"empty cgroup {self.group}")
