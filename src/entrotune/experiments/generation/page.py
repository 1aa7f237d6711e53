"""Generated responses token by token, as a page."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.progress import Progress

from entrotune import provenance
from entrotune.data import Prompt, Row, prompts_of
from entrotune.experiments.generate_config import GenerateConfig
from entrotune.experiments.generation.limiting import told_limits
from entrotune.line_files import Line
from entrotune.reports.token_view import bounded, write_token_view
from entrotune.scoring.examine import examine_tokens
from entrotune.scoring.examined import CONVENTIONS, Examined
from entrotune.scoring.token_record import text_record

# Nats a token by which two passes of one model over the same tokens may differ.
_ROUNDING = 0.02


def write_responses_page(
    config: GenerateConfig,
    asks: Sequence[Row],
    lines: Sequence[Line],
    rejected: int,
    model: Any,
    tokenizer: Any,
    progress: Progress | None,
) -> None:
    """Send the usable responses through the model once more, with their prompts, and write its predictions.

    Args:
        asks: what was asked.
        lines: the usable responses in their order.
        rejected: responses that cannot be used: they are counted, not shown.
    """
    assert config.html is not None
    wanted = lines[: config.html_responses]
    task = None if progress is None else progress.add_task("examining responses for the page", total=len(wanted))
    texts, left_out = bounded(_texts(config, asks, wanted, model, tokenizer, progress, task), total=len(lines))
    notes = [] if lines else ["There is no usable response to show."]
    if rejected:
        notes.append(f"{rejected:,} rejected {'response is' if rejected == 1 else 'responses are'} not shown.")
    limits = told_limits(config)
    if "Limited to" in limits:
        notes.append(f"Responses were limited to {limits['Limited to']}. The numbers are of the model without limits.")
    write_token_view(
        {
            "title": "Responses token by token",
            "model": config.model,
            "vocabulary": len(tokenizer) if not texts else texts[0]["vocabulary"],
            "texts": texts,
            "left_out": left_out,
            "notes": notes,
            "settings": {
                "Strategy": config.strategy,
                "Seed": str(config.seed),
                "Responses to each prompt": str(config.n),
                "Most new tokens": str(config.max_new_tokens),
                **({"System message": config.system} if config.system else {}),
                **limits,
                "Numbers": "of the model itself at temperature 1, before strategy and limits changed anything",
            },
            "conventions": {**CONVENTIONS, "counted": "the tokens of the response, its end mark included"},
            "created": provenance.now(),
            "command": provenance.command_line(),
            "versions": provenance.versions(),
        },
        config.html,
    )


def _texts(
    config: GenerateConfig,
    asks: Sequence[Row],
    lines: Sequence[Line],
    model: Any,
    tokenizer: Any,
    progress: Progress | None,
    task: Any,
) -> Iterator[dict[str, Any]]:
    prompts = {prompt.id: prompt for prompt in prompts_of(asks, tokenizer, system=config.system)}
    for line in lines:
        examined = _examined(line, prompts[line["prompt_id"]], model, tokenizer)
        name = f"{line['prompt_id']}#{line['index']}" if config.n > 1 else str(line["prompt_id"])
        yield text_record(examined, id=name, facts=_facts(line, examined))
        if progress is not None:
            progress.advance(task)


def _examined(line: Line, prompt: Prompt, model: Any, tokenizer: Any) -> Examined:
    """The response as the model reads it after the prompt that it answers."""
    own = line.get("token_ids")
    if own is None:  # written without a page in mind
        own = tokenizer(line["text"], add_special_tokens=False)["input_ids"]
        own += [tokenizer.eos_token_id] if line["finished"] else []
    ids = [*prompt.input_ids, *own]
    given = [index < len(prompt.input_ids) for index in range(len(ids))]
    return examine_tokens(ids, model, tokenizer, given=given, max_length=len(ids))


def _facts(line: Mapping[str, Any], examined: Examined) -> dict[str, str]:
    """Whether the model ended the response, and whether it is read as the tokens that were drawn."""
    facts = {} if line["finished"] else {"stopped": "at the limit of new tokens"}
    nll = [token.nll for token in examined.tokens if not token.given and token.nll is not None]
    if abs(math.fsum(nll) - line["nll"]) > _ROUNDING * max(1, len(nll)):
        facts["read"] = "as other tokens than were drawn, which add up to the same text"
    return facts
