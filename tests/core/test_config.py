from typing import Annotated, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import Field

from vision_r1.core.config import FrozenConfig, apply_overrides, parse_yaml, to_plain, to_yaml, validate
from vision_r1.core.errors import ConfigError


class Inner(FrozenConfig):
    steps: int = 1
    rates: tuple[float, ...] = (0.5,)


class Outer(FrozenConfig):
    name: str = "x"
    inner: Inner = Inner()
    many: dict[str, Inner] = {}


def test_unknown_key_names_the_nearest():
    with pytest.raises(ConfigError, match=r"inner\.stepps: unknown key -- did you mean 'steps'\?"):
        validate(Outer, {"inner": {"stepps": 2}})


def test_unknown_key_inside_a_mapping_of_configs():
    with pytest.raises(ConfigError, match=r"many\.a\.ratess: unknown key -- did you mean 'rates'\?"):
        validate(Outer, {"many": {"a": {"ratess": [1.0]}}})


class Cat(FrozenConfig):
    kind: Literal["cat"] = "cat"
    lives: int | Inner = 9


class Dog(FrozenConfig):
    kind: Literal["dog"] = "dog"


class House(FrozenConfig):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"pets": {}}, r"^pets: unknown key \(and 1 more\) -- did you mean 'pet'\?"),
        ({"pet": {"kind": "cta"}}, r"^pet\.kind: unknown 'cta' -- did you mean 'cat'\?"),
        ({"pet": {"kind": "cow"}}, r"^pet\.kind: unknown 'cow' -- one of: cat, dog$"),
        ({"pet": {"kind": "cat", "lives": {"step": 1}}}, r"^pet\.lives\.step: unknown key .* 'steps'\?"),
        ({"pet": {"kind": "cat", "lives": {"steps": "x"}}}, r"^pet\.lives\.steps: .*valid integer"),
        ({"pet": {"kind": "cat", "lives": "x"}}, r"^pet\.lives: .*valid integer"),
    ],
)
def test_of_several_errors_the_telling_one_is_shown(data, message):
    with pytest.raises(ConfigError, match=message):
        validate(House, data)


@pytest.mark.parametrize("bad", ["3", 2.5, None, [1], True])
def test_wrong_type_is_an_error_that_names_the_key(bad):
    with pytest.raises(ConfigError, match=r"inner\.steps"):
        validate(Outer, {"inner": {"steps": bad}})


@example(0, [], "\x85\u2028")
@example(0, [], "1e5")
@example(0, [], "2001-01-01")
@given(st.integers(), st.lists(st.floats(allow_nan=False, allow_infinity=False)), st.text())
def test_yaml_round_trip(steps, rates, name):
    config = Outer(name=name, inner=Inner(steps=steps, rates=tuple(rates)))
    assert validate(Outer, parse_yaml(to_yaml(config), "here")) == config


@pytest.mark.parametrize("written", ["1e-4", "1E-4", "+1e-4", ".1e-3", "1.e-4", "1.0e-4", "0.0001"])
def test_a_rate_may_be_written_as_people_write_it(written):
    assert apply_overrides({"rate": 1.0}, [f"rate={written}"]) == {"rate": 1e-4}
    assert parse_yaml(f"rate: {written}", "here") == {"rate": 1e-4}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", r"x, line 3: not valid YAML: the key 'a' stands here a second time"),
        ("a: {b: 1, b: 2}\n", r"x, line 1: not valid YAML: the key 'b' stands here a second time"),
        (
            "a0: &a0 [x]\n"
            + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)),
            r"not valid YAML: its aliases make more than 100,000 values",
        ),
    ],
)
def test_yaml_that_says_a_thing_twice_or_without_end_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_yaml(text, "x")


@pytest.mark.parametrize("written", [".inf", "-.inf", ".nan", "1e999"])
def test_a_number_is_finite(written):
    with pytest.raises(ConfigError, match=r"inner\.rates\.0: Input should be a finite number"):
        validate(Outer, parse_yaml(f"inner: {{rates: [{written}]}}", "here"))


@pytest.mark.parametrize("text", ["1e", "e-4", "1e-4x", "1e-4 b", "0x1e5g"])
def test_what_is_no_number_stays_text(text):
    assert apply_overrides({"name": ""}, [f"name={text}"]) == {"name": text}


def test_overrides_reach_lists_and_mappings_and_leave_the_rest():
    data = {"a": {"b": [{"c": 1}, {"c": 2}]}, "d": 3}
    assert apply_overrides(data, ["a.b.1.c=7", "d=[1, 2]"]) == {"a": {"b": [{"c": 1}, {"c": 7}]}, "d": [1, 2]}
    assert data["a"]["b"][1]["c"] == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("nonsense", "not KEY=VALUE"),
        ("a.x.c=1", "unknown key 'x'"),
        ("a.b.9.c=1", "not an index"),
        ("d.e=1", "single value"),
        ("d=[1", "not valid YAML"),
    ],
)
def test_bad_overrides_say_what_is_wrong(override, message):
    with pytest.raises(ConfigError, match=message):
        apply_overrides({"a": {"b": [{"c": 1}]}, "d": 3}, [override])


def test_configs_are_frozen_and_plain():
    config = Outer()
    with pytest.raises(ValueError, match="frozen"):
        config.name = "y"
    assert to_plain(config) == {"name": "x", "inner": {"steps": 1, "rates": [0.5]}, "many": {}}


@pytest.mark.parametrize(
    "value", ["2020-13-45", "2020-01-02", "!!timestamp 2020-13-45", "9" * 5000, "!!binary aGk=", "[" * 3000]
)
def test_values_that_yaml_cannot_hold_are_named(value):
    with pytest.raises(ConfigError):
        validate(Outer, apply_overrides(to_plain(Outer()), [f"inner.steps={value}"]))
    with pytest.raises(ConfigError):
        data = parse_yaml(f"inner: {{steps: {value}}}", "here")
        validate(Outer, apply_overrides(data, []))


class Square(FrozenConfig):
    kind: Literal["square"] = "square"
    side: int = 1


class Circle(FrozenConfig):
    kind: Literal["circle"] = "circle"
    radius: int = 1


class Shapes(FrozenConfig):
    shapes: dict[str, Annotated[Square | Circle, Field(discriminator="kind")]] = {}
    size: int | tuple[int, ...] = 1


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"shapes": {"square": {"kind": "square", "sied": 2}}}, r"^shapes\.square\.sied: .*'side'"),
        ({"shapes": {"a": {"kind": "circle", "radius": "x"}}}, r"^shapes\.a\.radius: "),
        ({"shapes": {"a": {"kind": "oval"}}}, r"^shapes\.a\.kind: unknown 'oval'"),
        ({"size": [1, "x"]}, r"^size"),
    ],
)
def test_a_key_is_named_as_the_user_wrote_it(data, expected):
    with pytest.raises(ConfigError, match=expected):
        validate(Shapes, data)
