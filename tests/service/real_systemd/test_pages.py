"""What docs/operate.md and docs/security.md tell an operator to type, typed."""

import pytest
from machine import MIB, command, shell
from page_commands import TYPED


@pytest.mark.parametrize("line", TYPED.values(), ids=TYPED)
def test_ACommandOfThePagesWorks(service, client, line):
    client("alice").buffer(MIB)
    shell(line)


def test_WhoMayConnectMayReadTheLog(service):
    line = "timeout --preserve-status -s INT 1 nvcv-cachectl events"
    assert "ready" in command("runuser", "--login", "alice", "-c", line).stdout
