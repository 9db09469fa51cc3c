"""The client against a server that fails in every way; what was sent is the server's own count."""

import asyncio
import json
import logging
import random
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
from test_requests import picture

from faulty_server import Answer, FaultyServer, echo, prompt_of, reply
from vision_r1.core.config import validate
from vision_r1.core.errors import ConfigError, InputError
from vision_r1.problems.images import BytesImage
from vision_r1.teachers import pacing, transport
from vision_r1.teachers.chat import ChatReply, ChatRequest, Failure, encode_picture, picture_name
from vision_r1.teachers.config import EndpointConfig
from vision_r1.teachers.endpoint import EndpointClient
from vision_r1.teachers.request_log import RequestLog

KEY = "sk-Very-Secret-0123456789"
GOOD = reply("fine")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(pacing, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(pacing, "_LONGEST_WAIT", 0.05)


@pytest.fixture
def log(tmp_path):
    with RequestLog(tmp_path / "log") as log:
        yield log


def client_of(server: FaultyServer, log: RequestLog, **changes) -> EndpointClient:
    return EndpointClient(EndpointConfig(url=server.url, **changes), log)


def ask(*prompts: str) -> list[ChatRequest]:
    return [ChatRequest("m", prompt) for prompt in prompts]


def once(bad: Answer):
    """Each prompt meets a fault once and is answered then."""
    return lambda body, before: bad if before == 0 else echo(body, before)


def always(answer: Answer):
    return lambda body, before: answer


PASSING = {
    "429": Answer(status=429, body={"error": {"message": "slow"}}),
    "429 with Retry-After": Answer(status=429, headers={"Retry-After": "0.1"}),
    "500": Answer(status=500, body=b"Internal Server Error"),
    "502 page": Answer(status=502, body=b"<html><h1>Bad Gateway</h1></html>"),
    "503": Answer(status=503),
    "too late": Answer(GOOD, delay=1.5),
    "hung up": Answer(hang_up=True),
    "cut in the middle": Answer(GOOD, cut_after=40),
    "truncated JSON": Answer(json.dumps(GOOD).encode()[:-10]),
    "no JSON": Answer(b"\xff\xfe\x00"),
    "no choices": Answer({"choices": [], "usage": {}}),
    "page with 200": Answer(b"<html>maintenance</html>"),
}


@pytest.mark.parametrize("fault", PASSING)
def test_a_passing_fault_is_tried_again(fault, log):
    prompts = [f"p{i}" for i in range(5)]
    with FaultyServer(once(PASSING[fault])) as server, client_of(server, log, timeout_seconds=0.7) as client:
        found = client.complete(ask(*prompts))
    assert [outcome.text for outcome in found] == [f"echo {prompt}" for prompt in prompts]
    assert set(server.asked.values()) == {2}
    assert log.ledger()["m"].replies == 5


@pytest.mark.parametrize("fault", ["500", "hung up", "truncated JSON", "no choices", "too late"])
def test_a_lasting_fault_is_one_rows_failure(fault, log):
    def script(body, before):
        return PASSING[fault] if prompt_of(body) == "bad" else echo(body, before)

    config = {"transport_retries": 2, "timeout_seconds": 0.7}
    with FaultyServer(script) as server, client_of(server, log, **config) as client:
        good, bad, also = client.complete(ask("a", "bad", "b"))
    assert (good.text, also.text) == ("echo a", "echo b")
    assert isinstance(bad, Failure) and bad.kind == "transport" and "after 3 tries" in bad.reason
    assert server.asked["bad"] == 3


def test_a_refused_request_is_not_sent_again(log):
    answer = Answer(status=400, body={"error": {"message": "prompt is too long"}})
    with FaultyServer(always(answer)) as server, client_of(server, log) as client:
        (found,) = client.complete(ask("a"))
    assert (found.kind, server.asked["a"]) == ("request", 1)
    assert "prompt is too long" in found.reason


def test_a_key_shown_in_part_is_blotted_and_a_refusal_says_why(log, monkeypatch):
    monkeypatch.setenv("A_KEY", KEY)
    cut = "a" * 190 + KEY  # the message is cut in the middle of it

    def script(body, before):
        said = {"masked": f"no right for {KEY[:9]}****6789 here", "cut": cut}.get(prompt_of(body))
        return echo(body, before) if said is None else Answer(status=403, body={"error": {"message": said}})

    with FaultyServer(script) as server, client_of(server, log, key_env="A_KEY") as client:
        masked, cut = client.complete(ask("masked", "cut"))
    assert masked.reason == "HTTP 403: no right for *** here"
    assert "sk-V" not in cut.reason and cut.reason.startswith("HTTP 403: aaa")


def test_the_key_is_in_no_part_of_a_reply(log, monkeypatch):
    monkeypatch.setenv("A_KEY", KEY)
    body = reply([{"text": KEY[:9]}, {"text": KEY[9:]}], reasoning=f"({KEY})")
    body["model"], body["choices"][0]["finish_reason"] = KEY, "x" * 30 + KEY
    pieces = [
        {"model": KEY, "choices": [{"delta": {"content": part, "reasoning": part}}]}
        for part in (KEY[:7], KEY[7:])
    ] + [{"choices": [{"delta": {}, "finish_reason": "x" * 30 + KEY}]}]
    lines = [b"data: %b\n\n" % json.dumps(piece).encode() for piece in pieces]
    for stream, answer in ((False, Answer(body)), (True, Answer(lines))):
        with (
            FaultyServer(always(answer)) as server,
            client_of(server, log, key_env="A_KEY", stream=stream) as client,
        ):
            (found,) = client.complete(ask(f"stream {stream}"))
        assert isinstance(found, ChatReply) and found.text == "***" and "***" in found.finish_reason
        assert "sk-V" not in repr(found)


STOPPING = {
    "the endpoint refuses the key": Answer(status=401, body={"error": {"message": f"Incorrect key {KEY}"}}),
    "has no model": Answer(status=404, body={"error": {"message": "The model `m` does not exist."}}),
    "no chat completions": Answer(status=404, body=b"<html>not found</html>"),
    "refuses what it is asked .HTTP 403: no .*: .* right": Answer(
        status=403, body={"error": {"message": f"no {KEY}: it has no right"}}
    ),
    "no quota": Answer(status=429, body={"error": {"code": "insufficient_quota", "message": KEY}}),
}


@pytest.mark.parametrize("words", STOPPING)
def test_what_befalls_every_request_stops_at_once(words, log, monkeypatch):
    monkeypatch.setenv("A_KEY", KEY)
    with FaultyServer(always(STOPPING[words])) as server:
        client = client_of(server, log, key_env="A_KEY", max_in_flight=4)
        with client, pytest.raises(InputError, match=words) as raised:
            client.complete(ask(*map(str, range(100))))
        asked = server.asked.copy()
        short = asked.pop("Hi", 0)  # of an endpoint that has answered nothing yet
        assert asked.total() <= 8  # those under way, and those that stepped in while it was told
        assert short <= asked.total()
    assert KEY not in str(raised.value) and server.url in str(raised.value)


def test_an_endpoint_that_is_not_there(log):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with EndpointClient(EndpointConfig(url=url, transport_retries=2), log) as client:
            with pytest.raises(InputError, match="cannot be reached"):
                client.complete(ask("a"))
            assert client.sent == 3


def test_the_key_goes_to_the_endpoint_and_nowhere_else(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("A_KEY", f" {KEY}\n")

    def script(body, before):
        if prompt_of(body) == "good":
            return echo(body, before)
        return Answer(
            status=400 if prompt_of(body) == "row" else 500,
            body={"error": {"message": f"key {KEY} and so on"}},
        )

    with (
        FaultyServer(script) as server,
        RequestLog(tmp_path / "log") as log,
        client_of(server, log, key_env="A_KEY", transport_retries=1) as client,
    ):
        good, row, transport = client.complete(ask("good", "row", "transport"))
    assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    assert good.text == "echo good"
    assert "key ***" in row.reason and "key ***" in transport.reason
    assert KEY not in caplog.text
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert stored and not any(KEY.encode() in data for data in stored)


def test_a_missing_key_is_told_by_the_name_of_its_variable(log, monkeypatch):
    config = EndpointConfig(url="http://h/v1", key_env="A_KEY")
    monkeypatch.delenv("A_KEY", raising=False)
    with pytest.raises(InputError, match="A_KEY is not set"):
        EndpointClient(config, log)
    monkeypatch.setenv("A_KEY", "sk\u2026")
    with pytest.raises(InputError, match="no key has") as raised:
        EndpointClient(config, log)
    assert "sk" not in str(raised.value)


@pytest.mark.parametrize(
    "data",
    [
        {"url": "http://h/v1", "key_env": KEY},
        {"url": f"http://user:{KEY}@h/v1"},
        {"url": f"http://h/v1?key={KEY}"},
        {"url": "ftp://h"},
        {"url": "h:8000"},
        {"url": "http://[::1/v1"},
    ],
)
def test_a_config_holds_no_key_and_a_whole_address(data):
    with pytest.raises(ConfigError) as raised:
        validate(EndpointConfig, data)
    assert KEY not in str(raised.value)


def test_answered_requests_are_never_sent_again(tmp_path):
    prompts = [f"p{i % 20}" for i in range(100)]
    with FaultyServer() as server:
        for _ in range(2):
            with RequestLog(tmp_path / "log") as log, client_of(server, log) as client:
                found = client.complete(ask(*prompts))
                assert [outcome.text for outcome in found] == [f"echo {prompt}" for prompt in prompts]
        assert len(server.bodies) == 20


def test_samples_are_requests_of_their_own(log):
    requests = [ChatRequest("m", "a", temperature=1.0, seed=i, sample_index=i) for i in range(5)]
    with FaultyServer() as server, client_of(server, log) as client:
        client.complete(requests)
        assert sorted(body["seed"] for body in server.bodies) == [0, 1, 2, 3, 4]


CHILD = """
    import sys
    from pathlib import Path
    from vision_r1.teachers.chat import ChatRequest
    from vision_r1.teachers.config import EndpointConfig
    from vision_r1.teachers.endpoint import EndpointClient
    from vision_r1.teachers.request_log import RequestLog
    log = RequestLog(Path(sys.argv[2]))
    client = EndpointClient(EndpointConfig(url=sys.argv[1], max_in_flight=8), log)
    client.complete([ChatRequest("m", f"p{i}") for i in range(200)], lambda done: print("done", flush=True))
"""


def test_after_a_kill_only_what_was_under_way_is_sent_again(tmp_path):
    def script(body, before):
        return Answer(reply("x"), delay=random.uniform(0.01, 0.05))

    path = tmp_path / "log"
    with FaultyServer(script) as server:
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CHILD), server.url, str(path)], stdout=subprocess.PIPE
        )
        for _ in range(60):
            assert child.stdout.readline() == b"done\n"
        child.kill()
        child.wait()
        time.sleep(0.2)
        before = server.asked.copy()
        with RequestLog(path) as log, client_of(server, log, max_in_flight=8) as client:
            kept = log.ledger()["m"].replies
            assert kept >= 60
            found = client.complete(ask(*(f"p{i}" for i in range(200))))
        assert all(isinstance(outcome, ChatReply) for outcome in found)
        again = [prompt for prompt in before if server.asked[prompt] == 2]
        assert max(server.asked.values()) <= 2 and len(server.asked) == 200
        assert len(again) == sum(before.values()) - kept <= 8


def test_the_server_is_never_asked_for_more_than_the_limit(log):
    with (
        FaultyServer(always(Answer(GOOD, delay=0.02))) as server,
        client_of(server, log, max_in_flight=7) as client,
    ):
        client.complete(ask(*map(str, range(60))))
    assert server.most == 7


def test_a_crowded_endpoint_gets_fewer_at_a_time_and_answers_all(log):
    room = 5

    def script(body, before):
        return Answer(status=429) if server.now > room else Answer(reply("x"), delay=0.02)

    with FaultyServer(script) as server, client_of(server, log, max_in_flight=40) as client:
        found = client.complete(ask(*map(str, range(200))))
        assert all(isinstance(outcome, ChatReply) for outcome in found)
        assert client._pool.members[0].pace.limit < 15
        refused = len(server.bodies) - 200
    assert refused < 300  # without adapting, some 35 of every 40 would be refused again and again


def test_retry_after_holds_everybody_back(log):
    def script(body, before):
        if len(server.bodies) == 1:
            return Answer(status=429, headers={"Retry-After": "1"})
        return Answer(GOOD, delay=0.1)

    with FaultyServer(script) as server, client_of(server, log, max_in_flight=2) as client:
        client.complete(ask("a", "b", "c", "d"))
        # The second one was under way already; the others are held back with the first.
        assert min(later - server.times[0] for later in server.times[2:]) >= 0.95


def test_patience_with_throttling_ends(log):
    answer = Answer(status=429, body={"error": {"message": "slow down"}})
    words = r"throttles every request \(HTTP 429: slow down\)"
    with (
        FaultyServer(always(answer)) as server,
        client_of(server, log, patience_seconds=0.3) as client,
        pytest.raises(InputError, match=words),
    ):
        client.complete(ask("a"))


def test_an_hours_wait_is_told_and_not_waited_for(log):
    answer = Answer(status=429, headers={"Retry-After": "3600"})
    with FaultyServer(always(answer)) as server:
        start = time.monotonic()
        with client_of(server, log, max_in_flight=2) as client:
            with pytest.raises(InputError, match="throttles every request"):
                client.complete(ask(*map(str, range(20))))
            server.script = echo
            assert isinstance(client.complete(ask("later"))[0], ChatReply)
        assert time.monotonic() - start < 10 and len(server.bodies) <= 5


def test_prompts_that_are_too_long_are_each_ones_own_fault(log):
    answer = Answer(
        status=400, body={"error": {"message": "This model's maximum context length is 2048 tokens."}}
    )
    with FaultyServer(always(answer)) as server, client_of(server, log) as client:
        outcomes = client.complete(ask(*map(str, range(60))))
    assert [type(outcome) for outcome in outcomes] == [Failure] * 60


@pytest.mark.parametrize("status", [400, 500])
def test_an_endpoint_that_only_fails_is_not_asked_for_ever(status, log):
    answer = Answer(status=status, body={"error": {"message": "unsupported parameter"}})
    with FaultyServer(always(answer)) as server, client_of(server, log, transport_retries=1) as client:
        with pytest.raises(InputError, match=r"50 requests in a row failed .*unsupported parameter"):
            client.complete(ask(*map(str, range(1000))))
        assert len(server.bodies) < 400


def test_an_answer_that_cannot_be_used_is_another_matter_than_a_failed_one(log):
    def script(body, before):
        return Answer(status=500) if before == 0 else Answer(reply("yes" if before >= 3 else "hm"))

    with (
        FaultyServer(script) as server,
        client_of(server, log, transport_retries=1, answer_retries=2) as client,
    ):
        requests = [ChatRequest("m", "a", temperature=1.0, seed=5)]
        found = client.complete(requests, usable=lambda text: text == "yes")
        assert found[0].text == "yes" and server.asked["a"] == 4
        assert len({body["seed"] for body in server.bodies}) == 3
        client.complete(requests, usable=lambda text: text == "yes")
        assert server.asked["a"] == 4  # the whole chain is in the log
        (never,) = client.complete(ask("b"), usable=lambda text: False)
    assert never.kind == "answer" and "none of 3 answers" in never.reason


def test_a_row_that_cannot_be_asked_is_a_failure(log):
    broken = BytesImage(b"not an image", "row 9")
    requests = [
        ChatRequest("m", "a", media=(broken,)),
        ChatRequest("m", "<image> and <image>", media=(picture(1),)),
        ChatRequest("m", "a<|im_end|>"),
        ChatRequest("m", "fine", media=(picture(1),)),
    ]
    with FaultyServer() as server, client_of(server, log) as client:
        *bad, good = client.complete(requests)
        assert len(server.bodies) == 1
    assert [outcome.kind for outcome in bad] == ["request"] * 3 and "row 9" in bad[0].reason
    assert good.text == "echo fine"


def test_many_threads_ask_at_once(log):
    told = []

    def judge(i: int) -> str | Failure:
        return client.ask(f"p{i % 50}", model="m")

    with FaultyServer(always(Answer(GOOD, delay=0.01))) as server, client_of(server, log) as client:
        with ThreadPoolExecutor(32) as pool:
            told = list(pool.map(judge, range(200)))
        assert told == ["fine"] * 200 and set(server.asked.values()) == {1}


def test_inside_an_event_loop(log):
    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        found = await asyncio.gather(client.acomplete(ask("a", "b")), client.acomplete(ask("c")))
        ticking.cancel()
        assert ticks >= 5
        blocking = client.complete(ask("d"))
        return [outcome.text for outcomes in (*found, blocking) for outcome in outcomes]

    with FaultyServer(always(Answer(GOOD, delay=0.2))) as server, client_of(server, log) as client:
        assert asyncio.run(main()) == ["fine"] * 4


def test_progress_is_told_in_the_calling_thread_and_may_raise(log):
    seen = []

    def on_done(done: int) -> None:
        seen.append((done, threading.get_ident()))
        if len(seen) == 3:
            raise KeyboardInterrupt

    with (
        FaultyServer(always(Answer(GOOD, delay=0.01))) as server,
        client_of(server, log, max_in_flight=2) as client,
    ):
        with pytest.raises(KeyboardInterrupt):
            client.complete(ask(*map(str, range(100))), on_done)
        time.sleep(0.1)
        count = len(server.bodies)
        time.sleep(0.1)
        assert count == len(server.bodies) < 100
        assert set(seen) == {(1, threading.get_ident())}
        assert len(client.complete(ask("after"))) == 1


def test_a_log_that_cannot_be_written_stops_the_work(log):
    with FaultyServer() as server, client_of(server, log, max_in_flight=2) as client:
        log._log._db.execute("PRAGMA query_only=ON")
        with pytest.raises(InputError, match="request log cannot be used"):
            client.complete(ask(*map(str, range(50))))
        assert len(server.bodies) <= 8


def held_up(log, monkeypatch):
    """Images are stored while this is set."""
    go_on, kept = threading.Event(), log.keep

    def slow(pictures):
        assert go_on.wait(30)
        kept(pictures)

    monkeypatch.setattr(log, "keep", slow)
    go_on.set()
    return go_on


def sent(server, count):
    """Whether the server has been asked so often, after some seconds at most."""
    end = time.monotonic() + 20
    while len(server.bodies) < count and time.monotonic() < end:
        time.sleep(0.01)
    return len(server.bodies) == count


def test_a_client_that_is_closed_keeps_an_answer_whose_images_are_being_stored(log, monkeypatch):
    go_on = held_up(log, monkeypatch)
    asked = ChatRequest("m", "q", media=(picture(1),))
    with FaultyServer() as server, ThreadPoolExecutor(1) as pool:
        client = client_of(server, log)
        client.complete([ChatRequest("m", "before", media=(picture(2),))])
        go_on.clear()
        found = pool.submit(client.complete, [asked])
        assert sent(server, 2)
        time.sleep(0.3)
        threading.Timer(0.2, go_on.set).start()
        client.close()
        with pytest.raises(CancelledError):
            found.result(30)
    assert log.get(asked.key) is not None and log.picture(picture_name(asked.media[0])) is not None
    assert log.lost().replies == 0


def test_no_answer_is_on_file_before_its_images(log, monkeypatch):
    go_on = held_up(log, monkeypatch)
    asked = ChatRequest("m", "q", media=(picture(1),))
    with FaultyServer() as server, client_of(server, log) as client, ThreadPoolExecutor(1) as pool:
        client.complete([ChatRequest("m", "before", media=(picture(2),))])
        go_on.clear()
        found = pool.submit(client.complete, [asked])
        assert sent(server, 2)
        time.sleep(0.3)
        assert log.get(asked.key) is None and not found.done(), "it was sent, and is not answered yet"
        go_on.set()
        (reply,) = found.result(30)
    assert log.get(asked.key) == reply and log.picture(picture_name(asked.media[0])) is not None


@pytest.mark.parametrize("worked", [False, True])
def test_images_that_cannot_be_stored_stop_the_work(log, worked):
    asked = [ChatRequest("m", f"q{i}", media=(picture(i),)) for i in range(50)]
    with FaultyServer() as server, client_of(server, log, max_in_flight=2) as client:
        log.keep([encode_picture(picture(99))])
        if worked:
            client.complete([ChatRequest("m", "before", media=(picture(98),))])
        log._store()._db.execute("PRAGMA query_only=ON")
        with pytest.raises(InputError, match="store of images cannot be used"):
            client.complete(asked)
        vain = len(server.bodies) - worked
        assert vain <= 2 * worked, "nothing is sent once it is known"
        assert [log.get(each.key) for each in asked] == [None] * 50
    assert log.lost().replies == vain, "what was sent for nothing counts for budgets"


def test_a_flood_is_not_read_to_its_end(log, monkeypatch):
    monkeypatch.setattr(transport, "_MOST_BYTES", 2**20)
    flood = Answer(b" " * 2**23)
    with FaultyServer(always(flood)) as server, client_of(server, log, transport_retries=0) as client:
        (found,) = client.complete(ask("a"))
    assert "over 1 MiB" in found.reason


def test_a_closed_client_leaves_no_thread(log):
    before = threading.active_count()
    with FaultyServer() as server:
        inside = threading.active_count()
        for i in range(3):
            with client_of(server, log) as client:
                client.complete(ask(f"p{i}"))
        assert threading.active_count() == inside
    assert threading.active_count() == before
