"""What was answered stays answered: across threads, processes, kills and versions."""

import contextlib
import dataclasses
import io
import json
import sqlite3
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from test_requests import picture

from vision_r1.core.errors import InputError, RunStateError
from vision_r1.problems.images import BytesImage
from vision_r1.teachers import database, request_log
from vision_r1.teachers.chat import ChatReply, ChatRequest, encode_picture, request_text
from vision_r1.teachers.request_log import VERSION, Answered, RequestLog, Spent

REPLY = ChatReply("four\x00 \u2603", "because", "stop", 10, 2, "m-1")


def saying(text: str) -> ChatReply:
    return dataclasses.replace(REPLY, text=text)


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


VERSION_1 = """
    CREATE TABLE replies (
        key TEXT PRIMARY KEY, model TEXT NOT NULL, request TEXT NOT NULL, reply TEXT NOT NULL,
        prompt_tokens INTEGER, completion_tokens INTEGER, written REAL NOT NULL
    ) WITHOUT ROWID
"""


def test_a_log_of_version_1_is_brought_up_to_date(tmp_path):
    path = tmp_path / "log"
    reply = '{"text": "t", "reasoning": "r", "finish_reason": "stop", "prompt_tokens": 3, "completion_tokens": 2, "model": "m-1"}'
    db = sqlite3.connect(path)
    db.execute(VERSION_1)
    for key, template in (("a", "describe@1-0a"), ("b", "describe@2"), ("c", ""), ("d", "bare")):
        row = (key, "m", json.dumps({"template": template}), reply, 3, 2, 1.0)
        db.execute("INSERT INTO replies VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    db.execute(f"PRAGMA application_id={0x56523151}")
    db.execute("PRAGMA user_version=1")
    db.commit()
    db.close()
    for _ in range(2):
        with RequestLog(path) as log:
            assert log.get("a") == ChatReply("t", "r", "stop", 3, 2, "m-1")
            assert log.ledger_by_step() == {
                ("", "m"): Spent(1, 3, 2, 0, 5), ("bare", "m"): Spent(1, 3, 2, 0, 5),
                ("describe", "m"): Spent(2, 6, 4, 0, 10),
            }  # fmt: skip
            put(log, ask())  # the second time it is there already
            log.put([Answered("e", "m", "{}", REPLY, "describe", 12, 0.5)])
            assert log.ledger()["m"].replies == 6
            db = log._log._db
            db.execute("DELETE FROM replies WHERE key NOT IN ('a', 'b', 'c', 'd')")


# ---- another log's answers


def test_another_logs_answers_and_images_are_taken_over(tmp_path, monkeypatch):
    monkeypatch.setattr(request_log, "_BATCH_ROWS", 7)
    media = [picture(i) for i in range(10)]
    for name, numbers, text in (("mine", range(30), "mine"), ("other", range(20, 70), "other")):
        with RequestLog(tmp_path / name) as log:
            for i in numbers:
                request = dataclasses.replace(ask(i), media=(media[i % 10],), template="see@1")
                answer = Answered(f"k{i}", "m", request_text(request), saying(text), "see", 12, 0.5)
                log.keep([encode_picture(media[i % 10])])
                log.put([answer])
    before = {path.name: path.read_bytes() for path in tmp_path.glob("other*")}
    with RequestLog(tmp_path / "mine") as log:
        assert log.absorb(tmp_path / "other") == 40
        assert log.absorb(tmp_path / "other") == 0
        assert [log.get(f"k{i}").text for i in range(70)] == ["mine"] * 30 + ["other"] * 40
        assert log.ledger_by_step() == {("see", "m"): Spent(70, 700, 140, 0, 70 * 12, 35.0)}
    with RequestLog(tmp_path / "third") as log:
        assert log.absorb(tmp_path / "other") == 50
        assert [log.picture(each.key).data for each in media] == [each.read() for each in media]
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_a_log_without_images_is_taken_over(tmp_path):
    with RequestLog(tmp_path / "other") as log:
        put(log, ask())
    with RequestLog(tmp_path / "mine") as log:
        assert log.absorb(tmp_path / "other") == 1
    assert not (tmp_path / "mine.pictures").exists()


def test_what_a_killed_process_left_is_taken_over(tmp_path):
    script = """
        import os, sys
        from pathlib import Path
        from vision_r1.teachers.chat import ChatReply, Picture
        from vision_r1.teachers.request_log import Answered, RequestLog
        log = RequestLog(Path(sys.argv[1]))
        for i in range(20):
            log.keep([Picture(f"p{i}", "png", b"x", (1, 1))])
            log.put([Answered(f"k{i}", "m", "{}", ChatReply("t", "", "stop", 1, 1, "m"))])
        os._exit(9)
    """
    other = tmp_path / "other"
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(other)], check=False)
    assert (tmp_path / "other-wal").stat().st_size > 0  # not yet in the file itself
    with RequestLog(tmp_path / "mine") as log:
        assert log.absorb(other) == 20 and log.picture("p19") is not None


def test_a_log_of_version_1_is_taken_over_and_left_as_it_is(tmp_path):
    path = tmp_path / "old"
    db = sqlite3.connect(path)
    db.execute(VERSION_1)
    for key, request in (("a", '{"template": "describe@1-0a"}'), ("b", "{}"), ("c", "no JSON")):
        row = (key, "m", request, json.dumps(dataclasses.asdict(REPLY)), 3, None, 1.0)
        db.execute("INSERT INTO replies VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    db.execute(f"PRAGMA application_id={0x56523151}")
    db.execute("PRAGMA user_version=1")
    db.commit()
    db.close()
    before = path.read_bytes()
    with RequestLog(tmp_path / "mine") as log:
        assert log.absorb(path) == 3 and log.get("c") == REPLY
        assert log.ledger_by_step() == {
            ("describe", "m"): Spent(1, 3, 0, 0, 3), ("", "m"): Spent(2, 6, 0, 0, 6),
        }  # fmt: skip
    assert path.read_bytes() == before


def test_what_cannot_be_taken_over_is_one_line(tmp_path):
    newer, text, held, empty = (tmp_path / name for name in ("newer", "text", "held", "empty"))
    RequestLog(newer).close()
    with contextlib.closing(sqlite3.connect(newer)) as db:
        db.execute(f"PRAGMA user_version={VERSION + 1}")
    text.write_text("not a database " * 100)
    empty.touch()
    with RequestLog(tmp_path / "mine") as log, RequestLog(held):
        for path, words in (
            (newer, "newer version"), (text, "not a request log"), (held, "another process"),
            (empty, "an empty file"), (tmp_path / "nothing", "no request log here"), (tmp_path, "no request log"),
        ):  # fmt: skip
            with pytest.raises(InputError, match=words) as raised:
                log.absorb(path)
            assert str(path) in str(raised.value) and "\n" not in str(raised.value)
        put(log, ask())
        assert log.ledger()["m"].replies == 1
    assert not (tmp_path / "nothing").exists() and empty.stat().st_size == 0


def test_nobody_writes_to_a_log_while_it_is_taken_over(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "_LOCK_SECONDS", 0.05)
    other = tmp_path / "other"
    with RequestLog(other) as log:
        put(log, ask())
    tried = []

    def write(self, statement, rows):
        with pytest.raises(RunStateError, match="another process"):
            RequestLog(other)
        tried.append(statement.split()[0])
        return 0

    with RequestLog(tmp_path / "mine") as log:
        monkeypatch.setattr(database.Database, "write", write)
        log.absorb(other)
    assert len(tried) == 2  # what it lost, and its answers


def test_another_log_is_read_in_small_parts(monkeypatch):
    monkeypatch.setattr(request_log, "_BATCH_BYTES", 100)
    rows = [("k", b"x" * size) for size in (10, 10, 500, 99, 1, 1)]
    found = [[len(row[1]) for row in batch] for batch in request_log._batches(iter(rows))]
    assert found == [[10, 10, 500], [99], [1, 1]]


def test_new_fields_come_back(tmp_path):
    reply = dataclasses.replace(REPLY, reasoning_tokens=0, hidden="encrypted")
    with RequestLog(tmp_path / "log") as log:
        put(log, ask(), reply)
        assert log.get(ask().key) == reply


def test_the_log_is_small_beside_its_images(tmp_path):
    rng = np.random.default_rng(0)
    with RequestLog(tmp_path / "log") as log:
        for i in range(200):
            buffer = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (66, 70, 3), dtype=np.uint8)).save(buffer, "PNG")
            media = BytesImage(buffer.getvalue(), "row")
            assert len(buffer.getvalue()) > 13_000
            request = dataclasses.replace(ask(i), user="Look and think step by step. " * 10, media=(media,))
            put(
                log,
                request,
                dataclasses.replace(REPLY, text="so the answer is 12. " * 20),
                [encode_picture(media)],
            )
    assert (tmp_path / "log").stat().st_size < 200 * 2048
    assert (tmp_path / "log.pictures").stat().st_size < 200 * 20_000


FULL = """
    import resource, sys
    from pathlib import Path
    from vision_r1.core.errors import InputError
    from vision_r1.teachers.chat import ChatReply, Picture
    from vision_r1.teachers.request_log import Answered, RequestLog
    log = RequestLog(Path(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
    try:
        for i in range(10**6):
            if sys.argv[2] == "answers":
                log.put([Answered(f"k{i}", "m", "x" * 500, ChatReply("t", "", "stop", 1, 1, "m"))])
            else:
                log.keep([Picture(f"k{i}", "png", b"x" * 500, (1, 1))])
            print(i, flush=True)
    except InputError as error:
        print(error.line())
"""


@pytest.mark.parametrize("what", ["answers", "pictures"])
def test_a_full_disk_is_one_line_and_keeps_what_was_answered(tmp_path, what):
    path = tmp_path / "log"
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL), str(path), what], capture_output=True, text=True, check=True
    )  # fmt: skip
    *numbers, line = told.stdout.splitlines()
    assert "cannot be used" in line and "the disk has room" in line and told.stderr == ""
    assert len(numbers) > 50
    with RequestLog(path) as log:
        kept = [log.get(f"k{i}") if what == "answers" else log.picture(f"k{i}") for i in range(len(numbers))]
        assert all(kept)
        put(log, ask())  # there is room again
        assert log.get(ask().key) == REPLY


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
