"""`entrotune.show`: texts token by token, in a notebook or as a file."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrotune import provenance
from entrotune.errors import UserError
from entrotune.files import atomic_write_text, check_page
from entrotune.models import check_head, load_model
from entrotune.reports.token_view import bounded, token_view_page
from entrotune.scoring.examine import examine
from entrotune.scoring.examined import CONVENTIONS
from entrotune.scoring.token_record import text_record


@dataclass(frozen=True)
class TokenView:
    """A page that shows itself in a notebook.

    Attributes:
        html: the whole page.
        summaries: what its table says of each text, by name; nats.
        height: of the frame in a notebook, pixels.
    """

    html: str
    summaries: dict[str, dict[str, Any]]
    height: int = 760

    def save(self, path: str | Path) -> Path:
        """Write the page to an HTML file, which opens offline.

        Raises:
            UserError: a name that does not end in .html.
        """
        check_page(path)
        atomic_write_text(path, self.html)
        return Path(path)

    def _repr_html_(self) -> str:
        """The page in a frame of its own, so that neither its styles nor its script reach the notebook."""
        return (
            f'<iframe title="Texts token by token" sandbox="allow-scripts" srcdoc="{html.escape(self.html)}" '
            f'style="width:100%;height:{self.height}px;border:0"></iframe>'
        )

    def __repr__(self) -> str:
        return f"TokenView({', '.join(self.summaries)}; save(path) writes the page)"


def show(
    text: str | Sequence[str],
    model: str | tuple[Any, Any] = "smollm2-135m",
    *,
    prompt: str | None = None,
    system: str | None = None,
    bos: str = "auto",
    top_k: int = 20,
    max_length: int | None = None,
    height: int = 760,
) -> TokenView:
    """Show how unsure a model was at each token of a text, and between which tokens.

    In a notebook the result shows itself; elsewhere `save` writes it as one HTML file.

    Args:
        text: one text, or several.
        model: a name, as `entrotune.load_model` takes it, or a loaded model with its tokenizer.
        prompt: what the text answers, in the model's chat format; shown, but not counted.
        system: a system message before the prompt.
        bos: whether plain text begins with the tokenizer's BOS: `always`, `none`, or `auto`: as the tokenizer does it.
        top_k: likeliest tokens to show of each prediction.
        max_length: tokens of a text; the rest is cut off and counted. By default what the model reaches to.
        height: of the frame in a notebook, pixels.

    Raises:
        UserError: no such model, no text, an empty one, or settings that do not go together.
    """
    texts = [text] if isinstance(text, str) else list(text)
    if not texts:
        raise UserError("there is nothing to show: give a text, or several")
    if isinstance(model, str):
        name, (loaded, tokenizer) = model, load_model(model)
        check_head(loaded)
    else:
        loaded, tokenizer = model
        name = str(getattr(loaded.config, "name_or_path", "")) or type(loaded).__name__

    def examined() -> Iterator[dict[str, Any]]:
        for number, one in enumerate(texts, start=1):
            found = examine(
                one, loaded, tokenizer, prompt=prompt, system=system, bos=bos, top_k=top_k, max_length=max_length
            )
            yield text_record(found, id="text" if len(texts) == 1 else f"text {number}")

    shown, left_out = bounded(examined(), total=len(texts))
    page = token_view_page(
        {
            "title": "Token entropies",
            "model": name,
            "vocabulary": shown[0]["vocabulary"],
            "texts": shown,
            "left_out": left_out,
            "conventions": {**CONVENTIONS, "counted": "the tokens of the text, but those of a prompt"},
            "created": provenance.now(),
            "versions": provenance.versions(),
        }
    )
    return TokenView(page, {one["id"]: one["summary"] for one in shown}, height)
