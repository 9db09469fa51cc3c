"""Budgets that are never passed: what requests under way may come to is set aside before they are sent."""

from __future__ import annotations

import asyncio
from collections import deque

from vision_r1.core.errors import BudgetReached
from vision_r1.teachers.config import Budget
from vision_r1.teachers.ledger import Estimate, Spent

_NOTHING = (0, 0, 0.0)


class Purse:
    """What is left of a budget; used within one event loop.

    Attributes:
        budget: the limits.
        spent: requests, tokens and money so far, those of earlier runs on the log included, answered or not.
    """

    def __init__(self, budget: Budget, before: Spent) -> None:
        self.budget = budget
        self.spent = (before.replies, before.charged, before.cost)
        self._aside = _NOTHING
        self._under_way = 0
        self._waiting: deque[tuple[asyncio.Future[None], Estimate]] = deque()
        limits = (budget.max_requests, budget.max_tokens, budget.max_cost)
        self._limits = tuple(float("inf") if limit is None else limit for limit in limits)
        self._unlimited = limits == (None, None, None)

    async def set_aside(self, most: Estimate) -> None:
        """Wait until a request fits beside those under way.

        Raises:
            BudgetReached: it does not even fit alone.
        """
        if self._unlimited or (not self._waiting and self._fits(most)):
            self._take(most)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, most))
        self._hand_out()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.settle(most, None)
            raise

    def settle(self, most: Estimate, spent: Spent | None) -> None:
        """A request that was set aside has ended, and came to `spent`; None where that is nothing."""
        requests, tokens, cost = self._aside
        self._aside = (requests - 1, tokens - most.tokens, cost - most.cost)
        self._under_way -= 1
        if self._under_way == 0:
            self._aside = _NOTHING  # sums of fractions drift
        if spent is not None:
            requests, tokens, cost = self.spent
            self.spent = (requests + spent.replies, tokens + spent.charged, cost + spent.cost)
        self._hand_out()

    def _fits(self, most: Estimate) -> bool:
        wanted = (1, most.tokens, most.cost)
        sums = (sum(each) for each in zip(self.spent, self._aside, wanted, strict=True))
        return all(total <= limit for total, limit in zip(sums, self._limits, strict=True))

    def _take(self, most: Estimate) -> None:
        requests, tokens, cost = self._aside
        self._aside = (requests + 1, tokens + most.tokens, cost + most.cost)
        self._under_way += 1

    def _hand_out(self) -> None:
        while self._waiting:
            turn, most = self._waiting[0]
            if not turn.done():
                if self._fits(most):
                    self._take(most)
                    turn.set_result(None)
                elif self._under_way == 0:
                    turn.set_exception(self._reached(most))
                else:
                    return
            self._waiting.popleft()

    def _reached(self, most: Estimate) -> BudgetReached:
        names = ("max_requests", "max_tokens", "max_cost")
        wanted = (1, most.tokens, most.cost)
        rows = zip(names, self.spent, wanted, self._limits, strict=True)
        name, spent, want, limit = next(row for row in rows if row[1] + row[2] > row[3])
        return BudgetReached(
            f"the budget {name} {limit:,.10g} is reached: {spent:,.10g} spent over all runs on this log, "
            f"and the next request may come to {want:,.10g}",
            fix=f"everything answered is kept; raise {name} and run again to go on",
        )
