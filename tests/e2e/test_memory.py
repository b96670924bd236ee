"""Memory safety, rules M1 to M4: bytes are asserted by pattern, places by the daemon's lists."""

import os
import random
import signal

import pytest
from books import identities
from conditions import KIB, MIB, eventually, fails, kill_child, process_state

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="clients of two uids need root")


def take_everything(probe, size_bytes, seed):
    """Takes buffers until the pool is exhausted, each filled; returns their ids."""
    ids = []
    while True:
        try:
            ids.append(probe.buffer(size_bytes))
        except Exception as error:
            assert getattr(error, "kind", None) == "OutOfMemory", error
            return ids
        probe.fill(ids[-1], seed)


def test_M1_BlockIsInOnePlace(workshop):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    daemon = workshop.daemon(capacity=48 * MIB, limit=24 * MIB, keep_time="100ms")
    probes = [daemon.probe(f"churn{i}") for i in range(3)]
    running = [probe.start("churn", seed + i, 12, 2 * MIB, 600) for i, probe in enumerate(probes)]
    looks = 0
    while not all(future.done() for future in running):
        identities(daemon.books())
        looks += 1
    for future in running:
        result = future.result()
        assert result["wrong"] == 0, result
        assert result["made"] > 300, result
        assert set(result["errors"]) <= {"OutOfMemory"}, result
    assert looks > 0
    held = [probe.buffer(700 * KIB, 5) for probe in probes]
    for probe, ids in zip(probes, held, strict=True):
        for item in ids:
            probe.fill(item, probe.pid)
    daemon.check()
    for probe, ids in zip(probes, held, strict=True):
        assert [probe.wrong(item, probe.pid) for item in ids] == [0] * 5
    for probe in probes:
        probe.call("clear")
        probe.drop()
    daemon.quiet(in_use=0, idle=0, draining=0, slack=0, cache_bytes=0)


def test_M2_DeadProcessWithLivingForkKeepsItsMemory(workshop):
    """A child of fork() writes on after its parent was killed: what it can write to serves nobody."""
    daemon = workshop.daemon(capacity=16 * MIB)
    victim, heir = daemon.probe("victim"), daemon.probe("heir")
    held = victim.buffer(4 * MIB)
    victim.idle(4 * MIB)
    victim.fill(held, 1)
    child = victim.fork("write", held, 666)["pid"]
    victim.kill()
    daemon.quiet(in_use=0, idle=0, quarantined=4 * MIB)
    mine = take_everything(heir, MIB, 7)
    assert len(mine) == 12  # what the victim left idle came back, what it held did not
    assert process_state(child) != "-"
    assert [heir.wrong(item, 7) for item in mine] == [0] * 12
    daemon.quiet(quarantined=4 * MIB)
    kill_child(child)
    daemon.quiet(quarantined=0, sessions=1)
    assert len(take_everything(heir, MIB, 8)) == 4
    assert [heir.wrong(item, 7) for item in mine] == [0] * 12
    daemon.check()


def test_M2_ExecQuarantinesWhatWasHeld(workshop):
    """exec() closes the socket, the process lives: held memory waits for its end, idle does not."""
    daemon = workshop.daemon(capacity=16 * MIB)
    victim, heir = daemon.probe("victim"), daemon.probe("heir")
    victim.buffer(4 * MIB)
    victim.idle(4 * MIB)
    heir.call("connect")
    victim.start("exec", "/bin/sleep", "1000")
    daemon.quiet(in_use=0, idle=0, quarantined=4 * MIB)
    assert process_state(victim.pid) in "SDR"
    assert len(take_everything(heir, MIB, 3)) == 12
    victim.kill()
    daemon.quiet(quarantined=0, sessions=1)
    assert len(take_everything(heir, MIB, 3)) == 4


def test_M2_BlockWaitsForItsFence(workshop):
    """A returned block whose fence is not done drains, and nobody gets it."""
    daemon = workshop.daemon(capacity=4 * MIB)
    liar, heir = daemon.liar(), daemon.probe("heir")
    liar.attach()
    slot = liar.grant(4 * MIB)["slot"]
    liar.call("fence", slot, 5, 100)
    liar.call("move", slot, "returned")
    liar.send(return_leases={"slots": [slot]})
    daemon.quiet(draining=4 * MIB, in_use=0)
    liar.call("done", 5, 99)
    heir.call("connect", "-", 300)
    with fails("OutOfMemory"):
        heir.buffer(MIB)
    liar.call("done", 5, 100)
    heir.buffer(4 * MIB)
    daemon.quiet(in_use=4 * MIB, draining=0)


def test_M2_IdleRevokedBlockWaitsForItsFence(workshop):
    daemon = workshop.daemon(capacity=4 * MIB)
    liar, heir = daemon.liar(), daemon.probe("heir")
    liar.attach()
    slot = liar.grant(4 * MIB)["slot"]
    liar.call("fence", slot, 9, 1)
    liar.call("move", slot, "idle")
    heir.call("connect", "-", 5000)
    waiting = heir.start("buffer", 1, 2 * MIB)
    daemon.quiet(draining=4 * MIB, idle=0)
    assert liar.call("slot", slot)["revoked"] and not waiting.done()
    liar.call("done", 9, 1)
    waiting.result(10)


def test_M2_FenceOfDeadProcessIsNotAwaited(workshop):
    """The proof of death stands in for a fence that nobody will ever complete."""
    daemon = workshop.daemon(capacity=4 * MIB)
    liar, heir = daemon.liar(), daemon.probe("heir")
    liar.attach()
    slot = liar.grant(4 * MIB)["slot"]
    liar.call("fence", slot, 5, 100)
    liar.call("move", slot, "returned")
    daemon.quiet(draining=4 * MIB)
    liar.kill()
    daemon.quiet(draining=0, quarantined=0)
    heir.buffer(4 * MIB)


def test_M3_SlabOfSilentProcessRetires(workshop):
    """A slab is freed when the last process has unmapped it; until then it serves nobody new."""
    daemon = workshop.daemon(capacity=32 * MIB)
    silent, other = daemon.probe("silent"), daemon.probe("other")
    silent.idle(4 * MIB)
    [slab] = daemon.slabs()
    silent.stop()
    daemon.ctl("clear")
    daemon.ctl("trim")
    [retiring] = daemon.slabs()
    assert (retiring["id"], retiring["state"], retiring["mapped_by"]) == (slab["id"], "retiring", 1)
    assert daemon.books().pool == 4 * MIB
    item = other.buffer(4 * MIB)
    other.fill(item, 5)
    assert {row["slab"] for row in daemon.leases(other)} != {slab["id"]}
    silent.resume()
    eventually(
        lambda: [row["id"] for row in daemon.slabs()] != [slab["id"]] and len(daemon.slabs()) == 1,
        "the retired slab is freed once its process has unmapped it",
    )
    eventually(lambda: silent.mapped() == 0, "the process has unmapped it")
    assert other.wrong(item, 5) == 0
    daemon.check()


def test_M3_DeathFreesRetiringSlab(workshop):
    daemon = workshop.daemon(capacity=32 * MIB)
    silent = daemon.probe("silent")
    silent.idle(4 * MIB)
    silent.stop()
    daemon.ctl("clear")
    daemon.ctl("trim")
    assert [row["state"] for row in daemon.slabs()] == ["retiring"]
    silent.signal(signal.SIGKILL)
    daemon.quiet(pool=0, sessions=0, slabs=0)


def test_M4_SlabIsZeroAtFirstUse(workshop):
    """What one session wrote is gone when the slab went back to the device and a new one was made."""
    daemon = workshop.daemon(capacity=8 * MIB)
    first = daemon.probe("first")
    take_everything(first, MIB, 99)
    first.kill()
    daemon.quiet(in_use=0, sessions=0)
    daemon.ctl("trim")
    daemon.quiet(pool=0)
    second = daemon.probe("second")
    for item in [second.buffer(MIB) for _ in range(8)]:
        assert second.wrong(item, 0) == 0


@needs_root
def test_M4_SlabNeverServesTwoUids(workshop):
    daemon = workshop.daemon(capacity=16 * MIB, mode="0666")
    alice = daemon.probe("alice", user=12001, group=12001)
    bob = daemon.probe("bob", user=12002, group=12002)
    for size in (MIB, 4 * KIB):
        alice.fill(alice.buffer(size), 0xA11CE)
    alice.drop()
    for size in (MIB, 4 * KIB):  # there is room in alice's slabs
        assert bob.wrong(bob.buffer(size), 0) == 0
    slabs = {row["id"]: row["domain"] for row in daemon.slabs()}
    sessions = {row["id"]: row["domain"] for row in daemon.sessions()}
    assert set(sessions.values()) == {"uid:12001", "uid:12002"}
    assert all(slabs[row["slab"]] == sessions[row["session"]] for row in daemon.leases())
    alice.kill()
    daemon.quiet(sessions=1)
    bob.drop()
    ids = []
    for _ in range(15):  # alice's slabs go back to the device first, and come back as zeros
        ids.append(bob.buffer(MIB))
        assert bob.wrong(ids[-1], 0xA11CE) > 0
    daemon.check()


@needs_root
def test_M4_SharedDomainSharesSlabs(workshop):
    daemon = workshop.daemon(capacity=4 * MIB, mode="0666", domain="shared")
    alice = daemon.probe("alice", user=12001, group=12001)
    bob = daemon.probe("bob", user=12002, group=12002)
    alice.buffer(MIB)
    bob.buffer(MIB)
    assert len({row["slab"] for row in daemon.leases()}) == 1
