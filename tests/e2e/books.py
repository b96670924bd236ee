"""The daemon's statistics, and what must be true of them at every moment."""

import itertools
from dataclasses import dataclass


@dataclass
class Books:
    """The daemon's statistics, flat and in bytes."""

    pool: int
    in_use: int
    idle: int
    draining: int
    quarantined: int
    free: int
    slack: int
    capacity: int
    limit: int
    cache_bytes: int
    cache_items: int
    sessions: int
    slabs: int
    epoch: int
    totals: dict
    raw: dict


def identities(books):
    """What is true at every moment, by the definitions of the statistics."""
    totals = books.totals
    parts = (books.in_use, books.idle, books.draining, books.quarantined, books.free, books.slack)
    assert all(part >= 0 for part in parts), books
    assert sum(parts) == books.pool, books
    assert books.cache_bytes <= books.limit, books
    assert books.cache_bytes <= books.in_use + books.idle, books
    assert (books.cache_items == 0) == (books.cache_bytes == 0), books
    assert books.pool <= books.capacity, books
    assert totals["hits"] == totals["hits_exact"] + totals["hits_size_class"] + totals["hits_depot"], totals
    assert totals["misses"] == (
        totals["misses_pool"] + totals["misses_reclaim"] + totals["misses_grow"] + totals["refused"]
    ), totals
    assert totals["sessions"] == books.sessions + sum(totals["sessions_ended"].values()), books
    assert totals["slab_allocations"] - totals["slab_frees"] == books.slabs, books


def layout(slabs, leases, books):
    """M1 by the maps: extents cover each slab without gaps, and no two leases share a byte."""
    assert sum(slab["size_bytes"] for slab in slabs) == books.pool
    for slab in slabs:
        at = 0
        for extent in slab["extents"]:
            assert extent["offset"] == at, slab
            at += extent["size_bytes"]
        assert at == slab["size_bytes"], slab
    taken = sorted((row["slab"], row["offset"], row["offset"] + row["block_bytes"]) for row in leases)
    for (slab, _, end), (next_slab, begin, _) in itertools.pairwise(taken):
        assert slab != next_slab or end <= begin, (slab, end, begin)
