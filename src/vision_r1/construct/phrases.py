r"""The phrases in which a reasoner speaks of a description, and what each becomes.

A phrase is looked for within one sentence, and only where one of its stems occurs. Everything is bounded,
so a search takes time in proportion to the sentence. Replacements take a phrase away and put a shorter or
plainer one in its place that no other pattern looks for.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Becomes = Callable[[re.Match[str]], str]
Phrase = tuple[tuple[str, ...], re.Pattern[str], Becomes]

_FLAGS = re.IGNORECASE
_IMAGE = r"(?:image|picture|figure|diagram|chart|graph|photo|photograph|table|plot|map|scene|drawing)"
_ADVERB = r"(?:also|only|just|clearly|explicitly|specifically|further|then|actually|simply|already|indeed|even|really)"
_OF = (
    r"(?:\s+of\s+(?:the|this|that|an?)\s+(?:\w+\s+){0,2}"
    r"(?:image|picture|figure|diagram|chart|graph|photo|table|plot|map|scene|drawing|problem|triangle|circle|shape|setup)s?)"
)
_GIVEN = (
    r"(?:\s+(?:above|given|provided|here|below)"
    r"|\s+(?:that\s+)?(?:I|we|the\s+user|they)(?:\s+(?:was|were|am|are|have\s+been|has|have)|['’]m|['’]ve)?"
    r"\s+(?:given|provided|gave|got)"
    r"|\s+(?:given|provided)\s+(?:by\s+the\s+user|to\s+(?:me|us)))"
)
_MODIFIER = (
    r"(?:(?:given|provided|detailed|above|image|picture|figure|text|textual|written|verbal|initial|original|problem"
    r"|first|full|whole|entire|same|actual|long|short)(?:['’]s)?\s+)"
)
_DETERMINER = r"(?:the\s+user['’]s|the|this|that|our|my|your|their|its)"
_WORD = r"(?:description|caption)"
_NOT_A_FIELD = r"(?!\s+(?:column|field|label|box|row|heading|header|section|writer)\b)(?!-)"
_NOUN = (
    rf"(?:{_DETERMINER}\s+{_MODIFIER}{{0,4}}|(?:(?:image|provided|given|picture)\s+){{1,2}})"
    rf"{_WORD}\b{_NOT_A_FIELD}{_OF}?{_GIVEN}?"
)
_TEXT = r"(?:the|this)\s+(?:(?:given|provided|above)\s+)?text(?!\s*(?:box|bubble|label|field|colou?r|size|above|below|in\b))"

_SAYS = r"(?:says|said|states|stated|mentions|mentioned|notes|noted|indicates|indicated|specifies|tells\s+(?:us|me))"
_MORE_SAYS = rf"(?:{_SAYS}|points\s+out|adds|clarifies|explains|emphasizes|highlights|reads|gives|describes|shows|lists)"
_SHOWS = (
    r"(?:shows|showed|lists|listed|gives|gave|contains|includes|provides|provided|depicts|describes|described|displays"
    r"|presents|reads|has|mentions|mentioned|states|stated|says|said|notes|noted|indicates|indicated|specifies"
    r"|talks\s+about|refers\s+to|speaks\s+of|goes\s+on\s+about|features|explains)"
)
_VERBS = (
    r"(?:is|are|was|were|has|have|had|reads?|equals?|shows?|lies?|meets?|intersects?|measures?|starts?|ends?"
    r"|contains?|holds?|must|can)"
)
_STARTS = (
    r"(?:the|a|an|there(?:['’]s|\s+is|\s+are)?|it|its|each|all|both|this|these|one|two|three|four|five|six|seven|eight|nine|ten"
    r"|angle|line|point|side)"
)


def _upper_as(model: str, text: str) -> str:
    """`text` with the letter case that `model` begins with."""
    return text[:1].upper() + text[1:] if model[:1].isupper() else text


def _to(text: str) -> Becomes:
    """A fixed text, in the letter case of what it replaces."""
    return lambda match: _upper_as(match[0], text)


def _rest(match: re.Match[str]) -> str:
    """What is said stands by itself: "The description says the bars have" -> "The bars have"."""
    return _upper_as(match[0], match["rest"])


def _adverb(text: str) -> Becomes:
    """ "The image", the adverb of the phrase, and `text`."""
    return lambda match: _upper_as(match[0], f"the image {match['adverb'].lower()} {text}")


def _looked(match: re.Match[str]) -> str:
    """ "Look at the image" in the form of the verb that it replaces."""
    looked = "looking at the image" if match["verb"].lower().endswith("ing") else "look at the image"
    return _upper_as(match[0], looked)


_DESCRIBED = ("descri", "caption")
_UNSEEN = (
    r"(?:I|we)(?:\s+(?:can(?:not|['’]t|\s+not)|do\s+not|don['’]t|am\s+unable\s+to|are\s+unable\s+to|could(?:\s+not|n['’]t))"
    r"|['’]m\s+unable\s+to)\s+(?:(?:actually|directly|physically|really)\s+)?"
    r"(?:see|view|look\s+at|access|have(?:\s+access\s+to)?|visuali[sz]e)\s+(?:the|this|that|any|an)\s+(?:actual\s+|original\s+)?"
    rf"{_IMAGE}(?:\s+(?:itself|directly|here))?"
)
_SOURCED = r"(?:descri|caption|text|given|provided|stated|mentioned|based|according)"

# In order: (stems, what is looked for, what it becomes).
_ALL: tuple[tuple[tuple[str, ...], str, Becomes], ...] = (
    # A sentence that only says that the image is not seen.
    (
        (*_DESCRIBED, "text"),
        rf"\A(?:(?:but|and|so|okay|ok|alright|well|hmm|now|wait|first)[,.]?\s+){{0,3}}"
        rf"(?:since|because|as|given\s+that|although|though|while)\s+{_UNSEEN}\s*,\s*(?:I|we)\b[^.!?\d,]{{0,60}}"
        rf"\b(?:rely|depend|go|work|trust|base|use|stick|reason|imagine)\b[^.!?\d,]{{0,60}}\b(?:description|caption|text)\b"
        r"[^.!?\d,]{0,40}[.!]?\Z",
        lambda _: "",
    ),
    (
        ("see ", "view ", "access", "look at", "have ", "visuali"),
        rf"\b(?:(?:since|as|because|although|though|while|even\s+though)\s+)?{_UNSEEN}\s*"
        rf"(?:,\s*(?:but\s+|so\s+|however,?\s+)?|\s+but\s+)(?=[^.!?]{{0,100}}{_SOURCED})(?P<rest>\w)",
        _rest,
    ),
    # The user gave a description.
    (
        _DESCRIBED,
        rf"\b(?P<lead>(?:provid(?:ed?|es|ing)|gave|gives?|given|shar(?:ed|es)|has|have|got|presented|with|from|there(?:['’]s|\s+is)"
        rf"|this\s+is)\s+(?:me\s+|us\s+)?(?:with\s+)?)"
        rf"(?:a|an|the)\s+{_MODIFIER}{{0,4}}{_WORD}\s+of\s+(?:an?|the|this)\s+(?:image|picture|photo|photograph)\b",
        lambda match: f"{match['lead']}an image",
    ),
    (
        _DESCRIBED,
        rf"\b(?P<lead>(?:provid(?:ed?|es|ing)|gave|gives?|given|shar(?:ed|es)|has|have|got|presented|with|from|there(?:['’]s|\s+is)"
        rf"|this\s+is)\s+(?:me\s+|us\s+)?(?:with\s+)?)an?\s+{_MODIFIER}{{0,4}}{_WORD}\b{_NOT_A_FIELD}",
        lambda match: f"{match['lead']}an image",
    ),
    (
        ("user",),
        r"\bthe\s+user\s+(?:also\s+|has\s+)?(?:describes|described|is\s+describing)\s+(?=(?:an?|the|two|three|four|some|several)\b)",
        _to("the image shows "),
    ),
    (
        ("by the user",),
        r"\bas\s+(?:described|stated|mentioned)\s+by\s+the\s+user\b",
        _to("as the image shows"),
    ),
    (("by the user",), r"\bdescribed\s+by\s+the\s+user\b", _to("shown in the image")),
    (
        ("user",),
        rf"\bthe\s+user\s+(?:{_ADVERB}\s+)?{_SAYS}\s+that\s+(?=(?:{_STARTS}|[A-Z]{{1,4}})\b)",
        _to("it is given that "),
    ),
    (("user",), r"\bthe\s+user\s+(?:also\s+)?mention(?:s|ed)\s+(?=an?\s)", _to("there is ")),
    # Said that the image shows.
    (
        ("image", "figure", "picture", "diagram", "chart", "graph", "table", "photo", "map", "scene"),
        rf"\b(?:{_NOUN}|{_TEXT}|the\s+(?:problem|question|prompt|user|image)(?:\s+statement)?)\s+(?:{_ADVERB}\s+)?"
        rf"(?:{_SAYS}|describes|shows)\s+(?:that\s+)?(?P<rest>(?:the|this)\s+{_IMAGE}\s+"
        r"(?:shows|depicts|displays|has|contains|includes|illustrates|features|presents))\b",
        _rest,
    ),
    # The image in the description.
    (
        _DESCRIBED,
        rf"\b(?:visuali[sz]e|picture|imagine|reconstruct|sketch)\s+(?:the|this)\s+{_IMAGE}\s+"
        rf"(?:based\s+on|from|using|according\s+to)\s+{_NOUN}",
        _to("look at the image"),
    ),
    (
        _DESCRIBED,
        rf"\b(?:the|this)\s+{_IMAGE}\s+(?:described\s+)?(?:in|from|per)\s+{_NOUN}",
        _to("the image"),
    ),
    # In the description, it says that ...
    (
        _DESCRIBED,
        rf"\b(?:in|from|according\s+to|per)\s+{_NOUN},?\s+(?:it|they)(?:\s+(?:is|was)|['’]s)?\s+(?:{_ADVERB}\s+)?"
        rf"(?:{_SAYS}|written|described|given|shown)(?P<that>\s+that)?\s+(?!in\b)",
        lambda match: _upper_as(match[0], f"the image shows {'that ' if match['that'] else ''}"),
    ),
    (
        _DESCRIBED,
        rf"\bit(?:\s+(?:is|was)|['’]s)\s+(?:{_ADVERB}\s+)?(?:mentioned|stated|described|noted|said|specified|given|written)"
        rf"\s+(?:in|by)\s+{_NOUN}\s+that\s+",
        _to("the image shows that "),
    ),
    # A clause follows: it stands without the lead, unless an adverb ties it to what was said before.
    (_DESCRIBED, rf"\b{_NOUN}\s+{_SAYS}\s+that\s+(?P<rest>\w)", _rest),
    (("text",), rf"\b{_TEXT}\s+{_SAYS}\s+that\s+(?P<rest>\w)", _rest),
    (
        _DESCRIBED,
        rf"\b{_NOUN}\s+{_SAYS}\s*(?:[:,]\s*|\s)(?P<rest>(?:{_STARTS})\b(?=(?:\s+[\w-]+){{0,6}}\s+{_VERBS}\b)"
        r"|there(?:['’]s|\s+is|\s+are)\b)",
        _rest,
    ),
    (_DESCRIBED, rf"\b{_NOUN}\s+(?P<adverb>{_ADVERB})\s+{_MORE_SAYS}\s+that\s+", _adverb("shows that ")),
    (
        _DESCRIBED,
        rf"\b{_NOUN}\s+(?:is|was)\s+(?:saying|telling\s+(?:us|me)|indicating)\s+(?:that\s+)?",
        _to("the image shows that "),
    ),
    (_DESCRIBED, rf"\b{_NOUN}\s+(?:is|was)\s+that\s+of\s+", _to("the image shows ")),
    (_DESCRIBED, rf"\b{_NOUN}\s+(?:is|was)\s+that\s+", _to("the image shows that ")),
    (_DESCRIBED, rf"\b{_NOUN}\s+{_MORE_SAYS}\s+that\s+", _to("the image shows that ")),
    (
        _DESCRIBED,
        rf"\b{_NOUN}\s+(?P<seems>seems|appears)\s+to\s+(?:say|suggest|indicate|show|mention|imply|describe|state)\b",
        lambda match: _upper_as(match[0], f"the image {match['seems'].lower()} to show"),
    ),
    (
        _DESCRIBED,
        rf"\b{_NOUN}\s+(?:does|did)\s+(?:say|state|mention|show|specify|note|describe|include|list)\b",
        _to("the image does show"),
    ),
    # A thing follows: the image shows it.
    (
        _DESCRIBED,
        rf"\b{_NOUN}\s+(?:is|was)\s+(?:about|of|describing|showing|as\s+follows)\b",
        _to("the image shows"),
    ),
    (
        _DESCRIBED,
        rf"\b{_NOUN}\s+(?P<adverb>{_ADVERB})\s+{_SHOWS}\b(?!\s+(?:that|{_SHOWS})\b)",
        _adverb("shows"),
    ),
    (_DESCRIBED, rf"\b{_NOUN}\s+{_SHOWS}\b(?!\s+(?:that|{_SHOWS})\b)", _to("the image shows")),
    (
        ("text",),
        rf"\b{_TEXT}\s+(?:mentions|describes|states|indicates|specifies|notes)\b(?!\s+(?:that|{_SHOWS})\b)",
        _to("the image shows"),
    ),
    (
        _DESCRIBED,
        rf"\b{_NOUN}\s+(?=(?:suggests|implies|confirms|reveals|matches|makes|represents|illustrates)\b)",
        _to("the image "),
    ),
    (_DESCRIBED, rf"\b{_NOUN}(?=\s*:)", _to("the image shows")),
    (_DESCRIBED, rf"\b{_NOUN}['’]s\s+", _to("the image's ")),
    # "As described in the caption", "is mentioned in the description".
    (
        _DESCRIBED,
        rf"\bas\s+(?:described|mentioned|stated|given|noted|shown)\s+(?:in|by)\s+{_NOUN}\b",
        _to("as the image shows"),
    ),
    (
        _DESCRIBED,
        rf"(?<!not )(?<!n't )(?<!n’t )(?<!never )\b(?:described|mentioned|stated|given|noted|listed|specified|provided)"
        rf"\s+(?:in|by)\s+{_NOUN}\b",
        _to("shown in the image"),
    ),
    (("descri",), r"\bas\s+described\b(?!\s+(?:in|by)\b)", _to("as shown")),
    (
        ("descri",),
        rf"\b(?:the|this)\s+described\s+(?P<what>{_IMAGE}|triangle|circle|square|rectangle|polygon|shape|setup|angle|line)\b",
        lambda match: _upper_as(match[0], f"the {match['what']}"),
    ),
    (
        ("descri",),
        r"\b(?P<what>(?:the|this)\s+(?:image|picture|photo))\s+described\b(?!\s+(?:in|by|as)\b)",
        lambda match: match["what"],
    ),
    (
        ("descri",),
        rf"\b(?P<what>(?:the|this|that|these|those|each)\s+(?:\w+\s+)?(?:{_IMAGE}|shape|triangle|circle|square|rectangle|polygon|angle|line"
        r"|point|bar|object|setup|configuration|arrangement|situation|scenario|pattern|grid|layout|structure|number|value|item|element)s?)"
        r"\s+described\b(?!\s+(?:in|by|as|the|an?)\b)",
        lambda match: f"{match['what']} shown",
    ),
    (("descri",), r"\b(?P<be>is|are|was|were)\s+described\s+as\b", lambda match: f"{match['be']} shown as"),
    # The image can be looked at, not read.
    (
        _DESCRIBED,
        r"\b(?P<verb>re-?read(?:ing)?|read(?:ing)?|go(?:ing)?\s+(?:back\s+to|over|through)|pars(?:e|ing)|break(?:ing)?\s+down"
        rf"|process(?:ing)?|unpack(?:ing)?|digest(?:ing)?|scan(?:ning)?)\s+{_NOUN}",
        _looked,
    ),
    (
        _DESCRIBED,
        rf"\b(?P<lead>(?:question|problem|options|choices|image)\s+and)\s+{_NOUN}(?=\s*(?:[.,;:!?]|\Z))",
        lambda match: f"{match['lead']} the image",
    ),
    (
        _DESCRIBED,
        rf"\b{_NOUN}(?=\s+and\s+the\s+(?:question|problem|options|choices|answer)\b)",
        _to("the image"),
    ),
    (
        _DESCRIBED,
        r"\b(?P<lead>according\s+to|based\s+on|(?:judging|going)\s+(?:from|by)|in|from|at|per|with|by|to|of|on|for|given|following"
        r"|check(?:ing)?|see|revisit(?:ing)?|review(?:ing)?|examin(?:e|ing)|consider(?:ing)?|using|use|understand(?:ing)?"
        r"|analy[sz](?:e|ing)|stud(?:y|ying)|inspect(?:ing)?|consult(?:ing)?|follow|trust(?:ing)?|misread|misinterpreted"
        rf"|match(?:es|ing)?|have|recall(?:ing)?|remember|double-check(?:ing)?|visuali[sz](?:e|ing))\s+{_NOUN}"
        r"(?!\s+(?:is|was|might|may|could|would|should|must|can|will|does|did|doesn|didn|isn|lacks?|needs?|omits?|never|calls?|seems|leaves)\b)",
        lambda match: f"{match['lead']} the image",
    ),
    (
        ("text",),
        rf"\b(?P<lead>according\s+to|based\s+on|from|(?:as\s+)?per)\s+{_TEXT}",
        lambda match: f"{match['lead']} the image",
    ),
    # What the steps before may have put side by side.
    (("the image shows",), r"\bthe\s+image\s+shows\s+(?:that\s+)?(?P<rest>the\s+image\s+shows)\b", _rest),
)
PHRASES: tuple[Phrase, ...] = tuple(
    (stems, re.compile(pattern, _FLAGS), becomes) for stems, pattern, becomes in _ALL
)
# A sentence without any of these holds none of the phrases.
STEMS = (
    "descri", "caption", "text", "the user", "see ", "view ", "access", "look at", "visuali", "the problem",
    "the question", "the prompt", "the image shows",
)  # fmt: skip
