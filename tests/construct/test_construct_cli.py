"""The commands around a construction, apart from what it does."""

import yaml

from faulty_server import FaultyServer
from served_teachers import script, settings, write_problems
from vision_r1.cli.construction import construct, merge
from vision_r1.report.review import pages
from vision_r1.report.terminal import RichProgress


def test_the_pages_are_written_with_progress(tmp_path, monkeypatch, capsys):
    given = []

    def watched(out, progress=None):
        given.append(progress)
        return out / "review" / "index.html"

    monkeypatch.setattr(pages, "write_review", watched)
    table = write_problems(tmp_path, 4)
    config = tmp_path / "c.yaml"
    with FaultyServer(script()) as server:
        config.write_text(yaml.safe_dump(settings(server.url, table)))
        for shard in ("1/2", "2/2"):
            construct(config, None, tmp_path / "out", None, None, shard, collect=False)
    merge(sorted((tmp_path / "out").glob("shard-*")), tmp_path / "all")
    assert len(given) == 3 and all(isinstance(each, RichProgress) for each in given)
    assert "review:" in capsys.readouterr().out
