"""Whether two questions about one image ask one thing in other words.

Both must have the same words that ask something, the same numbers and signs in their order, and (see
`construct.dedupe`) one answer. "How many cubes are red?" and "How many red cubes are there?" are one
question, "How many cubes are blue?" is another. The order of the words may differ where it cannot matter:
in long questions that are alike but for a few phrases, and in short ones that speak of one thing. "Is A left
of B?", "How many red cubes and blue balls are there?" and "Which is not red but round?" mean something else
in another order, whatever their answers are. In doubt two questions are two: one asked twice costs less than
one that goes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vision_r1.construct.near_text import NEAR, likeness, numbers_of

# Words that ask nothing: two questions about one image that differ in these alone are one question.
_EMPTY_WORDS = """
a an the this that these those of in on at to for from with by and is are was were be do does did it its
please image picture figure diagram shown given above below following provided based according as question
answer find determine calculate compute what whats which tell me us your there here
"""
_EMPTY = frozenset(_EMPTY_WORDS.split())
_LINKING = frozenset(("is", "are", "was", "were", "be"))
# With one of these a question relates one thing to another, or says what holds of which: order matters.
_ORDERING_WORDS = """
left right above below under over between behind before after front next near beside inside outside around
across along through against in on at to from with without by into than as per and or nor but either neither
both not no only except other same different equal if when while that who whose where because more less
most least fewer greater larger smaller bigger longer shorter taller higher lower older younger faster slower
first last minus plus times divided subtract add sum difference ratio fraction percent percentage proportion
probability share each every all any some
"""
_ORDERING = frozenset(_ORDERING_WORDS.split())
_IN_THE_IMAGE = re.compile(
    r"\b(?:in|on|of|from|at) (?:the |this |that )?(?:given |shown |above |following |provided )?"
    r"(?:image|picture|figure|diagram)\b"
)
_FEW_WORDS = (
    8  # of those that ask something; longer questions have room for two things that could change places
)


def asking_words(tokens: Sequence[str]) -> list[str]:
    """The words, numbers and signs of a question that ask something, in order."""
    return [token for token in tokens if token not in _EMPTY]


def rephrased(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two questions about one image, given as tokens, ask one thing."""
    first, second = asking_words(one), asking_words(other)
    if first == second:
        return True
    if sorted(first) != sorted(second) or numbers_of(one) != numbers_of(other):
        return False
    return likeness(one, other) >= NEAR or (_of_one_thing(one, first) and _of_one_thing(other, second))


def _of_one_thing(tokens: Sequence[str], asking: Sequence[str]) -> bool:
    """Whether the words may change places: in "Which red shape is large?", not in "Is red over blue?"."""
    tokens = _IN_THE_IMAGE.sub("", " ".join(tokens)).split()
    first = next((token for token in tokens if token not in ("please", "tell", "me")), "")
    open_question = first in ("how", "what", "whats", "which")
    linked = not _LINKING.isdisjoint(tokens)
    return open_question and linked and len(asking) <= _FEW_WORDS and _ORDERING.isdisjoint(tokens)
