"""`entrotune merge`, from runs to folders that load."""

from pathlib import Path

import pytest
import torch

from commands import command_here
from entrotune import load_model, merge, train
from entrotune.errors import UserError
from entrotune.models import save_model
from tiny import byte_tokenizer, tiny_llama
from tiny_files import write_model, write_rows

Here = pytest.CaptureFixture[str]


@pytest.fixture(scope="module", params=["lora", "full"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    model, rows = write_model(folder / "tiny"), write_rows(folder / "rows.jsonl")
    out = folder / "run"
    options = {"max_length": 128, "max_steps": 2, "learning_rate": 1e-2}
    train(model=str(model), data=str(rows), out=str(out), method=request.param, progress=False, **options)
    return out


def _logits(model: Path) -> torch.Tensor:
    with torch.no_grad():
        return load_model(model)[0](input_ids=torch.arange(3, 40)[None]).logits


def test_several_shares_of_a_run(capsys: Here, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "between"
    ended = command_here(capsys, "merge", str(run), "--interpolate", "[0, 0.5, 1]", "--out", str(out))
    assert ended.code == 0, ended.err
    assert f"{out}/0.5: 0.5 of the tuned model" in ended.out
    start, half, tuned = (load_model(out / name)[0] for name in ("0", "0.5", "1"))
    begin = load_model(run.parent / "tiny")[0].state_dict()
    for name, weight in half.state_dict().items():
        assert torch.equal(start.state_dict()[name], begin[name])
        ends = begin[name].double() + tuned.state_dict()[name].double()
        assert torch.equal(weight, (ends / 2).float())
    torch.testing.assert_close(_logits(out / "1"), _logits(run), atol=1e-5, rtol=0)
    assert (_logits(out / "0") - _logits(run)).abs().max() > 1e-2
    card = (out / "0.5" / "README.md").read_text(encoding="utf-8")
    assert f"0.5 times that of `{run}`" in card
    assert "2504.10478" in card


def test_an_adapter_alone_is_merged_into_its_base(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "whole"
    if (run / "model" / "config.json").exists():
        with pytest.raises(UserError, match="no adapter, so there is nothing to merge"):
            merge(str(run), out=str(out), progress=False)
        return
    plan = merge(str(run), out=str(out), dry_run=True)
    assert plan["models"] == [{"interpolate": 1.0, "out": str(out)}]
    assert not out.exists()
    made = merge(str(run), out=str(out), progress=False)
    assert made["start"] is None
    assert made["models"][0]["dtype"] == "float32"
    assert not (out / "adapter_config.json").exists()
    torch.testing.assert_close(_logits(out), _logits(run), atol=1e-5, rtol=0)
    with pytest.raises(UserError, match="already holds a model; add --overwrite"):
        merge(str(run), out=str(out), progress=False)
    merge(str(run), out=str(out), interpolate=0.5, overwrite=True, progress=False)
    assert "0.5 times" in (out / "README.md").read_text(encoding="utf-8")


def test_sharded_files_are_read_and_written(tmp_path: Path) -> None:
    for seed, name in ((0, "start"), (1, "tuned")):
        save_model(tiny_llama(seed), byte_tokenizer(), tmp_path / name, shard_size="50KB")
        assert len(list((tmp_path / name).glob("*.safetensors"))) > 1
    options = {"start": str(tmp_path / "start"), "out": str(tmp_path / "half"), "shard_size": "50KB"}
    merge(str(tmp_path / "tuned"), interpolate=0.5, progress=False, **options)
    assert len(list((tmp_path / "half").glob("*.safetensors"))) > 1
    made, ours, theirs = (load_model(tmp_path / name)[0].state_dict() for name in ("half", "start", "tuned"))
    assert all(torch.equal(made[name], ((ours[name].double() + theirs[name].double()) / 2).float()) for name in made)


def test_what_does_not_fit_writes_nothing(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    save_model(tiny_llama(0), tokenizer, tmp_path / "start")
    save_model(tiny_llama(1, num_hidden_layers=1), tokenizer, tmp_path / "shallow")
    tokenizer.add_tokens(["<think>"])
    save_model(tiny_llama(1), tokenizer, tmp_path / "other")
    out, start = str(tmp_path / "out"), str(tmp_path / "start")
    for model, told in (("shallow", "lacks 9 weights"), ("other", "'<think>'")):
        with pytest.raises(UserError, match=told):
            merge(str(tmp_path / model), start=start, interpolate=0.5, out=out, progress=False)
    with pytest.raises(UserError, match="does not say what it was tuned from; give a start"):
        merge(start, interpolate=0.5, out=out, progress=False)
    for share, told in (([], "one or more"), ([0.5, 0.5], "different"), (1.5, "from 0"), (float("nan"), "from 0")):
        with pytest.raises(UserError, match=told):
            merge(start, start=start, interpolate=share, out=out, progress=False)
    with pytest.raises(UserError, match="holds other files"):
        merge(start, start=start, interpolate=0.5, out=str(tmp_path), progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "shallow", "start"]
