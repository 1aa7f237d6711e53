"""The Triton kernel becomes machine code for an H100, which needs no GPU: what an interpreter lets pass shows here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

OBJECTIVES = [
    "ce",
    "ce - 0.1*entropy",
    "ce - alpha*entropy",  # a weight of its own for each row
    "gem(beta=0.7)",
    "gem(beta=0.7, h=logsigmoid)",
    "ce + 0.05*kl(ref)",
    "jsd(ref) + kl(ref, reverse=true) + alpha_divergence(ref, a=0.5)",
    "gem(beta=0.5) + 0.2*tsallis(q=2) - 0.1*renyi(q=2) + label_smoothing + 0.05*varentropy + 0.01*z_loss + mse",
    "focal + power + dft + eaft + alpha_divergence",
]


@pytest.mark.skipif(sys.platform != "linux", reason="Triton has wheels for Linux only")
def test_compiles_once_for_an_h100_and_without_spills() -> None:
    worker = Path(__file__).with_name("compile_for_h100.py")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    found = subprocess.run(
        [sys.executable, str(worker), *OBJECTIVES], capture_output=True, text=True, env=environment, check=False
    )
    assert found.returncode == 0, found.stderr
    first, second, ragged, scaling, *lines = found.stdout.splitlines()
    assert (first, second) == ("row kernels\t2", "statistics kernels\t2")
    assert (ragged, scaling) == ("ragged\t16 16", "scaling\t16 16")
    assert [line.split("\t")[0] for line in lines] == [
        f"{kernel} {cap}" for cap in ("None", "30.0") for kernel in ("statistics", *OBJECTIVES)
    ]
    assert {line.split("\t")[1] for line in lines} == {"0"}, lines
