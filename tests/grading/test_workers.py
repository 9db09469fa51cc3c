"""The worker processes: their life and death, from threads, asyncio and other processes."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from vision_r1.core.errors import VisionR1Error
from vision_r1.grading import GradeSpec, grade_answer, symbolic, worker_process
from vision_r1.grading.budget import Budget
from vision_r1.grading.worker_pool import CAN_FORK, WorkerPool

needs_fork = pytest.mark.skipif(not CAN_FORK, reason="no fork on this system")
HANGING = {"gold": "2\\pi", "answer": "9^{9^{9^9}}"}
SAME = {"gold": "2", "answer": "\\sqrt{4}"}


def is_right(n):
    """In another process: a comparison that only a worker can make."""
    return grade_answer(f"\\sqrt{{{n * n}}}", GradeSpec(str(n))).correct


def gone(pids, seconds=5.0):
    """Whether all the processes end."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(psutil.pid_exists(p) and psutil.Process(p).status() != "zombie" for p in pids):
            return True
        time.sleep(0.02)
    return False


def workers_of(pool):
    return [child.pid for child in psutil.Process(pool.pid).children()]


def status(pool, request, seconds=20.0):
    reply = pool.ask(request, Budget(seconds))
    return reply and reply["status"]


@pytest.fixture(scope="module")
def pool():
    pool = WorkerPool(size=2)
    yield pool
    pool.close()


@needs_fork
def test_one_that_hangs_ends_itself_and_is_replaced_at_once(pool):
    assert status(pool, SAME) == "equal"
    server, workers = pool.pid, workers_of(pool)
    assert status(pool, HANGING, 0.3) is None
    assert gone(workers)
    begin = time.perf_counter()
    assert status(pool, SAME) == "equal"
    assert time.perf_counter() - begin < 1.0  # an interpreter with sympy takes longer on a slow machine only
    assert pool.pid == server
    assert len(workers_of(pool)) == 1


@needs_fork
def test_what_is_killed_from_outside_costs_no_answer(pool):
    assert status(pool, SAME) == "equal"
    for pid in workers_of(pool):
        os.kill(pid, signal.SIGKILL)
    assert status(pool, SAME) == "equal"
    server, workers = pool.pid, workers_of(pool)
    os.kill(server, signal.SIGKILL)
    assert status(pool, SAME) == "equal"  # the worker is still there
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    assert status(pool, SAME) == "equal"
    assert pool.pid != server


def test_harmless_requests_wait_for_hanging_ones_without_being_charged(pool):
    requests = [({**HANGING, "answer": f"9^{{9^{{9^{{{i}}}}}}}"}, 0.4) for i in range(11, 17)]
    requests += [({"gold": str(n), "answer": f"\\sqrt{{{n * n}}}"}, 1.5) for n in range(2, 32)]
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda r: status(pool, *r), requests))
    assert found == [None] * 6 + ["equal"] * 30
    if CAN_FORK:
        assert len(workers_of(pool)) <= 2


@needs_fork
def test_workers_have_limits_and_a_session_of_their_own(pool):
    assert status(pool, SAME) == "equal"
    for pid in workers_of(pool):
        assert os.getsid(pid) != os.getsid(0)  # Ctrl-C is not for them
        if hasattr(psutil.Process, "rlimit"):
            assert 0 < psutil.Process(pid).rlimit(psutil.RLIMIT_AS)[0] <= 2**30


def test_without_fork_a_hanging_one_is_killed_and_replaced():
    pool = WorkerPool(size=1, fork=False)
    assert status(pool, SAME) == "equal"
    workers = [worker._process.pid for worker in pool._workers]
    assert status(pool, HANGING, 0.3) is None
    assert gone(workers)
    assert status(pool, SAME) == "equal"
    workers = [worker._process.pid for worker in pool._workers]
    pool.close()
    assert len(workers) == 1
    assert gone(workers)


def test_close_leaves_no_process():
    pool = WorkerPool()
    assert pool.pid is None
    assert status(pool, SAME) == "equal"
    processes = [
        p.pid for p in psutil.Process().children(recursive=True) if "symbolic_worker" in str(p.cmdline())
    ]
    pids = [pool.pid, *workers_of(pool)] if CAN_FORK else processes
    pool.close()
    assert pids
    assert gone(pids)


def test_one_that_cannot_start_is_an_error_not_a_verdict(monkeypatch, tmp_path):
    monkeypatch.setattr(worker_process, "_PROGRAM", tmp_path / "missing.py")
    for fork in {CAN_FORK, False}:
        with pytest.raises(VisionR1Error, match="did not start"):
            WorkerPool(fork=fork).ask(SAME, Budget(5))


def test_from_asyncio():
    async def grade_all():
        return await asyncio.gather(*(asyncio.to_thread(is_right, n) for n in range(2, 30)))

    assert all(asyncio.run(grade_all()))


@needs_fork
def test_a_forked_child_has_a_pool_of_its_own():
    assert is_right(12)
    child = os.fork()
    if child == 0:
        right = is_right(13)
        symbolic.POOL.close()
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert is_right(14)


@needs_fork
@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_in_the_children_of_a_process_that_holds_torch(method):
    import torch

    assert is_right(15)
    torch.ones(2).sum()
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["vision_r1.grading"])
    with context.Pool(2) as processes:
        assert all(processes.map(is_right, range(16, 24)))
    assert is_right(24)


@needs_fork
@pytest.mark.parametrize("child", ["", "if os.fork() == 0: time.sleep(60)"])
def test_nothing_outlives_an_owner_that_is_killed_while_a_request_hangs(child):
    code = (
        "import os, psutil, threading, time\n"
        "from vision_r1.grading import GradeSpec, grade_answer, symbolic\n"
        "assert grade_answer('\\\\sqrt{144}', GradeSpec('12')).correct\n"
        "threading.Thread(target=grade_answer, args=('9^{9^{9^9}}', GradeSpec('2\\\\pi'))).start()\n"
        "time.sleep(0.3)\n"
        f"{child}\n"
        "server = symbolic.POOL.pid\n"
        "if server: print(server, *(c.pid for c in psutil.Process(server).children()), flush=True)\n"
        "time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in owner.stdout.readline().split()]
    forked = [process.pid for process in psutil.Process(owner.pid).children() if process.pid not in pids]
    owner.kill()
    owner.wait()
    try:
        assert len(pids) >= 2
        assert gone(pids)
    finally:
        for pid in forked:
            os.kill(pid, signal.SIGKILL)
        owner.stdout.close()


def test_the_worker_imports_nothing_from_the_working_directory(tmp_path):
    for name in ("sympy", "math_verify", "antlr4"):
        (tmp_path / f"{name}.py").write_text("open('imported', 'w')\n")
    code = (
        "from vision_r1.grading import GradeSpec, grade_answer\n"
        "assert grade_answer('\\\\sqrt{144}', GradeSpec('12')).correct\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert not (tmp_path / "imported").exists()
