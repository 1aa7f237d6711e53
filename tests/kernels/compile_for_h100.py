"""Compile the row kernel for compute capability 9.0 and print the bytes of stack it spills, for each objective."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from entrotune.kernels.plan import Head, Plan, Stream
from entrotune.kernels.triton_kernels import row_kernel
from entrotune.kernels.triton_rows import TritonRows
from entrotune.objectives import Objective

POINTERS = {"products", "grads", "reference", "bias", "reference_bias"}
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


def compiled(objective: str, softcap: float | None) -> Any:
    """The kernel of an objective, for rows of Llama 3's vocabulary in bfloat16."""
    hidden, weight = (torch.empty(size, 64, dtype=torch.bfloat16, device="meta") for size in (1, 128256))
    stream = Stream(hidden, weight, None, Head(1.0, softcap))
    plan = Plan(
        Objective(objective),
        hidden_grad=True,
        weight_grad=True,
        bias_grad=False,
        product_dtype=torch.bfloat16,
        logits_dtype=torch.bfloat16,
        chunk_bytes=None,
        device=torch.device("cuda"),
    )
    rows = TritonRows(plan, stream, stream if plan.objective.needs.reference else None, 128)
    options = dict(rows.options)
    launch = {name: options.pop(name) for name in list(options) if name not in row_kernel.arg_names}
    names = row_kernel.arg_names
    types = dict.fromkeys(names, "fp32")
    types |= {name: "i32" for name in names if name.endswith("stride") or name == "vocabulary"}
    types |= (
        dict.fromkeys(POINTERS, "*bf16") | {"targets": "*i64", "stats": "*fp32"} | dict.fromkeys(options, "constexpr")
    )
    aligned = {(i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if types[name][0] in "*i"}
    source = ASTSource(row_kernel, types, {(names.index(name),): value for name, value in options.items()}, aligned)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=launch)


def stack_bytes(cubin: bytes) -> str:
    """What the assembler could not keep in registers."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        told = subprocess.run(
            [TOOLS / "cuobjdump", "-res-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
    return re.findall(r"STACK:(\d+)", told)[0]


for objective in sys.argv[1:]:
    for softcap in (None, 30.0):
        print(f"{objective} {softcap}\t{stack_bytes(compiled(objective, softcap).asm['cubin'])}", flush=True)
