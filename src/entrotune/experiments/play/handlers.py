"""What happens when something on the page is used: plain values in, HTML out. Knows nothing of the web."""

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from entrotune.errors import UserError
from entrotune.experiments.play import drawing, panels
from entrotune.experiments.play.difference import difference
from entrotune.experiments.play.explorer import SHOWN, About, Ended
from entrotune.experiments.play.panels import Sample
from entrotune.experiments.play.shaping import Shaping
from entrotune.experiments.play.worker import Worker
from entrotune.scoring.examine import Token

MOST_SAMPLES = 8
_EACH = 0.12  # seconds between two pictures of a running generation

PRESS_A_TOKEN = "Press a token, or move to it with the arrow keys and press Enter, to see the distribution there."


@dataclass(frozen=True)
class Opened:
    """What a tab shows, kept for the next click.

    Attributes:
        ids: of each text.
        tokens: of each text, under each model that read it.
        pressed: the spot whose distribution is open.
    """

    ids: tuple[tuple[int, ...], ...]
    tokens: tuple[tuple[Token, ...], ...] = ()
    pressed: drawing.Spot | None = None


def opened_at(opened: Opened | None, row: Any, at: Any) -> Opened:
    """The same with another spot open, as the browser names it.

    Raises:
        UserError: there is no such spot, as where the page was left open over a restart.
    """
    if opened is None or not isinstance(row, int) or not isinstance(at, int) or not 0 <= row < len(opened.ids):
        raise UserError("this token is no longer there; read or write the text again")
    return replace(opened, pressed=(row, at))


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be written."""

    prompt: str
    chat: bool
    strategy: str
    samples: int
    max_new_tokens: int
    seed: int

    @property
    def asked(self) -> dict[str, Any]:
        """As arguments of `Explorer.write`.

        Raises:
            UserError: a number is out of its range.
        """
        if not 1 <= self.samples <= MOST_SAMPLES:
            raise UserError(f"samples is {self.samples}; expected 1 to {MOST_SAMPLES}")
        if self.max_new_tokens < 1:
            raise UserError(f"the number of new tokens is {self.max_new_tokens}; expected at least 1")
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class Page:
    """The page's answers, by one model or two.

    Args:
        workers: with the models.
        models: what they are, in the same order.
    """

    def __init__(self, workers: Sequence[Worker], models: Sequence[About]) -> None:
        self._workers, self.models = list(workers), list(models)

    @property
    def alike(self) -> bool:
        """Whether the two models' distributions are over the same tokens."""
        return len({model.tokens_mark for model in self.models}) == 1

    def read(self, text: str, chat: bool, by: str) -> tuple[Opened, Markup]:
        """A text as coloured tokens; what comes next is open."""
        ids = tuple(self._workers[0].ask("ids_of", text=text, chat=chat))
        tokens = self._workers[0].ask("read", ids=ids)
        opened = Opened((ids,), (tokens,), (0, len(ids)))
        return opened, drawing.coloured(tokens, by=by, pressed=opened.pressed)

    def position(self, opened: Opened | None, shaping: Shaping) -> Markup:
        """The distribution at the spot that is open."""
        if opened is None or opened.pressed is None:
            return drawing.empty(PRESS_A_TOKEN)
        row, at = opened.pressed
        return panels.position_panel(self._workers[0].ask("position", ids=opened.ids[row], at=at, shaping=shaping))

    def write(self, request: Request, by: str) -> Iterator[tuple[Opened, Markup]]:
        """Responses as they are written, several times a second; at last with what may be pressed."""
        for prompt, samples in _pictures(self._workers[0], request):
            yield _opened(prompt, samples), panels.samples_panel(samples, by=by)

    def compare(self, text: str, chat: bool, by: str) -> tuple[Opened, Markup, Markup]:
        """A text coloured by the difference of two models; what comes next is open.

        Raises:
            UserError: there is one model, or their tokens differ.
        """
        first, second = self._two()
        ids = tuple(first.ask("ids_of", text=text, chat=chat))
        opened = Opened((ids,), (first.ask("read", ids=ids), second.ask("read", ids=ids)), (0, len(ids)))
        return opened, *self.colour_difference(opened, by)

    def colour_difference(self, opened: Opened | None, by: str) -> tuple[Markup, Markup]:
        """The tokens that are open, by another difference; and what the colours mean."""
        if opened is None:
            return drawing.empty("The text will be here, coloured by where the models differ."), Markup("")
        one, two = opened.tokens
        return drawing.differing(one, two, by=by, pressed=opened.pressed), drawing.scale(by, both=True)

    def differ(self, opened: Opened | None, temperature: float) -> Markup:
        """The two distributions at the spot that is open."""
        if opened is None or opened.pressed is None:
            return drawing.empty(PRESS_A_TOKEN)
        first, second = self._two()
        row, at = opened.pressed
        ids = opened.ids[row]
        shaping = Shaping(temperature=temperature)
        places = [worker.ask("position", ids=ids, at=at, shaping=shaping) for worker in (first, second)]
        rows = [worker.ask("log_probabilities", ids=ids, at=at) for worker in (first, second)]
        chosen = places[0].chosen
        found = difference(*rows, shown=SHOWN, always=[chosen.id] if chosen else [])
        texts = first.ask("texts_of", ids=ids, of=found.tokens)
        names = [model.name for model in self.models]
        return (
            panels.place_heading(places[0])
            + panels.difference_facts(found)
            + Markup(
                '<div class="side"><div><h4>The distributions</h4>{}</div>'
                "<div><h4>Entropy over temperature</h4>{}</div></div>"
            ).format(
                panels.difference_panel(found, texts, names, chosen.id if chosen else None),
                panels.curve_panel(places, names=names),
            )
        )

    def write_both(self, request: Request, by: str) -> Iterator[Markup]:
        """Both models' responses as they are written; where one fails, the other goes on."""
        self._two(same_tokens=False)
        running = {number: _pictures(worker, request) for number, worker in enumerate(self._workers)}
        columns = [drawing.empty("waiting …")] * len(self._workers)
        try:
            while running:
                for number in list(running):
                    try:
                        _, samples = next(running[number])
                        columns[number] = panels.samples_panel(samples, by=by, series=number)
                    except StopIteration:
                        del running[number]
                    except UserError as error:
                        columns[number] = drawing.notice(str(error))
                        del running[number]
                yield self._side_by_side(columns)
        finally:
            for one in running.values():
                one.close()

    def _side_by_side(self, columns: Sequence[Markup]) -> Markup:
        parts = Markup("").join(
            Markup('<section><h3><i class="swatch series-{}"></i>{}</h3>{}</section>').format(
                number, model.name, column
            )
            for number, (model, column) in enumerate(zip(self.models, columns, strict=True))
        )
        return Markup('<div class="side">{}</div>').format(parts)

    def _two(self, *, same_tokens: bool = True) -> tuple[Worker, Worker]:
        if len(self._workers) != 2:
            raise UserError("there is one model here; start the page with --compare to have two")
        if same_tokens and not self.alike:
            raise UserError(
                f"{self.models[0].name} and {self.models[1].name} have different tokens, so their distributions cannot "
                "be compared token by token; their responses can, below"
            )
        return self._workers[0], self._workers[1]


def _pictures(worker: Worker, request: Request) -> Generator[tuple[list[int], list[Sample]]]:
    """The prompt's tokens and the samples so far, now and then, and at the end."""
    samples = [Sample() for _ in range(request.samples)]
    prompt: list[int] = []
    shown = 0.0
    parts = worker.stream("write", **request.asked)
    try:
        for number, part in enumerate(parts):
            if number == 0:
                prompt = part
            elif isinstance(part, Ended):
                samples[part.sample].ended = part
            else:
                for new in part:
                    samples[new.sample].add(new)
            if time.monotonic() - shown > _EACH:
                shown = time.monotonic()
                yield prompt, samples
        yield prompt, samples
    finally:
        parts.close()


def _opened(prompt: Sequence[int], samples: Sequence[Sample]) -> Opened:
    return Opened(tuple((*prompt, *(token.id for token in sample.tokens)) for sample in samples))
