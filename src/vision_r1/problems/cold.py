"""Vision-R1-cold as it is published, two JSON files without images, joined to the two image folders.

The images are those of LLaVA-CoT-100k and Mulberry-SFT (https://github.com/Osilly/Vision-R1, README):

    OUT/llava_cot_images/coco/...             OUT/vision_r1_llava_cot_joined.json
    OUT/mulberry_images/AI2D/...              OUT/vision_r1_mulberry_sft_joined.json
    OUT/dataset_info.json, join.json          OUT/misses.jsonl

What is written trains in LLaMA-Factory (`dataset_dir: OUT`, the data sets named as in the README) and
loads as `kind: chat`. The published files stay as they are, also where OUT is the folder they are in.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from vision_r1.core.errors import InputError
from vision_r1.core.files import inside, is_file, read_json, reported_writes, write_json
from vision_r1.problems.columns import cell_text
from vision_r1.problems.layouts import WRAPPERS, exchanges, located
from vision_r1.problems.tables import Row, open_table

ColdLayout = Literal["vision_r1_cold_llava", "vision_r1_cold_mulberry"]
MISSES, REPORT, INFO = "misses.jsonl", "join.json", "dataset_info.json"
SHOWN = 20
RowCallback = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class _ColdFile:
    """One of the two files, as its README has it; the file is named as its data set."""

    name: str
    joined: str
    folder: str
    images: str
    roles: tuple[str, str]


FILES: dict[ColdLayout, _ColdFile] = {
    "vision_r1_cold_llava": _ColdFile(
        "vision_r1_llava_cot_full",
        "vision_r1_llava_cot_joined.json",
        "llava_cot_images",
        "image",
        ("human", "gpt"),
    ),
    "vision_r1_cold_mulberry": _ColdFile(
        "vision_r1_mulberry_sft_full",
        "vision_r1_mulberry_sft_joined.json",
        "mulberry_images",
        "images",
        ("user", "assistant"),
    ),
}


@dataclass(slots=True)
class JoinedFile:
    """What became of a file.

    Attributes:
        rows: rows of the published file.
        written: rows of the joined file; more than were joined where conversations were split.
        joined: rows whose images were all found.
        marked: written rows that got an `<image>` mark, for they had an image and no mark.
        split: rows of several exchanges, which became a row for each.
        misses: rows without their image, by the first folders of its path.
        faults: rows that are no conversations, by what is wrong.
        examples: the first rows that were not joined.
    """

    rows: int = 0
    written: int = 0
    joined: int = 0
    marked: int = 0
    split: int = 0
    misses: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """As join.json has it; misses from most to least."""
        counts = {"misses": dict(self.misses.most_common()), "faults": dict(self.faults.most_common())}
        return asdict(self) | counts


def cold_files(folder: Path) -> dict[ColdLayout, Path]:
    """The published files that a folder holds. Raises InputError when it holds neither."""
    found = {layout: folder / f"{file.name}.json" for layout, file in FILES.items()}
    found = {layout: path for layout, path in found.items() if is_file(path)}
    if not found:
        names = " or ".join(f"{file.name}.json" for file in FILES.values())
        raise InputError(
            f"holds neither {names}", where=str(folder), fix="download Osilly/Vision-R1-cold into it"
        )
    return found


def join_cold(
    files: Mapping[ColdLayout, Path], roots: Sequence[Path], out: Path, progress: RowCallback | None = None
) -> dict[ColdLayout, JoinedFile]:
    """Write the rows whose images are there, with the images, and list the others.

    Files are read and written row by row. Images are linked into `out`, or copied where links cannot be
    (another disk); those that lie there already stay as they are.

    Args:
        files: the published files, see `cold_files`.
        roots: folders to look for images in: the image folders or those around them.
        out: a folder, made if need be; may be one of the roots.
        progress: called with (file, rows read).

    Returns:
        What became of each file, as in join.json.

    Raises:
        InputError: no such folder or file, a file that is no such JSON, not one row that could be
            joined, or a full disk.
    """
    for root in roots:
        if not root.is_dir():
            raise InputError("no such image folder", where=str(root), fix="name a folder with the images")
    out.mkdir(parents=True, exist_ok=True)
    joins = [_Join(FILES[layout], roots, out) for layout in files]
    with reported_writes(out), _whole(out / MISSES) as misses:
        for join, path in zip(joins, files.values(), strict=True):
            with _whole(out / join.file.joined) as written:
                join.run(path, written, misses, progress)
            if not join.result.joined:
                _refuse(join, path)
    result = {layout: join.result for layout, join in zip(files, joins, strict=True)}
    known = read_json(out / INFO) if is_file(out / INFO) else {}
    write_json(out / INFO, known | {FILES[layout].name: _info(FILES[layout]) for layout in files})
    write_json(out / REPORT, {FILES[layout].name: each.plain() for layout, each in result.items()})
    return result


def _refuse(join: _Join, path: Path) -> None:
    first = join.result.examples[0] if join.result.examples else {}
    raise InputError(
        f"not one of {join.result.rows:,} rows could be joined; the first: {first.get('reason')}"
        f" {first.get('image', '')}",
        where=str(path),
        fix=f"name the folder {join.file.folder}, or the one that it is in",
    )


class _Join:
    """One file on its way."""

    def __init__(self, file: _ColdFile, roots: Sequence[Path], out: Path) -> None:
        self.file, self.roots, self.out = file, roots, out
        self.result = JoinedFile()
        self._linked: dict[str, str] = {}

    def run(self, path: Path, written: Any, misses: Any, progress: RowCallback | None) -> None:
        """Read the file, write its joined rows as a JSON array and the others as lines."""
        written.write("[")
        for row in open_table(path).rows():
            self.result.rows += 1
            try:
                records = list(self._records(row))
            except InputError as error:
                self._miss(row, error, misses)
            else:
                self.result.joined += 1
                for record in records:
                    written.write(",\n" if self.result.written else "\n")
                    written.write(json.dumps(record, ensure_ascii=False))
                    self.result.written += 1
            if progress is not None:
                progress(self.file.name, self.result.rows)
        written.write("\n]\n")

    def _miss(self, row: Row, error: InputError, misses: Any) -> None:
        missing = isinstance(error, _MissingError)
        if isinstance(error, _MissingError):
            self.result.misses[error.family] += 1
        else:
            self.result.faults[error.what] += 1
        record = {
            "file": self.file.name,
            "row": row.where.rpartition(", ")[2],
            "id": cell_text(row.values.get("id")),
            "reason": "no image" if missing else error.what,
            **({"image": error.name} if isinstance(error, _MissingError) else {}),
        }
        misses.write(json.dumps(record, ensure_ascii=False) + "\n")
        if len(self.result.examples) < SHOWN:
            self.result.examples.append(record)

    def _records(self, row: Row) -> Iterator[dict[str, Any]]:
        """The row with the paths of its images below `out`, one for each exchange."""
        talk = exchanges(row, "conversations", ("from", "value"), self.file.roles)
        cell = row.values.get(self.file.images)
        names = [name for name in (cell if isinstance(cell, list) else [cell]) if name]
        if any(asked.count("<image>") not in (0, len(names)) for asked, _ in talk):
            raise InputError("marks and images do not fit together", where=row.where)
        images = [self._image(str(name)) for name in names]
        self.result.split += len(talk) > 1
        for number, (asked, said) in enumerate(talk, start=1):
            if names and "<image>" not in asked:
                self.result.marked += 1
                asked = "<image>" * len(names) + asked
            texts = zip(self.file.roles, (asked, said), strict=True)
            record: dict[str, Any] = {
                "conversations": [{"from": role, "value": text} for role, text in texts],
                self.file.images: images[0] if isinstance(cell, str) else images,
            }
            if name := cell_text(row.values.get("id")):
                record = {"id": name if number == 1 else f"{name}-{number}"} | record
            yield record

    def _image(self, name: str) -> str:
        """The path of an image below `out`; linked there on first use."""
        if name not in self._linked:
            inner = _inner(name)
            self._linked[name] = f"{self.file.folder}/{inner}"
            _place(self._find(name, inner), self.out / self.file.folder / inner)
        return self._linked[name]

    def _find(self, name: str, inner: PurePosixPath) -> Path:
        for root in self.roots:
            for relative in (f"{self.file.folder}/{inner}", str(inner)):
                with contextlib.suppress(InputError, OSError, ValueError, RuntimeError):
                    path = inside(root, located(root, relative), name)
                    if path.is_file() and path.stat().st_size:
                        return path
        self._linked.pop(name)
        raise _MissingError(name, "/".join(inner.parts[:-1][:2]) or ".")


class _MissingError(InputError):
    """An image is not there."""

    def __init__(self, name: str, family: str) -> None:
        super().__init__(f"no image {name!r}")
        self.name, self.family = name[:300], family[:100]


def _inner(name: str) -> PurePosixPath:
    """The path below the image folder, whatever stands before that folder on the machine of the authors."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    starts = [index for index, part in enumerate(parts) if part in WRAPPERS[:2]]
    inner = PurePosixPath(*parts[starts[0] + 1 :]) if starts else PurePosixPath(*parts)
    if inner.is_absolute() or ".." in inner.parts or "\0" in name or not inner.parts:
        raise _MissingError(name, "outside the image folder")
    return inner


def _place(source: Path, target: Path) -> None:
    """Link a file, or copy it where it cannot be linked."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        scratch = target.with_name(f".{target.name}.tmp")
        shutil.copyfile(source, scratch)
        os.replace(scratch, target)


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[Any]:
    """A text file that takes its name when the block ends well, and vanishes otherwise."""
    scratch = path.with_name(f".{path.name}.tmp")
    try:
        with scratch.open("w", encoding="utf-8") as handle:
            yield handle
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def _info(file: _ColdFile) -> dict[str, Any]:
    """The entry of a file in LLaMA-Factory's dataset_info.json."""
    user, assistant = file.roles
    return {
        "file_name": file.joined,
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "images": file.images},
        "tags": {"role_tag": "from", "content_tag": "value", "user_tag": user, "assistant_tag": assistant},
    }
