"""What is installed here, what runs on it, and what to do about what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version


@dataclass(frozen=True, slots=True)
class Line:
    """One finding.

    Attributes:
        name: what was looked at.
        found: what was found.
        advice: what to do, or "".
        broken: whether nothing works without it.
    """

    name: str
    found: str
    advice: str = ""
    broken: bool = False

    def text(self) -> str:
        """The finding as one line."""
        mark = "BROKEN" if self.broken else "ok" if not self.advice else "--"
        return f"{mark:<7}{self.name:<16}{self.found}" + (f"  -> {self.advice}" if self.advice else "")


_OPTIONAL: tuple[tuple[str, str, str], ...] = (
    ("deepspeed", "ZeRO on many GPUs", "pip install deepspeed (on a GPU machine)"),
    ("torchvision", "video input", "not needed for images; install the build that matches torch"),
    ("openpyxl", "export to xlsx", "pip install 'vision-r1[export]'"),
    ("tensorboard", "tracking with trl.report_to", "pip install tensorboard"),
    ("wandb", "tracking with trl.report_to", "pip install wandb"),
)


def diagnosis() -> list[Line]:
    """Everything that `vision-r1 doctor` prints."""
    checks: tuple[Callable[[], list[Line]], ...] = (_python, _required, _devices, _models, _disk, _optional)
    return [line for check in checks for line in check()]


def _python() -> list[Line]:
    here = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    old = sys.version_info < (3, 11)
    return [Line("python", here, "use Python 3.11 or newer" if old else "", broken=old)]


def _required() -> list[Line]:
    lines = []
    for text in importlib.metadata.requires("vision-r1") or []:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            lines.append(Line(requirement.name, "missing", f"pip install '{text}'", broken=True))
            continue
        fits = requirement.specifier.contains(Version(version), prereleases=True)
        advice = "" if fits else f"untested: the range is {requirement.specifier}"
        lines.append(Line(requirement.name, version, advice))
    return lines


def _devices() -> list[Line]:
    if importlib.util.find_spec("torch") is None:
        return []
    import torch

    cores = os.cpu_count() or 1
    lines = [Line("cpu", f"{cores} cores, torch uses {torch.get_num_threads()} threads")]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            name = torch.cuda.get_device_name(index)
            lines.append(Line(f"cuda:{index}", f"{name}, {free / 1e9:.0f} of {total / 1e9:.0f} GB free"))
    elif torch.version.cuda:
        lines.append(
            Line("cuda", "this torch is a CUDA build, but no GPU answers", "check the driver: nvidia-smi")
        )
    else:
        lines.append(Line("cuda", "none (CPU build of torch); --scale tiny needs none"))
    return lines


def _models() -> list[Line]:
    from vision_r1.models.tiny import Role, shipped

    lines = []
    role: Role
    for role in ("base", "teacher"):
        path = shipped(role) / "model.safetensors"
        if path.exists():
            lines.append(Line(f"tiny:{role}", f"{path.stat().st_size / 1e6:.1f} MB"))
        else:
            advice = f"reinstall, or vision-r1 tiny train {role} --out {path.parent}"
            lines.append(Line(f"tiny:{role}", "missing", advice, broken=True))
    return lines


def _disk() -> list[Line]:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    low = free < 1
    return [Line("disk", f"{free:.1f} GB free here", "a tiny run needs about 0.2 GB" if low else "")]


def _optional() -> list[Line]:
    lines = []
    for module, purpose, advice in _OPTIONAL:
        if importlib.util.find_spec(module) is None:
            lines.append(Line(module, f"not installed ({purpose})", advice))
        else:
            lines.append(Line(module, f"{importlib.metadata.version(module.replace('_', '-'))} ({purpose})"))
    return lines
