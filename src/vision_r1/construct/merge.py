"""Parts of a construction, made by several processes or hosts, as one construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vision_r1.construct.build import CONFIG, LOG, QUARANTINE, SUMMARY, finish, ledger_lines, refuse_foreign
from vision_r1.construct.config import Construction
from vision_r1.construct.images import ImageStore
from vision_r1.construct.quarantine import read_unanswered, write_unanswered
from vision_r1.construct.row_files import ROWS_PER_FILE, count_rows, merge_rows, read_tables
from vision_r1.core.config import dump_yaml, parse_yaml, to_plain, validate
from vision_r1.core.errors import InputError
from vision_r1.core.files import atomic_write_text, read_json
from vision_r1.core.progress import Progress, Silent
from vision_r1.teachers.ledger import Spent
from vision_r1.teachers.request_log import RequestLog


def merge_constructions(
    shards: Sequence[Path], out: Path, rows_per_file: int = ROWS_PER_FILE, progress: Progress | None = None
) -> int:
    """Write OUT/rows and OUT/images from those of the shards; rows as one process would have written them.

    Images are hard links where the disk allows it. Rows are written last, so a folder that has them is whole.

    Returns:
        How many rows there are.

    Raises:
        InputError: no shards, a shard without rows, `out` among them, two different rows of one id, a
            missing image, or a full disk.
    """
    progress = progress or Silent()
    if out.resolve() in [shard.resolve() for shard in shards]:
        raise InputError("is one of the shards", where=str(out), fix="merge into a new folder")
    store, done = ImageStore(out / "images"), 0
    progress.start("merge", sum(count_rows(shard / "rows") for shard in shards), "row")
    for shard in shards:
        own = ImageStore(shard / "images")
        for table in read_tables(shard / "rows", ["images"]):
            for name in {name for names in table["images"].to_pylist() for name in names}:
                store.take(own, name)
            done += table.num_rows
            progress.advance(done)
    progress.finish()
    return merge_rows([shard / "rows" for shard in shards], out / "rows", rows_per_file)


def merge(folders: Sequence[Path], out: Path, progress: Progress) -> dict[str, Any]:
    """The parts of a construction as one: rows, images and the answers in their logs.

    Args:
        folders: of all parts, each run to its end.
        out: another folder.
        progress: told of the rows.

    Raises:
        InputError: parts that are unfinished, missing, of other settings or problems, or that disagree
            about a row.
    """
    parts = [part_summary(folder) for folder in folders]
    check_parts(folders, parts)
    refuse_foreign(out)
    if (out / SUMMARY).is_file() and read_json(out / SUMMARY)["scope"]["digest"] != parts[0]["scope"][
        "digest"
    ]:
        raise InputError("holds another construction", where=str(out), fix="merge into a new folder")
    config = validate(Construction, parse_yaml((folders[0] / CONFIG).read_text(encoding="utf-8"), CONFIG))
    with RequestLog(out / LOG) as log:
        for folder in folders:
            log.absorb(folder / LOG)
        spent = log.ledger_by_step()
    atomic_write_text(out / CONFIG, dump_yaml(to_plain(config)))
    merge_constructions(folders, out, config.rows_per_file, progress)
    unanswered = {
        key: each for folder in folders for key, each in read_unanswered(folder / QUARANTINE).items()
    }
    write_unanswered(out / QUARANTINE, unanswered.values())
    return finish(out, config, progress, {
        "scope": {**parts[0]["scope"], "part": None},
        "ledger": ledger_lines(spent),
        "rows_spent": _together([part["rows_spent"] for part in parts]),
        "rows_uncounted": sum(part["rows_uncounted"] for part in parts),
        "tokens_estimated": sum(part["tokens_estimated"] for part in parts),
        "quarantined": len(unanswered),
        "outcomes": None,
        "evaluation_unread": parts[0]["evaluation_unread"],
        "controls": next((part["controls"] for part in parts if part["controls"]), None),
    })  # fmt: skip


def part_summary(folder: Path) -> dict[str, Any]:
    """The summary of a finished part. Raises InputError where there is none."""
    if not (folder / CONFIG).is_file() or not (folder / SUMMARY).is_file():
        raise InputError("holds no finished part", where=str(folder), fix="run its construction to the end")
    summary = dict(read_json(folder / SUMMARY))
    if "rows_uncounted" not in summary:
        fix = "run its construction again, which asks nothing anew"
        raise InputError("its summary is of another version", where=str(folder), fix=fix)
    return summary


def check_parts(folders: Sequence[Path], parts: Sequence[Mapping[str, Any]]) -> None:
    """Refuse parts that are not all of one construction, each once and whole.

    Raises:
        InputError: which one, and why.
    """
    scopes = [part["scope"] for part in parts]
    for folder, scope in zip(folders, scopes, strict=True):
        if scope["part"] is None or scope["limit"] is not None:
            raise InputError(
                "is no part", where=str(folder), fix="run it with --shard i/n and without --limit"
            )
        if scope["unasked"]:
            fix = "run it without --collect, and with budget enough"
            raise InputError(f"{scope['unasked']} requests were not asked yet", where=str(folder), fix=fix)
        if (scope["digest"], scope["part"][1]) != (scopes[0]["digest"], scopes[0]["part"][1]):
            fix = f"compare the {CONFIG} of both, and the sets that they read"
            raise InputError(f"of other settings or problems than {folders[0]}", where=str(folder), fix=fix)
    found, of = [scope["part"][0] for scope in scopes], scopes[0]["part"][1]
    twice = next((index for index in found if found.count(index) > 1), None)
    if twice is not None:
        raise InputError(f"part {twice}/{of} is named twice", where="FOLDERS")
    missing = sorted(set(range(1, of + 1)) - set(found))
    if missing:
        what = f"part {missing[0]}/{of} is missing ({len(missing)} of {of} are)"
        raise InputError(what, where="FOLDERS", fix=f"vision-r1 construct ... --shard {missing[0]}/{of}")


def _together(parts: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    spent: dict[str, Spent] = {}
    for part in parts:
        for role, each in part.items():
            spent[role] = spent.get(role, Spent()) + Spent(**each)
    return {role: asdict(each) for role, each in sorted(spent.items())}
