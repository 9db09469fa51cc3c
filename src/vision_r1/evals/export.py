"""Predictions in the layout of VLMEvalKit (github.com/open-compass/VLMEvalKit), to be scored by it.

A file is `OUT/MODEL/MODEL_DATASET.tsv` (or `.xlsx`): the rows of the data set without their images, and
what the model wrote in `prediction`. VLMEvalKit reads it with pandas; lists are Python literals in it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Literal

from vision_r1.core.errors import ConfigError, InputError
from vision_r1.core.files import atomic_write_bytes
from vision_r1.evals.benchmarks.benchmark import Item
from vision_r1.problems.columns import cell_object

Format = Literal["tsv", "xlsx"]
Cells = dict[str, Any]

MOST_CHARACTERS = 32_767  # of an Excel cell; VLMEvalKit would cut a longer one without a word
FAILED = "Failed to obtain answer via API."  # what VLMEvalKit writes where no answer came, and asks again

# The columns that VLMEvalKit's rules read beside `index`, `question`, `answer` and `prediction`, and where
# the releases have them under other names. Keys are the beginnings of its names.
_COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    "MathVista": {
        "index": ("pid",),
        **dict.fromkeys(("question_type", "answer_type", "answer_option", "choices", "task", "skills"), ()),
    },
    "MathVerse": {"index": ("sample_index",), "question_for_eval": (), "metadata": ()},
    "MathVision": {"index": ("id",), "choices": ("options",), "category": ("subject",)},
    "MM-Math": {"difficulty": (), "year": (), "knowledge_l1": (), "knowledge_l2": ()},
    "WeMath": {"ID": (), "key": (), "knowledge concept": ()},
    "DynaMath": {
        "answer": ("ground_truth",),
        "answer_type": (),
        "subject": (),
        "knowledge_level": ("level",),
        "qid": ("id",),
        "varid": ("variant",),
    },
    "LogicVista": {"skill": ()},
    "ChartQA": {"question": ("query",), "answer": ("label",), "split": ()},
    "MMStar": {"category": ()},
    "HallusionBench": {"category": (), "l2-category": ("subcategory",)},
    "MME": {"category": (), "image_path": ("question_id", "image")},
}
_IMAGES = ("image", "images", "decoded_image", "image_bytes")
_MARK = re.compile(r"<image\d*>\n?")


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        paths: one file for each sample, in order.
        missing: columns that VLMEvalKit's rule for the data set reads and the rows do not have.
    """

    paths: tuple[Path, ...]
    missing: tuple[str, ...]


def export_vlmevalkit(
    items: Sequence[Item],
    answers: Sequence[Mapping[str, Any]],
    name: str | None,
    model: str,
    out: Path,
    format: Format = "tsv",
) -> Exported:
    """Write the answers as VLMEvalKit's prediction files.

    VLMEvalKit knows one answer to a question, so each sample is a model of its own: the first is MODEL,
    the next MODEL-sample2 and so on.

    Args:
        items: what was asked, in order.
        answers: all samples of all items, see `answers.collect_answers`.
        name: `Benchmark.vlmevalkit`.
        model: what the model is called; of a path or hub id the last part.
        out: gets a folder for each sample, as VLMEvalKit's `work_dir` has one for each model.
        format: "tsv" needs PRED_FORMAT=tsv in VLMEvalKit's environment; "xlsx" is its default and holds no
            answer of over 32,767 characters.

    Raises:
        ConfigError: VLMEvalKit does not have the benchmark; a model without a name.
        InputError: answers that are not those of the items; for xlsx a long cell or no openpyxl.
    """
    if name is None:
        raise ConfigError("VLMEvalKit does not have this benchmark", where="--to vlmevalkit")
    label = re.sub(r"[^\w.+-]+", "-", model.rstrip("/").rpartition("/")[2]).strip("-.")
    if not label:
        raise ConfigError(f"{model!r} is no name for a file", where="model", fix="name the model")
    texts = _texts(items, answers)
    if name.startswith("HallusionBench"):  # VLMEvalKit leaves out the questions without an image
        kept = [at for at, item in enumerate(items) if item.problem.media]
        items, texts = [items[at] for at in kept], [[written[at] for at in kept] for written in texts]
    table = [_cells(item, name) for item in items]
    _number(table, items, name)
    missing = tuple(column for column in _wanted(name) if not any(column in cells for cells in table))
    write = {"tsv": _tsv, "xlsx": _xlsx}[format]
    paths = []
    for sample, written in enumerate(texts):
        own = label if sample == 0 else f"{label}-sample{sample + 1}"
        path = out / own / f"{own}_{name}.{format}"
        rows = [cells | {"prediction": text} for cells, text in zip(table, written, strict=True)]
        atomic_write_bytes(path, write(rows))
        paths.append(path)
    return Exported(tuple(paths), missing)


def _texts(items: Sequence[Item], answers: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """For each sample the texts in the order of the items."""
    found = {
        (answer["id"], answer["sample_index"]): FAILED if answer.get("error") else str(answer["text"])
        for answer in answers
    }
    samples = range(max((index for _, index in found), default=0) + 1)
    wanted = {(item.problem.id, sample) for sample in samples for item in items}
    if found.keys() != wanted:
        odd = sorted(map(str, found.keys() ^ wanted))[0]
        raise InputError(
            f"the answers are not those of these {len(items)} questions (the first that differs: {odd[:80]})",
            where="answers.jsonl",
            fix="export with the benchmark's rows that were asked",
        )
    return [[found[item.problem.id, sample] for item in items] for sample in samples]


def _known(name: str) -> dict[str, tuple[str, ...]]:
    return next((columns for start, columns in _COLUMNS.items() if name.startswith(start)), {})


def _wanted(name: str) -> list[str]:
    return ["question", "answer", *(column for column in _known(name) if column != "index")]


def _cells(item: Item, name: str) -> Cells:
    """A row of the data set as VLMEvalKit has it, without `index`."""
    raw = {key: value for key, value in item.raw.items() if key not in _IMAGES and _plain(value)}
    # MathVista's release keeps what the rule reads one level down.
    nested = cell_object(raw.get("metadata"))
    cells = {key: value for key, value in nested.items() if _plain(value)} | raw
    source = {**item.raw, **cells}
    for column, others in _known(name).items():
        value = next((source[key] for key in (column, *others) if source.get(key) is not None), None)
        if value is not None and _plain(value):
            cells[column] = value
    problem = item.problem
    letters = dict(zip(ascii_uppercase, problem.options, strict=False))
    cells = {"question": problem.question, "answer": problem.answer} | cells
    cells = {key: value for key, value in cells.items() if value is not None}
    if name.startswith("MathVista"):
        # Its question is what was asked, hint and choices included: the judge is shown it.
        cells |= {"question": _MARK.sub("", item.prompt).strip(), "choices": list(problem.options)}
        right = [letter for letter, text in letters.items() if problem.answer in (letter, text)]
        cells |= {"answer_option": right[0]} if right else {}
    elif name.startswith("MathVision"):
        cells |= {"choices": list(problem.options)}
    elif name.startswith("ChartQA"):
        cells |= _chart_split(item)
    elif name.startswith("DynaMath"):
        cells = {"qid": item.group} | cells
        cells |= {key: found[0] for key in ("varid",) if (found := re.findall(r"\d+", str(cells.get(key))))}
    elif name.startswith("HallusionBench"):
        cells["answer"] = {"1": "Yes", "0": "No"}.get(str(item.raw.get("gt_answer")), cells["answer"])
    else:
        cells = letters | cells
    return cells


def _plain(value: Any) -> bool:
    """Whether a cell can be written: text, numbers, and lists or objects of them."""
    if isinstance(value, list):
        return all(_plain(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _plain(item) for key, item in value.items())
    return value is None or isinstance(value, str | int | float | bool)


def _chart_split(item: Item) -> Cells:
    family = item.problem.meta.get("family")
    return {"split": f"test_{family}"} if family in ("human", "augmented") else {}


def _number(table: Sequence[Cells], items: Sequence[Item], name: str) -> None:
    """Give each row the `index` that tells rows apart in VLMEvalKit: the release's, else made here."""
    sources = ("index", *_known(name).get("index", ()))
    for column in sources:
        found = [item.raw.get(column) for item in items]
        if all(isinstance(value, str | int) for value in found) and len(set(map(str, found))) == len(found):
            indices: list[Any] = found
            break
    else:
        indices = _made_indices(table, items, name)
    for cells, index in zip(table, indices, strict=True):
        kept = {key: value for key, value in cells.items() if key != "index"}
        cells.clear()
        cells.update({"index": index} | kept)


def _made_indices(table: Sequence[Cells], items: Sequence[Item], name: str) -> list[Any]:
    if name.startswith("HallusionBench"):
        # The rule reads set, figure and question from the fourth to sixth part.
        parts = ("category", "subcategory", "visual_input", "set_id", "figure_id", "question_id")
        made = ["_".join(str(item.raw.get(part)).replace("_", "-") for part in parts) for item in items]
        if len(set(made)) == len(made):
            return made
    if name.startswith("DynaMath") and all(
        _whole(cells.get(key)) for cells in table for key in ("qid", "varid")
    ):
        # The rule finds the variants of a question by the index of its first one.
        seeds = 1 + max(int(cells["qid"]) for cells in table)
        places = [(int(cells["varid"]) - 1) * seeds + int(cells["qid"]) for cells in table]
        if len(set(places)) == len(places):
            return places
    return list(range(len(items)))


def _whole(value: Any) -> bool:
    return re.fullmatch(r"\d{1,9}", str(value)) is not None


def _columns(rows: Sequence[Cells]) -> list[str]:
    names = dict.fromkeys(key for cells in rows for key in cells if key != "prediction")
    return [*names, "prediction"]


def _written(value: Any) -> Any:
    """Lists and objects as Python literals, as VLMEvalKit reads them; empty for none."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    return str(value) if isinstance(value, list | dict) else value


def _tsv(rows: Sequence[Cells]) -> bytes:
    columns, text = _columns(rows), io.StringIO(newline="")
    writer = csv.writer(text, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(columns)
    for cells in rows:
        # pandas ends a cell at a NUL.
        values = [_written(cells.get(column, "")) for column in columns]
        writer.writerow([value.replace("\0", "") if isinstance(value, str) else value for value in values])
    return text.getvalue().encode()


def _xlsx(rows: Sequence[Cells]) -> bytes:
    try:
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
    except ImportError:
        fix = "pip install 'vision-r1[export]', or export as tsv"
        raise InputError(
            "xlsx files need openpyxl, which is not installed", where="--format xlsx", fix=fix
        ) from None
    columns = _columns(rows)
    table = [columns]
    for cells in rows:
        line = [_written(cells.get(column)) for column in columns]
        line = [ILLEGAL_CHARACTERS_RE.sub("", value) if isinstance(value, str) else value for value in line]
        for column, value in zip(columns, line, strict=True):
            _check_length(value, column, cells)
        table.append(line)
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")
    for line in table:
        written = [WriteOnlyCell(sheet, value=value) for value in line]
        for cell, value in zip(written, line, strict=True):
            if isinstance(value, str):
                cell.data_type = "s"  # text, also where it begins like a formula
        sheet.append(written)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _check_length(value: Any, column: str, cells: Cells) -> None:
    # Excel counts UTF-16 units.
    length = len(value.encode("utf-16-le")) // 2 if isinstance(value, str) else 0
    if length > MOST_CHARACTERS:
        raise InputError(
            f"{column} has {length:,} characters, and a cell of an Excel file holds {MOST_CHARACTERS:,}",
            where=f"row {cells.get('index')!s:.60}",
            fix="export as tsv and set PRED_FORMAT=tsv for VLMEvalKit",
        )
