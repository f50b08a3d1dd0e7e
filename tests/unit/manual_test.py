#!/usr/bin/env python3
"""The manual says what the programs do: every setting, option and kind of event, and nothing else.

Usage: manual_test.py SOURCE_DIRECTORY HOLDFAST. Prints TAP.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT, HOLDFAST = pathlib.Path(sys.argv[1]), sys.argv[2]


def page(name):
    return (ROOT / "doc" / name).read_text()


def holdfast(*arguments):
    with tempfile.TemporaryDirectory() as home:
        environment = {"PATH": os.environ["PATH"], "HOME": home}
        return subprocess.run([HOLDFAST, *arguments], env=environment, capture_output=True, text=True, check=True).stdout


def variable_of(path):
    path = path.removeprefix("gateway.")
    return "HOLDFAST_" + re.sub(r"([A-Z])", r"_\1", path.replace(".", "_")).upper()


def quantity(value):
    """Durations and sizes as numbers, the rest as it is."""
    units = {"ms": 1, "s": 1000, "m": 60000, "h": 3600000, "d": 86400000, "kB": 1000, "MB": 10**6, "GB": 10**9}
    found = re.fullmatch(r"(\d+)([a-zA-Z]*)", str(value))
    return int(found[1]) * units.get(found[2], 1) if found else value


def settings():
    return json.loads(holdfast("check", "--json", "--", "true"))["settings"]


def every_default():
    text, known = page("holdfast.json.5.scd"), settings()
    checked = 0
    for path, told in re.findall(r'^\*([\w.]+)\* \(HOLDFAST_\w+\)\n(?:\t.*\n)*?(?:\t.*)?Default: '
                                 r'("[^"]*"|true|false|[\d.]*\d)\.$', text, re.M):
        checked += 1
        yield quantity(json.loads(told)) == quantity(known[path]["value"]), f"{path}: {told}, not {known[path]['value']}"
    yield checked >= 25, f"only {checked} defaults were found"


def every_setting():
    known = set(settings())
    told = dict(re.findall(r"^\*([\w.]+)\* \((HOLDFAST_\w+)\)$", page("holdfast.json.5.scd"), re.M))
    yield known == set(told), f"only in the table or only in the page: {known ^ set(told)}"
    for path, variable in told.items():
        yield variable == variable_of(path), f"{path}: {variable}"


def every_kind():
    kinds = set()
    for room in ("supervise", "recorder", "sentry"):
        for source in (ROOT / room).glob("*.c"):
            text = source.read_text()
            kinds |= set(re.findall(r'"([a-z]+\.[a-z_]+)",\s+SEVERITY_', text))
            kinds |= set(re.findall(r'events_record\([^"]*\? "([a-z]+\.[a-z_]+)"', text))
            kinds |= set(re.findall(r'\.kind = "([a-z]+\.[a-z_]+)"', text))
            for allowed in re.findall(r"\bkinds\[\] = \{([^}]*)\};", text):
                kinds |= set(re.findall(r'"([a-z]+\.[a-z_]+)"', allowed))
    told = set(re.findall(r"^\*([a-z]+\.[a-z_]+)\*$", page("holdfast-events.7.scd"), re.M))
    yield kinds == told, f"only in the code: {kinds - told}; only in the page: {told - kinds}"


def every_option():
    text = page("holdfast.1.scd")
    commands = re.findall(r"^  ([a-z]+) ", holdfast("help"), re.M)
    for command in commands:
        yield re.search(rf"^\*{command}\*", text, re.M), f"the command {command} is not in the page"
        for option in re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", holdfast("help", command), re.M):
            yield re.search(rf"^\t?(?:\*-\w\*, )?\*{option}\*", text, re.M), f"{command} {option} is not in the page"


TESTS = [("every setting is in holdfast.json(5), with its variable", every_setting),
         ("the defaults are those of holdfast.json(5)", every_default),
         ("every kind of event is in holdfast-events(7)", every_kind),
         ("every command and option is in holdfast(1)", every_option)]


def main():
    failures = 0
    print(f"1..{len(TESTS)}")
    for number, (name, claims) in enumerate(TESTS, 1):
        wrong = [why for right, why in claims() if not right]
        failures += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {number} - {name}")
        for why in wrong:
            print(f"# {why}")
    return failures != 0


sys.exit(main())
