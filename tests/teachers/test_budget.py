"""A budget is never passed, whatever is under way, and nothing that fits is refused."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_r1.core.errors import BudgetReached
from vision_r1.teachers.budget import Purse
from vision_r1.teachers.chat import ChatReply
from vision_r1.teachers.config import Budget, Price
from vision_r1.teachers.ledger import Estimate, Spent, money

PRICE = Price(prompt=2.0, completion=8.0)


def test_money_is_for_a_million_tokens():
    assert money(PRICE, 500_000, 250_000) == 3.0
    assert money(None, 10**9, 10**9) == 0.0


def test_an_endpoint_that_does_not_count_is_charged_the_most():
    most = Estimate(100, 50, PRICE)
    assert most.of(ChatReply("a", "", "stop", None, None, "m")) == Spent(1, 0, 0, 0, 150, most.cost)
    assert most.of(ChatReply("a", "", "stop", 7, None, "m")).charged == 57
    assert most.of(ChatReply("a", "", "stop", 7, 3, "m", 2)) == Spent(1, 7, 3, 2, 10, money(PRICE, 7, 3))


REQUESTS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(1, 50), st.floats(0, 1)), min_size=1, max_size=40
)


@given(REQUESTS, st.integers(0, 30), st.integers(0, 800), st.floats(0, 0.004), st.integers(1, 8))
def test_never_passed_and_used_as_far_as_it_goes(requests, most, tokens, cost, at_once):
    budget = Budget(max_requests=most, max_tokens=tokens, max_cost=cost)

    async def main():
        purse = Purse(budget, Spent())
        todo = iter(requests)
        reached = []

        async def work():
            for prompt, cap, share in todo:
                ask = Estimate(prompt, cap, PRICE)
                try:
                    await purse.set_aside(ask)
                except BudgetReached:
                    # Alone it would not have fitted either.
                    requests_, tokens_, cost_ = purse.spent
                    over = requests_ + 1 > most or tokens_ + ask.tokens > tokens or cost_ + ask.cost > cost
                    reached.append(over)
                    return
                await asyncio.sleep(0)
                written = int(cap * share)
                came = ask.of(ChatReply("", "", "stop", prompt, written, "m"))
                purse.settle(ask, came)
                spent = purse.spent
                assert spent[0] <= most and spent[1] <= tokens and spent[2] <= cost + 1e-12

        await asyncio.gather(*(work() for _ in range(at_once)))
        assert all(reached)
        assert reached or purse.spent[0] == len(requests)

    asyncio.run(asyncio.wait_for(main(), 10))


def test_what_was_spent_before_counts_and_the_line_says_it():
    async def main():
        purse = Purse(Budget(max_tokens=1000), Spent(replies=3, charged=960))
        with pytest.raises(BudgetReached) as raised:
            await purse.set_aside(Estimate(20, 30))
        return raised.value.line()

    line = asyncio.run(main())
    assert "max_tokens 1,000 is reached: 960 spent" in line and "come to 50" in line and "\n" not in line


def test_a_dropped_turn_gives_back_what_it_took():
    async def main():
        purse = Purse(Budget(max_requests=1), Spent())
        first, second = Estimate(1, 1), Estimate(1, 1)
        await purse.set_aside(first)
        waiting = asyncio.create_task(purse.set_aside(second))
        await asyncio.sleep(0)
        purse.settle(first, None)  # hands the turn on
        waiting.cancel()  # before it could be taken
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.wait_for(purse.set_aside(first), 1)

    asyncio.run(main())
