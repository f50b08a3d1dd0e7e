#!/usr/bin/env python3
"""The real programs with a generic gateway: a runtime record or lock that lies, and runtime directories that fail.

Usage: generic_record_test.py [WORD...]: only the tests whose names contain one of the words.
BUILD_DIRECTORY says which build is tried (default: build). Prints TAP.
"""

import os
import pathlib
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from system import Skip, expect, expect_equal, is_alive, kill, main, test, wait_for

# struct record (process/record.h)
UID, CHECKSUM, INSTANCE, BOOT_ID, GATEWAY = 12, 16, 24, 32, 88


def checksum(record):
    value = 0xcbf29ce484222325
    for (word,) in struct.iter_unpack("=Q", record[INSTANCE:]):
        value = (value ^ word) * 0x100000001b3 & 0xffffffffffffffff
    return value


def write_record(place, record, sums_up=True):
    if sums_up:
        record[CHECKSUM:CHECKSUM + 8] = struct.pack("=Q", checksum(record))
    (place.runtime_dir / "record").write_bytes(record)


def given_a_gateway_without_a_supervisor(place):
    supervisor = place.run_ready()
    gateway = place.pid()
    place.wait_workers()
    supervisor.kill()
    supervisor.wait()
    record = bytearray((place.runtime_dir / "record").read_bytes())
    expect_equal(struct.unpack_from("=i", record, GATEWAY)[0], gateway, "the test knows the record's layout")
    expect_equal(struct.unpack_from("=Q", record, CHECKSUM)[0], checksum(record), "and its checksum")
    return gateway, record


def then_it_is_adopted(place, gateway, before, refused):
    place.run_ready()
    expect_equal(place.pid(), gateway, "adopted")
    expect_equal(place.starts(), [gateway], "starts")
    kinds = place.kinds(before)
    expect("gateway.adopted" in kinds and ("record.refused" in kinds) == refused, kinds)
    place.end()
    place.expect_nothing_left()


LIES = {
    "another boot": lambda record: record.__setitem__(slice(BOOT_ID, BOOT_ID + 8), b"00000000"),
    "another user": lambda record: record.__setitem__(slice(UID, UID + 4), struct.pack("=I", 4711)),
    "another instance": lambda record: record.__setitem__(INSTANCE, record[INSTANCE] ^ 1),
    "another version": lambda record: record.__setitem__(4, record[4] + 1),
}


@test("a record of another boot, user, instance or version is refused and told; the gateway that lives is adopted")
def another(place):
    for lie, change in LIES.items():
        gateway, record = given_a_gateway_without_a_supervisor(place)
        change(record)
        write_record(place, record)
        before = place.last_event_on_disk()
        try:
            then_it_is_adopted(place, gateway, before, refused=True)
        except AssertionError as error:
            raise AssertionError(f"{lie}: {error}") from error
        (place.root / "starts").unlink(missing_ok=True)


@test("a record that is cut short, damaged or empty is not believed; the gateway that lives is adopted")
def damaged(place):
    for lie in ("cut", "damaged", "empty"):
        gateway, record = given_a_gateway_without_a_supervisor(place)
        if lie == "damaged":
            record[GATEWAY] ^= 1
        write_record(place, {"cut": record[:100], "empty": record[:0]}.get(lie, record), sums_up=False)
        then_it_is_adopted(place, gateway, place.last_event_on_disk(), refused=lie != "empty")
        (place.root / "starts").unlink(missing_ok=True)


@test("a record whose pid is another process's by now touches that one not; the gateway that lives is adopted")
def pid_reused(place):
    gateway, record = given_a_gateway_without_a_supervisor(place)
    with subprocess.Popen(["sleep", "1000"]) as innocent:
        try:
            record[GATEWAY:GATEWAY + 4] = struct.pack("=i", innocent.pid)
            write_record(place, record)
            then_it_is_adopted(place, gateway, place.last_event_on_disk(), refused=False)
            expect(innocent.poll() is None, "an innocent process was ended")
        finally:
            innocent.kill()


@test("a record whose gateway is gone and whose pid is another process's: that one is not adopted and not touched")
def gone_and_reused(place):
    gateway, record = given_a_gateway_without_a_supervisor(place)
    kill(gateway)
    with subprocess.Popen(["sleep", "1000"]) as innocent:
        try:
            record[GATEWAY:GATEWAY + 4] = struct.pack("=i", innocent.pid)
            write_record(place, record)
            place.run()
            place.wait_ready(other_than=gateway)
            expect(place.pid() != innocent.pid, "adopted")
            place.end()
            expect(innocent.poll() is None, "an innocent process was ended")
        finally:
            innocent.kill()


@test("a stale lock, whatever it says, keeps nobody out")
def stale_lock(place):
    place.state_dir.mkdir(mode=0o700)
    for text in (f"{os.getpid()}\n", "1\n", "", "x" * 10000, "-7\n"):
        (place.state_dir / "owner.lock").write_text(text)
        place.run_ready()
        place.end()


@test("a full tmpfs: the gateway of a killed supervisor is adopted all the same, its end is noticed and mended")
def full(place):
    if os.geteuid() != 0:
        raise Skip("a file system of its own needs root")
    place.runtime_dir.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", str(place.runtime_dir)], check=True)
    place.mounts.append(place.runtime_dir)
    gateway, _ = given_a_gateway_without_a_supervisor(place)
    with open(place.runtime_dir / "ballast", "wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
    place.run_ready()
    expect_equal(place.pid(), gateway, "adopted")
    kill(gateway)
    place.wait_ready(other_than=gateway)
    place.wait_event("gateway.recovered")
    expect_equal(place.end(), 0, "exit status")


@test("a runtime directory deleted again and again: commands, adoption and console go on, and nothing is started twice")
def deleted(place):
    supervisor = place.run_ready()
    gateway = place.pid()
    for number in range(3):
        place.wait_workers()
        before = place.last_event()
        # It may be made anew already while rm is at work.
        subprocess.run(["rm", "-rf", str(place.runtime_dir)], check=False, stderr=subprocess.DEVNULL)
        place.wait_for(lambda: place.command("status").returncode == 0, "status")
        place.wait_event("runtime.restored", before)
        place.tell(f"echo after {number}")
        place.wait_for(lambda: f"after {number}" in (place.state_dir / "console.log").read_text(), "console")
    place.wait_workers()
    supervisor.kill()
    supervisor.wait()
    place.tell("echo while nobody supervises")
    place.run_ready()
    expect_equal(place.pid(), gateway, "adopted")
    place.tell("echo at last")
    log = place.state_dir / "console.log"
    place.wait_for(lambda: "at last" in log.read_text() and "while nobody" in log.read_text(), "console")
    expect_equal(place.starts(), [gateway], "starts")


@test("supervisor dead and directory gone: the workers it left end by themselves once another does without them")
def workers_left(place):
    supervisor = place.run_ready()
    workers = place.wait_workers()
    supervisor.kill()
    supervisor.wait()
    subprocess.run(["rm", "-rf", str(place.runtime_dir)], check=True)
    place.run_ready()
    wait_for(lambda: not any(is_alive(pid) for pid in workers.values()), "end of the workers that were left")
    place.wait_workers()
    place.wait_for(place.api_answers, "HTTP interface")


if __name__ == "__main__":
    sys.exit(main())
