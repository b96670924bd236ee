"""Checks a value against the part of JSON Schema that docs/stats.schema.json uses; an unknown keyword is an error."""

import re

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "integer": int,
}
KNOWN = {
    "$defs", "$ref", "$schema", "title", "description", "type", "required", "properties",
    "additionalProperties", "const", "enum", "minimum", "pattern", "items",
}  # fmt: skip


def check(value, schema, root=None, at="$"):
    """Raises AssertionError with the path of what does not fit."""
    root = root or schema
    assert set(schema) <= KNOWN, f"{at}: keywords {set(schema) - KNOWN} of the schema are not checked"
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        check(value, root["$defs"][name], root, at)
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        fits = any(isinstance(value, TYPES[name]) for name in names) and not isinstance(value, bool)
        assert fits, f"{at}: {value!r} is no {names}"
    if "const" in schema:
        assert value == schema["const"], f"{at}: {value!r}"
    if "enum" in schema:
        assert value in schema["enum"], f"{at}: {value!r} is none of {schema['enum']}"
    if "minimum" in schema:
        assert value >= schema["minimum"], f"{at}: {value!r}"
    if "pattern" in schema:
        assert re.search(schema["pattern"], value), f"{at}: {value!r}"
    if isinstance(value, list):
        for i, part in enumerate(value):
            check(part, schema.get("items", {}), root, f"{at}[{i}]")
    if isinstance(value, dict):
        missing = set(schema.get("required", ())) - set(value)
        assert not missing, f"{at}: without {missing}"
        for key, part in value.items():
            assert "." not in key, f"{at}.{key}: a dot in a name"
            known = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            if known is not None:
                check(part, known, root, f"{at}.{key}")
