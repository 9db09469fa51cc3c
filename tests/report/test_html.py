from __future__ import annotations

import html.parser
import json
import re
import shutil
from pathlib import Path

import pytest
from fake_run import evil_rows, make_run

from vision_r1.core.errors import InputError
from vision_r1.core.files import write_json
from vision_r1.report.html import write_report

SECTIONS = (
    "headline", "stages", "variants", "lengths", "rl", "sft", "data", "image-use", "generalisation", "traces",
    "rollouts", "settings",
)  # fmt: skip
EVIL = (
    "<meta http-equiv=refresh content='0;url=http://evil.example'>",
    "<script>alert(1)</script>", "</style><script>alert(2)</script>", "</pre></div><img src=x onerror=alert(3)>",
    "javascript:alert(4)", "{{7*7}}{% include 'x' %}", "\x00\x1b[31mred\x07", "\u202eright to left\u2066\u200b",
    "\ud800 lone", "'\"><svg onload=alert(5)>", "<!--", "]]>", "&lt;script&gt;", "a" * 30_000, "e" + "\u0301" * 500,
)  # fmt: skip
HEAD = ("html", "head", "meta", "title", "style", "body")
TEXT = (
    "header", "main", "section", "footer", "nav", "article", "figure", "figcaption", "details", "summary", "h1", "h2",
    "h3", "h4", "p", "b", "i", "a", "span", "small", "br", "div", "ul", "li", "pre", "img",
)  # fmt: skip
TABLES = ("table", "thead", "tbody", "tr", "th", "td")
DRAWINGS = ("svg", "g", "path", "text", "defs", "use", "clippath", "rect")
CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Page(html.parser.HTMLParser):
    """Tags, attributes and text of a page, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.shown = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.shown += data

    @property
    def ids(self) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get("id"))]


def assert_harmless(text: str) -> Page:
    """Nothing on the page can run or load; ids are unique; only known tags are there."""
    page = Page(text)
    allowed = {*HEAD, *TEXT, *TABLES, *DRAWINGS}
    assert {tag for tag, _ in page.tags} <= allowed
    for tag, attrs in page.tags:
        assert not any(name.startswith("on") for name in attrs), (tag, attrs)
        for name in ("src", "href", "action", "xlink:href", "srcset", "formaction"):
            value = attrs.get(name)
            assert value is None or value.startswith(
                ("#", "data:image/png;base64,", "data:image/jpeg;base64,")
            )
        assert "url(" not in (attrs.get("style") or "").replace("url(#", "")
        if tag == "meta" and "http-equiv" in attrs:
            assert (attrs["content"] or "").startswith(CSP)
    assert sum(tag == "style" for tag, _ in page.tags) == 1
    assert "@import" not in text
    assert len(page.ids) == len(set(page.ids))
    return page


def page_of(run: Path) -> tuple[str, Page]:
    text = write_report(run).read_text(encoding="utf-8")
    return text, assert_harmless(text)


def test_a_finished_run_has_every_section_and_stands_alone(finished_run: Path) -> None:
    text, page = page_of(finished_run)
    assert set(SECTIONS) <= set(page.ids)
    assert "Missing from" not in text
    assert 'class="empty"' not in text
    assert len(text) < 1_500_000
    # Before anything that could load, the policy stands in the head.
    assert text.index(CSP.split(";")[0]) < text.index("<style>")
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?\s*(?:https?:)?//", text)


def test_figures_on_the_page_are_those_of_the_results(finished_run: Path) -> None:
    _, page = page_of(finished_run)
    results = json.loads((finished_run / "results.json").read_text())
    for row in results["variants"].values():
        assert f"{100 * row['accuracy']:.1f}%" in page.shown
    for word in (
        "585,719",
        "wrong answer",
        "Leak test",
        "Caption control",
        "most frequent answer",
        "cap 96",
        "1.5% (0.5–4.3), n = 200",
    ):
        assert word in page.shown
    assert "torch" in page.shown and "2.13.0" in page.shown
    assert "max_completion_length: 192" in page.shown


def test_pictures_are_embedded_and_scaled_up(finished_run: Path) -> None:
    _, page = page_of(finished_run)
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(images) >= 10
    assert all(int(attrs["width"] or 0) >= 200 for attrs in images)


@pytest.mark.parametrize("texts", [EVIL[:6], EVIL[6:13], EVIL[13:]], ids=["markup", "hidden", "long"])
def test_nothing_that_a_model_wrote_acts(tmp_path: Path, texts: tuple[str, ...]) -> None:
    run = make_run(tmp_path / "run", problems=30)
    stages, text = run / "stages", "\n".join(texts)
    for variant in ("base", "cold_start", "vision_r1"):
        for key in ("text", "question", "answer", "extracted", "family", "stop_reason"):
            evil_rows(stages / "evaluate" / variant / "traces.jsonl", key, text)
    for key in ("completion", "question", "answer", "reason", "stop_reason"):
        evil_rows(stages / "ptst_1" / "samples.jsonl", key, text)
    for key in (
        "question",
        "answer",
        "caption",
        "pseudo_cot",
        "reasoner_text",
        "final_text",
        "reason",
        "fault",
    ):
        evil_rows(stages / "construct" / "traces.jsonl", key, text)
    written = write_report(run).read_text(encoding="utf-8")
    page = assert_harmless(written)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200b\u202a-\u202e\u2066-\u2069\ud800-\udfff]", written)
    assert len(written) < 3_000_000
    for each in texts:
        if each.isascii() and each.isprintable() and len(each) < 100:
            assert each in page.shown


def test_evil_names_and_numbers_in_results(own_run: Path) -> None:
    results = json.loads((own_run / "results.json").read_text())
    results["variants"]["<b onclick=x>$x^2$</text>"] = results["variants"]["base"]
    results["variants"]["base"] |= {
        "accuracy": "50%",
        "ci95": ["a"],
        "by_length": [3, {"from": None}],
        "n": None,
    }
    results["variants"]["cold_start"] = None
    results["image_use"]["question_only"]["how"] = "<script>1</script>"
    results["generalisation"]["<i>"] = results["generalisation"]["larger"]
    results["construct"]["rules"]["<u>"] = {"hits": 1e400, "precision": "x"}
    (own_run / "results.json").write_text(json.dumps(results))
    write_json(own_run / "run.json", {"recipe": "</title><script>", "versions": {"<a>": ["<b>"]}})
    page_of(own_run)


def test_direction_changing_characters_become_visible(own_run: Path) -> None:
    evil_rows(own_run / "stages" / "evaluate" / "vision_r1" / "traces.jsonl", "text", "a\u202eb\x00c")
    text, _ = page_of(own_run)
    assert "a⟨U+202E⟩b⟨U+0000⟩c" in text


def test_long_texts_are_cut_with_a_note(own_run: Path) -> None:
    evil_rows(own_run / "stages" / "evaluate" / "vision_r1" / "traces.jsonl", "text", "long " * 3_000)
    assert "more characters are not shown" in page_of(own_run)[1].shown


@pytest.mark.parametrize(
    "key", ["../../../config", "a/b", "k0.png", "/etc/passwd", "", 7, None, "k\u2044", "k\n"]
)
def test_image_keys_that_are_no_plain_names_are_refused(own_run: Path, key: object) -> None:
    for target in (own_run / "stages" / "evaluate" / "images" / "k\n.png", own_run / "config.png"):
        shutil.copy(own_run / "stages" / "evaluate" / "images" / "k0.png", target)
    shutil.rmtree(own_run / "stages" / "construct")
    for variant in ("base", "base_think", "cold_start", "ptst_1", "vision_r1"):
        evil_rows(own_run / "stages" / "evaluate" / variant / "traces.jsonl", "image_key", key)  # type: ignore[arg-type]
    text, _ = page_of(own_run)
    assert "data:image" not in text and "no picture" in text


def test_a_link_out_of_the_run_and_damaged_pictures_are_not_embedded(own_run: Path, tmp_path: Path) -> None:
    images = own_run / "stages" / "evaluate" / "images"
    outside = tmp_path / "outside.png"
    shutil.copy(images / "k0.png", outside)
    shutil.rmtree(own_run / "stages" / "construct")
    for index, image in enumerate(sorted(images.iterdir())):
        image.unlink()
        if index % 3 == 0:
            image.symlink_to(outside)
        elif index % 3 == 1:
            image.write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
        else:
            image.write_bytes(outside.read_bytes()[:60])
    assert "data:image" not in page_of(own_run)[0]


@pytest.mark.parametrize(
    "gone",
    [
        ("results.json",),
        ("stages/evaluate", "results.json"),
        ("stages/ptst_2", "stages/evaluate", "results.json"),
        ("stages/ptst_1", "stages/ptst_2", "stages/evaluate", "results.json"),
        ("stages/sft", "stages/ptst_1", "stages/ptst_2", "stages/evaluate", "results.json"),
        ("stages", "results.json"),
        ("stages", "results.json", "run.json"),
        ("config.yaml", "run.json", "events.jsonl"),
        ("stages",),
    ],
)
def test_partial_runs_give_a_page_that_says_what_is_missing(own_run: Path, gone: tuple[str, ...]) -> None:
    for name in gone:
        path = own_run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    _, page = page_of(own_run)
    assert set(SECTIONS) <= set(page.ids)
    assert "Missing from this page" in page.shown
    for name in gone:
        if name.startswith("stages/") and "results.json" in gone:
            assert re.search(rf"Not started: [^.]*{name.partition('/')[2]}", page.shown)


def test_a_killed_stage_is_named_with_its_step_and_half_a_line_is_passed_over(own_run: Path) -> None:
    stage = own_run / "stages" / "ptst_2"
    (stage / "done.json").unlink()
    log = (stage / "log.jsonl").read_text().splitlines()
    (stage / "log.jsonl").write_text("\n".join([*log[:31], log[31][:40]]))
    (own_run / "results.json").unlink()
    _, page = page_of(own_run)
    assert "Stage ptst_2 was begun and is not finished (step 31 of 60)." in page.shown
    assert "ptst_2/log.jsonl, line 32" in page.shown
    assert str(own_run) not in page.shown


def test_a_step_that_was_logged_twice_counts_once(own_run: Path) -> None:
    from vision_r1.report.read import read_run

    log = own_run / "stages" / "ptst_1" / "log.jsonl"
    lines = log.read_text().splitlines()
    again = [json.dumps({**json.loads(line), "reward": 0.5}) for line in lines[40:]]
    log.write_text("\n".join([*lines, *again]))
    rows = read_run(own_run).stage("ptst_1").log
    assert [row["step"] for row in rows] == list(range(1, 61))
    assert rows[-1]["reward"] == 0.5


@pytest.mark.parametrize("damage", ["{", "null", "[]"])
def test_a_damaged_result_leaves_the_page_alone(own_run: Path, damage: str) -> None:
    page = write_report(own_run)
    before = page.read_bytes()
    (own_run / "results.json").write_text(damage)
    with pytest.raises(InputError, match=r"results\.json"):
        write_report(own_run)
    assert page.read_bytes() == before


def test_the_page_names_the_reward_of_the_run(own_run: Path) -> None:
    config = own_run / "config.yaml"
    assert "reward 1 for the right format" in write_report(own_run).read_text()
    config.write_text(re.sub(r"reward: hfrrf", "reward: /tmp/my.py:fn", config.read_text()))
    assert "reinforcement (GRPO): reward /tmp/my.py:fn" in write_report(own_run).read_text()


def test_what_is_no_run_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such run"):
        write_report(tmp_path / "none")
    with pytest.raises(InputError, match="not a run directory"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_same_run_gives_the_same_page(finished_run: Path) -> None:
    assert write_report(finished_run).read_bytes() == write_report(finished_run).read_bytes()
