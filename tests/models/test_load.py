import json
import shutil

import pytest
import torch
from PIL import Image

from vision_r1.core.errors import InputError
from vision_r1.models.encode import encode_prompts, forbidden_tokens
from vision_r1.models.load import default_device, load_model
from vision_r1.models.place import resolve
from vision_r1.models.processor_load import load_processor


def test_a_directory_loads_and_its_prompt_holds_one_token_a_cell(random_model_dir):
    loaded = load_model(str(random_model_dir))
    pictures = [[Image.new("RGB", (84, 28))], [Image.new("RGB", (56, 56)), Image.new("RGB", (28, 28))], []]
    batch = encode_prompts(loaded.processor, ["a?", "b?", "c?"], pictures, ["x", "y", "z"])
    assert (batch["input_ids"] == loaded.processor.image_token_id).sum(1).tolist() == [3, 5, 0]
    assert batch["attention_mask"][:, -1].tolist() == [1, 1, 1]
    with torch.no_grad():
        assert loaded.model(**batch).logits.isfinite().all()


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("preprocessor_config.json", "without image processor"),
        ("tokenizer_config.json", "without tokenizer"),
        ("config.json", "without config.json"),
        ("model.safetensors", "cannot load the model"),
    ],
)
def test_a_directory_that_lacks_a_part_is_refused(random_model_dir, tmp_path, missing, message):
    folder = tmp_path / "model"
    shutil.copytree(random_model_dir, folder)
    (folder / missing).unlink()
    with pytest.raises(InputError, match=message) as error:
        load_model(str(folder))
    assert "\n" not in error.value.line()
    assert str(folder) in error.value.line()


def test_another_models_vocabulary_is_refused(random_model_dir, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(random_model_dir, folder)
    config = json.loads((folder / "config.json").read_text())
    config["image_token_id"] = 5
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="image token is"):
        load_model(str(folder))
    config["image_token_id"] = load_processor(str(random_model_dir)).image_token_id
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    extra = {**tokenizer["added_tokens"][-1], "id": 5000, "content": "<|extra|>"}
    tokenizer["added_tokens"] += [{**extra, "id": 5000 + i, "content": f"<|extra{i}|>"} for i in range(300)]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="the tokenizer has"):
        load_model(str(folder))


@pytest.mark.parametrize("reference", ["/no/such/place", "nowhere", "tiny:giant"])
def test_a_place_that_is_not_there_is_refused(reference):
    with pytest.raises(InputError, match=r"no such model directory|no shipped model"):
        load_model(reference)


def test_image_tokens_are_forbidden_in_sampling(random_model_dir):
    processor = load_processor(str(random_model_dir))
    names = processor.tokenizer.convert_ids_to_tokens(forbidden_tokens(processor))
    assert set(names) == {
        "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    }  # fmt: skip
    assert resolve("some/hub-id") == "some/hub-id"


def test_a_model_is_put_where_the_device_is(random_model_dir, monkeypatch):
    assert next(load_model(str(random_model_dir)).model.parameters()).device == default_device()
    monkeypatch.setattr("vision_r1.models.load.default_device", lambda: torch.device("meta"))
    assert {p.device.type for p in load_model(str(random_model_dir)).model.parameters()} == {"meta"}


@pytest.mark.parametrize(("rank", "index"), [(None, 0), ("3", 3)])
def test_each_process_has_its_own_cuda_device(monkeypatch, rank, index):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert default_device() == torch.device("cuda", index)


@pytest.mark.parametrize("name", ["runs/my model", "runs/base--v2", "ünï/code", "a/b.git"])
def test_a_name_that_no_hub_has_is_refused_in_one_line(name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(InputError, match="cannot load the processor: HFValidationError"):
        load_processor(name)


def test_a_stage_folder_is_its_model_and_a_run_names_its_models(random_model_dir, tmp_path):
    stage = tmp_path / "run" / "stages" / "sft"
    shutil.copytree(random_model_dir, stage / "model")
    assert resolve(str(stage)) == str(stage / "model")
    assert load_model(str(stage)).name == str(stage)
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(InputError, match=r"is a run directory, not a model -- name one .*stages/sft/model"):
        load_processor(str(tmp_path / "run"))


def test_before_a_hub_is_asked_it_is_said_once(monkeypatch, caplog):
    def refused(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("vision_r1.models.processor_load.AutoTokenizer.from_pretrained", refused)
    for _ in range(2):
        with pytest.raises(InputError, match="the hub does not give it"):
            load_processor("nobody/no-such-model")
    assert [r.getMessage() for r in caplog.records if "asking the hub" in r.getMessage()] == [
        "nobody/no-such-model: no such folder here; asking the hub (HF_HUB_OFFLINE=1 does not)"
    ]
