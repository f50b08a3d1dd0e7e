#!/usr/bin/env python3
"""`holdfast relay`: the gateway's providers are led through the relay and back, with stand-ins for gateway and relay.

Usage: relay_cli_test.py BUILD_DIRECTORY [WORD...]. Prints TAP.
"""

import json
import os
import pathlib
import stat
import sys

os.environ["BUILD_DIRECTORY"] = sys.argv.pop(1)
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
import system
from relay_home import CONFIG, PROVIDERS, SECRET, Given
from system import expect, expect_equal, test

def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@test("enable changes the addresses and nothing else; disable puts every byte back")
def _(place):
    given = Given(place)

    told = given.relay("enable")

    expect("mock and anthropic" in told, told)
    mock = given.address("mock")
    expect_equal(given.text(), CONFIG.replace('"https://api.mock.example/v1"', f'"{mock}"').replace(
        "models: [], }, //", "models: [], timeoutSeconds: 390, }, //").replace(
        "\n\t\t},\n\t},", f"\n\t\t\tanthropic: {{ baseUrl: \"{given.address('anthropic')}\", "
        "api: \"anthropic-messages\", apiKey: "
        "\"sk-ant-oat01-held-by-the-holdfast-relay\", timeoutSeconds: 390 },\n\t\t},\n\t},"), "the file")
    expect_equal((mode(given.config), mode(given.copy), mode(given.record)), (0o640, 0o640, 0o600), "modes")
    expect_equal(given.copy.read_text(), CONFIG, "the copy")

    given.relay("disable")
    expect_equal(given.text(), CONFIG, "the file")
    expect(not given.copy.exists() and not given.record.exists(), "something was left")
    expect_equal(mode(given.config), 0o640, "mode")
    expect("does not call any" in given.relay("disable"), "a second time")


@test("enabled twice it is as enabled once; one provider after the other comes back in one go")
def _(place):
    given = Given(place)

    given.relay("enable", "anthropic")
    expect(given.address("mock") not in given.text(), given.text())
    given.relay("enable", "mock")
    both = given.text()
    expect("nothing to change" in given.relay("enable"), "it changed something")

    expect_equal(given.text(), both, "the file")
    given.relay("disable")
    expect_equal(given.text(), CONFIG, "the file")


@test("2026.2.1 gets an empty list of models and no key that it does not know")
def _(place):
    given = Given(place, "2026.2.1")

    given.relay("enable")

    expect(f"anthropic: {{ baseUrl: \"{given.address('anthropic')}\", models: [], apiKey:" in given.text(), given.text())
    expect("timeoutSeconds" not in given.text(), given.text())
    expect("config get models.providers" in given.asked.read_text(), given.asked.read_text())
    given.relay("disable")
    expect_equal(given.text(), CONFIG, "the file")


@test("--dry-run shows the change, no key beside it, and writes nothing")
def _(place):
    given = Given(place, relay=False)
    before = {path: path.stat().st_mtime_ns for path in place.root.iterdir()}

    told = given.relay("enable", "--dry-run")

    expect(given.address("mock") in told and "https://api.mock.example/v1" in told, told)
    expect(SECRET not in told and "the-gateways" not in told and "abcdef" not in told, told)
    expect_equal([line[0] for line in told.splitlines() if line[:1] in "+-"], ["-", "+", "+"], told)
    expect_equal(given.text(), CONFIG, "the file")
    expect({path.name for path in place.root.iterdir()} - {path.name for path in before} <= {"asked"}, "a file was made")

    given = Given(place)
    given.relay("enable")
    told = given.relay("disable", "--dry-run")
    expect(SECRET not in told and given.address("mock") in told, told)
    expect(given.address("mock") in given.text(), "it was disabled")


@test("what the user changes meanwhile stays; what is ours goes")
def _(place):
    given = Given(place)
    given.relay("enable")

    given.config.write_text(given.text().replace("28001", "28002").replace(
        "anthropic: {", "anthropic: { headers: { a: 'b' },"))
    told = given.relay("disable")

    expect("other changes in it stay" in told, told)
    expect_equal(given.text(), CONFIG.replace("28001", "28002").replace(
        "\n\t\t},\n\t},", "\n\t\t\tanthropic: { headers: { a: 'b' }, baseUrl: \"https://api.anthropic.com\" },\n\t\t},\n\t},"),
        "the file")


@test("written anew as JSON by the gateway, with no record and no copy: the addresses go back")
def _(place):
    given = Given(place)
    given.relay("enable")
    given.record.unlink()
    given.copy.unlink()
    given.config.write_text(json.dumps({"models": {"providers": {
        "mock": {"baseUrl": given.address("mock")}, "anthropic": {"baseUrl": given.address("anthropic") + "/"},
        "gone": {"baseUrl": given.address("gone")}}}}, indent=2))

    told = given.relay("disable")

    found = json.loads(given.text())["models"]["providers"]
    expect_equal([found[name]["baseUrl"] for name in found],
                 ["https://api.mock.example/v1/", "https://api.anthropic.com", given.address("gone")], "addresses")
    expect("write its baseUrl yourself" in told, told)
    given.relay("disable", code=1)


@test("a change that the gateway would refuse is not made, nor one nobody can be asked about")
def _(place):
    given = Given(place, config=CONFIG.replace("28001", "28001, REFUSED: 1"))
    before = given.text()

    told = given.relay("enable", code=1)
    expect("Unrecognized key: REFUSED" in told and "Nothing was changed" in told, told)
    (place.root / "openclaw").write_text("#!/bin/sh\nkill -9 $$\n")
    told = given.relay("enable", code=1)
    expect("cannot be asked" in told, told)

    expect_equal(given.text(), before, "the file")
    expect(not given.copy.exists() and not given.record.exists(), "something was left")
    expect(not list(place.root.glob("*holdfast-*ndidate*")), "a trial was left")


@test("without a relay that answers nothing is pointed to it")
def _(place):
    given = Given(place, relay=False)

    told = given.relay("enable", code=1)

    expect("No relay answers" in told, told)
    expect_equal(given.text(), CONFIG, "the file")


@test("what does not fit is refused in one sentence")
def _(place):
    given = Given(place, providers={})
    told = given.relay("enable", code=78)
    expect("holdfast relay import" in told and "relay: { providers:" in told, told)

    other = {"mock": {**PROVIDERS["mock"], "baseUrl": "https://elsewhere.example"}}
    told = Given(place, providers=other).relay("enable", code=1)
    expect("make them the same" in told, told)

    signed = {"amazon-bedrock": {**PROVIDERS["mock"], "api": "bedrock-converse-stream"}}
    told = Given(place, providers=signed).relay("enable", code=1)
    expect("signs its requests" in told, told)

    given = Given(place)
    expect("no relay.providers.other" in given.relay("enable", "other", code=78), "unknown provider")
    expect("takes no arguments" in given.relay("disable", "mock", code=2), "operands")
    expect("wants one of" in given.relay(code=2), "no verb")
    given.config.write_text("{ models: [] }")
    expect("must be an object" in given.relay("enable", code=1), "a list")


@test("links stay links, and a provider in an included file is overridden beside it")
def _(place):
    real = place.root / "dot" / "files.json"
    real.parent.mkdir()
    real.write_text("{\n  models: { $include: './models.json5' },\n}\n")
    (place.root / "models.json5").write_text(
        "{ providers: { mock: { baseUrl: 'https://api.mock.example/v1', apiKey: 'x' } } }")
    given = Given(place, config=None, providers={"mock": PROVIDERS["mock"]})
    given.config.symlink_to(real)

    given.relay("enable")

    expect(given.config.is_symlink(), "no link any more")
    expect_equal(real.read_text(), "{\n  models: { $include: './models.json5', providers: { mock: { baseUrl: "
                 f"\"{given.address('mock')}\", timeoutSeconds: 390 }} }} }},\n}}\n", "the file")
    expect("through the relay" in given.relay("status"), "status")
    given.relay("disable")
    expect_equal(real.read_text(), "{\n  models: { $include: './models.json5' },\n}\n", "the file")


@test("status lists every provider, where it goes and why")
def _(place):
    config = CONFIG.replace("\n\t\t},\n", "\n\t\t\t'amazon-bedrock': { baseUrl: 'https://b.example', "
                            "api: 'bedrock-converse-stream' },"
                            "\n\t\t\tlocal: { baseUrl: 'http://127.0.0.1:1/v1' },\n\t\t},\n", 1)
    given = Given(place, config=config)
    given.relay("enable", "mock")

    told = given.relay("status")
    seen = json.loads(place.done("relay", "status", "--json").stdout)

    expect("The relay answers" in told and "signs its requests" in told and SECRET not in told, told)
    expect_equal(seen["answers"], True, "answers")
    expect_equal({entry["id"]: entry["way"] for entry in seen["providers"]},
                 {"mock": "relay", "amazon-bedrock": "direct", "local": "direct", "anthropic": "direct"}, "ways")
    reasons = {entry["id"]: entry["why"] for entry in seen["providers"]}
    expect("no relay.providers.local" in reasons["local"] and "relay enable anthropic" in reasons["anthropic"], reasons)


@test("import takes over the keys of 2026.2.1, each into a file of its own")
def _(place):
    given = Given(place, "2026.2.1", providers={})
    profiles = place.root / "openclaw-state/agents/main/agent/auth-profiles.json"
    profiles.parent.mkdir(parents=True)
    profiles.write_text(json.dumps({"version": 1, "lastGood": {"anthropic": "anthropic:b"}, "profiles": {
        "anthropic:a": {"type": "api_key", "provider": "anthropic", "key": "sk-ant-api03-AAA"},
        "anthropic:b": {"type": "token", "provider": "anthropic", "token": "sk-ant-oat01-BBB"},
        "mock:x": {"type": "api_key", "provider": "mock", "key": "sk-mock"},
        "nowhere:x": {"type": "api_key", "provider": "nowhere", "key": "sk-nowhere"},
        "amazon-bedrock:x": {"type": "api_key", "provider": "amazon-bedrock", "key": "k"}}}))
    place.settings_file.write_text(place.settings_file.read_text().replace("{", "{ // mine\n", 1))
    before = place.settings_file.read_text()

    told = given.relay("import", "--dry-run")
    expect(not any(key in told for key in ("AAA", "BBB", "sk-mock")), told)
    expect_equal(place.settings_file.read_text(), before, "holdfast.json")
    told = given.relay("import")

    expect(not any(key in told for key in ("AAA", "BBB", "sk-mock")), told)
    expect("nowhere: left out" in told and "amazon-bedrock: left out" in told, told)
    text = place.settings_file.read_text()
    expect(text.startswith("{ // mine\n"), text)
    keys = {path.name: path for path in (place.state_dir / "keys").iterdir()}
    expect_equal({name: (path.read_text(), mode(path)) for name, path in keys.items()},
                 {"anthropic-a": ("sk-ant-api03-AAA", 0o600), "anthropic-b": ("sk-ant-oat01-BBB", 0o600),
                  "mock-x": ("sk-mock", 0o600)}, "keys")
    seen = json.loads(place.done("check", "--json").stdout)["settings"]["relay.providers"]["value"]
    expect_equal([profile["id"] for profile in seen["anthropic"]["profiles"]], ["b", "a"], "the last good one first")
    expect_equal(seen["mock"]["baseUrl"], "https://api.mock.example/v1", "as the gateway has it")
    expect("nothing to import" in given.relay("import"), "a second time")
    given.relay("enable")
    expect("apiKey" not in given.text().split("anthropic: {")[1].split("}")[0], "the gateway has its own credential")


@test("a login stays with the gateway")
def _(place):
    given = Given(place, "2026.2.1", providers={})
    profiles = place.root / "openclaw-state/agents/main/agent/auth-profiles.json"
    profiles.parent.mkdir(parents=True)
    profiles.write_text(json.dumps({"version": 1, "profiles": {
        "anthropic:me": {"type": "oauth", "provider": "anthropic", "access": "SECRET1", "refresh": "SECRET2", "expires": 1}}}))

    told = given.relay("import", "--dry-run")

    expect("a login, which stays with the gateway" in told and '\\"gateway\\"' not in told and '"gateway"' in told, told)
    expect("SECRET" not in told, told)

    given.relay("import")
    seen = json.loads(place.done("check", "--json").stdout)["settings"]["relay.providers"]["value"]
    expect_equal([profile["key"] for profile in seen["anthropic"]["profiles"]], ["gateway"], "its key")
    expect(not (place.state_dir / "keys").exists(), "a key was written")
    given.relay("enable")
    expect("apiKey: \"" not in given.text(), "the gateway's own credential goes through")


@test("where there is nothing to import it says what to do")
def _(place):
    expect("Write relay.providers into holdfast.json yourself" in Given(place).relay("import", code=1), "no profiles")



sys.exit(system.main())
