r"""Other ways to write what the grader reads: "½", "0.\overline{3}", "about 3", "US$25", "n²", "\sqrt12".

Each function rewrites; none decides. Digits outside ASCII stay as they are, apart from exponents and
fractions, which are one character of mathematics and not a digit in disguise.
"""

from __future__ import annotations

import math
import re

from vision_r1.grading.words import with_fraction

_VULGAR = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5",
    "⅘": "4/5", "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8",
}  # fmt: skip
_VULGAR_SIGN = re.compile(rf"([0-9]?)\s?([{''.join(_VULGAR)}])")
_APPROXIMATE = re.compile(
    r"(?:(?:approximately|approx\.?|about|around|roughly|exactly)\s|(?:\\approx|\\simeq|≈|~|=)\s?)(?=.)",
    re.IGNORECASE | re.ASCII,
)
_CODE = re.compile(r"(?:US|A|C|AU|CA)(?=\\?\$)|(?:(USD|EUR|GBP|JPY|CNY|RMB)\s?)(?=[0-9])", re.ASCII)
_CODES = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "CNY": "¥", "RMB": "¥"}
_BRACKETED = re.compile(r"\(\s?([+-]?[0-9][^()]*)\)|\[\s?([+-]?[0-9.]+)\s?\]")
_OVERLINED = re.compile(
    r"(-?[0-9]{0,9})\.([0-9]{0,6})(?:\\(?:overline|bar|dot)\s?\{([0-9]{1,6})\}|\(([0-9]{1,6})\))"
)
_TRAILING = re.compile(
    r"(-?[0-9]{0,9})\.([0-9]{0,6}?)([0-9]{1,6}?)\3{1,20}(?:\.{3}|…|\\l?dots|\\cdots)(?P<end>%?)"
)
_AND_PART = re.compile(r"^([0-9]{1,9})\sand\s(?=[0-9]+/[0-9]+)")
_FACTORIAL = re.compile(r"([0-9]{1,2})!")
_GROUPED = re.compile(
    r"([+-]?\s?\\?[$€£¥]?[0-9]{1,3})((?:(?:\s|\\,|\\ |\u202f|\u2009)[0-9]{3})+)(?![0-9])(.*)", re.DOTALL
)
_GAP = re.compile(r"\s|\\,|\\ |\u202f|\u2009")
_MOST_FACTORIAL = 20

_SUPERSCRIPT = re.compile(r"([A-Za-z0-9)\]}])([⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,3})")
_LOWERED = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
_BARE_ROOT = re.compile(r"\\sqrt\s?([0-9]+)")
_FACTOR = re.compile(r"(?<![0-9.}])([0-9]{1,6})\s?/\s?([0-9]{1,6})(?=\s?(?:\\pi|\\sqrt|[A-Za-z(]))")
# "ab" is a product beside LaTeX, an English word is not.
_PRODUCT = re.compile(
    r"(?<![A-Za-z\\])(?!(?:not|is|it|or|and|of|the|to|if|in|at|by|are|was|so|as|for|we|all|cm|mm|km|sq)\b)"
    r"[a-z]{2,3}(?![A-Za-z])"
)
_LOG_BASE = re.compile(
    r"\\log_\s?(?:\{\s?([0-9a-z]{1,3})\s?\}|([0-9a-z]))\s?(?:\(\s?([0-9a-z]+)\s?\)|([0-9a-z]+))"
)
_GREEK = {
    "θ": "theta",
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "λ": "lambda",
    "μ": "mu",
    "φ": "phi",
    "ω": "omega",
}
_GREEK_SIGN = re.compile(f"[{''.join(_GREEK)}]")
_FUNCTION = re.compile(
    r"(?<![A-Za-z\\])(sin|cos|tan|cot|sec|csc|ln|log|arcsin|arccos|arctan)(?=\s?[(A-Za-z\\0-9^_])"
)
_PI = re.compile(r"(?<![\\A-Za-z])pi(?![A-Za-z])")
_GREEK_NAME = re.compile(rf"(?<![A-Za-z\\])({'|'.join(_GREEK.values())})(?![A-Za-z])")


def plain_number(text: str) -> str:
    """`text` with the marks round a number gone and fractions as "a/b"; anything else as it is."""
    text = _APPROXIMATE.sub("", text.strip(), count=1) if _APPROXIMATE.match(text.strip()) else text.strip()
    if code := _CODE.match(text):
        text = _CODES.get(code[1] or "", "") + text[code.end() :]
    text = _AND_PART.sub(r"\1 ", text)
    if bracketed := _BRACKETED.fullmatch(text):
        text = bracketed[1] or bracketed[2]
    text = _VULGAR_SIGN.sub(lambda m: f"{m[1]} {_VULGAR[m[2]]}".strip(), text.replace("⁄", "/"))
    if factorial := _FACTORIAL.fullmatch(text):
        n = int(factorial[1])
        return str(math.factorial(n)) if n <= _MOST_FACTORIAL else text
    return with_fraction(_repeating(text))


def _repeating(text: str) -> str:
    r"""A decimal without end as a fraction: "0.\overline{3}", "0.1(6)" and "0.1666..."."""
    found = _OVERLINED.fullmatch(text) or _TRAILING.fullmatch(text)
    if found is None:
        return text
    sign, whole = ("-", found[1][1:]) if found[1].startswith("-") else ("", found[1])
    fixed, period = found[2], found[3] or found[4]
    places, nines = 10 ** len(fixed), 10 ** len(period) - 1
    top = int(f"{whole}{fixed}" or "0") * nines + int(period)
    return (
        f"{sign}{top}/{places * nines}" if not text.endswith("%") else f"{sign}{top / (places * nines):.4f}%"
    )


def joined_thousands(text: str) -> str:
    r"""A number whose thousands are set apart by spaces, without them: "77 658 792", "1\,000"."""
    match = _GROUPED.fullmatch(text)
    return match[1] + _GAP.sub("", match[2]) + match[3] if match else text


def plain_latex(text: str) -> str:
    r"""An expression in the LaTeX that the symbolic comparison reads: "n² + θ" is "n^{2} + \theta"."""
    text = _SUPERSCRIPT.sub(lambda m: f"{m[1]}^{{{m[2].translate(_LOWERED)}}}", text)
    text = _GREEK_SIGN.sub(lambda m: f"\\{_GREEK[m[0]]} ", text)
    text = _PI.sub(r"\\pi ", text)
    text = _GREEK_NAME.sub(r"\\\1 ", text)
    text = (
        _FUNCTION.sub(r"\\\1 ", text).replace("⋅", r"\cdot ").replace("∪", r"\cup ").replace("∞", r"\infty ")
    )
    text = _LOG_BASE.sub(lambda m: f"\\log_{{{m[1] or m[2]}}}({m[3] or m[4]})", text)
    if any(mark in text for mark in "\\^*/"):
        text = _PRODUCT.sub(lambda m: " ".join(m[0]), text)
    text = _FACTOR.sub(r"\\frac{\1}{\2}", text)  # 2/3 \pi is two thirds of pi
    return _BARE_ROOT.sub(r"\\sqrt{\1}", text)
