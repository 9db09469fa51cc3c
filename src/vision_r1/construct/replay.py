"""The second way through a chain: over the log of answers, without asking anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vision_r1.construct.asking import chat_request, said_of
from vision_r1.construct.chain import Ask, Chain, Made
from vision_r1.construct.replies import Said
from vision_r1.teachers.chat import ChatReply, Failure
from vision_r1.teachers.config import RoleConfig
from vision_r1.teachers.ledger import Spent, money
from vision_r1.teachers.request_log import RequestLog

UNASKED = "not asked yet"


@dataclass(slots=True)
class Replayer:
    """Goes over chains with the answers of a log.

    Attributes:
        log: the answers.
        roles: how each role was asked.
        seed: of the sampling.
        reasons: by the key of a request, why it brought no answer.
        spent: by role, what the answers that chains went through came to, whenever they were asked for.
        uncounted: those whose tokens were not all counted; what was not adds nothing to tokens and money.
        unasked: requests that nobody has asked yet.
    """

    log: RequestLog
    roles: Mapping[str, RoleConfig]
    seed: int
    reasons: Mapping[str, str] = field(default_factory=dict)
    spent: dict[str, Spent] = field(default_factory=dict)
    uncounted: int = 0
    unasked: int = 0

    def replay(self, chain: Chain) -> Made:
        """What a chain makes of the answers; a request without an answer never came."""
        try:
            asks = next(chain)
            while True:
                asks = chain.send([self._said(ask) for ask in asks])
        except StopIteration as end:
            made: Made = end.value
            return made

    def _said(self, ask: Ask) -> Said:
        role = self.roles[ask.role]
        key = chat_request(ask, role, self.seed).key
        reply = self.log.get(key)
        if reply is not None:
            self._count(ask.role, reply)
            return said_of(reply, key, role)
        why = self.reasons.get(key)
        self.unasked += why is None
        return said_of(Failure("transport", UNASKED if why is None else why), key, role)

    def _count(self, name: str, reply: ChatReply) -> None:
        self.uncounted += reply.prompt_tokens is None or not reply.completion_tokens
        prompt, completion = reply.prompt_tokens or 0, reply.completion_tokens or 0
        cost = money(self.roles[name].price, prompt, completion)
        spent = Spent(1, prompt, completion, reply.reasoning_tokens or 0, prompt + completion, cost)
        self.spent[name] = self.spent.get(name, Spent()) + spent
