"""The seam seen from a test: the plan file that the programs in BUILD/tests/seam map (tests/seam/layer.h).

A plan names one call: by whom, at which place in the code, and which of all that are made there. `armed` counts from
now on, so that a plan does not depend on what was before.
"""

import collections
import mmap
import pathlib
import struct
import subprocess

from system import BUILD

SEAM = BUILD / "tests" / "seam"
HOLDFAST = str(SEAM / "holdfast")

MAGIC = 0x6d61657364657068
CALLS_MAX, NAME_BYTES, PLACES_MAX, ENTRIES_MAX = 96, 24, 8192, 65536
HEAD = struct.Struct("<QII")
PLAN = struct.Struct("<QIIIiIi")
PLACE_BYTES = 16
ENTRY = struct.Struct("<QIiHHI")
NAMES_AT = HEAD.size + PLAN.size
PLACES_AT = NAMES_AT + CALLS_MAX * NAME_BYTES
ENTRIES_AT = PLACES_AT + PLACES_MAX * PLACE_BYTES
FILE_BYTES = ENTRIES_AT + ENTRIES_MAX * ENTRY.size

PROGRAMS = {"holdfast": 1, "holdfast-supervise": 2, "holdfast-sentry": 3, "holdfast-recorder": 4, "holdfast-relay": 5}
TRIAL, SPAWNED = 32, 64
NAME_OF = {number: name for name, number in PROGRAMS.items()}
(NOTHING, KILL_BEFORE, KILL_AFTER, FAIL, FAIL_ON, KILL_PARENT_BEFORE, KILL_PARENT_AFTER) = range(7)
ACTIONS = {KILL_BEFORE: "killed before", KILL_AFTER: "killed after", FAIL: "failed", FAIL_ON: "failed from then on",
           KILL_PARENT_BEFORE: "its parent killed before", KILL_PARENT_AFTER: "its parent killed after"}

Call = collections.namedtuple("Call", "caller place nth call pid")


def caller_name(caller):
    name = NAME_OF[caller & ~(TRIAL | SPAWNED)]
    return name + (" (trial)" if caller & TRIAL else "") + (" (spawned)" if caller & SPAWNED else "")


_places = {}


def describe_places(calls):
    """Fills in where in the source each place is; one run of addr2line for each program."""
    for program in PROGRAMS:
        wanted = sorted({call.place for call in calls
                         if NAME_OF[call.caller & ~(TRIAL | SPAWNED)] == program and (program, call.place) not in _places})
        if not wanted:
            continue
        # The address is the one returned to: the call is before it.
        found = subprocess.run(["addr2line", "-f", "-s", "-e", str(SEAM / program)], text=True, check=True,
                               input="".join(f"{place - 1:#x}\n" for place in wanted), capture_output=True)
        lines = found.stdout.splitlines()
        for place, function, line in zip(wanted, lines[::2], lines[1::2]):
            _places[(program, place)] = f"{line.split(' ')[0]} {function}()"


def describe(call):
    program = NAME_OF[call.caller & ~(TRIAL | SPAWNED)]
    where = _places.get((program, call.place), f"{call.place:#x}")
    return f"{caller_name(call.caller)}: {call.call} at {where}, nth {call.nth}"


class Plan:
    """One file of plan and trace."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.write_bytes(HEAD.pack(MAGIC, 0, 0) + bytes(FILE_BYTES - HEAD.size))
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), FILE_BYTES)
        self.environment = {"WORLD_PLAN": str(self.path)}

    def close(self):
        self.map.close()

    def arm(self, call=None, action=NOTHING, error=0):
        """Counts anew from here; without a call only a trace is made."""
        self.map[HEAD.size:NAMES_AT] = bytes(PLAN.size)
        self.map[PLACES_AT:ENTRIES_AT] = bytes(ENTRIES_AT - PLACES_AT)
        struct.pack_into("<I", self.map, 12, 0)
        if call:
            self.map[HEAD.size:NAMES_AT] = PLAN.pack(call.place, call.caller, call.nth, action, error, 0, 0)

    def fired(self):
        return PLAN.unpack_from(self.map, HEAD.size)[5]

    def fired_pid(self):
        return PLAN.unpack_from(self.map, HEAD.size)[6]

    def disarm(self):
        struct.pack_into("<I", self.map, HEAD.size + 8, 0)

    def names(self):
        count = HEAD.unpack_from(self.map)[1]
        return [self.map[NAMES_AT + i * NAME_BYTES:NAMES_AT + (i + 1) * NAME_BYTES].split(b"\0")[0].decode()
                for i in range(count)]

    def trace(self):
        """All calls since it was armed, oldest first."""
        written = HEAD.unpack_from(self.map)[2]
        if written > ENTRIES_MAX:
            raise AssertionError(f"{written} calls are more than a trace can hold")
        names = self.names()
        calls = []
        for index in range(written):
            place, nth, pid, call, caller, order = ENTRY.unpack_from(self.map, ENTRIES_AT + index * ENTRY.size)
            if order == index + 1:
                calls.append(Call(caller, place, nth, names[call], pid))
        return calls
