import errno
import os
import subprocess
import sys

import pytest

from vision_r1.core.errors import InputError
from vision_r1.core.files import (
    atomic_directory,
    atomic_write_text,
    inside,
    read_json,
    read_jsonl,
    recover_directory,
    reported_writes,
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


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\n')
    assert list(read_jsonl(tmp_path / "rows.jsonl")) == [(1, {"a": 1})]


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


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_a_kill_while_a_directory_is_replaced_never_loses_both(tmp_path, monkeypatch, calls):
    target, replace, count = tmp_path / "model", os.replace, [0]
    target.mkdir()
    (target / "a").write_text("old")

    def killed(*paths):
        count[0] += 1
        if count[0] == calls:
            raise KeyboardInterrupt
        replace(*paths)

    def no_cleaning(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    monkeypatch.setattr("shutil.rmtree", no_cleaning)
    with pytest.raises(KeyboardInterrupt), atomic_directory(target) as scratch:
        (scratch / "a").write_text("new")
    monkeypatch.undo()
    recover_directory(target)
    assert (target / "a").read_text() == ("new" if calls == 3 else "old")
    with atomic_directory(target) as scratch:
        (scratch / "a").write_text("newest")
    assert (target / "a").read_text() == "newest"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


LIMITED = """
import resource, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from vision_r1.core.files import reported_writes
folder, how = Path(sys.argv[1]), sys.argv[2]
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with reported_writes(folder):
    if how == "torch":
        torch.save(torch.zeros(10000), folder / "x.pt")
    elif how == "safetensors":
        save_file({"x": torch.zeros(10000)}, folder / "x.safetensors")
    else:
        (folder / "x").write_bytes(bytes(10000))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit on Windows")
@pytest.mark.parametrize("how", ["torch", "safetensors", "plain"])
def test_a_write_that_fails_in_any_library_is_told_in_our_words(tmp_path, how):
    call = [sys.executable, "-c", LIMITED, str(tmp_path), how]
    result = subprocess.run(call, capture_output=True, text=True, check=False)
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("vision_r1.core.errors.InputError"), result.stderr
    assert "a file could not be written" in last
    assert "MB are free" in last


def test_a_full_disk_is_named_and_other_faults_pass(tmp_path):
    with pytest.raises(InputError, match="the disk is full"), reported_writes(tmp_path / "not" / "yet"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(RuntimeError, match="shapes"), reported_writes(tmp_path):
        raise RuntimeError("shapes differ")
