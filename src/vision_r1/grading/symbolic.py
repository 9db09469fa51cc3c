r"""Symbolic comparison of LaTeX answers, in worker processes that end themselves.

math-verify's own time limit is `signal.alarm`, which works on the main thread only, and sympy can be
made to run for hours or to eat the memory (9^{9^{9^9}}). So it never runs in this process: see
`symbolic_worker` for what does, and `budget` for the time that an answer has. Only the LaTeX parser is
used there; math-verify's plain-expression parser calls `eval`.
"""

from __future__ import annotations

import atexit
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from vision_r1.grading.budget import answer_budget
from vision_r1.grading.worker_pool import WorkerPool

_MAX_LENGTH = 300
# The samples of one problem often share their answers.
_KEPT_OUTCOMES = 16384

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
_ARITHMETIC = re.compile(r"[0-9.+\-*/^()|\[\]\s]+")
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
    r"""Whether `text` is arithmetic of plain numbers, not worked out: "3+4", "4(5)", "\sqrt{9+16}"."""
    commands = _COMMAND.findall(text)
    plain = _COMMAND.sub("+", text).replace("×", "*").replace("·", "*").replace("÷", "/")
    plain = plain.replace("{", "(").replace("}", ")")
    fits = set(commands) <= _COMMANDS and _ARITHMETIC.fullmatch(plain) is not None
    return fits and re.search(r"[+*/^(-]", plain.lstrip(" +-") + "+" * bool(commands)) is not None


POOL = WorkerPool()
atexit.register(POOL.close)


class _OutOfTimeError(Exception):
    """No outcome, and so nothing to keep: the next try may have a quieter machine."""


def compare(gold: str, answer: str) -> Outcome:
    """Compare two LaTeX expressions (from `to_latex`) within the budget of the answer being graded.

    Raises:
        VisionR1Error: no worker can be started at all.
    """
    try:
        return _outcome(gold, answer)
    except _OutOfTimeError:
        return Outcome("timeout")


@lru_cache(maxsize=_KEPT_OUTCOMES)
def _outcome(gold: str, answer: str) -> Outcome:
    with answer_budget() as budget:
        reply = POOL.ask({"gold": gold, "answer": answer}, budget)
        if reply is None:
            budget.ran_out = True
            raise _OutOfTimeError
    values = (reply[key] for key in ("value", "gold_value"))
    return Outcome(reply["status"], *(None if value is None else Fraction(value) for value in values))
