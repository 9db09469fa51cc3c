import os

import pytest

from vision_r1.core.errors import InputError
from vision_r1.core.files import (
    atomic_directory,
    atomic_write_text,
    inside,
    read_json,
    read_jsonl,
    write_json,
    write_jsonl,
)


def test_a_failed_write_leaves_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        atomic_write_text(path, "new")
    monkeypatch.undo()
    assert read_json(path) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_nan_is_refused_in_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))


@pytest.mark.parametrize("line", ['{"a": 1', "[1]", "nul", "[" * 100_000, '{"a": ' + "9" * 5000 + "}"])
def test_broken_jsonl_names_file_and_line(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n\n' + line + "\n")
    with pytest.raises(InputError, match=r"rows\.jsonl, line 3"):
        list(read_jsonl(path))


def test_jsonl_round_trip_numbers_lines(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [{"a": "é\u2028"}, {"a": 2}])
    assert list(read_jsonl(path)) == [(1, {"a": "é\u2028"}), (2, {"a": 2})]


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "link/x"])
def test_paths_cannot_leave_their_folder(tmp_path, name):
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="leads outside"):
        inside(root, name, "row 3")


def test_a_directory_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "model"
    with atomic_directory(target) as scratch:
        (scratch / "a").write_text("1")
    with pytest.raises(RuntimeError), atomic_directory(target) as scratch:
        (scratch / "a").write_text("2")
        raise RuntimeError
    assert (target / "a").read_text() == "1"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
