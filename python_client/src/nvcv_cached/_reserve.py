"""Warming up: objects made ahead, so that the first ones a program needs are hits."""

from collections.abc import Callable


def reserve(kind: Callable[..., object], *spec: object, n: int, **options: object) -> None:
    """Leaves at least `n` idle objects in this thread's cache, each as `kind(*spec, **options)` makes it.

        nvcv_cached.reserve(nvcv_cached.Tensor, (1080, 1920, 3), np.uint8, "HWC", n=8)

    So many may then be in use at once without asking the daemon (small objects come several at a time, so there may be
    more). They are counted and limited like any other: what the limit has no room for leaves the cache again, and idle
    memory goes to whoever needs it. Raises what `kind` raises (what was made until then stays idle), and ValueError for
    a negative `n`.
    """
    if n < 0:
        raise ValueError(f"{n} objects were asked for; do: use 0 or more")
    held = [kind(*spec, **options) for _ in range(n)]  # all at once, or each would be made of the one before
    held.clear()
