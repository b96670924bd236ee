"""deploy/kubernetes: rendered, valid for the API, and what operators rely on."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from render import containers, pod, render

ROOT = Path(__file__).parents[2] / "deploy" / "kubernetes"
FOLDERS = ["base", "overlays/host", "overlays/podmonitor", "overlays/example-client"]
API_VERSIONS = ["1.29", "1.33", kubernetes_validate.latest_version()]


def find(folder, kind):
    (found,) = [document for document in render(ROOT / folder) if document["kind"] == kind]
    return found


def daemonset(folder="base"):
    return find(folder, "DaemonSet")


def container(document, name):
    (found,) = [one for one in containers(document) if one["name"] == name]
    return found


@pytest.mark.parametrize("version", API_VERSIONS)
@pytest.mark.parametrize("folder", FOLDERS)
def test_schemas_AreKept(folder, version):
    for document in render(ROOT / folder):
        if document["kind"] == "PodMonitor":
            continue  # the Prometheus operator's, not Kubernetes'
        kubernetes_validate.validate(document, version, strict=True)


def test_schemas_SeeAMisspeltField():
    broken = daemonset()
    broken["spec"]["updateStratergy"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, API_VERSIONS[-1], strict=True)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl to compare with")
@pytest.mark.parametrize("folder", FOLDERS)
def test_render_IsKubectls(folder):
    theirs = subprocess.run(
        ["kubectl", "kustomize", ROOT / folder], check=False, capture_output=True, text=True, timeout=60
    )
    if theirs.returncode != 0 and "unknown field" in theirs.stderr:
        pytest.skip("this kubectl's kustomize is older than the fields that are used")
    assert theirs.returncode == 0, theirs.stderr

    def order(document):
        return document["kind"], document["metadata"]["name"]

    assert sorted(render(ROOT / folder), key=order) == sorted(yaml.safe_load_all(theirs.stdout), key=order)


def test_daemon_OnePodPerNodeOneDaemonPerGpu():
    assert "--device=all" in container(daemonset(), "daemon")["args"]
    environment = {entry["name"]: entry["value"] for entry in container(daemonset(), "daemon")["env"]}
    assert environment["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert pod(daemonset())["runtimeClassName"] == "nvidia"
    assert not any("nvidia.com/gpu" in str(one.get("resources")) for one in containers(daemonset()))


def test_daemon_SeesItsClientsPidsAndTheirContainers():
    assert pod(daemonset())["hostPID"] is True
    assert "--domain=cgroup" in container(daemonset(), "daemon")["args"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_sockets_AreADirectoryOfTheNode(folder):
    for document in render(ROOT / folder):
        for volume in pod(document).get("volumes", []):
            assert volume["hostPath"]["path"] == "/run/nvcv-cached"
            assert volume["hostPath"]["type"] in ("Directory", "DirectoryOrCreate")
        for one in containers(document):
            for mount in one["volumeMounts"]:
                writes = one["name"] in ("daemon", "socket-directory")
                assert mount["mountPath"] == "/run/nvcv-cached" and mount.get("readOnly", False) is not writes


@pytest.mark.parametrize("folder", FOLDERS)
def test_pods_HaveNoTokenAndNoRights(folder):
    for document in render(ROOT / folder):
        if not pod(document):
            continue
        assert pod(document)["automountServiceAccountToken"] is False
        assert pod(document)["securityContext"]["runAsNonRoot"] is True
        for one in containers(document):
            context = one["securityContext"]
            assert context["allowPrivilegeEscalation"] is False and context["capabilities"]["drop"] == ["ALL"]
            if one["name"] != "socket-directory":
                assert "runAsUser" not in context and "add" not in context["capabilities"]


def test_daemon_IsEndedLastAndInItsTime():
    assert pod(daemonset())["priorityClassName"] == "system-node-critical"
    assert pod(daemonset())["terminationGracePeriodSeconds"] == 45
    assert daemonset()["spec"]["updateStrategy"] == {"type": "OnDelete"}


def test_probes_AskTheDaemonsThemselves():
    daemon = container(daemonset(), "daemon")
    for name in ("startupProbe", "readinessProbe"):
        assert daemon[name]["exec"]["command"] == ["nvcv-cachectl", "ping", "--all"]
    # a probe that ends before the command's own deadline (5 s) would not say which daemon hangs
    assert all(daemon[name]["timeoutSeconds"] > 5 for name in ("readinessProbe", "livenessProbe"))


@pytest.mark.parametrize("code, ends_it", [(0, False), (3, False), (1, True), (4, True), (5, True)])
def test_probes_ADrainIsNoReasonToEndIt(tmp_path, code, ends_it):
    """The probe's own command, with a ping that answers so."""
    fake = tmp_path / "nvcv-cachectl"
    fake.write_text(f"#!/bin/sh\nexit {code}\n")
    fake.chmod(0o755)
    command = container(daemonset(), "daemon")["livenessProbe"]["exec"]["command"]
    result = subprocess.run(command, check=False, timeout=30, env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert (result.returncode != 0) is ends_it


def test_probes_AHungDaemonIsEndedAndADrainingOneIsNot(tmp_path):
    """The probes' own commands, asked of a real daemon."""
    tmp_path.chmod(0o700)
    programs = Path(os.environ["NVCV_CACHED_BIN"])
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path)}
    container_spec = container(daemonset(), "daemon")

    def probe(name):
        command = container_spec[name]["exec"]["command"]
        return subprocess.run(command, check=False, timeout=60, capture_output=True, env=environment).returncode

    daemon = subprocess.Popen(["nvcv-cached", "--device=host"], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        while " ready " not in daemon.stderr.readline():
            assert daemon.poll() is None
        assert (probe("startupProbe"), probe("readinessProbe"), probe("livenessProbe")) == (0, 0, 0)
        subprocess.run(["nvcv-cachectl", "drain", "--all"], check=True, capture_output=True, env=environment)
        assert (probe("readinessProbe"), probe("livenessProbe")) == (3, 0)
        daemon.send_signal(signal.SIGSTOP)
        assert probe("livenessProbe") not in (0, 3)
    finally:
        daemon.kill()
        daemon.wait(20)
        daemon.stderr.close()


def test_programs_KnowTheirArguments():
    programs = Path(os.environ["NVCV_CACHED_BIN"])
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "XDG_RUNTIME_DIR": "/nonexistent"}

    def run(*command):
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=environment)

    host = container(daemonset("overlays/host"), "daemon")
    checked = run(*host["command"], *host["args"], "--check-config")
    assert checked.returncode == 0 and "cgroup" in checked.stdout, checked
    assert run(*host["readinessProbe"]["exec"]["command"]).returncode != 2


def test_exporter_IsASecondContainer():
    exporter = container(daemonset(), "exporter")
    assert exporter["command"] + exporter["args"] == ["nvcv-cachectl", "metrics", "--listen=0.0.0.0:9435"]
    assert exporter["ports"] == [{"name": "metrics", "containerPort": 9435}]


def test_podmonitor_FindsTheExporter():
    monitor, labels = find("overlays/podmonitor", "PodMonitor"), daemonset()["spec"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == container(daemonset(), "exporter")["ports"][0]["name"]
    job = labels[monitor["spec"]["jobLabel"]]
    assert f'up{{job="{job}"}}' in (ROOT.parent / "prometheus" / "alerts.yml").read_text()


def test_client_NeedsItsGpuAndTheMount():
    client = find("overlays/example-client", "Job")
    (one,) = containers(client)
    assert one["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert "hostPID" not in pod(client) and pod(client)["runtimeClassName"] == "nvidia"
    compile(one["args"][0], "client", "exec")


def test_host_RunsWhereNoGpuIsBesideTheBase():
    host = daemonset("overlays/host")
    daemon = container(host, "daemon")
    assert "--device=host" in daemon["args"] and "--device=all" not in daemon["args"]
    assert "runtimeClassName" not in pod(host) and "env" not in daemon
    assert daemon["resources"]["limits"]["memory"], "what the host device's 50 % are of"
    assert host["metadata"]["name"] != daemonset()["metadata"]["name"]
    theirs = daemonset()["spec"]["template"]["metadata"]["labels"]
    assert not host["spec"]["selector"]["matchLabels"].items() <= theirs.items()
    assert (
        not daemonset()["spec"]["selector"]["matchLabels"].items()
        <= host["spec"]["template"]["metadata"]["labels"].items()
    )
