"""record_protocol.py OUT: what this build's client and CLI say to their daemon, message by message, for test_protocol.py.

Run it before the protocol changes, so that the next version is held against this one's messages. It stands between
both sides and writes down what passes: [who, method, bytes in hex], who being c or s.
"""

import contextlib
import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import grpc

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

from conditions import BIN, MIB, clean_environment, eventually  # noqa: E402
from daemon import Workshop  # noqa: E402
from wire import Stream, serving  # noqa: E402

COMMANDS = [
    "status",
    "stats",
    "sessions",
    "slabs",
    "leases",
    "limit 32MiB",
    "policy lru",
    "quota none",
    "clear",
    "trim",
]


def pass_on_descriptors(path, behind):
    """The token one way, frames with their descriptors the other."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def run():
        client, _ = listener.accept()
        daemon = socket.socket(socket.AF_UNIX)
        daemon.connect(behind)
        daemon.sendall(client.recv(16))
        while True:
            frame, descriptors, _, _ = socket.recv_fds(daemon, 4096, 1)
            if not frame:
                return
            socket.send_fds(client, [frame], descriptors)

    threading.Thread(target=run, daemon=True).start()


def main(out):
    log, lock = [], threading.Lock()
    workshop = Workshop()
    daemon = workshop.daemon(trim_after="0s")
    behind = str(daemon.socket)
    between = str(daemon.directory / "between.sock")
    channel = grpc.insecure_channel(f"unix:{behind}")

    def note(who, method, data):
        with lock:
            log.append([who, method, data.hex()])

    def said(begin):
        return any(who == "c" and data.startswith(begin) for who, _, data in log)

    def serve(method, messages, context):
        stream = Stream(channel, method)

        def up():
            with contextlib.suppress(grpc.RpcError):  # the process ended, as it should
                for message in messages:
                    note("c", method, message)
                    stream.send(message)
            stream.close()

        threading.Thread(target=up, daemon=True).start()
        while True:
            try:
                answer = stream.receive()
            except StopIteration:
                return
            note("s", method, answer)
            yield answer

    with serving(between, serve):
        pass_on_descriptors(f"{between}.fd", f"{behind}.fd")
        daemon.socket = Path(between)
        probe = daemon.probe("old")
        probe.buffer(MIB)
        probe.call("tensor", "U8", "HWC", 480, 640, 3)
        probe.call("limit", 16 * MIB)
        probe.drop(probe.buffer(20 * MIB))  # above the limit: not cached, so it is returned
        probe.call("bytes", "process")
        probe.drop()
        probe.call("clear")
        eventually(lambda: said("22"), "a slab is unmapped")
        command = [str(BIN / "nvcv-cachectl"), "--address", between, "-o", "json"]
        for words in COMMANDS:
            subprocess.run([*command, *words.split()], check=True, capture_output=True, env=clean_environment())
        probe.start("exit")
        probe.wait()
        eventually(lambda: said("42"), "Goodbye")
    daemon.socket = Path(behind)
    workshop.close()
    workshop.remove()
    Path(out).write_text("[\n" + ",\n".join(json.dumps(entry) for entry in log) + "\n]\n")


if __name__ == "__main__":
    main(sys.argv[1])
