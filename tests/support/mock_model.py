"""A language model that says what a test wants: OpenAI's chat completions, streamed, on loopback.

How it answers is one of these, and may be changed at any time; `manners` has another for who is asked with its words:
  "say"    a short text at once
  "tool"   asks for the tool `exec` with `command`; once it has the tool's result, a short text
  "slow"   a short text after `delay_s`
  "tell"   word after word until `released` is set; `told` is what it has said so far
  "drip"   a word every `drip_s` until `released` is set
  "hang"   begins to answer and never ends

`last_word` has the time (Unix, in s) at which it last said anything to who is asked with words of `manners`, by these words.
"""

import http.server
import json
import threading
import time


class MockModel:
    def __init__(self, manner="say", command="true", delay_s=5):
        self.manner, self.command, self.delay_s = manner, command, delay_s
        self.manners = {}
        self.last_word = {}
        self.drip_s = 1.0
        self.commands = {}  # for who is asked with these words, instead of `command`
        self.asked = 0
        self.told = ""
        self.released = threading.Event()
        self._closed = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()

    def manner_for(self, messages):
        """The manner, and the words that it is for; None: it is for all others."""
        asked = json.dumps([message.get("content") for message in messages if message.get("role") == "user"])
        return next(((manner, text) for text, manner in self.manners.items() if text in asked), (self.manner, None))

    def command_for(self, messages):
        asked = json.dumps([message.get("content") for message in messages if message.get("role") == "user"])
        return next((command for text, command in self.commands.items() if text in asked), self.command)

    def _handler(model):  # pylint: disable=no-self-argument
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            words = None  # of `manners`, that it is asked with

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
                if not self.path.endswith("/chat/completions"):
                    self.send_error(404)
                    return
                model.asked += 1
                try:
                    if body.get("stream"):
                        self.stream(body)
                    else:
                        self.whole()
                except OSError:
                    pass  # who asked has gone

            def whole(self):
                answer = json.dumps({"id": "1", "object": "chat.completion", "model": "m1",
                                     "choices": [{"index": 0, "finish_reason": "stop",
                                                  "message": {"role": "assistant", "content": "Done."}}],
                                     "usage": USAGE}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def piece(self, delta, finish=None, **more):
                choice = [{"index": 0, "delta": delta, "finish_reason": finish}] if delta is not None else []
                self.say({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m1",
                          "choices": choice, **more})

            def say(self, what):
                text = what if isinstance(what, str) else json.dumps(what)
                self.wfile.write(f"data: {text}\n\n".encode())
                self.wfile.flush()
                if self.words is not None:
                    model.last_word[self.words] = time.time()

            def stream(self, body):
                messages = body.get("messages", [])
                manner, self.words = model.manner_for(messages)
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.close_connection = True
                self.end_headers()
                self.piece({"role": "assistant", "content": ""})
                has_result = any(message.get("role") == "tool" for message in messages)
                if manner == "hang":
                    model._closed.wait()
                    return
                if manner == "slow":
                    model._closed.wait(model.delay_s)
                if manner == "drip":
                    self.tell(model.drip_s)
                elif manner == "tell":
                    self.tell(WORD_EVERY_S)
                elif manner == "tool" and not has_result:
                    # However long it takes: it is waited for, and does not go on in the background.
                    arguments = {"command": model.command_for(messages), "yieldMs": TOOL_WAIT_MS}
                    call = {"name": "exec", "arguments": json.dumps(arguments)}
                    self.piece({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": call}]})
                    self.piece({}, "tool_calls")
                else:
                    self.piece({"content": "Done."})
                    self.piece({}, "stop")
                self.piece(None, usage=USAGE)
                self.say("[DONE]")

            def tell(self, every_s):
                number = 0
                is_last = False
                while not is_last:
                    is_last = model.released.wait(every_s) or model._closed.is_set()
                    word = "end." if is_last else f"word{number} "
                    number += 1
                    self.piece({"content": word})
                    model.told += word
                self.piece({}, "stop")

        return Handler


WORD_EVERY_S = 0.1
TOOL_WAIT_MS = 600000
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
