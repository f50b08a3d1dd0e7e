"""A small gateway that speaks as OpenClaw does (fake_gateway.py), under a Holdfast that looks at it as often as a test
wants, and what both have done."""

import json
import sys

from openclaw_home import TOKEN
from system import ROOT, free_port, wait_for

FAKE = str(ROOT / "tests/support/fake_gateway.py")
# Python for the gateway's loop: what it is asked for, it writes down; and to how many it ticked.
COUNTING = """\
class Counting(dict):
    def get(self, path, default=None):
        with open("asked", "a") as file:
            print(path, file=file)
        return super().get(path, default)
gateway.answers = Counting(gateway.answers)
def tell():
    with open("tick", "a") as file:
        print(len(gateway.sockets), file=file)
later(gateway.every(TICK_MS / 1000, tell))
"""


class LookedAt:
    """It is ready, linked, and has been asked `first_probes` times."""

    def __init__(self, place, health, environment=None, first_probes=10):
        self.place = place
        port, config = free_port(), place.root / "openclaw.json"
        config.write_text(json.dumps({"gateway": {"mode": "local", "auth": {"mode": "token", "token": TOKEN}}}))
        place.environment.update(OPENCLAW_STATE_DIR=str(place.root / "openclaw"), OPENCLAW_CONFIG_PATH=str(config),
                                 **(environment or {}))
        place.settings({"health": health, "gateway": {"kind": "openclaw", "port": port, "stopTimeout": "3s"}})
        place.run_ready(sys.executable, FAKE, str(port))
        place.wait_workers()
        self.order(COUNTING)
        self.wait_count("tick", "1", 1)
        self.wait_count("asked", "/healthz", first_probes)

    def order(self, order):
        part = self.place.root / "order.new"
        part.write_text(order)
        part.rename(self.place.root / "order")
        ordered = self.place.root / "ordered"
        wait_for(ordered.exists, "gateway that takes orders")
        ordered.unlink()

    def count(self, name, word):
        """How often the gateway wrote that word down."""
        try:
            return (self.place.root / name).read_text().split().count(word)
        except FileNotFoundError:
            return 0

    def wait_count(self, name, word, count, seconds=120):
        wait_for(lambda: self.count(name, word) >= count, f"{count} times {word!r} in {name}", seconds)
