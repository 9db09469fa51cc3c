"""What was answered stays answered: across threads, processes, kills and versions."""

import dataclasses
import sqlite3
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest
from test_requests import picture

from vision_r1.core.errors import InputError, RunStateError
from vision_r1.teachers.chat import ChatReply, ChatRequest, encode_picture, request_text
from vision_r1.teachers.request_log import VERSION, Answered, RequestLog, Spent

REPLY = ChatReply("four\x00 \u2603", "because", "stop", 10, 2, "m-1")


def put(log, request, reply=REPLY, pictures=(), key=None):
    log.keep(pictures)
    log.put([Answered(key or request.key, request.model, request_text(request), reply)])


def ask(i: int = 0, model: str = "m") -> ChatRequest:
    return ChatRequest(model, f"question {i}")


def test_an_answer_is_there_for_the_next_process(tmp_path):
    path = tmp_path / "deep" / "log.sqlite"
    with RequestLog(path) as log:
        assert log.get(ask().key) is None
        put(log, ask())
        assert log.get(ask().key) == REPLY
    with RequestLog(path) as log:
        assert log.get(ask().key) == REPLY
        assert log.get(ask(1).key) is None


def test_the_first_answer_stays(tmp_path):
    with RequestLog(tmp_path / "log") as log:
        put(log, ask(), key="k")
        put(log, ask(), dataclasses.replace(REPLY, text="five"), key="k")
        assert log.get("k") == REPLY
        assert log.ledger() == {"m": Spent(1, 10, 2)}


def test_the_ledger_counts_by_model(tmp_path):
    with RequestLog(tmp_path / "log") as log:
        for i in range(3):
            put(log, ask(i))
        other = ask(0, "other")
        put(log, other, dataclasses.replace(REPLY, prompt_tokens=None, completion_tokens=None))
        assert log.ledger() == {"m": Spent(3, 30, 6), "other": Spent(1, 0, 0)}


def test_an_image_is_stored_once_and_not_in_the_log(tmp_path):
    media = picture(7)
    shown = encode_picture(media)
    with RequestLog(tmp_path / "log") as log:
        for i in range(3):
            request = dataclasses.replace(ask(i), media=(media,))
            put(log, request, pictures=[shown])
        assert log.picture(media.key) == shown
        assert log.picture("another") is None
    assert (tmp_path / "log.pictures").read_bytes().count(media.read()[8:40]) == 1
    stored = (tmp_path / "log").read_bytes()
    assert media.key.encode() in stored and media.read()[8:40] not in stored


def test_many_threads_write(tmp_path):
    with RequestLog(tmp_path / "log") as log:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda i: put(log, ask(i)), range(300)))
        assert log.ledger()["m"].replies == 300


HOLDER = """
    import sys, time
    from pathlib import Path
    from vision_r1.teachers.chat import ChatReply, ChatRequest
    from vision_r1.teachers.request_log import Answered, RequestLog
    log = RequestLog(Path(sys.argv[1]))
    for i in range(10**6):
        request = ChatRequest("m", f"question {i}")
        log.put([Answered(request.key, "m", "{}", ChatReply("t", "", "stop", 1, 1, "m"))])
        print(i, flush=True)
"""


def test_a_second_process_is_refused_and_a_kill_leaves_every_answer(tmp_path):
    path = tmp_path / "log"
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        for _ in range(50):
            last = int(holder.stdout.readline())
        with pytest.raises(RunStateError, match="another process"):
            RequestLog(path)
    finally:
        holder.kill()
        told = [int(line) for line in holder.stdout.read().split()]
        holder.wait()
    last = max([last, *told[:-1]])  # the last line may be cut
    with RequestLog(path) as log:
        assert all(log.get(ask(i).key) is not None for i in range(last + 1))
        assert log.ledger()["m"].replies in (last + 1, last + 2, last + 3)


def test_a_newer_log_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "log"
    RequestLog(path).close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version={VERSION + 1}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(RunStateError, match="newer version"):
        RequestLog(path)
    assert path.read_bytes() == before


def test_other_files_are_refused(tmp_path):
    other = tmp_path / "other"
    db = sqlite3.connect(other)
    db.execute("CREATE TABLE t (x)")
    db.commit()
    db.close()
    text = tmp_path / "text"
    text.write_text("not a database " * 100)
    for path, words in (
        (other, "not a request log"),
        (text, "not a request log"),
        (tmp_path, "cannot be used"),
    ):
        with pytest.raises(InputError, match=words):
            RequestLog(path)


def test_a_damaged_log_is_told(tmp_path):
    path = tmp_path / "log"
    with RequestLog(path) as log:
        for i in range(200):
            put(log, ask(i))
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"), RequestLog(path) as log:
        log.get(ask(3).key)
