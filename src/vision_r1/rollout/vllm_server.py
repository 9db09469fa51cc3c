"""A vLLM server of our own: started for a model folder, asked as an endpoint, never left behind."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from vision_r1.core.errors import InputError
from vision_r1.core.progress import Progress, Silent
from vision_r1.models.digest import folder_digest
from vision_r1.rollout import guard
from vision_r1.rollout.config import Sampling, VLLMSettings
from vision_r1.rollout.endpoint import EndpointEngine
from vision_r1.rollout.engine import OnDone, quiet
from vision_r1.rollout.trace import Trace
from vision_r1.teachers.config import EndpointConfig
from vision_r1.teachers.endpoint import EndpointClient
from vision_r1.teachers.request_log import RequestLog

if TYPE_CHECKING:
    from vision_r1.rollout.request import Request

PYTHON = "VISION_R1_VLLM_PYTHON"
_POLL = 0.5  # seconds
_LINE = 300  # characters of one line of the server's output in an error
# The line with which Python, or a command line's parser, ends on an error; and what vLLM puts before a line.
_ERROR = re.compile(r"^(\([^()]*\) )?(ERROR [^\]]*\] )?\s*([\w.]*(Error|Exception|Exit)|\S+: error): ")
_PREFIX = re.compile(r"^\([^()]*\) (ERROR [^\]]*\] )?")


class VLLMEngine:
    """Serves a model folder while the `with` block lasts.

    The interpreter is the one that the environment variable VISION_R1_VLLM_PYTHON names, else this one.
    What the server prints is in `vllm.log` beside the request log.

    Attributes:
        name: the folder's name and a digest of its content, the precision and further arguments.
        identity: likewise.
    """

    def __init__(
        self,
        model: Path,
        log: RequestLog,
        settings: VLLMSettings | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Look at the model; nothing is started yet.

        Raises:
            InputError: the folder holds no model.
        """
        if not (model / "config.json").is_file():
            raise InputError("not a model directory", where=str(model), fix="name a folder with config.json")
        self.settings = settings or VLLMSettings()
        # Served by this name, so that answers of other weights in the same request log stay apart.
        self.name = f"{model.resolve().name}@{_digest(model, self.settings)}"
        self.identity = f"vllm:{self.name}"
        self._model, self._log, self._progress = model, log, progress or Silent()
        self._output = log.path.with_name("vllm.log")
        self._server: subprocess.Popen[bytes] | None = None
        self._engine: EndpointEngine | None = None

    def complete(
        self, requests: Sequence[Request], sampling: Sampling, seed: int, on_done: OnDone = quiet
    ) -> list[Trace]:
        """See `Engine.complete`."""
        if self._engine is None:
            raise RuntimeError("the server runs only within the `with` block")
        return self._engine.complete(requests, sampling, seed, on_done)

    def __enter__(self) -> Self:
        """Start the server and wait until it answers.

        Raises:
            InputError: vLLM is not installed, or the server ended or took too long; with the last of
                its output.
        """
        interpreter = vllm_python()
        port = _free_port()
        command = [interpreter, *server_arguments(self._model, self.name, port, self.settings)]
        # The guard has a session of its own: an interrupt at the terminal is ours to pass on.
        with self._output.open("wb") as output:
            self._server = subprocess.Popen(
                [sys.executable, "-I", guard.__file__, *command],
                stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
                env=server_environment(os.environ), start_new_session=True,
            )  # fmt: skip
        try:
            self._wait_until_ready(f"http://127.0.0.1:{port}/v1")
        except BaseException:
            self.__exit__()
            raise
        config = EndpointConfig(
            url=f"http://127.0.0.1:{port}/v1",
            max_in_flight=self.settings.max_in_flight,
            timeout_seconds=3600.0,
        )
        self._engine = EndpointEngine(EndpointClient(config, self._log), self.name)
        return self

    def __exit__(self, *_: object) -> None:
        """End the server and wait until it is gone."""
        if self._engine is not None:
            self._engine.client.close()
            self._engine = None
        if self._server is not None:
            if self._server.stdin is not None:
                self._server.stdin.close()
            self._server.wait()
            self._server = None

    def _wait_until_ready(self, url: str) -> None:
        start, limit = time.monotonic(), self.settings.start_seconds
        self._progress.start("start vLLM", int(limit), "second")
        while not _serves(url, self.name):
            passed = time.monotonic() - start
            if self._server is None or self._server.poll() is not None:
                raise InputError(f"the vLLM server ended: {self._tail()}", where=str(self._output))
            if passed > limit:
                what = f"the vLLM server was not ready after {limit:g} s: {self._tail()}"
                raise InputError(what, where=str(self._output), fix="raise start_seconds")
            self._progress.advance(min(int(passed), int(limit)))
            time.sleep(_POLL)
        self._progress.finish()

    def _tail(self) -> str:
        return last_words(self._output.read_text(encoding="utf-8", errors="replace"))


def last_words(output: str) -> str:
    """Why a server ended, from what it printed, on one line: its first and last error, else its last lines.

    The first names the cause; the last one, of the process above, often says only that there was one.
    """
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [place for place, line in enumerate(lines) if _ERROR.search(line)]
    chosen = sorted({line for place in errors[:1] + errors[-1:] for line in (place, place + 1)})
    told = [lines[place] for place in chosen if place < len(lines)] or lines[-3:]
    text = " | ".join(" ".join(_PREFIX.sub("", line).split())[:_LINE] for line in told)
    return "".join(mark if mark.isprintable() else " " for mark in text) or "it printed nothing"


def vllm_python() -> str:
    """The interpreter that has vLLM.

    Raises:
        InputError: it has not, or is no interpreter.
    """
    interpreter = os.environ.get(PYTHON, "") or sys.executable
    look = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
    try:
        found = subprocess.run(
            [interpreter, "-c", look],
            check=False,
            capture_output=True,
            timeout=120,
            env=server_environment(os.environ),
        )
    except (OSError, subprocess.TimeoutExpired):
        raise InputError("is not a Python interpreter that runs", where=f"{PYTHON}={interpreter}") from None
    if found.returncode != 0:
        fix = f"set {PYTHON} to the Python of an environment that has it, see docs/endpoints.md"
        raise InputError("vLLM is not installed", where=interpreter, fix=fix)
    return interpreter


def server_environment(own: os._Environ[str] | dict[str, str]) -> dict[str, str]:
    """The server's environment: it goes on no network, and another interpreter finds its own packages."""
    kept = {name: value for name, value in own.items() if not (name == "PYTHONPATH" and own.get(PYTHON))}
    return {**kept, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


def server_arguments(model: Path, name: str, port: int, settings: VLLMSettings) -> list[str]:
    """What the interpreter is called with."""
    length = [] if settings.max_model_len is None else ["--max-model-len", str(settings.max_model_len)]
    return [
        *("-m", "vllm.entrypoints.openai.api_server"),
        *("--model", str(model.resolve()), "--served-model-name", name),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--dtype", settings.dtype, *length),
        *("--limit-mm-per-prompt", json.dumps({"image": settings.images, "video": 0})),
        # Else the checkpoint's generation_config.json would add its own penalties and cut-offs to ours.
        *("--generation-config", "vllm"),
        *settings.arguments,
    ]


def _digest(model: Path, settings: VLLMSettings) -> str:
    decisive = [folder_digest(model), settings.dtype, *settings.arguments]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:24]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serves(url: str, name: str) -> bool:
    """Whether a server answers there and has this model: another one may have taken the port."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/models", timeout=5) as response:
            body = json.loads(response.read(2**20))
        return any(entry.get("id") == name for entry in body["data"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
