"""What budgets are charged outlasts the run: failed attempts, and what was under way at a kill."""

import asyncio
import contextlib
import subprocess
import sys
import textwrap
import time

import pytest
from test_served_models import PRICE, answers, asks, role

from faulty_server import Answer, FaultyServer, echo, prompt_of, reply
from vision_r1.core.errors import BudgetReached, InputError
from vision_r1.teachers import pacing
from vision_r1.teachers.chat import ChatReply, ChatRequest
from vision_r1.teachers.config import Budget
from vision_r1.teachers.ledger import Charge, Estimate, Spent
from vision_r1.teachers.request_log import Answered, RequestLog
from vision_r1.teachers.served import Teachers


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(pacing, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(pacing, "_LONGEST_WAIT", 0.05)


def spend(server, path, budget, prompts, **changes):
    """One run; gives what it says was spent over all of them."""
    config = role(server, price=PRICE, **changes)
    with RequestLog(path) as log, Teachers({"a": config}, log, budget) as teachers:
        with contextlib.suppress(BudgetReached):
            answers(teachers, asks(*prompts))
        status = teachers.status()
        return status.requests, status.tokens, status.cost


def test_failed_attempts_count_in_the_next_run_too(tmp_path):
    fails = lambda body, before: Answer(status=500)  # noqa: E731
    with FaultyServer(fails) as server:
        for run in range(6):
            requests, *_ = spend(
                server, tmp_path / "log", Budget(max_requests=10), [f"{run}"], transport_retries=2
            )
            assert requests == len(server.bodies) == min(10, 3 * (run + 1))


def test_attempts_that_may_have_cost_money_are_paid_for_over_all_runs(tmp_path):
    # An attempt may come to 256 and its text, and 1024 for the reply, and is cut off before it says so.
    cut = lambda body, before: Answer(reply("x"), cut_after=20)  # noqa: E731
    most = PRICE.prompt * 257 / 1e6 + PRICE.completion * 1024 / 1e6
    with FaultyServer(cut) as server:
        for run in range(8):
            *_, cost = spend(
                server, tmp_path / "log", Budget(max_cost=5.5 * most), [run], transport_retries=0
            )
            assert cost == pytest.approx(most * min(5, run + 1))
        assert len(server.bodies) == 5


def test_being_throttled_is_forgotten(tmp_path):
    with FaultyServer(
        lambda body, before: Answer(status=429) if before < 3 else echo(body, before)
    ) as server:
        assert spend(server, tmp_path / "log", Budget(), ["a"])[0] == 1
        assert spend(server, tmp_path / "log", Budget(), ["a"])[0] == 1


CHILD = """
    import asyncio, sys
    from pathlib import Path
    from vision_r1.teachers.chat import ChatRequest
    from vision_r1.teachers.config import Budget, EndpointConfig, RoleConfig
    from vision_r1.teachers.request_log import RequestLog
    from vision_r1.teachers.served import Teachers

    endpoint = EndpointConfig(url=sys.argv[1], max_in_flight=4)
    with RequestLog(Path(sys.argv[2])) as log:
        roles = {"a": RoleConfig(model="m", endpoints=(endpoint,), temperature=0)}
        with Teachers(roles, log, Budget(max_requests=int(sys.argv[3]))) as teachers:
            async def drive():
                await asyncio.gather(*(teachers.answer("a", ChatRequest("m", f"p{i}")) for i in range(100)))
            teachers.run(drive)
"""


def test_runs_that_are_killed_again_and_again_never_pass_a_budget(tmp_path):
    """Every process is killed with all it sent under way, before any answer came."""
    script = textwrap.dedent(CHILD)
    with FaultyServer(lambda body, before: Answer(reply("x"), delay=30.0)) as server:
        for run in range(3):
            child = subprocess.Popen(
                [sys.executable, "-c", script, server.url, str(tmp_path / "log"), "10"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            wanted, deadline = min(10, 4 * (run + 1)), time.monotonic() + 30
            while len(server.bodies) < wanted and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.2)  # for one that would pass it
            child.kill()
            child.wait()
            assert len(server.bodies) == wanted
            with RequestLog(tmp_path / "log") as log:
                assert log.lost().replies == wanted and log.ledger() == {}
                assert log.lost().charged >= wanted * 1024
        server.script = echo
        requests, *_ = spend(server, tmp_path / "log", Budget(max_requests=10), ["another"])
        assert requests == 10 and server.asked["another"] == 0


def test_what_is_dropped_counts_in_full(tmp_path):
    with FaultyServer(lambda body, before: Answer(reply("x"), delay=30.0)) as server:
        with RequestLog(tmp_path / "log") as log:
            with Teachers({"a": role(server, max_in_flight=3)}, log) as teachers:

                async def drive():
                    tasks = [asyncio.create_task(teachers.answer("a", each)) for each in asks(*range(9))]
                    while len(server.bodies) < 3:
                        await asyncio.sleep(0.01)
                    del tasks

                teachers.run(drive)
            assert log.lost().replies == 3
        with RequestLog(tmp_path / "log") as log:
            assert log.lost().replies == 3


def test_what_was_answered_is_charged_once(tmp_path):
    path = tmp_path / "log"
    with FaultyServer(
        lambda body, before: Answer(status=502) if before == 0 else echo(body, before)
    ) as server:
        assert spend(server, path, Budget(), range(20))[0] == 40
        assert spend(server, path, Budget(), range(20))[0] == 40
        with RequestLog(path) as log:
            assert log.ledger()["m"].replies == 20 == log.lost().replies


def test_a_logs_charges_are_taken_over_once(tmp_path):
    mine, other, third = (tmp_path / name for name in ("mine", "other", "third"))
    for path, requests in ((mine, 2), (other, 5)):
        with RequestLog(path) as log:
            log.put([], Charge(requests, 10 * requests, 0.5 * requests), Charge(1, 100, 4.0))
    with RequestLog(mine) as log:
        for _ in range(2):
            log.absorb(other)
            assert log.lost() == Spent(3 + 6, charged=120 + 150, cost=5.0 + 6.5)
    with RequestLog(other) as log:
        log.put([], Charge(1))
        log.absorb(mine)  # which has what this one lost before
        assert log.lost().replies == 7 + 3
    with RequestLog(third) as log:
        log.absorb(mine)
        assert log.lost().replies == 9
        log.absorb(other)
        assert log.lost().replies == 10


def test_an_answer_and_its_charge_are_written_together(tmp_path):
    reply_ = ChatReply("t", "", "stop", 1, 1, "m")
    most = Estimate(5, 5)
    with RequestLog(tmp_path / "log") as log:
        log.put([], reserved=Charge(1, most.tokens, 0.1))
        log.put([Answered("k", "m", "{}", reply_, "", 2)], reserved=Charge(-1, -most.tokens, -0.1))
    with RequestLog(tmp_path / "log") as log:
        assert log.lost() == Spent() and log.ledger()["m"].charged == 2


# ---- what was paid is written, whatever ends the run


def test_an_error_of_the_work_waits_for_what_is_under_way(tmp_path):
    async def drive():
        async with asyncio.TaskGroup() as group:
            for request in asks(*range(20)):
                group.create_task(teachers.answer("a", request))
            while len(server.bodies) < 5:
                await asyncio.sleep(0.01)
            raise InputError("a step of the user's own failed")

    slow = lambda body, before: Answer(echo(body, before).body, delay=0.4)  # noqa: E731
    with FaultyServer(slow) as server, RequestLog(tmp_path / "log") as log:
        with Teachers({"a": role(server, max_in_flight=5)}, log) as teachers:
            with pytest.raises(InputError, match="of the user's own"):
                teachers.run(drive)
            assert len(server.bodies) == 5 == log.ledger()["m"].replies
            assert len(answers(teachers, asks(*range(7)))) == 7  # the next call goes on
        assert len(server.bodies) == 7 and log.lost() == Spent()


def test_a_refused_key_waits_for_what_another_endpoint_answers(tmp_path):
    slow = lambda body, before: Answer(echo(body, before).body, delay=0.5)  # noqa: E731
    refuse = lambda body, before: Answer(status=401, delay=0.1)  # noqa: E731
    with FaultyServer(slow) as good, FaultyServer(refuse) as bad, RequestLog(tmp_path / "log") as log:
        with Teachers({"a": role(good), "b": role(bad)}, log) as teachers:

            async def drive():
                async with asyncio.TaskGroup() as group:
                    for request in asks(*range(6)):
                        group.create_task(teachers.answer("a", request))
                    group.create_task(teachers.answer("b", ChatRequest("m", "other")))

            with pytest.raises(InputError, match="asks for a key"):
                teachers.run(drive)
        assert sum(good.answered.values()) == 6 == log.ledger()["m"].replies
        assert prompt_of(bad.bodies[0]) == "other"
