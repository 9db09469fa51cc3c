"""The layout is the architecture: a folder imports only folders below it, and light parts stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "vision_r1"
# One line is one floor, top first, as in docs/architecture.md.
FLOORS = [
    "__main__", "cli", "report", "recipes", "pipeline", "construct", "train", "evals", "analysis", "rollout",
    "teachers", "grading", "models", "problems", "core",
]  # fmt: skip


def floor_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_floors(path: Path) -> set[str]:
    """Every floor that a file imports, lazily or not, for types or not."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            # `from vision_r1 import recipes` names the floor in the alias.
            names = [f"{module}.{a.name}" for a in node.names] if module == "vision_r1" else [module]
        found |= {name.split(".")[1] for name in names if name.startswith("vision_r1.")}
    return found


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_down_only(path):
    if path == SOURCE / "__init__.py":
        assert not imported_floors(path)
        return
    here = FLOORS.index(floor_of(path))
    for name in imported_floors(path) - {floor_of(path)}:
        assert FLOORS.index(name) > here, f"{path} imports {name}, which is not below it"


def test_every_folder_is_a_floor():
    folders = {p.name for p in SOURCE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders <= set(FLOORS)


def modules_after(code: str) -> set[str]:
    out = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(out.stdout.split())


HEAVY = {"torch", "transformers", "trl", "datasets", "sklearn", "scipy", "matplotlib", "accelerate"}


@pytest.mark.parametrize(
    "module", ["vision_r1.recipes", "vision_r1.pipeline.config", "vision_r1.report.html"]
)
def test_light_modules_load_no_torch(module):
    loaded = modules_after(f"import {module}")
    assert not loaded & (HEAVY - {"matplotlib"})


def test_help_loads_nothing_heavy():
    # What keeps `--help` fast; a time limit would only measure the machine.
    code = (
        "import sys\nfrom vision_r1.cli import app\ntry:\n    app(['--help'])\nexcept SystemExit:\n    pass"
    )
    loaded = modules_after(code)
    assert not loaded & (HEAVY | {"pydantic", "PIL", "numpy", "yaml"})
