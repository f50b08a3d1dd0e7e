#!/usr/bin/env python3
"""A channel of the real OpenClaw 2026.9.6 dies while the gateway is well: it is restarted, and the gateway is not.

The channel is a bot of Telegram's, whose server is a stand-in on loopback. When that refuses the bot's token for a while,
OpenClaw gives the channel up for good. Beside it are a bot that is disabled, and one that somebody stops. And somebody writes
to a bot whose model hangs: a run of which the gateway tells nobody who has not asked.

Usage: channels_openclaw_test.py. BUILD_DIRECTORY says which build is tried (default: build). Needs OpenClaw 2026.9.6 in
.local (tools/install-openclaw). A minute; LONG=1 waits for the hung run too, eight minutes. Prints TAP.
"""

import http.server
import json
import os
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
import system
from openclaw_home import NEW, Home
from system import Skip, expect, expect_equal, test, wait_for

LONG = bool(os.environ.get("LONG"))
CONNECTED_S = 60  # it asks its server for a while before it says so
POLL_S = 2        # of the stand-in's long poll
BOT = {"id": 123456, "is_bot": True, "first_name": "Stand-in", "username": "stand_in_bot", "can_join_groups": True,
       "can_read_all_group_messages": False, "supports_inline_queries": False}
PERSON = {"id": 777, "is_bot": False, "first_name": "Somebody"}
CHAT = {"id": PERSON["id"], "type": "private", "first_name": PERSON["first_name"]}
TOKENS = {"default": "123456:" + "A" * 35, "off": "123457:" + "B" * 35, "stopped": "123458:" + "C" * 35}


class Telegram:
    """As much of Telegram's Bot API as a bot asks for to which somebody writes now and then."""

    def __init__(self):
        self.refused = set()  # tokens
        self.unread = []
        self.written = self.sent = 0
        telegram = self

        class Caller(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.do_POST()

            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                bot, _, method = self.path.strip("/").partition("/")
                is_refused = telegram.waits(bot) if method.startswith("getUpdates") else telegram.refuses(bot)
                answer = {"ok": False, "error_code": 401, "description": "Unauthorized"} if is_refused else \
                    {"ok": True, "result": telegram.result_of(method)}
                body = json.dumps(answer).encode()
                self.send_response(401 if is_refused else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # a caller that went away

        self.server = Server(("127.0.0.1", 0), Caller)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def refuses(self, bot):
        return bot.removeprefix("bot") in self.refused

    def waits(self, bot):
        """Until the poll ends, or the bot is refused."""
        until = time.monotonic() + POLL_S
        while time.monotonic() < until and not self.unread and not self.refuses(bot):
            time.sleep(0.05)
        return self.refuses(bot)

    def result_of(self, method):
        name = method.partition("?")[0]
        if name == "getUpdates":
            read, self.unread = self.unread, []
            return read
        if name == "sendMessage":
            self.sent += 1
            return {"message_id": 1000, "date": int(time.time()), "chat": CHAT, "text": ""}
        return {"getMe": BOT, "getWebhookInfo": {"url": "", "pending_update_count": 0}}.get(name, True)

    def write(self, text):
        self.written += 1
        self.unread.append({"update_id": self.written, "message": {
            "message_id": self.written, "date": int(time.time()), "chat": CHAT, "from": PERSON, "text": text}})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Bots(Home):
    def __init__(self, place, telegram, names=tuple(TOKENS), settings=None):
        self.telegram, self.names = telegram, names
        super().__init__(place, NEW, settings)

    def configure(self, **gateway):
        super().configure(**gateway)
        config = json.loads(self.config_file.read_text())
        config["channels"] = {"telegram": {"enabled": True, "accounts": {
            name: {"enabled": name != "off", "botToken": token, "apiRoot": self.telegram.address,
                   "dmPolicy": "allowlist", "allowFrom": [str(PERSON["id"])]}
            for name, token in TOKENS.items() if name in self.names}}}
        self.config_file.write_text(json.dumps(config))

    def ask_gateway(self, method, **parameters):
        with self.client() as client:
            return client.ask(method, parameters)

    def bot(self, name):
        accounts = self.ask_gateway("channels.status", probe=False)["channelAccounts"]["telegram"]
        return next(account for account in accounts if account["accountId"] == name)

    def is_connected(self, name):
        bot = self.bot(name)
        return bot["running"] and bot.get("connected") is True


def channel_events(place):
    return [event for event in place.events() if event["kind"].startswith("channel.")]


@test("a channel that the gateway has given up for good is restarted when its server has it back; the gateway runs on")
def dead_channel(place):
    with Telegram() as telegram, Bots(place, telegram, settings={"health": {"interval": "2s"}}) as home:
        home.run()
        pid = place.pid()
        wait_for(lambda: home.is_connected("default") and home.is_connected("stopped"), "connected bots", CONNECTED_S)
        home.ask_gateway("channels.stop", channel="telegram", accountId="stopped")

        telegram.refused.add(TOKENS["default"])
        wait_for(lambda: home.bot("default")["running"] is False, "bot that was given up")
        expect_equal(home.bot("default")["healthState"], "terminal-disconnect", "the gateway's own word")
        telegram.refused.clear()

        dead = place.wait_event("channel.dead", seconds=30)
        expect(dead["severity"] == "warning" and dead["evidence"]["account"] == "default", dead)
        expect(TOKENS["default"] not in json.dumps(dead), "the bot's token is told")
        place.wait_event("channel.restarted", after=dead["id"])
        recovered = place.wait_event("channel.recovered", after=dead["id"], seconds=CONNECTED_S)
        expect(recovered["evidence"]["account"] == "default" and recovered["evidence"]["tries"] == 1, recovered)
        expect(home.is_connected("default"), home.bot("default"))

        expect(home.bot("stopped")["running"] is False and home.bot("off")["running"] is False,
               home.bot("stopped"), home.bot("off"))
        expect_equal([event["kind"] for event in channel_events(place)],
                     ["channel.dead", "channel.restarted", "channel.recovered"], "what was told of channels")
        expect_equal(place.pid(), pid, "the gateway's pid")
        return f"{recovered['reason']} {dead['reason']}"


@test("a run that came through a channel hangs: it is found by the gateway's log, aborted, and the next message is answered")
def hung_run(place):
    if not LONG:
        raise Skip("LONG=1 waits for it: the gateway's log speaks of it after six minutes")
    with Telegram() as telegram, Bots(place, telegram, ["default"]) as home:
        home.run()
        pid = place.pid()
        wait_for(lambda: home.is_connected("default"), "connected bot", CONNECTED_S)
        home.model.manner = "hang"
        telegram.write("hello")
        wait_for(lambda: home.model.asked == 1, "asked model", CONNECTED_S)
        hung_since = time.monotonic()
        stuck = place.wait_event("session.stuck", seconds=500)
        found_s = time.monotonic() - hung_since
        expect("log" in stuck["evidence"]["witnesses"], stuck)
        place.wait_event("session.recovered", after=stuck["id"])
        home.model.manner = "say"
        telegram.write("and now?")
        wait_for(lambda: telegram.sent, "answer", CONNECTED_S)
        expect_equal(place.pid(), pid, "the gateway's pid")
        return f"found {found_s:.0f} s after its model was asked: {stuck['reason']}"


if __name__ == "__main__":
    sys.exit(system.main(at_once=1))
