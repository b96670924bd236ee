"""A page in a headless Chromium, driven by the debugging protocol over a pipe: what a person with a mouse does and sees."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess

from conditions import DEADLINE

INSTALLED = shutil.which("chromium")


class Page:
    """One file, shown at a size; `ask` evaluates JavaScript in it."""

    def __init__(self, directory, file, width=1280, height=1000):
        to_it, self._out = os.pipe()
        self._in, from_it = os.pipe()
        self.log = directory / "chromium.log"
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe"]
        flags += [f"--user-data-dir={directory / 'chromium'}", f"--window-size={width},{height}"]
        given = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to_it, from_it)]  # it reads 3 and writes 4
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [
                    "bash",
                    "-c",
                    'exec 3<&"$1" 4>&"$2" && shift 2 && exec "$@"',
                    "bash",
                    *map(str, given),
                    INSTALLED,
                    *flags,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=given,
                env={**os.environ, "HOME": str(directory)},
            )
        for end in (to_it, from_it, *given):
            os.close(end)
        self._rest, self._number, self._session = b"", 0, None
        self.errors = []
        try:
            self._open(file)
        except BaseException:
            self.close()
            raise

    def _open(self, file):
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")
        self._call("Page.navigate", url=file.as_uri())
        self._until(lambda message: message.get("method") == "Page.loadEventFired")

    def ask(self, expression):
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, (expression, answer)
        return answer["result"].get("value")

    def middle(self, selector):
        """Of an element, after it has been scrolled into view."""
        self.ask(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        box = self.ask(f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()")
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def hover(self, selector):
        x, y = self.middle(selector)
        self._call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, selector):
        x, y = self.middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key):
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key)

    def photograph(self, file):
        data = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        file.write_bytes(base64.b64decode(data))

    def close(self):
        self.process.kill()
        self.process.wait(DEADLINE)
        os.close(self._in)
        os.close(self._out)

    def _call(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda message: message.get("id") == self._number)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def _until(self, wanted):
        while True:
            while b"\0" not in self._rest:
                assert select.select([self._in], [], [], DEADLINE)[0], f"Chromium is silent: {self.log.read_text()}"
                got = os.read(self._in, 1 << 16)
                assert got, self.log.read_text(errors="replace")
                self._rest += got
            text, _, self._rest = self._rest.partition(b"\0")
            message = json.loads(text)
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(message["params"])
            if wanted(message):
                return message
