"""Data construction with served teachers, from sets of problems to shards.

out/requests/log.sqlite    every answer; images beside it
out/rows/                  every row, kept or dropped, and why (see `construct.record`)
out/images/                images by content
out/images_seen.sqlite     what is known of every image of the sets, so that none is decoded again
out/data/                  kept rows as a `datasets` directory
out/construction.yaml      the settings
out/quarantine.jsonl       requests that brought no answer, with their reasons
out/summary.json           counts, ledger, controls; written last

Two passes. The first asks; all that it leaves behind is the log. The second goes over the log again and
writes the rows. So a killed construction goes on where it was, and ends with the same bytes.
"""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vision_r1.construct import controls as bridge_controls
from vision_r1.construct.ask import Asked, ask_all
from vision_r1.construct.chain import REASON, Chain, Made, Step, Told, chain
from vision_r1.construct.collect import Item, items_of, records
from vision_r1.construct.config import Construction
from vision_r1.construct.dataset import write_dataset
from vision_r1.construct.export import FORMS, export_construction
from vision_r1.construct.images import ImageStore
from vision_r1.construct.judge import judge_rows
from vision_r1.construct.prepare import Prepared, Rejected, prepare
from vision_r1.construct.probe import check_images_reach
from vision_r1.construct.quarantine import Quarantine, read_unanswered
from vision_r1.construct.record import Images, ImageSize, Record
from vision_r1.construct.replay import Replayer
from vision_r1.construct.row_files import read_tables, row_writer
from vision_r1.construct.sources import Loading, load_evaluation, load_source
from vision_r1.construct.steps import build_steps, caption_step
from vision_r1.construct.tally import counted
from vision_r1.core.config import dump_yaml, to_plain
from vision_r1.core.errors import InputError
from vision_r1.core.files import atomic_write_text, write_json
from vision_r1.core.progress import Progress
from vision_r1.problems.faults import BadRow
from vision_r1.problems.problem import Problem
from vision_r1.problems.seen import SeenImages
from vision_r1.teachers.ledger import Spent
from vision_r1.teachers.prompts import Prompts, open_prompts
from vision_r1.teachers.request_log import RequestLog
from vision_r1.teachers.served import Teachers

LOG = Path("requests") / "log.sqlite"
SEEN = "images_seen.sqlite"
ROWS, IMAGES, DATA, EXPORTS = "rows", "images", "data", "export"
CONFIG, SUMMARY, QUARANTINE = "construction.yaml", "summary.json", "quarantine.jsonl"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which problems, and how far.

    Attributes:
        part: (index from 1, how many): one part of the problems, by their keys.
        limit: at most so many problems, chosen by their keys; the controls are then left out.
        collect_only: ask nobody; write what the answers so far give.
        log: the log of answers; None for the folder's own.
        home: the folder around parts and pilots, where what was seen of images is noted for all of them;
            None where the construction has no folder around it.
    """

    part: tuple[int, int] | None = None
    limit: int | None = None
    collect_only: bool = False
    log: Path | None = None
    home: Path | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """A construction under way.

    Attributes:
        config: its settings.
        out: its folder.
        prepared: its problems.
        steps: the way through.
        tests: what the controls ask; None without.
    """

    config: Construction
    out: Path
    prepared: Prepared
    steps: Sequence[Step]
    tests: bridge_controls.Controls | None

    def chain(self, problem: Problem) -> Chain:
        """The way of one problem, from its beginning."""
        settings = self.config
        told = Told(
            problem.answer if settings.answer_to_mllm else None,
            problem.answer if settings.answer_to_reasoner else None,
        )
        return chain(problem, self.steps, told, settings.samples, settings.answer_retries)

    def chains(self) -> Iterator[Chain]:
        """Everything that is to be asked: the rows, then the controls."""
        for problem in self.prepared.problems:
            yield self.chain(problem)
        if self.tests is not None:
            for arm in self.tests.chains().values():
                yield from (begin() for begin in arm)

    @property
    def total(self) -> int:
        """How many chains that is."""
        return len(self.prepared.problems) + (4 * len(self.tests.problems) if self.tests else 0)


def construct(config: Construction, out: Path, scope: Scope, progress: Progress) -> dict[str, Any]:
    """Build rows from sets of problems; a killed call goes on where it was when it is made again.

    Args:
        config: sets, teachers, steps and thresholds.
        out: the folder to write to.
        scope: which problems, and how far.
        progress: told of every problem.

    Returns:
        The summary, as in summary.json.

    Raises:
        InputError: settings, problems or endpoints that cannot be used; what was answered is kept.
        BudgetReached: the budget would not hold another request; what was answered is kept.
        ImageUseError: images do not reach the MLLM.
        Interrupted: by Ctrl-C, after what was in flight has been answered and kept.
    """
    refuse_foreign(out)
    prompts = open_prompts(config.prompts)
    steps = build_steps(config.steps, prompts)
    log_path = scope.log or out / LOG
    with ExitStack() as stack:
        # First what can fail at once: a log that another process has, a key that is not set.
        log = stack.enter_context(RequestLog(log_path))
        teachers = None
        if not scope.collect_only:
            teachers = stack.enter_context(Teachers(config.roles, log, config.budget))
        out.mkdir(parents=True, exist_ok=True)
        (out / SUMMARY).unlink(missing_ok=True)
        atomic_write_text(out / CONFIG, dump_yaml(to_plain(config)))
        whole = read_sets(config, out, progress, scope.home)
        work = _work(config, out, whole, scope, steps, prompts)
        outcomes = _ask(work, whole.problems, teachers, progress) if teachers is not None else None
        unanswered = {
            key: each.why for key, each in read_unanswered(out / QUARANTINE).items() if log.get(key) is None
        }
        replayer = Replayer(log, config.roles, config.seed, unanswered)
        estimated = collect(work, replayer, progress)
        tests = _tests(work, Replayer(log, config.roles, config.seed, unanswered))
        spent = log.ledger_by_step()
    return finish(out, config, progress, {
        "scope": {
            "part": list(scope.part) if scope.part else None, "limit": scope.limit,
            "unasked": replayer.unasked, "of": len(whole.problems), "digest": digest(config, steps, whole),
        },
        "ledger": ledger_lines(spent),
        "rows_spent": {role: asdict(each) for role, each in sorted(replayer.spent.items())},
        "rows_uncounted": replayer.uncounted,
        "tokens_estimated": estimated,
        "quarantined": len(unanswered),
        "outcomes": outcomes,
        "controls": tests,
        "evaluation_unread": whole.unread,
    })  # fmt: skip


def refuse_foreign(out: Path) -> None:
    """Refuse a folder with anything but a construction in it: rows, data and exports are replaced.

    Raises:
        InputError: it holds other files.
    """
    if not out.is_dir() or (out / CONFIG).is_file():
        return
    ours = (LOG.parts[0], "pilot", "shard-*-of-*", "*.sqlite*", "clock.json")
    foreign = sorted(each.name for each in out.iterdir() if not any(each.match(name) for name in ours))
    if foreign:
        raise InputError(
            f"holds other files ({foreign[0][:60]}), which a construction could replace",
            where=str(out),
            fix="name a new folder",
        )


def digest(config: Construction, steps: Sequence[Step], whole: Prepared) -> str:
    """Names what decides the rows: problems, models, sampling, steps and filter, and not where anything lies.

    A user's step counts with its template alone.
    """
    roles = [role.model_dump(mode="json", exclude={"endpoints", "price"}) for role in config.roles.values()]
    settings = config.model_dump(
        mode="json",
        exclude={"data", "evaluation", "mllm", "reasoner", "prompts", "steps", "budget", "export"},
    )
    names = [[step.name, step.role, step.template] for step in steps]
    found = hashlib.sha256(json.dumps([roles, settings, names], sort_keys=True).encode())
    for problem in whole.problems:
        found.update(problem.id.encode())
    for row in whole.rejected:
        found.update(f"{row.key} {row.reason}".encode())
    return found.hexdigest()[:32]


def _work(
    config: Construction,
    out: Path,
    whole: Prepared,
    scope: Scope,
    steps: Sequence[Step],
    prompts: Prompts,
) -> Work:
    """What is to be done; the controls are of the whole set, and the first of several parts asks them."""
    mine = scope.limit is None and (scope.part is None or scope.part[0] == 1)
    controls = _controls(config, whole, steps, prompts) if mine else None
    prepared = whole if scope.part is None else whole.part(*scope.part)
    return Work(
        config, out, prepared if scope.limit is None else prepared.first(scope.limit), steps, controls
    )


def ledger_lines(spent: Mapping[tuple[str, str], Spent]) -> list[dict[str, Any]]:
    """What every step asked every model, as plain data."""
    return [{"step": step, "model": model, **asdict(each)} for (step, model), each in sorted(spent.items())]


def read_sets(config: Construction, out: Path, progress: Progress, home: Path | None = None) -> Prepared:
    """All problems of all sets, named by content, the bad and double ones set aside.

    Args:
        config: names the sets.
        out: holds images that come inside tables as long as they are needed.
        progress: told of every image.
        home: where what was seen of images is noted; `out` if None.
    """
    looks_wanted = config.near_duplicates or bool(config.evaluation)
    with SeenImages((home or out) / SEEN, looks_wanted, progress.say) as seen:
        loading = Loading(progress, out, seen.faults)
        sets = {name: load_source(name, section, loading) for name, section in config.data.items()}
        evaluation = {
            name: load_evaluation(name, section, loading) for name, section in config.evaluation.items()
        }
        looks = seen.looks
    asked = {name: problems for name, (problems, _) in evaluation.items()}
    prepared = prepare(sets, asked, config.near_duplicates, progress, looks, text_only=config.text_only)
    return replace(
        prepared, unread={name: dict(sorted(bad.items())) for name, (_, bad) in evaluation.items()}
    )


def _controls(
    config: Construction, prepared: Prepared, steps: Sequence[Step], prompts: Prompts
) -> bridge_controls.Controls | None:
    """The tests of the bridge, over problems of the whole set; the first part of several asks them."""
    if config.controls_n == 0:
        return None
    # The control takes the plain caption in the place of everything before the reasoner.
    place = [step.name for step in steps].index(REASON)
    return bridge_controls.choose(
        prepared.problems, config.controls_n, config.seed, steps, [caption_step(prompts), *steps[place:]],
        both=config.answer_to_reasoner, retries=config.answer_retries,
    )  # fmt: skip


def _ask(work: Work, whole: Sequence[Problem], teachers: Teachers, progress: Progress) -> dict[str, Any]:
    """The first pass, and before it a look at whether images arrive; gives what came of the requests.

    What failed is in the quarantine whatever ends it.
    """
    asked, roles = Asked(), work.config.roles
    progress.start("ask", work.total, "problem")
    with Quarantine(work.out / QUARANTINE) as quarantine:

        async def ask() -> None:
            await check_images_reach(whole, work.steps, teachers, roles, progress)
            await ask_all(work.chains(), teachers, roles, work.config.seed, asked, quarantine.note, progress)

        teachers.run(
            ask,
            lambda waiting: progress.say(
                f"stopping: waiting for {waiting} requests in flight (Ctrl-C again drops them)"
            ),
        )
        quarantine.ended()
    progress.finish()
    return teachers.summary()


def collect(work: Work, replayer: Replayer, progress: Progress) -> int:
    """The second pass: every row, from the answers in the log.

    Returns:
        Of how many rows the endpoint did not count the tokens, so that their lengths are estimates.
    """
    config, estimated = work.config, 0
    store = ImageStore(work.out / IMAGES)
    progress.start("collect", len(work.prepared.problems), "problem")

    def items() -> Iterator[Item]:
        nonlocal estimated
        for done, problem in enumerate(work.prepared.problems, start=1):
            for item in items_of(problem, replayer.replay(work.chain(problem))):
                estimated += item.sample is not None and item.sample.said.estimated
                yield item
            progress.advance(done)

    judged = functools.partial(judge_rows, limits=config.filter)
    made = records(
        items(), judged, work.prepared.origins,
        functools.partial(_stored, store, config.mllm.max_image_pixels), config.keep, config.keep_at_most,
    )  # fmt: skip
    with row_writer(work.out / ROWS, config.rows_per_file) as rows, closing(made):
        for row in _merged(made, work.prepared.rejected, store):
            rows.write(row)
    progress.finish()
    return estimated


def _merged(made: Iterator[Record], rejected: Sequence[Rejected], store: ImageStore) -> Iterator[Record]:
    """Rows of answers and rows that nobody was asked about, by id."""
    aside = iter(sorted((row.record(_readable(store, row.row)) for row in rejected), key=lambda r: r.id))
    waiting = next(aside, None)
    for row in made:
        while waiting is not None and waiting.id < row.id:
            yield waiting
            waiting = next(aside, None)
        yield row
    while waiting is not None:
        yield waiting
        waiting = next(aside, None)


def _stored(store: ImageStore, max_pixels: int | None, problem: Problem) -> Images:
    names = tuple(store.keep(media) for media in problem.media)
    return Images(names, tuple(ImageSize.of(media, max_pixels) for media in problem.media))


def _readable(store: ImageStore, row: Problem | BadRow) -> tuple[str, ...]:
    """The images of a row that was set aside, as far as they can be decoded."""
    names = []
    for media in row.media:
        try:
            if isinstance(row, BadRow):
                media.load()  # that of a problem was decoded before
            names.append(store.keep(media))
        except InputError:
            continue
    return tuple(names)


def _tests(work: Work, replayer: Replayer) -> dict[str, Any] | None:
    if work.tests is None or not work.tests.problems:
        return None
    made: Mapping[str, list[Made]] = {
        arm: [replayer.replay(begin()) for begin in begins] for arm, begins in work.tests.chains().items()
    }
    return work.tests.result(made)


def finish(out: Path, config: Construction, progress: Progress, further: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that is made of the rows: data set, exports, and at the end the summary."""
    kept = any(table.num_rows for table in read_tables(out / ROWS, ["kept"], kept=True))
    wanted = set(config.export) if kept else set()
    for name in FORMS.keys() - wanted:
        shutil.rmtree(out / EXPORTS / name, ignore_errors=True)  # of other settings
    with counted(out / ROWS) as tally:
        if kept:
            write_dataset(out, progress)
        else:
            shutil.rmtree(out / DATA, ignore_errors=True)
        for name in sorted(wanted):
            export_construction(out, name, out / EXPORTS / name, progress)
        summary = {**tally().summary(), **further}
    write_json(out / SUMMARY, summary)
    return summary


def check_kept(summary: Mapping[str, Any], out: Path) -> None:
    """Refuse to call a construction done that kept nothing; a part of one may.

    Raises:
        InputError: with the reasons.
    """
    if summary["kept"] or summary["scope"]["part"]:
        return
    reasons = ", ".join(f"{name} {count}" for name, count in list(summary["reasons"].items())[:5])
    raise InputError(
        f"no row of {summary['n']} was kept: {reasons}", where=str(out / ROWS), fix="read the reasons there"
    )
