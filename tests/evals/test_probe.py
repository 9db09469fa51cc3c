"""A server that drops pictures is told from one that shows them by what prompts cost."""

from __future__ import annotations

import pytest
from evals_fakes import text_problems

from vision_r1.core.errors import ImageUseError
from vision_r1.evals.probe import check_images_reach_endpoint
from vision_r1.problems.drawing import BlankImage
from vision_r1.problems.problem import Problem
from vision_r1.rollout.trace import Segment, Trace


class Server:
    """Counts tokens as an endpoint that pays `price` for a picture would; None counts nothing."""

    name = identity = "served"

    def __init__(self, price: int | None) -> None:
        self.price = price

    def complete(self, requests, sampling, seed, on_done=None):
        counts = [
            0
            if self.price is None
            else len(request.question.replace("<image>", "").split()) + self.price * len(request.media)
            for request in requests
        ]
        return [
            Trace(request.id, 0, (Segment("model", "1", count=1),), "length", count, "served")
            for request, count in zip(requests, counts, strict=True)
        ]


PROBLEMS = [Problem(f"p{i}", "<image> How many are there?", "1", (BlankImage(28, 28),)) for i in range(5)]


def test_pictures_that_cost_nothing_stop_the_evaluation():
    with pytest.raises(ImageUseError, match="do not reach the served model"):
        check_images_reach_endpoint(Server(0), PROBLEMS)


@pytest.mark.parametrize("price", [4, None])
def test_pictures_that_cost_something_or_are_not_counted_pass(price):
    check_images_reach_endpoint(Server(price), PROBLEMS)


def test_problems_without_pictures_pass():
    check_images_reach_endpoint(Server(0), text_problems(3))
