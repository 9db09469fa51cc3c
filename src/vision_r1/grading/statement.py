"""What a sentence claims: "The bar for France is 27.5%." claims "27.5%", whatever the gold is.

The gold plays no part here, so nothing can be found in an answer because it is the gold. A sentence has a
claim only if the whole of it is plain: one that denies, doubts, compares or names a second value claims
nothing and stays what it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vision_r1.grading.number import parse_number
from vision_r1.grading.text import has_foreign_digits, hedges, plain_math, unwrap
from vision_r1.grading.units import canonical_unit

_LONGEST = 300
_FLAGS = re.IGNORECASE | re.ASCII

# A sentence with one of these does not simply claim its value.
_DENIES = re.compile(
    r"\b(?:not|no|never|neither|nor|none|cannot|without|wrong|incorrect|false|except|instead|unless|if|whether"
    r"|gold|label|reference|ground truth|expected|supposed|thought|guess\w*|assum\w+|unknown|unclear|unsure"
    r"|unable|sorry|maybe|but|however|although|though|actually|wait|hmm|options?|choices?|each)\b|n't\b|[?<>]",
    _FLAGS,
)
# A claim with one of these is not the value in it.
_COMPARES = re.compile(
    r"\b(?:than|least|most|under|over|above|below|nearly|almost|minus|plus|(?<!\\)times|dozens?|hundreds"
    r"|thousands|millions|billions|between|(?:before|after)(?=\s(?:the\s|year\s){0,2}[0-9])|half|twice|double"
    r"|divisible|multiple|factors?|digits?)\b",
    _FLAGS,
)
_CORRECTED = re.compile(
    r".*\b(?:thought|guess\w*|said|initially|originally|first|previously|seem\w*|looks?|appears?)\b.*?"
    r"(?:,\s?|\s)(?:but|however|although)\s",
    _FLAGS | re.DOTALL,
)
_LEAD = re.compile(
    r"(?:(?:=>|⇒|→|∴|so|thus|therefore|hence|then|finally|overall|consequently|accordingly|in conclusion|in total|and)(?![A-Za-z])"
    r"|(?:looking at|from|among|of) (?:all )?(?:the )?(?:given |answer )?(?:options|choices)(?: given| provided)?(?=,)"
    r"|所以|因此|故|综上)[,:，：]?\s*",
    _FLAGS,
)
_REASON = re.compile(
    r",?\s(?:because|since|as (?:shown|seen|it|the|[A-J])|based on|according to|due to|given that)\b.*", _FLAGS | re.DOTALL
)
_REMARK = re.compile(r",?\swhich\s.*|,\s(?:with|having|so)\s.*", _FLAGS | re.DOTALL)
_SHORTENED = re.compile(r"\b(it|that|there|he|she|what)'s\b", _FLAGS)
_COPULA = re.compile(
    r"(?:\s(?:(?:(?:should|must|would|will|can|has to|have to)\s)?be|is|are|was|were|equals?)\b(?:\sequal to|\sabout|\sapproximately)?:?|:|是|为|等于|[=＝≈]|\\approx)\s*",
    _FLAGS,
)
_LONE_NAME = re.compile(r"\\?[A-Za-z](?:_\{?[A-Za-z0-9]{1,3}\}?)?(?:\([a-z]\))?|[-+]?[0-9.,]+")
_ALSO = re.compile(r"(?:or|i\.e\.|that is|=|≈|about)[,\s]*", _FLAGS)
_CHAIN = re.compile(r"\s?=\s?|:\s")
_TURNED = re.compile(r"([-+]?[0-9][^=]{0,40}?)\s?=\s?[A-Za-z]")
_LEFT = re.compile(r"(?:left|remaining|needed|required|visible|shown|present)\b", _FLAGS)
_OPEN = re.compile(
    r"(?:it|this|the answer)\s(cannot be .{3,60}|can not be .{3,60}|depends on .{3,80})|there (?:is|are|was|were) (no .{2,40})", _FLAGS
)
# What a sentence with one value and no "is" may look like; "divisible by 12" and "ends in 12" do not.
_GIVES = re.compile(
    r"(?:after\s[a-z\s]{1,40},\s|(?:the\s)?(?:in|on|at|year|ages?|aged|length|width|height|total|value|count|sum|area|only|exactly|just)\b)"
    r"|(?:.*?\s)?(?:there|is|are|was|were|be|has|have|had|shows?|reads?|contains?|gives?|gave|costs?|spends?|spent|leaves"
    r"|arrives|starts|ends at|begins|happen(?:s|ed)|occur(?:s|red)|equals?|gets?|got|obtain|counts?|see|saw|finds?|found"
    r"|makes?|made|pays?|paid|needs?|takes?|took|peak(?:s|ed)|stood|stands|reach(?:es|ed)|sold|uses?|used|earn(?:s|ed)"
    r"|measures?|weighs?|differ|totals?|choose|scored|received|bought)\s",
    _FLAGS,
)
_PLAIN_TEXT = re.compile(r"[A-Za-z0-9\s.,:'\"$€£¥°%/–+-]+|[^\x00-\u2fff]+")
_ASIDE = re.compile(r"(.{1,120}?)\s\(([^()]{1,80})\)")
_NAMED_OPTION = re.compile(r"\b(?:the (?:correct|right) )?(?:option|choice)\b", _FLAGS)
_SUBJECT = re.compile(
    r"(?P<subject>.{1,60}?)\s(?:(?:has|had|have|shows?|showed|is|was|are|were|represents?|recorded|received|got)\s"
    r"(?:by far\s)?(?:the\s)(?:[a-z]+\s)?(?:lowest|highest|most|least|largest|smallest|greatest|fewest|tallest"
    r"|shortest|biggest|best|longest|maximum|minimum|correct|right|answer|only|fastest|slowest)\b"
    r"|(?:completes?|continues?|fits?|matches|works|satisfies)\b(?!.*\s(?:is|are)\s)|(?:is|are)\s(?:correct|right|the (?:correct )?(?:answer|option|choice))$)",
    _FLAGS,
)
_ARTICLE = re.compile(r"(?:the|an?|in|on|at|by|only|option|choice|letter|answer|equal to|around|about)\s", _FLAGS)
_MATHS = re.compile(r"\$([^$]{1,120})\$|\\\(([^$]{1,120}?)\\\)")
_CLOCK = r"[0-9]{1,2}:[0-9]{2}(?:\s?[ap]\.?m\b\.?)?"
_FIGURE = (
    r"(?:(?:US|USD\s|EUR\s)?[+-]?\\?[$€£¥]\s?)?(?<![A-Za-z0-9.,])[+-]?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?"
    r"(?:\s[0-9]+/[0-9]+|/[0-9]+)?(?:\s?(?:hundred|thousand|million|billion|trillion|[kMB])\b)?"
    r"(?:\s?(?:\\?%|°|\^\s?\{?\\circ\}?))?"
)
_VALUE = re.compile(rf"{_CLOCK}|{_FIGURE}", _FLAGS)
_SPELT = re.compile(
    r"\b(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen"
    r"|seventeen|eighteen|nineteen|(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
    r"(?:-(?:one|two|three|four|five|six|seven|eight|nine))?)\b",
    _FLAGS,
)
# After these the noun that is counted is over: "12 apples in the picture".
_FUNCTION_WORDS = frozenset(
    """in on at of from to for by with per and are is was were left there that which who has have had total
    altogether will can more each as during than""".split()
)


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer that a sentence gives.

    Attributes:
        text: the claimed answer.
        noun: the words after a number up to the next function word, when they are no known unit.
    """

    text: str
    noun: str = ""


def claims(answer: str) -> tuple[Claim, ...]:
    """The readings of a sentence, the fullest first; empty if it claims nothing or is no sentence."""
    if cannot := _OPEN.fullmatch(unwrap(answer)):
        return (Claim(cannot[1] or cannot[2]),)
    aside = _ASIDE.fullmatch(plain_math(answer)) if len(answer) <= _LONGEST else None
    if aside and _same_aside(aside[1], aside[2]):
        answer = aside[1]
    text = plain_sentence(answer)
    if text is None:
        return (Claim(answer),) if aside and answer == aside[1] else ()
    found = [Claim(text)] if text != answer.strip() or aside else []
    subject = _SUBJECT.match(text)
    if subject and not _VALUE.search(subject[0]):
        return (*found, Claim(_without_article(subject["subject"])))
    rest = _after_copula(text)
    if _COMPARES.search(text if rest is None else rest):
        return tuple(found)
    if rest is not None:
        found += [Claim(rest), Claim(_without_article(rest))]
    elif turned := _TURNED.fullmatch(text):  # "17 = x"
        found.append(Claim(turned[1]))
    elif _ARTICLE.match(text):
        found.append(Claim(_without_article(text)))
    chain = _CHAIN.split(rest)[-1:] if rest else []
    if rest and chain and chain[0] != rest and not _LONE_NAME.fullmatch(rest[: -len(chain[0])].rstrip(" =:")):
        found.append(Claim(chain[0]))
    stated = rest is not None and not _LEFT.match(rest)
    single = _single_value(rest if stated and rest else text)
    return (*found, single) if single else tuple(found)


def plain_sentence(answer: str) -> str | None:
    """The sentence without its lead, its reason and what it corrects; None if it is not a plain one."""
    text = unwrap(answer)
    if len(text) > _LONGEST or "\n" in text or not (" " in text or "=" in text or not text.isascii()):
        return None
    text = plain_math(text)
    corrected = _CORRECTED.match(text)
    if corrected:
        text = text[corrected.end() :]
    text = _SHORTENED.sub(r"\1 is", _REMARK.sub("", without_reason(text)))
    while lead := _LEAD.match(text):
        text = text[lead.end() :]
    text = unwrap(text)
    if not text or hedges(text) or _DENIES.search(_NAMED_OPTION.sub("", text)):
        return None
    return text


def without_reason(text: str) -> str:
    """A sentence without the reason that it gives: "B because A is too small" -> "B"."""
    return _REASON.sub("", text)


def yes_or_no(answer: str) -> bool | None:
    """Whether an answer says yes or no: "Yes.", "No, the lines cross.", "True"; None if neither or both."""
    words = re.findall(r"[a-z']+", unwrap(answer).casefold()[:_LONGEST])
    if not words or words[0] not in _SAYS:
        return None
    opposite = {word for word, says in _SAYS.items() if says is not _SAYS[words[0]]}
    second = set(words[1:]) & (opposite | {"but", "however", "actually", "or", "maybe", "wait"})
    alone = len(words) == 1 or re.match(r"\W*[A-Za-z]+\s?[,.;:!-]", answer)
    return None if second or not alone else _SAYS[words[0]]


_SAYS = {"yes": True, "true": True, "no": False, "false": False}


def _same_aside(main: str, aside: str) -> bool:
    """Whether a remark in brackets leaves the answer what it is: "Germany (45%)", "6 (six)", not "12 (13)"."""
    number, other = parse_number(plain_math(main)), parse_number(_ALSO.sub("", plain_math(aside)))
    if number is None:
        words = not _VALUE.search(main) and not any(char in main for char in "\\=():")
        return words and len(main) > 1 and "," not in aside and not hedges(aside)
    return other is not None and other.value == number.value


def _after_copula(text: str) -> str | None:
    """What follows the last "is", "equals", ":" or "="; None if there is none, or only a name before it."""
    masked = re.sub(r"[0-9]:[0-9]", "0.0", text)
    found = list(_COPULA.finditer(masked))
    words = [match for match in found if match[0].strip()[:1] not in ("=", ":", "＝")]
    for match in [*reversed(words), *reversed(found)]:
        before, rest = text[: match.start()].strip(), text[match.end() :].strip()
        if not rest or not before:
            continue
        # "m = 4" is more than 4, and "1, x = 2" gives two values.
        sign = match[0].strip() in ("=", ":", "≈")
        if not (sign and (_LONE_NAME.fullmatch(plain_math(before)) or "," in before)):
            return rest
    return None


def _without_article(text: str) -> str:
    for _ in range(3):
        lead = _ARTICLE.match(text)
        if not lead:
            break
        text = text[lead.end() :].strip()
    return text


def _single_value(text: str) -> Claim | None:
    """The one value of a sentence with its unit; None if there is another, or something beside words."""
    maths = list(_MATHS.finditer(text))
    if maths:
        outside = _MATHS.sub(" ", text)
        lone = len(maths) == 1 and not _VALUE.search(outside) and not _SPELT.search(outside)
        return Claim((maths[0][1] or maths[0][2]).strip(), _noun(text[maths[0].end() :])) if lone else None
    if has_foreign_digits(text):
        return None
    values = [*_VALUE.finditer(text), *_SPELT.finditer(text)]
    if len(values) != 1 or not _PLAIN_TEXT.fullmatch(text.replace("\\%", "%").replace("\\$", "$")):
        return None
    before, value, after = text[: values[0].start()], values[0][0], text[values[0].end() :]
    if re.search(r"[+/-]\s?$", before) or re.match(r"\s?[-+/–]", after) or re.search(r"[0-9]", before + after):
        return None
    if re.match(r"\s?(?:hundred|thousand|million|billion)\b", after, _FLAGS) or (before.strip() and not _GIVES.match(before)):
        return None
    unit = _known_unit(after)
    if after[:1].isalpha() and not unit:  # "17th"
        return None
    if unit:
        return Claim(f"{value} {unit}")
    return Claim(value, _noun(after)) if parse_number(plain_math(value)) or ":" in value else None


def _known_unit(after: str) -> str:
    """The longest known unit that the text begins with; "in" is one only at the end."""
    words = after.split()[:4]
    for count in range(len(words), 0, -1):
        unit = " ".join(words[:count]).rstrip(".,;!")
        ends = count == len(after.split())
        if canonical_unit(unit) and (ends or unit not in ("in", "A", "m", "t", "N", "V")):
            return unit
    return ""


def _noun(after: str) -> str:
    words: list[str] = []
    for word in re.findall(r"[A-Za-z]+", after)[:4]:
        if word.casefold() in _FUNCTION_WORDS:
            break
        words.append(word.casefold())
    return " ".join(words)
