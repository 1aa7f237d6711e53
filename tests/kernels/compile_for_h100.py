"""Compile the kernels for compute capability 9.0 and print the bytes of stack they spill, for each objective.

First how many kernels different numbers of rows, and beginnings of a chunk, make of two objectives, and of statistics
with and without a soft cap; and bytes that a thread reads and writes at once where the vocabulary is no multiple of 16,
and where gradients are scaled. The kernels are called as in training, on a driver that has no device and launches
nothing; a warning is an error.
"""

import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from entrotune.kernels.plan import Head, Plan, Stream
from entrotune.kernels.triton_backend import padded
from entrotune.kernels.triton_kernels import row_kernel
from entrotune.kernels.triton_rows import TritonRows
from entrotune.kernels.triton_scaling import scaling_kernel, triton_scaled
from entrotune.kernels.triton_statistics import statistics_kernel, triton_statistics
from entrotune.objectives import Objective

VOCABULARY = 128256  # Llama 3's
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


class Nowhere:
    """A driver that says it has an H100 and launches nothing."""

    utils = SimpleNamespace(
        get_device_properties=lambda device: {"max_shared_mem": 227 << 10},
        load_binary=lambda name, cubin, shared, device: (0, 0, 0, 0, 1024),
        unload_module=lambda module: None,
    )

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def launcher_cls(self, source: Any, metadata: Any) -> Any:
        return lambda *arguments: None


def call_rows(
    objective: str, softcap: float | None = None, *, vocabulary: int = VOCABULARY, count: int = 2, start: int = 0
) -> None:
    """Statistics and gradient of rows in bfloat16 that begin somewhere in the call's."""
    objective_, total = Objective(objective), start + count
    hidden, weight = (torch.empty(size, 64, dtype=torch.bfloat16, device="meta") for size in (total, vocabulary))
    stream = Stream(hidden, weight, None, Head(1.0, softcap))
    weights = torch.empty(len(objective_.terms), total) if objective_.names else None
    plan = Plan(
        objective_,
        hidden_grad=True,
        weight_grad=True,
        bias_grad=False,
        product_dtype=torch.bfloat16,
        logits_dtype=torch.bfloat16,
        chunk_bytes=None,
        device=torch.device("cuda"),
        weights=weights,
    )
    products, reference = torch.empty(2, count, padded(vocabulary), dtype=torch.bfloat16)[:, :, :vocabulary]
    rows = TritonRows(plan, stream, stream if objective_.needs.reference else None, count)
    rows(
        products,
        reference if objective_.needs.reference else None,
        torch.empty(total, dtype=torch.long)[start:],
        None if weights is None else weights[:, start:],
        torch.empty(6, total)[:, start:],
        products,
    )


def call_statistics(softcap: float | None = None, *, count: int = 2) -> None:
    """Statistics only, of float32 logits."""
    products = torch.empty(count, padded(VOCABULARY))[:, :VOCABULARY]
    triton_statistics(products, torch.empty(count, dtype=torch.long), None, Head(1.0, softcap))


def compiled(kernel: Any) -> list[Any]:
    """What has become of a kernel so far."""
    return list(kernel.device_caches[0][0].values())


def stack_bytes(kernel: Any) -> str:
    """What the assembler could not keep in registers."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        told = subprocess.run(
            [TOOLS / "cuobjdump", "-res-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
    return re.findall(r"STACK:(\d+)", told)[0]


def bytes_at_once(kernel: Any) -> str:
    """Of the widest loads and stores that a row is read and written by."""
    sizes = {"ld": 0, "st": 0}
    for kind, vector, bits in re.findall(r"(ld|st)\.global(?:\.v(\d))?\.b(\d+)", kernel.asm["ptx"]):
        sizes[kind] = max(sizes[kind], int(vector or 1) * int(bits) // 8)
    return f"{sizes['ld']} {sizes['st']}"


warnings.simplefilter("error")
driver.set_active(Nowhere())
for rows, begin in ((1, 0), (16, 0), (17, 0), (17, 1), (18, 2), (64, 32)):
    call_rows("ce - 0.1*entropy", count=rows, start=begin)
    call_rows("ce - alpha*entropy", count=rows, start=begin)
    call_statistics(count=rows)
for cap in (30.0, 16, 1):
    call_statistics(cap)
print(f"row kernels\t{len(compiled(row_kernel))}", flush=True)
print(f"statistics kernels\t{len(compiled(statistics_kernel))}", flush=True)
call_rows("ce", vocabulary=50257)
print(f"ragged\t{bytes_at_once(compiled(row_kernel)[-1])}", flush=True)
triton_scaled(torch.empty(4096), torch.empty(()), torch.bfloat16)
print(f"scaling\t{bytes_at_once(compiled(scaling_kernel)[-1])}", flush=True)
for cap in (None, 30.0):
    statistics_kernel.device_caches.clear()
    call_statistics(cap)
    print(f"statistics {cap}\t{stack_bytes(compiled(statistics_kernel)[-1])}", flush=True)
    for text in sys.argv[1:]:
        row_kernel.device_caches.clear()
        call_rows(text, cap)
        print(f"{text} {cap}\t{stack_bytes(compiled(row_kernel)[-1])}", flush=True)
