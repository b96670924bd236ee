"""The contract of NVCV's object cache, point by point, over all classes that it holds."""

import os
import random

import numpy as np
import nvcv_cached as nvcv
import pytest
from conftest import LIMIT
from device_memory import fill, there
from threads import in_thread

U8 = nvcv.Format.U8
WITH_MEMORY = {
    "Tensor": (lambda: nvcv.Tensor((64, 512), np.uint8, "HW"), 32768),
    "TensorOfImages": (lambda: nvcv.Tensor(2, (37, 7), nvcv.Format.RGB8, 1), 2048),
    "Image": (lambda: nvcv.Image((512, 64), U8), 32768),
    "ImageCopied": (lambda: nvcv.Image(np.zeros((64, 512), np.uint8)), 32768),
    "ImageZeros": (lambda: nvcv.Image.zeros((512, 64), U8), 32768),
    "ImageBatch": (lambda: nvcv.ImageBatchVarShape(5), 800),
    "TensorBatch": (lambda: nvcv.TensorBatch(5), 1280),
}
WITHOUT_MEMORY = {
    "Stream": nvcv.Stream,
    "ExternalCacheItem": lambda: nvcv.ExternalCacheItem("key", list),
}
WRAPPERS = {
    "as_tensor": lambda: nvcv.as_tensor(there(np.zeros((4, 5), np.uint8))),
    "as_image": lambda: nvcv.as_image(there(np.zeros((4, 5), np.uint8))),
}
UNCACHED = {"as_stream": lambda: nvcv.as_stream(0), "default": lambda: nvcv.Stream.default}


def counts(scope=nvcv.ThreadScope.GLOBAL):
    return nvcv.cache_size(scope), nvcv.current_cache_size_inbytes()


@pytest.mark.parametrize("name", WITH_MEMORY)
def test_objects_with_memory_count_from_creation_in_use_and_idle(name):
    make, nbytes = WITH_MEMORY[name]
    held = make()
    assert counts() == (1, nbytes) and nvcv.internal.nbytes_in_cache(held) == nbytes
    del held
    assert counts() == (1, nbytes)


@pytest.mark.parametrize("name", WITH_MEMORY)
def test_an_equal_request_reuses_the_object_and_its_id(name):
    make, nbytes = WITH_MEMORY[name]
    number = make().id
    first = make()
    assert first.id == number and counts() == (1, nbytes)
    assert make().id != number


@pytest.mark.parametrize("name", WITHOUT_MEMORY)
def test_items_without_memory_count_0_bytes_and_stay(name):
    held = WITHOUT_MEMORY[name]()
    assert counts() == (1, 0)
    del held
    assert counts() == (1, 0)
    WITHOUT_MEMORY[name]()
    assert counts() == (1, 0)


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_count_0_bytes_and_leave_when_they_end(name):
    held = WRAPPERS[name]()
    assert counts() == (1, 0) and nvcv.internal.nbytes_in_cache(held) == 0
    del held
    assert counts() == (0, 0)


@pytest.mark.parametrize("name", UNCACHED)
def test_what_is_not_cached_does_not_count(name):
    held = UNCACHED[name]()
    assert held is not None and counts() == (0, 0)


def test_a_reshape_is_a_wrapper_and_keeps_its_parent():
    held = nvcv.Tensor((4, 32), np.uint8, "HW").reshape((1, 4, 32), "NHW")
    assert counts() == (2, 512) and nvcv.internal.nbytes_in_cache(held) == 0
    del held
    assert counts() == (1, 512)


def test_memory_is_reused_by_capacity_across_shapes():
    nvcv.Tensor((64, 512), np.uint8, "HW")
    before = nvcv.stats()["misses"]
    nvcv.Image((512, 60), U8)
    assert nvcv.stats()["misses"] == before and counts() == (1, 32768)


@pytest.mark.parametrize("name", WITH_MEMORY)
def test_an_object_larger_than_the_limit_works_and_is_not_cached(name):
    make, nbytes = WITH_MEMORY[name]
    nvcv.set_cache_limit_inbytes(nbytes - 1)
    held = make()
    assert nvcv.internal.nbytes_in_cache(held) == nbytes and counts() == (0, 0)


@pytest.mark.parametrize("name", [*WITH_MEMORY, *WITHOUT_MEMORY])
def test_limit_0_caches_no_memory_and_items_without_it(name):
    nvcv.set_cache_limit_inbytes(0)
    held = (WITH_MEMORY | {key: (make, 0) for key, make in WITHOUT_MEMORY.items()})[name][0]()
    assert counts() == ((1, 0) if name in WITHOUT_MEMORY else (0, 0))
    assert held is not None


def test_room_for_one_holds_the_newest():
    make, nbytes = WITH_MEMORY["Image"]
    nvcv.set_cache_limit_inbytes(nbytes)
    first = make()
    second = make()
    assert counts() == (1, nbytes)
    fill(first.cuda(), 1)
    fill(second.cuda(), 2)
    assert (first.cpu() == 1).all()


@pytest.mark.parametrize("name", [*WITH_MEMORY, *WITHOUT_MEMORY, *WRAPPERS])
def test_clear_empties_the_cache_and_leaves_objects_in_use_valid(name):
    make = {**{key: pair[0] for key, pair in WITH_MEMORY.items()}, **WITHOUT_MEMORY, **WRAPPERS}[name]
    held = make()
    make()
    nvcv.clear_cache()
    assert counts() == (0, 0) and repr(held)
    del held
    assert counts() == (0, 0)


@pytest.mark.parametrize("name", [*WITH_MEMORY, *WITHOUT_MEMORY])
def test_scopes_are_the_threads_own_and_all(name):
    make = {**{key: pair[0] for key, pair in WITH_MEMORY.items()}, **WITHOUT_MEMORY}[name]
    mine = make()

    def elsewhere():
        kept = make()
        seen = nvcv.cache_size(nvcv.ThreadScope.LOCAL), nvcv.cache_size()
        nvcv.clear_cache(nvcv.ThreadScope.LOCAL)
        return seen, nvcv.cache_size(nvcv.ThreadScope.LOCAL), nvcv.cache_size(), kept is not None

    assert in_thread(elsewhere) == ((1, 2), 0, 1, True)
    assert nvcv.cache_size(nvcv.ThreadScope.LOCAL) == 1 and mine is not None


KIB = 1024
MOST_HELD = 12


SPECS = {
    ("tensor", 1): (lambda: nvcv.Tensor((272, KIB), np.uint8, "HW"), 272 * KIB),
    ("tensor", 2): (lambda: nvcv.Tensor((344, KIB), np.uint8, "HW"), 344 * KIB),
    ("image", 0): (lambda: nvcv.Image((KIB, 440), U8), 440 * KIB),
    ("batch", 0): (lambda: nvcv.ImageBatchVarShape(3600), 3600 * 160),
    ("stream", 0): (nvcv.Stream, 0),
    ("item", 0): (lambda: nvcv.ExternalCacheItem("model", list), 0),
    ("wrapper", 0): (WRAPPERS["as_tensor"], 0),
}


class Model:
    """What this thread must count: items in use and idle by spec, those without memory as well.

    Specs are too large to be granted ahead, and none fits another's memory. The limit is never reached, and the pool
    is grown beforehand (growing takes idle memory back), so that each answer is certain.
    """

    def __init__(self):
        self.held = []  # (spec, object, still in the cache)
        self.idle = dict.fromkeys(SPECS, 0)

    def make(self, spec):
        self.idle[spec] -= self.idle[spec] > 0
        self.held.append([spec, SPECS[spec][0](), True])

    def drop(self, at):
        spec, _, cached = self.held.pop(at)
        self.idle[spec] += cached and spec[0] != "wrapper"

    def clear(self):
        for entry in self.held:
            entry[2] = False
        self.idle = dict.fromkeys(SPECS, 0)

    def count(self):
        specs = [spec for spec, _, cached in self.held if cached]
        specs += [spec for spec, idle in self.idle.items() for _ in range(idle)]
        return len(specs), sum(SPECS[spec][1] for spec in specs)


def run_program(seed, steps):
    rng = random.Random(seed)
    model = Model()
    grown = [make() for make, _ in SPECS.values() for _ in range(MOST_HELD)]
    nvcv.clear_cache()
    del grown
    misses = nvcv.stats()["misses_grow"]
    for step in range(steps):
        kind = rng.random()
        if kind < 0.5 and len(model.held) < MOST_HELD:
            model.make(rng.choice(list(SPECS)))
        elif kind < 0.98 and model.held:
            model.drop(rng.randrange(len(model.held)))
        elif kind >= 0.995:
            nvcv.clear_cache(rng.choice([nvcv.ThreadScope.LOCAL, nvcv.ThreadScope.GLOBAL]))
            model.clear()
        if step % 16 == 0 or kind >= 0.98:
            assert counts() == model.count(), f"step {step} of seed {seed}"
    assert nvcv.stats()["misses_grow"] == misses, "the pool grew: the model's premise is gone"
    return model


def test_a_random_program_counts_as_the_model_does():
    """The binding's part; threads, limits and processes, and the long run, are tests/contract's."""
    seed = int(os.environ.get("NVCV_CACHED_TEST_SEED", random.randrange(1 << 32)))
    print("NVCV_CACHED_TEST_SEED =", seed)
    assert run_program(seed, 20_000).count()[1] < LIMIT
