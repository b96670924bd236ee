"""Debian's packages: what is in them, and installed, used and removed again.

Twice: into a root of the test's own, as any user (dpkg runs the maintainer scripts without chroot, and checks the
dependencies against this machine's packages); and, where root may mount, on this machine under an overlay that is
gone afterwards, where nothing but the default paths is known.
"""

import gzip
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from blocks import ROOT, run
from conftest import bare_environment

NAMES = {"nvcv-cached", "libnvcv-cached0", "libnvcv-cached-dev"}
HERE = Path(__file__).parent

if shutil.which("dpkg") is None:
    pytest.skip("no dpkg on this system", allow_module_level=True)


@pytest.fixture(scope="module")
def packages(packages):
    """Path by name."""
    found = {path.name.split("_")[0]: path for path in packages.glob("*.deb")}
    assert set(found) == NAMES
    return found


def field(package, name):
    return run(["dpkg-deb", "--field", package, name], None).strip()


def files(package):
    lines = run(["dpkg-deb", "--contents", package], None).splitlines()
    return {line.split()[5].removeprefix(".") for line in lines if not line.startswith("d")}


def test_EachHasItsFiles_AndNoOtherHasThem(packages):
    content = {name: files(path) for name, path in packages.items()}
    assert sum(map(len, content.values())) == len(set.union(*content.values()))
    daemon = content["nvcv-cached"]
    for wanted in (
        "/usr/bin/nvcv-cached",
        "/usr/bin/nvcv-cachectl",
        "/usr/share/man/man8/nvcv-cached.8.gz",
        "/usr/share/man/man1/nvcv-cachectl.1.gz",
        "/usr/share/bash-completion/completions/nvcv-cached",
        "/usr/share/bash-completion/completions/nvcv-cachectl",
        "/usr/share/zsh/vendor-completions/_nvcv-cached",
        "/usr/share/zsh/vendor-completions/_nvcv-cachectl",
        "/usr/share/fish/vendor_completions.d/nvcv-cached.fish",
        "/usr/share/fish/vendor_completions.d/nvcv-cachectl.fish",
        "/usr/lib/systemd/system/nvcv-cached@.service",
        "/usr/lib/sysusers.d/nvcv-cached.conf",
    ):
        assert wanted in daemon
    units = {path.name for folder in ("system", "user") for path in (ROOT / "deploy/systemd" / folder).iterdir()}
    assert units <= {path.rsplit("/")[-1] for path in daemon}
    library = r"/usr/lib/[\w-]+-linux-gnu/libnvcv_cached\.so\.0(\.[\d.]+)?"
    papers = r"/usr/share/(doc/libnvcv-cached0/(copyright|changelog\.gz)|lintian/overrides/libnvcv-cached0)"
    assert all(re.fullmatch(f"{library}|{papers}", path) for path in content["libnvcv-cached0"])
    assert {path.rsplit("/")[-1] for path in content["libnvcv-cached-dev"]} >= {
        "nvcv_cached.h",
        "nvcv_cached.pc",
        "nvcv_cachedConfig.cmake",
        "libnvcv_cached.so",
    }


def test_DependenciesComeFromTheSharedObjects(packages):
    for name in ("nvcv-cached", "libnvcv-cached0"):
        depends = field(packages[name], "Depends")
        for wanted in (r"libgrpc\+\+1\S* \(>= ", r"libprotobuf\d\S* \(>= ", r"libc6 \(>= ", "libabsl"):
            assert re.search(wanted, depends), f"{name}: {wanted} not in {depends}"
        assert "-dev" not in depends
        assert "cuda" not in depends
    version = field(packages["libnvcv-cached0"], "Version")
    assert field(packages["libnvcv-cached-dev"], "Depends") == f"libnvcv-cached0 (= {version})"


def test_EachSaysWhatItIs_WithItsLicence(packages):
    for name, path in packages.items():
        assert re.fullmatch(
            r"one memory cache for all processes of a device.*\n( \S.*\n?)+", field(path, "Description")
        )
        assert {f"/usr/share/doc/{name}/copyright", f"/usr/share/doc/{name}/changelog.gz"} <= files(path)
        assert "@" in field(path, "Maintainer")


def test_TheChangelogKnowsTheVersion(packages):
    version = field(packages["nvcv-cached"], "Version")
    assert (ROOT / "deploy/debian/changelog").read_text().startswith(f"nvcv-cached ({version}) ")


@pytest.mark.skipif(shutil.which("lintian") is None, reason="lintian is not installed")
def test_LintianHasNoErrorAndNoWarning(packages):
    found = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", *packages.values()],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (found.returncode, found.stdout) == (0, ""), found.stdout + found.stderr


class Root:
    """A root directory of one's own with its own dpkg, which knows the machine's packages."""

    def __init__(self, folder):
        self.folder, self.admin = folder / "root", folder / "admin"
        for made in ("etc", "usr/lib"):
            (self.folder / made).mkdir(parents=True)
        for made in ("info", "updates", "triggers"):
            (self.admin / made).mkdir(parents=True)
        shutil.copy("/var/lib/dpkg/status", self.admin / "status")
        shutil.copy("/var/lib/dpkg/arch", self.admin / "arch") if Path("/var/lib/dpkg/arch").exists() else None
        (self.folder / "lib").symlink_to("usr/lib")

    def dpkg(self, *arguments):
        options = [
            "--force-not-root",
            "--force-script-chrootless",
            f"--instdir={self.folder}",
            f"--admindir={self.admin}",
        ]
        path = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        return run(["dpkg", *options, *arguments], path)


def test_InstalledUsedAndRemovedInARootOfItsOwn(packages, runtime, consume, tmp_path):
    root = Root(tmp_path / "of")
    (root.folder / "etc" / "nvcv-cached").mkdir()
    root.dpkg("--install", *packages.values())
    programs = bare_environment(runtime, root.folder / "usr" / "bin")
    assert run(["nvcv-cached", "--version"], programs).startswith("nvcv-cached ")
    assert re.search(r"^nvcv:", (root.folder / "etc" / "passwd").read_text(), re.MULTILINE)
    assert not list((root.folder / "etc").rglob("*.wants")), "no unit is enabled"
    assert "999 hits" in consume(root.folder / "usr")
    for page in ("man8/nvcv-cached.8.gz", "man1/nvcv-cachectl.1.gz"):
        text = gzip.decompress((root.folder / "usr/share/man" / page).read_bytes()).decode().replace("\\", "")
        help_text = run([Path(page).name.split(".")[0], "--help"], programs)
        words = re.findall(r"--[a-z][\w-]+|^  [a-z]+(?=   )", help_text, re.MULTILINE)
        assert len(words) > 10
        for word in words:
            assert word.strip() in text, f"{page}: {word}"

    root.dpkg("--remove", *NAMES)
    left = [path for path in (root.folder / "usr").rglob("*") if "nvcv" in path.name]
    assert not left
    root.dpkg("--purge", *NAMES)
    assert not (root.folder / "etc" / "nvcv-cached").exists()


def test_InstalledUsedAndRemovedOnThisMachine(packages, overlay):
    main = ROOT / "tests" / "consumer" / "project" / "main.cc"
    found = subprocess.run(
        [overlay, HERE / "deb_on_machine.sh", main, *packages.values()], check=False, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.splitlines()[-1] == "removed"
