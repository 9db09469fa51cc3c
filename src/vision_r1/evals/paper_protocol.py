r"""The evaluation of Vision-R1's own repository, reproduced so that its published figures can be compared.

Two patches of its harness change the metric (evaluation/evalscope at c061681): the client samples up to
four times more while a reply has no `</answer>`, and what stands between `<answer> Final Answer:` and
` </answer>`, one literal space each, replaces the reply before it is scored. So the figure is not
pass@1: truncated and looping outputs get more chances. We report the first roll's score beside it.
A third effect is not reproduced: the same client sends each request to the judge five times, since a
judge's reply has no `</answer>` either, and keeps the last.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

LABEL = "paper protocol (up to 4 re-rolls when </answer> is missing): not pass@1"
_ANSWER = re.compile(r"<answer> Final Answer:(.*?) </answer>", re.DOTALL)


def unfinished(row: Mapping[str, Any]) -> bool:
    """Whether the paper's client would sample again."""
    return row["stop_reason"] != "error" and "</answer>" not in row["text"]


def prediction(text: str) -> str:
    """What the paper's harness hands to scoring: the answer if its pattern matches, else the whole text."""
    found = _ANSWER.search(text)
    return found[1] if found else text
