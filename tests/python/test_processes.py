"""One process among others: import, fork, exit with live views, leaks, a new daemon."""

import textwrap

import pytest
from conditions import eventually
from device_memory import HOST_ONLY, ON_GPU

pytestmark = pytest.mark.skipif(ON_GPU, reason=HOST_ONLY)

QUIET = textwrap.dedent("""
    import numpy as np, nvcv_cached as nvcv
    def made(n): return nvcv.Tensor((n, 64), np.uint8, "HW")
""")


def run(script, code, **kwargs):
    result = script(QUIET + textwrap.dedent(code), **kwargs)
    assert result.returncode == 0, result.stderr
    return result


def test_import_connects_to_nothing(script, served, tmp_path):
    result = run(
        script,
        """
        import os
        sockets = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                   if os.path.exists(f"/proc/self/fd/{fd}")]
        print(any(name.startswith("socket:") for name in sockets))
        print(nvcv.cache_size(), nvcv.current_cache_size_inbytes(), nvcv.stats()["hits"], nvcv.device().kind)
        """,
        NVCV_CACHED_ADDRESS=str(tmp_path / "none.sock"),
        NVCV_CACHED_AUTOSTART="1",
        NVCV_CACHED_DAEMON="/bin/false",
    )
    assert result.stdout.split() == ["False", "0", "0", "0", "host"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "code",
    [
        "kept = made(5)",
        "kept = np.asarray(made(6))",
        "kept = np.from_dlpack(made(7))",
        "kept = made(8).cuda()",
        "kept = made(9).__dlpack__()",
        "kept = memoryview(made(10))",
        "import builtins; builtins.kept = np.asarray(made(11))",
        "import sys; sys.kept = [made(12)]; sys.kept.append(sys.kept)",
        "import threading; threading.Thread(target=lambda: made(13)).start()",
        "import os, sys; kept = made(14); sys.stdout.flush(); os._exit(0)",
        "raise SystemExit(0) if made(15) else 1",
    ],
)
def test_exit_with_live_objects_is_quiet(script, served, code):
    result = run(script, code, NVCV_CACHED_LEAK_WARNINGS="0")
    assert (result.stdout, result.stderr) == ("", "")
    eventually(lambda: len(served.sessions()) <= 1, "the session is gone")


def test_exit_while_a_thread_waits_is_quiet(script, workshop):
    """Python before 3.14 unwinds threads that want the GIL back after main() has returned."""
    daemon = workshop.daemon()
    code = """
import threading, numpy as np, nvcv_cached as nvcv
nvcv.Tensor((8, 8), np.uint8)
def ask():
    while True:
        nvcv.cache_size()
for _ in range(4):
    threading.Thread(target=ask, daemon=True).start()
"""
    for _ in range(10):
        result = script(code, daemon=daemon, NVCV_CACHED_LEAK_WARNINGS="0")
        assert (result.returncode, result.stderr) == (0, "")


def test_first_objects_on_many_threads_at_once(script):
    """What the first one imports lets the GIL go while the others come."""
    result = script(
        """if True:
        import threading
        import nvcv_cached as nvcv
        start, made = threading.Barrier(8), []
        def first():
            start.wait()
            made.append(nvcv.Tensor((4, 4), "u1", "HW"))
        threads = [threading.Thread(target=first) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(len(made))
        """
    )
    assert (result.stdout, result.stderr) == ("8\n", "")


def test_a_tensor_of_new_alone_is_refused(script):
    result = run(
        script,
        """
        try: memoryview(nvcv.Tensor.__new__(nvcv.Tensor))
        except BufferError as error: print(error)
        """,
    )
    assert "never initialised" in result.stdout


def test_nothing_leaks(script):
    result = run(
        script,
        """
        import gc
        for n in range(1, 200):
            tensor = made(n % 7 + 1)
            views = [np.asarray(tensor), np.from_dlpack(tensor), memoryview(tensor), tensor.cuda(), tensor.__dlpack__()]
            try: nvcv.Tensor((n,), "u1", "HW")
            except ValueError: pass
            try: nvcv.Tensor([n], "u1")
            except TypeError: pass
            nvcv.Type(np.uint8), nvcv.Type._2U8, nvcv.TensorLayout("NHWC") == "NHWC", hash(nvcv.TensorLayout.HWC)
        del tensor, views
        gc.collect()
        assert nvcv.stats()["cache_items"] <= 35
        """,
        NVCV_CACHED_LEAK_WARNINGS="1",
    )
    assert result.stderr == ""


def test_the_leak_check_sees_a_leak(script):
    result = run(script, "import ctypes; t = made(3); ctypes.pythonapi.Py_IncRef(ctypes.py_object(t))")
    assert "leaked 1 instances" in result.stderr


def test_references_do_not_grow(script):
    result = run(
        script,
        """
        import gc, sys
        def round():
            for _ in range(200):
                tensor = made(4)
                np.asarray(tensor); np.from_dlpack(tensor); tensor.shape; tensor.dtype; tensor.layout; tensor.cuda()
                try: nvcv.Tensor((4, "x"), np.uint8)
                except ValueError: pass
        round(); gc.collect(); before = sys.getallocatedblocks()
        for _ in range(5): round()
        gc.collect()
        print(sys.getallocatedblocks() - before)
        """,
    )
    assert int(result.stdout) < 100


def test_a_forked_child_gets_an_error_and_harms_nobody(script, served):
    result = run(
        script,
        """
        import os, sys
        mine = made(20)
        view = np.asarray(mine)
        view[...] = 5
        child = os.fork()
        if child == 0:
            refused = 0
            for use in (lambda: made(20), lambda: np.asarray(mine), nvcv.clear_cache, nvcv.stats):
                try: use()
                except nvcv.Forked as error:
                    refused += "spawn" in str(error) and error.code == "FORKED"
            good = refused == 4 and (view == 5).all()  # the memory itself is still there
            del mine, view  # inert
            sys.exit(0 if good else 2)  # the interpreter's whole way out
        assert os.waitpid(child, 0)[1] == 0
        assert (view == 5).all() and nvcv.cache_size() == 1
        del mine, view
        print(np.asarray(made(20))[0, 0], nvcv.cache_size())
        """,
    )
    assert result.stdout.split() == ["5", "1"]


def test_multiprocessing_by_spawn_works(script, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        QUIET
        + textwrap.dedent("""
        import multiprocessing, runpy
        def work(n):
            view = np.asarray(made(n)); view[...] = n
            return int(view.sum())
        if __name__ == "__main__":
            mine = made(3)
            with multiprocessing.get_context("spawn").Pool(2) as pool:
                print(pool.map(work, [1, 2, 3, 4]) == [64 * n * n for n in (1, 2, 3, 4)])
        """)
    )
    result = script(f"import runpy; runpy.run_path({str(program)!r}, run_name='__main__')")
    assert result.stdout.strip() == "True", result.stderr


def test_a_fork_before_the_first_object_is_fine(script):
    result = run(
        script,
        """
        import os
        child = os.fork()
        made(5)
        if child: print(os.waitpid(child, 0)[1])
        """,
    )
    assert result.stdout.split() == ["0"]


def test_L3_a_new_daemon_is_found(script, workshop):
    daemon = workshop.daemon()
    process = script.start(
        QUIET
        + textwrap.dedent("""
        import sys, time
        held = made(30); np.asarray(held)[...] = 9
        print("up", flush=True)
        while nvcv.stats(scope="daemon")["cache_items"] != 0: pass
        print("gone", flush=True)
        end = time.monotonic() + 30
        while True:
            try: made(31); break
            except (nvcv.Unavailable, nvcv.DeadlineExceeded):
                assert time.monotonic() < end
        print((np.asarray(held) == 9).all(), nvcv.cache_size(), flush=True)
        """),
        daemon=daemon,
        NVCV_CACHED_TIMEOUT="1s",
    )
    try:
        assert process.stdout.readline() == "up\n", process.stderr.read()
        daemon.kill()
        daemon.start()
        rest, errors = process.communicate(timeout=60)
        assert rest.splitlines()[-1] == "True 1", (rest, errors)
    finally:
        process.kill()


def test_other_threads_run_while_one_waits(script, workshop):
    """The GIL is given up in a wait: a stopped daemon stops the thread that asks it, and no other."""
    daemon = workshop.daemon()
    code = QUIET + textwrap.dedent(f"""
        import os, signal, threading
        made(5)
        os.kill({daemon.process.pid}, signal.SIGSTOP)
        ticks, waiting = 0, threading.Event()
        def wait():
            waiting.set()
            try: made(77)
            except nvcv.DeadlineExceeded: pass
        thread = threading.Thread(target=wait)
        thread.start(); waiting.wait()
        while thread.is_alive(): ticks += 1
        os.kill({daemon.process.pid}, signal.SIGCONT)
        print(ticks)
    """)
    result = script(code, daemon=daemon, NVCV_CACHED_TIMEOUT="500ms")
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 1000
