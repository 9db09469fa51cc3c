"""The processes that judge rows end with the one that started them, however it ends."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

PROGRAM = """
import itertools, sys
from vision_r1.construct.config import FilterLimits
from vision_r1.construct.filters import Candidate
from vision_r1.construct.judge import judge_rows
from vision_r1.grading import GradeSpec

def rows():
    for number in itertools.count():
        yield Candidate("I count and count. " * 40, f"Final Answer: {number}", GradeSpec(str(number)), 9)

if __name__ == "__main__":
    for done, _ in enumerate(judge_rows(rows(), FilterLimits(), workers=2)):
        if done == 200:
            print("under way", flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_outlives_the_one_that_started_it(tmp_path, how):
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    program = subprocess.Popen([sys.executable, str(file)], stdout=subprocess.PIPE, text=True)
    assert program.stdout.readline() == "under way\n"
    below = psutil.Process(program.pid).children(recursive=True)
    assert len(below) >= 2
    program.send_signal(how)
    program.wait()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(p.is_running() and p.status() != "zombie" for p in below):
        time.sleep(0.1)
    left = [p.pid for p in below if p.is_running() and p.status() != "zombie"]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left
    program.stdout.close()
