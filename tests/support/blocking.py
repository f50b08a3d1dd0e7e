"""A real OpenClaw that blocks its event loop when it is told to (tests/support/block.cjs)."""

import contextlib
import json
import os
import sqlite3

from openclaw_home import Home
from system import ROOT, expect, wait_for

PRELOAD = ROOT / "tests/support/block.cjs"
SETTLE_S = 70  # two intervals of the default settings, and some


class Blocked:
    def __init__(self, place, settings=None):
        self.place = place
        self.orders = place.root / "blocks"
        self.orders.mkdir()
        self.home = Home(place, settings=settings)
        place.environment.update(NODE_OPTIONS=f"--require={PRELOAD}", TEST_BLOCK=str(self.orders))
        os.mkfifo(self.orders / "fifo")
        self.database = sqlite3.connect(self.orders / "state.sqlite", isolation_level=None, check_same_thread=False)
        self.starts = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.database.close()
        self.home.model.close()

    def run(self):
        self.starts.append(self.home.run())

    def settled(self, seconds=SETTLE_S):
        """Proved to be well, with all its senses."""
        def seen():
            health = self.place.status()["health"]
            return health["state"] == "live" and health["webSocket"] == "WSOK" and health["answeredAt"]
        self.place.wait_for(seen, "gateway that is well and ticks", seconds)

    def block(self, way, phase_s, seconds=None):
        """Waits for that moment after a probe (None: for none); returns the time of the first blocked millisecond."""
        target = {"readFifo": "fifo", "lockDatabase": "state.sqlite"}.get(way)
        (self.orders / "began").unlink(missing_ok=True)
        (self.orders / "ended").unlink(missing_ok=True)
        order = {"way": way, **({"phaseMs": int(phase_s * 1000)} if phase_s is not None else {}),
                 **({"seconds": seconds} if seconds else {}),
                 **({"object": str(self.orders / target)} if target else {})}
        part = self.orders / "order.new"
        part.write_text(json.dumps(order))
        part.rename(self.orders / "order")
        began = wait_for(lambda: (self.orders / "began").exists() and
                         json.loads((self.orders / "began").read_text()), "the block's first moment", SETTLE_S)
        expect(phase_s is None or abs(began["phaseMs"] - phase_s * 1000) < 500, "phase", began)
        return began["at"] / 1000

    def holding(self, way):
        """What another process has to hold for this way to block."""
        holds = contextlib.ExitStack()
        if way == "lockDatabase":
            self.database.execute("BEGIN EXCLUSIVE")
            holds.callback(self.database.execute, "ROLLBACK")
        return holds
