"""Rows: bytes that depend on the rows alone, merging, images, and the `datasets` directory."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_up_rows import in_order, make_construction, record, write_rows
from vision_r1.construct.record import Record, RequestNote
from vision_r1.construct.row_files import (
    ROWS_PER_GROUP,
    count_rows,
    merge_rows,
    read_rows,
    read_tables,
    row_writer,
)
from vision_r1.core.errors import InputError


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
RECORD = st.builds(
    Record,
    id=st.uuids().map(str), problem=TEXT, source=TEXT, source_id=TEXT, sample_index=st.integers(0, 99),
    question=TEXT, options=st.lists(TEXT, max_size=3).map(tuple), answer=TEXT, answer_type=TEXT,
    family=st.none() | TEXT, images=st.lists(TEXT, max_size=2).map(tuple), thought=TEXT, tokens=st.integers(0, 2**31 - 1),
    kept=st.booleans(), fired=st.lists(TEXT, max_size=2).map(tuple), extracted=st.none() | TEXT,
    requests=st.lists(st.builds(RequestNote, TEXT, TEXT, TEXT, TEXT, st.integers(0, 9)), max_size=2).map(tuple),
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(RECORD, max_size=8, unique_by=lambda row: row.id))
def test_rows_come_back_as_they_were(tmp_path_factory, rows):
    out = tmp_path_factory.mktemp("rows")
    write_rows(out, rows)
    assert list(read_rows(out / "rows")) == in_order(rows)
    assert count_rows(out / "rows") == len(rows)
    assert list(read_rows(out / "rows", kept=True)) == [row for row in in_order(rows) if row.kept]


@pytest.mark.parametrize("count", [0, 1, ROWS_PER_GROUP - 1, ROWS_PER_GROUP, 3 * ROWS_PER_GROUP + 7])
def test_the_bytes_depend_on_the_rows_alone(tmp_path, count):
    rows = in_order(record(number, words=6) for number in range(count))
    with row_writer(tmp_path / "one", rows_per_file=2 * ROWS_PER_GROUP) as writer:
        for row in rows:
            writer.write(row)
    with row_writer(tmp_path / "other", rows_per_file=2 * ROWS_PER_GROUP) as writer:
        for table in read_tables(tmp_path / "one"):
            for start in range(0, table.num_rows, 170):
                writer.write_table(table.slice(start, 170))
    assert writer.rows == count
    assert contents(tmp_path / "one") == contents(tmp_path / "other")
    sizes = [pq.read_metadata(path).num_rows for path in sorted((tmp_path / "one").iterdir())]
    assert sizes[:-1] == [2 * ROWS_PER_GROUP] * (len(sizes) - 1)


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_merged_shards_are_what_one_process_writes(tmp_path, shards):
    rows = in_order(record(number, words=6) for number in range(2 * ROWS_PER_GROUP + 30))
    write_rows(tmp_path / "whole", rows)
    folders = []
    for shard in range(shards):
        # A row of the first problem is in every shard, as after a run of two overlapping shards.
        write_rows(
            tmp_path / f"s{shard}", [row for i, row in enumerate(rows) if i % shards == shard or i == 0]
        )
        folders.append(tmp_path / f"s{shard}" / "rows")
    assert merge_rows(folders, tmp_path / "merged") == len(rows)
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole" / "rows")


def test_two_contents_of_one_id_are_refused(tmp_path):
    rows = [record(number) for number in range(4)]
    write_rows(tmp_path / "a", rows)
    write_rows(tmp_path / "b", [replace(rows[2], thought="something else")])
    with pytest.raises(InputError, match=f"row '{rows[2].id}' is in two inputs with different content"):
        merge_rows([tmp_path / "a" / "rows", tmp_path / "b" / "rows"], tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_rows_out_of_order_or_twice_are_refused(tmp_path):
    rows = in_order(record(number) for number in range(3))
    for given_rows in (rows[::-1], [rows[0], rows[0]]):
        with (
            pytest.raises(InputError, match="in the order of their ids"),
            row_writer(tmp_path / "rows") as writer,
        ):
            for row in given_rows:
                writer.write(row)
        assert not (tmp_path / "rows").exists()


def test_an_earlier_folder_stays_until_the_new_one_is_whole(tmp_path):
    write_rows(tmp_path, [record(1)])
    before = contents(tmp_path / "rows")
    with pytest.raises(RuntimeError), row_writer(tmp_path / "rows") as writer:
        writer.write(record(2))
        raise RuntimeError("killed")
    assert contents(tmp_path / "rows") == before
    write_rows(tmp_path, [record(2)])
    assert [row.id for row in read_rows(tmp_path / "rows")] == [record(2).id]


def test_half_characters_are_written_as_question_marks(tmp_path):
    write_rows(tmp_path, [record(1, thought="a \ud800 b", options=("\udfff",)), record(2)])
    rows = {row.id: row for row in read_rows(tmp_path / "rows")}
    assert rows[record(1).id].thought == "a ? b"
    assert rows[record(1).id].options == ("?",)
    assert rows[record(2).id] == record(2)


@pytest.mark.parametrize("damage", ["no folder", "empty", "cut", "text", "other columns"])
def test_what_is_no_folder_of_rows_is_one_line(tmp_path, damage):
    folder = tmp_path / "rows"
    if damage != "no folder":
        write_rows(tmp_path, [record(1)])
        (path,) = folder.iterdir()
    if damage == "empty":
        path.unlink()
    elif damage == "cut":
        os.truncate(path, path.stat().st_size // 2)
    elif damage == "text":
        path.write_text("rows")
    elif damage == "other columns":
        pq.write_table(pq.read_table(path).drop_columns(["thought"]), path)
    with pytest.raises(InputError) as caught:
        list(read_rows(folder))
    assert str(folder) in caught.value.line()
    assert "\n" not in caught.value.line()


FULL_DISK = """
import resource, sys
from pathlib import Path
from made_up_rows import make_construction, record
from vision_r1.construct.dataset import write_dataset
from vision_r1.construct.row_files import row_writer
from vision_r1.core.errors import InputError
from vision_r1.report.review.pages import write_review

out = Path(sys.argv[1])
make_construction(out)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
def rows():
    with row_writer(out / "rows") as writer:
        for number, row in enumerate(before):
            writer.write(row)
from vision_r1.construct.row_files import read_rows
before = list(read_rows(out / "rows"))
for write in (rows, lambda: write_dataset(out), lambda: write_review(out)):
    try:
        write()
    except InputError as error:
        print(error.line())
assert list(read_rows(out / "rows")) == before
print(sorted(path.name for path in out.iterdir()))
"""


def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        check=False, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert all("a file could not be written: " in line for line in lines[:3]), lines
    assert lines[3] == "['images', 'rows']"


def test_a_made_up_construction_has_kept_and_dropped_rows(tmp_path):
    rows = make_construction(tmp_path)
    assert {row.kept for row in rows} == {True, False}
