"""Something to see on every panel: hits, misses, evictions, refusals, deaths."""

from conditions import KIB, MIB, FailedError


class Load:
    """Clients of one daemon; each `turn` does a little of everything."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.clients = [daemon.probe(name) for name in ("resize", "detector", "tracker")]
        self.turns = 0

    def turn(self):
        self.turns += 1
        for i, client in enumerate(self.clients):
            client.call("loop", 20 + 10 * i, (self.turns % 7 + 1) * 512 * KIB)
        if self.turns % 3 == 0:
            try:
                self.clients[0].buffer(1 << 40)
            except FailedError as error:
                assert error.kind == "OutOfMemory", error
        if self.turns % 5 == 0:
            name = f"worker{self.turns}"
            dies = self.daemon.probe(name)
            dies.buffer(MIB)
            dies.kill()
