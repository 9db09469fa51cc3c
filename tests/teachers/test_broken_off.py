"""Replies that the server itself broke off are no answers; those that it withheld or capped are."""

import json
import sqlite3
from contextlib import closing

import pytest
from test_served_models import answers, asks, role

from faulty_server import Answer, FaultyServer, events, prompt_of, reply
from vision_r1.teachers import pacing
from vision_r1.teachers.chat import ChatReply, Failure
from vision_r1.teachers.ledger import Spent
from vision_r1.teachers.request_log import RequestLog
from vision_r1.teachers.served import Teachers


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(pacing, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(pacing, "_LONGEST_WAIT", 0.05)


def ending(finish: str, stream: bool) -> Answer:
    if not stream:
        return Answer(reply("The answer", finish))
    return Answer([line.replace(b'"stop"', json.dumps(finish).encode()) for line in events("The answer")])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("finish", ["abort", "error"])
def test_a_reply_that_the_server_broke_off_is_asked_for_again(finish, stream, tmp_path):
    def script(body, before):
        whole = before > 0 and prompt_of(body) == "once"
        return ending("stop" if whole else finish, stream)

    with FaultyServer(script) as server, RequestLog(tmp_path / "log") as log:
        with Teachers({"a": role(server, transport_retries=2, stream=stream)}, log) as teachers:
            once, always = answers(teachers, asks("once", "always"))
        assert once.text == "The answer" and server.asked == {"once": 2, "always": 3}
        assert isinstance(always, Failure) and always.kind == "transport"
        assert "after 3 tries" in always.reason and f"finish_reason {finish}" in always.reason
        assert log.ledger()["m"].replies == 1 and log.lost().replies == 4


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("finish", ["content_filter", "length"])
def test_a_reply_that_was_withheld_or_capped_is_an_answer(finish, stream, tmp_path):
    with FaultyServer(lambda body, before: ending(finish, stream)) as server:
        for _ in range(2):
            with (
                RequestLog(tmp_path / "log") as log,
                Teachers({"a": role(server, stream=stream)}, log) as teachers,
            ):
                (found,) = answers(teachers, asks("a"))
                assert isinstance(found, ChatReply) and found.finish_reason == finish
                assert (found.held_back, found.cut) == (finish == "content_filter", finish == "length")
        assert len(server.bodies) == 1


OLD = """
    CREATE TABLE replies (
        key TEXT PRIMARY KEY, model TEXT NOT NULL, request TEXT NOT NULL, reply TEXT NOT NULL,
        prompt_tokens INTEGER, completion_tokens INTEGER, written REAL NOT NULL,
        step TEXT NOT NULL DEFAULT '', reasoning_tokens INTEGER, charged INTEGER NOT NULL DEFAULT 0,
        cost REAL NOT NULL DEFAULT 0
    )
"""
INDEX = """
    CREATE INDEX spent ON replies
    (model, step, prompt_tokens, completion_tokens, reasoning_tokens, charged, cost)
"""


def write_old_log(path):
    """A log of version 2 with an answer, and two replies that were broken off."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(OLD)
        db.execute(INDEX)
        for finish in ("stop", "abort", "error"):
            request = asks(f"ends with {finish}")[0]
            said = f'so it is "finish_reason": "abort", {finish}'
            text = json.dumps(
                {"text": said, "reasoning": "", "finish_reason": finish, "prompt_tokens": 3,
                 "completion_tokens": 2, "model": "m"}
            )  # fmt: skip
            row = (request.key, "m", "{}", text, 3, 2, 1.0, "see", None, 5, 0.25)
            db.execute("INSERT INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        db.execute(f"PRAGMA application_id={0x56523151}")
        db.execute("PRAGMA user_version=2")
        db.commit()


def test_those_in_an_old_log_are_asked_again_and_still_paid_for(tmp_path):
    path = tmp_path / "log"
    write_old_log(path)
    with FaultyServer() as server, RequestLog(path) as log:
        assert log.ledger() == {"m": Spent(1, 3, 2, 0, 5, 0.25)}
        assert log.lost() == Spent(2, charged=10, cost=0.5)
        with Teachers({"a": role(server)}, log) as teachers:
            assert teachers.status().requests == 3
            found = answers(teachers, asks(*(f"ends with {each}" for each in ("stop", "abort", "error"))))
        assert set(server.asked) == {"ends with abort", "ends with error"}
        assert found[1].text == "echo ends with abort" and log.get(asks("ends with abort")[0].key) == found[1]


def test_those_of_another_old_log_are_not_taken_over(tmp_path):
    write_old_log(tmp_path / "old")
    with RequestLog(tmp_path / "log") as log:
        assert log.absorb(tmp_path / "old") == 1
        assert log.get(asks("ends with abort")[0].key) is None
