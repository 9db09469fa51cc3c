r"""The phrases in which a reasoner speaks of a description, and what each becomes.

A phrase is looked for within one sentence, and only where one of its stems occurs. Everything is bounded,
so a search takes time in proportion to the sentence. Replacements take a phrase away and put a shorter or
plainer one in its place that no other pattern looks for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

_IMAGE = r"(?:image|picture|figure|diagram|chart|graph|photo|photograph|table|plot|map|scene|drawing)"
_SHAPE = r"(?:shape|triangle|circle|square|rectangle|polygon|angle|line|setup)"
_THING = (
    rf"(?:{_IMAGE}|{_SHAPE}|point|bar|object|configuration|arrangement|situation|scenario|pattern|grid|layout"
    r"|structure|number|value|item|element)s?"
)
_ADVERB = (
    r"(?:also|only|just|clearly|explicitly|specifically|further|then|actually|simply|already|indeed|even"
    r"|really)"
)

# "The user's detailed image description of the chart given above", "the image's caption".
_WORD = r"(?:description|caption)"
_DETERMINER = r"(?:the\s+user['’]s|the|this|that|our|my|your|their|its)"
_MODIFIER = (
    r"(?:(?:given|provided|detailed|above|image|picture|figure|text|textual|written|verbal|initial|original"
    r"|problem|first|full|whole|entire|same|actual|long|short)(?:['’]s)?\s+)"
)
# A column of a table may be called so.
_NO_FIELD = r"(?!\s+(?:column|field|label|box|row|heading|header|section|writer)\b)(?!-)"
# Of an image or what is drawn in it; the description of an experiment is a text.
_DRAWN = rf"(?:{_IMAGE}|{_SHAPE}|bar|object|grid|layout|configuration|arrangement)"
_OF = rf"(?:\s+of\s+(?:the|this|that|an?)\s+(?:\w+\s+){{0,2}}{_DRAWN}s?\b)"
_GIVEN = (
    r"(?:\s+(?:above|given|provided|here|below)"
    r"|\s+(?:that\s+)?(?:I|we|the\s+user|they)(?:\s+(?:was|were|am|are|have\s+been|has|have)|['’]m|['’]ve)?"
    r"\s+(?:given|provided|gave|got)"
    r"|\s+(?:given|provided)\s+(?:by\s+the\s+user|to\s+(?:me|us)))"
)
_NOUN = (
    rf"(?:{_DETERMINER}\s+{_MODIFIER}{{0,4}}|(?:(?:image|provided|given|picture)\s+){{1,2}})"
    rf"{_WORD}\b{_NO_FIELD}{_OF}?{_GIVEN}?(?!\s+of\b)"
)
# Text on a sign, of a poem, under a picture is text that the image shows.
_TEXT = (
    r"(?:the|this)\s+(?:(?:given|provided|above)\s+)?"
    r"text(?!\s*(?:box|bubble|label|field|message|colou?r|size|above|below)|\s+(?:in|on|of|at|under|underneath|inside"
    r"|within|over|beneath|beside|behind|near|next|around|along|across|between|from|for"
    r"|printed|written|shown|displayed|visible|labell?ed)\b)\b"
)

_SAYS = (
    r"(?:says|said|states|stated|mentions|mentioned|notes|noted|indicates|indicated|specifies"
    r"|tells\s+(?:us|me))"
)
_SAYS_THAT = (
    rf"(?:{_SAYS}|points\s+out|adds|clarifies|explains|emphasizes|highlights|reads|gives|describes|shows|lists"
    r"|(?:is|was)\s+(?:saying|indicating)|(?:is|was))\s+that"
)
_SHOWS = (
    rf"(?:{_SAYS}|shows|showed|lists|listed|gives|gave|contains|includes|provides|provided|depicts|describes"
    r"|described|displays|presents|reads|has|talks\s+about|refers\s+to|speaks\s+of|features|explains)"
)
_VERBS = (
    r"(?:is|are|was|were|has|have|had|reads?|equals?|shows?|lies?|meets?|intersects?|measures?|starts?|ends?"
    r"|contains?|holds?|must|can)"
)
# What a clause begins with, as against the name of a thing.
_STARTS = (
    r"(?:the|a|an|there|it|its|each|all|both|this|these|one|two|three|four|five|six|seven|eight|nine|ten"
    r"|angle|line|point|side)"
)
_WRITTEN = r"(?:described|mentioned|stated|given|noted|listed|specified|provided|said|written)"
_GAVE = (
    r"(?:(?:provid(?:ed?|es|ing)|gave|gives?|given|shar(?:ed|es)|has|have|got|presented|with|from"
    r"|there(?:['’]s|\s+is)|this\s+is)\s+(?:me\s+|us\s+)?(?:with\s+)?)"
)
_UNSEEN = (
    r"(?:I|we)(?:\s+(?:can(?:not|['’]t|\s+not)|do\s+not|don['’]t|(?:am|are)\s+unable\s+to|could(?:\s+not|n['’]t))"
    r"|['’]m\s+unable\s+to)\s+(?:(?:actually|directly|physically|really)\s+)?"
    r"(?:see|view|look\s+at|access|have(?:\s+access\s+to)?|visuali[sz]e)\s+(?:the|this|that|any|an)\s+"
    rf"(?:actual\s+|original\s+)?{_IMAGE}(?:\s+(?:itself|directly|here))?"
)
# Somebody told it: nobody tells a model that looks at an image. "We are told" is said of a question, too.
# Not behind a quotation mark: an image may show such words.
_TOLD = (
    r"(?P<space>\A|\s)(?:I|we)(?:\s+(?:was|were|have\s+been|had\s+been)|['’]ve\s+been)"
    rf"\s+(?:{_ADVERB}\s+)?told"
)
# Not those of the problem, or of a thing.
_DETAILS = (
    r"(?:the|these)\s+(?:(?:given|provided|described)\s+details|details\s+(?:given|provided|described))\b"
    r"(?!\s+(?:of|in|from|about|on|by|for|with|above|below)\b)"
)
_BEFORE_NOUN = (
    r"(?:according\s+to|based\s+on|(?:judging|going)\s+(?:from|by)|in|from|at|per|with|by|to|of|on|for|given"
    r"|following|check(?:ing)?|see|revisit(?:ing)?|review(?:ing)?|examin(?:e|ing)|consider(?:ing)?|using|use"
    r"|understand(?:ing)?|analy[sz](?:e|ing)|stud(?:y|ying)|inspect(?:ing)?|consult(?:ing)?|follow"
    r"|trust(?:ing)?|misread|misinterpreted|match(?:es|ing)?|have|recall(?:ing)?|remember"
    r"|double-check(?:ing)?|visuali[sz](?:e|ing)|provided|gave|shared)"
)
# What a description says, not what a part of it does: "the first sentence of the description says".
_SUBJECT = rf"(?<!of )(?<!in )(?<!from )\b{_NOUN}"
_NO_SUBJECT = (
    r"(?!['’]s\b)(?!\s+(?:is|was|might|may|could|would|should|must|can|will|does|did|doesn|didn|isn|lacks?|needs?|omits?"
    r"|never|calls?|seems|leaves|says|said|mentions|states|describes|reads)\b)"
)


class Phrase(NamedTuple):
    """A phrase to look for.

    Attributes:
        stems: one of them is in any text that holds the phrase, in lower case.
        pattern: the phrase.
        becomes: what stands in its place, in the letter case that the phrase begins with.
    """

    stems: tuple[str, ...]
    pattern: re.Pattern[str]
    becomes: Callable[[re.Match[str]], str]


def _phrase(stems: tuple[str, ...], pattern: str, becomes: str) -> Phrase:
    """`becomes` may name groups of the pattern, "{lead} the image"; those that are not there are empty."""

    def replacement(match: re.Match[str]) -> str:
        text = becomes.format_map({name: found or "" for name, found in match.groupdict().items()})
        return text[:1].upper() + text[1:] if match[0][:1].isupper() else text

    return Phrase(stems, re.compile(pattern, re.IGNORECASE), replacement)


_D = ("descri", "caption")
_SEE = ("see ", "view ", "access", "look at", "have ", "visuali")
_IMAGES = ("image", "figure", "picture", "diagram", "chart", "graph", "table", "photo", "map", "scene")

# In order.
_NOT_SEEN = (
    # A sentence that says nothing but that the image is not seen.
    _phrase(
        (*_D, "text"),
        rf"\A(?:(?:but|and|so|okay|ok|alright|well|hmm|now|wait|first)[,.]?\s+){{0,3}}"
        rf"(?:since|because|as|given\s+that|although|though|while)\s+{_UNSEEN}\s*,\s*(?:I|we)\b[^.!?\d,]{{0,60}}"
        r"\b(?:rely|depend|go|work|trust|base|use|stick|reason|imagine)\b[^.!?\d,]{0,60}"
        r"\b(?:description|caption|text)\b[^.!?\d,]{0,40}[.!]?\Z",
        "",
    ),
    _phrase(
        _SEE,
        rf"\b(?:(?:since|as|because|although|though|while|even\s+though)\s+)?{_UNSEEN}\s*"
        r"(?:,\s*(?:but\s+|so\s+|however,?\s+)?|\s+but\s+)"
        r"(?=[^.!?]{0,100}(?:descri|caption|text|given|provided|stated|mentioned|based|according))(?P<rest>\w)",
        "{rest}",
    ),
)
_FROM_USER = (
    _phrase(
        _D,
        rf"\b(?P<gave>{_GAVE})an?\s+{_MODIFIER}{{0,4}}{_WORD}\s+of\s+(?:an?|the|this)\s+"
        r"(?:image|picture|photo|photograph)\b",
        "{gave}an image",
    ),
    _phrase(_D, rf"\b(?P<gave>{_GAVE})an?\s+{_MODIFIER}{{0,4}}{_WORD}\b{_NO_FIELD}", "{gave}an image"),
    _phrase(
        ("the user",),
        r"\bthe\s+user\s+(?:also\s+|has\s+)?(?:describes|described|is\s+describing)\s+"
        r"(?=(?:an?|the|two|three|four|some|several)\b)",
        "the image shows ",
    ),
    _phrase(("by the user",), rf"\bas\s+{_WRITTEN}\s+by\s+the\s+user\b", "as the image shows"),
    _phrase(("by the user",), r"\bdescribed\s+by\s+the\s+user\b", "shown in the image"),
    _phrase(
        ("the user",),
        rf"\bthe\s+user\s+(?:{_ADVERB}\s+)?{_SAYS}\s+that\s+(?=(?:{_STARTS}|[A-Z]{{1,4}})\b)",
        "it is given that ",
    ),
    _phrase(("the user",), r"\bthe\s+user\s+(?:also\s+)?mention(?:s|ed)\s+(?=an?\s)", "there is "),
)
_TOLD_SO = (
    _phrase((" told",), rf"{_TOLD}\s+that\s+(?P<rest>\w)", "{space}{rest}"),
    _phrase(
        (" told",),
        rf"{_TOLD}\s+(?P<rest>{_STARTS}\b(?=(?:\s+[\w-]+){{0,6}}\s+{_VERBS}\b))",
        "{space}{rest}",
    ),
    _phrase(
        ("details",),
        rf"\b{_DETAILS}\s+(?:say|state|mention|note|indicate|specify|show)\s+that\s+(?P<rest>\w)",
        "{rest}",
    ),
    _phrase(
        ("details",),
        rf"\b{_DETAILS}\s+(?:say|state|mention|note|indicate|specify|show|list|describe|include)\s+(?!that\b)",
        "the image shows ",
    ),
    _phrase(
        ("details",),
        rf"\b(?P<lead>according\s+to|based\s+on|going\s+by|judging\s+from|from|per)\s+{_DETAILS}",
        "{lead} the image",
    ),
)
_OF_IMAGE = (
    # "The problem says that the image shows": it does.
    _phrase(
        _IMAGES,
        rf"\b(?:{_NOUN}|{_TEXT}|the\s+(?:problem|question|prompt|user|image)(?:\s+statement)?)\s+(?:{_ADVERB}\s+)?"
        rf"(?:{_SAYS}|describes|shows)\s+(?:that\s+)?(?P<rest>(?:the|this)\s+{_IMAGE}\s+"
        r"(?:shows|depicts|displays|has|contains|includes|illustrates|features|presents))\b",
        "{rest}",
    ),
    _phrase(
        _D,
        rf"\b(?:visuali[sz]e|picture|imagine|reconstruct|sketch)\s+(?:the|this)\s+{_IMAGE}\s+"
        rf"(?:based\s+on|from|using|according\s+to)\s+{_NOUN}",
        "look at the image",
    ),
    _phrase(_D, rf"\b(?:the|this)\s+{_IMAGE}\s+(?:described\s+)?(?:in|from|per)\s+{_NOUN}", "the image"),
)
_SAID = (
    # "In the description, it says that AB is 5."
    _phrase(
        _D,
        rf"\b(?:in|from|according\s+to|per)\s+{_NOUN},?\s+(?:it|they)(?:\s+(?:is|was)|['’]s)?\s+(?:{_ADVERB}\s+)?"
        rf"(?:{_SAYS}|{_WRITTEN}|shown)(?P<that>\s+that)?\s+(?!in\b)",
        "the image shows{that} ",
    ),
    _phrase(
        _D,
        rf"\b(?:it(?:\s+(?:is|was)|['’]s)|(?:we|I)(?:\s+(?:are|am|were|was)|['’](?:re|m)))\s+(?:{_ADVERB}\s+)?"
        rf"(?:{_WRITTEN}|told|informed)\s+(?:in|by)\s+{_NOUN}\s+that\s+",
        "the image shows that ",
    ),
    _phrase(
        _D,
        rf"\bit\s+(?:says|states|mentions)\s+in\s+{_NOUN}\s+(?:that\s+)?",
        "the image shows that ",
    ),
    # A clause follows: it stands without the lead, unless an adverb ties it to what was said before.
    _phrase(_D, rf"{_SUBJECT}\s+{_SAYS}\s+that\s+(?P<rest>\w)", "{rest}"),
    _phrase(("text",), rf"\b{_TEXT}\s+{_SAYS}\s+that\s+(?P<rest>\w)", "{rest}"),
    _phrase(
        _D,
        rf"(?<!as )(?<!what )(?<!like ){_SUBJECT}\s+{_SAYS}\s*(?:[:,]\s*|\s)(?P<rest>{_STARTS}\b"
        rf"(?=(?:\s+[\w-]+){{0,6}}\s+{_VERBS}\b)"
        r"|there(?:['’]s|\s+is|\s+are)\b)",
        "{rest}",
    ),
    _phrase(_D, rf"{_SUBJECT}\s+(?:is|was)\s+that\s+of\s+", "the image shows "),
    _phrase(_D, rf"{_SUBJECT}(?P<adverb>\s+{_ADVERB})?\s+{_SAYS_THAT}\s+", "the image{adverb} shows that "),
    _phrase(
        _D,
        rf"{_SUBJECT}\s+(?P<seems>seems|appears)\s+to\s+(?:say|suggest|indicate|show|mention|imply|describe|state)\b",
        "the image {seems} to show",
    ),
    _phrase(
        _D,
        rf"{_SUBJECT}\s+(?:does|did)\s+(?:say|state|mention|show|specify|note|describe|include|list)\b",
        "the image does show",
    ),
    # A thing follows: the image shows it.
    _phrase(
        _D, rf"{_SUBJECT}\s+(?:is|was)\s+(?:about|of|describing|showing|as\s+follows)\b", "the image shows"
    ),
    _phrase(
        _D,
        rf"{_SUBJECT}(?P<adverb>\s+{_ADVERB})?\s+{_SHOWS}\b(?!\s+(?:that|{_SHOWS}|an?\s+(?:typo|error|mistake))\b)",
        "the image{adverb} shows",
    ),
    _phrase(
        ("text",),
        rf"\b{_TEXT}\s+(?:mentions|describes|states|indicates|specifies|notes)\b(?!\s+(?:that|{_SHOWS})\b)",
        "the image shows",
    ),
    _phrase(
        _D,
        rf"{_SUBJECT}\s+(?=(?:suggests|implies|confirms|reveals|matches|makes|represents|illustrates)\b)",
        "the image ",
    ),
    _phrase(_D, rf"(?<!\w )\b{_NOUN}(?=\s*:)", "the image shows"),
    _phrase(_D, rf"\b{_NOUN}['’]s\s+(?!(?:wording|phrasing|words|text|language)\b)", "the image's "),
)
_DESCRIBED = (
    _phrase(
        _D,
        rf"\bas\s+(?:{_WRITTEN}|shown)\s+(?:(?:earlier|before|above)\s+)?(?:in|by)\s+{_NOUN}(?!\s+{_SHOWS}\b)",
        "as the image shows",
    ),
    # "Not given in the description" says that something is missing.
    _phrase(
        _D,
        rf"(?<!not )(?<!n't )(?<!n’t )(?<!never )\b{_WRITTEN}\s+(?:in|by)\s+{_NOUN}(?!\s+{_SHOWS}\b)",
        "shown in the image",
    ),
    _phrase(("descri",), r"\bas\s+described\b(?!\s+(?:in|by)\b)", "as shown"),
    _phrase(
        ("descri",),
        rf"\b(?:the|this|these|those)\s+described\s+(?P<what>{_THING})\b",
        "the {what}",
    ),
    _phrase(
        ("descri",),
        r"\b(?P<what>(?:the|this)\s+(?:image|picture|photo))\s+described\b(?!\s+(?:in|by|as)\b)",
        "{what}",
    ),
    _phrase(
        ("descri",),
        rf"\b(?P<what>(?:the|this|that|these|those|each)\s+(?:\w+\s+)?{_THING})\s+described\b"
        r"(?!\s+(?:in|by|as|the|an?)\b)",
        "{what} shown",
    ),
    _phrase(
        ("descri",),
        r"\b(?P<what>(?:what|it|this|that)(?:['’]s|\s+is|\s+was)(?:\s+being)?)\s+described\b(?!\s+(?:as|by|in)\b)",
        "{what} shown",
    ),
    _phrase(("descri",), r"\b(?P<be>is|are|was|were)\s+described\s+as\b", "{be} shown as"),
)
_LOOKED_AT = (
    # The image can be looked at, not read.
    _phrase(
        _D,
        r"\b(?:re-?reading|reading|going\s+(?:back\s+to|over|through)|parsing|breaking\s+down|processing"
        rf"|unpacking|digesting|scanning)\s+{_NOUN}",
        "looking at the image",
    ),
    _phrase(
        _D,
        r"\b(?:re-?read|read|go\s+(?:back\s+to|over|through)|parse|break\s+down|process|unpack|digest|scan)"
        rf"\s+{_NOUN}",
        "look at the image",
    ),
    _phrase(
        _D,
        rf"\b(?P<lead>(?:question|problem|options|choices|image)\s+and)\s+{_NOUN}(?=\s*(?:[.,;:!?]|\Z))",
        "{lead} the image",
    ),
    _phrase(_D, rf"\b{_NOUN}(?=\s+and\s+the\s+(?:question|problem|options|choices|answer)\b)", "the image"),
    _phrase(_D, rf"\b(?P<lead>{_BEFORE_NOUN})\s+{_NOUN}{_NO_SUBJECT}", "{lead} the image"),
    _phrase(
        ("text",), rf"\b(?P<lead>according\s+to|based\s+on|from|(?:as\s+)?per)\s+{_TEXT}", "{lead} the image"
    ),
    # What the steps before may have put side by side.
    _phrase(
        ("the image shows",),
        r"\bthe\s+image\s+shows\s+(?:that\s+)?(?P<rest>the\s+image\s+shows)\b",
        "{rest}",
    ),
)
PHRASES = (*_NOT_SEEN, *_FROM_USER, *_TOLD_SO, *_OF_IMAGE, *_SAID, *_DESCRIBED, *_LOOKED_AT)

# A sentence without any of these holds none of the phrases.
STEMS = (
    "descri", "caption", "text", "the user", "see ", "view ", "access", "look at", "visuali", "the problem",
    "the question", "the prompt", "the image shows", " told", "details",
)  # fmt: skip
