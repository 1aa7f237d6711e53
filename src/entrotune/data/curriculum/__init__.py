"""Orders of rows: pure functions on arrays, the file an order is kept in, and streams of tokens in an order."""

from typing import TYPE_CHECKING

from entrotune.lazy import loader

if TYPE_CHECKING:
    from entrotune.data.curriculum.join import Joined, join_order
    from entrotune.data.curriculum.options import OrderOptions
    from entrotune.data.curriculum.order_file import Order, read_order, write_order
    from entrotune.data.curriculum.plan import OrderPlan, plan_order
    from entrotune.data.curriculum.token_stream import write_token_stream

__all__ = [
    "Joined",
    "Order",
    "OrderOptions",
    "OrderPlan",
    "join_order",
    "plan_order",
    "read_order",
    "write_order",
    "write_token_stream",
]

# The options of an order must not wait for pyarrow.
__getattr__ = loader(
    __name__,
    {
        "Joined": "entrotune.data.curriculum.join",
        "Order": "entrotune.data.curriculum.order_file",
        "OrderOptions": "entrotune.data.curriculum.options",
        "OrderPlan": "entrotune.data.curriculum.plan",
        "join_order": "entrotune.data.curriculum.join",
        "plan_order": "entrotune.data.curriculum.plan",
        "read_order": "entrotune.data.curriculum.order_file",
        "write_order": "entrotune.data.curriculum.order_file",
        "write_token_stream": "entrotune.data.curriculum.token_stream",
    },
)
