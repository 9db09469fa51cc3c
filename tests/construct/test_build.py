"""Data construction with served teachers, from a table of problems to shards."""

import json

import pyarrow.parquet as pq
import pytest
from served_teachers import MIND, said_by, script, settings, write_problems

from faulty_server import Answer, FaultyServer
from vision_r1.construct.build import Scope, construct, merge
from vision_r1.construct.config import Construction
from vision_r1.construct.pilot import projection
from vision_r1.construct.row_files import read_rows
from vision_r1.core.config import validate
from vision_r1.core.errors import BudgetReached, InputError
from vision_r1.core.progress import Silent


def build(url, table, out, scope=None, **changes):
    config = validate(Construction, settings(url, table, **changes))
    return construct(config, out, scope or Scope(), Silent())


def shard_bytes(out):
    return {path.name: path.read_bytes() for path in sorted((out / "rows").iterdir())}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_problems(tmp_path_factory.mktemp("problems"), 60)


@pytest.fixture(scope="module")
def server():
    with FaultyServer(script()) as running:
        yield running


@pytest.fixture(scope="module")
def built(server, table, tmp_path_factory):
    out = tmp_path_factory.mktemp("built")
    return out, build(server.url, table, out)


def test_every_problem_is_a_row_and_every_row_is_explained(built):
    out, summary = built
    rows = list(read_rows(out / "rows"))
    assert len(rows) == summary["n"] == summary["problems"] == 60
    assert [row.id for row in rows] == sorted(row.id for row in rows)
    assert {row.source_id for row in rows} == {f"q{index}" for index in range(60)}
    kept = [row for row in rows if row.kept]
    assert 40 < len(kept) == summary["kept"] < 60
    assert summary["reasons"] == {"wrong_answer": 60 - len(kept)}
    for row in kept:
        assert row.verdict == "right" and row.reason == "kept" and row.fired == ()
        assert row.final_text.startswith("<think> ") and row.final_text.endswith(
            f"Final Answer:{row.answer} </answer>"
        )
        assert "description" not in row.final_text and row.rewritten
        assert [note.step for note in row.requests] == ["pseudo_cot", "describe", "reason"]
        assert all(
            len(note.key) == 64 and note.template.startswith(f"{note.step}@1-") for note in row.requests
        )
        assert (out / "images" / row.images[0]).exists()
    wrong = [row for row in rows if not row.kept]
    assert all(row.verdict == "wrong" and row.final_text == "" and row.thought for row in wrong)


def test_a_second_call_asks_nothing_and_writes_the_same_bytes(built, server, table):
    out, summary = built
    before, asked = shard_bytes(out), sum(server.asked.values())
    again = build(server.url, table, out)
    assert sum(server.asked.values()) == asked
    assert shard_bytes(out) == before
    assert again["ledger"] == summary["ledger"] and again["kept"] == summary["kept"]


def test_another_prompt_for_the_description_asks_again_from_there_only(built, server, table, tmp_path):
    out, _ = built
    (tmp_path / "describe.txt").write_text(
        "# version 2\nQuestion: {question}\nSay what you see: {thinking_process}", encoding="utf-8"
    )
    before = server.bodies[:]
    build(server.url, table, out, prompts=str(tmp_path))
    new = [body for body in server.bodies if body not in before]
    assert new and not any("under its heading" in json.dumps(body) for body in new)
    assert sum("Say what you see" in json.dumps(body) for body in new) == 60


def test_parts_put_together_are_what_one_process_gives(server, table, built, tmp_path):
    out, summary = built
    build(server.url, table, out)
    parts = [tmp_path / f"{index}" for index in (1, 2, 3)]
    sizes = [build(server.url, table, part, Scope(part=(i, 3)))["n"] for i, part in enumerate(parts, start=1)]
    assert sum(sizes) == 60 and min(sizes) > 5
    config = validate(Construction, settings(server.url, table))
    merged = merge(parts, tmp_path / "all", config, Silent())
    assert shard_bytes(tmp_path / "all") == shard_bytes(out)
    assert merged["ledger"] == summary["ledger"] and merged["kept"] == summary["kept"]
    images = {path.name for path in (out / "images").rglob("*.png")}
    assert {path.name for path in (tmp_path / "all" / "images").rglob("*.png")} == images


def test_several_samples_and_a_keep_rule(server, table, tmp_path):
    summary = build(server.url, table, tmp_path, Scope(limit=20), samples=3, keep="all_right", keep_at_most=2)
    rows = list(read_rows(tmp_path / "rows"))
    assert len(rows) == 60 and summary["problems"] == 20
    by_problem = {}
    for row in rows:
        by_problem.setdefault(row.problem, []).append(row)
    for group in by_problem.values():
        assert [row.sample_index for row in group] == [0, 1, 2]
        right = [row for row in group if row.verdict == "right"]
        assert [row.kept for row in right] == [True] * min(2, len(right)) + [False] * max(0, len(right) - 2)
        assert {row.reason for row in right[2:]} <= {"not_chosen"}


def test_a_pilot_projects_the_whole_set(server, table, tmp_path):
    price = {"prompt": 1000.0, "completion": 2000.0}
    role = {"endpoints": [{"url": server.url}], "price": price}
    changes = {"mllm": {"model": "eyes", "temperature": 0, **role}, "reasoner": {"model": MIND, **role}}
    config = validate(Construction, settings(server.url, table, **changes))
    summary = construct(config, tmp_path, Scope(limit=15), Silent())
    whole = projection(summary, config)
    assert (whole["sample"], whole["problems"]) == (15, 60)
    spent = summary["ledger"]
    assert whole["requests"] == 4 * sum(line["replies"] for line in spent)
    assert whole["prompt_tokens"] == 11 * whole["requests"]
    assert whole["cost"] == pytest.approx(whole["requests"] * (11 * 1000 + 3 * 2000) / 1e6, rel=0.01)
    assert whole["hours"] is not None


def test_a_budget_stops_before_it_is_passed_and_more_of_it_goes_on(table, tmp_path):
    with FaultyServer(script()) as server:
        with pytest.raises(BudgetReached, match="max_requests"):
            build(server.url, table, tmp_path, budget={"max_requests": 150})
        assert sum(server.asked.values()) <= 150
        summary = build(server.url, table, tmp_path, Scope(collect_only=True), budget={"max_requests": 150})
        assert summary["kept"] > 0 and any(name.endswith("_unanswered") for name in summary["reasons"])
        done = build(server.url, table, tmp_path)
        assert set(done["reasons"]) == {"wrong_answer"}
        bodies = [json.dumps(body) for body in server.bodies]
        assert len(set(bodies)) == len(bodies)


def test_an_endpoint_that_fails_for_some_rows_quarantines_them(table, tmp_path):
    def failing(body, before):
        if "plus 7 " in json.dumps(body) or "plus 1" in json.dumps(body):
            return Answer(b"<html>Bad Gateway</html>", status=502)
        return Answer(said_by(body))

    role = {"endpoints": [{"url": "", "transport_retries": 0}]}
    with FaultyServer(failing) as server:
        role["endpoints"][0]["url"] = server.url
        summary = build(
            server.url, table, tmp_path, mllm={"model": "eyes", **role}, reasoner={"model": MIND, **role}
        )
    lines = [json.loads(line) for line in (tmp_path / "quarantine.jsonl").read_text().splitlines()]
    assert lines and len(lines) == summary["quarantined"] == summary["reasons"]["pseudo_cot_unanswered"]
    assert all(line["kind"] == "transport" and "502" in line["reason"] for line in lines)
    assert summary["n"] == 60


def test_bad_problems_are_rows_with_a_reason_and_cost_nothing(server, tmp_path):
    table = write_problems(tmp_path, 8, seed=3)
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    rows[1]["answer"] = ""
    rows[2]["image"] = "images/none.png"
    (tmp_path / "images" / "3.png").write_bytes(b"no image")
    rows.append({**rows[5], "id": "twin"})
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = len(server.bodies)
    summary = build(server.url, table, tmp_path / "out")
    new = server.bodies[asked:]
    assert {json.dumps(body).count("plus") > 0 for body in new} == {True}
    assert len({str(body["messages"]) for body in new if "under its heading" in str(body)}) == 5
    found = {row.source_id: row.reason for row in read_rows(tmp_path / "out" / "rows")}
    assert summary["n"] == 9 and set(found) == {f"q{i}" for i in range(8)} | {"twin"}
    assert {found["twin"], found["q5"]} >= {"duplicate"}
    assert len({found["q1"], found["q2"], found["q3"]} - {"kept", "wrong_answer"}) == 3


def test_a_reasoner_that_shows_no_thoughts_is_noticed_before_it_costs_much(table, tmp_path):
    def mute(body, before):
        answer = said_by(body)
        answer["choices"][0]["message"].pop("reasoning_content", None)
        return Answer(answer)

    with FaultyServer(mute) as server, pytest.raises(InputError, match=r"first 50 problems.* no_thought 50"):
        build(server.url, table, tmp_path)
    with (
        FaultyServer(mute) as server,
        pytest.raises(InputError, match="no row of 20 was kept: no_thought 20"),
    ):
        build(server.url, table, tmp_path, Scope(limit=20))
    assert json.loads((tmp_path / "summary.json").read_text())["reasons"] == {"no_thought": 20}


def test_leak_test_and_fidelity_on_served_models(server, table, tmp_path):
    summary = build(server.url, table, tmp_path, Scope(limit=12), controls_n=10)
    arms = summary["controls"]["leak_test"]["arms"]
    assert set(arms) == {"wrong", "none", "right"}
    assert arms["wrong"]["returns_wrong"]["share"] <= 0.3
    assert arms["none"]["returns_true"]["share"] > 0.6
    assert summary["controls"]["caption_control"]["description"]["n"] == 10


def test_shards_hold_neither_times_nor_costs_nor_places(built, tmp_path):
    out, _ = built
    for path in (out / "rows").iterdir():
        table = pq.read_table(path)
        text = str(table.to_pylist()) + str(table.schema.metadata)
        assert str(out) not in text and "127.0.0.1" not in text and "http" not in text


def test_a_key_is_nowhere_in_the_folder(server, table, tmp_path, monkeypatch):
    monkeypatch.setenv("MADE_UP_KEY", "sk-very-secret-0123456789")
    role = {"endpoints": [{"url": server.url, "key_env": "MADE_UP_KEY"}]}
    build(
        server.url,
        table,
        tmp_path,
        Scope(limit=3),
        mllm={"model": "eyes", **role},
        reasoner={"model": MIND, **role},
    )
    assert server.headers[-1]["Authorization"] == "Bearer sk-very-secret-0123456789"
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"very-secret" not in path.read_bytes()
