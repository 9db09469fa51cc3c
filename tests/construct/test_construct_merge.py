"""Shards with their images become what one process writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from made_up_rows import in_order, make_construction, write_rows
from vision_r1.construct.dataset import write_dataset
from vision_r1.construct.images import ImageStore
from vision_r1.construct.merge import merge_constructions
from vision_r1.construct.record import Record
from vision_r1.core.errors import InputError


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def deal(whole: Path, rows: list[Record], shard: Path, part: int, parts: int) -> Path:
    """A shard with every `parts`-th problem, and the images of those."""
    problems = sorted({row.problem for row in rows})[part::parts]
    own = [row for row in rows if row.problem in problems]
    for row in own:
        for name in row.images:
            ImageStore(shard / "images").take(ImageStore(whole / "images"), name)
    return write_rows(shard, own)


@pytest.mark.parametrize("parts", [1, 3])
def test_merged_shards_equal_the_whole(tmp_path, parts):
    rows = make_construction(tmp_path / "whole")
    shards = [deal(tmp_path / "whole", rows, tmp_path / f"s{part}", part, parts) for part in range(parts)]
    assert merge_constructions(shards[::-1], tmp_path / "merged") == len(rows)
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole")
    write_dataset(tmp_path / "merged")
    write_dataset(tmp_path / "whole")
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole")


def test_what_cannot_be_merged_leaves_no_rows(tmp_path):
    rows = make_construction(tmp_path / "a")
    with pytest.raises(InputError, match="is one of the shards"):
        merge_constructions([tmp_path / "a"], tmp_path / "a")
    with pytest.raises(InputError, match="no rows of a construction"):
        merge_constructions([tmp_path / "a", tmp_path / "absent"], tmp_path / "out")
    with pytest.raises(InputError, match="nothing to merge"):
        merge_constructions([], tmp_path / "out")
    (ImageStore(tmp_path / "a" / "images").path(in_order(rows)[0].images[0])).unlink()
    with pytest.raises(InputError, match="cannot be read"):
        merge_constructions([tmp_path / "a"], tmp_path / "out")
    assert not (tmp_path / "out" / "rows").exists()
