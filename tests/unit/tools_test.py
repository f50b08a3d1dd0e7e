#!/usr/bin/env python3
"""The tools that judge the project are judged here: each must find what it is there to find."""

import importlib.machinery
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TOOLS = ROOT / "tools"
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def run(*command, **options):
    return subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)


def tree(folder, **files):
    """A source tree: base__bad_c="..." becomes base/bad.c."""
    for name, text in files.items():
        room, _, file = name.partition("__")
        path = pathlib.Path(folder, room, file.replace("_", "."))
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n")
    return folder


def run_tests():
    """tools/run-tests as a module."""
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader("run_tests", str(TOOLS / "run-tests"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_tests", loader))
    loader.exec_module(module)
    return module


def outcome(code, output, is_tap=True, timed_out=0):
    seen = run_tests().Outcome("some test")
    seen.judge(code, timed_out, output, "", is_tap)
    return seen.passed, seen.failed, seen.skipped


@test
def every_line_of_tap_counts(folder):
    assert outcome(1, "1..4\nok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP no root\nok 4 - d\n") == (2, 1, 1)
    assert outcome(0, "ok 1\nok 2 - the plan may come last\n1..2\n") == (2, 0, 0)
    assert outcome(0, "1..0 # SKIP needs root\n") == (0, 0, 1)


@test
def a_test_cannot_fail_in_silence(folder):
    assert outcome(-11, "1..3\nok 1 - then it crashed\n") == (1, 1, 0)
    assert outcome(1, "1..1\nok 1 - a sanitizer spoke at exit\n") == (1, 1, 0)
    assert outcome(0, "") == (0, 1, 0)
    assert outcome(0, "1..1\nok 1\nBail out! the disk is gone\n") == (1, 1, 0)
    assert outcome(-15, "1..1\nok 1\n", timed_out=5) == (1, 1, 0)


@test
def a_program_without_tap_is_judged_by_its_exit_code(folder):
    assert outcome(0, "fine", is_tap=False) == (1, 0, 0)
    assert outcome(77, "", is_tap=False) == (0, 0, 1)
    assert outcome(3, "", is_tap=False) == (0, 1, 0)


# Says when it began and ended; one that is said to meet others ends when as many as that have begun.
SYSTEM_TEST = """\
import pathlib, sys, time
name, wanted = pathlib.Path(sys.argv[0]).stem, {wanted}
print("began", name, file=open("order", "a"))
while open("order").read().count("began") < wanted:
    time.sleep(0.01)
print("ended", name, file=open("order", "a"))
print("1..1\\nok 1")
"""


def order_of_system_tests(folder, *wanted, **tests):
    (pathlib.Path(folder) / "tests/system").mkdir(parents=True)
    for name, begun in tests.items():
        (pathlib.Path(folder) / f"tests/system/{name}.py").write_text(SYSTEM_TEST.format(wanted=begun))
    module = run_tests()
    module.ROOT, module.SYSTEM_TIMEOUT_S, module.meson_tests = pathlib.Path(folder), 20, lambda build: []
    module.install_openclaw = lambda version: module.Outcome(f"OpenClaw {version}")
    seen = [outcome for outcome in module.outcomes(wanted, folder, folder) if not outcome.name.startswith("OpenClaw")]
    assert all((outcome.passed, outcome.failed) == (1, 0) for outcome in seen), [outcome.details for outcome in seen]
    return (pathlib.Path(folder) / "order").read_text().splitlines()


@test
def tests_of_the_real_gateway_run_in_two_lanes_and_the_others_alone(folder):
    # openclaw_test ends when all have begun: the two others of the real gateway go past it, one after the other.
    order = order_of_system_tests(folder, a_test=1, config_fallback_test=4, hang_test=5, openclaw_test=5, z_test=2)
    assert order[:4] == ["began a_test", "ended a_test", "began z_test", "ended z_test"], order
    assert set(order[4:6]) == {"began openclaw_test", "began config_fallback_test"}, order
    assert order.index("ended config_fallback_test") < order.index("began hang_test") < order.index("ended openclaw_test"), order


@test
def words_choose_among_tests_in_lanes_too(folder):
    order = order_of_system_tests(folder, "hang", "a_test", a_test=1, hang_test=2, openclaw_test=99)
    assert order == ["began a_test", "ended a_test", "began hang_test", "ended hang_test"], order


@test
def arrows_that_point_the_right_way_are_silent(folder):
    tree(folder, base__a_h="", config__a_h='#include "base/a.h"', relay__a_h="",
         relay__main_c='#include "relay/a.h"\n#include "config/a.h"\n#include <stdio.h>', tests__a_c='#include "relay/a.h"')
    seen = run(TOOLS / "check-arrows", folder)
    assert (seen.returncode, seen.stdout) == (0, ""), seen.stdout


@test
def arrows_that_point_the_wrong_way_are_named(folder):
    tree(folder, base__a_h="", core__a_h="", relay__a_h="", base__b_c='\n#include "core/a.h"',
         sentry__main_c='#include "relay/a.h"', attic__a_c="", core__b_c='#include "a.h"')
    lines = run(TOOLS / "check-arrows", folder).stdout.splitlines()
    assert len(lines) == 4, lines
    assert any(line.startswith("base/b.c:2: base must not use core") for line in lines), lines
    assert any(line.startswith("sentry/main.c:1: sentry must not use relay") for line in lines), lines
    assert any(line.startswith("attic/") for line in lines), lines
    assert any(line.startswith("core/b.c:1:") for line in lines), lines


@test
def banned_calls_are_found_in_code_and_nowhere_else(folder):
    tree(folder, base__good_c='/* strcpy(a, b) */\nchar *a = "system(1)";\nint x = my_system(1) + it.system(1) + it->rand();')
    seen = run(TOOLS / "check-source", folder)
    assert (seen.returncode, seen.stdout.strip()) == (0, ""), seen.stdout
    tree(folder, base__bad_c="/*\n*/\nint x = atoi (y);")
    assert run(TOOLS / "check-source", folder).stdout.startswith("base/bad.c:3: atoi()")


@test
def ways_round_the_seam_are_found(folder):
    tree(folder, world__world_h="\tCALL(int, mkdir, (const char *path), mkdir(path), -1)", world__world_c="int a = mkdir(b);",
         tests__good_c="int a = mkdir(b);", base__good_c="int a = world_mkdir(b) + it->mkdir(b) + my_mkdir(b);")
    seen = run(TOOLS / "check-source", folder)
    assert (seen.returncode, seen.stdout.strip()) == (0, ""), seen.stdout
    tree(folder, base__bad_c="int a = mkdir (b);\nlong c = syscall(SYS_mkdir, b);\nint d = symlink(b, b);",
         process__clone_c="long c = SYS_mkdir;\nint a = mkdir(b);")
    lines = run(TOOLS / "check-source", folder).stdout.splitlines()
    assert len(lines) == 4, lines
    assert lines[0].startswith("base/bad.c:1: mkdir()") and "world_mkdir()" in lines[0], lines
    assert lines[1].startswith("base/bad.c:2: mkdir()") and lines[2].startswith("base/bad.c:3: symlink()"), lines
    assert lines[3].startswith("process/clone.c:2: mkdir()"), lines


@test
def long_functions_and_files_are_found(folder):
    body = "\ta++;\n"
    tree(folder, base__good_c="void f(void)\n{\n" + body * 60 + "}")
    assert run(TOOLS / "check-source", folder).returncode == 0
    tree(folder, base__bad_c="void f(void)\n{\n" + body * 61 + "}", core__long_c=body * 501)
    lines = run(TOOLS / "check-source", folder).stdout.splitlines()
    assert len(lines) == 2 and "61 lines" in lines[0] and "core/long.c" in lines[1], lines


@test
def nothing_missing_is_silent_and_fast(folder):
    if not shutil.which("dpkg-query"):
        return "this is not a Debian system"
    began = time.monotonic()
    seen = run(TOOLS / "install-needs", "build")
    took = time.monotonic() - began
    assert (seen.returncode, seen.stdout, seen.stderr) == (0, "", ""), seen
    assert took < 1, f"took {took:.3f} s"
    return None


def bare_path(folder, **programs):
    """A PATH with nothing in it but the scripts given."""
    for name, text in programs.items():
        path = pathlib.Path(folder, name.replace("_", "-"))
        path.write_text("#!/bin/sh\n" + text + "\n")
        path.chmod(0o755)
    return {**os.environ, "PATH": folder}


@test
def without_root_and_sudo_one_sentence_says_what_to_do(folder):
    seen = run("/bin/sh", TOOLS / "install-needs", "bench", env=bare_path(
        folder, dpkg_query="echo python3 installed; echo procps installed; exit 1", id="echo 1000"))
    assert seen.returncode == 1 and seen.stdout == "", seen
    assert seen.stderr.count("\n") == 1, seen.stderr
    assert '"apt-get install s6 runit nginx-light haproxy openssl" as root' in seen.stderr, seen.stderr


@test
def another_system_is_told_the_names(folder):
    seen = run("/bin/sh", TOOLS / "install-needs", "build", env=bare_path(folder))
    assert seen.returncode == 1 and "not a Debian system" in seen.stderr and "libsqlite3-dev" in seen.stderr, seen


@test
def unknown_needs_are_a_usage_error(folder):
    assert run(TOOLS / "install-needs", "everything").returncode == 2
    assert run(TOOLS / "install-openclaw").returncode == 2


def main():
    failed = 0
    print(f"1..{len(TESTS)}")
    for number, function in enumerate(TESTS, 1):
        skipped, passed = None, True
        with tempfile.TemporaryDirectory() as folder:
            try:
                skipped = function(folder)
            except AssertionError as wrong:
                passed = False
                print(f"# {wrong!r}")
                print(f"# line {wrong.__traceback__.tb_next.tb_lineno} of {pathlib.Path(__file__).name}")
        failed += not passed
        name = function.__name__.replace("_", " ")
        print(f"{'ok' if passed else 'not ok'} {number} - {name}{f' # SKIP {skipped}' if skipped else ''}", flush=True)
    return 1 if failed else 0


sys.exit(main())
