"""The container image's file, and its steps: the same script, run without a container engine.

The second stage (installing into the image) runs on this machine under an overlay that is gone afterwards; with
NVCV_CACHED_LONG=1 also in a bare Debian from the network, as the image's is. The first stage is `make deb`.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from blocks import ROOT, run

HERE = Path(__file__).parent
STEPS = ROOT / "deploy" / "image" / "build-steps"


def instructions():
    text = (ROOT / "deploy" / "image" / "Containerfile").read_text()
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(None, 1)) for line in lines]


def last(name):
    return [argument for found, argument in instructions() if found == name][-1]


def test_TwoStagesOnDebianSlim_EachRunsTheScriptAlone():
    found = instructions()
    bases = [argument.split()[0] for name, argument in found if name == "FROM"]
    assert len(bases) == 2
    assert all(re.fullmatch(r"docker\.io/library/debian:\d+-slim", base) for base in bases)
    steps = [re.sub(r"--mount=\S+ *", "", argument).split() for name, argument in found if name == "RUN"]
    assert [step[0].rsplit("/")[-1] for step in steps] == ["build-steps"] * 2
    assert [step[1] for step in steps] == ["packages", "install"]


def test_RunsAsTheUserOfTheManifests_WhoIsNotRoot():
    user, group = map(int, last("USER").split(":"))
    assert user != 0
    manifest = (ROOT / "deploy" / "kubernetes" / "base" / "daemonset.yaml").read_text()
    assert f"runAsUser: {user}" in manifest
    assert f"runAsGroup: {group}" in manifest
    assert json.loads(last("CMD"))[0] == "nvcv-cached"


def test_NothingOfCudaGoesIn():
    for name, argument in instructions():
        assert name == "ENV" or "cuda" not in argument.lower(), argument
    assert "cuda" not in STEPS.read_text().lower()


def test_AnUnknownStepIsAnError():
    found = subprocess.run([STEPS, "bake"], check=False, capture_output=True, text=True)
    assert found.returncode == 2
    assert "known: packages OUT, install FOLDER" in found.stderr


def test_TheSecondStageRunsAndItsUserServes(packages, overlay):
    assert run([overlay, HERE / "image_in_root.sh", STEPS, packages], None).splitlines()[-1] == "served"


@pytest.mark.skipif(os.environ.get("NVCV_CACHED_LONG") != "1", reason="a long run: a bare Debian from the network")
def test_TheSecondStageRunsInABareDebian(packages, tmp_path):
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        pytest.skip("needs root and debootstrap")
    root = tmp_path / "root"
    sources = Path("/etc/apt/sources.list.d/debian.sources")
    mirror = re.search(r"^URIs: (\S+)$", sources.read_text(), re.MULTILINE) if sources.exists() else None
    folder = tmp_path / "packages"
    shutil.copytree(packages, folder, ignore=lambda _, names: [name for name in names if not name.endswith(".deb")])
    for path in (STEPS, HERE / "image_in_root.sh"):
        shutil.copy(path, folder)
    inside = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", HERE / "bare_debian.sh"]
    command = ["/packages/image_in_root.sh", "/packages/build-steps", "/packages"]
    address = mirror.group(1) if mirror else "http://deb.debian.org/debian"
    assert run([*inside, root, address, folder, *command], None, timeout=570).splitlines()[-1] == "served"
