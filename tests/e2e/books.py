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
    assert sum(totals["refused_by_code"].values()) == totals["refused"], totals
    leases = books.raw["leases"]
    assert books.cache_items <= leases["in_use"] + leases["idle"], books
    for state in ("in_use", "idle", "draining", "quarantined"):
        assert (leases[state] == 0) == (getattr(books, state) == 0), books
    evictions, reclaims = sum(totals["evictions"].values()), totals["reclaims"]
    assert evictions == reclaims["taken"] + reclaims["fence"], totals
    assert reclaims["lost"] <= totals["detached"], totals
    durations = books.raw["durations"]
    for duration in durations.values():
        assert duration["count"] == sum(duration["counts"]), duration
        assert len(duration["counts"]) == len(duration["bounds_seconds"]) + 1, duration
    assert durations["acquire"]["count"] == totals["misses"] - totals["refused"], books
    assert durations["reclaim"]["count"] == evictions, books
    assert durations["death_to_free"]["count"] == totals["sessions_ended"]["exit"], books


def counters(raw):
    """Every counter of the statistics, flat."""
    flat = {f"durations {name}": duration["count"] for name, duration in raw["durations"].items()}
    for key, value in raw["totals"].items():
        flat.update({f"{key} {k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value})
    return flat


def grown(before, after):
    """Counters never fall while a daemon lives (`epoch` is another for each one)."""
    if before is None or before["epoch"] != after["epoch"]:
        return
    now = counters(after)
    fallen = {key: (value, now.get(key)) for key, value in counters(before).items() if now.get(key, 0) < value}
    assert not fallen, fallen


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
