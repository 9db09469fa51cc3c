"""The process that runs math-verify: one JSON request a line in, one JSON reply a line out.

Started by `symbolic.SymbolicWorker`, which kills it when a reply takes too long. It ends by itself
when its input closes, so it never outlives the process that asked.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

_MEMORY_LIMIT = 2 * 1024**3


def compare(gold: str, answer: str) -> dict[str, Any]:
    """Compare two LaTeX expressions.

    Returns:
        {"status": "equal" | "different" | "unparseable", "value", "gold_value": real values or None}.
    """
    from math_verify import LatexExtractionConfig, parse, verify

    config = (LatexExtractionConfig(),)
    # No time limit in here: the parent kills this process.
    read = [
        parse(f"${text}$", extraction_config=config, fallback_mode="no_fallback", parsing_timeout=None)
        for text in (gold, answer)
    ]
    if not all(read):
        # An unreadable gold ("65+") is no fault of the answer, which is then just not equal to it.
        return {"status": "different" if read[1] else "unparseable", "value": None, "gold_value": None}
    equal = verify(read[0], read[1], timeout_seconds=None)
    values = (None, None) if equal else (_value(read[1][0]), _value(read[0][0]))
    return {"status": "equal" if equal else "different", "value": values[0], "gold_value": values[1]}


def _value(expression: Any) -> str | None:
    """The expression's value to 30 digits, if it is a finite real number."""
    from sympy import Expr  # type: ignore[import-untyped]

    if not isinstance(expression, Expr) or expression.free_symbols:
        return None
    number = expression.evalf(30)
    if not (number.is_Float or number.is_Integer) or not number.is_finite:
        return None
    shown = str(number)
    # A Fraction of 10**(huge) would fill the parent's memory; no benchmark asks for such numbers.
    return shown if abs(number) < 10**50 and len(shown) < 80 else None


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_LIMIT, _MEMORY_LIMIT))


def main() -> None:
    """Serve requests until the input ends."""
    _limit_memory()
    logging.disable(logging.WARNING)
    compare("1", "1")
    replies = sys.stdout
    sys.stdout = sys.stderr  # nothing that a library prints may pass for a reply
    replies.write("ready\n")
    replies.flush()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = compare(request["gold"], request["answer"])
        except Exception:  # noqa: BLE001 - sympy raises anything on odd input; the answer cannot be read
            reply = {"status": "unparseable", "value": None}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
