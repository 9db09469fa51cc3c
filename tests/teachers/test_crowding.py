"""Where nobody says 429: a server that gets slower the more is under way is asked for fewer at a time."""

import pytest
from test_served_models import answers, asks, role

from faulty_server import Answer, FaultyServer, reply
from vision_r1.teachers import pacing
from vision_r1.teachers.chat import ChatReply
from vision_r1.teachers.pacing import Pace
from vision_r1.teachers.request_log import RequestLog
from vision_r1.teachers.served import Teachers
from vision_r1.teachers.wire import read_answer


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(pacing, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(pacing, "_LONGEST_WAIT", 0.05)


def crowded(server, late):
    """So many requests at a time are answered at once; with more, each takes its time, or is given up."""
    return lambda body, before: late if server.now > 8 else Answer(reply("x"), delay=0.02)


@pytest.mark.parametrize(
    ("late", "most"),
    [(Answer(reply("late"), delay=0.6), 300), (Answer(status=502, delay=0.05), 400), (Answer(status=504, delay=0.05), 400)],
)  # fmt: skip
def test_time_outs_cut_the_requests_under_way(late, most, tmp_path):
    with FaultyServer() as server, RequestLog(tmp_path / "log") as log:
        server.script = crowded(server, late)
        config = role(server, max_in_flight=64, timeout_seconds=0.4, transport_retries=20)
        with Teachers({"a": config}, log) as teachers:
            found = answers(teachers, asks(*range(300)))
            limit = teachers.status().endpoints[0].limit
        assert all(isinstance(each, ChatReply) for each in found)
        assert limit < 24, "as many as before"
        assert len(server.bodies) - 300 < most, "attempts for nothing"


def test_one_window_of_time_outs_cuts_once():
    pace = Pace(64)
    for _ in range(64):
        pace.throttled(started=1.0, now=2.0, wait=None)
    assert pace.limit == 32


@pytest.mark.parametrize(
    ("status", "cuts"), [(408, True), (500, False), (502, True), (504, True), (524, True), (400, False)]
)
def test_which_answers_may_come_of_too_much_at_a_time(status, cuts):
    assert read_answer(status, b"", None, 0.0).crowded is cuts
