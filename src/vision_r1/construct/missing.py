"""Talk of what is missing: content that was not given, an image that cannot be seen, a refusal.

A thought with such talk teaches a model that sees the image to say that it does not. Each pattern is
looked for only in a text that holds one of its stems, which most texts do not.
"""

from __future__ import annotations

import re

_FLAGS = re.IGNORECASE
_IMAGE = r"(?:image|picture|figure|diagram|chart|graph|photo|table|plot)"
# What was handed over in words tells or does not; an image that does not show a dog is one that was seen.
_TELLER = r"(?:description|caption|text|information|user)"
_TOLD = r"(?:mention|say|state|provide|specify|give|include|list|tell|describe|contain|show|indicate)"
_ENOUGH = (
    r"(?:enough|sufficient|(?:all\s+)?(?:of\s+)?the\s+(?:necessary|needed|required|relevant)"
    r"|any\s+(?:\w+\s+)?information)"
)
# "Is not mentioned in row 2" is said of what is there.
_ELSEWHERE = (
    r"(?!\s+(?:in|on|at|by|among|under|as|until|with|between)\b(?!\s+(?:the|this|that|your|our)\s+(?:\w+\s+){0,2}"
    r"(?:description|caption|text|image|picture|figure|diagram|problem|question|prompt|information)\b))"
)
_SHOWN = r"(?:here|provided|attached|given|available|included|shown|visible)"
_CANNOT = (
    r"(?:can(?:not|['’]t|\s+not)|unable\s+to|not\s+able\s+to|could(?:\s+not|n['’]t)|wish\s+I\s+could"
    r"|if\s+(?:I|we)\s+could)\s+(?:\w+ly\s+)?"
)
_REACH = 90  # characters
_LACK = r"(?:do(?:es)?\s+not|do(?:es)?n['’]t|did(?:\s+not|n['’]t))\s+(?:\w+ly\s+)?"
_THE_IMAGE = rf"(?:(?:the|this|that|any|an|your)\s+)?(?:actual\s+|original\s+|real\s+)?{_IMAGE}s?\b"

# (stems of which one must be there, in lower case; the pattern)
_MISSING: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (stems, re.compile(pattern, _FLAGS))
    for stems, pattern in (
        (
            # "Not" itself is common; what stands before it is not. White space may be more than a space.
            ("do not ", "does not ", "did not ", "  not ", "n't ", "n’t ", "never "),
            rf"\b{_TELLER}\s+(?:{_LACK}|never\s+){_TOLD}s?\b"
            rf"|\b{_IMAGE}\s+(?:{_LACK}|never\s+)(?:provide|specify)s?\b"
            rf"|\b(?:{_IMAGE}|problem|question)\s+(?:{_LACK}|never\s+){_TOLD}s?\s+(?:us\s+|me\s+)?{_ENOUGH}\b",
        ),
        (
            ("provided", "mentioned", "specified", "stated", "described"),
            r"\b(?:(?:is|are|was|were)\s+not|(?:is|are|was|were)n['’]t)\s+(?:\w+ly\s+)?"
            rf"(?:provided|mentioned|specified|stated|described)\b{_ELSEWHERE}|\bnot\s+provided\b",
        ),
        (
            ("given in", "visible", "attached", "available", "accessible"),
            r"\b(?:(?:is|are|was|were)\s+not|(?:is|are|was|were)n['’]t)\s+(?:\w+ly\s+)?given\s+in\s+the"
            r"\s+(?:\w+\s+)?(?:description|caption|image|text)\b"
            rf"|\b{_IMAGE}\s+(?:(?:is|was)\s+not|(?:is|was)n['’]t)\s+(?:visible|attached|available|accessible)\b",
        ),
        (("no mention",), r"\bno\s+mention\s+of\b"),
        (
            ("missing", "insufficient", "not enough"),
            r"\b(?:insufficient|not\s+enough|(?:is|are|has|have|with|some|to|of)\s+missing)"
            r"\s+(?:information|data|details?)\b(?!\s+(?:points?|values?|entry|entries|items?)\b)",
        ),
        (
            ("guess",),
            r"\b(?:(?:have|need)\s+to|must|(?:can|could)\s+only|(?:I|we)\s+will|(?:I|we)['’]ll)\s+(?:just\s+)?guess\b"
            r"(?!\s+and\s+(?:check|test|verify))|\b(?:just|only)\s+guess(?:ing)?\b",
        ),
        (("see ", "view "), rf"\b{_CANNOT}(?:see|view)\s+{_THE_IMAGE}"),
        (
            ("have ", "access"),
            rf"\b{_LACK}(?:(?:actually|really)\s+)?have\s+(?:access\s+to\s+)?(?:the|this|any|an)"
            rf"\s+(?:actual\s+|original\s+|real\s+)?{_IMAGE}\b",
        ),
        (
            ("without",),
            rf"\bwithout\s+(?:(?:actually\s+)?(?:seeing|viewing|access\s+to)\s+)?(?:the|an|any)"
            rf"\s+(?:actual\s+|original\s+)?{_IMAGE}\b(?!\s*['’]s)",
        ),
        (
            ("no image", "no picture", "no figure", "no diagram", "no chart", "no photo"),
            rf"\bthere(?:\s+is|['’]s|\s+was)\s+no\s+(?:actual\s+)?{_IMAGE}"
            rf"(?:\s*(?:[.,;:!?)]|\Z)|\s+(?:{_SHOWN}|(?:but|so|and|to\s+(?:see|look|view|refer))\b|(?:for|in|with)\s+"
            r"(?:the|this)\s+(?:problem|question|prompt)\b))"
            rf"|\bno\s+{_IMAGE}\s+(?:(?:is|was)\s+)?{_SHOWN}\b",
        ),
        (
            ("only have",),
            r"\bonly\s+have\s+(?:the|a|this)\s+(?:\w+\s+)?(?:text|description|caption)\b",
        ),
        (
            ("probabl", "likel", "presumabl"),
            rf"\b{_IMAGE}\s+(?:likely|probably|presumably)\s+(?:shows?|depicts?|has|contains?|includes?|displays?)\b"
            rf"|\bpresumably,?\s+(?:the|this)\s+{_IMAGE}\b",
        ),
        (
            ("model",),
            r"\b(?:text[- ](?:based|only)|language)\s+model,?\s+I\b"
            r"|\bas\s+an?\s+(?:AI|text[- ](?:based|only))\b",
        ),
    )
)
_SPACES = {number: " " for number in range(0x3001) if chr(number).isspace()}
_REFUSAL = re.compile(
    r"\bI(?:['’]m|\s+am)\s+(?:very\s+|so\s+)?sorry,?\s+(?:but\s+)?I\s+(?:can(?:not|['’]t)|am\s+unable|won['’]t)"
    r"|\bI\s+apologi[sz]e,?\s+but\s+I\s+(?:can(?:not|['’]t)|am\s+unable)"
    r"|\bas\s+an?\s+(?:AI\b|(?:large\s+)?language\s+model)"
    r"|\bI\s?(?:can(?:not|['’]t)|am\s+unable\s+to|['’]m\s+unable\s+to|won['’]t|must\s+decline\s+to)\s+"
    r"(?:assist|help\s+(?:you\s+)?with|comply|provide\s+(?:an?\s+answer|assistance|that)|fulfil+|identify\s+(?:people|individuals|the\s+person))"
    r"|\bagainst\s+my\s+(?:policy|policies|guidelines|programming)\b",
    _FLAGS,
)
_REFUSING = (
    "sorry", "apolog", "language model", "as an ai", "assist", "comply", "fulfil", "identify", "help ",
    "provide ", "guidelines", "polic", "programming",
)  # fmt: skip


def missing_talk(text: str) -> str | None:
    """Words that say that something is missing, unseen or guessed, if any."""
    lowered = text.lower().translate(_SPACES)
    for stems, pattern in _MISSING:
        for stem in stems:
            if found := near(text, lowered, stem, pattern):
                return found[0]
    return None


def near(text: str, lowered: str, stem: str, pattern: re.Pattern[str]) -> re.Match[str] | None:
    """The first match of the pattern round an occurrence of its stem; no phrase reaches further than that."""
    if len(lowered) != len(text):  # some letters become two in lower case
        return pattern.search(text) if stem in lowered else None
    place = lowered.find(stem)
    while place >= 0:
        if match := _round(pattern, text, max(0, place - _REACH), place + 2 * _REACH):
            return match
        place = lowered.find(stem, place + _REACH)
    return None


def _round(pattern: re.Pattern[str], text: str, start: int, end: int) -> re.Match[str] | None:
    """The first match that begins and ends in a window; what stands behind its end is looked at in full."""
    while match := pattern.search(text, start, end):
        # A word that the window cuts off is no word, and what must not follow may lie behind the window.
        if whole := pattern.match(text, match.start()):
            return whole
        start = match.start() + 1
    return None


def refusal(text: str) -> str | None:
    """Words that decline to answer, if any."""
    lowered = text.lower()
    if not any(stem in lowered for stem in _REFUSING):
        return None
    match = _REFUSAL.search(text)
    return match[0] if match else None
