"""Compile the kernels for compute capability 9.0 and print the bytes of stack they spill, for each objective.

First how many kernels different numbers of rows, and beginnings of a chunk, make of one, and bytes that a thread reads
and writes at once where the vocabulary is no multiple of 16.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Set
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import CUDABackend
from triton.compiler import ASTSource
from triton.runtime.jit import create_function_from_signature

from entrotune.kernels.plan import Head, Plan, Stream
from entrotune.kernels.triton_kernels import row_kernel
from entrotune.kernels.triton_rows import TritonRows, launch_shape
from entrotune.kernels.triton_statistics import statistics_kernel
from entrotune.objectives import Objective

POINTERS = {"products", "grads", "reference", "bias", "reference_bias"}
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


def compiled(objective: str, softcap: float | None, *, vocabulary: int = 128256) -> Any:
    """The kernel of an objective, by default for rows of Llama 3's vocabulary in bfloat16."""
    hidden, weight = (torch.empty(size, 64, dtype=torch.bfloat16, device="meta") for size in (1, vocabulary))
    stream = Stream(hidden, weight, None, Head(1.0, softcap))
    terms = Objective(objective).terms
    by_row = torch.empty(len(terms), 1, device="meta") if Objective(objective).names else None
    plan = Plan(
        Objective(objective),
        hidden_grad=True,
        weight_grad=True,
        bias_grad=False,
        product_dtype=torch.bfloat16,
        logits_dtype=torch.bfloat16,
        chunk_bytes=None,
        device=torch.device("cuda"),
        weights=by_row,
    )
    rows = TritonRows(plan, stream, stream if plan.objective.needs.reference else None, 128)
    odd = {"vocabulary"} if vocabulary % 16 else set()
    odd |= {"width", "row_stride", "grad_stride"} if TritonRows.width(vocabulary) % 16 else set()
    weights = "*fp32" if plan.objective.names else ("fp32",) * len(terms)
    return built(row_kernel, rows.options, "bf16", weights=weights, odd=odd)


def statistics(softcap: float | None) -> Any:
    """The kernel that only takes statistics, of float32 logits."""
    options = {
        "RAGGED": False,
        "HAS_BIAS": False,
        "HAS_CAP": softcap is not None,
        "HAS_SCALE": False,
        **launch_shape(128256, 4),
    }
    return built(statistics_kernel, options, "fp32")


def built(
    kernel: Any,
    options: dict[str, Any],
    precision: str,
    *,
    weights: Any = None,
    odd: Set[str] = frozenset(),
) -> Any:
    """Machine code of a kernel for logits of a precision, and an objective whose weights are of these types.

    Args:
        odd: numbers that are no multiples of 16.
    """
    launch = {name: value for name, value in options.items() if name not in kernel.arg_names}
    options = {name: value for name, value in options.items() if name in kernel.arg_names}
    names = kernel.arg_names
    types = dict.fromkeys(names, "fp32")
    types |= {name: "i32" for name in names if name.endswith("stride") or name in ("vocabulary", "width")}
    types |= {name: f"*{precision}" for name in names if name in POINTERS}
    types |= {"weights": weights} if weights else {}
    types |= {"targets": "*i64", "stats": "*fp32"} | ({"above": "*i32"} if "above" in names else {})
    types |= dict.fromkeys(options, "constexpr")
    whole = {name for name in names if types[name][0] in "*i"} - odd
    aligned = {(i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if name in whole}
    source = ASTSource(kernel, types, {(names.index(name),): value for name, value in options.items()}, aligned)
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


def specializations() -> int:
    """How many of the row kernel a training with a varying number of supervised tokens compiles."""
    bind = create_function_from_signature(
        row_kernel.signature, row_kernel.params, CUDABackend(GPUTarget("cuda", 90, 32))
    )
    constants = {p.name: 0 for p in row_kernel.params if p.is_constexpr}
    logits, found = torch.empty(128256, dtype=torch.bfloat16), set()
    for rows, start in ((1, 0), (16, 0), (17, 0), (17, 1), (18, 2), (64, 32)):
        targets, stats = torch.zeros(rows, dtype=torch.long), torch.empty(6, rows)
        sizes = (128256, 128256, 128256, stats.stride(0), 128256, 128256)
        pointers = (*[logits] * 5, targets[start:], stats[:, start:])
        found.add(str(bind(*pointers, *sizes, *[1.0] * 9, (1.0, -0.1), **constants)[1]))
    return len(found)


def bytes_at_once(ptx: str) -> str:
    """Of the widest loads and stores that a row is read and written by."""
    sizes = {"ld": 0, "st": 0}
    for kind, vector, bits in re.findall(r"(ld|st)\.global(?:\.v(\d))?\.b(\d+)", ptx):
        sizes[kind] = max(sizes[kind], int(vector or 1) * int(bits) // 8)
    return f"{sizes['ld']} {sizes['st']}"


print(f"row kernels\t{specializations()}", flush=True)
print(f"ragged\t{bytes_at_once(compiled('ce', None, vocabulary=50257).asm['ptx'])}", flush=True)
for softcap in (None, 30.0):
    print(f"statistics {softcap}\t{stack_bytes(statistics(softcap).asm['cubin'])}", flush=True)
    for objective in sys.argv[1:]:
        print(f"{objective} {softcap}\t{stack_bytes(compiled(objective, softcap).asm['cubin'])}", flush=True)
