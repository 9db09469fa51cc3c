"""Which texts of many are nearly the same: MinHash to find the likely pairs, then an exact comparison.

Texts are tokens (see `problems.fingerprints.question_tokens`). Likeness is the share of three-token phrases
that two texts have in common (Jaccard). Numbers and signs must be the same and in the same order: "What is
3 + 4?" and "What is 3 + 5?" are two questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

NEAR = 0.8
_PHRASE = 3
_PERMUTATIONS = 64
# Bands and hashes in a band: a pair of likeness 0.8 agrees in one of them with a probability of 99%.
_BANDS = (12, 5)
_FEW = 40  # so few are compared with one another

Tokens = Sequence[str]


def numbers_of(tokens: Tokens) -> tuple[str, ...]:
    """The numbers and signs of a text, in order."""
    return tuple(token for token in tokens if not token[0].isalpha())


def phrases(tokens: Tokens) -> frozenset[tuple[str, ...]]:
    """The phrases of three tokens of a text; the whole of a shorter one."""
    count = max(1, len(tokens) - _PHRASE + 1)
    return frozenset(tuple(tokens[start : start + _PHRASE]) for start in range(count))


def likeness(one: Tokens, other: Tokens) -> float:
    """Share of the phrases of two texts that both have; 0 where their numbers differ."""
    if numbers_of(one) != numbers_of(other):
        return 0.0
    first, second = phrases(one), phrases(other)
    return len(first & second) / len(first | second)


def near_pairs(texts: Sequence[Tokens]) -> Iterator[tuple[int, int, float]]:
    """Pairs of texts, smaller index first, of a likeness of at least 0.8, with that likeness."""
    if len(texts) <= _FEW:
        likely: Iterable[tuple[int, int]] = (
            (first, second) for second in range(len(texts)) for first in range(second)
        )
    else:
        likely = NearIndex(texts).pairs()
    for first, second in likely:
        score = likeness(texts[first], texts[second])
        if score >= NEAR:
            yield first, second, score


class NearIndex:
    """Texts that can be asked for those like another; holds their hashes only.

    Args:
        texts: to ask for; known by their index.
    """

    def __init__(self, texts: Iterable[Tokens]) -> None:
        from datasketch import MinHashLSH

        self._found = MinHashLSH(num_perm=_PERMUTATIONS, params=_BANDS)
        self._pairs: list[tuple[int, int]] = []
        for index, signature in enumerate(_signatures(texts)):
            self._pairs += [(other, index) for other in sorted(self._found.query(signature))]
            self._found.insert(index, signature, check_duplication=False)

    def pairs(self) -> list[tuple[int, int]]:
        """The likely pairs among the texts themselves."""
        return self._pairs

    def like(self, texts: Iterable[Tokens]) -> Iterator[list[int]]:
        """For each of some other texts, the likely ones of this index, ascending."""
        return (sorted(self._found.query(signature)) for signature in _signatures(texts))


def _signatures(texts: Iterable[Tokens]) -> Iterator[object]:
    from datasketch import MinHash

    encoded = ([" ".join(each).encode("utf-8", "surrogatepass") for each in phrases(text)] for text in texts)
    return iter(MinHash.generator(encoded, num_perm=_PERMUTATIONS, seed=1))
