import subprocess
import sys

import pytest

from vision_r1.core.errors import RunStateError
from vision_r1.core.run import RunDirectory, exclusive, open_run


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
