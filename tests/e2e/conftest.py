"""Fixtures: `workshop.daemon(flag=...)` starts a daemon, `daemon` is one with the defaults of these tests."""

import pytest
from workshop import pytest_runtest_makereport, workshop  # noqa: F401


@pytest.fixture
def daemon(workshop):  # noqa: F811
    return workshop.daemon()
