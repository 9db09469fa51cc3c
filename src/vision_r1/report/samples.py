"""Sample traces: a rule, stated on the page, decides which problems are shown; none is picked by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vision_r1.core.errors import InputError
from vision_r1.core.files import inside
from vision_r1.report.clean import cut, image_data_uri, is_image_key
from vision_r1.report.figures import COLD_START, FINAL, in_order, label, whole
from vision_r1.report.read import Row, RunRecord, number
from vision_r1.report.scores import View
from vision_r1.report.training import plain

GAINED, FAILED, KEPT = 6, 4, 2
# All pictures of a page together, as data URIs.
IMAGE_BUDGET = 1_500_000


def choose(traces: Mapping[str, Mapping[str, Row]]) -> dict[str, list[str]]:
    """Problem ids to show, by group, each the first in the order of the test set.

    "gained": the cold start is wrong and the final model right; "failed": the final model is wrong;
    "kept": both are right. Without a final model, the first problems, under "first".

    Args:
        traces: greedy evaluation rows by variant, then by problem id.
    """
    final, cold = traces.get(FINAL), traces.get(COLD_START)
    if not final or not cold:
        some = next((rows for rows in traces.values() if rows), {})
        return {"first": list(some)[:GAINED]} if some else {}
    right = {key: row.get("correct") is True for key, row in final.items()}
    before = {key: row.get("correct") is True for key, row in cold.items()}
    shared = [key for key in right if key in before]
    groups = {
        "gained": [key for key in shared if right[key] and not before[key]][:GAINED],
        "failed": [key for key in shared if not right[key]][:FAILED],
        "kept": [key for key in shared if right[key] and before[key]][:KEPT],
    }
    return {name: keys for name, keys in groups.items() if keys}


_TITLES = {
    "gained": f"Gained: the first {GAINED} problems that cold start gets wrong, Vision-R1 right",
    "failed": f"Failed: the first {FAILED} problems of the test set that Vision-R1 gets wrong",
    "kept": f"Kept: the first {KEPT} problems of the test set that both get right",
    "first": f"The first {GAINED} problems of the test set",
}


class Pictures:
    """Embeds pictures of a run until the page's budget is spent."""

    def __init__(self, root: Path, budget: int = IMAGE_BUDGET) -> None:
        self._root, self._left = root, budget

    def sample(self, key: object) -> View | None:
        """The picture of an evaluated problem; None for a key that is no plain name."""
        if not isinstance(key, str) or not is_image_key(key):
            return None
        return self.at(f"stages/evaluate/images/{key}.png")

    def at(self, relative: str) -> View | None:
        """The picture at a path under the run; None where it is outside, absent or damaged."""
        try:
            path = inside(self._root, relative, "report")
        except (InputError, ValueError, OSError):
            return None
        found = image_data_uri(path)
        if found is None or len(found[0]) > self._left:
            return None
        self._left -= len(found[0])
        uri, width, height = found
        scale = 1 if width > 200 else 3 if width <= 100 else 2
        return {"uri": uri, "width": width * scale, "height": height * scale}


def sample_traces(run: RunRecord, pictures: Pictures) -> View | None:
    """The chosen problems with their picture and what every variant wrote."""
    groups = [
        {
            "title": _TITLES[name],
            "problems": [_problem(run, key, pictures) for key in keys],
            "open": name == "gained",
        }
        for name, keys in choose(run.traces).items()
    ]
    return {"groups": groups} if groups else None


def _problem(run: RunRecord, key: str, pictures: Pictures) -> View:
    rows = {name: run.traces[name][key] for name in in_order(run.traces) if key in run.traces[name]}
    first = next(iter(rows.values()))
    return {
        "id": cut(key, 120)[0],
        "family": plain(first.get("family")).replace("_", " "),
        "question": cut(plain(first.get("question")), 2_000)[0],
        "answer": cut(plain(first.get("answer")), 400)[0],
        "image": pictures.sample(first.get("image_key")),
        "traces": [_trace(name, row) for name, row in rows.items()],
    }


def _trace(name: str, row: Row) -> View:
    text, left_off = cut(plain(row.get("text")))
    extracted = plain(row.get("extracted"))
    return {
        "label": label(name), "right": row.get("correct") is True, "text": text, "left_off": left_off,
        "extracted": cut(extracted, 120)[0], "tokens": whole(number(row, "tokens")),
        "truncated": row.get("stop_reason") == "length", "format_ok": row.get("format_ok") is True,
        "status": plain(row.get("status")),
    }  # fmt: skip
