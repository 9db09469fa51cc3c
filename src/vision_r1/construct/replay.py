"""The second way through a chain: over the log of answers, without asking anybody."""

from __future__ import annotations

from collections.abc import Mapping

from vision_r1.construct.asking import chat_request, said_of
from vision_r1.construct.chain import Ask, Chain, Made
from vision_r1.construct.replies import Said
from vision_r1.teachers.chat import Failure
from vision_r1.teachers.config import RoleConfig
from vision_r1.teachers.request_log import RequestLog

UNASKED = "unasked"


def replay(chain: Chain, log: RequestLog, roles: Mapping[str, RoleConfig], seed: int) -> Made:
    """What a chain makes of the answers in a log; a request without an answer never came."""

    def said(ask: Ask) -> Said:
        role = roles[ask.role]
        key = chat_request(ask, role, seed).key
        return said_of(log.get(key) or Failure("transport", UNASKED), key, role)

    try:
        asks = next(chain)
        while True:
            asks = chain.send([said(ask) for ask in asks])
    except StopIteration as end:
        made: Made = end.value
        return made
