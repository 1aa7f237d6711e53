"""Target sets as tokens in context, and whether no target begins with another."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from entrotune.data.prompts import Prompt
from entrotune.data.rejects import RowError
from entrotune.data.render import check_system, render_answer, render_prompt
from entrotune.data.rows import Row, prompt_messages
from entrotune.data.targets.sets import TargetSet
from entrotune.data.targets.trie import TokenTrie, build_trie, prefix_pairs
from entrotune.data.tokens import check_tokenizer, tokenize
from entrotune.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Fix = Literal["eos", "braces"]
Conflicts = Literal["stop", "allow"]
# Stands where an answer stands, to see what a chat template puts after one.
_PROBE = "Xanadu"
_SHOWN = 5


@dataclass(frozen=True)
class EncodedTargets:
    """A target set with one of its response prefixes, as a model reads it.

    Attributes:
        of: the set.
        prefix: what answers begin with.
        label: the set's name, and the prefix where it has several.
        prompt: the request with the chat template around it and the prefix after it, as text and tokens.
        sequences: the tokens of each target in that context, its end mark included where outputs end.
        conflicts: pairs of targets (a, b) where the tokens of a are the beginning of those of b.
    """

    of: TargetSet
    prefix: str
    label: str
    prompt: Prompt
    sequences: tuple[tuple[int, ...], ...]
    conflicts: tuple[tuple[int, int], ...] = ()

    @property
    def trie(self) -> TokenTrie:
        """The tree of all targets."""
        return build_trie(self.sequences, self.of.weights)

    @property
    def longest(self) -> int:
        """Tokens of prompt and longest target."""
        return len(self.prompt.input_ids) + max(map(len, self.sequences))


def fixed(one: TargetSet, fix: Fix | None) -> TargetSet:
    """The set with an end mark after each target (`eos`), or with each target in braces."""
    if fix == "eos":
        return replace(one, eos=True)
    if fix == "braces":
        braced = (
            target if target.startswith("{") and target.endswith("}") else f"{{{target}}}" for target in one.targets
        )
        return replace(one, targets=tuple(braced))
    return one


def encode_targets(
    sets: Sequence[TargetSet],
    tokenizer: "PreTrainedTokenizerBase",
    *,
    system: str | None = None,
    conflicts: Conflicts = "stop",
    context: int | None = None,
) -> list[list[EncodedTargets]]:
    """Encode each set, once with each of its response prefixes.

    Prompt, prefix, target and end mark are tokenized as one text. What the tokens of the prompt with its prefix are
    must not depend on the target, for a model that writes begins with them.

    Args:
        system: a system message for requests without one; see `encode_rows`.
        conflicts: what to do where the tokens of one target begin those of another: `stop`, or `allow` it, in which
            case what is written after the shorter one counts for it too: training then always goes on to the longer.
        context: tokens that the model reads at most.

    Raises:
        UserError: targets that tokenize alike, conflicts, a prefix whose tokens change with the target, a chat template
            that refuses the request, or a sequence longer than the context.
    """
    check_tokenizer(tokenizer)
    check_system(tokenizer, system)
    encoded = [[_encoded(one, prefix, tokenizer, system) for prefix in one.responses] for one in sets]
    for per_prefix in encoded:
        for one in per_prefix:
            _check(one, tokenizer, conflicts, context)
    return encoded


def _encoded(one: TargetSet, prefix: str, tokenizer: "PreTrainedTokenizerBase", system: str | None) -> EncodedTargets:
    row = Row(id=one.name, source=one.source, prompt=one.request)
    try:
        text = render_prompt(tokenizer, row, system=system) + prefix
        closing = _closing(tokenizer, row, system) if one.eos else ""
    except RowError as error:
        raise UserError(f"{one.source}: {error}") from None
    template = bool(tokenizer.chat_template)
    texts = [text, *(text + target + closing for target in one.targets)]
    ids = [tuple(tokens.input_ids) for tokens in tokenize(tokenizer, texts, from_template=template)]
    prompt, end = ids[0], (tokenizer.eos_token_id,) if one.eos and not closing else ()
    for target, whole in zip(one.targets, ids[1:], strict=True):
        if whole[: len(prompt)] != prompt or len(whole) == len(prompt):
            raise UserError(
                f"{one.source}: before the target {target!r} the end of the request{' or response' if prefix else ''} "
                "has other tokens than alone, so the model would never write it; move white space between them to the "
                "other side, or put targets into braces with --fix braces"
            )
    label = one.name if len(one.responses) == 1 else f"{one.name} ({prefix!r})"
    sequences = tuple((*whole[len(prompt) :], *end) for whole in ids[1:])
    found = Prompt(
        id=label,
        messages=prompt_messages(row) or (),
        text=text,
        input_ids=prompt,
        references=one.targets,
        checker=None,
    )
    return EncodedTargets(one, prefix, label, found, sequences, tuple(prefix_pairs(sequences)))


def _closing(tokenizer: "PreTrainedTokenizerBase", row: Row, system: str | None) -> str:
    """What the chat template writes after an answer; an empty text where that is no mark of its end."""
    rendered = render_answer(tokenizer, row, _PROBE, system=system, supervise="completion")
    if rendered.needs_eos:
        return ""
    start, end = rendered.spans[-1]
    return rendered.text[start:end].rpartition(_PROBE)[2]


def _check(
    one: EncodedTargets, tokenizer: "PreTrainedTokenizerBase", conflicts: Conflicts, context: int | None
) -> None:
    where, targets = one.of.source, one.of.targets
    alike = defaultdict(list)
    for target, sequence in zip(targets, one.sequences, strict=True):
        alike[sequence].append(target)
    if same := [group for group in alike.values() if len(group) > 1]:
        told = "; ".join(" and ".join(map(repr, group)) for group in same[:_SHOWN])
        raise UserError(
            f"{where}: {len(same)} group{'s' * (len(same) > 1)} of targets have the same tokens: {told}; the model "
            "cannot tell them apart, so keep one of each"
        )
    if one.conflicts and conflicts == "stop":
        told = "; ".join(
            f"{targets[a]!r} begins {targets[b]!r}, as tokens {_shown(tokenizer, one.sequences[a])}"
            for a, b in one.conflicts[:_SHOWN]
        )
        more = len(one.conflicts) - _SHOWN
        raise UserError(
            f"{where}: {len(one.conflicts)} target{'s' * (len(one.conflicts) > 1)} begin another: {told}"
            f"{f'; and {more} more' if more > 0 else ''}. An output that goes on cannot be told from one that is over: "
            "end each with --fix eos, or put each into braces with --fix braces"
        )
    if context is not None and one.longest > context:
        raise UserError(
            f"{where}: request and longest target have {one.longest} tokens, and the model reads {context}; shorten "
            "them"
        )


def _shown(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int]) -> str:
    return " ".join(repr(tokenizer.decode([token])) for token in ids)
