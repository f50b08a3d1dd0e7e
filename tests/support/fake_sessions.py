"""A small model of OpenClaw's sessions, for the fake gateway (fake_gateway.py): runs that begin, write, work in tools, hang and
end, told in events, rows, log lines and, with protocol 3 (2026.2.1), files. What is asked about them goes to the file `asks`, a
JSON object a line.

An order reaches it as `gateway.model`; sessions are named by what follows "agent:main:" in their keys, or by whole keys.
"""

import asyncio
import datetime
import json
import os
import pathlib
import subprocess
import sys
import time
import uuid

AGENT = "agent:main:"
STOP = "[sup] /stop"


class Session:
    def __init__(self, key):
        self.key, self.id = key, str(uuid.uuid4())
        self.run, self.status, self.started_ms = "", "idle", 0
        self.is_hidden = False  # its events are for those connections only that subscribed to it
        self.abort = "obey"  # or "refuse", "claim" (and do nothing), "deny" (that it runs), "mute"
        self.row = {}        # more of its row
        self.seq = 0
        self.tasks = []


def now_ms():
    return int(time.time() * 1000)


class Sessions:
    def __init__(self, gateway, protocol, log=None):
        self.gateway, self.protocol = gateway, protocol
        self.log_file = log
        self.sessions = {}
        self.seq = 0
        self.before_abort = None  # called once with the session that is looked at right before its abort
        self.is_last_look = False # that is what is asked for now
        self.subscribed = set()   # keys of sessions whose hidden events are wanted
        self.directory = pathlib.Path(os.environ.get("OPENCLAW_STATE_DIR", ".")) / "agents/main/sessions"
        gateway.heard = self.heard
        gateway.methods.update({"sessions.list": self.list, "chat.send": self.send})
        if protocol > 3:
            gateway.methods.update({"sessions.describe": self.describe, "sessions.abort": self.abort,
                                    "sessions.subscribe": lambda params: {"subscribed": True},
                                    "sessions.messages.subscribe": lambda params: self.subscribe(params, True),
                                    "sessions.messages.unsubscribe": lambda params: self.subscribe(params, False),
                                    "chat.inject": lambda params: {"ok": True}, "send": lambda params: {"ok": True}})
        else:
            gateway.methods.update({name: lambda params: ValueError("unknown method")
                                    for name in ("sessions.describe", "sessions.abort", "chat.inject")})
            gateway.methods["send"] = lambda params: {"ok": True}

    def heard(self, connection, scopes, method, params):
        with open("asks", "a") as file:
            print(json.dumps({"connection": connection, "scopes": scopes, "method": method, "params": params}), file=file)
        self.is_last_look = "operator.write" in scopes
        key = params.get("key") or params.get("search") or ""
        if self.before_abort and self.is_last_look and method in ("sessions.describe", "sessions.list"):
            call, self.before_abort = self.before_abort, None
            call(self.of(key))
            time.sleep(0.1)  # what it has sent goes over another connection than the answer, and is to be there first

    def of(self, name):
        key = name if name.startswith("agent:") else AGENT + name
        if key not in self.sessions:
            self.sessions[key] = Session(key)
        return self.sessions[key]

    # -- what is told of it

    def tell(self, frame):
        from __main__ import say_text  # the gateway's
        for writer in list(self.gateway.sockets):
            say_text(writer, frame)

    def event(self, name, payload):
        self.seq += 1
        self.tell(json.dumps({"type": "event", "event": name, "payload": payload, "seq": self.seq}, separators=(",", ":")))

    def subscribe(self, params, wanted):
        (self.subscribed.add if wanted else self.subscribed.discard)(params["key"])
        return {"subscribed": wanted, "key": params["key"]}

    def is_mute(self, session):
        return session.is_hidden and session.key not in self.subscribed

    def changed(self, session, **more):
        self.event("sessions.changed", {"sessionKey": session.key, "agentId": "main", **more, "ts": now_ms(),
                                        "session": self.row(session), "status": self.row(session)["status"],
                                        "hasActiveRun": session.status != "idle", "startedAt": session.started_ms})

    def agent(self, session, stream, data, with_id=False):
        session.seq += 1
        if self.is_mute(session):
            return
        payload = {"runId": session.run, "stream": stream, "data": data, "sessionKey": session.key}
        if self.protocol > 3:
            payload["agentId"] = "main"
            if with_id:
                payload["sessionId"] = session.id
        self.event("agent", {**payload, "seq": session.seq, "ts": now_ms()})

    def chat(self, session, state, **more):
        if self.is_mute(session):
            return
        self.event("chat", {"runId": session.run, "sessionKey": session.key, "seq": session.seq, "state": state, **more})

    def log(self, text, subsystem="diagnostic"):
        """As both versions write it; 2026.9.6 says the text once more."""
        name = json.dumps({"subsystem": subsystem}, separators=(",", ":"))
        at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        line = {"0": name, "1": text, "_meta": {"runtime": "node", "logLevelId": 4, "logLevelName": "WARN", "name": name,
                                                "parentNames": ["openclaw"]}, "time": at}
        if self.protocol > 3:
            line.update(hostname="vm", message=text)
        self.log_bytes(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def log_bytes(self, data):
        with open(self.log_file, "ab") as file:
            file.write(data)

    def log_stalled(self, name, age_s=400, recovery="none", key=None):
        session = self.of(name)
        self.log(f"stalled session: sessionId={session.id} sessionKey={key or session.key} state=processing age={age_s}s "
                 "queueDepth=0 reason=active_work_without_progress classification=stalled_agent_run activeWorkKind=model_call "
                 f"lastProgress=model_call:started lastProgressAge={age_s}s recovery={recovery}")

    def log_recovered(self, name):
        """The gateway's own recovery says that it has worked."""
        session = self.of(name)
        self.log(f"stuck session recovery: sessionId={session.id} sessionKey={session.key} age=400s action=abort_embedded_run "
                 "aborted=true drained=true released=0")
        self.log(f"stuck session recovery outcome: status=aborted action=abort_embedded_run sessionId={session.id} "
                 f"sessionKey={session.key} activeWorkKind=embedded_run lane=session:{session.key} aborted=true drained=true "
                 "forceCleared=false released=0")

    # -- what it does

    def hang(self, name, abort="obey", **row):
        """A run that waits for a model, and hears nothing."""
        session = self.of(name)
        session.run, session.started_ms, session.status = str(uuid.uuid4()), now_ms(), "running"
        session.abort = abort
        session.row.update(row)
        session.seq = 0
        if self.protocol > 3:
            self.chat(session, "status", phase="preparing_workspace")
            self.agent(session, "run_status", {"phase": "preparing_workspace"})
        self.agent(session, "lifecycle", {"phase": "start", "startedAt": session.started_ms}, with_id=True)
        if self.protocol > 3:
            self.agent(session, "run_status", {"phase": "starting_model"})
            self.agent(session, "lifecycle", {"phase": "model", "provider": "mock", "model": "m1"}, with_id=True)
        else:
            self.write_line(session, {"type": "message", "message": {"role": "user", "content": "hello"}})
            self.lock(session)
        return session

    def hang_hidden(self, name):
        """The same, of a run that came through a channel."""
        self.of(name).is_hidden = True
        session = self.hang(name)
        self.changed(session, phase="start", runId=session.run)
        return session

    def word(self, name, text="word "):
        session = self.of(name)
        self.agent(session, "assistant", {"text": text, "delta": text, "itemId": "a:1"})
        self.chat(session, "delta", deltaText=text,
                  message={"role": "assistant", "content": [{"type": "text", "text": text}], "timestamp": now_ms()})

    def drip(self, name, every_s=0.3):
        """It writes a word now and then."""
        session = self.hang(name)

        async def write():
            while True:
                await asyncio.sleep(every_s)
                self.word(session.key)
        session.tasks.append(asyncio.get_running_loop().create_task(write()))

    def work(self, name, command=None, call="call_1", tool="exec", title="Exec", abort="obey"):
        """Its run calls a tool, which runs a command, when there is one."""
        session = self.hang(name, abort)
        if command:
            session.process = subprocess.Popen(["sh", "-c", command], start_new_session=True)
        if self.protocol > 3:
            self.agent(session, "item", {"itemId": "tool:" + call, "toolCallId": call, "name": tool, "kind": "tool",
                                         "phase": "start", "title": title, "status": "running", "meta": title,
                                         "startedAt": now_ms()})
        else:
            self.write_line(session, {"type": "message", "message": {"role": "assistant", "content": [
                {"type": "toolCall", "id": call, "name": tool, "arguments": {"command": title}}]}})
        return session

    def worked(self, name, call="call_1", tool="exec"):
        session = self.of(name)
        if self.protocol > 3:
            self.agent(session, "item", {"itemId": "tool:" + call, "toolCallId": call, "name": tool, "kind": "tool",
                                         "phase": "end", "status": "completed", "endedAt": now_ms()})
        else:
            self.write_line(session, {"type": "message", "message": {"role": "toolResult", "toolCallId": call,
                                                                     "content": []}})

    def ask_person(self, name):
        session = self.work(name)
        self.agent(session, "approval", {"phase": "requested", "kind": "exec", "status": "pending", "title": "Approve?",
                                         "itemId": "approval:1", "toolCallId": "call_1"})

    def queue(self, name):
        """It waits for its turn, behind others."""
        session = self.of(name)
        session.run, session.status, session.started_ms = str(uuid.uuid4()), "queued", now_ms()
        self.chat(session, "status", phase="preparing_workspace")
        self.agent(session, "run_status", {"phase": "preparing_workspace"})

    def idle(self, name):
        session = self.of(name)
        session.status, session.run = "idle", ""

    def end(self, name, aborted=False):
        session = self.of(name)
        for task in session.tasks:
            task.cancel()
        session.tasks = []
        if aborted and self.protocol <= 3:
            # Nobody else is told but by the chat, and that is another run's.
            self.write_line(session, {"type": "message", "message": {"role": "assistant", "content": [],
                                                                     "stopReason": "aborted"}})
            session.run = str(uuid.uuid4())
            self.chat(session, "final", message={"role": "assistant", "content": [{"type": "text", "text": "Aborted."}]})
        elif aborted:
            self.chat(session, "aborted")
            self.agent(session, "lifecycle", {"phase": "end", "status": "cancelled", "aborted": True, "stopReason": "rpc",
                                              "startedAt": session.started_ms, "endedAt": now_ms()}, with_id=True)
            self.agent(session, "lifecycle", {"phase": "model", "provider": None, "model": None}, with_id=True)
            self.agent(session, "lifecycle", {"phase": "error", "endedAt": now_ms(), "startedAt": session.started_ms,
                                              "error": "This operation was aborted", "aborted": True,
                                              "stopReason": "aborted"}, with_id=True)
        else:
            self.word(name, "Done.")
            self.agent(session, "lifecycle", {"phase": "end", "stopReason": "stop", "aborted": False,
                                              "endedAt": now_ms(), "startedAt": session.started_ms}, with_id=True)
            self.chat(session, "final", message={"role": "assistant", "content": [{"type": "text", "text": "Done."}]})
        session.status, session.run = "idle", ""
        if self.protocol <= 3:
            (self.directory / f"{session.id}.jsonl.lock").unlink(missing_ok=True)

    # -- the files of 2026.2.1

    def write_line(self, session, line):
        self.directory.mkdir(parents=True, exist_ok=True)
        with open(self.directory / f"{session.id}.jsonl", "a") as file:
            print(json.dumps(line), file=file)

    def lock(self, session):
        with open(self.directory / f"{session.id}.jsonl.lock", "w") as file:
            json.dump({"pid": os.getpid(), "createdAt": datetime.datetime.now(datetime.timezone.utc).isoformat()}, file)

    # -- what it answers

    def row(self, session):
        row = {"key": session.key, "kind": "direct", "sessionId": session.id, "updatedAt": now_ms(),
               "displayName": session.key.rpartition(":")[2], "abortedLastRun": False, **session.row}
        if self.protocol > 3:
            row.update(status={"idle": "done"}.get(session.status, session.status), startedAt=session.started_ms or None,
                       hasActiveRun=session.status != "idle", snapshotAt=now_ms())
        return row

    def list(self, params):
        rows = [self.row(session) for session in self.sessions.values() if params.get("search", "") in session.key]
        at, limit = params.get("offset", 0), params.get("limit", 100)
        return {"ts": now_ms(), "count": len(rows), "sessions": rows[at:at + limit], "hasMore": at + limit < len(rows)}

    def describe(self, params):
        session = self.sessions.get(params["key"])
        return {"session": self.row(session) if session else None}

    def abort(self, params):
        session = self.sessions.get(params["key"])
        if session is None or session.status == "idle" or params.get("runId", session.run) != session.run:
            return {"ok": True, "abortedRunId": None, "status": "no-active-run"}
        return self.answer_abort(session, {"ok": True, "abortedRunId": session.run, "status": "aborted"},
                                 {"ok": True, "abortedRunId": None, "status": "no-active-run"})

    def send(self, params):
        session = self.sessions.get(params["sessionKey"])
        answer = {"runId": params["idempotencyKey"], "status": "started"}
        if session is None or params["message"] != STOP or session.status == "idle":
            return answer
        return self.answer_abort(session, answer, answer)

    def answer_abort(self, session, done, nothing):
        if session.abort == "mute":
            return sys.modules["__main__"].UNANSWERED
        if session.abort == "refuse":
            return ValueError("the session is busy")
        if session.abort == "deny":
            return nothing
        if session.abort == "obey":
            self.end(session.key, aborted=True)
        return done
