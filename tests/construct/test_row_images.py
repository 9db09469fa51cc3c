"""Images of rows: none at all, over a limit, or of a row that was set aside."""

import io
import json

import pytest
from PIL import Image

from faulty_server import FaultyServer
from served_teachers import script, settings, write_problems
from vision_r1.construct.build import Scope, construct
from vision_r1.construct.config import Construction
from vision_r1.construct.record import ImageSize
from vision_r1.construct.row_files import read_rows
from vision_r1.core.config import validate
from vision_r1.core.errors import InputError
from vision_r1.core.progress import Silent
from vision_r1.report.construct_lines import summary_lines
from vision_r1.report.review.pages import write_review


@pytest.fixture(scope="module")
def server():
    with FaultyServer(script()) as running:
        yield running


def build(server, table, out, **changes):
    config = validate(Construction, settings(server.url, table, **changes))
    return construct(config, out, Scope(), Silent())


def change_rows(table, change):
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    table.write_text("".join(json.dumps(change(index, row)) + "\n" for index, row in enumerate(rows)))


def by_id(out):
    return {row.source_id: row for row in read_rows(out / "rows")}


def without_image(index, row):
    """Two of the questions lose their image, and nothing in their words speaks of one."""
    if index in (1, 3):
        return {**row, "image": None, "question": row["question"].replace(" in the image", "")}
    return row


def test_a_problem_without_image_is_set_aside_and_costs_nothing(server, tmp_path):
    table = write_problems(tmp_path, 6, seed=21)
    change_rows(table, without_image)
    asked = len(server.bodies)
    summary = build(server, table, tmp_path / "out")
    rows = by_id(tmp_path / "out")
    assert summary["n"] == 6 and summary["reasons"]["no_image"] == 2
    assert [rows[name].reason for name in ("q1", "q3")] == ["no_image"] * 2
    assert "text_only: true" in rows["q1"].detail and rows["q1"].images == ()
    sent = json.dumps(server.bodies[asked:])
    assert rows["q1"].question not in sent and rows["q0"].question in sent
    assert build(server, table, tmp_path / "text", text_only=True)["reasons"].get("no_image") is None


def test_no_image_at_all_says_how_to_go_on(server, tmp_path):
    table = write_problems(tmp_path, 1, seed=22)
    change_rows(table, lambda _, row: without_image(1, row))
    with pytest.raises(InputError, match=r"no problem is left of 1.*no_image.*text_only: true"):
        build(server, table, tmp_path / "out")


def large(size):
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert("RGB").save(buffer, format="PNG")
    return buffer.getvalue()


def test_what_was_scaled_down_is_recorded_counted_and_shown(server, tmp_path):
    table = write_problems(tmp_path, 5, seed=23)
    (tmp_path / "images" / "2.png").write_bytes(large((100, 50)))  # over max_pixels and the role's cap
    (tmp_path / "images" / "3.png").write_bytes(large((60, 30)))  # over the role's cap
    data = {"sums": {"kind": "file", "path": str(table), "max_pixels": 2000}}
    role = {"model": "eyes", "temperature": 0.0, "endpoints": [{"url": server.url}], "max_image_pixels": 800}
    asked = len(server.bodies)
    summary = build(server, table, tmp_path / "out", data=data, mllm=role)
    rows = by_id(tmp_path / "out")
    assert [rows[f"q{index}"].image_sizes for index in (1, 2, 3)] == [
        (ImageSize(24, 24, 24, 24),), (ImageSize(100, 50, 40, 19),), (ImageSize(60, 30, 40, 20),),
    ]  # fmt: skip
    assert summary["scaled_images"] == {"images": 2, "rows": 2}
    assert any("images scaled down before they were sent: 2" in line for line in summary_lines(summary))
    sent = {size for body in server.bodies[asked:] for size in sizes_sent(body)}
    assert sent == {(24, 24), (40, 19), (40, 20)}
    page = write_review(tmp_path / "out").read_text()
    assert "images scaled down <b>2</b>" in page
    data = "".join(path.read_text() for path in (tmp_path / "out" / "review" / "data").glob("rows-*.js"))
    assert "100 x 50 pixels, sent as 40 x 19" in data and "24 x 24" not in data
    # What is kept can be trained on: the image within the limit, not the one that was refused.
    kept = Image.open(tmp_path / "out" / "images" / rows["q2"].images[0])
    assert kept.width * kept.height <= 2000
    before = {path.name: path.read_bytes() for path in (tmp_path / "out" / "rows").iterdir()}
    asked = len(server.bodies)
    data = {"sums": {"kind": "file", "path": str(table), "max_pixels": 2000}}
    build(server, table, tmp_path / "out", data=data, mllm=role)
    assert len(server.bodies) == asked
    assert {path.name: path.read_bytes() for path in (tmp_path / "out" / "rows").iterdir()} == before


def sizes_sent(body):
    import base64

    content = body["messages"][-1]["content"]
    for part in content if isinstance(content, list) else ():
        if "image_url" in part:
            data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
            yield Image.open(io.BytesIO(data)).size


def test_rows_that_are_set_aside_show_their_picture_where_it_can_be_read(server, tmp_path):
    table = write_problems(tmp_path, 6, seed=24)
    image = (tmp_path / "images" / "2.png").read_bytes()
    (tmp_path / "images" / "2.png").write_bytes(image[:200])
    change_rows(table, lambda index, row: {**row, "answer": ""} if index in (1, 2) else row)
    change_rows(table, lambda index, row: {**row, "answer": "</answer>"} if index == 4 else row)
    build(server, table, tmp_path / "out")
    rows = by_id(tmp_path / "out")
    assert [rows[name].reason for name in ("q1", "q2")] == ["no_answer"] * 2
    assert [len(rows[name].images) for name in ("q1", "q2")] == [1, 0]
    assert rows["q4"].reason == "ungradeable_gold" and len(rows["q4"].images) == 1
    kept = tmp_path / "out" / "images" / rows["q1"].images[0]
    assert kept.read_bytes() == (tmp_path / "images" / "1.png").read_bytes()
    write_review(tmp_path / "out")
    data = "".join(path.read_text() for path in (tmp_path / "out" / "review" / "data").glob("rows-*.js"))
    assert rows["q1"].images[0] in data


def test_images_that_several_kept_problems_show_are_counted(server, tmp_path):
    table = write_problems(tmp_path, 12, seed=25)
    change_rows(table, lambda index, row: {**row, "image": "images/0.png"} if index < 6 else row)
    summary = build(server, table, tmp_path / "out")
    kept = [row for row in read_rows(tmp_path / "out" / "rows") if row.kept]
    shown = [row.images for row in kept]
    several = [names for names in set(shown) if shown.count(names) > 1]
    assert len(several) == 1
    assert summary["shared_images"] == {"images": 1, "shown": shown.count(several[0])}
    assert any("several kept problems show: 1" in line for line in summary_lines(summary))
