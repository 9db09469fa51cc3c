"""Roles with several endpoints, budgets and interruptions; what was sent is the servers' own count."""

import asyncio
import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_endpoint import PASSING, once
from test_requests import picture

from faulty_server import Answer, FaultyServer, echo, events, prompt_of, reply
from vision_r1.core.errors import BudgetReached, ConfigError, InputError, Interrupted
from vision_r1.teachers import pacing
from vision_r1.teachers.chat import ChatReply, ChatRequest, Failure
from vision_r1.teachers.config import Budget, EndpointConfig, Price, RoleConfig
from vision_r1.teachers.ledger import Spent
from vision_r1.teachers.request_log import RequestLog
from vision_r1.teachers.served import Teachers

PRICE = Price(prompt=1000.0, completion=10_000.0)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(pacing, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(pacing, "_LONGEST_WAIT", 0.05)


@pytest.fixture
def log(tmp_path):
    with RequestLog(tmp_path / "log") as log:
        yield log


def role(*servers: FaultyServer, price: Price | None = None, **changes) -> RoleConfig:
    endpoints = tuple(EndpointConfig(url=server.url, **changes) for server in servers)
    return RoleConfig(model="m", endpoints=endpoints, price=price)


def asks(*prompts: object, **fields) -> list[ChatRequest]:
    return [ChatRequest("m", str(prompt), **fields) for prompt in prompts]


def answers(teachers: Teachers, requests: list[ChatRequest], name: str = "a", **how):
    async def drive():
        return await asyncio.gather(*(teachers.answer(name, request, **how) for request in requests))

    return teachers.run(drive)


def unused_url() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


# ---- several endpoints


def test_two_endpoints_share_the_load_by_what_they_take(log):
    slow = lambda body, before: Answer(reply("x"), delay=0.05)  # noqa: E731
    with FaultyServer(slow) as one, FaultyServer(slow) as other:
        endpoints = (
            EndpointConfig(url=one.url, max_in_flight=30),
            EndpointConfig(url=other.url, max_in_flight=10),
        )
        with Teachers({"a": RoleConfig(model="m", endpoints=endpoints)}, log) as teachers:
            answers(teachers, asks(*range(400)))
        assert (one.most, other.most) == (30, 10)
        assert len(one.bodies) + len(other.bodies) == 400 and 200 < len(one.bodies) < 370


def test_a_request_that_failed_goes_to_another_endpoint(log):
    bad = lambda body, before: Answer(status=500)  # noqa: E731
    with FaultyServer(bad) as one, FaultyServer() as other:
        with Teachers({"a": role(one, other, transport_retries=1)}, log) as teachers:
            found = answers(teachers, asks(*range(100)))
            assert {health.health for health in teachers.status().endpoints} == {"out", "well"}
        assert [outcome.text for outcome in found] == [f"echo {i}" for i in range(100)]
        assert len(other.bodies) == 100 and len(one.bodies) < 80


def test_an_endpoint_that_dies_is_left_out_and_tried_again(log):
    def mortal(body, before):
        return Answer(hang_up=True) if dead.is_set() else Answer(echo(body, before).body, delay=0.005)

    def steady(body, before):
        return Answer(echo(body, before).body, delay=0.005)

    dead = threading.Event()
    with (
        FaultyServer(mortal) as one,
        FaultyServer(steady) as other,
        Teachers({"a": role(one, other, max_in_flight=4)}, log) as teachers,
    ):
        assert all(isinstance(each, ChatReply) for each in answers(teachers, asks(*range(100))))
        dead.set()
        before = len(one.bodies)
        assert all(isinstance(each, ChatReply) for each in answers(teachers, asks(*range(100, 500))))
        # Some find it dead, the others are probes.
        assert 0 < len(one.bodies) - before < 60
        dead.clear()
        time.sleep(0.1)
        before = len(one.bodies)
        assert all(isinstance(each, ChatReply) for each in answers(teachers, asks(*range(500, 700))))
        assert len(one.bodies) - before > 40
        assert [each.health for each in teachers.status().endpoints] == ["well", "well"]


def test_one_of_two_that_is_not_there_is_left_out_and_both_gone_is_told(log):
    with FaultyServer() as server:
        url = server.url
        endpoints = (EndpointConfig(url=unused_url()), EndpointConfig(url=url, transport_retries=2))
        with Teachers({"a": RoleConfig(model="m", endpoints=endpoints)}, log) as teachers:
            assert all(isinstance(each, ChatReply) for each in answers(teachers, asks(*range(50))))
            assert teachers.status().endpoints[0].traffic.answered == 0
    gone = tuple(EndpointConfig(url=unused_url(), transport_retries=2) for _ in range(2))
    with Teachers({"a": RoleConfig(model="m", endpoints=gone)}, log) as teachers:
        with pytest.raises(InputError, match="cannot be reached"):
            answers(teachers, asks(*range(100, 200)))
        assert sum(each.traffic.sent for each in teachers.status().endpoints) < 250


REFUSALS = {
    "moderation": Answer(status=403, body={"error": {"message": "flagged by moderation"}}),
    "not found": Answer(status=404, body={"error": {"message": "no such item"}}),
    "no model for it": Answer(status=404, body={"error": {"message": "No model not found for it"}}),
}


@pytest.mark.parametrize("fault", REFUSALS)
@pytest.mark.parametrize("first", [True, False])
def test_a_refusal_of_one_item_is_its_own_failure(fault, first, log):
    """Also where it comes before any answer, as refusals are faster: the endpoint is then asked another thing."""

    def script(body, before):
        if prompt_of(body) in ("7", "23"):
            return REFUSALS[fault]
        return Answer(echo(body, before).body, delay=0.0 if prompt_of(body) == "Hi" else 0.1)

    with FaultyServer(script) as server, Teachers({"a": role(server, max_in_flight=8)}, log) as teachers:
        if not first:
            answers(teachers, asks("before"))
        found = answers(teachers, asks(*range(40)))
        (steps,) = teachers.summary()["steps"]
        assert steps["sent"] == len(server.bodies) == teachers.status().endpoints[0].traffic.sent
    failed = {i: each for i, each in enumerate(found) if isinstance(each, Failure)}
    assert set(failed) == {7, 23} and steps["failures"] == {"request": 2}
    words = REFUSALS[fault].body["error"]["message"]
    assert all(each.kind == "request" and words in each.reason for each in failed.values())
    assert server.asked["7"] == server.asked["23"] == 1
    assert server.asked["Hi"] == (1 if first else 0)


def test_fifty_refusals_in_a_row_stop_the_run(log):
    def script(body, before):
        return echo(body, before) if prompt_of(body) == "before" else REFUSALS["moderation"]

    with FaultyServer(script) as server, Teachers({"a": role(server, max_in_flight=4)}, log) as teachers:
        answers(teachers, asks("before"))
        with pytest.raises(InputError, match=r"50 requests in a row failed .*flagged by moderation"):
            answers(teachers, asks(*range(300)))
        assert 50 <= len(server.bodies) - 1 <= 60


def test_what_was_refused_leaves_no_budget_short_and_passes_none(log):
    def script(body, before):
        return echo(body, before) if prompt_of(body) == "Hi" else REFUSALS["moderation"]

    with FaultyServer(script) as server:
        config = role(server, max_in_flight=8)
        with Teachers({"a": config}, log, Budget(max_requests=8)) as teachers:
            # All that may be sent is under way: the short questions have to fit into what was set aside.
            found = answers(teachers, asks(*range(8)))
            assert all(isinstance(each, Failure) for each in found)
            assert teachers.status().requests == 8


WRONG = {
    "refuses the key|asks for a key": Answer(status=401),
    "has no model 'm'": Answer(status=404, body={"error": {"message": "The model `m` does not exist."}}),
    "no chat completions": Answer(status=404, body=b"<html>not found</html>"),
    "'m' takes no images": Answer(status=400, body={"error": {"message": "m is not a multimodal model"}}),
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_setting_at_one_of_two_stops_at_once_and_says_which(words, log):
    with (
        FaultyServer() as right,
        FaultyServer(lambda body, before: WRONG[words]) as wrong,
        Teachers({"a": role(right, wrong, max_in_flight=4)}, log) as teachers,
    ):
        with pytest.raises(InputError, match=words) as raised:
            answers(teachers, asks(*range(200)))
        assert wrong.url in str(raised.value)
        asked = wrong.asked.copy()
        assert asked.pop("Hi", 0) <= asked.total() <= 8


# ---- every outcome is counted, none is lost


def test_every_fault_is_met_counted_and_got_over(log):
    faults = [fault for name, fault in PASSING.items() if name != "too late"]

    def script(body, before):
        return faults[int(prompt_of(body)) % len(faults)] if before == 0 else echo(body, before)

    count = 10 * len(faults)
    with FaultyServer(script) as server:
        with Teachers({"a": role(server, max_in_flight=16)}, log) as teachers:
            found = answers(teachers, asks(*range(count), template="describe@1-00"))
            traffic = teachers.status().endpoints[0].traffic
            line = teachers.ledger["describe", "m"]
        assert [outcome.text for outcome in found] == [f"echo {i}" for i in range(count)]
        assert traffic.sent == len(server.bodies) == 2 * count
        assert traffic.sent == traffic.answered + traffic.throttled + traffic.failed + traffic.refused
        assert (traffic.answered, traffic.throttled) == (count, 3 * 10)
        assert (line.transport_retries, line.throttled, line.failures) == (count - 3 * 10, 3 * 10, {})
        assert line.fresh.replies == count == log.ledger()["m"].replies


def test_what_fails_for_good_is_counted_by_its_kind(log):
    def script(body, before):
        name = prompt_of(body)
        bad = {"long": Answer(status=400), "broken": Answer(status=502, body=b"<html>Bad</html>")}
        return bad[name] if name in bad else Answer(reply(name))

    with (
        FaultyServer(script) as server,
        Teachers({"a": role(server, transport_retries=2, answer_retries=1)}, log) as teachers,
    ):
        requests = asks("fine", "long", "broken", "unusable", "a<|im_end|>")
        found = answers(teachers, requests, usable=lambda text: text == "fine")
        status, line = teachers.status(), teachers.ledger["", "m"]
    assert [getattr(outcome, "kind", "reply") for outcome in found] == [
        "reply", "request", "transport", "answer", "request",
    ]  # fmt: skip
    assert line.failures == {"request": 2, "transport": 1, "answer": 1} and status.failed == 4
    assert (line.answer_retries, line.transport_retries, line.fresh.replies) == (1, 2, 3)


@settings(max_examples=8, deadline=None)
@given(st.randoms(use_true_random=False))
def test_chains_of_steps_come_through_any_weather(tmp_path_factory, rng):
    faults = [fault for name, fault in PASSING.items() if name not in ("too late", "429 with Retry-After")]

    def script(body, before):
        return rng.choice(faults) if before < 3 and rng.random() < 0.4 else echo(body, before)

    async def chain(teachers, i):
        first = await teachers.answer("a", asks(f"p{i}", template="one@1")[0])
        return (await teachers.answer("b", asks(f"then {first.text}", template="two@1")[0])).text

    async def drive():
        return await asyncio.gather(*(chain(teachers, i) for i in range(30)))

    path = tmp_path_factory.mktemp("log") / "log"
    with FaultyServer(script) as one, FaultyServer(script) as other, RequestLog(path) as log:
        with Teachers({"a": role(one, other), "b": role(other, one)}, log) as teachers:
            assert teachers.run(drive) == [f"echo then echo p{i}" for i in range(30)]
            assert {key: line.fresh.replies for key, line in teachers.ledger.items()} == {
                ("one", "m"): 30, ("two", "m"): 30,
            }  # fmt: skip
            sent = sum(each.traffic.sent for each in teachers.status().endpoints)
        assert sent == len(one.bodies) + len(other.bodies)


# ---- the ledger


def test_answers_of_the_log_are_counted_apart(tmp_path):
    body = reply("x")
    body["usage"] = {
        "prompt_tokens": 100, "completion_tokens": 20, "completion_tokens_details": {"reasoning_tokens": 15},
    }  # fmt: skip
    with FaultyServer(lambda asked, before: Answer(body)) as server:
        for prompts, fresh, logged in ((range(6), 6, 0), (range(10), 4, 6)):
            with (
                RequestLog(tmp_path / "log") as log,
                Teachers({"a": role(server, price=PRICE)}, log) as teachers,
            ):
                answers(teachers, asks(*prompts, template="describe@1-0a"))
                line = teachers.ledger["describe", "m"]
                assert (line.fresh.replies, line.logged.replies) == (fresh, logged)
                assert line.fresh.prompt_tokens == 100 * fresh and line.logged.reasoning_tokens == 15 * logged
                assert line.fresh.cost == pytest.approx(0.3 * fresh) and line.logged.cost == 0
    with RequestLog(tmp_path / "log") as log:
        (spent,) = log.ledger_by_step().values()
        assert spent == Spent(10, 1000, 200, 150, 1200, pytest.approx(3.0))
        assert list(log.ledger_by_step()) == [("describe", "m")]


def test_a_summary_says_what_became_of_every_attempt(tmp_path):
    def script(body, before):
        bad = {"1": Answer(status=429), "2": Answer(status=500), "3": Answer(status=400)}
        slow = Answer(echo(body, before).body, delay=0.1)
        return slow if before and prompt_of(body) != "3" else bad.get(prompt_of(body), slow)

    with FaultyServer(script) as server:
        for prompts in (range(3), range(6)):
            with RequestLog(tmp_path / "log") as log:
                roles = {"a": role(server, max_in_flight=2), "b": role(server)}
                with Teachers(roles, log) as teachers:
                    answers(teachers, asks(*prompts, template="describe@1-0a"))
                    found = teachers.summary()
    assert json.loads(json.dumps(found)) == found
    assert found["steps"] == [
        {
            "step": "describe", "model": "m", "from_log": 3, "answered": 2, "sent": 3, "transport_retries": 0,
            "throttled": 0, "answer_retries": 0, "failures": {"request": 1},
        }
    ]  # fmt: skip
    host = server.url.removeprefix("http://").removesuffix("/v1")
    assert found["endpoints"] == [
        {"role": "a", "host": host, "sent": 3, "answered": 2, "throttled": 0, "failed": 0, "refused": 1},
        {"role": "b", "host": host, "sent": 0, "answered": 0, "throttled": 0, "failed": 0, "refused": 0},
    ]
    assert found["roles"]["b"] == {"answered": 0, "seconds": 0.0} and found["roles"]["a"]["answered"] == 2


def test_seconds_of_a_role_are_those_in_a_slot(log):
    slow = lambda body, before: Answer(reply("x"), delay=0.1)  # noqa: E731
    with FaultyServer(slow) as server, Teachers({"a": role(server, max_in_flight=2)}, log) as teachers:
        answers(teachers, asks(*range(20)))  # the last one waits 0.9 s for its slot
        took = teachers.summary()["roles"]["a"]
    assert took["answered"] == 20 and 2.0 <= took["seconds"] < 6.0


# ---- budgets


@pytest.mark.parametrize(
    ("budget", "most"),
    [(Budget(max_requests=17), 17), (Budget(max_tokens=14 * 20 + 1290), 20), (Budget(max_cost=0.041 * 20 + 10.6), 20)],
)  # fmt: skip
def test_a_budget_stops_cleanly_before_it_is_passed(budget, most, tmp_path):
    # An answer is 11 and 3 tokens; a request may come to 256 and its text, and 1024 for the reply.
    wait = lambda body, before: Answer(echo(body, before).body, delay=0.02)  # noqa: E731
    with FaultyServer(wait) as server:
        config = role(server, max_in_flight=8, price=PRICE)
        for _ in range(2):
            with RequestLog(tmp_path / "log") as log, Teachers({"a": config}, log, budget) as teachers:
                with pytest.raises(BudgetReached, match="is reached") as raised:
                    answers(teachers, asks(*range(1000)))
                assert "\n" not in raised.value.line()
                spent = log.ledger()["m"]
                # What was sent was finished and written, and nothing that would have fitted was left out.
                assert spent.replies == len(server.bodies) == sum(server.answered.values())
                assert spent.replies <= (budget.max_requests or 1000)
                assert spent.charged <= (budget.max_tokens or 1e9) and spent.cost <= (budget.max_cost or 1e9)
                assert most <= spent.replies
        assert spent.replies < 1000


def test_failed_attempts_count_as_requests(log):
    with FaultyServer(once(Answer(status=500))) as server:
        with (
            Teachers({"a": role(server)}, log, Budget(max_requests=21)) as teachers,
            pytest.raises(BudgetReached),
        ):
            answers(teachers, asks(*range(100)))
        assert len(server.bodies) == 21


@pytest.mark.parametrize("status", [429, 503])
def test_being_throttled_uses_up_no_requests(status, log):
    with FaultyServer(once(Answer(status=status))) as server:
        with Teachers({"a": role(server)}, log, Budget(max_requests=21)) as teachers:
            found = answers(teachers, asks(*range(21)))
            assert all(isinstance(each, ChatReply) for each in found)
            assert teachers.status().requests == 21
            with pytest.raises(BudgetReached):
                answers(teachers, asks("one more"))
        assert len(server.bodies) == 42


def test_money_needs_prices(log):
    with pytest.raises(ConfigError, match="price") as raised:
        Teachers(
            {"mllm": RoleConfig(model="m", endpoints=(EndpointConfig(url="http://h/v1"),))},
            log,
            Budget(max_cost=1.0),
        )
    assert "mllm" in str(raised.value)


# ---- the end


def test_stop_finishes_what_is_under_way_and_sends_nothing_new(log):
    wait = lambda body, before: Answer(echo(body, before).body, delay=0.3)  # noqa: E731
    with FaultyServer(wait) as server, Teachers({"a": role(server, max_in_flight=7)}, log) as teachers:

        async def drive():
            async with asyncio.TaskGroup() as group:
                for request in asks(*range(300)):
                    group.create_task(teachers.answer("a", request))
                await asyncio.sleep(0.1)
                teachers.stop()

        with pytest.raises(Interrupted, match="run the same command"):
            teachers.run(drive)
        assert len(server.bodies) == 7 == log.ledger()["m"].replies
        # The next call goes on.
        assert len(answers(teachers, asks(*range(10)))) == 10
        assert len(server.bodies) == 10


CHILD = """
    import asyncio, sys
    from pathlib import Path
    from PIL import Image
    from vision_r1.core.errors import Interrupted
    from vision_r1.problems.drawing import BlankImage
    from vision_r1.teachers.chat import ChatRequest
    from vision_r1.teachers.config import EndpointConfig, RoleConfig
    from vision_r1.teachers.request_log import RequestLog
    from vision_r1.teachers.served import Teachers

    endpoint = EndpointConfig(url=sys.argv[1], max_in_flight=8)
    with RequestLog(Path(sys.argv[2])) as log:
        with Teachers({"a": RoleConfig(model="m", endpoints=(endpoint,))}, log) as teachers:
            async def chain(i):
                image = (BlankImage(8 + i, 8),)
                first = await teachers.answer("a", ChatRequest("m", f"p{i}", media=image))
                await teachers.answer("a", ChatRequest("m", f"then {first.text}"))
                print("done", flush=True)

            async def drive():
                await asyncio.gather(*(chain(i) for i in range(int(sys.argv[3]))))
            try:
                teachers.run(drive, lambda count: print(f"finishing {count}", flush=True))
            except Interrupted as error:
                print(error.line(), flush=True)
                sys.exit(error.exit_code)
"""


def start(server: FaultyServer, path, count: int) -> subprocess.Popen:
    arguments = [sys.executable, "-c", textwrap.dedent(CHILD), server.url, str(path), str(count)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_ctrl_c_finishes_and_a_second_one_drops(tmp_path):
    wait = lambda body, before: Answer(echo(body, before).body, delay=1.0)  # noqa: E731
    with FaultyServer(wait) as server:
        child = start(server, tmp_path / "log", 100)
        while len(server.bodies) < 8:
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        told = child.communicate(timeout=20)[0]
        assert "finishing 8\n" in told and "run the same command to go on" in told
        assert child.returncode == 130 and len(server.bodies) == 8 == sum(server.answered.values())
        with RequestLog(tmp_path / "log") as log:
            assert log.ledger()["m"].replies == 8
        server.script = lambda body, before: Answer(reply("x"), delay=60.0)
        child = start(server, tmp_path / "log", 100)
        while len(server.bodies) < 16:
            time.sleep(0.01)
        for _ in range(2):
            child.send_signal(signal.SIGINT)
            time.sleep(0.3)
        child.communicate(timeout=20)
        assert child.returncode not in (0, 130)


def test_killed_at_any_moment_only_what_was_under_way_is_sent_again(tmp_path):
    def script(body, before):
        return Answer(echo(body, before).body, delay=random.uniform(0.002, 0.02))

    for moment in range(3):
        path = tmp_path / f"log{moment}"
        with FaultyServer(script) as server:
            child = start(server, path, 60)
            while not server.bodies:
                time.sleep(0.005)
            time.sleep(random.uniform(0.0, 0.25))
            child.kill()
            child.wait()
            time.sleep(0.1)
            before = len(server.bodies)
            with RequestLog(path) as log:
                kept = log.ledger().get("m", Spent()).replies
            assert before - kept <= 8
            assert start(server, path, 60).wait(30) == 0
            assert len(server.bodies) == 120 + before - kept
            assert len(server.asked) == 120 and max(server.asked.values()) <= 2


# ---- many, streams, images


def test_thousands_of_tasks_wait_and_few_images_are_held_ready(log):
    held = Counter()

    class Counted:
        key = "the same for all"

        def load(self):
            held["now"] += 1
            held["most"] = max(held["most"], held["now"] - len(server.bodies))
            return picture(3).load()

    wait = lambda body, before: Answer(reply("x"), delay=0.01)  # noqa: E731
    with FaultyServer(wait) as server, Teachers({"a": role(server, max_in_flight=16)}, log) as teachers:
        found = answers(teachers, asks(*range(1500), media=(Counted(),)))
    assert all(isinstance(outcome, ChatReply) for outcome in found)
    assert held["most"] <= 16 + 4 + 4 + 2  # in flight, those that may be held ready, and in the threads


def test_streams_are_held_as_long_as_they_flow(log):
    lines = events("The answer is 4.", "two and two", piece=1)

    def script(body, before):
        assert body["stream"] and body["stream_options"] == {"include_usage": True}
        return Answer(lines, pause=0.03)

    # Longer in all than the timeouts, with less than `idle_seconds` between the events.
    changes = {"stream": True, "idle_seconds": 0.5, "timeout_seconds": 0.5}
    with FaultyServer(script) as server, Teachers({"a": role(server, **changes)}, log) as teachers:
        (found,) = answers(teachers, asks("a"))
    assert (found.text, found.reasoning, found.finish_reason) == ("The answer is 4.", "two and two", "stop")
    assert (found.prompt_tokens, found.completion_tokens) == (11, 3)


STREAMS = {
    "cut": Answer(events("The answer is 4."), cut_after=3),
    "stands still": Answer([*events("The answer")[:3], b""], pause=1.0),
    "only kept alive": Answer([b": ping\n\n"] * 1000, pause=0.02),
    "an error in it": Answer([events("The answer")[0], b'data: {"error": {"message": "died"}}\n\n']),
    "ends early": Answer(events("The answer")[:3]),
    "refused": Answer(status=500, body=b"<html>oops</html>"),
    "done, but not how": Answer([*events("The answer is 4.")[:4], b"data: [DONE]\n\n"]),
    "throttled as a stream": Answer([b'data: {"error": {"message": "slow down"}}\n\n'], status=429),
}


@pytest.mark.parametrize(
    ("status", "words"), [(401, "asks for a key"), (400, "'m' takes no images"), (402, "no quota")]
)
def test_an_error_sent_as_a_stream_is_an_error(status, words, log):
    lines = [b'data: {"error": {"message": "m is not a multimodal model"}}\n\n']
    with (
        FaultyServer(lambda body, before: Answer(lines, status=status)) as server,
        Teachers({"a": role(server, stream=True)}, log) as teachers,
        pytest.raises(InputError, match=words),
    ):
        answers(teachers, asks("a"))


def test_an_answer_sent_with_an_error_is_none(log):
    answer = Answer(events("The answer is 4."), status=400)
    with (
        FaultyServer(lambda body, before: answer) as server,
        Teachers({"a": role(server, stream=True)}, log) as teachers,
    ):
        (found,) = answers(teachers, asks("a"))
    assert isinstance(found, Failure) and found.kind == "request"


@pytest.mark.parametrize("fault", STREAMS)
def test_a_stream_that_fails_is_tried_again(fault, log):
    def script(body, before):
        return STREAMS[fault] if before == 0 else Answer(events(f"echo {prompt_of(body)}"))

    with FaultyServer(script) as server:
        with Teachers({"a": role(server, stream=True, idle_seconds=0.4)}, log) as teachers:
            begun = time.monotonic()
            found = answers(teachers, asks("a", "b"))
        assert [outcome.text for outcome in found] == ["echo a", "echo b"]
        assert set(server.asked.values()) == {2} and time.monotonic() - begun < 10


def test_an_endpoint_that_does_not_stream_is_read_as_it_answers(log):
    with FaultyServer() as server, Teachers({"a": role(server, stream=True)}, log) as teachers:
        assert answers(teachers, asks("a"))[0].text == "echo a"


def test_a_slow_drip_ends_with_the_time_for_one_attempt(log):
    drip = Answer([b" "] * 1000, pause=0.02)
    with (
        FaultyServer(once(drip)) as server,
        Teachers({"a": role(server, timeout_seconds=0.3)}, log) as teachers,
    ):
        start = time.monotonic()
        assert answers(teachers, asks("a"))[0].text == "echo a"
    assert time.monotonic() - start < 5


def test_nothing_is_left_running(log):
    before = threading.active_count()
    with FaultyServer() as server:
        inside = threading.active_count()
        with contextlib.closing(Teachers({"a": role(server)}, log)) as teachers:
            answers(teachers, asks(1, 2, media=(picture(1),)))
        assert threading.active_count() == inside
    assert threading.active_count() == before


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.15])
def test_who_joins_a_request_that_others_leave_gets_its_answer(moment, log):
    def script(body, before):
        return Answer(status=500, delay=0.1) if before == 0 else echo(body, before)

    async def drive(teachers):
        first = asyncio.create_task(teachers.answer("a", asks("a")[0]))
        await asyncio.sleep(moment)
        first.cancel()
        await asyncio.sleep(0)
        return await teachers.answer("a", asks("a")[0])

    with FaultyServer(script) as server, Teachers({"a": role(server)}, log) as teachers:
        assert teachers.run(lambda: drive(teachers)).text == "echo a"


def test_a_failure_of_the_work_itself_comes_through(log):
    async def drive():
        raise ZeroDivisionError("in a step of the user's")

    with FaultyServer() as server, Teachers({"a": role(server)}, log) as teachers:
        with pytest.raises(ZeroDivisionError):
            teachers.run(drive)
        assert isinstance(answers(teachers, asks("a"))[0], ChatReply | Failure)
