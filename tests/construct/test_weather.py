"""Whole constructions against a server that fails: no row is lost, none kept silently, each is explained."""

import json
from collections import Counter

import pytest

from faulty_server import Answer, FaultyServer, events, prompt_of, reply
from served_teachers import EYES, MIND, said_by, script, settings, write_problems
from vision_r1.construct.build import QUARANTINE, Scope, construct
from vision_r1.construct.config import Construction
from vision_r1.construct.pilot import projection
from vision_r1.construct.quarantine import read_unanswered
from vision_r1.construct.row_files import read_rows
from vision_r1.core.config import validate
from vision_r1.core.progress import Silent
from vision_r1.report.construct_lines import projection_lines, summary_lines
from vision_r1.teachers import pacing
from vision_r1.teachers.request_log import RequestLog

N = 45


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(pacing, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(pacing, "_LONGEST_WAIT", 0.05)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_problems(tmp_path_factory.mktemp("problems"), N)


def build(server, table, out, stream=False, **changes):
    endpoint = {
        "url": server.url,
        "max_in_flight": 8,
        "timeout_seconds": 0.6,
        "idle_seconds": 0.6,
        "stream": stream,
    }
    role = {"endpoints": [endpoint | changes.pop("endpoint", {})], "max_tokens": 512}
    models = {"mllm": {"model": EYES, "temperature": 0, **role}, "reasoner": {"model": MIND, **role}}
    config = validate(Construction, settings(server.url, table, **models, **changes))
    return construct(config, out, Scope(), Silent())


def shard_bytes(out):
    return {path.name: path.read_bytes() for path in sorted((out / "rows").iterdir())}


GOOD = json.dumps(reply("fine")).encode()
FAULTS = {
    "429": Answer(status=429, body={"error": {"message": "slow"}}),
    "429 with Retry-After": Answer(status=429, headers={"Retry-After": "0.05"}),
    "500": Answer(status=500, body=b"Internal Server Error"),
    "502": Answer(status=502, body=b"<html><h1>Bad Gateway</h1></html>"),
    "late": Answer(reply("late"), delay=1.5),
    "hung up": Answer(hang_up=True),
    "cut body": Answer(reply("cut"), cut_after=40),
    "truncated JSON": Answer(GOOD[:-10]),
    "no JSON": Answer(b"\xff\xfe\x00"),
    "no choices": Answer({"choices": [], "usage": {}}),
    "HTML page": Answer(b"<html>maintenance</html>"),
    "slow drip": Answer([b" "] * 1000, pause=0.02),
    "abort": Answer(reply("bro", "abort")),
    "error": Answer(reply("bro", "error")),
}


def test_passing_faults_leave_no_trace_in_the_rows(table, tmp_path):
    """Every request meets one fault, or none, before its answer."""
    names, met = list(FAULTS), Counter()

    def stormy(body, before):
        seen[prompt_of(body), body["model"]] += 1
        if seen[prompt_of(body), body["model"]] == 1:
            name = names[sum(met.values()) % len(names)]
            met[name] += 1
            return FAULTS[name]
        return Answer(said_by(body))

    with FaultyServer(script()) as server:
        calm = build(server, table, tmp_path / "calm")
        seen = Counter()
        server.script = stormy
        storm = build(server, table, tmp_path / "storm")
    assert min(met[name] for name in names) >= 5
    assert shard_bytes(tmp_path / "storm") == shard_bytes(tmp_path / "calm")
    assert storm["n"] == calm["n"] == N and storm["quarantined"] == 0
    assert storm["reasons"] == calm["reasons"] and storm["kept"] == calm["kept"] > 30
    (traffic,) = {
        json.dumps({k: v for k, v in each.items() if k != "role"})
        for each in storm["outcomes"]["endpoints"][:1]
    }
    assert json.loads(traffic)["throttled"] > 0 and json.loads(traffic)["failed"] > 0


LASTING = {
    **{name: (FAULTS[name], "transport") for name in FAULTS if not name.startswith("429")},
    "refused": (Answer(status=400, body={"error": {"message": "unknown parameter"}}), "request"),
}


def test_lasting_faults_are_rows_with_a_counted_reason(table, tmp_path):
    """One problem meets each; the others come through."""
    faults = [
        *LASTING.values(),
        (Answer(reply("Caption: so", "length")), "length"),
        (Answer(reply("", "content_filter")), "held"),
    ]
    mine: dict[str, tuple] = {}

    def script_(body, before):
        question = prompt_of(body).partition("What is")[2].partition("in the image")[0]
        if "under its heading" in prompt_of(body) and question not in mine and len(mine) < len(faults):
            mine[question] = faults[len(mine)]
        return mine[question][0] if question in mine else Answer(said_by(body))

    with FaultyServer(script_) as server:
        summary = build(server, table, tmp_path, endpoint={"transport_retries": 1})
    rows = {
        row.question.partition("What is")[2].partition("in the image")[0]: row
        for row in read_rows(tmp_path / "rows")
    }
    assert len(rows) == summary["n"] == N and len(mine) == len(faults)
    unanswered = len(LASTING) + 1  # what was held back is none either
    assert summary["reasons"]["pseudo_cot_unanswered"] == unanswered
    assert summary["reasons"]["pseudo_cot_truncated"] == 1
    assert summary["quarantined"] == len(LASTING) == len(read_unanswered(tmp_path / QUARANTINE))
    assert summary["kept"] + sum(summary["reasons"].values()) == N
    for question, (_, kind) in mine.items():
        row = rows[question]
        assert not row.kept and row.detail
        if kind in ("transport", "request"):
            assert row.reason == "pseudo_cot_unanswered" and row.detail.startswith(f"{kind}: ")
        else:
            assert row.reason == {"length": "pseudo_cot_truncated", "held": "pseudo_cot_unanswered"}[kind]
    details = Counter(row.detail for row in rows.values() if row.detail.startswith("transport"))
    assert {"abort", "error"} == {
        words.rpartition(" ")[2].rstrip(")") for words in details if "broke the reply off" in words
    }


@pytest.mark.parametrize("stream", [False, True])
def test_replies_that_ran_into_their_cap_are_dropped_as_that(stream, table, tmp_path):
    """A thought that ends in the middle, and an answer that does: both are counted, and asked for once."""

    def capped(body, before):
        if body["model"] != MIND:
            return Answer(said_by(body))
        numbers = [int(word) for word in prompt_of(body).split() if word.isdigit()]
        message = said_by(body)["choices"][0]["message"]
        if sum(numbers) % 3 == 0:
            return Answer(said_by(body))
        text = "" if sum(numbers) % 3 == 1 else message["content"][:20]
        if not stream:
            return Answer(reply(text, "length", reasoning_content=message["reasoning_content"]))
        lines = events(text, message["reasoning_content"], piece=40)
        return Answer([line.replace(b'"stop"', b'"length"') for line in lines])

    with FaultyServer(capped) as server:
        summary = build(server, table, tmp_path, stream=stream)
        asked = Counter(json.dumps(body) for body in server.bodies if body["model"] == MIND)
    assert summary["n"] == N and max(asked.values()) == 1
    assert (
        0 < summary["reasons"]["truncated"] == N - summary["kept"] - summary["reasons"].get("wrong_answer", 0)
    )


def test_old_replies_that_were_broken_off_are_asked_for_again(table, tmp_path):
    with FaultyServer(script()) as server:
        build(server, table, tmp_path / "calm")
        with RequestLog(tmp_path / "calm" / "requests" / "log.sqlite") as log:
            db = log._log._db
            db.execute("""
                UPDATE replies SET reply = json_set(reply, '$.finish_reason', 'abort', '$.text', 'The im')
                WHERE rowid % 10 = 0
            """)
            db.execute("DROP TABLE charges")
            db.execute("PRAGMA user_version=2")
        before, asked = shard_bytes(tmp_path / "calm"), len(server.bodies)
        build(server, table, tmp_path / "calm")
        assert len(server.bodies) - asked == (asked // 10)
    assert shard_bytes(tmp_path / "calm") == before


def test_lengths_are_estimated_where_no_tokens_are_counted(table, tmp_path):
    """Else nothing would be too long, and the first sample would always be the shortest."""

    def uncounted(body, before):
        answer = said_by(body)
        del answer["usage"]
        if body["model"] == MIND:
            message = answer["choices"][0]["message"]
            a, b = (int(word) for word in prompt_of(body).split("What is ")[1].split()[:3:2])
            message["content"] = f"The sum.\n\nFinal Answer: {a + b}"
            again = " Let me add them once more, slowly, to be sure of it." * (body["seed"] % 5)
            message["reasoning_content"] += again
        return Answer(answer)

    with FaultyServer(uncounted) as server:
        short = build(server, table, tmp_path / "short", samples=3, keep="shortest_right")
        limited = build(server, table, tmp_path / "limited", filter={"max_tokens": 40})
    rows = list(read_rows(tmp_path / "short" / "rows"))
    assert short["tokens_estimated"] == len(rows) == 3 * N
    projected = projection(short, validate(Construction, settings(server.url, table)))
    assert (projected["completion_tokens"], projected["uncounted"]) == (0, 1.0)
    assert "too low: 100% of answers" in "".join(projection_lines(projected))
    assert short["tokens"]["after"]["min"] > 10
    assert all(row.tokens == len(f"{row.thought}{row.reply}".encode()) // 4 for row in rows)
    by_problem: dict[str, list] = {}
    for row in rows:
        by_problem.setdefault(row.problem, []).append(row)
    firsts = 0
    for group in by_problem.values():
        right = [row for row in group if row.verdict == "right" and row.reason in ("kept", "not_chosen")]
        (kept,) = [row for row in right if row.kept]
        assert kept.tokens == min(row.tokens for row in right)
        firsts += kept.sample_index == 0
    assert firsts < len(by_problem)
    assert 0 < limited["reasons"]["too_long"] < N
    assert any("estimated length" in line for line in summary_lines(short))
