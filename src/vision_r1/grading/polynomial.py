r"""Equations that are one another's multiples: "y = 2x + 1", "2x - y + 1 = 0" and "2y = 4x + 2".

Both are evaluated exactly at fixed points: left minus right of one must be the same multiple of the other's
everywhere. Only what is finite work is read: rational numbers, one-letter variables, + - * /, powers up to
12, brackets and \frac. Anything else has no value and is left to the symbolic comparison.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction

_LONGEST = 150
_HIGHEST_POWER = 12
_MOST_BITS = 4000
_DEEPEST = 12
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<name>[A-Za-z])|\\(?P<command>[a-z]+)|(?P<sign>.))"
)
_WORDLIKE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3}|[A-Za-z][0-9]")
_COMMANDS = {
    "cdot": "*",
    "times": "*",
    "div": "/",
    "frac": "F",
    "dfrac": "F",
    "tfrac": "F",
    "left": "",
    "right": "",
    "sqrt": "S",
    "pi": "P",
}
_OPENING = {"(": ")", "{": "}", "[": "]"}
_PRIMES = (3, 7, 13, 29, 5, 17, 23, 11, 37, 41)
_POINTS = 5


class _NoValueError(Exception):
    """The text is nothing that is read here, or has no value at this point."""


def same_equation(one: str, other: str) -> bool | None:
    """Whether two equations are multiples of each other; None if one of them cannot be read."""
    if max(len(one), len(other)) > _LONGEST:
        return None
    try:
        tokens = [[_tokens(side) for side in text.split("=")] for text in (one, other)]
        names = {value for sides in tokens for side in sides for kind, value in side if kind == "name"}
        ratio: Fraction | None = None
        for shift in range(_POINTS):
            values = {
                name: Fraction(_PRIMES[(place + shift) % len(_PRIMES)], 1 + shift)
                for place, name in enumerate(sorted(names))
            }
            first, second = (_value(left, values) - _value(right, values) for left, right in tokens)
            if not first and not second:
                continue
            if not second or (ratio is not None and first / second != ratio):
                return False
            ratio = first / second
    except (_NoValueError, ValueError, ZeroDivisionError):
        return None
    return bool(ratio)


def same_expression(one: str, other: str) -> bool:
    """Whether two expressions in variables have one value everywhere: "2ba^2" and "2a^2b", not names."""
    if max(len(one), len(other)) > _LONGEST or _WORDLIKE.search(f"{one} {other}") or "=" in one + other:
        return False
    return same_equation(f"{one}+Z=0", f"{other}+Z=0") is True and any(map(str.isalpha, other))


def arithmetic_value(text: str) -> Fraction | None:
    """The value of an expression of plain numbers, exact but for roots and pi; None for all else."""
    if len(text) > _LONGEST:
        return None
    try:
        reader = _RootReader(_tokens(text), {})
        found = reader.sum(0)
    except (_NoValueError, ValueError, ArithmeticError):
        return None
    return found if reader.place == len(reader.tokens) else None


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for match in _TOKEN.finditer(text.strip()):
        kind, value = match.lastgroup or "", match[match.lastgroup or 0]
        if kind == "command":
            if value not in _COMMANDS:
                raise _NoValueError
            kind, value = "sign", _COMMANDS[value]
        if value:
            found.append((kind, value))
    return found


def _value(tokens: list[tuple[str, str]], values: Mapping[str, Fraction]) -> Fraction:
    reader = _Reader(tokens, values)
    found = reader.sum(0)
    if reader.place != len(tokens):
        raise _NoValueError
    return found


class _Reader:
    """Recursive descent over the tokens of one side, evaluating as it reads."""

    def __init__(self, tokens: list[tuple[str, str]], values: Mapping[str, Fraction]) -> None:
        self.tokens, self.values, self.place = tokens, values, 0

    def _next(self) -> tuple[str, str]:
        return self.tokens[self.place] if self.place < len(self.tokens) else ("end", "")

    def _take(self, *signs: str) -> str:
        kind, value = self._next()
        if kind != "sign" or value not in signs:
            return ""
        self.place += 1
        return value

    def sum(self, depth: int) -> Fraction:
        if depth > _DEEPEST:
            raise _NoValueError
        sign = self._take("+", "-")
        total = self._product(depth) * (-1 if sign == "-" else 1)
        while sign := self._take("+", "-"):
            term = self._product(depth)
            total += -term if sign == "-" else term
        return total

    def _product(self, depth: int) -> Fraction:
        total = self._power(depth)
        while True:
            sign = self._take("*", "/")
            kind, value = self._next()
            if not sign and not (kind in ("number", "name") or value in _OPENING or value in ("F", "S", "P")):
                return total
            factor = self._power(depth)
            total = total / factor if sign == "/" else total * factor

    def _power(self, depth: int) -> Fraction:
        base = self._atom(depth)
        if not self._take("^"):
            return base
        exponent = self._atom(depth)
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        # Powers of powers, ((9^12)^12)^12, would fill the memory.
        if exponent.denominator != 1 or abs(exponent) > _HIGHEST_POWER or size * abs(exponent) > _MOST_BITS:
            raise _NoValueError
        return base ** int(exponent)

    def _atom(self, depth: int) -> Fraction:
        kind, value = self._next()
        self.place += 1
        if kind == "number":
            return Fraction(value)
        if kind == "name" and value in self.values:
            return self.values[value]
        if value == "F":
            return self._atom(depth) / self._atom(depth)
        if value in _OPENING:
            inner = self.sum(depth + 1)
            if self._take(_OPENING[value]):
                return inner
        raise _NoValueError


class _RootReader(_Reader):
    """Also reads square roots and pi, as the fractions that their floats are."""

    def _atom(self, depth: int) -> Fraction:
        if self._take("P"):
            return Fraction(math.pi)
        if not self._take("S"):
            return super()._atom(depth)
        root = math.sqrt(self._atom(depth))
        return Fraction(root).limit_denominator(10**12)
