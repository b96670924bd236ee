"""The cache's functions as NVCV defines them, for one process (C1, C4, C6, C7, C9)."""

import threading

import numpy as np
import nvcv_cached as nvcv
import pytest
from conftest import LIMIT
from device_memory import DEVICE, ON_GPU, address, contents, fill
from threads import in_thread

SHAPE = (64, 512)
SIZE = 64 * 512


def make(shape=SHAPE):
    return nvcv.Tensor(shape, np.uint8, "HW")


def test_C1_an_item_counts_from_its_creation():
    tensor = make()
    assert (nvcv.cache_size(), nvcv.current_cache_size_inbytes()) == (1, SIZE)
    del tensor
    assert (nvcv.cache_size(), nvcv.current_cache_size_inbytes()) == (1, SIZE)
    make()
    assert (nvcv.cache_size(), nvcv.current_cache_size_inbytes()) == (1, SIZE)


def test_C2_last_in_first_out():
    first, second = make(), make()
    places = [address(first), address(second)]
    assert places[0] != places[1]
    del first, second
    again = [make(), make()]
    assert [address(tensor) for tensor in again] == places[::-1]


def test_C2_what_is_reserved_is_hit():
    large = (1024, 2048)  # small ones are granted several at a time
    before = nvcv.stats()
    nvcv.reserve(nvcv.Tensor, large, np.uint8, "HW", n=3)
    warm = nvcv.stats()
    assert (nvcv.cache_size(), nvcv.current_cache_size_inbytes()) == (3, 3 << 21)
    assert (warm["hits"] - before["hits"], warm["misses"] - before["misses"]) == (0, 3)
    tensors = [make(large) for _ in range(3)]
    after = nvcv.stats()
    assert (after["hits"] - warm["hits"], after["misses"] - warm["misses"]) == (3, 0)
    assert len({address(tensor) for tensor in tensors}) == 3
    del tensors
    nvcv.reserve(nvcv.Tensor, large, np.uint8, "HW", n=3)  # they are there already
    assert nvcv.stats()["misses"] == warm["misses"] and nvcv.cache_size() == 3


def test_C2_small_ones_that_are_reserved_are_hit_too():
    nvcv.reserve(nvcv.Tensor, SHAPE, np.uint8, "HW", n=20)
    warm = nvcv.stats()
    tensors = [make() for _ in range(20)]
    after = nvcv.stats()
    assert (after["hits"] - warm["hits"], after["misses"] - warm["misses"]) == (20, 0)
    del tensors


def test_C8_what_is_reserved_is_limited_like_any_other():
    nvcv.set_cache_limit_inbytes(2 * SIZE)
    nvcv.reserve(nvcv.Tensor, SHAPE, dtype=np.uint8, layout="HW", n=5)
    assert (nvcv.cache_size(), nvcv.current_cache_size_inbytes()) == (2, 2 * SIZE)
    nvcv.reserve(nvcv.Tensor, SHAPE, np.uint8, "HW", n=0)
    with pytest.raises(ValueError, match="-1 objects"):
        nvcv.reserve(nvcv.Tensor, SHAPE, np.uint8, "HW", n=-1)
    with pytest.raises(nvcv.InvalidArgument):
        nvcv.reserve(nvcv.Tensor, (-1, 2), np.uint8, "HW", n=1)


def test_C4_too_large_or_no_cache():
    nvcv.set_cache_limit_inbytes(SIZE - 1)
    tensor = make()
    fill(tensor, 1)
    assert nvcv.cache_size() == 0
    nvcv.set_cache_limit_inbytes(0)
    other = make()
    fill(other, 2)
    assert nvcv.cache_size() == 0 and contents(tensor).max() == 1


def test_C4_limits_are_integers_of_at_least_0():
    nvcv.set_cache_limit_inbytes(True)
    assert nvcv.get_cache_limit_inbytes() == 1
    nvcv.set_cache_limit_inbytes(np.int64(12345))
    assert nvcv.get_cache_limit_inbytes() == 12345
    nvcv.set_cache_limit_inbytes(1 << 62)
    assert nvcv.get_cache_limit_inbytes() == 1 << 62
    with pytest.raises(ValueError, match="-1"):
        nvcv.set_cache_limit_inbytes(-1)
    for wrong in (1.0, None, "8GiB", 1 << 63):
        with pytest.raises(TypeError):
            nvcv.set_cache_limit_inbytes(wrong)
    with pytest.raises(TypeError):
        nvcv.set_cache_limit_inbytes(limit=1)
    assert nvcv.get_cache_limit_inbytes() == 1 << 62


def test_C5_lowering_the_limit_makes_room():
    tensors = [make() for _ in range(4)]
    del tensors[:2]
    nvcv.set_cache_limit_inbytes(SIZE * 2)
    assert nvcv.current_cache_size_inbytes() == SIZE * 2
    nvcv.set_cache_limit_inbytes(SIZE)
    assert nvcv.current_cache_size_inbytes() == SIZE
    for number, tensor in enumerate(tensors):
        fill(tensor, number)
    assert [contents(tensor).max() for tensor in tensors] == [0, 1]
    nvcv.set_cache_limit_inbytes(LIMIT)
    del tensors, tensor
    assert nvcv.current_cache_size_inbytes() == SIZE


def test_C6_clear_leaves_what_is_in_use_valid():
    held = make()
    fill(held, 7)
    make()
    nvcv.clear_cache()
    assert (nvcv.cache_size(), nvcv.current_cache_size_inbytes()) == (0, 0)
    assert (contents(held) == 7).all()
    misses = nvcv.stats()["misses"]
    del held  # goes back to the daemon, and is no hit for anybody
    other = make()
    assert nvcv.stats()["misses"] == misses + 1 and nvcv.cache_size() == 1
    assert other.shape == SHAPE


def test_C6_scopes():
    mine = make()

    def other_thread():
        kept = [make((32, 512)), make((16, 512))]
        counts = nvcv.cache_size(nvcv.ThreadScope.LOCAL), nvcv.cache_size(nvcv.ThreadScope.GLOBAL)
        nvcv.clear_cache(nvcv.ThreadScope.LOCAL)
        return counts, nvcv.cache_size(nvcv.ThreadScope.LOCAL), nvcv.cache_size(), len(kept)

    assert in_thread(other_thread) == ((2, 3), 0, 1, 2)
    assert nvcv.cache_size(nvcv.ThreadScope.LOCAL) == 1 and nvcv.current_cache_size_inbytes() == SIZE
    assert mine.shape == SHAPE


def test_C7_a_new_thread_takes_from_the_depot():
    in_thread(make)
    before = nvcv.stats()["hits_depot"]
    in_thread(make)
    assert nvcv.stats()["hits_depot"] == before + 1


def test_C7_an_item_goes_back_to_its_makers_cache():
    tensor = make()
    place = address(tensor)
    box = [tensor]
    del tensor
    in_thread(box.clear)
    assert address(make()) == place


def test_stats_are_flat_integers():
    make()
    make()
    stats = nvcv.stats()
    names = {"hits", "hits_exact", "hits_size_class", "hits_depot", "misses", "misses_reclaim", "misses_grow",
             "refused", "cache_items", "cache_bytes"}  # fmt: skip
    assert names <= set(stats) and all(isinstance(value, int) for value in stats.values())
    assert stats["hits"] == stats["hits_exact"] + stats["hits_size_class"] + stats["hits_depot"]
    assert (stats["cache_items"], stats["cache_bytes"]) == (1, SIZE)
    assert nvcv.stats(scope="thread")["cache_items"] == nvcv.stats(scope="daemon")["cache_items"] == 1
    with pytest.raises(ValueError, match="galaxy"):
        nvcv.stats(scope="galaxy")


def test_device():
    device = nvcv.device()
    assert device.kind == ("cuda" if ON_GPU else "host") and device.id.startswith("GPU-" if ON_GPU else "host")
    assert device.total_bytes > LIMIT and isinstance(device.name, str)


def test_connect_again():
    nvcv.connect()
    nvcv.connect(device=DEVICE)
    with pytest.raises(ValueError, match="elsewhere"):
        nvcv.connect(address="/tmp/elsewhere.sock")
    with pytest.raises(ValueError, match="timeout"):
        nvcv.connect(timeout=-1)


def test_threads_make_and_drop(served):
    failures = []

    def work(number):
        shapes = [(height, 256) for height in range(1 + number, 40 + number)]
        for step in range(300):
            tensor = make(shapes[step % len(shapes)])
            fill(tensor, number)
            if (contents(tensor) != number).any():
                failures.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    nvcv.clear_cache()
    assert nvcv.cache_size() == 0
