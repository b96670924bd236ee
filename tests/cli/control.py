"""nvcv-cachectl as a user calls it: no address unless given, a directory of sockets of the test's own."""

import subprocess

from conditions import BIN, clean_environment


def control(*args, **options):
    return run("nvcv-cachectl", *args, **options)


def run(program, *args, env=None, prefix=(), **options):
    return subprocess.run(
        [*prefix, str(BIN / program), *map(str, args)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**clean_environment(), **(env or {})},
        **options,
    )


def table(text):
    """A table's rows by its headers; cells hold no double blanks."""
    lines = text.splitlines()
    headers = lines[0].split()
    return headers, [line.split() for line in lines[1:]]
