"""Requests without an answer are on file as it happens, each under its own key."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from faulty_server import Answer, FaultyServer, prompt_of
from served_teachers import EYES, MIND, choice, said_by, settings, write_problems
from vision_r1.construct.build import Scope, construct
from vision_r1.construct.config import Construction
from vision_r1.construct.merge import merge
from vision_r1.construct.quarantine import Quarantine, Unanswered, read_unanswered
from vision_r1.construct.row_files import read_rows
from vision_r1.core.config import validate
from vision_r1.core.errors import InputError
from vision_r1.core.progress import Silent


def entry(key: str, reason: str = "HTTP 500") -> Unanswered:
    return Unanswered(key, "p", "reason", 0, "transport", reason)


def test_lines_are_there_before_the_end_and_a_cut_one_is_passed_over(tmp_path):
    path = tmp_path / "quarantine.jsonl"
    assert read_unanswered(path) == {}
    with Quarantine(path) as quarantine:
        for key in "abc":
            quarantine.note(entry(key))
        quarantine.note(entry("a", "HTTP 502 \u2028 \u2603"))
        assert list(read_unanswered(path)) == ["a", "b", "c"]
    with path.open("a") as file:
        file.write('{"key": "d", "problem"')  # by a kill
    assert list(read_unanswered(path)) == ["a", "b", "c"]
    with Quarantine(path) as quarantine:  # the next pass, which is stopped
        quarantine.note(entry("e"))
    found = read_unanswered(path)
    assert list(found) == ["a", "b", "c", "e"] and found["a"].why == "transport: HTTP 502 \u2028 \u2603"
    assert [json.loads(line)["key"] for line in path.read_bytes().splitlines()] == [*"abcae"]
    with Quarantine(path) as quarantine:
        quarantine.note(entry("b"))
        quarantine.ended()
    assert list(read_unanswered(path)) == ["b"], "what it did not meet again is out of date"


def test_a_full_disk_is_one_line(tmp_path):
    with (
        Quarantine(tmp_path / "quarantine.jsonl") as quarantine,
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        quarantine._handle.close()
        quarantine._handle = full
        with pytest.raises(InputError, match="the disk is full") as raised:
            quarantine.note(entry("a"))
    assert "\n" not in str(raised.value)


@pytest.fixture
def table(tmp_path):
    return write_problems(tmp_path / "problems", 24)


def roles(url, **reasoner):
    role = {"endpoints": [{"url": url, "transport_retries": 0, "max_in_flight": 4}]}
    return {
        "mllm": {"model": EYES, "temperature": 0, **role},
        "reasoner": {"model": MIND, **role, **reasoner},
    }


def by_sample(body, before):
    """Of a problem's samples some are refused, some break, some come."""
    if body["model"] == MIND and (fate := choice(body, 3)) < 2:
        return [Answer(status=422, body=b"too odd"), Answer(status=500, body=b"broken")][fate]
    return Answer(said_by(body))


def test_each_sample_has_its_own_reason(table, tmp_path):
    with FaultyServer(by_sample) as server:
        config = validate(Construction, settings(server.url, table, samples=3, **roles(server.url)))
        summary = construct(config, tmp_path / "out", Scope(), Silent())
    rows = list(read_rows(tmp_path / "out" / "rows"))
    failed = [row for row in rows if row.reason == "reason_unanswered"]
    noted = read_unanswered(tmp_path / "out" / "quarantine.jsonl")
    assert len(failed) == len(noted) == summary["quarantined"] == summary["reasons"]["reason_unanswered"]
    for row in failed:
        found = noted[row.requests[-1].key]
        assert (found.problem, found.step, found.sample) == (row.problem, "reason", row.sample_index)
        assert row.detail == found.why
    mixed = [{row.detail[:8] for row in failed if row.problem == each.problem} for each in failed]
    assert {"request:", "transpor"} in mixed, "no problem whose samples failed in two ways"


def test_arms_of_the_controls_do_not_overwrite_the_rows(table, tmp_path):
    def failing(body, before):
        told = prompt_of(body)
        if "under its heading" in told:
            return Answer(status=422, body=f"no: {len(told)} {choice(body, 10**6)}".encode())
        return Answer(said_by(body))

    with FaultyServer(failing) as server:
        config = validate(
            Construction, settings(server.url, table, controls_n=8, answer_to_mllm=True, **roles(server.url))
        )
        construct(config, tmp_path / "out", Scope(), Silent())
    noted = read_unanswered(tmp_path / "out" / "quarantine.jsonl")
    rows = list(read_rows(tmp_path / "out" / "rows"))
    assert len(noted) > len(rows) and len({row.detail for row in rows}) == len(rows)
    assert all(row.detail == noted[row.requests[0].key].why for row in rows)


def test_parts_bring_their_reasons(table, tmp_path):
    with FaultyServer(by_sample) as server:
        config = validate(Construction, settings(server.url, table, **roles(server.url)))
        parts = [tmp_path / str(index) for index in (1, 2)]
        counts = [
            construct(config, part, Scope(part=(i, 2)), Silent())["quarantined"]
            for i, part in enumerate(parts, 1)
        ]
        merged = merge(parts, tmp_path / "all", Silent())
    assert (
        merged["quarantined"]
        == sum(counts)
        == len(read_unanswered(tmp_path / "all" / "quarantine.jsonl"))
        > 3
    )


def test_a_kill_leaves_the_reasons_so_far(table, tmp_path):
    def failing(body, before):
        if body["model"] == MIND and choice(body, 2):
            return Answer(status=422, body=b"too odd", delay=0.02)
        return Answer(said_by(body), delay=0.02)

    out, config = tmp_path / "out", tmp_path / "construction.yaml"
    with FaultyServer(failing) as server:
        config.write_text(yaml.safe_dump(settings(server.url, table, **roles(server.url))), encoding="utf-8")
        command = [sys.executable, "-m", "vision_r1", "construct", str(config), "--out", str(out)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while len(read_unanswered(out / "quarantine.jsonl")) < 3 and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.002)
        process.kill()
        process.wait()
    noted = read_unanswered(out / "quarantine.jsonl")
    assert noted and all(each.why == "request: HTTP 422: too odd" for each in noted.values())
    asked = validate(Construction, yaml.safe_load(config.read_text()))
    summary = construct(asked, out, Scope(collect_only=True), Silent())
    assert summary["quarantined"] == len(noted)
    rows = [row for row in read_rows(out / "rows") if row.detail == "request: HTTP 422: too odd"]
    assert len(rows) == len(noted)
