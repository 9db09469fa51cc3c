"""The prompts of modality bridging: text files with a version, in two sets, and a user's own.

The paper prints only the second step's template, truncated, with two slots (question, thinking
process); the words here are ours, in the structure that it shows. `full` is written for large models;
`tiny` holds the words that the tiny teacher was trained on. Slots are filled by plain replacement:
nothing in a question or a model's reply is ever interpreted.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from vision_r1.core.errors import ConfigError, nearest
from vision_r1.core.files import is_folder

# The slots that each prompt may have; those marked True it must have.
SLOTS: dict[str, dict[str, bool]] = {
    "caption": {},
    "pseudo_cot": {"question": True, "answer_line": False},
    "describe": {"question": True, "thinking_process": False},
    "reason": {"description": True, "question": True, "answer_line": False},
}
_SLOT = re.compile(r"\{(\w+)\}")
_VERSION = re.compile(r"\A# version (?P<version>[\w.-]{1,40})\n")


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt before its slots are filled.

    Attributes:
        name: of the step.
        version: as its first line says, "0" where that says none.
        text: what follows.
    """

    name: str
    version: str
    text: str

    @property
    def identity(self) -> str:
        """Name, version and a hash of the words: a change of words that forgot the version shows."""
        return f"{self.name}@{self.version}-{hashlib.sha256(self.text.encode()).hexdigest()[:8]}"

    def fill(self, **slots: str) -> str:
        """The prompt with its slots filled, in one pass, so that a filled-in text cannot name a slot."""
        return _SLOT.sub(lambda match: slots[match[1]], self.text)


@dataclass(frozen=True, slots=True)
class Prompts:
    """A set of templates, by the name of their step."""

    templates: Mapping[str, Template]

    def identity(self, name: str) -> str:
        """See `Template.identity`."""
        return self.templates[name].identity

    def caption(self) -> str:
        """Ask for a plain caption: the control without a question."""
        return self.templates["caption"].fill()

    def pseudo_cot(self, question: str, answer: str | None) -> str:
        """Step 1: caption and reasoning under two headings; the paper's MLLM is told the answer."""
        line = "" if answer is None else f"Answer: {answer}\n"
        return self.templates["pseudo_cot"].fill(question=question, answer_line=line)

    def describe(self, question: str, thinking_process: str) -> str:
        """Step 2: the question-aware description."""
        return self.templates["describe"].fill(question=question, thinking_process=thinking_process)

    def reason(self, description: str, question: str, answer: str | None) -> str:
        """Step 3: what the text-only reasoner gets (the answer only where the switch says so)."""
        line = "" if answer is None else f"\nAnswer: {answer}"
        return self.templates["reason"].fill(description=description, question=question, answer_line=line)


def read_template(name: str, text: str, where: str = "") -> Template:
    """A template from the text of its file.

    Raises:
        ConfigError: it has a slot that its step does not fill, or lacks one that it needs.
    """
    found = _VERSION.match(text)
    body = text[found.end() :].removesuffix("\n") if found else text
    slots, known = set(_SLOT.findall(body)), SLOTS[name]
    for slot in sorted(slots - set(known)):
        fix = nearest(slot, known, "its slots:") if known else "this prompt has no slots"
        raise ConfigError(f"unknown slot {{{slot}}}", where=where, fix=fix)
    for slot in sorted(slot for slot, needed in known.items() if needed and slot not in slots):
        raise ConfigError(f"the prompt lacks {{{slot}}}", where=where, fix="put it where that text belongs")
    if not body.strip():
        raise ConfigError("the prompt is empty", where=where)
    return Template(name, found["version"] if found else "0", body)


@functools.cache
def shipped_prompts(which: Literal["tiny", "full"]) -> Prompts:
    """The prompts that come with the package."""
    folder = resources.files("vision_r1.teachers") / "prompts" / which
    texts = {name: (folder / f"{name}.txt").read_text(encoding="utf-8") for name in SLOTS}
    return Prompts({name: read_template(name, text) for name, text in texts.items()})


def from_folder(folder: Path) -> Prompts:
    """The `full` prompts with those of a folder in the place of their namesakes (`describe.txt`, ...).

    Raises:
        ConfigError: no such folder, a file of another name, or a text that is no prompt of its step.
    """
    if not is_folder(folder):
        raise ConfigError("no such folder", where=str(folder), fix="prompts: full, tiny, or a folder")
    templates = dict(shipped_prompts("full").templates)
    for path in sorted(folder.glob("*.txt")):
        if path.stem not in SLOTS:
            raise ConfigError("no such prompt", where=str(path), fix=nearest(path.stem, SLOTS, "one of"))
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise ConfigError("not a readable UTF-8 file", where=str(path)) from None
        templates[path.stem] = read_template(path.stem, text, str(path))
    return Prompts(templates)


def open_prompts(name: str) -> Prompts:
    """`full`, `tiny`, or those of a folder (see `from_folder`)."""
    return shipped_prompts(name) if name in ("full", "tiny") else from_folder(Path(name))
