"""A GPU that is not there: tensors that say they are on cuda:0, so that one left on the wrong device is found anywhere.

A `Simulated` tensor holds one in memory and computes with it. An operation on both kinds raises as CUDA would, and so
do a generator of the other device and NumPy. Kernels are not simulated: Triton counts as not installed. Numbers are
those of a CPU, so what a GPU computes differently does not show, nor what waits for it.

    python tests/simulated_gpu.py '[["train", "--data", "rows.jsonl", …], ["score", …]]'

runs commands one after the other in one process, as accelerate remembers the device of a process.
"""

import contextlib
import json
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch.optim import Optimizer
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map, tree_map_only

GPU = torch.device("cuda", 0)
# What makes a tensor where it is told to.
FACTORIES = frozenset(
    """
    arange as_tensor asarray empty empty_like empty_strided eye full full_like linspace new_empty new_full new_ones
    new_tensor new_zeros ones ones_like rand rand_like randint randn randn_like randperm tensor zeros zeros_like
    """.split()  # noqa: SIM905
)
COPIES = frozenset({"aten::copy_", "aten::_to_copy"})


class Simulated(torch.Tensor):
    """A tensor on the GPU that is not there.

    Args:
        held: where its numbers are.
    """

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "Simulated":
        made: Simulated = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype
        )
        made.held = held
        return made

    device = property(lambda self: GPU)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    is_cpu = property(lambda self: False)  # type: ignore[assignment]
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    __array__ = numpy

    def tolist(self) -> Any:
        return self.held.detach().tolist()

    def untyped_storage(self) -> Any:
        return self.held.untyped_storage()

    def data_ptr(self) -> int:
        return self.held.data_ptr()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.held.detach().__reduce_ex__(protocol)

    def __repr__(self, **kwargs: Any) -> str:  # type: ignore[override]
        return f"Simulated({self.held!r})"


class _ToGpu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        return Simulated(tensor.detach().clone())

    @staticmethod
    def backward(ctx: Any, grad: Any) -> torch.Tensor:
        return grad.held


class _FromGpu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Any) -> torch.Tensor:
        return tensor.held.detach().clone()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        return Simulated(grad)


def on_gpu(device: Any) -> bool:
    """Whether a device, or its name, is the GPU."""
    return device is not None and torch.device(device).type == "cuda"


def moved(tensor: torch.Tensor, device: Any) -> torch.Tensor:
    """The tensor on the device, differentiably; itself where it is there."""
    if on_gpu(device) == isinstance(tensor, Simulated) or torch.device(device).type == "meta":
        return tensor
    return _ToGpu.apply(tensor) if on_gpu(device) else _FromGpu.apply(tensor)


def computed(func: Any, args: Any, kwargs: Any) -> Any:
    """An operation by what its tensors hold; the result is simulated where one of them is."""
    found: list[torch.Tensor] = []
    tree_map_only(torch.Tensor, found.append, (args, kwargs))
    simulated = [one for one in found if isinstance(one, Simulated)]
    _check(func, args, simulated, [one for one in found if not isinstance(one, Simulated) and one.dim()])
    args, kwargs = tree_map_only(Simulated, lambda one: one.held, (args, kwargs))
    known = {id(one.held): one for one in simulated}
    name = func._schema.name
    wide = name in ("aten::mm", "aten::addmm") and "dtype" in func._overloadname
    result = _wide_product(name, args, kwargs) if wide else func(*args, **kwargs)
    into_memory = name == "aten::copy_" and id(args[0]) not in known

    def shown(one: Any) -> Any:
        return known[id(one)] if id(one) in known else Simulated(one) if simulated and not into_memory else one

    return tree_map_only(torch.Tensor, shown, result)


def _check(func: Any, args: Any, simulated: list[Simulated], others: list[torch.Tensor]) -> None:
    if not simulated or func._schema.name in COPIES:
        return
    if func._schema.name in ("aten::index", "aten::index_put_", "aten::_index_put_impl_") and isinstance(
        args[0], Simulated
    ):
        others = [one for one in others if one.is_floating_point()]  # indices may be in memory
    if others:
        shapes = [tuple(one.shape) for one in others]
        raise RuntimeError(f"{func}: expected all tensors to be on the same device, found cuda:0 and cpu {shapes}")


def _wide_product(name: str, args: Any, kwargs: Any) -> torch.Tensor:
    """A product with a wider result than its factors, which a CPU has not: `mm` and `addmm` with `out_dtype`."""
    tensors = [one for one in args if isinstance(one, torch.Tensor)]
    dtype = next(one for one in (*args, *kwargs.values()) if isinstance(one, torch.dtype))
    product = tensors[-2].to(dtype) @ tensors[-1].to(dtype)
    product = product + tensors[0] if name == "aten::addmm" else product
    return kwargs["out"].copy_(product) if "out" in kwargs else product


class _Devices(TorchFunctionMode):
    """Makes and moves tensors where they are told to be."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), dict(kwargs or {})
        if name in ("cuda", "cpu", "pin_memory"):
            return args[0] if name == "pin_memory" else moved(args[0], "cuda" if name == "cuda" else "cpu")
        if name == "to":
            return self._to(func, *args, **kwargs)
        if name in FACTORIES:
            kwargs.pop("pin_memory", None)
        device, generator = kwargs.get("device"), kwargs.get("generator")
        if generator is not None:
            there = isinstance(args[0], Simulated) or on_gpu(device)
            if there != on_gpu(generator.device):
                raise RuntimeError(f"{name}: expected a generator on the tensor's device, found {generator.device}")
        if name not in FACTORIES or device is None or torch.device(device).type == "meta":
            return func(*args, **kwargs)
        args = tree_map(lambda one: moved(one, device) if isinstance(one, torch.Tensor) else one, args)
        if name in ("tensor", "as_tensor", "asarray") and isinstance(args[0], Simulated):
            return args[0] if kwargs.get("dtype") is None else args[0].to(kwargs["dtype"])
        learns = kwargs.pop("requires_grad", False)
        return moved(func(*args, **kwargs | {"device": "cpu"}), device).requires_grad_(learns)

    @staticmethod
    def _to(func: Any, tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        given = {"device": kwargs.pop("device", None), "dtype": kwargs.pop("dtype", None)}
        for one in args:
            if isinstance(one, torch.Tensor):
                given |= {"device": one.device, "dtype": one.dtype}
            elif isinstance(one, torch.dtype):
                given["dtype"] = one
            elif isinstance(one, str | torch.device):
                given["device"] = one
        tensor = tensor if given["device"] is None else moved(tensor, given["device"])
        return tensor if given["dtype"] is None else func(tensor, given["dtype"], **kwargs)


class _Generator(torch.Generator):
    """A generator on either device."""

    where: torch.device

    def __new__(cls, device: Any = "cpu") -> "_Generator":
        made = super().__new__(cls, "cpu")
        made.where = GPU if on_gpu(device) else torch.device("cpu")
        return made

    device = property(lambda self: self.where)  # type: ignore[assignment]

    def manual_seed(self, seed: int) -> "_Generator":
        super().manual_seed(seed)
        return self


def _module_to(before: Any) -> Any:
    """`Module.to`, which leaves the parameters the optimizer knows where they are there already."""

    def to(module: torch.nn.Module, *args: Any, **kwargs: Any) -> torch.nn.Module:
        device = kwargs.get("device", args[0] if args else None)
        tensors = [*module.parameters(), *module.buffers()]
        alone = isinstance(device, str | torch.device) and len(args) + len(kwargs) == 1
        if alone and all(isinstance(one, Simulated) == on_gpu(device) for one in tensors):
            return module
        return before(module, *args, **kwargs)

    return to


def _run_of(before: Any) -> Any:
    """`Thread.run` in which the simulation goes on."""

    def run(thread: threading.Thread) -> None:
        with _Devices():
            before(thread)

    return run


@contextlib.contextmanager
def simulated_gpu() -> Iterator[None]:
    """Inside, there is one GPU with nothing on it."""
    import torch._dynamo  # reads the functions of torch.cuda by identity
    import torch.distributed.tensor  # likewise

    import entrotune.kernels.triton_backend as backend

    properties = types.SimpleNamespace(
        name="Simulated", total_memory=8 << 30, major=9, minor=0, multi_processor_count=4
    )
    answers: dict[str, Any] = {
        "is_available": True,
        "is_initialized": True,
        "is_bf16_supported": True,
        "device_count": 1,
        "current_device": 0,
        "get_device_name": "Simulated",
        "get_device_properties": properties,
        "get_device_capability": (9, 0),
        "mem_get_info": (4 << 30, 8 << 30),
        "memory_allocated": 1,
        "max_memory_allocated": 1,
        "memory_stats": {},
        "get_rng_state": torch.zeros(1, dtype=torch.uint8),
        "get_rng_state_all": [],
        **dict.fromkeys(("_lazy_init", "set_device", "synchronize", "empty_cache", "reset_peak_memory_stats")),
        **dict.fromkeys(("set_rng_state", "set_rng_state_all", "manual_seed", "manual_seed_all")),
    }
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    with contextlib.ExitStack() as stack:

        def patch(where: Any, name: str, value: Any) -> None:
            stack.enter_context(mock.patch.object(where, name, value))

        for name, answer in answers.items():
            patch(torch.cuda, name, lambda *args, _answer=answer, **kwargs: _answer)
            if hasattr(torch.cuda.random, name):
                patch(torch.cuda.random, name, getattr(torch.cuda, name))
        patch(torch.accelerator, "current_accelerator", lambda check_available=False: torch.device("cuda"))
        patch(Optimizer, "_accelerator_graph_capture_health_check", lambda self: None)
        patch(backend, "_installed", lambda: False)
        patch(torch, "Generator", _Generator)
        patch(torch.nn.Module, "to", _module_to(torch.nn.Module.to))
        patch(threading.Thread, "run", _run_of(threading.Thread.run))
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwrite)
        stack.enter_context(_Devices())
        yield


if __name__ == "__main__":
    from entrotune.cli.main import main

    with simulated_gpu():
        for line in json.loads(sys.argv[1]):
            if code := main(line):
                sys.exit(f"entrotune {line[0]} ended with {code}")
