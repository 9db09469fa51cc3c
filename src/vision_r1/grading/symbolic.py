r"""Symbolic comparison of LaTeX answers, in a worker process that can be killed.

math-verify's own time limit is `signal.alarm`, which works on the main thread only, and sympy can be
made to run for hours or to eat the memory (9^{9^{9^9}}). So it never runs in this process: a fresh
interpreter (no torch in it, nothing forked) loads it once, is reused, and is killed at the limit.
Only the LaTeX parser is used there; math-verify's plain-expression parser calls `eval`.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from fractions import Fraction
from typing import IO, Any, Literal

from vision_r1.core.errors import VisionR1Error

TIME_LIMIT = 2.0
_START_LIMIT = 120.0
_MAX_LENGTH = 300

# An allow-list: a command outside it ("\text{or}", "\quad", "\lor", "\begin") is no single expression.
_COMMAND_NAMES = """
    frac dfrac tfrac sqrt cdot times div left right sin cos tan cot sec csc arcsin arccos arctan log ln exp
    pi theta alpha beta gamma delta lambda mu phi omega circ infty le ge leq geq lt gt neq ne cup cap
"""
_COMMANDS = frozenset(_COMMAND_NAMES.split())
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_ALLOWED = re.compile(r"[A-Za-z0-9\\{}()\[\]+\-*/^_=<>.,!|° ]+")
_WORD = re.compile(r"[A-Za-z]{2,}")
_SIGN_OF_MATHS = re.compile(r"[\\^*+/=<>()\[\]]|[0-9]\s?[A-Za-z]|-\s?[A-Za-z]")
_SPLIT_DIGITS = re.compile(r"[0-9]\s+[0-9]|\}\s*[0-9]+\s+[0-9]")
_ARITHMETIC = re.compile(r"[0-9.+\-*/^()\s]+")
_FUNCTIONS = ("sqrt", "pi")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the worker found: equality, and the real values of unequal sides that have one."""

    status: Literal["equal", "different", "unparseable", "timeout"]
    value: Fraction | None = None
    gold_value: Fraction | None = None


def to_latex(text: str) -> str | None:
    """`text` as LaTeX if it is one mathematical expression, else None.

    Plain notation is understood as far as models write it: `2*sqrt(3)`, `√3`, `π`, `x^12`, `**`.
    """
    if len(text) > _MAX_LENGTH:
        return None
    text = re.sub(r"√\s?([0-9]+|[A-Za-z])", r"\\sqrt{\1}", text)
    text = text.replace("π", r"\pi ").replace("√", r"\sqrt").replace("×", r"\times ").replace("·", r"\cdot ")
    text = text.replace("\\,", " ").replace("\\!", "").replace("~", " ").replace("**", "^").replace("$", " ")
    text = re.sub(rf"(?<![\\A-Za-z])({'|'.join(_FUNCTIONS)})(?![A-Za-z])", r"\\\1 ", text)
    text = re.sub(r"\\sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}", text)
    text = re.sub(r"\^\s*(-?[0-9]+)", r"^{\1}", text)
    text = re.sub(r"\^\s*\(([^()]*)\)", r"^{\1}", text)
    commands = set(_COMMAND.findall(text))
    words = _WORD.findall(_COMMAND.sub(" ", text))
    bare = re.sub(r"\\(?:[A-Za-z]+|[{}])", "", text)
    if not commands <= _COMMANDS or "\\" in bare or any(not word.isupper() for word in words):
        return None
    fits = _ALLOWED.fullmatch(text) and not _SPLIT_DIGITS.search(text)
    return text if fits and _SIGN_OF_MATHS.search(text) else None


def is_bare_arithmetic(text: str) -> bool:
    """Whether `text` is a sum or product of plain numbers that was not worked out, such as 3+4."""
    for command in (r"\cdot", r"\times", r"\div", r"\left", r"\right"):
        text = text.replace(command, "+")
    text = text.replace("×", "*").replace("·", "*").replace("÷", "/").replace("{", "(").replace("}", ")")
    return _ARITHMETIC.fullmatch(text) is not None and re.search(r"[+*/^-]", text.lstrip(" +-")) is not None


class SymbolicWorker:
    """Owns at most one worker process; safe to call from several threads.

    The process starts at the first comparison. A killed one is replaced at once, so that its
    imports overlap with other work. A forked child of this process starts its own.
    """

    def __init__(self, time_limit: float = TIME_LIMIT) -> None:
        self.time_limit = time_limit
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._replies: queue.Queue[str | None] = queue.Queue()
        self._ready = False
        self._owner = os.getpid()

    @property
    def pid(self) -> int | None:
        """The process id of the live worker, or None."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def compare(self, gold: str, answer: str) -> Outcome:
        """Compare two LaTeX expressions (from `to_latex`).

        Raises:
            VisionR1Error: the worker cannot be started at all.
        """
        if self._owner != os.getpid():
            # After a fork the pipe and the lock still belong to the parent.
            self._reset()
        with self._lock:
            self._ensure_ready()
            reply = self._ask({"gold": gold, "answer": answer})
            if reply is None:
                self._kill()
                self._start()
                return Outcome("timeout")
        values = (reply.get(key) for key in ("value", "gold_value"))
        return Outcome(reply["status"], *(None if value is None else Fraction(value) for value in values))

    def close(self) -> None:
        """Kill the worker; a later comparison starts a new one."""
        if self._owner == os.getpid():
            with self._lock:
                self._kill()

    def _ensure_ready(self) -> None:
        if self._process is None or self._process.poll() is not None:
            self._kill()
            self._start()
        if not self._ready:
            try:
                self._ready = self._replies.get(timeout=_START_LIMIT) is not None
            except queue.Empty:
                self._ready = False
            if not self._ready:
                self._kill()
                raise VisionR1Error(
                    "the symbolic grader did not start",
                    where="vision_r1.grading.symbolic_worker",
                    fix="check that math-verify[antlr4_13_2] is installed: vision-r1 doctor",
                )

    def _ask(self, request: dict[str, str]) -> dict[str, Any] | None:
        """The reply, or None if none came in time (a worker that died counts as that, too)."""
        process = self._process
        if process is None or process.stdin is None:
            return None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = self._replies.get(timeout=self.time_limit)
        except (queue.Empty, BrokenPipeError):
            return None
        reply: dict[str, Any] | None = json.loads(line) if line is not None else None
        return reply

    def _start(self) -> None:
        self._replies, self._ready = queue.Queue(), False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vision_r1.grading.symbolic_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        # A thread reads, because a pipe cannot be waited on with a time limit on every system.
        reader = threading.Thread(target=_pump, args=(self._process.stdout, self._replies), daemon=True)
        reader.start()

    def _kill(self) -> None:
        process, self._process, self._ready = self._process, None, False
        if process is None:
            return
        process.kill()
        process.wait()
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # an unsent request dies with its reader
                process.stdin.close()


def _pump(stream: IO[str] | None, replies: queue.Queue[str | None]) -> None:
    if stream is not None:
        with stream:
            for line in stream:
                replies.put(line)
    replies.put(None)


WORKER = SymbolicWorker()
atexit.register(WORKER.close)
