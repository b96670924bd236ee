"""Client processes that obey a test line by line: `Probe` is honest, `Liar` is not."""

import base64
import concurrent.futures
import itertools
import json
import signal
import subprocess
import threading

from conditions import (
    BIN,
    DEADLINE,
    FailedError,
    children,
    clean_environment,
    maps,
    stop,
    table_bytes,
)


class LineProcess:
    """A process under line_server.h. `call` waits for the answer, `start` returns a future."""

    def __init__(self, program, log, env=None, **popen):
        self.log = log
        self._stderr = open(log, "ab")
        self.process = subprocess.Popen(
            [str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**clean_environment(), **(env or {})},
            **popen,
        )
        self._numbers = itertools.count(1)
        self._pending = {}
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self):
        return self.process.pid

    def start(self, verb, *args, thread=None):
        number = next(self._numbers)
        future = concurrent.futures.Future()
        with self._lock:
            self._pending[number] = future
        words = [str(number), *([f"@{thread}"] if thread else []), verb, *map(str, args)]
        try:
            self.process.stdin.write((" ".join(words) + "\n").encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            self._fail_all()
        return future

    def call(self, verb, *args, thread=None, timeout=60.0):
        return self.start(verb, *args, thread=thread).result(timeout)

    def _read(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            with self._lock:
                future = self._pending.pop(answer.pop("n"), None)
            if future is None:
                continue
            if "error" in answer:
                future.set_exception(FailedError(answer["error"], answer.get("text", "")))
            else:
                future.set_result(answer)
        self._fail_all()

    def _fail_all(self):
        with self._lock:
            pending, self._pending = list(self._pending.values()), {}
        for future in pending:
            future.set_exception(FailedError("Gone", f"pid {self.pid} ended"))

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """SIGKILL, and waits until the process is reaped."""
        self.process.kill()
        self.process.wait(DEADLINE)

    def stop(self):
        stop(self.pid)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def wait(self, timeout=DEADLINE):
        return self.process.wait(timeout)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
        self._stderr.close()


class Probe(LineProcess):
    """A client through the public C++ API."""

    def __init__(self, daemon, name, **kwargs):
        env = {
            "NVCV_CACHED_ADDRESS": str(daemon.socket),
            "NVCV_CACHED_AUTOSTART": "0",
            "NVCV_CACHED_NAME": name,
            "NVCV_CACHED_TIMEOUT": "5s",
            **kwargs.pop("env", {}),
        }
        super().__init__(BIN / "e2e_probe", daemon.directory / f"{name}.log", env, **kwargs)
        self.name, self.socket = name, daemon.socket

    def buffer(self, size_bytes, count=1, thread=None):
        ids = self.call("buffer", count, size_bytes, thread=thread)["ids"]
        return ids[0] if count == 1 else ids

    def drop(self, *ids, thread=None):
        self.call("drop", *(ids or ["all"]), thread=thread)

    def fill(self, item, seed):
        self.call("fill", item, seed)

    def wrong(self, item, seed):
        """Words of the item that are not the pattern of `seed`."""
        return self.call("check", item, seed)["wrong"]

    def idle(self, size_bytes, thread=None):
        """Leaves one idle lease that has been reused (so that growth does not take it first)."""
        self.call("loop", 2, size_bytes, thread=thread)

    def stats(self, scope="process", thread=None):
        return self.call("stats", scope, thread=thread)

    def thread(self, name):
        self.call("thread", name)
        return name

    def join(self, name):
        self.call("join", name)

    def mapped(self):
        """Bytes of shared memory that this process maps, its lease tables apart."""
        return sum(
            end - begin for begin, end, what in maps(self.pid) if "memfd:" in what and end - begin != table_bytes()
        )

    def fork(self, mode, *args):
        answer = self.call("fork", mode, *args)
        children.append(answer["pid"])
        return answer

    def break_stream(self):
        assert self.call("break", self.socket)["broken"] > 0


class Liar(LineProcess):
    """A client that breaks rules: raw messages, its own lease table, the descriptor socket."""

    def __init__(self, daemon, name="liar"):
        super().__init__(BIN / "e2e_liar", daemon.directory / f"{name}.log")
        self.address = str(daemon.socket)

    def open(self, mute=False, **hello):
        self.call("open", self.address, *(["mute"] if mute else []))
        message = {"protocol_min": 1, "protocol_max": 1, "library_version": "0", "name": "liar", **hello}
        self.send(hello=message)

    def send(self, **message):
        return self.call("send", json.dumps(message, separators=(",", ":")))["sent"]

    def spam(self, count, **message):
        return self.start("spam", count, json.dumps(message, separators=(",", ":")))

    def receive(self, timeout=DEADLINE):
        return self.call("recv", int(timeout * 1000), timeout=timeout + 10)

    def expect(self, kind):
        message = self.receive()
        assert kind in message, message
        return message[kind]

    def status(self):
        """The status that ends the stream, whatever comes before it."""
        while "status" not in (message := self.receive()):
            assert "timeout" not in message
        return message

    def attach(self, **hello):
        """Hello, Welcome and the lease table, as an honest client does."""
        self.open(**hello)
        welcome = self.expect("welcome")
        self.fetch(welcome)
        return welcome

    def fetch(self, welcome):

        token = base64.b64decode(welcome["descriptor_token"]).hex()
        return self.call("fetch", self.address + ".fd", token)

    def acquire(self, size_bytes, request=1, timeout_ms=0, **more):
        self.send(
            acquire={
                "request_id": request,
                "size_bytes": size_bytes,
                "alignment": 1,
                "timeout_ms": timeout_ms,
                "spec": "lie",
                **more,
            }
        )

    def grant(self, size_bytes, request=1, **more):
        """One lease, honestly asked for and granted."""
        self.acquire(size_bytes, request, **more)
        return self.expect("grant")["leases"][0]
