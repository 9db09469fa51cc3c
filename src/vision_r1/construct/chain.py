"""The way of one problem through the steps, as a pure generator of requests.

A chain yields what it wants to ask and is sent what was said. It knows nothing of endpoints, logs or
time, so the same chain is driven over the network, over an engine in this process, and a second time
over the log of answers, and comes to the same result.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from vision_r1.construct.record import RequestNote
from vision_r1.construct.replies import Dropped, Said
from vision_r1.core.errors import InputError
from vision_r1.models.chat import user_content
from vision_r1.problems.problem import Media, Problem

Role = Literal["mllm", "reasoner"]
Notes = Mapping[str, str]
Render = Callable[[Problem, Notes, str | None], str]
Parse = Callable[[Said], Mapping[str, str] | Dropped]
# The step that is sampled several times; those before it happen once a problem, those behind it once
# a sample.
REASON = "reason"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a pair of pure functions, and who is asked.

    Attributes:
        name: what it is called in settings, logs and counts.
        role: whose reply it is.
        template: name and version of its prompt; part of every request's key.
        render: problem, notes so far, and the answer that this role is told (None for nothing) -> prompt.
        parse: a reply -> what it adds to the notes, or why the row is dropped. Behind the reasoner it
            may change the notes `thought` and `reply`.
        sees_image: whether the problem's images are sent along.
        needs: notes that must be there before it.
        gives: notes that it writes.
    """

    name: str
    role: Role
    template: str
    render: Render
    parse: Parse
    sees_image: bool = True
    needs: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of a chain.

    Attributes:
        problem: id of the problem.
        step, role, template: of its step.
        prompt: the user's turn.
        media: the images sent along.
        sample: which sample of the reasoner it belongs to, from 0.
        attempt: 0, or which further sample is taken because an answer could not be used.
    """

    problem: str
    step: str
    role: Role
    template: str
    prompt: str
    media: tuple[Media, ...] = ()
    sample: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """What each role is told of the gold answer; None for nothing."""

    mllm: str | None = None
    reasoner: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """What the reasoner said, and what the steps behind it made of it.

    Attributes:
        index: from 0.
        said: the reasoner's reply.
        thought, reply: after the steps behind it.
        notes: what those steps wrote.
        requests: of this sample alone.
        dropped: why it cannot be used; None where nothing spoke against it yet.
    """

    index: int
    said: Said
    thought: str
    reply: str
    notes: Notes = field(default_factory=dict)
    requests: tuple[RequestNote, ...] = ()
    dropped: Dropped | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a problem.

    Attributes:
        notes: what the steps before the reasoner wrote.
        requests: of those steps.
        samples: of the reasoner; empty where a step before it failed.
        dropped: why no reasoner was asked; None where one was.
    """

    notes: Notes
    requests: tuple[RequestNote, ...] = ()
    samples: tuple[Sample, ...] = ()
    dropped: Dropped | None = None


Chain = Generator[list[Ask], list[Said], Made]


def chain(problem: Problem, steps: Sequence[Step], told: Told, samples: int = 1, retries: int = 0) -> Chain:
    """The way of one problem.

    Args:
        problem: the problem.
        steps: in order; what stands behind the step named `reason` is asked once a sample.
        told: what each role is told.
        samples: of the step `reason`; 0 ends the chain before it.
        retries: further samples where a reply cannot be parsed.

    Returns:
        A generator that yields requests, wants as many replies, and returns what was made.
    """
    names = [step.name for step in steps]
    place = names.index(REASON) if REASON in names else len(steps)
    notes: dict[str, str] = {}
    requests: list[RequestNote] = []
    for step in steps[:place]:
        ask = _ask(step, problem, notes, told)
        if isinstance(ask, Dropped):
            return Made(notes, tuple(requests), dropped=ask)
        said, parsed, attempt = (yield from _settle([step], [ask], retries))[0]
        requests.append(_note(ask, said, attempt))
        if isinstance(parsed, Dropped):
            return Made(notes, tuple(requests), dropped=parsed)
        notes |= parsed
    if place == len(steps) or samples == 0:
        return Made(notes, tuple(requests))
    first = _ask(steps[place], problem, notes, told)
    if isinstance(first, Dropped):
        return Made(notes, tuple(requests), dropped=first)
    asks = [replace(first, sample=index) for index in range(samples)]
    settled = yield from _settle([steps[place]] * samples, asks, retries)
    made = [
        Sample(index, said, said.thought, said.text, {}, (_note(ask, said, attempt),), _refused(parsed))
        for index, (ask, (said, parsed, attempt)) in enumerate(zip(asks, settled, strict=True))
    ]
    for step in steps[place + 1 :]:
        made = yield from _behind(step, problem, notes, told, made, retries)
    return Made(notes, tuple(requests), tuple(made))


def _behind(
    step: Step, problem: Problem, notes: Notes, told: Told, samples: list[Sample], retries: int
) -> Generator[list[Ask], list[Said], list[Sample]]:
    """A step behind the reasoner, over every sample that is still alive."""
    result = list(samples)
    asks: dict[int, Ask] = {}
    for place, sample in enumerate(samples):
        if sample.dropped is None:
            known = {**notes, **sample.notes, "thought": sample.thought, "reply": sample.reply}
            ask = _ask(step, problem, known, told)
            if isinstance(ask, Dropped):
                result[place] = replace(sample, dropped=ask)
            else:
                asks[place] = replace(ask, sample=sample.index)
    if not asks:
        return result
    settled = yield from _settle([step] * len(asks), list(asks.values()), retries)
    for (place, ask), (said, parsed, attempt) in zip(asks.items(), settled, strict=True):
        sample = result[place]
        requests = (*sample.requests, _note(ask, said, attempt))
        if isinstance(parsed, Dropped):
            result[place] = replace(sample, requests=requests, dropped=parsed)
            continue
        added = dict(parsed)
        thought, reply = added.pop("thought", sample.thought), added.pop("reply", sample.reply)
        result[place] = replace(
            sample, requests=requests, thought=thought, reply=reply, notes={**sample.notes, **added}
        )
    return result


def _settle(
    steps: Sequence[Step], asks: list[Ask], retries: int
) -> Generator[list[Ask], list[Said], list[tuple[Said, Mapping[str, str] | Dropped, int]]]:
    """Replies with what their step made of them, after further samples where a reply cannot be parsed.

    A reply that never came, or that ran into its cap, is not asked for again: the first has used up the
    patience of the client, the second would end no sooner.
    """
    replies = yield asks
    settled = [
        (said, _parsed(step, said, ask), 0) for step, said, ask in zip(steps, replies, asks, strict=True)
    ]
    for attempt in range(1, retries + 1):
        again = [
            place
            for place, (said, parsed, _) in enumerate(settled)
            if isinstance(parsed, Dropped) and said.stop_reason not in ("error", "length") and not said.hidden
        ]
        if not again:
            break
        replies = yield [replace(asks[place], attempt=attempt) for place in again]
        for place, said in zip(again, replies, strict=True):
            settled[place] = (said, _parsed(steps[place], said, asks[place]), attempt)
    return settled


def _ask(step: Step, problem: Problem, notes: Notes, told: Told) -> Ask | Dropped:
    """A step's request; a prompt that cannot be sent is a dropped row."""
    try:
        prompt = step.render(problem, notes, told.mllm if step.role == "mllm" else told.reasoner)
    except Exception as error:  # a user's own function may raise anything
        raise _broken(step, "render", problem.id, error) from error
    media = problem.media if step.sees_image else ()
    try:
        user_content(prompt, len(media))
    except InputError as error:
        return Dropped("prompt_refused", error.what)
    return Ask(problem.id, step.name, step.role, step.template, prompt, media)


def _parsed(step: Step, said: Said, ask: Ask) -> Mapping[str, str] | Dropped:
    """What a step makes of a reply.

    Raises:
        InputError: a user's own function failed, or gave notes that are no texts.
    """
    try:
        parsed = step.parse(said)
        if not isinstance(parsed, Dropped):
            wrong = next((name for name, text in parsed.items() if not isinstance(text, str)), None)
            if wrong is not None:
                raise TypeError(f"the note {wrong!r} is no text")
    except Exception as error:  # a user's own function may raise anything
        raise _broken(step, "parse", ask.problem, error) from error
    return parsed


def _broken(step: Step, function: str, problem: str, error: Exception) -> InputError:
    what = f"{function} of the step {step.name} raised {type(error).__name__}: {error}"
    return InputError(
        " ".join(what.split())[:300], where=f"problem {problem}", fix="mend the step; answers are kept"
    )


def _note(ask: Ask, said: Said, attempt: int) -> RequestNote:
    return RequestNote(ask.step, said.key, said.model, ask.template, attempt)


def _refused(parsed: Mapping[str, str] | Dropped) -> Dropped | None:
    return parsed if isinstance(parsed, Dropped) else None


def further_notes(made: Made, sample: Sample | None, own: Sequence[str]) -> str:
    """What steps of the user wrote, as a JSON object with sorted keys; `own` are the built-in notes."""
    notes = {**made.notes, **(sample.notes if sample is not None else {})}
    return json.dumps({name: text for name, text in notes.items() if name not in own}, sort_keys=True)


def in_step(chains: Sequence[Chain], answer: Callable[[list[Ask]], list[Said]]) -> list[Made]:
    """Drive many chains side by side: one call of `answer` for what all of them want next.

    Args:
        chains: fresh ones.
        answer: replies to requests, in order.

    Returns:
        What each chain made, in order.
    """
    made: dict[int, Made] = {}
    wanted: dict[int, list[Ask]] = {}

    def go(index: int, said: list[Said] | None) -> None:
        try:
            wanted[index] = next(chains[index]) if said is None else chains[index].send(said)
        except StopIteration as end:
            made[index] = end.value

    for index in range(len(chains)):
        go(index, None)
    while wanted:
        asked, wanted = wanted, {}
        replies = iter(answer([ask for asks in asked.values() for ask in asks]))
        for index, asks in asked.items():
            go(index, [next(replies) for _ in asks])
    return [made[index] for index in range(len(chains))]
