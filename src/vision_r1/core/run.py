"""Run: a directory. Everything a run knows is in it; a killed run continues from it."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import json
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_r1.core.errors import InputError, RunStateError
from vision_r1.core.files import atomic_write_text, left_by_kill, read_json, write_json
from vision_r1.core.progress import Progress

_PACKAGES = ("vision-r1", "torch", "transformers", "trl", "accelerate", "datasets", "math-verify", "numpy")


def versions() -> dict[str, str]:
    """What is installed: Python and the packages that decide the numbers."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def peak_rss_mb() -> float:
    """Peak resident memory of this process so far, in MB (10^6 bytes)."""
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        memory = psutil.Process().memory_info()
        return round(getattr(memory, "peak_wset", memory.rss) / 1e6, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts kilobytes, macOS bytes.
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The layout of a run directory.

    Attributes:
        path: its root.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The resolved recipe."""
        return self.path / "config.yaml"

    @property
    def results(self) -> Path:
        """What the run measured."""
        return self.path / "results.json"

    def stage(self, name: str) -> Path:
        """The folder of a stage."""
        return self.path / "stages" / name

    def done(self, name: str) -> dict[str, Any] | None:
        """The record of a finished stage, or None."""
        path = self.stage(name) / "done.json"
        if not path.exists():
            return None
        try:
            return dict(read_json(path))
        except (InputError, TypeError, ValueError):
            fix = f"remove {path.parent}: the stage is then made again"
            raise RunStateError(
                "the record of the finished stage is damaged", where=str(path), fix=fix
            ) from None

    def clock(self, name: str) -> StageClock:
        """Start the clock of a stage, or let it go on."""
        return StageClock(self.stage(name) / "clock.json")

    def finish(self, name: str, summary: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Mark a stage as done; nothing of it is written after this."""
        clock = self.stage(name) / "clock.json"
        record = {
            "seconds": round(seconds, 1),
            "sessions": read_json(clock)["sessions"] if clock.exists() else 1,
            "peak_rss_mb": peak_rss_mb(),
            "summary": summary,
        }
        write_json(self.stage(name) / "done.json", record)
        return record

    def event(self, event: str, **fields: Any) -> None:
        """Append a line to the run's record."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        with (self.path / "events.jsonl").open("a", encoding="utf-8") as handle:
            handle.write(json.dumps({"time": now, "event": event, **fields}, ensure_ascii=False) + "\n")

    def create(self, config_yaml: str, identity: dict[str, Any]) -> None:
        """Write the first files of a new run; `run.json`, written last, makes it one.

        Raises:
            RunStateError: a config.yaml of something else is there already; nothing is touched.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if self.config.exists() and self.config.read_bytes() != config_yaml.encode():
            raise RunStateError(
                "the folder holds another config.yaml", where=str(self.path), fix="name another --out"
            )
        atomic_write_text(self.config, config_yaml)
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        write_json(self.path / "run.json", {**identity, "versions": versions(), "created": created})

    def identity(self) -> dict[str, Any] | None:
        """What the run is (recipe, scale, seed, versions), or None where there is no run."""
        path = self.path / "run.json"
        return read_json(path) if path.exists() else None


def open_run(path: Path) -> RunDirectory:
    """An existing or new run directory.

    Raises:
        RunStateError: `path` is a file, or a folder with other things in it; nothing is touched.
    """
    if path.exists() and not path.is_dir():
        raise RunStateError("is a file, not a run directory", where=str(path), fix="name another --out")
    run = RunDirectory(path)
    if path.is_dir() and any(path.iterdir()) and run.identity() is None:
        # What a kill before the first run.json leaves: the lock, temporary files, the config.
        ours = {".lock", run.config.name}
        if any(e.name not in ours and not left_by_kill(e, "config.yaml", "run.json") for e in path.iterdir()):
            raise RunStateError(
                "the folder holds other files and is not a run", where=str(path), fix="name another --out"
            )
    return run


@contextlib.contextmanager
def exclusive(run: RunDirectory) -> Iterator[None]:
    """Hold the run's lock; a second process on the same directory is refused.

    The operating system drops the lock when the holder dies, however it dies.
    """
    try:
        import fcntl
    except ImportError:  # Windows: no flock; the run goes on without the guard.
        yield
        return
    run.path.mkdir(parents=True, exist_ok=True)
    with (run.path / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunStateError("another process is working on this run", where=str(run.path)) from None
        yield


class StageClock:
    """Seconds that a stage took over all sessions; a kill loses at most the last `BEAT` of one.

    Attributes:
        path: `clock.json` in the stage's folder.
        sessions: how many processes worked on the stage, this one included.
    """

    BEAT = 5.0

    def __init__(self, path: Path) -> None:
        self.path = path
        before = read_json(path) if path.exists() else {}
        self.sessions = int(before.get("sessions", 0)) + 1
        self._before = float(before.get("seconds", 0.0))
        self._start = self._written = time.monotonic()
        self._write()

    def seconds(self) -> float:
        """Seconds of the sessions before and of this one."""
        return self._before + time.monotonic() - self._start

    def beat(self) -> None:
        """Note the time, if it was not noted just now."""
        if time.monotonic() - self._written >= self.BEAT:
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        write_json(self.path, {"seconds": round(self.seconds(), 2), "sessions": self.sessions})


class Ticking:
    """A `Progress` that also keeps a stage's clock."""

    def __init__(self, progress: Progress, clock: StageClock) -> None:
        self._progress, self._clock = progress, clock

    def start(self, stage: str, total: int, unit: str = "step") -> None:
        """See `Progress.start`."""
        self._clock.beat()
        self._progress.start(stage, total, unit)

    def advance(self, done: int, **fields: float) -> None:
        """See `Progress.advance`."""
        self._clock.beat()
        self._progress.advance(done, **fields)

    def finish(self) -> None:
        """See `Progress.finish`."""
        self._clock.beat()
        self._progress.finish()

    def say(self, text: str) -> None:
        """See `Progress.say`."""
        self._progress.say(text)
