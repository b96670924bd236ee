"""The limit, who gives way to it, and threads: NVCV's contract point by point (test_contract.py has the classes)."""

import subprocess
import sys
import time

import numpy as np
import nvcv_cached as nvcv
import pytest
from conditions import clean_environment
from conftest import LIMIT, environment_of
from device_memory import address, contents, fill
from threads import Worker

KIB = 1024
# Of 272 to 440 KiB: none is granted ahead, and none fits another's memory.
SIZES = {height: height * KIB for height in (272, 344, 440)}
LOCAL = nvcv.ThreadScope.LOCAL


def make(height=272):
    return nvcv.Tensor((height, KIB), np.uint8, "HW")


def counts(scope=nvcv.ThreadScope.GLOBAL):
    return nvcv.cache_size(scope), nvcv.current_cache_size_inbytes()


def test_the_limit_is_the_daemons_by_default(script):
    result = script("import nvcv_cached as nvcv; print(nvcv.get_cache_limit_inbytes())")
    assert (result.returncode, result.stdout) == (0, f"{LIMIT}\n"), result.stderr


def test_without_a_daemon_the_limit_is_half_of_the_device(script, tmp_path):
    code = "import nvcv_cached as nvcv; print(nvcv.get_cache_limit_inbytes())"
    result = script(code, NVCV_CACHED_ADDRESS=str(tmp_path / "none.sock"))
    with open("/proc/meminfo") as file:
        total = int(file.readline().split()[1]) * KIB
    assert 0 < int(result.stdout) <= total // 2, result.stderr


def test_a_limit_above_the_device_is_taken_and_the_daemons_is_in_force():
    nvcv.set_cache_limit_inbytes(1 << 60)
    assert nvcv.get_cache_limit_inbytes() == 1 << 60
    held = nvcv.Tensor((LIMIT + 1,), np.uint8)
    assert counts() == (0, 0) and held.shape == (LIMIT + 1,)


def test_a_negative_limit_is_refused_and_changes_nothing():
    nvcv.set_cache_limit_inbytes(12345)
    with pytest.raises(ValueError, match=r"NVCV_ERROR_INVALID_ARGUMENT: .*-1 bytes"):
        nvcv.set_cache_limit_inbytes(-1)
    assert nvcv.get_cache_limit_inbytes() == 12345


COARSE = 6  # CLOCK_MONOTONIC_COARSE: what releases are timed by


def wait_for_the_next_tick():
    begin = time.clock_gettime_ns(COARSE)
    while time.clock_gettime_ns(COARSE) == begin:
        pass


def test_under_policy_lru_the_one_released_first_goes_first():
    nvcv.set_cache_limit_inbytes(SIZES[344] + SIZES[440])
    older, newer = make(272), make(344)
    del older
    wait_for_the_next_tick()
    del newer
    held = make(440)
    assert counts() == (2, SIZES[344] + SIZES[440]), "the one released first had to go"
    before = nvcv.stats()["misses"]
    make(344)
    assert nvcv.stats()["misses"] == before and held.ndim == 2


def test_items_in_use_leave_when_none_is_idle_and_stay_valid():
    nvcv.set_cache_limit_inbytes(2 * SIZES[272])
    held = [make() for _ in range(4)]
    for number, tensor in enumerate(held):
        fill(tensor, number)
    assert counts() == (2, 2 * SIZES[272])
    assert [int(contents(tensor).max()) for tensor in held] == [0, 1, 2, 3]


def test_under_policy_clear_the_cache_is_emptied_at_the_limit(script, workshop):
    daemon = workshop.daemon(limit=3 * SIZES[272], policy="clear")
    code = """if True:
        import numpy as np, nvcv_cached as nvcv
        make = lambda height: nvcv.Tensor((height, 1024), np.uint8, "HW")
        held = [make(272), make(272)]
        make(272)
        print(nvcv.cache_size(), nvcv.current_cache_size_inbytes())
        other = make(344)
        print(nvcv.cache_size(), nvcv.current_cache_size_inbytes())
    """
    result = script(code, daemon=daemon)
    assert result.stdout.split() == ["3", str(3 * SIZES[272]), "1", str(SIZES[344])], result.stderr


def test_idle_items_are_their_threads_and_views_are_local_and_global():
    with Worker() as other:
        other.do(lambda: make() and None)
        assert counts(LOCAL)[0] == 0 and counts() == (1, SIZES[272])
        misses = nvcv.stats()["misses"]
        mine = make()
        assert nvcv.stats()["misses"] == misses + 1 and counts(LOCAL)[0] == 1 and counts() == (2, 2 * SIZES[272])
        assert other.do(lambda: counts(LOCAL)[0]) == 1
        other.do(lambda: nvcv.clear_cache(LOCAL))
        assert counts() == (1, SIZES[272]) and mine.ndim == 2


def test_a_threads_end_leaves_memory_to_the_depot_and_objects_in_use_valid():
    with Worker() as other:
        kept = other.do(lambda: make(344))
        other.do(lambda: (make(272), nvcv.Stream()) and None)
        assert counts() == (3, SIZES[272] + SIZES[344])
    fill(kept, 7)
    assert counts() == (2, SIZES[272] + SIZES[344]), "its stream left with it, its memory did not"
    depot = nvcv.stats()["hits_depot"]
    adopted = make(272)
    assert nvcv.stats()["hits_depot"] == depot + 1 and counts(LOCAL)[0] == 1
    assert (contents(kept) == 7).all() and adopted.ndim == 2


def test_what_another_thread_releases_returns_to_its_makers_cache():
    tensor = make()
    place, box = address(tensor), [tensor]
    del tensor
    with Worker() as other:
        other.do(box.clear)
        assert other.do(lambda: counts(LOCAL)[0]) == 0 and counts(LOCAL)[0] == 1
        assert other.do(lambda: address(make())) != place
        assert address(make()) == place


def test_one_limit_for_all_threads():
    nvcv.set_cache_limit_inbytes(2 * SIZES[272])
    make()
    with Worker() as other:
        held = other.do(lambda: [make(), make()])
        assert counts() == (2, 2 * SIZES[272]) and counts(LOCAL)[0] == 0
        assert len(held) == 2 and other.do(nvcv.get_cache_limit_inbytes) == 2 * SIZES[272]


def test_one_limit_for_all_processes(script, workshop):
    daemon = workshop.daemon(limit=2 * SIZES[272])
    code = """if True:
        import sys, numpy as np, nvcv_cached as nvcv
        def made(count):
            held = [nvcv.Tensor((272, 1024), np.uint8, "HW") for _ in range(count)]
            return nvcv.cache_size(), nvcv.cache_size() * 272 * 1024 == nvcv.current_cache_size_inbytes()
        for line in sys.stdin:
            print(*(made(int(line)) if line.strip() != "0" else (nvcv.cache_size(), True)), flush=True)
    """
    first, second = (
        subprocess.Popen(
            [sys.executable, "-c", code], env=clean_environment() | environment_of(daemon), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(2)
    )  # fmt: skip

    def ask(process, line):
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return process.stdout.readline().split()

    try:
        assert ask(first, "2") == ["2", "True"]
        assert ask(second, "1") == ["1", "True"]
        assert ask(first, "0") == ["1", "True"], "the other process's item had no room beside two"
    finally:
        for process in (first, second):
            process.communicate(timeout=60)
