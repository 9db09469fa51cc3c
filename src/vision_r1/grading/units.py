r"""Units: their names, their canonical form, and exact conversion between units of one dimension.

"square centimetres" is "cm^2", "kilometres per hour" and "kph" are "km/h". Only the units listed here are
known; the unit of a problem ("peppermint candies") is compared as words.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

_UNIT_NAMES: dict[str, str] = {
    "%": "% percent 百分之",
    "°": "° degree degrees deg degs 度",
    "rad": "rad rads radian radians",
    "mm": "mm millimeter millimeters millimetre millimetres 毫米",
    "cm": "cm cms centimeter centimeters centimetre centimetres 厘米",
    "m": "m meter meters metre metres 米",
    "km": "km kms kilometer kilometers kilometre kilometres 千米 公里",
    "in": "in inch inches",
    "ft": "ft foot feet",
    "yd": "yd yds yard yards",
    "mi": "mi mile miles",
    "mg": "mg milligram milligrams",
    "g": "g gram grams 克",
    "kg": "kg kgs kilogram kilograms 千克",
    "lb": "lb lbs pound pounds",
    "oz": "oz ounce ounces",
    "t": "tonne tonnes ton tons",
    "ml": "ml milliliter milliliters millilitre millilitres 毫升",
    "l": "l L liter liters litre litres 升",
    "s": "s sec secs second seconds 秒",
    "min": "min mins minute minutes 分钟",
    "h": "h hr hrs hour hours 小时",
    "day": "day days 天",
    "week": "week weeks",
    "month": "month months",
    "year": "year years yr yrs 年",
    "unit": "unit units",
    "$": "$ dollar dollars usd",
    "¢": "¢ cent cents",
    "€": "€ euro euros eur",
    "£": "£ gbp",
    "¥": "¥ yen yuan rmb cny jpy 元",
    "Ω": "Ω Ω ohm ohms \\Omega \\omega",
    "V": "V volt volts",
    "A": "A amp amps ampere amperes",
    "W": "W watt watts",
    "kW": "kW kilowatt kilowatts",
    "J": "J joule joules",
    "N": "N newton newtons",
    "Pa": "Pa pascal pascals",
    "Hz": "Hz hertz",
    "°C": "°C ℃ celsius",
    "°F": "°F ℉ fahrenheit",
    "mph": "mph",
    "km/h": "kph kmh kmph",
    "rpm": "rpm",
}
_UNITS = {alias: name for name, aliases in _UNIT_NAMES.items() for alias in aliases.split()}
# How many of the dimension's base unit one of each is. Inches and pounds are defined by metric units.
_SIZES: dict[str, dict[str, str]] = {
    "length": {
        "mm": "1/1000", "cm": "1/100", "m": "1", "km": "1000",
        "in": "127/5000", "ft": "381/1250", "yd": "1143/1250", "mi": "201168/125",
    },
    "mass": {"mg": "1/1000", "g": "1", "kg": "1000", "t": "1000000", "oz": "1", "lb": "16"},
    "time": {"s": "1", "min": "60", "h": "3600", "day": "86400", "week": "604800"},
    "calendar": {"month": "1", "year": "12"},
    "volume": {"ml": "1", "l": "1000"},
    "money": {"$": "100", "¢": "1"},
    "power": {"W": "1", "kW": "1000"},
}  # fmt: skip
_IMPERIAL_MASS = frozenset({"oz", "lb"})
_DIMENSIONS = {
    unit: ("imperial mass" if unit in _IMPERIAL_MASS else dimension, Fraction(size))
    for dimension, sizes in _SIZES.items()
    for unit, size in sizes.items()
}
_POWER = re.compile(r"\s?(?:\^\s?\{?\s?(-?[123])\s?\}?|([²³]))$")
_POWER_WORDS = {"square": "2", "sq": "2", "sq.": "2", "cubic": "3", "cu": "3", "平方": "2", "立方": "3"}
_AGE = re.compile(r"(?<=year|ears) (?:old|of age)$")
_SCALE = re.compile(r"(?:degrees?|°)\s?([CF])(?:elsius|ahrenheit)?", re.IGNORECASE)
_RATE = re.compile(r"(?:\s?/\s?|\sper\s)")
_INVERSE = re.compile(r"([A-Za-z]{1,3})(?:\s|\\cdot\s?|·)?([A-Za-z])\s?\^\s?\{?\s?-(1|2)\s?\}?")


@lru_cache(maxsize=4096)
def canonical_unit(text: str) -> str | None:
    """The canonical name of a known unit ("square centimetres" -> "cm^2"), or None."""
    if len(text) > 60:
        return None
    words = _AGE.sub("", text.strip().rstrip(".").strip()).replace("per cent", "percent")
    words = _SCALE.sub(lambda m: f"°{m[1].upper()}", words)
    if inverse := _INVERSE.fullmatch(words):
        words = f"{inverse[1]}/{inverse[2]}" + (f"^{inverse[3]}" if inverse[3] != "1" else "")
    parts = _RATE.split(words)
    if len(parts) == 2:
        top, bottom = _simple_unit(parts[0]), _simple_unit(parts[1])
        return f"{top}/{bottom}" if top and bottom else None
    return {"mph": "mi/h"}.get(found, found) if (found := _simple_unit(words)) else None


def _simple_unit(words: str) -> str | None:
    words = words.strip()
    power = _POWER.search(words)
    exponent = ""
    if power:
        exponent = power[1] or {"²": "2", "³": "3"}[power[2]]
        words = words[: power.start()].rstrip()
    first, _, rest = words.partition(" ")
    if not rest and first[:2] in ("平方", "立方"):
        first, rest = first[:2], first[2:]
    if not exponent and first.casefold() in _POWER_WORDS:
        exponent, words = _POWER_WORDS[first.casefold()], rest
    name = _UNITS.get(words) or _UNITS.get(words.casefold())
    return f"{name}^{exponent}" if name and exponent not in ("", "1") else name


def spec_unit(unit: str) -> str:
    """The canonical form of the unit a problem states."""
    return canonical_unit(unit) or " ".join(unit.casefold().split())


def conversion(unit: str, other: str) -> Fraction | None:
    """What a figure in `unit` is multiplied by to be one in `other`; None if they measure different things.

    Both are canonical: conversion("cm^2", "m^2") is 1/10000, conversion("m/s", "km/h") is 18/5.
    """
    if unit == other:
        return Fraction(1)
    one, two = _measure(unit), _measure(other)
    if one is None or two is None or one[0] != two[0]:
        return None
    return one[1] / two[1]


def _measure(unit: str) -> tuple[str, Fraction] | None:
    """The dimension of a unit and its size in the dimension's base unit."""
    top, _, bottom = unit.partition("/")
    sized = _sized(top)
    below = _sized(bottom) if bottom else ("", Fraction(1))
    if sized is None or below is None:
        return None
    return f"{sized[0]}/{below[0]}", sized[1] / below[1]


def _sized(unit: str) -> tuple[str, Fraction] | None:
    name, _, power = unit.partition("^")
    if name not in _DIMENSIONS:
        return None
    dimension, size = _DIMENSIONS[name]
    return f"{dimension}^{power}", size ** int(power or 1)
