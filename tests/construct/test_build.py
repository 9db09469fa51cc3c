"""Data construction with served teachers, from a table of problems to shards."""

import json
import shutil

import pyarrow.parquet as pq
import pytest
import yaml

from faulty_server import Answer, FaultyServer, prompt_of, reply
from served_teachers import IMAGE_TOKENS, MIND, images_in, said_by, script, settings, write_problems
from vision_r1.construct.build import Scope, check_kept, construct
from vision_r1.construct.config import Construction
from vision_r1.construct.merge import merge
from vision_r1.construct.pilot import projection
from vision_r1.construct.row_files import read_rows
from vision_r1.core.config import validate
from vision_r1.core.errors import BudgetReached, ConfigError, InputError
from vision_r1.core.progress import Silent
from vision_r1.pipeline.construction import construction_config
from vision_r1.report.construct_lines import projection_lines, summary_lines

PROBED = 6  # requests that look whether images arrive


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
    merged = merge(parts, tmp_path / "all", Silent())
    assert shard_bytes(tmp_path / "all") == shard_bytes(out)
    assert merged["ledger"] == summary["ledger"] and merged["kept"] == summary["kept"]
    images = {path.name for path in (out / "images").rglob("*.png")}
    assert {path.name for path in (tmp_path / "all" / "images").rglob("*.png")} == images
    asked = len(server.bodies)
    build(server.url, table, tmp_path / "all")
    assert len(server.bodies) == asked, "the parts' answers were not taken over"


def test_parts_that_are_not_one_construction_are_refused(server, table, tmp_path):
    def part(name, index, of, **changes):
        out = tmp_path / name
        build(server.url, table, out, Scope(part=(index, of)), **changes)
        return out

    one, two = part("a", 1, 2), part("b", 2, 2)
    whole = tmp_path / "whole"
    for folders, what in (
        ([one], "part 2/2 is missing"),
        ([one, one, two], "named twice"),
        ([one, part("c", 2, 2, seed=5)], "other settings"),
        ([one, part("d", 2, 2, filter={"max_tokens": 9})], "other settings"),
    ):
        with pytest.raises(InputError, match=what):
            merge(folders, whole, Silent())
    limited, unasked = tmp_path / "e", tmp_path / "f"
    build(server.url, table, limited, Scope(part=(2, 2), limit=3))
    build(server.url, table, unasked, Scope(part=(2, 2), collect_only=True))
    for folder, what in ((limited, "is no part"), (unasked, "not asked yet"), (tmp_path, "no finished part")):
        with pytest.raises(InputError, match=what):
            merge([one, folder], whole, Silent())
    with pytest.raises(BudgetReached):
        build(server.url, table, two, Scope(part=(2, 2)), seed=6, budget={"max_requests": 100})
    with pytest.raises(InputError, match="no finished part"):
        merge([one, two], whole, Silent())


def test_parts_may_have_read_their_sets_from_other_places(server, table, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(table.parent, moved)
    build(server.url, table, tmp_path / "a", Scope(part=(1, 2)))
    build(server.url, moved / table.name, tmp_path / "b", Scope(part=(2, 2)))
    assert merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all", Silent())["n"] == 60


def test_a_part_without_problems_is_no_failure(server, tmp_path):
    table = write_problems(tmp_path, 2, seed=8)
    summaries = [build(server.url, table, tmp_path / str(i), Scope(part=(i, 4))) for i in (1, 2, 3, 4)]
    assert sorted(summary["n"] for summary in summaries)[:2] == [0, 0]
    for summary in summaries:
        check_kept(summary, tmp_path)
    empty = next(i for i, summary in enumerate(summaries, start=1) if summary["n"] == 0)
    limited = build(server.url, table, tmp_path / "limited", Scope(part=(empty, 4), limit=1))
    config = validate(Construction, settings(server.url, table))
    projected = projection(limited, config)
    assert {projected[name] for name in ("sample", "rows", "requests", "prompt_tokens", "cost")} == {0}
    assert projected["problems"] == 2 and projected["hours"] is None
    assert list(summary_lines(limited)) and list(projection_lines(projected))
    assert merge([tmp_path / str(i) for i in (1, 2, 3, 4)], tmp_path / "all", Silent())["n"] == 2


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
    role = {"endpoints": [{"url": server.url, "max_in_flight": 4}], "price": price}
    changes = {"mllm": {"model": "eyes", "temperature": 0, **role}, "reasoner": {"model": MIND, **role}}
    config = validate(Construction, settings(server.url, table, controls_n=10, **changes))
    pilot = Scope(limit=15, log=tmp_path / "log.sqlite")
    begin = len(server.bodies)
    server.script = script(delay=0.05)
    summary = construct(config, tmp_path / "pilot", pilot, Silent())
    server.script = script()
    asked = len(server.bodies) - begin - PROBED
    images = sum(images_in(body) for body in server.bodies[begin:] if body["max_tokens"] > 1)
    whole = projection(summary, config)
    assert (whole["sample"], whole["problems"]) == (15, 60)
    assert whole["requests"] == 4 * asked, "neither the controls nor the probes are part of it"
    tokens = 4 * (11 * asked + IMAGE_TOKENS * images)
    assert whole["prompt_tokens"] == tokens
    assert whole["cost"] == pytest.approx((1000 * tokens + 2000 * 3 * 4 * asked) / 1e6, rel=0.01)
    assert 3600 * whole["hours"] == pytest.approx(30 / 15 * 60 / 4 * 0.05, rel=0.8)
    again = projection(construct(config, tmp_path / "pilot", pilot, Silent()), config)
    assert again == {**whole, "hours": None}
    construct(config, tmp_path / "whole", Scope(log=tmp_path / "log.sqlite"), Silent())
    bodies = [json.dumps(body) for body in server.bodies[begin:]]
    assert len(set(bodies)) == len(bodies), "the whole set asked again what the pilot had asked"


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
    lost = [row for row in read_rows(tmp_path / "rows") if row.reason == "pseudo_cot_unanswered"]
    assert len(lost) == len(lines) and all("HTTP 502" in row.detail for row in lost)
    assert summary["outcomes"]["steps"]
    changes = {"mllm": {"model": "eyes", **role}, "reasoner": {"model": MIND, **role}}
    collected = build(server.url, table, tmp_path, Scope(collect_only=True), **changes)
    assert collected["quarantined"] == len(lines) and collected["reasons"] == summary["reasons"]


def test_a_pass_that_is_stopped_has_its_quarantine(table, tmp_path):
    def failing(body, before):
        return Answer(b"no", status=422) if "plus 1" in json.dumps(body) else Answer(said_by(body))

    with FaultyServer(failing) as server, pytest.raises(BudgetReached):
        build(server.url, table, tmp_path, budget={"max_requests": 120})
    assert "422" in (tmp_path / "quarantine.jsonl").read_text()


def test_many_early_failures_do_not_hide_the_others(tmp_path):
    """What fails at the first step ends long before anything else: that is no sign of a wrong setting."""
    table = write_problems(tmp_path, 150, seed=4)

    def uneven(body, before):
        number = int("".join(mark for mark in prompt_of(body) if mark.isdigit())[:3])
        if "under its heading" in prompt_of(body):
            return Answer(reply("No headings here.") if number % 5 < 2 else said_by(body))
        return Answer(said_by(body), delay=0.7)

    role = {"max_tokens": 64}
    with FaultyServer(uneven) as server:
        role["endpoints"] = [{"url": server.url, "max_in_flight": 256}]
        changes = {"mllm": {"model": "eyes", "temperature": 0, **role}, "reasoner": {"model": MIND, **role}}
        summary = build(server.url, table, tmp_path / "out", answer_retries=0, **changes)
    assert summary["reasons"]["pseudo_cot_headings"] > 50 and summary["kept"] > 30


USER_STEP = """
from vision_r1.construct.chain import Step
CHECK = Step("check", "mllm", "check@1", lambda p, notes, told: p.question, lambda said: {function})
"""


@pytest.mark.parametrize(
    ("function", "what"),
    [("{}['x']", "parse of the step check raised KeyError"), ("{'description': None}", "is no text")],
)
def test_a_step_of_the_users_own_that_fails_is_one_line(server, table, tmp_path, function, what):
    (tmp_path / "mine.py").write_text(USER_STEP.replace("{function}", function))
    steps = ["pseudo_cot", "describe", f"{tmp_path / 'mine.py'}:CHECK", "reason"]
    with pytest.raises(InputError, match=what) as error:
        build(server.url, table, tmp_path / "out", steps=steps)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"keep": "hardest"}, "several samples"),
        ({"keep": "all_right"}, "several samples"),
        (
            {
                "samples": 2,
                "reasoner": {"model": "m", "temperature": 0, "endpoints": [{"url": "http://h/v1"}]},
            },
            "greedy",
        ),
        ({"export": ["vision_r1_cold"]}, "export"),
        ({"sampels": 2}, "did you mean 'samples'"),
    ],
)
def test_settings_that_can_only_waste_money_are_refused(table, changes, what):
    with pytest.raises(ConfigError, match=what):
        validate(Construction, settings("http://127.0.0.1:9/v1", table, **changes))


def test_overrides_reach_what_the_file_leaves_out(table, tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump(settings("http://127.0.0.1:9/v1", table)))
    config = construction_config(file, ["budget.max_tokens=7", "filter.max_tokens=99", "samples=3"])
    assert (config.budget.max_tokens, config.filter.max_tokens, config.samples) == (7, 99, 3)


def test_a_key_that_is_not_set_is_told_before_the_sets_are_read(table, tmp_path, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    role = {"model": "m", "endpoints": [{"url": "http://127.0.0.1:9/v1", "key_env": "NO_SUCH_KEY"}]}
    told = []

    class Watching(Silent):
        def start(self, stage, total, unit="step"):
            told.append(stage)

    config = validate(Construction, settings("http://127.0.0.1:9/v1", table, mllm=role))
    with pytest.raises(InputError, match="NO_SUCH_KEY"):
        construct(config, tmp_path / "out", Scope(), Watching())
    assert not told


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
    with FaultyServer(mute) as server:
        summary = build(server.url, table, tmp_path, Scope(limit=20))
    with pytest.raises(InputError, match="no row of 20 was kept: no_thought 20"):
        check_kept(summary, tmp_path)
    assert json.loads((tmp_path / "summary.json").read_text())["reasons"] == {"no_thought": 20}


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


def test_a_folder_with_other_files_is_left_alone(server, table, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.jsonl").write_text("{}")
    with pytest.raises(InputError, match=r"holds other files \(data\)"):
        build(server.url, table, tmp_path)
    assert (tmp_path / "data" / "mine.jsonl").read_text() == "{}"


def test_what_was_made_of_other_settings_does_not_stay(server, table, tmp_path):
    build(server.url, table, tmp_path, Scope(limit=10), export=["trl", "verl"])
    assert (tmp_path / "export" / "verl").exists() and (tmp_path / "data").exists()
    build(server.url, table, tmp_path, Scope(limit=10), export=["trl"])
    assert not (tmp_path / "export" / "verl").exists()
    summary = build(server.url, table, tmp_path, Scope(limit=10), filter={"max_tokens": 1})
    assert summary["kept"] == 0 and not (tmp_path / "export" / "trl").exists()
    assert not (tmp_path / "data").exists()
