"""The commands of docs/operate.md and docs/security.md, and which test types each. The tests of the pages hold it complete."""

import re

PROGRAMS = "nvcv-cachectl|nvcv-cached --|systemctl|journalctl|kill |usermod |apt |loginctl|sudo "

# As it stands on the page: as it is typed here.
TYPED = {
    "nvcv-cachectl COMMAND --help": "nvcv-cachectl limit --help",
    "nvcv-cachectl config": "nvcv-cachectl config",
    "nvcv-cachectl doctor": "nvcv-cachectl doctor --bundle /tmp/bundle.tar.gz",
    "nvcv-cachectl events": "timeout --preserve-status -s INT 1 nvcv-cachectl events || test $? -eq 130",
    "nvcv-cachectl limit 8GiB": "nvcv-cachectl limit 8GiB && nvcv-cachectl policy lru && nvcv-cachectl quota 1GiB",
    "nvcv-cachectl metrics": "nvcv-cachectl metrics | grep -c nvcv_cached_",
    "nvcv-cachectl metrics --listen": "timeout -s INT 1 nvcv-cachectl metrics --listen 127.0.0.1:9437 || test $? -eq 124",
    "nvcv-cachectl misses": "nvcv-cachectl misses",
    "nvcv-cachectl ping --all": "nvcv-cachectl ping --all",
    "nvcv-cachectl quota SIZE --session ID": "nvcv-cachectl quota 1GiB --session 1",
    "nvcv-cachectl sessions": "nvcv-cachectl sessions && nvcv-cachectl leases --sort bytes -n 10 && nvcv-cachectl slabs",
    "nvcv-cachectl stats": "nvcv-cachectl stats && nvcv-cachectl stats -o json",
    "nvcv-cachectl status": "nvcv-cachectl status",
    "nvcv-cachectl top": "nvcv-cachectl top -n 1",
    "nvcv-cachectl undrain": "nvcv-cachectl drain && nvcv-cachectl undrain && nvcv-cachectl ping",
    "systemctl reload": "systemctl reload nvcv-cached@host",
    "systemctl status": "systemctl --no-pager status nvcv-cached@host",
    "systemctl status nvcv-cached@...": "systemctl --no-pager status nvcv-cached@host",
    "kill -USR1": "kill -USR1 $(systemctl show --value -p MainPID nvcv-cached@host)",
}
# Where it is typed: in the test of that name.
ELSEWHERE = {
    "apt install ./dist/*.deb": "test_AptInstallsThem_AndSystemdKnowsTheUnits",
    "journalctl -u nvcv-cached@cuda:0": "test_ADaemonForEachGpu",
    "nvcv-cachectl -d cuda:0 drain": "test_Drain_AndRestartOfOne",
    "nvcv-cachectl stats --last -d cuda:0": "test_TheLastStatisticsAreKept",
    "nvcv-cached --check-config --config FILE": "test_SettingsComeFromTheFileAndTheVariables",
    "systemctl --user enable --now nvcv-cached@host.socket": "test_TheFirstClientStartsTheDaemonBehindTheSocket",
    "systemctl enable --now nvcv-cached-exporter": "test_AUserOfItsOwnServesTheMetrics",
    "systemctl enable --now nvcv-cached.target": "test_EnableNow_ServesAtOnce",
    "systemctl enable --now nvcv-cached@GPU-8932f937-...": "test_TwoNamesOfOneGpu_TheSecondFailsOnce",
    "systemctl enable --now nvcv-cached@cuda:0 nvcv-cached@cuda:1": "test_ADaemonForEachGpu",
    "systemctl enable --now nvcv-cached@host": "test_EnableNow_ServesAtOnce",
    "systemctl reset-failed nvcv-cached@...": "test_WithoutAGpu_ItTriesForAWhileAndGivesUp",
    "systemctl restart nvcv-cached@cuda:0": "test_Drain_AndRestartOfOne",
    "usermod -aG nvcv alice": "test_WhoIsInTheGroupConnects",
}
# `make install`'s line needs a tree of its own, which the tests service.verify have.
NOT_HERE = {"sudo systemd-sysusers && sudo systemd-tmpfiles --create && sudo systemctl daemon-reload && sudo ldconfig"}


def on_the_pages(docs):
    found = set()
    for name in ("operate.md", "security.md"):
        text = (docs / name).read_text()
        for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            found.update(re.sub(r"\s+#.*", "", line).strip() for line in block.splitlines())
        found.update(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)))
    return {line for line in found if re.match(PROGRAMS, line)} - {"nvcv-cachectl"}
