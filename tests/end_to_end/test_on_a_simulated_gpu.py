"""No command leaves a tensor on the wrong device, which only a machine with a GPU would tell."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from entrotune.objectives import equal_norm_weights, min_norm_weights
from simulated_gpu import Simulated, simulated_gpu
from tiny_files import write_model, write_rows


@pytest.fixture
def gpu() -> Any:
    with simulated_gpu():
        yield


def test_the_simulation_finds_what_a_gpu_would(gpu: None) -> None:
    there, here = torch.ones(2, 3, device="cuda"), torch.ones(2, 3)
    assert isinstance(there + there, Simulated)
    assert (there @ there.T).cpu().tolist() == [[3.0, 3.0], [3.0, 3.0]]
    with pytest.raises(RuntimeError, match="same device"):
        there + here
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()
    with pytest.raises(RuntimeError, match="generator"):
        torch.multinomial(there, 1, generator=torch.Generator().manual_seed(0))
    assert torch.multinomial(there, 1, generator=torch.Generator("cuda").manual_seed(0)).is_cuda


def test_it_learns_as_in_memory() -> None:
    def stepped(device: str) -> Any:
        layer = torch.nn.Linear(3, 2).to(device)
        with torch.no_grad():
            layer.weight.fill_(0.5)
            layer.bias.zero_()
        layer(torch.ones(4, 3, device=device)).square().sum().backward()
        torch.optim.AdamW(layer.parameters(), lr=0.1).step()
        return layer.weight.tolist()

    with simulated_gpu():
        there = stepped("cuda")
    assert there == stepped("cpu")


def test_weights_of_gradients_on_the_gpu_are_those_in_memory(gpu: None) -> None:
    for weights in (min_norm_weights, equal_norm_weights):
        gram = torch.tensor([[4.0, 1.0], [1.0, 1.0]])
        assert weights(gram.to("cuda")) == weights(gram)


def test_commands(tmp_path: Path) -> None:
    model, rows = str(write_model(tmp_path / "model")), str(write_rows(tmp_path / "rows.jsonl"))
    short = ["--max_new_tokens", "4"]
    learning = ["--objective", "ce - 0.1*entropy", "--max_steps", "2", "--max_length", "64"]
    few = ["--samples", "2", "--prompts", "2"]
    lines = [
        ["train", "--model", model, "--data", rows, "--out", "run", *learning],
        ["evaluate", "--model", "run", "--data", rows, "--out", "evaluated", *few, *short],
        ["score", rows, "--model", model, "--out", "scores", "--per_token", "true"],
        ["perplexity", rows, "--model", model, "--json"],
        [
            "generate",
            "--model",
            model,
            "--prompt",
            "a",
            "--strategy",
            "top_p(0.9) + target_entropy(1)",
            "-n",
            "2",
            *short,
        ],
        ["generate", "--model", model, "--prompt", "a", "--strategy", "beam(2)", *short],
    ]
    script = Path(__file__).parents[1] / "simulated_gpu.py"
    done = subprocess.run(
        [sys.executable, str(script), json.dumps(lines)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["device"] == "Simulated"
    assert list((tmp_path / "scores").rglob("*.parquet"))
