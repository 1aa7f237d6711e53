"""What is generated, from what, and how."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from entrotune.errors import UserError
from entrotune.files import check_page
from entrotune.seeds import check_seed

Rerank = Literal["likelihood", "majority", "checker", "reward", "diverse"]
Prompting = Literal["plain", "another", "verbalised"]


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """Responses of a model to prompts, each fixed by seed, prompt and index alone.

    Args:
        model: a folder, run, adapter, GGUF file, hub id or `smollm2-135m`; with `endpoint`, the server's name of it.
        prompt: one prompt, as text.
        prompts: a file of prompts: .jsonl, .csv, .parquet and so on, or .txt with one a line.
        n: responses to each prompt.
        strategy: parts joined by +; applied in one order, whatever the order they are written in.
        choices: texts of which each response is one.
        pattern: a regular expression that each whole response matches.
        json_schema: a file of a JSON schema; each response is JSON of it.
        force_words: words or phrases that each response has; the strategy is then a beam search.
        max_new_tokens: of a response.
        seed: fixes every response.
        batch_size: responses generated at once; it changes no response but by roundings.
        system: a system message for conversations without one.
        out: a .jsonl file to append responses to; the same command again goes on with it.
        overwrite: begin anew instead.
        fields: a template of named fields (YAML) that says what is asked and what an answer must hold.
        enforce: limit responses to answers that the template calls valid.
        beside: responses written earlier by the same template, such as the base model's: how many times as many
            different values there are here.
        prompting: `another` shows the answers given before and asks for another one, `verbalised` asks for several
            with their probabilities and draws one by them.
        candidates: responses to ask for at once with `verbalised`, or earlier answers to show with `another`.
        rerank: choose `keep` of the responses to each prompt; `checker` and `majority` use the prompts' checkers.
        keep: responses to choose.
        diversity: weight of being different with `diverse`, 0 to 1.
        reward_model: a sequence-classification model with one output, for `rerank: reward`.
        content_filter: a YAML file of word lists and patterns by category, and of a classifier.
        endpoint: the address of an OpenAI-compatible server to ask instead of loading the model.
        concurrency: requests to the server at once.
        timeout: seconds a request may take in all.
        retries: of a request that failed by connection, time or a busy server.
        bench: compare strategies on the prompts (or on built-in ones); `out` is then a folder.
        strategies: to compare with `bench`; one of each kind by default.
        format: of the prompts file.
        columns: our name of a column → its name in the file.
        limit: read so many prompts.
        html: an HTML file to write in the end: responses token by token, with the predictions that each came from.
        html_responses: responses on that page at most; the page says how many it leaves out.
        dtype: of the weights.
        device: such as `cpu` or `cuda:1`.
    """

    model: str = "smollm2-135m"
    prompt: str | None = None
    prompts: str | None = None
    n: int = 1
    strategy: str = "temperature(0.8) + top_p(0.95)"
    choices: list[str] | None = None
    pattern: str | None = None
    json_schema: str | None = None
    force_words: list[str] | None = None
    max_new_tokens: int = 128
    seed: int = 0
    batch_size: int = 16
    system: str | None = None
    out: str | None = None
    overwrite: bool = False
    fields: str | None = None
    enforce: bool = False
    beside: str | None = None
    prompting: Prompting = "plain"
    candidates: int = 5
    rerank: Rerank | None = None
    keep: int = 1
    diversity: float = 0.5
    reward_model: str | None = None
    content_filter: str | None = None
    endpoint: str | None = None
    concurrency: int = 8
    timeout: float = 120.0
    retries: int = 5
    bench: bool = False
    strategies: list[str] = field(default_factory=list)
    format: str = "auto"
    columns: dict[str, str] | None = None
    limit: int | None = None
    html: str | None = None
    html_responses: int = 50
    dtype: str = "float32"
    device: str | None = None

    def __post_init__(self) -> None:
        from entrotune.decoding import Strategy  # brings torch, for which --help must not wait

        object.__setattr__(self, "strategy", str(Strategy.of(self.strategy)))
        object.__setattr__(self, "strategies", [str(Strategy.of(text)) for text in self.strategies])
        for name in ("n", "max_new_tokens", "batch_size", "candidates", "keep", "concurrency", "html_responses"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}")
        check_seed("seed", self.seed)
        if self.timeout <= 0 or self.retries < 0:
            raise UserError(f"timeout must be above 0 and retries 0 or more, got {self.timeout} and {self.retries}")
        if not 0 <= self.diversity <= 1:
            raise UserError(f"diversity must be from 0 to 1, got {self.diversity}")
        for name, kind in (("rerank", Rerank), ("prompting", Prompting)):
            value = getattr(self, name)
            if value is not None and value not in get_args(kind):
                raise UserError(f"{name} is {value!r}; expected one of {', '.join(get_args(kind))}")
        check_page(self.html)
        self._check_sources()
        self._check_together()
        self._check_limits()

    def _check_sources(self) -> None:
        given = [name for name in ("prompt", "prompts", "fields") if getattr(self, name) is not None]
        if len(given) > 1:
            raise UserError(f"{' and '.join(given)} exclude each other; give one of them")
        if not given and not self.bench:
            raise UserError("nothing to answer: give prompt (text), prompts (a file) or fields (a template)")
        if self.out is not None and not self.bench and Path(self.out).suffix != ".jsonl":
            raise UserError(f"out is '{self.out}'; expected a file that ends in .jsonl")

    def _check_together(self) -> None:
        wrong = {
            "rerank: reward needs reward_model": self.rerank == "reward" and not self.reward_model,
            "reward_model is used with rerank: reward only": self.reward_model and self.rerank != "reward",
            "rerank: likelihood is not possible with endpoint: servers do not tell it": (
                self.endpoint and self.rerank == "likelihood"
            ),
            "rerank needs n of at least 2": self.rerank and self.n < 2,
            f"rerank: diverse with keep {self.keep} is rerank: likelihood; keep at least 2": (
                self.rerank == "diverse" and self.keep < 2
            ),
            "fields has its own request; leave prompting out": self.fields and self.prompting != "plain",
            "bench compares plain generation; leave rerank, prompting, fields, content_filter and endpoint out": (
                self.bench
                and (self.rerank or self.prompting != "plain" or self.fields or self.content_filter or self.endpoint)
            ),
            "bench writes a folder; give out": self.bench and self.out is None,
            "strategies belong to bench; one strategy is given as strategy": self.strategies and not self.bench,
            "html needs the model's prediction at every token, which servers do not tell; leave endpoint out": (
                self.html and self.endpoint
            ),
            "html shows responses as they were drawn from their prompts; leave bench and prompting out": (
                self.html and (self.bench or self.prompting != "plain")
            ),
            "enforce belongs to fields; give a template": self.enforce and not self.fields,
            "beside belongs to fields; give a template": self.beside and not self.fields,
            "overwrite needs out": self.overwrite and self.out is None,
        }
        for message, is_wrong in wrong.items():
            if is_wrong:
                raise UserError(message)

    def _check_limits(self) -> None:
        if self.choices is not None:
            from entrotune.decoding.choices import check_choices

            check_choices(self.choices)
        if self.force_words is not None:
            from entrotune.decoding.forced_words import check_words

            check_words(self.force_words)
            if not self.strategy.startswith("beam("):
                raise UserError(f"force_words needs a beam search, not {self.strategy}; give strategy beam(beams=8)")
        given = list(self._given("force_words", "choices", "pattern", "json_schema", "enforce"))
        if not given:
            return
        others = given[1:] + [name for name in ("bench", "endpoint") if getattr(self, name)]
        if self.fields and not self.enforce:
            others.append("fields")
        if self.prompting == "verbalised":
            others.append("prompting: verbalised")
        if "no_repeat_ngram" in self.strategy:  # it could forbid all that is left
            others.append("no_repeat_ngram")
        if others:
            raise UserError(f"{given[0]} and {others[0]} exclude each other; leave one of them out")

    def identity(self) -> Mapping[str, Any]:
        """What must be equal for responses in `out` to be gone on with; how many, and how fast, may change."""
        names = ("strategy", "max_new_tokens", "seed", "system", "prompting", "candidates", "endpoint", "dtype")
        limits = self._given("choices", "pattern", "enforce", "force_words")
        return {name: getattr(self, name) for name in names} | limits

    def _given(self, *names: str) -> dict[str, Any]:
        """Those of the fields that were given."""
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value not in (None, False, [])}
