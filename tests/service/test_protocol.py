"""Protocol N and N-1: what clients and CLIs of another version say, and what they are answered.

protocol_v1.json holds what a client and a CLI of version 1 said (record_protocol.py wrote it); it is played byte by
byte, and answers are read by version 1's field numbers, never by the messages of this build.
"""

import itertools
import json
import mmap
import os
import re
import socket
import struct
from pathlib import Path

import grpc
import pytest
from conditions import DEADLINE, MIB, eventually, fails
from wire import ATTACH, Stream, serving
from wire_format import field, fields

RECORDED = json.loads((Path(__file__).parent / "protocol_v1.json").read_text())
RETURN, CLEAR = 3, 6  # of ClientMessage
WELCOME, GRANT, REFUSAL, RETIRE, LIMIT, CLEARED, COUNTS = range(1, 8)
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture
def channel(daemon):
    with grpc.insecure_channel(f"unix:{daemon.socket}") as made:
        yield made


@pytest.fixture
def daemon(workshop):
    return workshop.daemon(trim_after="0s")


def hello(first, last, version=b"0.9.7"):
    return field(1, field(1, first) + field(2, last) + field(3, version) + field(4, b"other"))


def kind(message):
    """Which member of ClientMessage or ServerMessage it is, and its fields."""
    ((number, (content,)),) = fields(message).items()
    return number, fields(content)


class Table:
    """Version 1's lease table as its client writes it: a slot's word is version (61 bits), REVOKED (1), state (2)."""

    HELD, IDLE, RETURNED, REVOKED = 1, 2, 3, 4
    SLOTS_AT = 64 * (1 + 1024 + 4096)  # header, counters, timelines; each a cache line

    def __init__(self, descriptor):
        self._memory = mmap.mmap(descriptor, 0)

    def release(self, slot, state):
        """What a client's compare-and-swap does with a lease that it holds."""
        at = self.SLOTS_AT + 64 * slot
        (word,) = struct.unpack_from("<Q", self._memory, at)
        if word & 3 == self.HELD:
            struct.pack_into("<Q", self._memory, at, (word >> 3) + 1 << 3 | word & self.REVOKED | state)


def play_session(daemon, channel):
    """The recorded session from Hello to Goodbye; every answer as it was then."""
    stream = Stream(channel, ATTACH)
    answers, slots, table = [], [], None
    waiting = {True: [], False: []}

    def next_answer(retire):
        """The next Retire, or the next of the others: the daemon retires a slab when it likes."""
        while not waiting[retire]:
            came = kind(stream.receive())
            waiting[came[0] == RETIRE].append(came)
        return waiting[retire].pop(0)

    descriptors = socket.socket(socket.AF_UNIX)
    with descriptors:
        for who, method, data in RECORDED:
            message = bytes.fromhex(data)
            if method == ATTACH and who == "c":
                # What was dropped since the message before shows in the table alone.
                number, content = kind(message)
                for slot in content[1][0] if number == RETURN else slots if number == CLEAR else []:
                    table.release(slot, Table.RETURNED if number == RETURN else Table.IDLE)
                stream.send(message)
            elif method == ATTACH:
                expected, then = kind(message)
                number, content = next_answer(expected == RETIRE)
                assert number == expected, (number, expected, content)
                if number not in (WELCOME, RETIRE):
                    assert content[1] == then[1], "the answer to another request"
                if number == WELCOME:
                    descriptors.connect(f"{daemon.socket}.fd")
                    descriptors.sendall(content[6][0])
                    frame, (descriptor,), _, _ = socket.recv_fds(descriptors, 4096, 1)
                    assert frame[:4] == b"\1\0\0\0", "a lease table"
                    table = Table(descriptor)
                    os.close(descriptor)
                if number == GRANT:
                    slots += [fields(lease)[1][0] if 1 in fields(lease) else 0 for lease in content[2]]
                answers.append((number, content))
        stream.close()
    return answers


def test_old_AClientsWholeSessionIsServed(daemon, channel):
    answers = play_session(daemon, channel)
    welcome, *_ = (content for number, content in answers if number == WELCOME)
    assert welcome[1] == [1], "the client's version is spoken"
    assert welcome[4] == [daemon.books().epoch]
    grants = [content for number, content in answers if number == GRANT]
    assert len(grants) == 3
    for grant, asked in zip(grants, [MIB, 480 * 640 * 3, 20 * MIB], strict=True):
        lease = fields(grant[2][0])
        assert lease[5][0] >= asked, "block_bytes"
    assert {number for number, _ in answers} >= {WELCOME, GRANT, LIMIT, COUNTS, CLEARED, RETIRE}
    eventually(lambda: daemon.books().sessions == 0, "its Goodbye is understood", DEADLINE)


def test_old_TheRecordingHasEveryMessageOfAClient():
    said = {next(iter(fields(bytes.fromhex(data)))) for who, method, data in RECORDED if (who, method) == ("c", ATTACH)}
    assert said == set(range(1, 9)), "Hello to Goodbye"


def test_old_EveryQuestionOfACliIsAnswered(daemon, channel):
    daemon.probe("a").buffer(MIB)
    asked = [(method, data) for who, method, data in RECORDED if method != ATTACH and who == "c"]
    assert len({method for method, _ in asked}) >= 9
    for method, data in asked:
        answer = channel.unary_unary(method)(bytes.fromhex(data), timeout=30)
        if method.endswith("/SetLimit"):
            assert fields(answer)[2] == [32 * MIB]
        if method.endswith("/ListSessions"):
            assert fields(fields(answer)[1][0])[4] == [b"a"]
        fields(answer)


@pytest.mark.parametrize("first, last", [(1, 1), (1, 2), (0, 1)])
def test_range_TheHighestCommonVersionIsSpoken(daemon, channel, first, last):
    stream = Stream(channel, ATTACH)
    stream.send(hello(first, last))
    number, content = kind(stream.receive())
    assert number == WELCOME and content[1] == [1]
    stream.close()


@pytest.mark.parametrize(
    "first, last, upgrade",
    [(2, 2, "the daemon, or use an older library"), (0, 0, "this environment's nvcv-cached")],
)
def test_mismatch_TheDaemonSaysBothVersionsAndWhatToDo(daemon, channel, first, last, upgrade):
    stream = Stream(channel, ATTACH)
    stream.send(hello(first, last))
    code, text = stream.status()
    assert code is FAILED_PRECONDITION
    version = re.escape(daemon.books().raw["version"]["daemon"])
    words = rf"daemon {version} speaks protocol 1, library 0\.9\.7 speaks {first}; do: upgrade {upgrade}"
    assert re.fullmatch(words, text), text
    daemon.quiet(sessions=0)


def test_mismatch_AClientOfThisVersionSaysItToItsUser(workshop):
    """A daemon of protocol 3 stands where ours was."""
    daemon = workshop.daemon()
    daemon.terminate()
    text = "daemon 2.0 speaks protocol 3, library 0.1.0 speaks 1; do: upgrade this environment's nvcv-cached"
    calls = itertools.count()

    def serve(method, messages, context):
        assert method == ATTACH
        first = fields(fields(next(messages))[1][0])
        assert (first[1], first[2]) == ([1], [1])
        next(calls)
        context.abort(FAILED_PRECONDITION, text)
        yield b""

    with serving(daemon.socket, serve), fails("VersionMismatch") as caught:
        daemon.probe("a").buffer(MIB)
    assert "speaks protocol 3" in caught.text and "do: upgrade this environment's nvcv-cached" in caught.text
    assert next(calls) == 1, "asked once: the answer would be the same"
