"""The fixture `workshop`, for every folder whose tests start daemons; a failed test shows their logs."""

import pytest
from daemon import Workshop


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    workshop = item.funcargs.get("workshop") if hasattr(item, "funcargs") else None
    if report.failed and workshop is not None:
        report.sections.extend((str(path), text) for path, text in workshop.logs())


@pytest.fixture
def workshop(request):
    made = Workshop()
    yield made
    trouble = made.close()
    try:
        assert not trouble, trouble
    finally:
        request.addfinalizer(made.remove)
