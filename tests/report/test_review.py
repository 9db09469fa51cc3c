"""Review pages: what is counted and chunked, and that no text breaks out. Read as a browser would."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_html import EVIL, Page

from made_up_rows import encoded, make_construction, record, write_rows
from vision_r1.construct.row_files import read_rows
from vision_r1.core.errors import InputError
from vision_r1.report.review import chunks
from vision_r1.report.review.chunks import FIELDS, LONGEST_TEXT, MOST_NAMES, OTHER, ROWS_PER_CHUNK, script
from vision_r1.report.review.overview import histogram, quantile
from vision_r1.report.review.pages import write_review

TEMPLATES = Path(chunks.__file__).parents[1] / "templates"


def arguments(path: Path) -> tuple[str, list]:
    """The call of a script file: its name and its arguments, which must be JSON in plain ASCII without `<`."""
    text = path.read_bytes().decode("ascii")
    assert "<" not in text
    call = re.fullmatch(r"review\.([a-z]+)\((.*)\);\n", text)
    assert call, text[:80]
    return call[1], json.loads(f"[{call[2]}]")


def rows_in(out: Path) -> dict[str, dict]:
    found = {}
    for path in sorted((out / "review" / "data").glob("rows-*.js")):
        name, (number, rows) = arguments(path)
        assert (name, f"rows-{number:05d}.js") == ("rows", path.name)
        assert 0 < len(rows) <= ROWS_PER_CHUNK
        for row in rows:
            values = dict(zip(FIELDS, row, strict=True))
            found[values["id"]] = values | {"chunk": number}
    return found


def meta(out: Path) -> dict:
    name, (facts,) = arguments(out / "review" / "data" / "meta.js")
    assert name == "meta"
    return facts


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("built")
    make_construction(out, count=130)
    write_review(out)
    return out


def test_every_row_is_in_one_chunk_of_its_group(built):
    rows = {row.id: row for row in read_rows(built / "rows")}
    shown, groups = rows_in(built), meta(built)["groups"]
    assert set(shown) == set(rows)
    for group in groups:
        own = [row for row in rows.values() if (row.source, row.reason) == (group["source"], group["reason"])]
        assert group["rows"] == len(own) == sum(row["chunk"] in group["chunks"] for row in shown.values())
        assert {shown[row.id]["chunk"] for row in own} == set(group["chunks"])
        assert {row.kept for row in own} == {group["kept"]}
        # All chunks but the last of a group are full: pages of a choice of groups are files.
        assert len(group["chunks"]) == -(-len(own) // ROWS_PER_CHUNK)
    every = [chunk for group in groups for chunk in group["chunks"]]
    assert sorted(every) == list(range(len(every)))


def test_texts_are_those_of_the_rows(built):
    shown = rows_in(built)
    for row in read_rows(built / "rows"):
        seen = shown[row.id]
        for name in (
            "question",
            "answer",
            "caption",
            "description",
            "thought",
            "reply",
            "detail",
            "source_id",
        ):
            assert seen[name] == getattr(row, name)
        assert seen["final_text"] == (row.final_text if row.rewritten else "")
        assert seen["images"] == list(row.images)
        assert (built / "images" / seen["images"][0]).is_file()
        note = row.requests[0]
        assert seen["requests"] == [[note.step, note.model, note.template, note.key, 0]]


def test_the_search_index_covers_every_row_at_its_place(tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNKS_PER_INDEX", 3)
    make_construction(tmp_path, count=130)
    write_review(tmp_path)
    shown = rows_in(tmp_path)
    places = Counter()
    for number in range(meta(tmp_path)["indexes"]):
        _, (own, first, listed) = arguments(tmp_path / "review" / "data" / f"index-{number:05d}.js")
        assert own == number
        for chunk, texts in enumerate(listed, start=first):
            for text in texts:
                name = text.split("\n")[0]
                assert shown[name]["chunk"] == chunk
                assert shown[name]["question"][:100] in text
                places[name] += 1
    assert set(places) == set(shown)
    assert set(places.values()) == {1}


@pytest.mark.parametrize("evil", [text for text in EVIL if "\ud800" not in text])
def test_no_text_breaks_out(tmp_path, evil):
    names = (
        "question",
        "source",
        "source_id",
        "reason",
        "detail",
        "thought",
        "caption",
        "family",
        "answer",
        "notes",
    )
    changes = dict.fromkeys(names, evil)
    write_rows(tmp_path, [record(1, kept=False, fired=(evil,), options=(evil,), images=(evil,), **changes)])
    write_review(tmp_path)
    (row,) = rows_in(tmp_path).values()
    assert row["question"] == evil
    assert row["images"] == []
    page = Page((tmp_path / "review" / "index.html").read_text())
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    assert scripts == [{"src": "review.js"}, {"src": "data/meta.js"}]
    assert not {tag for tag, _ in page.tags} & {"img", "svg", "iframe", "base", "link", "object"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert [path.name for path in (tmp_path / "review").iterdir() if path.is_file()].count("index.html") == 1


@given(st.text(), st.lists(st.text(), max_size=3))
def test_script_files_hold_any_text(text, texts):
    written = script("rows", 1, [text, texts])
    assert written.isascii()
    assert "<" not in written
    assert json.loads(f"[{written[len('review.rows(') : -3]}]") == [1, [text, texts]]


def test_the_page_allows_its_own_files_only_and_makes_text_nodes_only(built):
    page = Page((built / "review" / "index.html").read_text())
    (policy,) = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert parts["default-src"] == "'none'"
    assert parts["script-src"] == parts["img-src"] == "'self' file:"
    assert parts["require-trusted-types-for"] == "'script'"
    code = (TEMPLATES / "review.js").read_text()
    assert (built / "review" / "review.js").read_text() == code
    for sink in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
        "Function(",
        "setTimeout",
        "fetch(",
    ):
        assert sink not in code


def test_the_script_reads_the_fields_that_are_written():
    listed = re.search(r"const FIELDS = \[(.*?)\];", (TEMPLATES / "review.js").read_text(), re.DOTALL)
    assert tuple(re.findall(r'"(\w+)"', listed[1])) == FIELDS


def test_the_page_says_the_counts(built):
    rows = list(read_rows(built / "rows"))
    kept = sum(row.kept for row in rows)
    text = re.sub(r"\s+", " ", Page((built / "review" / "index.html").read_text()).shown)
    assert (
        f"rows {len(rows)}kept {kept}dropped {len(rows) - kept}keep rate {100 * kept / len(rows):.1f}%"
        in text
    )
    for reason, count in Counter(row.reason for row in rows if not row.kept).items():
        fired = sum(reason in row.fired for row in rows)
        assert f"{reason}{count}{fired}" in text.replace(" ", "")
    waits = sum(row.thought.split().count("wait") for row in rows)
    assert f"Wait{waits:,}" in text
    assert "585,719" in text  # Vision-R1-cold, as published


def test_long_texts_are_cut_with_a_word_and_many_names_share_one(tmp_path):
    rows = [
        record(number, source=f"set {number}", thought="x" * (LONGEST_TEXT + 9))
        for number in range(MOST_NAMES + 20)
    ]
    write_rows(tmp_path, rows)
    write_review(tmp_path)
    assert next(iter(rows_in(tmp_path).values()))["thought"].endswith(
        "x\n… 9 more characters are in the rows."
    )
    sources = {group["source"] for group in meta(tmp_path)["groups"]}
    assert len(sources) == MOST_NAMES + 1
    assert OTHER in sources
    assert sum(group["rows"] for group in meta(tmp_path)["groups"]) == len(rows)


def test_no_rows_make_a_page_and_no_construction_makes_a_line(tmp_path):
    write_rows(tmp_path / "none", [])
    assert "No row was dropped." in write_review(tmp_path / "none").read_text()
    with pytest.raises(InputError, match="no rows of a construction"):
        write_review(tmp_path / "absent")
    assert not (tmp_path / "absent" / "review").exists()


@given(
    st.dictionaries(st.integers(0, 5000), st.integers(1, 9), max_size=30),
    st.dictionaries(st.integers(0, 5000), st.integers(1, 9), max_size=30),
)
def test_histograms_count_every_row_once(kept, dropped):
    view = histogram({True: Counter(kept), False: Counter(dropped)})
    if not kept and not dropped:
        assert view is None
        return
    for name, counts in (("kept", kept), ("dropped", dropped)):
        counted = sum(
            int(bar["label"].split(": ")[1].split()[0].replace(",", "")) for bar in view["bars"][name]
        )
        assert counted == sum(counts.values())
    assert max(float(bar["height"]) for bars in view["bars"].values() for bar in bars) == 100


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.sampled_from([0.01, 0.5, 0.99]))
def test_a_quantile_is_the_least_value_that_enough_do_not_exceed(values, share):
    found = quantile(Counter(values), share)
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


def test_encoded_images_of_rows_are_beside_the_page(built):
    assert encoded(0) in {path.read_bytes() for path in (built / "images").rglob("*.png")}
