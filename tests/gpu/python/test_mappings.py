"""A slab that the daemon wants back: closing its mapping waits for all of the process's work and holds up its launches
meanwhile, so it waits until there is none."""

import json
import time

from gpu_daemon import eventually
from workers import WORD

MIB = 1 << 20


def states(daemon):
    return sorted(slab["state"] for slab in json.loads(daemon.ctl("slabs").stdout))


def test_a_slab_is_unmapped_when_the_process_has_nothing_under_way(place, client, gate):
    flags = [f"--{key}={size}MiB" for key, size in (("capacity", 24), ("limit", 24), ("slab-size", 8))]
    daemon = place.start("--device=cuda:0", *flags, "--keep-time=1h", "--trim-after=1h")
    worker = client(daemon)
    worker(
        f"gate = Gate({gate.name!r}); s = nvcv.Stream(); h = driver.stream()\n"
        f"t, u, v = tensor({8 * MIB}), tensor({8 * MIB}), tensor({MIB}); q = pointer(v)\nwith s: p = pointer(u)\n"
        f"gate.hold(driver, s.handle); driver.fill(p, {WORD}, {8 * MIB}, s.handle)\n"
        f"del u; u = tensor({8 * MIB}); assert nvcv.stats()['hits'] == 1; del t"
    )
    assert states(daemon) == ["serving"] * 3
    assert daemon.ctl("trim", "8MiB").returncode == 0
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        assert "retiring" in states(daemon)
        worker(f"driver.fill(q, {WORD}, {MIB}, h); driver.StreamSynchronize(h)")
    gate.open()
    eventually(lambda: "retiring" not in states(daemon), "it is unmapped and freed")
    assert worker(f"driver.StreamSynchronize(s.handle); result = driver.wrong_words(p, {WORD}, {8 * MIB})") == 0
