"""The work itself: which responses are missing, who answers, and whether an answer can be used."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.progress import Progress

from entrotune.data import Row
from entrotune.decoding import stream
from entrotune.decoding.content import ContentFilter
from entrotune.decoding.fields import Template
from entrotune.decoding.forced_words import missing_words
from entrotune.decoding.prompting import another_request, parse_verbalised, verbalised_request
from entrotune.experiments.generate_config import GenerateConfig
from entrotune.experiments.generation.asks import request_of, with_request
from entrotune.experiments.generation.output_file import OutputFile
from entrotune.experiments.generation.writers import Answer, Item, Writer
from entrotune.line_files import Line


@dataclass(frozen=True)
class Judging:
    """What an answer is held against."""

    template: Template | None = None
    content: ContentFilter | None = None


def work(
    config: GenerateConfig,
    asks: Sequence[Row],
    writer: Writer,
    file: OutputFile,
    judging: Judging,
    progress: Progress | None,
) -> None:
    """Have every response that `file` does not hold written, judged and kept."""
    done = file.done
    task = None
    if progress is not None and config.n * len(asks) > 1:
        task = progress.add_task("generating", total=config.n * len(asks), completed=len(done))
    for items in _rounds(config, asks, writer, file):
        for group in writer.answers([item for item in items if (item.prompt_id, item.index) not in done]):
            file.append([_line(config, item, answer, judging) for item, answer in group])
            if progress is not None and task is not None:
                progress.advance(task, len(group))
    if progress is not None and task is not None:
        progress.remove_task(task)


def _rounds(config: GenerateConfig, asks: Sequence[Row], writer: Writer, file: OutputFile) -> Iterator[list[Item]]:
    """All at once; where each answer depends on those before it, one index after the other."""
    if config.prompting != "another":
        rows = [
            with_request(row, verbalised_request(request_of(row), config.candidates))
            if config.prompting == "verbalised"
            else row
            for row in asks
        ]
        yield [_item(config, row, index) for row in rows for index in range(config.n)]
        return
    for index in range(config.n):
        yield [_item(config, _asking_for_another(config, row, index, writer, file), index) for row in asks]


def _item(config: GenerateConfig, row: Row, index: int) -> Item:
    return Item(row.id, index, row, stream(config.seed, row.id, index))


def _asking_for_another(config: GenerateConfig, row: Row, index: int, writer: Writer, file: OutputFile) -> Row:
    """The prompt with the latest usable answers before this one, as many as `candidates` and the context allow."""
    before = [file.lines[row.id, one]["text"] for one in range(index) if (row.id, one) in file.lines]
    shown = list(dict.fromkeys(before))[-config.candidates :]
    while True:
        asking = with_request(row, another_request(request_of(row), shown))
        if not shown or writer.fits(asking):
            return asking
        shown = shown[1:]


def _line(config: GenerateConfig, item: Item, answer: Answer, judging: Judging) -> Line:
    """What is kept of an answer; `reason` says why it cannot be used."""
    line: dict[str, Any] = {
        "prompt_id": item.prompt_id,
        "index": item.index,
        "text": answer.text,
        "tokens": answer.tokens,
        "finished": answer.finished,
        "nll": answer.nll,
        "mean_logprob": answer.mean_logprob,
    }
    if config.html:
        line["token_ids"] = list(answer.token_ids)
    if config.prompting == "verbalised":
        stated = parse_verbalised(answer.text, config.candidates)
        line |= {"raw": answer.text, "verbalised": stated.to_dict()}
        if not stated.texts:
            return line | {"reason": "verbalised: no usable response in the answer"}
        chosen = stated.drawn(stream(config.seed, f"{item.prompt_id}\0verbalised", item.index))
        line |= {"text": stated.texts[chosen], "probability": stated.probabilities[chosen]}
    if missing := missing_words(answer.text, config.force_words or ()):
        return line | {"reason": f"force_words: {', '.join(map(repr, missing))} missing", "missing": missing}
    if judging.content is not None and (removal := judging.content.find(answer.text)):
        return line | {"reason": removal.reason, "category": removal.category}
    if judging.template is not None:
        parsed = judging.template.parse(line["text"])
        line["fields"] = parsed.values
        if parsed.problems:
            return line | {"reason": f"fields: {'; '.join(parsed.problems)}", "problems": list(parsed.problems)}
    return line
