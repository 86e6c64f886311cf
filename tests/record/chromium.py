"""Headless Chromium, driven over its debugging pipe: no packages, no ports."""

import base64
import json
import os
import pathlib
import subprocess


class Chromium:
    """A browser; use it in a `with` statement."""

    def __init__(self, program: str, profile: pathlib.Path):
        here_reads, it_writes = os.pipe()
        it_reads, here_writes = os.pipe()
        # No sandbox: containers often forbid the one Chromium would build, and the pages are our own. No network.
        options = [
            "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe",
            f"--user-data-dir={profile}", "--host-resolver-rules=MAP * ~NOTFOUND", "about:blank",
        ]  # fmt: skip
        # Chromium reads file descriptor 3 and writes 4; the shell puts the pipes there.
        start = f'exec "$0" "$@" 3<&{it_reads} 4>&{it_writes}'
        self.process = subprocess.Popen(
            ["bash", "-c", start, program, *options], pass_fds=(it_reads, it_writes), stderr=subprocess.DEVNULL
        )
        os.close(it_reads)
        os.close(it_writes)
        self.reader, self.writer = os.fdopen(here_reads, "rb"), os.fdopen(here_writes, "wb")
        self.buffer, self.last_id, self.session, self.events = b"", 0, None, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
        except (OSError, EOFError):
            pass
        self.process.wait(timeout=30)

    def call(self, method: str, **parameters) -> dict:
        """Calls a method of the DevTools protocol and returns its result; events meanwhile go to `self.events`."""
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.writer.write(json.dumps(message).encode() + b"\0")
        self.writer.flush()
        while True:
            answer = self._receive()
            if answer.get("id") == self.last_id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def _receive(self) -> dict:
        while b"\0" not in self.buffer:
            data = self.reader.read1(1 << 20)
            if not data:
                raise EOFError("Chromium has gone")
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def open(self, page: pathlib.Path, width: int, height: int, density: float, scheme: str) -> None:
        """Opens `page` in a new tab on a screen of this size \\[CSS pixels\\], density and colour scheme."""
        self.session, self.events = None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")
        screen = {"width": width, "height": height, "deviceScaleFactor": density, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **screen)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=page.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())

    def evaluate(self, script: str):
        """The value of `script`, a promise's once it is there."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def complaints(self) -> list[str]:
        """Exceptions, and messages such as those of the content security policy, since the page was opened."""
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        return [json.dumps(event["params"])[:400] for event in self.events if event.get("method") in kinds]

    def requests(self) -> list[str]:
        """Every address asked for since the page was opened."""
        asked = [event["params"] for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [request["request"]["url"] for request in asked]

    def screenshot(self, path: pathlib.Path) -> None:
        """Writes what is seen as a PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
