"""How many responses may be asked for at once."""

from entrotune.errors import UserError

MOST = 10_000_000
"""All responses are held in memory, at about a kilobyte each."""


def check_responses(name: str, each: int, prompts: int) -> None:
    """Raise `UserError` where more responses are asked for than can be held.

    Args:
        name: what sets `each`.
        each: responses a prompt.
        prompts: their number.
    """
    if (wanted := each * prompts) > MOST:
        raise UserError(
            f"{wanted:,} responses are wanted ({name} {each:,}, prompts {prompts:,}), and at most {MOST:,} are made at "
            f"once, as all are held in memory; divide the prompts, or lower {name}"
        )
