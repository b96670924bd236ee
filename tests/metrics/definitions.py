"""The one list of definitions, read from the comments of admin.proto: metrics, and what each field of Stats means."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROTO = ROOT / "proto" / "nvcv_cached" / "v1" / "admin.proto"
SCHEMA = ROOT / "docs" / "stats.schema.json"
PAGE = ROOT / "docs" / "metrics.md"
PREFIX = "nvcv_cached_"


@dataclass(frozen=True)
class Metric:
    name: str
    labels: tuple[str, ...]  # beside `device`
    type: str
    text: str


def metrics():
    pattern = re.compile(r"// metric (\w+)(?:\{([\w,]+)\})? (gauge|counter|histogram): (.*)")
    lines = [line.strip() for line in PROTO.read_text().splitlines() if "// metric " in line]
    found = [pattern.fullmatch(line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if not match]
    return [Metric(m[1], tuple(m[2].split(",")) if m[2] else (), m[3], m[4]) for m in found]


def fields(message):
    """{field: the comment behind it, or ""} of one message."""
    body = re.search(rf"^message {message} {{\n(.*?)^}}", PROTO.read_text(), re.MULTILINE | re.DOTALL)[1]
    pattern = re.compile(r"^  [\w<>, .]+ (\w+) = \d+;(?: *// (.*))?$", re.MULTILINE)
    return {match[1]: match[2] or "" for match in pattern.finditer(body)}


# Where the JSON of `stats` has a field under another name or inside another object.
PLACES = {
    "Stats": {
        "time_unix_ms": "time",
        "daemon_version": "version.daemon",
        "protocol": "version.protocol",
        "pool_bytes": "pool.pool_bytes",
        "in_use_bytes": "pool.bytes.in_use",
        "idle_bytes": "pool.bytes.idle",
        "draining_bytes": "pool.bytes.draining",
        "quarantined_bytes": "pool.bytes.quarantined",
        "free_bytes": "pool.bytes.free",
        "slack_bytes": "pool.bytes.slack",
        "capacity_bytes": "pool.capacity_bytes",
        "largest_free_bytes": "pool.largest_free_bytes",
        "foreign_bytes": "pool.foreign_bytes",
        "device_free_bytes": "device.free_bytes",
        "cache_bytes": "cache.bytes",
        "cache_items": "cache.items",
        "limit_bytes": "cache.limit_bytes",
        "leases_in_use": "leases.in_use",
        "leases_idle": "leases.idle",
        "leases_draining": "leases.draining",
        "leases_quarantined": "leases.quarantined",
        "acquire_duration": "durations.acquire",
        "reclaim_duration": "durations.reclaim",
        "death_to_free": "durations.death_to_free",
    },
    "Totals": {"misses_refused": "refused", "refused": "refused_by_code"},
    "DeviceInfo": {},
    "Histogram": {},
}
ROOTS = {"Stats": "", "Totals": "totals.", "DeviceInfo": "device.", "Histogram": "$histogram."}


def places():
    """{path in the JSON: (message, field, comment)} of every field that the JSON shows."""
    found = {}
    for message, renamed in PLACES.items():
        for field, comment in fields(message).items():
            found[ROOTS[message] + renamed.get(field, field)] = (message, field, comment)
    return found


def schema():
    return json.loads(SCHEMA.read_text())


def described(document, path):
    """The part of the schema at a path of the JSON; and whether every object on the way requires it."""
    part = document
    if path.startswith("$histogram."):
        part, path = document["$defs"]["histogram"], path.removeprefix("$histogram.")
    for key in path.split("."):
        assert key in part.get("required", ()), f"{path}: {key} is not required"
        part = part["properties"][key]
    return part
