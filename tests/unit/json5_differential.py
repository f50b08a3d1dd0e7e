#!/usr/bin/env python3
"""Compares our JSON5 parser with the json5 package of npm. Arguments: the project's root and the dump tool.

JSON5_SEED=N and JSON5_COUNT=N repeat or lengthen a run. Without Node or npm it is skipped, except in CI."""

import os
import pathlib
import random
import shutil
import subprocess
import sys

VERSION = "2.2.3"


def skip(why):
    if os.environ.get("CI") == "true":
        print(f"1..1\nnot ok 1 - {why}: it must not be missing in CI")
        sys.exit(1)
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def package(root):
    """The folder of the json5 package, installed into the ignored .local/ at the first run."""
    place = root / ".local" / "json5"
    folder = place / "node_modules" / "json5"
    if not folder.is_dir():
        if not shutil.which("npm"):
            skip("npm is missing, which would install the json5 package")
        place.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", place, "--no-audit", "--no-fund", "--ignore-scripts", f"json5@{VERSION}"]
        try:
            result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        except subprocess.TimeoutExpired:
            skip("npm could not install the json5 package within a minute")
        if result.returncode != 0 or not folder.is_dir():
            skip("npm could not install the json5 package")
    return folder


def main():
    root, tool = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    node = shutil.which("node")
    if not node:
        skip("node is missing")
    folder = package(root)
    seed = os.environ.get("JSON5_SEED", str(random.randrange(2**32)))
    count = os.environ.get("JSON5_COUNT", "25000")
    script = pathlib.Path(__file__).with_suffix(".mjs")
    sys.exit(subprocess.run([node, script, tool, folder, count, seed], check=False).returncode)


main()
