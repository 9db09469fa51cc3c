"""Before the first chain: a server that drops images is noticed, one that counts nothing is said to be unknown."""

import json

import pytest

from faulty_server import Answer, FaultyServer
from served_teachers import EYES, images_in, said_by, script, settings, write_problems
from vision_r1.construct.build import Scope, construct
from vision_r1.construct.config import Construction
from vision_r1.construct.merge import merge
from vision_r1.construct.row_files import read_rows
from vision_r1.core.config import validate
from vision_r1.core.errors import BudgetReached, ImageUseError
from vision_r1.core.progress import Silent


class Said(Silent):
    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


def build(url, table, out, scope=None, progress=None, **changes):
    config = validate(Construction, settings(url, table, **changes))
    return construct(config, out, scope or Scope(), progress or Silent())


def usage(change):
    """Teachers whose answers come with other counts."""

    def answer(body, before):
        said = said_by(body)
        change(said)
        return Answer(said)

    return answer


def is_probe(body):
    return body["max_tokens"] == 1


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_problems(tmp_path_factory.mktemp("problems"), 20)


def test_images_that_add_no_tokens_stop_before_the_first_problem(table, tmp_path):
    def blind(said):
        said["usage"]["prompt_tokens"] = 11

    with FaultyServer(usage(blind)) as server:
        with pytest.raises(ImageUseError) as error:
            build(server.url, table, tmp_path)
        assert "do not reach the served model: a prompt has 11 tokens with its picture and 11" in str(
            error.value
        )
        assert "mllm: eyes" in str(error.value) and "\n" not in str(error.value)
        assert len(server.bodies) == 6 and all(map(is_probe, server.bodies))
        with pytest.raises(ImageUseError):
            build(server.url, table, tmp_path)
        assert len(server.bodies) == 6, "asked again what the log knows"


def test_an_endpoint_without_counts_is_said_and_goes_on(table, tmp_path):
    with FaultyServer(usage(lambda said: said.pop("usage"))) as server:
        progress = Said()
        summary = build(server.url, table, tmp_path, progress=progress)
    assert summary["kept"] > 10
    said = [line for line in progress.lines if "not known whether images reach eyes" in line]
    assert len(said) == 1


def test_probes_that_fail_do_not_stop_a_construction(table, tmp_path):
    def failing(body, before):
        return Answer(b"no", status=422) if is_probe(body) else Answer(said_by(body))

    with FaultyServer(failing) as server:
        progress = Said()
        summary = build(server.url, table, tmp_path, progress=progress)
    assert summary["kept"] > 10 and summary["quarantined"] == 0
    assert any("not known whether images reach eyes" in line for line in progress.lines)


def test_a_probe_is_one_problem_with_and_without_its_image_and_no_row(table, tmp_path):
    with FaultyServer(script()) as server:
        summary = build(server.url, table, tmp_path / "whole")
        probes = [body for body in server.bodies if is_probe(body)]
        assert sorted(map(images_in, probes)) == [0, 0, 0, 1, 1, 1] and {b["model"] for b in probes} == {EYES}
        assert server.bodies[:6] == probes, "something was asked before the probes"
        line = next(line for line in summary["ledger"] if line["step"] == "probe")
        assert line["replies"] == 6
        rows = list(read_rows(tmp_path / "whole" / "rows"))
        assert {note.step for row in rows for note in row.requests} == {"pseudo_cot", "describe", "reason"}
        # A pilot and the parts of a whole probe the same problems, a second call none.
        parts = [tmp_path / name for name in "ab"]
        for index, part in enumerate(parts, start=1):
            build(server.url, table, part, Scope(part=(index, 2)))
        merged = merge(parts, tmp_path / "merged", Silent())
        assert merged["ledger"] == summary["ledger"]
        asked = len(server.bodies)
        build(server.url, table, tmp_path / "merged")
        assert len(server.bodies) == asked
    assert json.dumps(summary["outcomes"]["steps"]).count('"probe"') == 1


def test_probes_count_against_the_budget(table, tmp_path):
    with FaultyServer(script()) as server:
        with pytest.raises(BudgetReached):
            build(server.url, table, tmp_path, budget={"max_requests": 4})
        assert len(server.bodies) <= 4


def test_a_construction_without_images_probes_nobody(tmp_path):
    table = write_problems(tmp_path, 4)
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    questions = [
        {**row, "image": None, "question": row["question"].replace(" in the image", "")} for row in rows
    ]
    table.write_text("".join(json.dumps(row) + "\n" for row in questions))
    with FaultyServer(script()) as server:
        assert build(server.url, table, tmp_path / "out", text_only=True)["problems"] == 4
        assert not any(map(is_probe, server.bodies))
