"""Rows are counted the same in this process and beside it."""

import os

import pytest

from made_up_rows import make_construction
from vision_r1.construct import tally
from vision_r1.core.errors import InputError, VisionR1Error


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    out = tmp_path_factory.mktemp("made")
    make_construction(out, 60)
    return out / "rows"


def summary(rows):
    with tally.counted(rows) as count:
        return count().summary()


def test_a_process_beside_this_one_counts_the_same(rows, monkeypatch):
    here = summary(rows)
    monkeypatch.setattr(tally, "_MANY", 1)
    assert summary(rows) == here and here["n"] == 120 and 0 < here["kept"] < 120


def test_rows_that_cannot_be_read_are_told_of_from_there_too(rows, monkeypatch, tmp_path):
    monkeypatch.setattr(tally, "_MANY", 1)
    with pytest.raises(InputError), tally.counted(tmp_path / "none") as count:
        count()


def die(folder):
    os._exit(9)


def test_a_process_that_dies_is_one_line(rows, monkeypatch):
    monkeypatch.setattr(tally, "_MANY", 1)
    monkeypatch.setattr(tally, "_count", die)
    with pytest.raises(VisionR1Error, match="counts rows died"), tally.counted(rows) as count:
        count()
