"""What happens when something on the page is used: plain values in, HTML out. Knows nothing of the web."""

import itertools
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from entrotune.errors import UserError
from entrotune.experiments.play import drawing, panels
from entrotune.experiments.play.difference import difference
from entrotune.experiments.play.explorer import SHOWN, About, Ended
from entrotune.experiments.play.panels import Sample
from entrotune.experiments.play.shaping import Shaping
from entrotune.experiments.play.watching import New
from entrotune.experiments.play.worker import GivenUpError, Wanted, Worker
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
    """

    ids: tuple[tuple[int, ...], ...]
    tokens: tuple[tuple[Token, ...], ...] = ()


@dataclass(frozen=True)
class Pressed:
    """The place whose distribution is open: before token `at` of a text. Complete in itself, as texts come and go."""

    ids: tuple[int, ...]
    at: int


class Turns:
    """Events of one kind, of which the last one counts where several are answered at the same time.

    Attributes:
        stopped: whether the last one was stopped.
    """

    def __init__(self) -> None:
        self._last, self.stopped = 0, False

    def begin(self) -> Wanted:
        """An event begins; its answer is wanted until another one does."""
        self._last, self.stopped = self._last + 1, False
        mine = self._last
        return lambda: mine == self._last

    def stop(self) -> None:
        """Nothing that has begun is wanted any more."""
        self._last, self.stopped = self._last + 1, True


class Panel:
    """What a tab shows, in one browser tab: of events that are answered at the same time the last one counts.

    Attributes:
        pressed: the token whose distribution is open.
        settings: of the sliders. Kept here, as a press and a slide in short order may arrive the other way round.
    """

    def __init__(self, settings: Sequence[float] = ()) -> None:
        self.pressed: Pressed | None = None
        self.settings = tuple(settings)
        self._presses, self._readings = Turns(), Turns()
        self._newest = 0

    def press(self, pressed: Pressed | None, number: Any = None) -> Wanted:
        """Go to another token, or to none.

        Args:
            number: the browser's count of presses; one that arrives after a later one is not gone to.
        """
        if isinstance(number, int):
            if number < self._newest:
                return lambda: False
            self._newest = number
        self.pressed = pressed
        return self.turn()

    def slide(self, settings: Sequence[float]) -> Wanted:
        """What is open is to be shown with other settings."""
        self.settings = tuple(settings)
        return self.turn()

    def turn(self) -> Wanted:
        """What is open is to be shown anew."""
        return self._presses.begin()

    def reading(self) -> Wanted:
        """A text is about to be read."""
        return self._readings.begin()

    def stop(self) -> None:
        """Nothing that has begun is wanted any more."""
        self._presses.stop()
        self._readings.stop()


def pressed_at(opened: Opened | None, row: Any, at: Any) -> Pressed:
    """The token that was pressed, as the browser names it.

    Raises:
        UserError: there is no such token, as where the page was left open over a restart.
    """
    if opened is None or not isinstance(row, int) or not isinstance(at, int) or not 0 <= row < len(opened.ids):
        raise UserError("this token is no longer there; read or write the text again")
    return Pressed(opened.ids[row], at)


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
        self._runs = itertools.count()

    @property
    def alike(self) -> bool:
        """Whether the two models' distributions are over the same tokens."""
        return len({model.tokens_mark for model in self.models}) == 1

    def read(self, text: str, chat: bool, by: str, wanted: Wanted | None = None) -> tuple[Opened, Pressed, Markup]:
        """A text as coloured tokens; what comes next is open."""
        ids = tuple(self._workers[0].ask("ids_of", wanted=wanted, text=text, chat=chat))
        tokens = self._workers[0].ask("read", wanted=wanted, tells=True, ids=ids)
        return Opened((ids,), (tokens,)), Pressed(ids, len(ids)), drawing.coloured(tokens, by=by, pressed=(0, len(ids)))

    def position(self, pressed: Pressed | None, shaping: Shaping, wanted: Wanted | None = None) -> Markup:
        """The distribution at the token that is pressed."""
        if pressed is None:
            return drawing.empty(PRESS_A_TOKEN)
        place = self._workers[0].ask("position", wanted=wanted, ids=pressed.ids, at=pressed.at, shaping=shaping)
        return panels.position_panel(place)

    def write(self, request: Request, by: str, wanted: Wanted = lambda: True) -> Iterator[tuple[Opened, Markup] | None]:
        """Responses as they are written, several times a second; None where there is nothing new.

        Args:
            wanted: asked now and then whether to go on; the last picture says that it was stopped.

        Raises:
            GivenUpError: it was stopped before anything was written.
            UserError: it cannot be written, or was broken off, which the last picture says too.
        """
        run = next(self._runs)
        for picture in _pictures(self._workers[0], request, wanted):
            yield picture and (_opened(*picture), panels.samples_panel(picture[1], by=by, run=run))

    def compare(
        self, text: str, chat: bool, by: str, wanted: Wanted | None = None
    ) -> tuple[Opened, Pressed, Markup, Markup]:
        """A text coloured by the difference of two models, and what the colours mean; what comes next is open.

        Raises:
            UserError: there is one model, or their tokens differ.
        """
        first, second = self._two()
        ids = tuple(first.ask("ids_of", wanted=wanted, text=text, chat=chat))
        one, two = (worker.ask("read", wanted=wanted, tells=True, ids=ids) for worker in (first, second))
        opened = Opened((ids,), (one, two))
        pressed = Pressed(ids, len(ids))
        return opened, pressed, *self.colour_difference(opened, pressed, by)

    def colour_difference(self, opened: Opened | None, pressed: Pressed | None, by: str) -> tuple[Markup, Markup]:
        """The tokens that are open, by another difference; and what the colours mean."""
        if opened is None:
            return drawing.empty("The text will be here, coloured by where the models differ."), Markup("")
        one, two = opened.tokens
        spot = None if pressed is None else (0, pressed.at)
        return drawing.differing(one, two, by=by, pressed=spot), drawing.scale(by, both=True)

    def differ(self, pressed: Pressed | None, temperature: float, wanted: Wanted | None = None) -> Markup:
        """The two distributions at the token that is pressed."""
        if pressed is None:
            return drawing.empty(PRESS_A_TOKEN)
        first, second = self._two()
        ids, at = pressed.ids, pressed.at
        shaping = Shaping(temperature=temperature)
        both = (first, second)
        places = [worker.ask("position", wanted=wanted, ids=ids, at=at, shaping=shaping) for worker in both]
        rows = [worker.ask("log_probabilities", wanted=wanted, ids=ids, at=at) for worker in both]
        chosen = places[0].chosen
        found = difference(*rows, shown=SHOWN, always=[chosen.id] if chosen else [])
        texts = first.ask("texts_of", ids=ids, of=found.tokens)
        names = [model.name for model in self.models]
        return (
            panels.place_heading(places[0])
            + panels.difference_facts(found)
            + Markup(
                '<div class="side"><div><h3>The distributions</h3>{}</div>'
                "<div><h3>Entropy over temperature</h3>{}</div></div>"
            ).format(
                panels.difference_panel(found, texts, names, chosen.id if chosen else None),
                panels.curve_panel(places, names=names),
            )
        )

    def write_both(self, request: Request, by: str, wanted: Wanted = lambda: True) -> Iterator[Markup | None]:
        """Both models' responses as they are written; where one fails, the other goes on.

        Args:
            wanted: as for `write`.

        Raises:
            GivenUpError: it was stopped before anything was written.
            UserError: neither can write.
        """
        self._two(same_tokens=False)
        running = {number: _pictures(worker, request, wanted) for number, worker in enumerate(self._workers)}
        shown, failed = [Markup("")] * len(self._workers), [Markup("")] * len(self._workers)
        reasons: list[str] = []
        run = next(self._runs)
        try:
            while running:
                for number in list(running):
                    try:
                        if picture := next(running[number]):
                            shown[number] = panels.samples_panel(
                                picture[1], by=by, run=run, series=number, pressable=False
                            )
                    except StopIteration:
                        del running[number]
                    except GivenUpError:
                        failed[number] = drawing.empty("stopped before the first token")
                        del running[number]
                    except UserError as error:
                        reasons.append(str(error))
                        failed[number] = drawing.notice(str(error))
                        del running[number]
                yield self._side_by_side(shown, failed) if any(shown) else None
        finally:
            for one in running.values():
                one.close()
        if not any(shown) and not wanted():
            raise GivenUpError
        if not any(shown):
            raise UserError("\n".join(dict.fromkeys(reasons)))

    def _side_by_side(self, shown: Sequence[Markup], failed: Sequence[Markup]) -> Markup:
        parts = Markup("").join(
            Markup('<section><h3><i class="swatch series-{}"></i>{}</h3>{}</section>').format(
                number, model.name, (failure + column) or drawing.empty("waiting for the model …")
            )
            for number, (model, column, failure) in enumerate(zip(self.models, shown, failed, strict=True))
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


Picture = tuple[list[int], list[Sample]]
"""The prompt's tokens and the samples so far."""


def _pictures(worker: Worker, request: Request, wanted: Wanted) -> Generator[Picture | None]:
    """What there is, now and then and at the end; None where there is nothing new."""
    samples = [Sample() for _ in range(request.samples)]
    prompt: list[int] = []
    shown = 0.0
    parts = worker.stream("write", **request.asked)
    try:
        for part in parts:
            if not wanted():
                raise GivenUpError
            if part is None:
                yield None
                continue
            if not prompt:
                prompt = part
            else:
                _add(part, samples)
            if time.monotonic() - shown > _EACH:
                shown = time.monotonic()
                yield prompt, samples
        yield prompt, samples
    except UserError as error:
        stopped = isinstance(error, GivenUpError)
        if any(sample.tokens for sample in samples):
            for sample in samples:
                sample.broken = "" if sample.ended else "stopped" if stopped else "broken off"
            yield prompt, samples
            if stopped:
                return
        raise
    finally:
        parts.close()


def _add(part: Ended | Sequence[New], samples: Sequence[Sample]) -> None:
    if isinstance(part, Ended):
        samples[part.sample].ended = part
        return
    for new in part:
        samples[new.sample].add(new)


def _opened(prompt: Sequence[int], samples: Sequence[Sample]) -> Opened:
    return Opened(tuple((*prompt, *(token.id for token in sample.tokens)) for sample in samples))
