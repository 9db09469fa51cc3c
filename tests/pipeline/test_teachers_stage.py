"""A recipe whose rows come from served teachers, and one that starts from a construction made elsewhere."""

from pathlib import Path

import pytest
import yaml

from faulty_server import FaultyServer
from served_teachers import script, settings, write_problems
from vision_r1 import recipes
from vision_r1.core.progress import Silent
from vision_r1.pipeline.run import run_recipe
from vision_r1.problems.tables import read_table


def recipe_file(folder: Path, table: Path, construct) -> Path:
    tests = {"kind": "file", "path": str(table), "limit": 6}
    sft = {"kind": "sft", "learning_rate": 1e-3, "batch_size": 4, "tokens_per_pass": 4096, "max_epochs": 1,
           "eval_steps": 2, "max_length": 640}  # fmt: skip
    stages = (
        {"construct": construct, "sft": sft} if construct else {"sft": {**sft, "from": str(folder / "made")}}
    )
    file = folder / "recipe.yaml"
    file.write_text(
        yaml.safe_dump({"recipe": "mine", "scale": "tiny", "seed": 0, "model": "tiny:base", "data": {"test": tests},
                        "stages": stages})
    )  # fmt: skip
    return file


@pytest.mark.parametrize("inside", [True, False])
def test_a_model_is_trained_on_what_served_teachers_wrote(tmp_path, inside):
    table = write_problems(tmp_path / "problems", 60)
    with FaultyServer(script()) as server:
        made = settings(server.url, table)
        if not inside:
            from vision_r1.construct.build import Scope, construct
            from vision_r1.construct.config import Construction
            from vision_r1.core.config import validate

            construct(validate(Construction, made), tmp_path / "made", Scope(), Silent())
        file = recipe_file(tmp_path, table, {"kind": "teachers", **made} if inside else None)
        recipe = recipes.from_file(file, [])
        run_recipe(recipe, tmp_path / "run", Silent())
        asked = sum(server.asked.values())
        run_recipe(recipe, tmp_path / "run", Silent())
        assert sum(server.asked.values()) == asked
    folder = tmp_path / "run" / "stages" / "construct" if inside else tmp_path / "made"
    kept = sum(len(read_table(path)) for path in (folder / "data").glob("*.parquet"))
    assert (tmp_path / "run" / "stages" / "sft" / "model" / "config.json").exists() and kept > 20
