r"""The program that runs math-verify: one JSON request a line in, one JSON reply a line out.

It is run by its path, in an interpreter of its own, and imports nothing of this package. Two ways:

    symbolic_worker.py FD   loads math-verify once, then forks a child for every socket that comes over FD
    symbolic_worker.py      serves standard input itself, for systems without fork

A forked child ends by the alarm that it sets before every comparison, with the system's own handling:
the kernel ends the process, in whatever loop of C or Python it is. It needs nobody to kill it, so a
comparison that hangs does not outlive an owner that is gone. Every process here ends when its input does.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import socket
import sys
from functools import lru_cache
from typing import Any, TextIO

_MEMORY_LIMIT = 768 * 1024**2
# What the parser learns from these, every forked child knows.
_WARM_UP = (
    (r"\frac{8\sqrt{3}}{3}\pi", r"\frac { 8 } { \sqrt 3 } \pi"),
    (r"x^{2}-3x+1", r"(x-1)(x+2)"),
    (r"2\cdot 3^{4}", r"-\sqrt[3]{5}"),
    (r"(3,4]", r"[3, \infty)"),
    (r"\{1,2\}", r"(1,2)\cup(3,4)"),
    (r"2\sin(30^{\circ})+\log_{2} 8", r"\ln x"),
    (r"y=2x+1", r"x\le 3"),
    ("0.5", "50%"),
)


def compare(gold: str, answer: str) -> dict[str, Any]:
    """Compare two LaTeX expressions.

    Returns:
        {"status": "equal" | "different" | "unparseable", "value", "gold_value": real values or None}.
    """
    from math_verify import verify

    read = (_parsed(gold), _parsed(answer))
    if not all(read):
        # An unreadable gold ("65+") is no fault of the answer, which is then just not equal to it.
        return {"status": "different" if read[1] else "unparseable", "value": None, "gold_value": None}
    # No time limit of theirs: it would take over the alarm.
    equal = verify(read[0], read[1], timeout_seconds=None)
    values = (None, None) if equal else (_value(read[1][0]), _value(read[0][0]))
    return {"status": "equal" if equal else "different", "value": values[0], "gold_value": values[1]}


@lru_cache(maxsize=256)
def _parsed(text: str) -> list[Any]:
    """What math-verify reads; kept, because many answers are compared with one gold."""
    from math_verify import LatexExtractionConfig, parse

    found: list[Any] = parse(
        f"${text}$",
        extraction_config=(LatexExtractionConfig(),),
        fallback_mode="no_fallback",
        parsing_timeout=None,
    )
    return found


def _parse_in_two_stages() -> None:
    """Have the parser try the cheap prediction first, as ANTLR's authors advise; 1.4 times as fast overall.

    What the cheap mode ("SLL") reads, it reads as the full one would; where it fails, the full one decides.
    math-verify has no setting for it.
    """
    from antlr4.atn.PredictionMode import PredictionMode  # type: ignore[import-untyped]
    from latex2sympy2_extended import latex2sympy2
    from math_verify import parser

    full = parser.latex2sympy
    mode = PredictionMode.LL

    class Parser(latex2sympy2.PSParser):  # type: ignore[misc]
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self._interp.predictionMode = mode

    def in_two_stages(*arguments: Any, **options: Any) -> Any:
        nonlocal mode
        mode = PredictionMode.SLL
        try:
            return full(*arguments, **options)
        except Exception:  # noqa: BLE001 - the parser raises bare Exception
            mode = PredictionMode.LL
            return full(*arguments, **options)

    latex2sympy2.PSParser = Parser
    parser.latex2sympy = in_two_stages


def _value(expression: Any) -> str | None:
    """The expression's value to 30 digits, if it is a finite real number."""
    from sympy import Expr  # type: ignore[import-untyped]

    if not isinstance(expression, Expr) or expression.free_symbols:
        return None
    number = expression.evalf(30)
    if not (number.is_Float or number.is_Integer) or not number.is_finite:
        return None
    shown = str(number)
    # A Fraction of 10**(huge) would fill the owner's memory; no benchmark asks for such numbers.
    return shown if abs(number) < 10**50 and len(shown) < 80 else None


def _serve(requests: TextIO, replies: TextIO, alarm: bool) -> None:
    """Answer requests of `gold`, `answer` and `seconds` until the input ends."""
    replies.write("ready\n")
    replies.flush()
    for line in requests:
        request = json.loads(line)
        if alarm:
            signal.setitimer(signal.ITIMER_REAL, max(request["seconds"], 0.001))  # 0 would mean never
        try:
            reply = compare(request["gold"], request["answer"])
        except MemoryError:
            os._exit(1)  # what is left of this process is not to be trusted
        except Exception:  # noqa: BLE001 - sympy raises anything on odd input; the answer cannot be read
            reply = {"status": "unparseable", "value": None, "gold_value": None}
        if alarm:
            signal.setitimer(signal.ITIMER_REAL, 0)
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _serve_child(descriptor: int) -> None:
    with socket.socket(fileno=descriptor) as connection:
        stream = connection.makefile("rw", encoding="utf-8", newline="\n")
        _serve(stream, stream, alarm=True)


def _fork_on_demand(control: socket.socket) -> None:
    """Fork a child for every socket that arrives, until the owner's end of `control` is closed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries the children
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # a handler of Python's would wait for C code to return
    gc.freeze()
    gc.set_threshold(50_000)  # sympy makes many short-lived objects: a sixth of the time went into collecting
    control.sendall(b"ready\n")
    while True:
        _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not descriptors:
            return
        try:
            child = os.fork()
        except OSError:
            child = -1  # the owner sees its socket closed
        if child == 0:
            try:
                control.close()
                _serve_child(descriptors[0])
            finally:
                os._exit(0)
        os.close(descriptors[0])


def _limit_resources() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_LIMIT, _MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Load math-verify, then serve."""
    _limit_resources()
    logging.disable(logging.WARNING)
    replies = sys.stdout
    sys.stdout = sys.stderr  # nothing that a library prints may pass for a reply
    _parse_in_two_stages()
    for gold, answer in _WARM_UP:
        compare(gold, answer)
    if len(sys.argv) > 1:
        with socket.socket(fileno=int(sys.argv[1])) as control:
            _fork_on_demand(control)
    else:
        _serve(sys.stdin, replies, alarm=False)


if __name__ == "__main__":
    main()
