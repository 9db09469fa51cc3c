"""Model directories that are damaged, and images that the processor refuses: one line each."""

import ast
import json
import shutil
from pathlib import Path

import pytest
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

import vision_r1
from vision_r1.core.errors import InputError
from vision_r1.models.encode import encode_prompts
from vision_r1.models.load import load_model
from vision_r1.models.processor_load import load_processor


@pytest.fixture
def folder(random_model_dir, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(random_model_dir, copy)
    return copy


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def weights(folder, change):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def refused(folder, match):
    with pytest.raises(InputError, match=match) as error:
        load_model(str(folder))
    assert "\n" not in error.value.line()
    assert str(folder) in error.value.line()


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("config.json", "[]", "config.json: expected a JSON object"),
        ("config.json", "{", "config.json, line 1: not valid JSON"),
        ("tokenizer.json", "[]", "tokenizer.json: expected a JSON object"),
        ("tokenizer.json", '{"version": "1.0"', "tokenizer.json, line 1: not valid JSON"),
        ("tokenizer.json", '{"version": "1.0"}', "cannot load the processor"),
        ("tokenizer_config.json", "[]", "tokenizer_config.json: expected a JSON object"),
        ("preprocessor_config.json", "[]", "preprocessor_config.json: expected a JSON object"),
        ("preprocessor_config.json", '{"size": 3}', "is not an object"),
        ("preprocessor_config.json", "{", "preprocessor_config.json, line 1: not valid JSON"),
        ("preprocessor_config.json", '{"min_pixels": 900, "max_pixels": 800}', "pixel budget"),
        ("preprocessor_config.json", '{"min_pixels": -1, "max_pixels": 800}', "pixel budget"),
        ("chat_template.jinja", "{% for x in %}", "cannot load the chat template"),
        ("chat_template.jinja", "{{ raise_exception('no') }}", "cannot load the chat template: .*no"),
        ("chat_template.jinja", "{{ messages[7].content }}", "cannot load the chat template"),
        ("chat_template.jinja", "hello", "the question must be in it"),
    ],
)
def test_a_damaged_file_is_one_line(folder, name, content, match):
    (folder / name).write_text(content)
    refused(folder, match)


@pytest.mark.parametrize(
    "change", [{"hidden_size": "wide"}, {"num_hidden_layers": None}, {"rope_parameters": 3}]
)
def test_a_config_of_wrong_types_is_one_line(folder, change):
    text = json.loads((folder / "config.json").read_text())["text_config"]
    edit(folder / "config.json", text_config=text | change)
    refused(folder, "cannot load the (model|processor): .*Error: .* field .*(hidden|layers|rope)")


def test_truncated_weights_are_one_line(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    refused(folder, "cannot load the model")


def test_missing_weights_are_refused(folder):
    def halve(tensors):
        for name in sorted(tensors)[::2]:
            del tensors[name]

    weights(folder, halve)
    refused(folder, "tensors are missing")


def test_weights_that_do_not_belong_are_refused(folder):
    weights(folder, lambda tensors: tensors.update({"model.stranger": next(iter(tensors.values())).clone()}))
    refused(folder, "1 tensors do not belong to the architecture, model.*stranger first")


def test_weights_of_another_shape_are_refused(folder):
    def widen(tensors):
        name = next(name for name in tensors if name.endswith("norm.weight"))
        tensors[name] = tensors[name].repeat(2)

    weights(folder, widen)
    refused(folder, "shape|mismatch")


def test_a_tied_output_layer_may_be_written_out(folder):
    def untie(tensors):
        embedding = next(name for name in tensors if name.endswith("embed_tokens.weight"))
        tensors["lm_head.weight"] = tensors[embedding].clone()

    weights(folder, untie)
    load_model(str(folder))


@pytest.mark.parametrize("mark", ["video", "vision_start", "vision_end"])
def test_a_tokenizer_with_other_marks_is_refused(folder, mark):
    edit(folder / "config.json", **{f"{mark}_token_id": 7})
    refused(folder, f"the tokenizer's {mark} token is [0-9]+, the model's 7")


def test_a_tokenizer_with_another_end_is_refused(folder):
    text = json.loads((folder / "config.json").read_text())["text_config"]
    edit(folder / "config.json", text_config=text | {"eos_token_id": 9}, eos_token_id=9)
    edit(folder / "generation_config.json", eos_token_id=9)
    refused(folder, "the tokenizer's end token is [0-9]+, the model's 9")


def test_loading_says_nothing_and_leaves_the_settings_as_they_were(random_model_dir, capfd):
    log = transformers.utils.logging
    before = log.get_verbosity(), log.is_progress_bar_enabled()
    log.enable_progress_bar()
    try:
        load_model(str(random_model_dir))
        assert log.is_progress_bar_enabled()
    finally:
        if not before[1]:
            log.disable_progress_bar()
    assert (log.get_verbosity(), log.is_progress_bar_enabled()) == before
    assert capfd.readouterr() == ("", "")


def test_code_beside_a_model_is_never_run():
    """Every load by a name or path says `trust_remote_code=False`."""
    loads = []
    for path in Path(vision_r1.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "from_pretrained":
                named = {word.arg: ast.unparse(word.value) for word in node.keywords}
                loads.append((path.name, node.lineno, named.get("trust_remote_code")))
    assert len(loads) >= 4
    assert [load for load in loads if load[2] != "False"] == []


@pytest.mark.parametrize("size", [(2, 900), (900, 2)])
def test_an_image_too_narrow_for_the_processor_names_its_problem(random_model_dir, size):
    processor = load_processor(str(random_model_dir))
    pictures = [[Image.new("RGB", (28, 28))], [Image.new("RGB", size)], []]
    with pytest.raises(
        InputError, match=r"problem b: the processor cannot take its image.* -- check its size"
    ):
        encode_prompts(processor, ["?"] * 3, pictures, ["problem a", "problem b", "problem c"])
