from __future__ import annotations

from pathlib import Path

import pytest
from fake_run import make_run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests must not change it."""
    return make_run(tmp_path_factory.mktemp("finished") / "run", problems=120)


@pytest.fixture
def own_run(tmp_path: Path) -> Path:
    """A finished run of a test's own."""
    return make_run(tmp_path / "run", problems=60)
