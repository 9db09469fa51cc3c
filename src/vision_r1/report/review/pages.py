"""OUT/review: `index.html`, which loads nothing but files beside it.

All text of rows reaches the page as JSON in script files (see `chunks`) and is shown as text nodes only;
what the template prints itself goes through `report.html`'s escaping. A content security policy allows
scripts and images from the folder and nothing else.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from vision_r1.construct.row_files import count_rows, read_tables
from vision_r1.core.files import atomic_directory, reported_writes
from vision_r1.core.progress import Progress, Silent
from vision_r1.report.html import template_environment
from vision_r1.report.review.chunks import FIELDS, ChunkWriter, rows_of, script
from vision_r1.report.review.overview import Totals, overview

REVIEW = "review"


def write_review(out: Path, progress: Progress | None = None) -> Path:
    """Write OUT/review from OUT/rows, in place of an earlier one; images are shown from OUT/images.

    The rows are read once, as a stream; what is held in memory does not grow with them.

    Returns:
        The page to open.

    Raises:
        InputError: no or damaged rows, or a full disk.
    """
    progress = progress or Silent()
    totals = Totals()
    progress.start(REVIEW, count_rows(out / "rows"), "row")
    with reported_writes(out), atomic_directory(out / REVIEW) as scratch:
        data = scratch / "data"
        data.mkdir()
        writer = ChunkWriter(data)
        for done, row in enumerate(rows_of(read_tables(out / "rows", FIELDS)), start=1):
            totals.add(row)
            writer.write(row)
            progress.advance(done)
        writer.finish()
        groups = writer.groups()
        facts = {"groups": [group.plain() for group in groups], "indexes": writer.indexes}
        (data / "meta.js").write_text(script("meta", facts), "ascii")
        (scratch / "review.js").write_text(_template_text("review.js"), "utf-8")
        page = template_environment().get_template("review.html")
        title = out.resolve().name
        (scratch / "index.html").write_text(page.render(title=title, view=overview(groups, totals)), "utf-8")
    progress.finish()
    return out / REVIEW / "index.html"


def _template_text(name: str) -> str:
    return files("vision_r1.report").joinpath("templates", name).read_text("utf-8")
