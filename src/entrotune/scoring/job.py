"""What is to be scored and how: enough for any process to read the rows and to load the model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from entrotune.data import RowBlock, RowStream, stream_rows
from entrotune.data.rows import row_content
from entrotune.errors import UserError
from entrotune.models import check_head, load_model
from entrotune.scoring.options import ScoreOptions
from entrotune.scoring.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class Job:
    """Plain values, so that it can be sent to another machine.

    Attributes:
        data: the source.
        reading: further arguments of `stream_rows`.
        model: its name.
        device: of the model, None for the default.
        batch_tokens: see `Scorer`.
        options: what decides the scores.
    """

    data: str
    reading: dict[str, Any]
    model: str
    device: str | None
    batch_tokens: int | None
    options: ScoreOptions

    def stream(self) -> RowStream:
        """The rows, from the first.

        Raises:
            UserError: the data cannot be read, or has nothing to score in this mode.
        """
        stream = stream_rows(self.data, **self.reading)
        if self.options.mode == "response" and stream.format in ("text", "prompt"):
            raise UserError(
                f"mode response needs rows with an answer, and {self.data} is read as {stream.format}; use mode all or "
                "predicted, or name the columns with columns"
            )
        return stream

    def scorer(self) -> Scorer:
        """The model, loaded."""
        model, tokenizer = load_model(self.model, dtype=self.options.precision, device=self.device)
        check_head(model)
        return Scorer(
            model, tokenizer, self.options, batch_tokens=self.batch_tokens, on_bad_row=self.reading["on_bad_row"]
        )

    def blocks(self, stream: RowStream, done: Mapping[int, str]) -> Iterator[tuple[int, RowBlock | None]]:
        """Numbers of all blocks, with their rows where they are not `done` yet.

        Args:
            stream: of this job, not walked yet.
            done: number of a block whose part is complete → the digest of its rows.

        Raises:
            UserError: a block that is done has other rows now, or no row has a column that is to be kept.
        """
        for block in stream.blocks(self.options.part_rows):
            if block.number == 0:
                _check_kept(block, self.options.keep)
            if block.number not in done:
                yield block.number, block
                continue
            if done[block.number] != block.digest:
                raise UserError(
                    f"the data has changed since scoring began: rows {block.first + 1:,} to "
                    f"{block.first + block.read:,} of {self.data} are not those that were scored; give another folder, "
                    "or --overwrite to score all anew"
                )
            yield block.number, None


def _check_kept(block: RowBlock, keep: tuple[str, ...]) -> None:
    """Raise `UserError` for a column to keep that none of the first rows has."""
    have = dict.fromkeys(name for row in block.rows for name in (*row.extra, *row_content(row)))
    for name in keep:
        if block.rows and name not in have:
            raise UserError(
                f"keep names the column {name!r}, which none of the first {len(block.rows):,} rows has; they have "
                f"{', '.join(have)}"
            )
