"""A real terminal of a test's own: a tmux server without a configuration, ended with the test."""

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from conditions import BIN, clean_environment, eventually


class Terminal:
    def __init__(self, columns=100, rows=30, **environment):
        self._directory = Path(tempfile.mkdtemp(prefix="nvcv-tmux-"))
        self._socket = self._directory / "tmux"
        kept = {key: value for key, value in clean_environment().items() if not key.startswith(("LC_", "LANG", "TMUX"))}
        self._environment = {**kept, "LC_ALL": "C.UTF-8", "TERM": "screen-256color"}
        shell = ["env", *[f"{key}={value}" for key, value in environment.items()], "PS1=$ ", "sh"]
        self._tmux("-f", os.devnull, "new-session", "-d", "-x", str(columns), "-y", str(rows), shlex.join(shell))
        eventually(lambda: self.text().strip() == "$", "the shell is there")

    def _tmux(self, *arguments):
        return subprocess.run(
            ["tmux", "-u", "-S", str(self._socket), *arguments],
            check=True,
            capture_output=True,
            text=True,
            timeout=20,
            env=self._environment,
        ).stdout

    def type(self, *arguments):
        """A command line of nvcv-cachectl, entered at the shell."""
        self._tmux("send-keys", "-l", shlex.join([str(BIN / "nvcv-cachectl"), *map(str, arguments)]))
        self.press("Enter")

    def enter(self, line):
        self._tmux("send-keys", "-l", line)
        self.press("Enter")

    def press(self, *keys):
        self._tmux("send-keys", *keys)

    def text(self, styles=False):
        return self._tmux("capture-pane", "-p", *(["-e"] if styles else []))

    def lines(self):
        return self.text().splitlines()

    def resize(self, columns, rows):
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def shows(self, *words, what=""):
        """Waits until all of the words are on the screen, and returns it."""

        def found():
            text = self.text()
            assert all(word in text for word in words), text
            return text

        return eventually(found, what or f"{words} on the screen")

    def pid_of(self, name="nvcv-cachectl"):
        """Of the program that runs in the pane's shell."""
        shell = self._tmux("display-message", "-p", "#{pane_pid}").strip()
        children = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        return next(int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() == name)

    def alternate(self):
        """Whether a full-screen program has the terminal."""
        return self._tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}").split()

    def close(self):
        try:
            self._tmux("kill-server")
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)
