"""Which of several processes this is, where `torchrun` or `accelerate launch` started them to train together."""

import os


def count() -> int:
    """How many there are; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this one; the first, 0, is the one that writes and shows."""
    return int(os.environ.get("RANK", "0"))


def leave() -> None:
    """End this one's part in their group; left to the exit of the interpreter, threads of the group can abort it."""
    if count() > 1:
        import torch

        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
