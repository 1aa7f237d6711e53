"""Orders of rows: pure functions on arrays, the file an order is kept in, and streams of tokens in an order."""

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
