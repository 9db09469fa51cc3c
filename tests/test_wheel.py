"""What `pip install` takes: a wheel built from the tree holds everything the package needs."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from vision_r1.recipes import RECIPES

ROOT = Path(__file__).parents[1]
PROBE = """
import vision_r1
from vision_r1.models.load import load_model
from vision_r1.recipes import RECIPES
print(vision_r1.__file__)
print(*RECIPES)
print(*(type(load_model(f"tiny:{role}").model).__name__ for role in ("base", "teacher")))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("build")
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    shutil.copytree(ROOT / "src" / "vision_r1", tree / "src" / "vision_r1")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(tree)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


def test_every_file_of_the_package_is_in_it(wheel):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("vision_r1/")}
    source = ROOT / "src"
    files = {p.relative_to(source).as_posix() for p in (source / "vision_r1").rglob("*") if p.is_file()}
    assert held == {name for name in files if "__pycache__" not in name}


def test_unpacked_elsewhere_it_finds_its_recipes_and_models(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        check=False,
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    where, recipes, models = done.stdout.strip().splitlines()
    assert Path(where).is_relative_to(tmp_path)
    assert recipes.split() == list(RECIPES)
    assert models.split() == ["Qwen2_5_VLForConditionalGeneration"] * 2
