"""Products whose result is wider than their factors, on a CPU."""

import pytest
import torch

from entrotune.kernels import products
from entrotune.kernels.products import product


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("rows", "columns"), [(3, 700), (700, 3), (300, 300)])
@pytest.mark.parametrize("add", [False, True])
def test_is_exact_to_the_rounding_of_the_result(
    dtype: torch.dtype, rows: int, columns: int, add: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "_SLAB_BYTES", 128 * 64 * 4)  # several slabs, the last of them shorter
    torch.manual_seed(0)
    left, right = torch.randn(rows, 64).to(dtype), torch.randn(columns, 64).to(dtype).T
    out = torch.randn(rows, columns)
    exact = left.double() @ right.double() + (out.double() if add else 0)
    assert product(left, right, out, add=add) is out
    torch.testing.assert_close(out.double(), exact, atol=2e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_process_multiplies_afterwards_as_it_did_before(dtype: torch.dtype) -> None:
    factor = torch.randn(256, 256)
    exact = factor @ factor
    product(factor.to(dtype), factor.to(dtype), torch.empty(256, 256))
    with pytest.raises(RuntimeError):
        product(torch.ones(2, 3, dtype=dtype), torch.ones(4, 5, dtype=dtype), torch.empty(2, 5))
    assert torch.equal(factor @ factor, exact)
