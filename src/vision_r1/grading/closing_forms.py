r"""Closing sentences of a fixed shape: "grew to 2.5 million", "is above the axis when x > 4", "is 12 m long".

Each shape reads the whole of the sentence, the claim stands at its end, and no other figure stands before it,
so that nothing can be claimed by being mentioned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from vision_r1.grading.chains import arithmetic_of
from vision_r1.grading.phrases import COMPARES, FLAGS, any_of
from vision_r1.grading.units import canonical_unit
from vision_r1.grading.values import VALUE
from vision_r1.grading.words import SPELT

_NUMBER = r"[-−]?[0-9]+(?:\.[0-9]+)?(?:/[0-9]+)?"
_BOUND = rf"(?:{_NUMBER}|[-−]?\\frac\{{[0-9]+\}}\{{[0-9]+\}}|[-−]?\\sqrt\{{[0-9]+\}})"
_LESS, _RELATES = r"(?:<|≤|\\leq?|\\lt)", r"(?:[<>≤≥]|\\[lg]eq?|\\[lg]t)"
_INEQUALITY = rf"(?:{_BOUND}\s?{_LESS}\s?)?[a-z]\s?{_RELATES}\s?{_BOUND}"
_CURVE = any_of(
    """graph function curve line parabola expression inequality condition logarithm root relation it y f
    f[(]x[)]"""
)
_KIND = any_of("quadratic linear given red blue green black square")
_HOLDS = any_of(
    """above below over under positive negative increasing decreasing defined real at_least at_most
    greater less true satisfied valid continuous concave convex"""
)
_THAN = any_of("the its a than to real zero axis [a-z]-axis line curve number [0-9]+")
_HOLDS_WHEN = re.compile(
    rf"(?:(?:the|this|its)\s)?(?:{_KIND}\s)?\$?{_CURVE}\$?(?:\sof\s\S{{1,8}})?"
    rf"\s(?:is|lies|stays|runs|sits|remains)\s(?:(?:always|strictly|exactly|only|entirely|just)\s)?{_HOLDS}"
    rf"(?:\s{_THAN}){{0,4}}\s(?:(?:exactly|only|precisely)\s)?"
    rf"(?:when|whenever|if|for|where|as\slong\sas)\s(?:all\s)?\$?(?P<claim>{_INEQUALITY})\$?\W*",
    FLAGS,
)

# A sentence with one of these before the claim may date or bound another one.
_BOUNDS = re.compile(
    rf"\b{any_of('before after since until once beyond outside within each from second next both goal')}\b"
    r"|\b(?:target|plan|aim|forecast|lack|miss|skip|omit|claim|sa(?:id|ys?)|t(?:old|ell)|think|believ|report)[a-z]*\b",
    FLAGS,
)
_COVERS = any_of("covers? covered spans? spanned shows? belongs?_to is was in over during represents?")
_RANGE = re.compile(
    rf"(?:(?P<before>.{{0,120}}?)\b{_COVERS}\s(?:the\s)?)?(?:the\s|people\s|adults\s)?"
    r"(?:ages?|aged|periods?|years|interval|range)\s(?:of\s)?(?:from\s|between\s)?"
    r"(?P<low>[0-9]+)\s?(?:-|–|to|and|until|through)\s?(?P<high>[0-9]+)(?:\syears)?\W*",
    FLAGS,
)
_BETWEEN = r"(?:\s(?:of\s)?\w+\s?:\s?\w+|\sof\s[a-z\s]{3,40}\sto\s[a-z\s]{3,30})"
_RATIO = re.compile(
    rf"(?:(?:the\s)?ratio{_BETWEEN}?\s(?:is|equals|was|becomes)"
    r"|(?P<before>.{3,80})\sin\s(?:the|a)\sratio(?:\sof)?)\s"
    r"(?P<claim>[0-9.]+\s?(?::|to)\s?[0-9.]*[0-9])\W*",
    FLAGS,
)
_MEASURED = re.compile(
    r"(?P<before>.{2,100}?)\s(?:is|was|are|be|stands?|lies|lay)\s(?:(?:about|exactly|only|just)\s)?"
    r"(?P<figure>[0-9][0-9.,]*(?:\s[0-9]+/[0-9]+)?)\s?(?P<unit>[a-z]+\.?)\s"
    r"(?:long|wide|high|tall|deep|old|away|thick|across|apart)\W*",
    FLAGS,
)
_SUMMED = re.compile(
    r"(?P<before>\D{3,100}?)\s(?P<sum>[0-9][0-9,.]*(?:\s?[-−+×*]\s?[0-9][0-9,.]*)+)\s?=\s?"
    r"(?P<claim>[0-9][0-9,.]*\s(?:[a-z]+s|people|children))"
    r"\s(?:in|on|at|over\sthe|during)\s(?:the\s|that\s)?[A-Za-z]+(?:\s(?:and|to)\s[A-Z][a-z]+)?\W*"
)
_CHANGING = """grew grows grown rose risen rises increased increases fell fallen falls dropped drops climbed
    climbs shrank shrunk shrinks declined declines decreased decreases jumped jumps sank sinks
    (?:went|goes|gone|came|comes)_(?:up|down)"""
_CHANGED_TO = re.compile(
    rf"(?P<before>.{{3,120}}?)\s{any_of(_CHANGING)}\sto\s(?:(?:about|around|exactly|only|just)\s)?"
    rf"(?P<claim>(?:{VALUE.pattern})(?:e[0-9]+)?(?:\spercent)?)(?:\s(?:in|over|by)\sthe\s[a-z]+(?:\s[a-z]+)?)?\W*",
    FLAGS,
)
_LEFT_WITH = re.compile(
    rf"(?P<before>.{{2,100}}?)\s(?:is|are|was|were)\sleft\swith\s(?:only\s|just\s)?(?P<claim>{VALUE.pattern})\W*",
    FLAGS,
)
_SHOWN = any_of("data bar line slice segment column curve row dot point area sector part box")
_IS_FOR = re.compile(
    rf"(?:[Tt]he\s)(?P<before>(?:(?!of\b|to\b|on\b)[a-z-]+\s){{0,4}}?{_SHOWN}(?:\s[a-z-]+){{0,5}}?)"
    r"\s(?:is|are)\sfor\s(?:the\s)?"
    r"(?P<claim>[A-Z][\w.'-]*(?:\s[A-Z][\w.'-]*){0,3})(?:\s\([A-Z.]{2,6}\))?\W*"
)
_EVENTS = """overtook overtakes reached reaches exceeded surpassed crossed passed hit peaked began started
    ended doubled became opened closed won"""
_DATED_EVENT = re.compile(
    rf"(?P<before>[^0-9,;:]{{3,80}}?\s{any_of(_EVENTS)}(?:\s(?!in\b|on\b|and\b|but\b|or\b)[a-z]+){{0,6}}?)"
    r"\s(?:in|on)\s(?P<claim>(?:[A-Z][a-z]{2,8}\s(?:[0-9]{1,2},?\s)?)?(?:1[5-9]|20)[0-9]{2})\W*",
    FLAGS,
)


def condition(clause: str) -> str | None:
    """The inequality under which a clause says that something holds: "is above the axis when x > 4"."""
    found = _HOLDS_WHEN.fullmatch(clause)
    return found["claim"] if found else None


def shaped(clause: str) -> Iterator[str]:
    """What a clause of one of the shapes above claims; nothing for any other clause.

    Args:
        clause: one that neither denies nor hedges, without bold marks.
    """
    if (ages := _RANGE.fullmatch(clause)) and _is_plain(ages["before"]):
        yield f"{ages['low']}-{ages['high']}"
    measured = _MEASURED.fullmatch(clause)
    if measured and canonical_unit(measured["unit"]) and _is_plain(measured["before"]):
        yield f"{measured['figure']} {measured['unit']}"
    if (summed := _SUMMED.fullmatch(clause)) and arithmetic_of(summed["sum"], summed["claim"].split()[0]):
        yield summed["claim"]
    for shape in (_RATIO, _CHANGED_TO, _LEFT_WITH, _IS_FOR, _DATED_EVENT):
        if (found := shape.fullmatch(clause)) and _is_plain(found["before"]):
            yield found["claim"]


def _is_plain(before: str | None) -> bool:
    """Whether what stands before a claim has no figure, and neither compares nor bounds."""
    return before is None or not any(pattern.search(before) for pattern in (VALUE, SPELT, COMPARES, _BOUNDS))
