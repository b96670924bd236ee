"""Graphs under capture: what they may not get, and what their process goes on doing meanwhile without ending them."""

import pytest
from workers import WORD, WorkerError, refuses, takes_and_keeps

GLOBAL, THREAD_LOCAL, RELAXED = 0, 1, 2
CAPTURE = """
import ctypes
graph = ctypes.c_void_p()
h = driver.stream()
s = nvcv.as_stream(h)
def begin(mode): driver.StreamBeginCapture(h, mode)
def end(): driver.StreamEndCapture(h, ctypes.byref(graph))
"""


@pytest.mark.parametrize("mode", [GLOBAL, THREAD_LOCAL, RELAXED])
def test_memory_is_not_handed_out_on_a_capturing_stream(mode, roomy, client):
    worker = client(roomy)
    worker(CAPTURE + f"t = tensor(4096)\nbegin({mode})")
    with pytest.raises(WorkerError, match="capturing a graph") as refused:
        worker("with s: pointer(t)")
    assert refused.value.name == "InvalidArgument"
    with pytest.raises(WorkerError, match="capturing a graph"):
        worker("t.record_stream(s)")
    worker("end()")
    worker("with s: pointer(t)")


@pytest.mark.parametrize("mode", [GLOBAL, THREAD_LOCAL, RELAXED])
def test_what_is_released_into_a_capture_is_never_reused(mode, one_block, client):
    worker = client(one_block)
    worker(
        CAPTURE + f"rest = [tensor(BLOCK) for _ in range(15)]\nt = tensor(BLOCK)\nwith s: p = pointer(t)\nbegin({mode})"
    )
    worker(f"driver.fill(p, {WORD}, BLOCK, h)\nwith s: del t\nend()")
    refuses(client(one_block, timeout=0.5))
    worker.kill()
    takes_and_keeps(client(one_block, timeout=20.0))


ELSEWHERE = (
    CAPTURE
    + """
busy, done, lost = threading.Event(), threading.Event(), []
def capture(mode):
    driver.primary_context()
    try:
        begin(mode)
        busy.set(); done.wait(60)
        end()
    except CudaError as error: lost.append(str(error))
    finally: busy.set()
thread = None
def capture_elsewhere(mode):
    global thread
    busy.clear(); done.clear()
    thread = threading.Thread(target=capture, args=(mode,)); thread.start(); busy.wait(30)
def capture_ends():
    done.set(); thread.join()
    return lost
"""
)


@pytest.mark.parametrize("mode", [GLOBAL, THREAD_LOCAL, RELAXED])
def test_a_capture_on_another_thread_goes_on(mode, roomy, client):
    """Acquires (hits and misses), joins, releases, new threads and the flusher do not disturb it."""
    worker = client(roomy)
    worker(ELSEWHERE + f"a, b = nvcv.Stream(), nvcv.Stream()\ncapture_elsewhere({mode})")
    worker(
        "o = nvcv.as_stream(PER_THREAD)\n"
        "for i in range(200):\n    with o:\n        t = tensor(4096 << i % 10); p = pointer(t)\n"
        "        driver.fill(p, 7, 4096, PER_THREAD); del t\n"
        "for i in range(20):\n    with a: t = tensor(4096 << i % 10); p = pointer(t); driver.fill(p, 7, 4096, a.handle)\n"
        "    t.record_stream(b); driver.fill(p, 7, 4096, b.handle); del t\n"
        "in_thread(lambda: pointer(tensor(12345)))\nnvcv.Stream()"
    )
    assert worker("result = capture_ends()") == []


def test_the_first_object_of_a_process_leaves_a_capture_alone(roomy, client):
    """The session, its mappings, the flusher and the lease table's registration begin while another thread captures."""
    worker = client(roomy)
    worker(ELSEWHERE + f"capture_elsewhere({GLOBAL})\nt = tensor(1 << 20); p = pointer(t)")
    worker(f"driver.fill(p, {WORD}, 1 << 20, PER_THREAD); result = capture_ends()")
    assert worker(
        f"driver.StreamSynchronize(PER_THREAD); result = lost + [driver.wrong_words(p, {WORD}, 1 << 20)]"
    ) == [0]


def test_M2_a_block_waits_for_its_work_while_another_thread_captures(one_block, client, gate):
    """Released, handed over to the GPU and taken by another process, all during one capture in global mode."""
    owner = client(one_block)
    owner(
        ELSEWHERE + f"gate = Gate({gate.name!r}); a, b = nvcv.Stream(), nvcv.Stream()\n"
        "rest = [tensor(BLOCK) for _ in range(15)]; t = tensor(BLOCK)\nwith a: p = pointer(t)\nt.record_stream(b)\n"
        f"gate.hold(driver, a.handle); driver.fill(p, {WORD}, BLOCK, a.handle)\ncapture_elsewhere({GLOBAL})\ndel t"
    )
    refuses(client(one_block, timeout=0.5))
    gate.open()
    takes_and_keeps(client(one_block, timeout=20.0))
    assert owner("result = capture_ends()") == []


def test_a_foreign_stream_that_is_current_at_the_release_leaves_a_capture_alone(one_block, client):
    """And so its block passes on. One that is not current takes an event of the whole context: cuda.md, section 1."""
    owner = client(one_block)
    owner(
        ELSEWHERE
        + "rest = [tensor(BLOCK) for _ in range(15)]; t = tensor(BLOCK); o = nvcv.as_stream(driver.stream())\n"
        f"with o: p = pointer(t)\ncapture_elsewhere({GLOBAL})\n"
        f"with o: driver.fill(p, {WORD}, BLOCK, o.handle); del t"
    )
    takes_and_keeps(client(one_block, timeout=20.0))
    assert owner("result = capture_ends()") == []


def test_M2_where_a_capture_forbids_the_contexts_event_the_block_is_kept(one_block, client):
    owner = client(one_block)
    if owner("v = ctypes.c_int(); driver.DriverGetVersion(ctypes.byref(v)); result = v.value") < 12050:
        pytest.skip("this driver has no event of a whole context (12.5 has)")
    owner(
        ELSEWHERE + "rest = [tensor(BLOCK) for _ in range(15)]; t = tensor(BLOCK); h = driver.stream()\n"
        f"t.record_stream(h); capture_elsewhere({GLOBAL})\ndel t\ncapture_ends()"
    )
    refuses(client(one_block, timeout=0.5))
    owner.kill()
    takes_and_keeps(client(one_block, timeout=20.0))
