"""Each page names tests that are there, links that lead somewhere, and lists that are complete."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "SECURITY.md"]


def names_of_tests():
    names = set()
    for path in (ROOT / "tests").rglob("*"):
        if path.suffix == ".py":
            names.update(re.findall(r"^def test_(\w+)", path.read_text(), re.MULTILINE))
        elif path.suffix == ".cc":
            names.update(re.findall(r"^TEST(?:_F|_P)?\(\w+,\s*(\w+)\)", path.read_text(), re.MULTILINE))
    return names


@pytest.mark.parametrize("page", ["what-happens-when.md", "security.md", "namespaces.md", "beyond-a-node.md"])
def test_the_tests_that_a_page_names_are_there(page):
    """A name like `M4_SlabIsZeroAtFirstUse` is a test's; one that ends in `...` is the start of several."""
    there = names_of_tests()
    named = re.findall(
        r"`((?:test_)?[A-Za-z]\w*_[A-Za-z0-9_]+|[A-Z][a-z]+[A-Z]\w{15,})(\.\.\.)?`", (ROOT / "docs" / page).read_text()
    )
    shown = [
        (name.removeprefix("test_"), bool(many)) for name, many in named if not name.isupper() and "NVCV" not in name
    ]
    assert shown
    for name, many in shown:
        assert any(test.startswith(name) for test in there) if many else name in there, name


def test_each_proof_that_a_gpu_is_done_names_its_tests():
    page = (ROOT / "docs" / "cuda.md").read_text()
    table = page.partition("| the owner | proof |")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    assert len(rows) >= 14
    there = names_of_tests()
    for owner, _proof, tests in rows:
        named = re.findall(r"`(\w+)`", tests)
        assert named and not set(named) - there, owner


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(((?!https?:|mailto:)[^)]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        linked = page if not path else (page.parent / path).resolve()
        assert linked.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            made = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in made, target


def test_each_command_for_an_operator_is_typed_under_a_real_systemd():
    """By make test-systemd, which is not run with the others: that none is missing there is seen here."""
    folder = ROOT / "tests" / "service" / "real_systemd"
    sys.path.append(str(folder))
    import page_commands

    assert page_commands.on_the_pages(ROOT / "docs") == {
        *page_commands.TYPED, *page_commands.ELSEWHERE, *page_commands.NOT_HERE,
    }  # fmt: skip
    tests = "".join(path.read_text() for path in folder.glob("test_*.py"))
    for name in page_commands.ELSEWHERE.values():
        assert f"def {name}(" in tests, name


def operate(section):
    """A section of operate.md, by its title."""
    text = (ROOT / "docs" / "operate.md").read_text()
    found = re.search(rf"^### {section}\n(.*?)(?=^### |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, section
    return found.group(1)


def sources(folder, pattern):
    found = {name for path in sorted((ROOT / folder).rglob("*.cc")) for name in re.findall(pattern, path.read_text())}
    assert found, pattern
    return found


def test_each_alert_has_its_line():
    rules = [path for path in (ROOT / "deploy").rglob("*.y*ml") if "prometheus" in path.parts]
    alerts = {name for path in rules for name in re.findall(r"^\s*- alert: (\w+)", path.read_text(), re.MULTILINE)}
    assert alerts == set(re.findall(r"^#### (\w+)$", operate("Alerts"), re.MULTILINE))


def test_each_error_of_clients_has_its_line():
    classes = (ROOT / "python_client/src/nvcv_cached/errors.py").read_text()
    made = re.findall(r'^class (\w+)\(.*?^    code(?:: str)? = "(\w+)"', classes, re.MULTILINE | re.DOTALL)
    assert (
        made
        and [f"{name} `{code}`" for name, code in made if f"| {name} `{code}` |" not in operate("Errors of clients")]
        == []
    )


def test_each_error_of_the_tool_has_its_line():
    table = operate("Errors of nvcv-cachectl")
    for name in sources("client/cli", r'ExitCode::k\w+,\s*"([a-z_]+)"'):
        assert f"| `{name}` |" in table, name


def test_each_warning_of_the_daemon_has_its_line():
    table = operate("Warnings and errors of the log")
    for name in sources("server", r'Log(?:Warning|Error)\(\s*Event\("([a-z-]+)"'):
        assert f"| `{name}` |" in table, name


def test_each_exit_of_the_daemon_has_its_line():
    table = operate("Exit codes of the daemon")
    for name in sources("server", r'Fail\([\w(). ]+, "([a-z-]+)"'):
        assert f"`{name}`" in table, name


def literals(text, begin):
    """The string literals between the parenthesis at `begin` and its end."""
    found, depth = [], 0
    for token in re.finditer(r'"((?:[^"\\]|\\.)*)"|[()]', text[begin:]):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if token[1] is not None:
            found.append(token[1])
        if depth == 0:
            return found
    raise AssertionError(text[begin : begin + 80])


def texts(pattern, *places):
    """(file, literals) of each call that the pattern ends before."""
    for place in places:
        for path in sorted(ROOT.glob(place)):
            text = path.read_text()
            for call in re.finditer(pattern, text):
                if any(found := literals(text, call.end())):
                    yield path.relative_to(ROOT), found


def phrases(section):
    return re.findall(r"`([^`]+)`", "\n".join(re.findall(r"^\| (`.*?) \| ", operate(section), re.MULTILINE)))


# INVALID_ARGUMENT is the program's fault and says how; INTERNAL and DATA_LOSS are ours; the others end as one of these.
ERRORS = (
    r"absl::(?:Unavailable|NotFound|DeadlineExceeded|PermissionDenied|ResourceExhausted|FailedPrecondition)Error(?=\()"
)


def test_each_text_of_the_librarys_errors_has_its_line():
    known = phrases("Errors of clients")
    places = ("client/src/*.cc", "client/src/cuda/*.cc", "proto/cuda_driver.cc", "proto/socket_paths.cc")
    found = list(texts(ERRORS, *places))
    assert len(found) > 40
    for path, words in found:
        assert any(phrase in word for phrase in known for word in words), f"{path}: {words}"


def test_each_warning_of_the_library_has_its_line():
    known = phrases("Warnings of the library")
    found = list(texts(r"\bLog(?=\(LogLevel::k(?:Warning|Error),)", "client/src/*.cc", "client/src/cuda/*.cc"))
    assert len(found) >= 6
    for path, words in found:
        assert any(phrase in word for phrase in known for word in words), f"{path}: {words}"


def test_each_text_that_has_a_line_is_somebodys():
    folders = ("client/src", "server", "proto")
    code = "\n".join(path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.cc"))
    code = re.sub(r'"\s*\n\s*"', "", code)
    for section in ("Errors of clients", "Warnings of the library"):
        for phrase in phrases(section):
            assert phrase in code or re.fullmatch(r"[A-Z_]+", phrase), phrase
