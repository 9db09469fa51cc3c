"""What is written down of every row of data construction: the columns of `rows/*.parquet`.

A row is one sample of the reasoner for one problem, or a problem that no reasoner was asked about. It
holds every text on the way, why it was kept or dropped, and which requests made it. Neither times nor
costs are in it, so the same answers give the same bytes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from vision_r1.problems.problem import Media
from vision_r1.problems.scaling import scaled_size

_TEXTS = pa.list_(pa.string())
SCHEMA = pa.schema([
    pa.field("id", pa.string(), nullable=False),
    pa.field("problem", pa.string(), nullable=False),
    pa.field("source", pa.string(), nullable=False),
    pa.field("source_id", pa.string(), nullable=False),
    pa.field("sample_index", pa.int32(), nullable=False),
    pa.field("question", pa.string(), nullable=False),
    pa.field("options", _TEXTS, nullable=False),
    pa.field("answer", pa.string(), nullable=False),
    pa.field("answer_type", pa.string(), nullable=False),
    pa.field("family", pa.string()),
    pa.field("images", _TEXTS, nullable=False),
    pa.field("image_sizes", pa.list_(pa.struct([
        pa.field("width", pa.int32()), pa.field("height", pa.int32()),
        pa.field("sent_width", pa.int32()), pa.field("sent_height", pa.int32()),
    ])), nullable=False),
    pa.field("caption", pa.string(), nullable=False),
    pa.field("pseudo_cot", pa.string(), nullable=False),
    pa.field("description", pa.string(), nullable=False),
    pa.field("notes", pa.string(), nullable=False),
    pa.field("thought", pa.string(), nullable=False),
    pa.field("reply", pa.string(), nullable=False),
    pa.field("tokens", pa.int32(), nullable=False),
    pa.field("kept", pa.bool_(), nullable=False),
    pa.field("reason", pa.string(), nullable=False),
    pa.field("detail", pa.string(), nullable=False),
    pa.field("fired", _TEXTS, nullable=False),
    pa.field("rewritten", pa.bool_(), nullable=False),
    pa.field("extracted", pa.string()),
    pa.field("verdict", pa.string(), nullable=False),
    pa.field("final_text", pa.string(), nullable=False),
    pa.field("requests", pa.list_(pa.struct([
        pa.field("step", pa.string()), pa.field("key", pa.string()), pa.field("model", pa.string()),
        pa.field("template", pa.string()), pa.field("attempt", pa.int32()),
    ])), nullable=False),
])  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImageSize:
    """How large an image of a row is.

    Attributes:
        width, height: in pixels, upright, as the set has it.
        sent_width, sent_height: as the MLLM gets it, after `max_pixels` of the set and `max_image_pixels`
            of the role.
    """

    width: int
    height: int
    sent_width: int
    sent_height: int

    @classmethod
    def of(cls, media: Media, max_pixels: int | None) -> ImageSize | None:
        """The sizes of an image that is sent with at most `max_pixels`; None where its size is not known."""
        size = getattr(media, "size", None)
        if size is None:
            return None
        width, height = getattr(media, "original_size", None) or size
        return cls(width, height, *scaled_size(size, max_pixels))

    @property
    def scaled(self) -> bool:
        """Whether the MLLM gets fewer pixels than the set has."""
        return (self.width, self.height) != (self.sent_width, self.sent_height)


class Images(NamedTuple):
    """The images of a row: names in the folder `images`, and how large each is, None where not known."""

    names: tuple[str, ...] = ()
    sizes: tuple[ImageSize | None, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestNote:
    """A request that a row rests on.

    Attributes:
        step: name of the step, such as "describe".
        key: of the request in the log, see `teachers.chat.request_key`.
        model: what was asked.
        template: name and version of the prompt.
        attempt: 0, or which further sample was taken because an answer could not be used.
    """

    step: str
    key: str
    model: str
    template: str
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """A row of `rows/*.parquet`.

    Attributes:
        id: the problem's key and the sample's number, "KEY-00".
        problem: content key of the problem: its images, question, choices and answer.
        source: which set the problem is from.
        source_id: what that set calls it.
        sample_index: which sample of the reasoner, from 0.
        question: what is asked, choices included, with an `<image>` mark for each image.
        options: the texts of the choices.
        answer: the gold answer.
        answer_type: how it is compared.
        family: what figures are broken down by; None where the set does not say.
        images: files below the folder `images`, named by their content.
        image_sizes: how large each is and was sent; None for one of unknown size. Empty where nobody was
            asked.
        caption, pseudo_cot, description: the steps of the bridge, "" where none was written.
        notes: what further steps wrote, as a JSON object with sorted keys.
        thought: what the reasoner thought, without tags.
        reply: what the reasoner said after its thought.
        tokens: length of both, as the reasoner's endpoint or tokenizer counts.
        kept: whether it is a training row.
        reason: "kept", or the name of the first rule that fired.
        detail: what exactly that rule found.
        fired: every rule that fired.
        rewritten: whether talk of a description was rewritten.
        extracted: the answer that the grader found.
        verdict: the grader's status, "" where there was nothing to grade.
        final_text: the assistant's turn of a kept row.
        requests: what was asked to make it.
    """

    id: str
    problem: str
    source: str
    source_id: str
    sample_index: int
    question: str
    options: tuple[str, ...]
    answer: str
    answer_type: str
    family: str | None
    images: tuple[str, ...] = ()
    image_sizes: tuple[ImageSize | None, ...] = ()
    caption: str = ""
    pseudo_cot: str = ""
    description: str = ""
    notes: str = "{}"
    thought: str = ""
    reply: str = ""
    tokens: int = 0
    kept: bool = False
    reason: str = ""
    detail: str = ""
    fired: tuple[str, ...] = ()
    rewritten: bool = False
    extracted: str | None = None
    verdict: str = ""
    final_text: str = ""
    requests: tuple[RequestNote, ...] = ()

    def plain(self) -> dict[str, Any]:
        """The row as `SCHEMA` takes it."""
        return asdict(self)

    @classmethod
    def from_plain(cls, row: dict[str, Any]) -> Record:
        """The inverse of `plain`."""
        texts = {name: tuple(row[name]) for name in ("options", "images", "fired")}
        sizes = tuple(None if each is None else ImageSize(**each) for each in row["image_sizes"])
        notes = tuple(RequestNote(**each) for each in row["requests"])
        return cls(**{**row, **texts, "image_sizes": sizes, "requests": notes})
