import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_r1.core.errors import InputError
from vision_r1.problems import json_array
from vision_r1.problems.json_array import array_values

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.dictionaries(st.text(max_size=4), JSON, max_size=4), max_size=6),
    st.integers(1, 60),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
)
def test_values_are_those_of_json_whatever_the_window(tmp_path_factory, rows, chunk, indent, ascii_only):
    path = tmp_path_factory.getbasetemp() / "array.json"
    path.write_text(json.dumps(rows, indent=indent, ensure_ascii=ascii_only) + " \n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_array, "CHUNK", chunk)
        assert list(array_values(path)) == rows


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_array_is_one_of_our_errors_with_its_line(tmp_path_factory, data):
    text = json.dumps([{"a": "b\n", "n": [1, 2.5]}, {"é": None}], indent=1)
    place = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:place] + data.draw(st.sampled_from(["", "}", "]", '"', ",,"])) + text[place + 1 :]
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_text(damaged, encoding="utf-8")
    try:
        expected = json.loads(damaged)
    except ValueError as error:
        with pytest.raises(
            InputError, match=r"damaged\.json(, line \d+)?: (not valid JSON|expected a list)"
        ) as caught:
            list(array_values(path))
        if "line" in caught.value.where:
            assert abs(int(caught.value.where.rpartition(" ")[2]) - error.lineno) <= 1
    else:
        if isinstance(expected, list):
            assert list(array_values(path)) == expected


def test_what_follows_the_array_is_an_error(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1}]\n[]')
    with pytest.raises(InputError, match="line 2: not valid JSON: Extra data"):
        list(array_values(path))


def test_a_quotation_that_never_ends_is_not_read_into_memory(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text('[{"a": "' + "x" * 200_000)
    monkeypatch.setattr(json_array, "CHUNK", 1000)
    monkeypatch.setattr(json_array, "LONGEST", 5000)
    handle = path.open()
    window = json_array._Window(handle, "a")
    window.at += window.peek() == "["
    with handle, pytest.raises(InputError, match="not valid JSON: Unterminated string"):
        window.value()
    assert len(window._text) < 20_000


def test_not_a_number_is_read_as_python_writes_it(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"a": float("nan"), "b": float("inf")}]))
    (row,) = array_values(path)
    assert row["a"] != row["a"] and row["b"] == float("inf")
