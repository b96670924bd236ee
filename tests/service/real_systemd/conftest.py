"""What the tests share: two users, the service, a client's end."""

import pytest
from machine import SERVICE, SETTINGS, VARIABLES, Client, add_user, command, ready, systemctl


@pytest.fixture(scope="session", autouse=True)
def users():
    """Alice may connect once the packages' group is there; Bob may not."""
    add_user("alice")
    add_user("bob")


@pytest.fixture
def service():
    """The service with its defaults, which serves."""
    for path in (SETTINGS, VARIABLES):
        path.unlink(missing_ok=True)
    command("systemctl", "reset-failed", "nvcv-cached*")
    systemctl("restart", SERVICE)
    ready()
    return SERVICE


@pytest.fixture
def client(request):
    """Makes clients that are gone when the test is."""
    made = []

    def client(*arguments, **environment):
        made.append(Client(*arguments, **environment))
        return made[-1]

    yield client
    for one in made:
        one.close()
