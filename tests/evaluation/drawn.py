"""Samples that no model drew."""

from collections.abc import Mapping, Sequence

from entrotune.evaluation import SampleRecord


def drawn(prompt_id: str, text: str = "", *, index: int = 0, token_ids: tuple[int, ...] = (3,)) -> SampleRecord:
    """A finished response at temperature 1, whose end mark is not among its tokens."""
    return SampleRecord(
        prompt_id=prompt_id,
        index=index,
        temperature=1.0,
        text=text,
        token_ids=token_ids,
        tokens=len(token_ids),
        finished=True,
        seed=0,
        batch=0,
    )


def all_drawn(texts: Mapping[str, Sequence[str]]) -> list[SampleRecord]:
    """Those of each prompt by its id, in their order."""
    return [drawn(name, text, index=index) for name, said in texts.items() for index, text in enumerate(said)]
