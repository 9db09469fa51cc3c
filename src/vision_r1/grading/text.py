r"""Plain-text normalisation that gold and answer both go through.

Only presentation is removed: markup around the whole answer, spacing, letter case, closing
punctuation. Digits stay as they are: only ASCII digits are numbers, so a full-width "１２" or an
Arabic-Indic "١٢" equals a gold that is written the same way and no other.
"""

from __future__ import annotations

import re

_WRAPPERS = (
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("**", "**"),
    ("*", "*"),
    ("`", "`"),
    ('"', '"'),
    ("'", "'"),
    ("“", "”"),
    ("‘", "’"),
    ("\\boxed{", "}"),
    ("\\text{", "}"),
    ("\\textbf{", "}"),
    ("\\mathbf{", "}"),
    ("\\mathrm{", "}"),
)
_OPENERS = frozenset(left[0] for left, _ in _WRAPPERS)
_TEXT_COMMAND = re.compile(
    r"\\(?:text|textbf|textit|boldsymbol|mathrm|mathbf|mathit|mbox|operatorname)\s?\{([^{}]*)\}"
)
_SIZED_BRACKET = re.compile(r"\\(?:left|right)(?=[()\[\]|\\])")
# Spacing of formulas; "1\\,000" is one number.
_THIN_SPACE = re.compile(r"\\[,;:](?![0-9]{3})|(?<!\\)\\\s|\\q?quad(?![a-zA-Z])")
# A price in dollars of mathematics, and formulas that make one answer: "$x<1$ or $x>4$".
_PRICE = re.compile(r"\$(\\\$[0-9][0-9.,]*)\$")
_FORMULAS = re.compile(
    r"\$[^$\n]{1,80}\$(?:\s?(?:,|;|,?\s(?:or|and)|∪|\\cup)\s?\$[^$\n]{1,80}\$){1,6}", re.IGNORECASE
)
_DAY_HALF = re.compile(r"\b([ap])\.\s?m\b\.?")
_HYPHEN = re.compile(r"(?<=[a-z]{3})-(?=[a-z]{3})")
_OVERLINE = re.compile(r"\\(?:overline|widehat)\s?\{([^{}]*)\}")
_SYMBOLS = {
    "\\triangle": " triangle ", "△": " triangle ", "\\angle": " angle ", "∠": " angle ",
    "\\infty": " infinity ", "∞": " infinity ", "\\neq": " ≠ ", "\\ne": " ≠ ", "\\gt": " > ", "\\lt": " < ",
    "\\emptyset": " empty set ", "\\varnothing": " empty set ", "∅": " empty set ",
}  # fmt: skip
_ARTICLE = re.compile(r"the (?=\S)|an? (?=[a-z]{3})")
_CHARACTERS = str.maketrans({"−": "-", "–": "-", "’": "'", "‘": "'", "“": '"', "”": '"', "\u00a0": " "})

_ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
]
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}
_SPELLINGS = {f"{place}{_ENDINGS.get(place, 'th')}": word for place, word in enumerate(_ORDINALS, start=1)}
_SPELLINGS |= {
    "&": "and",
    "gray": "grey",
    "colour": "color",
    "coloured": "colored",
    "centre": "center",
    "metre": "meter",
}
# Names of countries and their usual short forms, each in one spelling.
_COUNTRIES = {
    "uk": "united kingdom",
    "us": "united states",
    "usa": "united states",
    "united states of america": "united states",
    "uae": "united arab emirates",
}
_NAMES = """january february march april june july august september october november december
monday tuesday wednesday thursday friday saturday sunday"""
_SHORT = {name[:3]: name for name in _NAMES.split()}
# "even function" for "even", "red color" for "red": the word names the kind of thing that was asked for.
_KINDS = frozenset({"color", "colors", "function", "shape", "size"})
_ABBREVIATION = re.compile(r"(?:[a-z]\.)+[a-z]?")
_SHORT |= {"sept": "september", "tues": "tuesday", "thur": "thursday", "thurs": "thursday"}

# Words that make an answer a hedge or a choice between answers.
_HEDGE = re.compile(
    r"\b(?:or|either|maybe|perhaps|possibly|probably|alternatively|could be|might be|not sure|unless|vs)\b",
    re.IGNORECASE | re.ASCII,
)


def unwrap(answer: str) -> str:
    """Strip white space, a closing period, and markup or quotes that enclose the whole answer."""
    text = answer.strip()
    if text[:1] not in _OPENERS and text[-1:] not in (".", "。", "．"):
        return text
    for _ in range(8):
        before = text
        for left, right in _WRAPPERS:
            inner = text[len(left) : -len(right)]
            if len(text) > len(left) + len(right) and text.startswith(left) and text.endswith(right):
                if not _encloses(inner, left, right):
                    continue
                text = inner.strip()
        if text.endswith((".", "。", "．")) and not text.endswith((".m.", ".M.", "..")):
            text = text[:-1].rstrip()
        if text == before:
            break
    return text


def _encloses(inner: str, left: str, right: str) -> bool:
    """Whether the outer pair really is one pair: `$1$ or $2$` is not enclosed by its dollars."""
    if right != "}":
        return left not in inner and right not in inner
    depth = 0
    for char in inner:
        depth += (char == "{") - (char == "}")
        if depth < 0:
            return False
    return depth == 0


def normalize_text(answer: str) -> str:
    """The form in which two texts are compared: case, spacing, articles and end marks are gone."""
    text = _TEXT_COMMAND.sub(r" \1 ", unwrap(answer)).translate(_CHARACTERS).casefold()
    text = _HYPHEN.sub(" ", _OVERLINE.sub(r"\1", text))
    if "\\" in text or not text.isascii():
        for symbol, word in _SYMBOLS.items():
            text = text.replace(symbol, word)
    text = " ".join(_DAY_HALF.sub(r"\1m", text).split()).rstrip(".,;:").strip()
    if text.endswith("!") and not text[-2:-1].isdigit():  # "5!" is a factorial
        text = text.rstrip(".,;:!").strip()
    article = _ARTICLE.match(text)
    return text[article.end() :] if article else text


def same_words(one: str, other: str) -> bool:
    """Whether two normal texts (`normalize_text`) are the same words in other spellings.

    "gray" is "grey", "1st" is "first", "Jan" alone is "January", "gray color" is "grey".
    """
    first, second = _spelling(one), _spelling(other)
    return first == second or (one.isalpha() != other.isalpha() and _joined(first) == _joined(second))


def _spelling(normal: str) -> tuple[str, ...]:
    words = tuple(_word(word) for word in normal.split())
    if len(words) > 1 and words[-1] in _KINDS:
        words = words[:-1]
    if country := _COUNTRIES.get(" ".join(words)):
        words = tuple(country.split())
    return (_SHORT.get(words[0], words[0]),) if len(words) == 1 else words


def _word(word: str) -> str:
    word = word.rstrip(".")
    if "." in word and _ABBREVIATION.fullmatch(word):
        word = word.replace(".", "")
    return _SPELLINGS.get(word, word)


def _joined(words: tuple[str, ...]) -> str:
    """Words in one: "north-east" is "northeast"."""
    return "".join(words)


def plain_math(answer: str) -> str:
    """`unwrap`, with text commands opened and typographic signs made ASCII; the case is kept."""
    text = _TEXT_COMMAND.sub(r" \1 ", unwrap(answer)).translate(_CHARACTERS)
    if "$" in text:
        text = _PRICE.sub(r"\1", text)
        if _FORMULAS.fullmatch(text):
            text = text.replace("$", "")
    text = _THIN_SPACE.sub(" ", _SIZED_BRACKET.sub("", text))
    return " ".join(text.split())


def hedges(answer: str) -> bool:
    """Whether the answer names alternatives or doubts itself."""
    return _HEDGE.search(answer) is not None


def has_foreign_digits(answer: str) -> bool:
    """Whether the answer holds a digit outside ASCII (full-width, Arabic-Indic, superscript, ...)."""
    return not answer.isascii() and any(char.isdigit() and not char.isascii() for char in answer)
