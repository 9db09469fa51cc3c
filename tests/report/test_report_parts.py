from __future__ import annotations

import random
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vision_r1.analysis.reflection import PUBLISHED, PUBLISHED_SIZES
from vision_r1.report.charts import Curve, Level, bucket_chart, line_chart, running_mean, thin
from vision_r1.report.clean import clean, image_data_uri, is_image_key
from vision_r1.report.construction import PAPER_ROWS, PAPER_WORDS
from vision_r1.report.figures import duration, paired_gain, percent, points
from vision_r1.report.samples import choose


def test_report_loads_no_torch_and_only_core() -> None:
    code = (
        "import sys, vision_r1.report.html, vision_r1.report.terminal, vision_r1.report.studies;"
        "floors = {m.split('.')[1] for m in sys.modules if m.startswith('vision_r1.')};"
        "assert floors == {'core', 'report'}, floors;"
        "assert not {'torch', 'transformers', 'trl', 'datasets', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_pages_published_words_are_those_of_the_analysis() -> None:
    # The page keeps its own copy, because a report imports nothing above `core`.
    assert {word.capitalize(): counts for word, counts in PAPER_WORDS.items()} == {
        word: tuple(counts[name] for name in PUBLISHED_SIZES) for word, counts in PUBLISHED.items()
    }
    assert tuple(PUBLISHED_SIZES.values()) == PAPER_ROWS


@given(st.text(alphabet=st.characters()) | st.text(alphabet="\x00\u202e\u0301\ud800\t\n\ra"))
def test_clean_text_can_be_written_and_hides_nothing(text: str) -> None:
    shown = clean(text)
    shown.encode("utf-8")
    assert all(character.isprintable() or character.isspace() for character in shown)
    assert clean(shown) == shown


@given(st.text())
def test_image_keys_never_leave_their_folder(key: str) -> None:
    if is_image_key(key):
        assert Path("images", f"{key}.png").parent == Path("images") and key.isascii()


def test_big_pictures_are_scaled_down(tmp_path: Path) -> None:
    noise = Image.frombytes("RGB", (1200, 900), random.Random(0).randbytes(1200 * 900 * 3))
    noise.save(tmp_path / "big.png")
    found = image_data_uri(tmp_path / "big.png")
    assert found is not None
    uri, width, height = found
    assert (width, height) == (512, 384) and len(uri) < 400_000
    assert image_data_uri(tmp_path / "absent.png") is None


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_paired_gain_is_the_difference_of_the_accuracies(pairs: list[tuple[bool, bool]]) -> None:
    before, after = [a for a, _ in pairs], [b for _, b in pairs]
    gain = paired_gain(before, after)
    assert abs(gain.value - (sum(after) - sum(before)) / len(pairs)) < 1e-12
    assert gain.low is not None and gain.high is not None
    assert gain.low <= gain.value <= gain.high
    back = paired_gain(after, before)
    assert abs((back.low or 0) + gain.high) < 1e-12


def test_paired_gain_agrees_with_the_textbook() -> None:
    gain = paired_gain([False] * 60 + [True] * 40, [True] * 30 + [False] * 30 + [True] * 30 + [False] * 10)
    # 30 gained, 10 lost of 100: variance of the differences (n - 1) is (40 - 100 * 0.2**2) / 99.
    half = 1.96 * ((40 - 4) / 99 / 100) ** 0.5
    assert abs(gain.value - 0.2) < 1e-12 and abs((gain.high or 0) - 0.2 - half) < 1e-12
    assert gain.text == "+20.0 (+8.2 to +31.8)"


def test_numbers_read_well() -> None:
    assert (percent(0.61249), percent(None), points(-0.032)) == ("61.2%", "–", "−3.2")
    assert [duration(s) for s in (None, 9.6, 75.2, 7325)] == ["–", "10 s", "1 min 15 s", "2 h 02 min"]


def row(correct: bool) -> dict[str, object]:
    return {"correct": correct}


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80))
def test_samples_are_the_first_by_the_stated_rule(outcomes: list[tuple[bool, bool]]) -> None:
    cold = {str(i): row(a) for i, (a, _) in enumerate(outcomes)}
    final = {str(i): row(b) for i, (_, b) in enumerate(outcomes)}
    chosen = choose({"cold_start": cold, "vision_r1": final})
    gained = [str(i) for i, (a, b) in enumerate(outcomes) if b and not a]
    failed = [str(i) for i, (_, b) in enumerate(outcomes) if not b]
    assert chosen.get("gained", []) == gained[:6]
    assert chosen.get("failed", []) == failed[:4]
    assert chosen


def test_samples_without_a_final_model_are_the_first() -> None:
    assert choose({"base": {str(i): row(False) for i in range(9)}}) == {"first": [str(i) for i in range(6)]}
    assert choose({}) == {}


@settings(max_examples=15, deadline=None)
@given(
    st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=20),
    st.lists(st.floats(-1e6, 1e6), max_size=50),
)
def test_charts_are_well_formed_whatever_they_are_given(name: str, values: list[float]) -> None:
    steps = list(range(1, len(values) + 1))
    svg = line_chart(
        [Curve(name, steps, values)], title=name, levels=[Level(name, 0, 9, 3)], legend=bool(values)
    )
    tree = ET.fromstring(svg)
    assert {element.tag for element in tree.iter()} <= {
        "svg",
        "g",
        "path",
        "text",
        "defs",
        "use",
        "clipPath",
        "rect",
    }
    assert "http" not in svg or "http" in name


def test_charts_take_their_colours_from_the_page() -> None:
    svg = line_chart([Curve("a", range(100), [0.1] * 100, 1)], title="t", share=True, dividers=[50])
    assert "var(--s2)" in svg and "var(--muted)" in svg
    assert "#" not in svg.replace('"#', "").replace("(#", "")
    bars = bucket_chart(["0–8", "8+"], [0.4, 0.6], [0.5, None], "b")
    assert "var(--s1)" in bars and "8+" in bars


@given(st.lists(st.floats(0, 1), min_size=1, max_size=2000), st.integers(1, 300))
def test_thinning_keeps_the_range_and_the_mean(values: list[float], most: int) -> None:
    x, y = thin(list(range(len(values))), values, most)
    assert len(x) == len(y) <= most or len(values) <= most
    assert x == sorted(x)
    assert min(values) - 1e-9 <= min(y) and max(y) <= max(values) + 1e-9


def test_running_mean() -> None:
    assert running_mean([1.0, 2.0, 3.0, 10.0], 3) == [1.5, 2.0, 5.0, 6.5]
