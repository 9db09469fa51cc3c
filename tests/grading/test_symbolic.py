"""The worker process: right answers, and its life and death."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from vision_r1.grading import GradeSpec, grade_answer, symbolic
from vision_r1.grading.symbolic import SymbolicWorker, to_latex


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("2\\sqrt{36}", "12"),
        ("2*pi", "2\\pi"),
        ("2π", "6.2832"),
        ("√2", "\\sqrt{2}"),
        ("x^2+1", "1+x^2"),
        ("\\frac{8\\sqrt{3}}{3}\\pi", "\\frac { 8 } { \\sqrt 3 } \\pi"),
        ("\\{3,2,1\\}", "\\{1,2,3\\}"),
        ("(3, 4]", "(3,4]"),
    ],
)
def test_equal(answer, gold):
    verdict = grade_answer(answer, GradeSpec(gold))
    assert verdict.correct, verdict


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("2\\sqrt{3}", "\\sqrt{13}"),
        ("6.2833", "2\\pi"),
        ("2\\pi<7", "2\\pi"),
        ("x=2\\pi, 3", "2\\pi"),
        ("f(x)=0", "0"),
        ("\\pi", "3.15"),
        ("[3, 4]", "(3,4]"),
        ("\\sqrt{2} or \\sqrt{3}", "\\sqrt{2}"),
    ],
)
def test_different(answer, gold):
    assert grade_answer(answer, GradeSpec(gold)).status == "wrong"


def test_option_text_is_compared_symbolically():
    options = ("8", "8 \\sqrt { 2 }", "8 \\sqrt { 3 }", "16")
    assert grade_answer("\\sqrt{128}", GradeSpec("B", options=options)).correct
    assert not grade_answer("\\sqrt{192}", GradeSpec("B", options=options)).correct


@pytest.mark.parametrize(
    "text", ["Hong Kong", "12", "50-64 years", "a \\quad b", "\\begin{a}", "1 2", "x;y", "2\\pm 3"]
)
def test_what_is_no_single_expression_is_not_sent(text):
    assert to_latex(text) is None


def test_a_hanging_answer_times_out_and_the_worker_is_replaced():
    grade_answer("2\\pi+1", GradeSpec("2\\pi"))
    first = symbolic.WORKER.pid
    assert first is not None
    grade_answer("3\\pi+1", GradeSpec("2\\pi"))
    assert symbolic.WORKER.pid == first
    begin = time.perf_counter()
    verdict = grade_answer("9^{9^{9^9}}", GradeSpec("2\\pi"))
    assert (verdict.status, verdict.correct, verdict.reason) == ("timeout", False, "timeout")
    assert time.perf_counter() - begin < symbolic.TIME_LIMIT + 3
    assert not psutil.pid_exists(first)
    assert grade_answer("\\frac{4\\pi}{2}", GradeSpec("2\\pi")).correct


def test_close_leaves_no_process_and_a_killed_worker_comes_back():
    worker = SymbolicWorker()
    assert worker.pid is None
    assert worker.compare("2", "\\sqrt{4}").status == "equal"
    pid = worker.pid
    psutil.Process(pid).kill()
    time.sleep(0.2)
    assert worker.compare("2", "\\sqrt{4}").status == "equal"
    pid = worker.pid
    worker.close()
    assert worker.pid is None
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("last", ["", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
def test_the_worker_ends_with_its_owner(last):
    code = (
        "from vision_r1.grading import GradeSpec, grade_answer, symbolic\n"
        "assert grade_answer('\\\\sqrt{144}', GradeSpec('12')).correct\n"
        f"print(symbolic.WORKER.pid, flush=True)\n{last}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    limit = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" and time.monotonic() < limit:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_uses_its_own_worker():
    assert grade_answer("\\sqrt{144}", GradeSpec("12")).correct
    child = os.fork()
    if child == 0:
        right = grade_answer("\\sqrt{169}", GradeSpec("13")).correct
        symbolic.WORKER.close()
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert grade_answer("\\sqrt{196}", GradeSpec("14")).correct
