"""Numbers that are spelt out, words of magnitude, fractions in words: "twenty-one", "1.4 billion", "half"."""

from __future__ import annotations

import re

_ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL = {word: value for value, word in enumerate(_ONES.split())}
_SMALL |= {word: 10 * place for place, word in enumerate(_TENS.split(), start=2)}
_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_WORD = re.compile(r"[A-Za-z]+")
_GAP = re.compile(r"(?:\s?-\s?|\s(?:and\s)?)")
_SIGN = re.compile(r"(?:minus|negative)\s", re.IGNORECASE | re.ASCII)
# Every number in words up to ninety-nine that stands in a text.
_TENS_WORD = f"(?:{'|'.join(_TENS.split())})(?:-(?:{'|'.join(_ONES.split()[1:10])}))?"
SPELT = re.compile(rf"(?<!\.)\b(?:{_TENS_WORD}|{'|'.join(_ONES.split())})\b", re.IGNORECASE | re.ASCII)
_MAGNITUDE = re.compile(
    r"\s?(?:(hundred|thousand|million|billion|trillion|mn|bn)\b|([kKMBT])(?![A-Za-z0-9_^²³/]))",
    re.IGNORECASE | re.ASCII,
)
_POWERS = {"hundred": 2, "thousand": 3, "million": 6, "mn": 6, "billion": 9, "bn": 9, "trillion": 12}
_SUFFIXES = {"k": 3, "K": 3, "M": 6, "B": 9, "T": 12}
_PARTS = """half/2 halves/2 third/3 quarter/4 fourth/4 fifth/5 sixth/6 seventh/7 eighth/8 ninth/9 tenth/10
hundredth/100"""
_PART_SIZES = {name: int(size) for name, size in (part.split("/") for part in _PARTS.split())}
_FRACTION = re.compile(
    rf"(?:(?P<whole>[A-Za-z]+|[0-9]+)\sand\s)?(?:(?P<top>[A-Za-z]+)[\s-])?(?P<part>{'|'.join(_PART_SIZES)})s?"
    r"(?:\s(?:of\s)?(?:an?\s)?(?P<rest>[A-Za-z]+(?:\s[A-Za-z]+)?))?",
    re.ASCII,
)


def with_digits(text: str) -> str:
    """`text` with a number that it begins with in words written in digits: "seven cm" -> "7 cm".

    A text that begins otherwise comes back as it is.
    """
    sign = _SIGN.match(text)
    start = sign.end() if sign else 0
    spelt, end = _spelt(text, start)
    if spelt is None:
        return f"-{text[start:]}" if sign else text
    return f"{'-' if sign else ''}{spelt}{text[end:]}"


def magnitude(text: str) -> tuple[int, str]:
    """The power of ten of a word that `text` begins with, and what follows: " billion $" -> (9, "$")."""
    match = _MAGNITUDE.match(text)
    if match is None:
        return 0, text
    power = _POWERS[match[1].casefold()] if match[1] else _SUFFIXES.get(match[2], 0)
    return (power, text[match.end() :].strip()) if power else (0, text)


def with_fraction(text: str) -> str:
    """A fraction in words, in digits: "three quarters" -> "3/4", "two and a half cm" -> "2 1/2 cm".

    A text that is anything else comes back as it is; "third" alone is a place, not a part.
    """
    if sign := _SIGN.match(text):
        spelt = with_fraction(text[sign.end() :])
        return text if spelt == text[sign.end() :] else f"-{spelt}"
    match = _FRACTION.fullmatch(text.casefold())
    size = _PART_SIZES.get(match["part"]) if match else None
    if match is None or size is None:
        return text
    top = 1 if match["top"] in ("a", "an") else _SMALL.get(match["top"] or "", 0)
    if not match["top"] and match["part"] in ("half", "quarter") and not match["whole"]:
        top = 1
    whole = match["whole"] or ""
    if not top or (whole and not whole.isdigit() and whole not in _SMALL):
        return text
    lead = f"{whole if whole.isdigit() else _SMALL[whole]} " if whole else ""
    return f"{lead}{top}/{size}" + (f" {match['rest']}" if match["rest"] else "")


def _spelt(text: str, start: int) -> tuple[int | None, int]:
    """The number in words from `start` on, and where it ends; at most ten words are read."""
    total, group, last, end, found = 0, 0, 10**15, start, False
    place = start
    for _ in range(10):
        match = _WORD.match(text, place)
        word = match[0].casefold() if match else ""
        if match is None or not (word in _SMALL or (found and word in _SCALES)):
            break
        if word in _SMALL:
            value = _SMALL[word]
            if found and value >= _room(last):  # "seven eight" are two numbers
                return None, start
            group, last = group + value, value
        elif word == "hundred":
            group, last = group * 100, 100
        else:
            total, group, last = total + group * _SCALES[word], 0, _SCALES[word]
        found, end = True, match.end()
        gap = _GAP.match(text, end)
        if gap is None:
            break
        place = gap.end()
    return (total + group if found else None), end


def _room(last: int) -> int:
    """What may follow a word in the same number: units after tens, less than a hundred after hundreds."""
    if last >= 100:
        return 100
    return 10 if last >= 20 and last % 10 == 0 else 0
