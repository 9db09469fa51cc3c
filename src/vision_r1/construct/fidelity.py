"""How much of what a problem needs a description kept, and what bridging adds over a plain caption.

The paper shows by one example that a plain caption leaves out what the solution needs (Figure 5). Where a
set has gold captions, tables or scenes it can be counted: the share of the needed items (`gold_facts`) that
a text gives, in an order in which they belong together, so that a number counts beside its label only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vision_r1.construct.gold_facts import GoldFacts, Group, gold_facts, words_of
from vision_r1.evals.statistics import Interval, bootstrap_mean, paired_difference
from vision_r1.problems.problem import Problem

RESAMPLES = 10_000
# Two items that belong together have at most so many words between them, for each item left out as many.
_NEXT_WITHIN = 12
_MOST_WORDS = 5_000


def kept_items(group: Group, words: Sequence[str]) -> int:
    """How many items of a group a text gives in their order, each not far from the one before."""
    starts: dict[str, list[int]] = defaultdict(list)
    for place, item in enumerate(group):
        starts[item[0]].append(place)
    # For each place in the group the best chain that ends there: (position in the text, its length).
    chains: dict[int, tuple[int, int]] = {}
    longest = 0
    for at, word in enumerate(words):
        for place in reversed(starts.get(word, ())):
            if tuple(words[at : at + len(group[place])]) != group[place]:
                continue
            length = 1 + max(
                (
                    length
                    for before, (end, length) in chains.items()
                    if before < place and at - end <= _NEXT_WITHIN * (place - before)
                ),
                default=0,
            )
            end, old = chains.get(place, (at, 0))
            if length >= old or at - end > _NEXT_WITHIN * len(group):
                chains[place] = (at + len(group[place]) - 1, length)
            longest = max(longest, length)
    return longest


def kept_share(facts: GoldFacts, text: str) -> float:
    """Share of the needed items that a text keeps, in whichever layout it keeps most."""
    words = words_of(text)[:_MOST_WORDS]
    return max(sum(kept_items(group, words) for group in layout) for layout in facts.layouts) / facts.count


def fidelity(
    problems: Sequence[Problem],
    texts_by_arm: Mapping[str, Sequence[str | None]],
    reference: str = "caption",
    seed: int = 0,
) -> dict[str, Any]:
    """Score texts about images against what their problems need.

    Args:
        problems: any; those without gold facts, and those for which an arm has no text, are left out.
        texts_by_arm: arm ("description", "caption", ...) -> one text a problem, None where a step failed.
        reference: the arm that the others are compared with, where it is there.
        seed: of the bootstrap.

    Returns:
        Plain data. `arms`: mean share kept with its 95% bootstrap interval over problems, and the share of
        problems of which all was kept. `controls`: the gold text itself (should be near 1), each arm's text
        of another problem of the same kind (what is kept by coincidence), and each arm cut to as many words
        as the reference has. `differences`: arm minus reference on the same problems.
    """
    golds = [(index, gold) for index, problem in enumerate(problems) if (gold := gold_facts(problem))]
    known = [(i, gold) for i, gold in golds if all(texts[i] is not None for texts in texts_by_arm.values())]
    result: dict[str, Any] = {"problems": len(problems), "scored": len(known), "reference": reference}
    if not known:
        return result
    facts = [gold for _, gold in known]
    others = _others([problems[index] for index, _ in known])
    texts = {arm: [str(given[index]) for index, _ in known] for arm, given in texts_by_arm.items()}
    scores = {arm: _scores(facts, given) for arm, given in texts.items()}
    result["needed_items"] = sum(each.count for each in facts)
    result["arms"] = {
        arm: _mean(values, seed) | {"all_kept": round(float(np.mean(np.asarray(values) >= 1)), 4)}
        for arm, values in scores.items()
    }
    result["controls"] = {
        "gold": _mean(_scores(facts, [each.text for each in facts]), seed),
        "other_problem": {
            arm: _mean(_scores(facts, [given[place] for place in others]), seed)
            for arm, given in texts.items()
        },
    }
    result["differences"] = {}
    for arm in texts if reference in texts else ():
        if arm != reference:
            result["differences"][arm] = _difference(scores[reference], scores[arm], seed)
            cut = [_cut(text, like) for text, like in zip(texts[arm], texts[reference], strict=True)]
            values = _scores(facts, cut)
            result["controls"].setdefault("cut_to_reference", {})[arm] = {
                **_mean(values, seed),
                "difference": _difference(scores[reference], values, seed),
            }
    return result


def _scores(facts: Sequence[GoldFacts], texts: Sequence[str]) -> list[float]:
    return [kept_share(each, text) for each, text in zip(facts, texts, strict=True)]


def _others(problems: Sequence[Problem]) -> list[int]:
    """For each problem the place of the next one of its kind, of any kind where it is the only one."""
    kinds: dict[str, list[int]] = defaultdict(list)
    for place, problem in enumerate(problems):
        kinds[str(problem.meta.get("family") or problem.meta.get("category") or "")].append(place)
    following = [(place + 1) % len(problems) for place in range(len(problems))]
    for members in kinds.values():
        for place, other in zip(members, [*members[1:], members[0]], strict=True):
            following[place] = other if other != place else following[place]
    return following


def _cut(text: str, like: str) -> str:
    """The first words of a text, as many as another has."""
    return " ".join(text.split()[: len(like.split())])


def _mean(values: Sequence[float], seed: int) -> dict[str, Any]:
    return _interval(bootstrap_mean(values, RESAMPLES, seed))


def _difference(first: Sequence[float], second: Sequence[float], seed: int) -> dict[str, Any]:
    paired = paired_difference(first, second, RESAMPLES, seed)
    return {
        **_interval(paired.difference),
        "more": paired.second_better,
        "less": paired.first_better,
        "p_value": paired.p_value,
    }


def _interval(interval: Interval) -> dict[str, Any]:
    return {"mean": round(interval.mean, 4), "ci95": [round(interval.low, 4), round(interval.high, 4)]}
