"""The endpoints of one role: who gets the next request, who is left out, and when there is nobody left.

The next request goes where the load is lowest for what the endpoint takes at present. An endpoint that
dies is left out; after a wait that grows, one request probes it. Used within one event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from vision_r1.core.errors import InputError
from vision_r1.teachers.chat import ChatReply, Failure
from vision_r1.teachers.config import EndpointConfig
from vision_r1.teachers.pacing import Pace, backoff
from vision_r1.teachers.transport import Endpoint
from vision_r1.teachers.wire import Fault

# So many requests that fail without an answer between them are the fault of the endpoint or the settings.
MOST_FAILURES = 50
_STRIKES = 8  # attempts that fail in a row before an endpoint is left out, where there are others
# Only with a fault of this kind will no request ever succeed.
_STOPPING = ("key", "forbidden", "model", "images", "address", "quota")
Health = Literal["well", "out", "probed"]


class Member:
    """An endpoint with its pace and its health.

    Attributes:
        endpoint: sends the requests.
        pace: how many at a time.
        health: "well"; "out" until `opens`; "probed" while one request tries it.
        probes: how often in a row it was found dead.
        serves: models that it has answered for.
    """

    def __init__(self, config: EndpointConfig) -> None:
        self.endpoint = Endpoint(config)
        self.pace = Pace(config.max_in_flight)
        self.health: Health = "well"
        self.serves: set[str] = set()
        self.probes = self.strikes = 0
        self.opens = self._out_since = float("-inf")

    @property
    def load(self) -> float:
        """Share of its slots that are taken."""
        return self.pace.in_flight / self.pace.limit

    def ready_at(self) -> float:
        """When it can take a request, as far as the clock decides; infinity where only an answer can."""
        if self.health == "probed" or (self.health == "well" and self.pace.full):
            return float("inf")
        return max(self.opens, self.pace.opens) if self.health == "out" else self.pace.opens

    def given_up(self) -> bool:
        """Whether it is dead, and has been probed as often as it may or asks for more time than there is."""
        config = self.endpoint.config
        asked = self.opens - asyncio.get_running_loop().time()
        tried = self.probes > config.transport_retries or asked > config.patience_seconds
        return self.health != "well" and tried

    def take(self) -> None:
        """A request is sent to it."""
        self.pace.in_flight += 1
        if self.health == "out":
            self.health = "probed"

    def revive(self) -> None:
        """It has answered, if only to refuse one request."""
        self.health, self.probes, self.strikes = "well", 0, 0

    def leave_out(self, started: float, now: float, wait: float | None = None) -> None:
        """It is dead; attempts from before that was known tell nothing new."""
        if self.health == "out" or started <= self._out_since:
            return
        self.probes += 1
        self.health, self.strikes, self._out_since = "out", 0, now
        self.opens = now + (backoff(self.probes) if wait is None else wait)


class Pool:
    """Endpoints that serve one model.

    Attributes:
        members: one for each endpoint.
        last_answered: when a request was last answered, on the event loop's clock.
        answered: requests that were answered.
        seconds: how long those held their slots, until the answer was on file.
        gate: holds back requests until they are about to be sent, so that few are held ready.
    """

    def __init__(self, configs: Sequence[EndpointConfig]) -> None:
        self.members = [Member(config) for config in configs]
        most = sum(config.max_in_flight for config in configs)
        self.gate = asyncio.Semaphore(most + most // 4 + 4)
        self.last_answered = float("-inf")
        self.answered, self.seconds = 0, 0.0
        self.answer_retries = configs[0].answer_retries
        self._failed_in_a_row = 0
        self._waiting: deque[tuple[asyncio.Future[Member], Member | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def take_slot(self, avoid: Member | None = None) -> Member:
        """A slot where the load is lowest, until `give_back`; not of `avoid`, where another endpoint is well.

        Raises:
            InputError: no request can succeed, see `stop`.
        """
        turn: asyncio.Future[Member] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, avoid))
        self._hand_out()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give_back(turn.result())
            raise

    def give_back(self, member: Member) -> None:
        """A slot of this endpoint is free again."""
        member.pace.in_flight -= 1
        if member.health == "probed" and member.pace.in_flight == 0:
            member.health = "out"  # the probe was dropped before it ended
        self._hand_out()

    def settle(self, member: Member, started: float, outcome: ChatReply | Fault) -> None:
        """Learn from the end of an attempt that started at `started`."""
        now = asyncio.get_running_loop().time()
        if isinstance(outcome, ChatReply):
            self.last_answered, self._failed_in_a_row = now, 0
            member.revive()
            member.pace.answered()
        elif outcome.kind == "throttled":
            member.revive()
            wait = outcome.wait or 0.0
            if wait > member.endpoint.config.patience_seconds:
                member.pace.throttled(started, now, None)
                if self.others(member):
                    member.leave_out(started, now, wait)
            else:
                member.pace.throttled(started, now, outcome.wait)
        elif outcome.kind == "unreachable":
            member.leave_out(started, now)
        elif outcome.kind == "retry":
            if outcome.crowded:
                member.pace.throttled(started, now, None)
            member.strikes += 1
            probed = member.health == "probed"
            if probed or (member.strikes >= _STRIKES and self.others(member)):
                member.leave_out(started, now)
        else:
            member.revive()

    def others(self, member: Member) -> bool:
        """Whether another endpoint is well."""
        return any(other.health == "well" for other in self.members if other is not member)

    def all_dead(self) -> bool:
        """Whether every endpoint has failed as often as it may."""
        return all(member.given_up() for member in self.members)

    def give_up(
        self, kind: Literal["request", "transport"], fault: Fault, member: Member, *, counts: bool
    ) -> Failure:
        """The failure of one request, unless so many failed that it is not this one's fault.

        Raises:
            InputError: that many did.
        """
        self._failed_in_a_row += counts
        if self._failed_in_a_row >= MOST_FAILURES:
            raise self.stop(replace(fault, kind="row"), member, "")
        return Failure(kind, fault.reason)

    def stop(self, fault: Fault, member: Member, model: str) -> InputError:
        """What to tell where no request can succeed; all who wait are told, the next call tries anew."""
        error = _told(fault, member.endpoint.config, model)
        self._failed_in_a_row = 0
        for each in self.members:
            if fault.kind == "unreachable":
                each.revive()
        waiting, self._waiting = self._waiting, deque()
        for turn, _ in waiting:
            if not turn.done():
                turn.set_exception(_told(fault, member.endpoint.config, model))
        return error

    async def close(self) -> None:
        """Close the connections."""
        if self._timer is not None:
            self._timer.cancel()
        for member in self.members:
            await member.endpoint.close()

    def _hand_out(self) -> None:
        """Give slots to those who wait, in order; come back when a pause ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        now, kept = loop.time(), deque[tuple[asyncio.Future[Member], Member | None]]()
        while self._waiting:
            turn, avoid = self._waiting.popleft()
            if turn.done():
                continue
            ready = [member for member in self.members if member.ready_at() <= now]
            if not ready:
                self._waiting.appendleft((turn, avoid))
                break
            fit = [m for m in ready if m is not avoid] if avoid and self.others(avoid) else ready
            if not fit:
                kept.append((turn, avoid))
                continue
            member = min(fit, key=lambda each: each.load)
            member.take()
            turn.set_result(member)
        self._waiting.extendleft(reversed(kept))
        later = [at for member in self.members if now < (at := member.ready_at()) < float("inf")]
        if self._waiting and later:
            self._timer = loop.call_at(min(later), self._hand_out)


def is_stopping(fault: Fault) -> bool:
    """Whether no request can succeed after this one's fault."""
    return fault.kind in _STOPPING


def _told(fault: Fault, config: EndpointConfig, model: str) -> InputError:
    name, kept = config.key_env, "what was answered is kept"
    what, fix = {
        "key": (
            "the endpoint refuses the key" if name else "the endpoint asks for a key",
            f"put a valid key into {name}" if name else "set key_env to the variable that holds it",
        ),
        "forbidden": (
            "the endpoint refuses what it is asked",
            "the key may lack the right to this model; " + kept,
        ),
        "quota": ("the account has no quota left", "top it up and run again; " + kept),
        "model": (f"the endpoint has no model {model[:80]!r}", "name one that it lists under /models"),
        "images": (f"the model {model[:80]!r} takes no images", "name one that does for this part"),
        "address": ("no chat completions at this address", "the url usually ends in /v1"),
        "row": (f"{MOST_FAILURES} requests in a row failed", "mend it and run again; " + kept),
        "throttled": ("the endpoint throttles every request", "run again later; " + kept),
    }.get(fault.kind, ("the endpoint cannot be reached", "check the url, and that the server runs"))
    return InputError(f"{what} ({fault.reason})", where=config.url, fix=fix)
