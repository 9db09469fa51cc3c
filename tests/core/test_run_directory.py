import subprocess
import sys

import pytest

from vision_r1.core.errors import RunStateError
from vision_r1.core.progress import Silent
from vision_r1.core.run import RunDirectory, StageClock, Ticking, exclusive, open_run, peak_rss_mb


def test_a_folder_with_other_things_is_not_taken(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunStateError, match="holds other files"):
        open_run(tmp_path)
    with pytest.raises(RunStateError, match="is a file"):
        open_run(tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_second_process_on_one_run_is_refused(tmp_path):
    run = RunDirectory(tmp_path / "run")
    code = (
        "import sys; from pathlib import Path; from vision_r1.core.run import *\n"
        "with exclusive(RunDirectory(Path(sys.argv[1]))): pass"
    )
    with exclusive(run):
        second = subprocess.run(
            [sys.executable, "-c", code, str(run.path)], capture_output=True, text=True, check=False
        )
    assert second.returncode != 0
    assert "another process is working on this run" in second.stderr
    assert subprocess.run([sys.executable, "-c", code, str(run.path)], check=False).returncode == 0


def test_finished_stages_are_remembered(tmp_path):
    run = RunDirectory(tmp_path)
    assert run.done("sft") is None
    run.finish("sft", {"steps": 3}, 1.26)
    record = run.done("sft")
    assert record["summary"] == {"steps": 3}
    assert record["seconds"] == 1.3
    assert record["peak_rss_mb"] > 1


def test_peak_memory_is_known_without_the_resource_module(monkeypatch):
    import psutil  # noqa: F401 - on Linux it needs the module itself

    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_rss_mb() > 1


@pytest.mark.parametrize("writes", [0, 1])
def test_a_run_killed_in_its_first_moments_can_be_continued(tmp_path, monkeypatch, writes):
    from vision_r1.core import files

    run, replace, done = open_run(tmp_path / "run"), files.os.replace, []

    def killed(*paths):
        if len(done) == writes:
            raise KeyboardInterrupt
        done.append(replace(*paths))

    with exclusive(run):
        monkeypatch.setattr(files.os, "replace", killed)
        monkeypatch.setattr(files.os, "unlink", lambda _: None)
        with pytest.raises(KeyboardInterrupt):
            run.create("seed: 0\n", {"recipe": "x"})
        monkeypatch.undo()
    assert run.config.exists() == bool(writes)
    again = open_run(run.path)
    assert again.identity() is None
    again.create("seed: 0\n", {"recipe": "x"})
    assert again.identity()["recipe"] == "x"


def test_a_config_of_something_else_is_not_overwritten(tmp_path):
    (tmp_path / "config.yaml").write_text("mine: 1\n")
    with pytest.raises(RunStateError, match=r"another config\.yaml"):
        open_run(tmp_path).create("seed: 0\n", {})
    assert [p.name for p in tmp_path.iterdir()] == ["config.yaml"]
    assert (tmp_path / "config.yaml").read_text() == "mine: 1\n"


def test_seconds_of_a_stage_add_up_over_sessions(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    run = RunDirectory(tmp_path)
    ticking = Ticking(Silent(), run.clock("sft"))
    ticking.start("sft", 10)
    now[0] += 30
    ticking.advance(1)
    now[0] += 2  # lost with the kill: the last beat was just now
    ticking.advance(2)
    now[0] += 1000
    clock = run.clock("sft")
    assert clock.seconds() == 30
    now[0] += 12
    record = run.finish("sft", {}, clock.seconds())
    assert record["seconds"] == 42
    assert record["sessions"] == 2
    assert StageClock.BEAT <= 5
