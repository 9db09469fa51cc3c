"""Writing systems in a text: which ones are there, and whether a thought mixes them.

Judged by script alone, which is cheap and certain: two languages of one script are not told apart. Greek
letters and mathematical signs belong to every script, and so does what stands in quotation marks, since an
image may show words of any language.
"""

from __future__ import annotations

import re

_RANGES = {
    "Latin": "A-Za-z\u00c0-\u024f\u1e00-\u1eff",
    "CJK": "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\u1100-\u11ff",
    "Cyrillic": "\u0400-\u052f",
    "Arabic": "\u0600-\u06ff\u0750-\u077f",
    "Hebrew": "\u0590-\u05ff",
    "Devanagari": "\u0900-\u097f",
    "Thai": "\u0e00-\u0e7f",
}
_LETTERS = {name: re.compile(f"[{letters}]") for name, letters in _RANGES.items()}
_OTHER_LETTER = re.compile(f"[{''.join(letters for name, letters in _RANGES.items() if name != 'Latin')}]")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_QUOTED = re.compile(
    r"\"[^\"\n]{1,200}\"|“[^”\n]{1,200}”|‘[^’\n]{1,200}’|「[^」\n]{1,200}」|『[^』\n]{1,200}』|《[^》\n]{1,200}》"
    r"|(?<!\w)'[^'\n]{1,200}'(?!\w)|`[^`\n]{1,200}`|\$[^$\n]{1,200}\$"
)
# In a text of another script, letters of ours are mathematics; so many words are not.
_MOST_LATIN_WORDS = 0.15


def scripts_of(text: str) -> frozenset[str]:
    """The scripts that a text has letters of."""
    if text.isascii():
        return frozenset({"Latin"} if _LETTERS["Latin"].search(text) else ())
    return frozenset(name for name, letters in _LETTERS.items() if letters.search(text))


def mixed_scripts(text: str, allowed: str) -> str | None:
    """What is written in another script than most of a text, or than all of the question; None for nothing.

    Args:
        text: the thought.
        allowed: the question, choices and gold answer, whose scripts may all occur; "" where not known.
    """
    if text.isascii() and (not allowed or allowed.isascii()):
        return None
    plain = _QUOTED.sub(" ", text)
    counts = {name: len(letters.findall(plain)) for name, letters in _LETTERS.items()}
    main = max(counts, key=lambda name: counts[name])
    expected = scripts_of(allowed)
    if counts[main] > 20 and expected and main not in expected:
        return f"written in {main} script, the question is not"
    others = {name: count for name, count in counts.items() if count and name not in expected}
    if main == "Latin":
        foreign = [name for name in others if name != "Latin" and others[name] > 1]
        if not foreign:
            return None
        first = _LETTERS[foreign[0]].search(plain)
        place = first.start() if first else 0
        return f"{foreign[0]} letters: {plain[max(0, place - 15) : place + 15].strip()}"
    words = _WORD.findall(plain)
    # A CJK character is about half a word.
    if len(words) > 5 and len(words) > _MOST_LATIN_WORDS * (counts[main] / 2):
        return f"{len(words)} words in Latin letters: {' '.join(words[:4])}"
    return None
