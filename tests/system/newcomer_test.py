#!/usr/bin/env python3
"""A newcomer tries Holdfast: in a fresh Debian 12, as an ordinary user with sudo, with the README's two commands.

Given a minimal Debian 12 made by debootstrap, with make and sudo and a copy of this checkout
When the newcomer types `make run`, and in a second terminal `build/holdfast status`
Then packages, OpenClaw and Node are fetched, everything is built, the gateway is supervised and ready, `status` says
so, and Ctrl-C leaves nothing behind.

Needs root (chroot, namespaces) and about two minutes; prints TAP. Mirrors, proxies, certificates and npm's settings
are those of the machine it runs on. `--keep DIRECTORY` makes the Debian there (or uses the one that is there) and
leaves it.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# We are root, and the checkout is perhaps somebody else's: git would refuse to look at it.
GIT = ("git", "-c", "safe.directory=*", "-C", str(ROOT))
# A process namespace of its own: whatever goes wrong, nothing of this outlives it. A shell is its init, which
# collects the dead.
NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
RELEASE = "bookworm"
USER, UID = "newcomer", 1000
HOME = f"/home/{USER}"
READY_TIMEOUT_S = 400
END_TIMEOUT_S = 60
DISK_BYTES = 4 << 30
NETWORK_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
                     "NODE_EXTRA_CA_CERTS")


def say(text):
    for line in text.rstrip().splitlines():
        print(f"# {line}", flush=True)


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def unavailable(what):
    """Without the network this test means nothing: a failure where it must be there, else a stated skip."""
    needed = bool(os.environ.get("CI"))
    print(f"Bail out! {what}" if needed else f"1..0 # SKIP {what}", flush=True)
    sys.exit(needed)


def quietly(*command, otherwise=None, **options):
    """Runs a command that speaks only when it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, **options)
    if done.returncode != 0:
        say("\n".join(done.stdout.splitlines()[-30:]))
        unavailable(otherwise or f"{command[0]} failed with exit code {done.returncode}")


def network_environment():
    return {name: os.environ[name] for name in os.environ
            if name in NETWORK_VARIABLES or name.lower().startswith("npm_config_")}


# ---- the machine -------------------------------------------------------------------------------------------------

def mirror():
    """Where this machine's own apt fetches Debian 12 from, and the keys it trusts for that."""
    fields = "$(REPO_URI)|$(CODENAME)|$(SUITE)|$(COMPONENT)|$(SIGNED_BY)"
    for line in output_of("apt-get", "indextargets", "--format", fields, "Created-By: Packages").splitlines():
        uri, codename, suite, component, keys = line.split("|")
        if RELEASE in (codename, suite) and component == "main" and "security" not in uri + suite:
            return uri, keys
    return unavailable(f"apt on this machine knows no mirror of Debian {RELEASE}")


def carry_settings(debian):
    """What lets this machine reach Debian and npm must hold in there too: apt's settings, certificates, ~/.npmrc."""
    sources = debian / "etc/apt"
    (sources / "sources.list").unlink(missing_ok=True)
    for name in ("sources.list", "sources.list.d", "trusted.gpg.d"):
        path = pathlib.Path("/etc/apt", name)
        if path.is_dir():
            shutil.copytree(path, sources / name, dirs_exist_ok=True)
        elif path.exists():
            shutil.copy(path, sources / name)
    shutil.copytree("/usr/share/keyrings", debian / "usr/share/keyrings", dirs_exist_ok=True)
    settings = [line for line in output_of("apt-config", "dump").splitlines()
                if line.startswith("Acquire::") and "IndexTargets" not in line and not line.endswith(' "";')]
    (sources / "apt.conf.d/99machine").write_text("\n".join(settings) + "\n")
    certificates = pathlib.Path("/usr/local/share/ca-certificates")
    if certificates.is_dir():
        shutil.copytree(certificates, debian / "usr/local/share/ca-certificates", dirs_exist_ok=True)


def carry_npm_settings(debian):
    lines = []
    if shutil.which("npm"):
        files = [output_of("npm", "config", "get", "globalconfig").strip(), os.path.expanduser("~/.npmrc")]
        for file in filter(os.path.exists, files):
            lines += [line for line in pathlib.Path(file).read_text().splitlines()
                      if not line.startswith(("prefix", "cache", "nodedir"))]
    npmrc = debian / HOME[1:] / ".npmrc"
    npmrc.touch(0o600)
    npmrc.write_text("\n".join(lines) + "\n")
    os.chown(npmrc, UID, UID)


def carry_checkout(debian):
    """The checkout as it is, changes included, without what Git ignores."""
    target = debian / HOME[1:] / "holdfast"
    target.mkdir()
    files = subprocess.run([*GIT, "ls-files", "-coz", "--exclude-standard"], check=True, capture_output=True).stdout
    present = b"\0".join(name for name in files.split(b"\0") if name and (ROOT / os.fsdecode(name)).exists())
    packed = subprocess.run(["tar", "-C", ROOT, "--null", "-T", "-", "-cf", "-"], input=present, check=True,
                            capture_output=True).stdout
    subprocess.run(["tar", "-C", target, "-xf", "-"], input=packed, check=True)
    subprocess.run(["chown", "-R", f"{UID}:{UID}", target], check=True)


def mount_kernel(debian):
    """We are in a mount namespace of our own: all of this is gone when we are."""
    for kind, where, options in (("proc", "proc", ""), ("tmpfs", "dev/shm", "mode=1777"), ("tmpfs", "run", "mode=755")):
        if where == "dev/shm":
            quietly("mount", "--rbind", "/dev", str(debian / "dev"))
            quietly("mount", "--rbind", "/sys", str(debian / "sys"))
        quietly("mount", "-t", kind, *(("-o", options) if options else ()), kind, str(debian / where))
    for name in ("resolv.conf", "hosts"):
        if os.path.exists(f"/etc/{name}"):
            shutil.copy(f"/etc/{name}", debian / "etc" / name)


def make_debian(debian):
    began = time.monotonic()
    uri, keys = mirror()
    proxy = output_of("apt-config", "shell", "proxy", "Acquire::http::Proxy").partition("=")[2].strip().strip("'")
    environment = {**os.environ, **({"http_proxy": proxy} if proxy.startswith("http") else {})}
    quietly("debootstrap", "--variant=minbase", *([f"--keyring={keys}"] if keys.startswith("/") else []), RELEASE,
            str(debian), uri, env=environment, otherwise="debootstrap could not make a Debian here")
    carry_settings(debian)
    mount_kernel(debian)
    inside = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", **network_environment()}
    for command in (("apt-get", "update"), ("apt-get", "install", "-y", "--no-install-recommends", "make", "sudo",
                                            "ca-certificates"),
                    ("useradd", "-m", "-u", str(UID), "-s", "/bin/bash", USER)):
        quietly("chroot", str(debian), *command, env=inside)
    (debian / "etc/sudoers.d/newcomer").write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
    carry_npm_settings(debian)
    say(f"a minimal Debian {RELEASE} with make, sudo and a user: {time.monotonic() - began:.0f} s")


# ---- the newcomer ------------------------------------------------------------------------------------------------

class Newcomer:
    """Types commands in the checkout, in terminals of their own."""

    def __init__(self, debian):
        self.debian = debian
        self.environment = {"HOME": HOME, "USER": USER, "LOGNAME": USER, "SHELL": "/bin/bash", "LANG": "C.UTF-8",
                            "PATH": "/usr/local/bin:/usr/bin:/bin", **network_environment()}

    def command(self, *words):
        return [shutil.which("chroot"), f"--userspec={UID}:{UID}", f"--groups={UID}", str(self.debian), "sh", "-c",
                f'cd {HOME}/holdfast && exec "$@"', "sh", *words]

    def start(self, log, *words):
        return subprocess.Popen(self.command(*words), env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                                stderr=subprocess.STDOUT, start_new_session=True)

    def ask(self, *words):
        return subprocess.run(self.command(*words), env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=30)

    def status(self):
        if not (self.debian / HOME[1:] / "holdfast/build/holdfast").exists():
            return {}
        try:
            return json.loads(self.ask("build/holdfast", "status", "--json").stdout)
        except (ValueError, subprocess.TimeoutExpired):
            return {}

    def wait_until_ready(self, child):
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline and child.poll() is None:
            status = self.status()
            if status.get("state") == "running" and status.get("gateway", {}).get("ready"):
                return True
            time.sleep(1)
        return False

    def processes(self):
        """The newcomer's processes that live: zombies are for the init of this little world."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if path.stat().st_uid == UID and (path / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    found.append(f"{path.name} {(path / 'cmdline').read_bytes().replace(bytes(1), b' ').decode()}")
            except OSError:
                continue
        return found


class Story:
    def __init__(self):
        self.count = self.failed = 0

    def then(self, what, holds, otherwise=""):
        self.count += 1
        if not holds:
            self.failed += 1
            say(otherwise)
        print(f"{'ok' if holds else 'not ok'} {self.count} - {what}", flush=True)
        return holds


def last_lines(path, count=40):
    return "\n".join(path.read_text(errors="replace").splitlines()[-count:])


def run_and_end(story, newcomer, log_path, what):
    """One `make run` from the first line to Ctrl-C."""
    began = time.monotonic()
    with open(log_path, "w", encoding="utf-8") as log:
        child = newcomer.start(log, "make", "run")
    ready = newcomer.wait_until_ready(child)
    story.then(f"make run: {what}", ready, last_lines(log_path))
    say(f"ready {time.monotonic() - began:.0f} s after \"make run\"")
    if ready:
        seen = newcomer.ask("build/holdfast", "status")
        story.then("build/holdfast status says that it is well", seen.returncode == 0,
                   f"exit code {seen.returncode}\n{seen.stdout}{seen.stderr}")
        say(seen.stdout)
    # Ctrl-C, as a terminal sends it: to everything in the foreground.
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGINT)
    deadline = time.monotonic() + END_TIMEOUT_S
    while newcomer.processes() and time.monotonic() < deadline:
        time.sleep(0.2)
    left = newcomer.processes()
    story.then("Ctrl-C ends it, and nothing is left behind", not left, "\n".join(left) + "\n" + last_lines(log_path))
    return ready


def inside(debian):
    if (debian / HOME[1:]).is_dir():
        mount_kernel(debian)
        shutil.rmtree(debian / HOME[1:] / "holdfast", ignore_errors=True)
    else:
        make_debian(debian)
    carry_checkout(debian)
    newcomer, story = Newcomer(debian), Story()
    if run_and_end(story, newcomer, debian / "first.log", "fetches what is missing, builds, and the gateway is ready"):
        seen = newcomer.ask("build/holdfast", "status")
        story.then("status then says that nothing runs, with exit code 3", seen.returncode == 3,
                   f"exit code {seen.returncode}\n{seen.stdout}{seen.stderr}")
        run_and_end(story, newcomer, debian / "second.log", "a second time it only starts")
    print(f"1..{story.count}")
    return 1 if story.failed else 0


def missing_need():
    """Why this test cannot be done here, or None."""
    if os.geteuid() != 0:
        return "needs root, to make a Debian of its own"
    for tool in ("debootstrap", "unshare", "apt-get", "git"):
        if not shutil.which(tool):
            return f"needs {tool}"
    if subprocess.run([*GIT, "rev-parse"], capture_output=True).returncode != 0:
        return "needs a git checkout"
    if subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode != 0:
        return "this machine allows no namespaces"
    if shutil.disk_usage("/var/tmp").free < DISK_BYTES:
        return "needs 4 GB in /var/tmp"
    return None


def main():
    if sys.argv[1:2] == ["inside"]:
        return inside(pathlib.Path(sys.argv[2]))
    if missing := missing_need():
        print(f"1..0 # SKIP {missing}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    keep = sys.argv[2] if sys.argv[1:2] == ["--keep"] else None
    # Only root gets as far as this: the Debian below it holds this machine's settings for npm.
    scratch = keep or tempfile.mkdtemp(prefix="newcomer-", dir="/var/tmp")
    debian = os.path.join(scratch, "debian")
    os.makedirs(debian, exist_ok=True)
    try:
        return subprocess.run([*NAMESPACES, "sh", "-c", '"$@"; exit $?', "sh", sys.executable, __file__, "inside",
                               debian]).returncode
    finally:
        if not keep:
            subprocess.run(["rm", "-rf", "--one-file-system", scratch])


sys.exit(main())
