"""Grammars: responses match, exactly what is forbidden is left out, and rows may change places."""

import itertools
import json
import math
import re
import sys
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import ByT5Tokenizer, LogitsProcessorList, PreTrainedTokenizerFast

from entrotune.decoding import Strategy, draw, stream
from entrotune.decoding.grammar import Grammar
from entrotune.errors import UserError
from tiny import byte_tokenizer, tiny_llama

PROMPTS = [(5, 6, 7), (8,), (9, 4, 3, 5, 8), (7, 6)]
END = 2
PATTERN = r"(yes|no): [a-c]{1,4}\."
SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["tree", "lake"]},
        "age": {"type": "integer", "minimum": 3, "maximum": 120},
        "names": {"type": "array", "items": {"type": "string", "maxLength": 4}, "maxItems": 2},
    },
    "required": ["kind", "age", "names"],
    "additionalProperties": False,
}
TOKENIZER = byte_tokenizer()


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_llama(initializer_range=0.2).double()


def ids_of(text: str) -> tuple[int, ...]:
    return tuple(TOKENIZER.encode(text, add_special_tokens=False))


def drawn(model: Any, grammar: Grammar, prompts: list[tuple[int, ...]], text: str = "sample", tokens: int = 60) -> list:
    streams = [stream(0, str(ids), index) for index, ids in enumerate(prompts)]
    strategy, limits = Strategy.of(text), grammar.limits(TOKENIZER)
    return draw(model, TOKENIZER, prompts, streams, strategy=strategy, max_new_tokens=tokens, limits=limits)


@pytest.mark.parametrize(
    "text", ["sample", "temperature(3) + top_k(4)", "greedy", "beam(3)", "diverse_beam(6, 2)", "contrastive_search(3)"]
)
def test_responses_match_the_pattern(model: Any, text: str) -> None:
    responses = drawn(model, Grammar.of_pattern(PATTERN), PROMPTS * 3, text, tokens=12)
    assert all(re.fullmatch(PATTERN, one.text) and one.finished for one in responses), responses
    if text == "sample":
        assert len({one.text for one in responses}) > 6


def test_responses_are_json_of_the_schema(model: Any) -> None:
    responses = drawn(model, Grammar.of_schema(SCHEMA), PROMPTS * 3)
    for one in responses:
        found = json.loads(one.text)
        assert list(found) == ["kind", "age", "names"]
        assert found["kind"] in ("tree", "lake")
        assert 3 <= found["age"] <= 120
        assert len(found["names"]) <= 2
        assert all(isinstance(name, str) and len(name) <= 4 for name in found["names"])
    assert len({one.text for one in responses}) > 6


def test_a_row_does_not_depend_on_its_batch(model: Any) -> None:
    grammar = Grammar.of_pattern(r"[a-z]{2,9}( \d+)?")
    streams = [stream(0, "p", index) for index in range(4)]
    options: dict[str, Any] = {
        "strategy": Strategy.of("sample"),
        "max_new_tokens": 14,
        "limits": grammar.limits(TOKENIZER),
    }
    together = draw(model, TOKENIZER, PROMPTS, streams, **options)
    streams = [stream(0, "p", index) for index in range(4)]
    alone = [draw(model, TOKENIZER, [ids], [one], **options)[0] for ids, one in zip(PROMPTS, streams, strict=True)]
    assert [one.token_ids for one in together] == [one.token_ids for one in alone]
    assert [one.nll for one in together] == pytest.approx([one.nll for one in alone])


@torch.no_grad()
def test_probabilities_are_those_of_what_is_left(model: Any) -> None:
    """`a`, `ab` or `c`: each token's probability over the sum of those that the pattern allows there."""
    a, b, c = (ids_of(text)[0] for text in "abc")

    def shares(new: tuple[int, ...], left: list[int]) -> dict[int, float]:
        logits = model(torch.tensor([PROMPTS[0] + new])).logits[0, -1]
        return dict(zip(left, logits[left].softmax(-1).tolist(), strict=True))

    first, second = shares((), [a, c]), shares((a,), [b, END])
    expected = {"a": first[a] * second[END], "ab": first[a] * second[b], "c": first[c]}
    found = [one.text for one in drawn(model, Grammar.of_pattern("ab?|c"), [PROMPTS[0]] * 1000)]
    for text, share in expected.items():
        assert found.count(text) / 1000 == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 1000))
    assert min(expected.values()) > 0.03


def test_the_nll_is_that_of_the_model_itself(model: Any) -> None:
    (one,) = drawn(model, Grammar.of_pattern(PATTERN), [PROMPTS[0]])
    ids = torch.tensor([PROMPTS[0] + one.token_ids])
    with torch.no_grad():
        log_p = model(ids).logits[0, :-1].log_softmax(-1)
    own = log_p[len(PROMPTS[0]) - 1 :].gather(-1, ids[0, len(PROMPTS[0]) :, None])
    assert one.nll == pytest.approx(-float(own.sum()), rel=1e-6)


def left(processor: Any, *texts: str | tuple[int, ...], width: int = 300) -> list[set[int]]:
    """Tokens that are left after prompts of two tokens and new ones."""
    rows = [ids_of(text) if isinstance(text, str) else text for text in texts]
    scores = processor(torch.tensor([(5, 6, *row) for row in rows]), torch.zeros(len(rows), width))
    assert set(scores.flatten().tolist()) <= {0.0, -math.inf}
    return [set(row.isfinite().nonzero().flatten().tolist()) for row in scores]


def test_the_end_is_where_the_grammar_is_complete() -> None:
    processor = Grammar.of_pattern("ab?").limits(TOKENIZER).processor(2)
    (a,), (b,) = ids_of("a"), ids_of("b")
    assert left(processor, "") == [{a}]
    assert left(processor, "a") == [{b, END}]
    assert left(processor, "ab") == [{END}]
    # After the end a row is padded; a beam of probability 0 may hold anything.
    assert left(processor, (a, END, 0), (b, 299, a), (a, b, b)) == [{END}] * 3


def test_several_end_marks() -> None:
    processor = Grammar.of_pattern("a").limits(TOKENIZER, {END, 1, 280}).processor(2)
    assert left(processor, "a") == [{END, 1}]
    assert left(processor, (*ids_of("a"), 1)) == [{END, 1}]
    with pytest.raises(UserError, match="needs a model with an end mark"):
        Grammar.of_pattern("a").limits(TOKENIZER, {280})


def test_rows_may_change_places_and_go_back() -> None:
    limits = Grammar.of_pattern("(ab|ba|cc)+").limits(TOKENIZER)
    texts = ["".join(one) for one in itertools.product(["ab", "ba", "cc"], ["a", "b", "c"])]
    processor = limits.processor(2)
    for rows in (texts, texts[::-1], [texts[0]] * 3, ["ab", "ba"], texts, ["c"], ["ababcc", "babaab"], [""]):
        fresh = [left(limits.processor(2), row)[0] for row in rows]
        assert left(processor, *rows) == fresh
        assert len({frozenset(one) for one in fresh}) > 1 or len(set(rows)) < 4


def test_logits_wider_and_narrower_than_the_tokenizer() -> None:
    limits = Grammar.of_pattern("[^a]{1,9}").limits(TOKENIZER)
    assert max(left(limits.processor(2), "", width=400)[0]) < len(TOKENIZER)
    with pytest.raises(UserError, match="the model has 3 logits, and none for a token"):
        left(limits.processor(2), "", width=3)


@pytest.mark.parametrize("beams", [1, 3])
def test_it_is_a_processor_for_any_call_of_generate(beams: int) -> None:
    model = tiny_llama(initializer_range=0.2)
    processor = Grammar.of_pattern(PATTERN).limits(TOKENIZER).processor(3)
    ids = torch.tensor([[5, 6, 7], [0, 9, 8]])
    output = model.generate(
        ids,
        attention_mask=(ids > 0).long(),
        logits_processor=LogitsProcessorList([processor]),
        max_new_tokens=12,
        num_beams=beams,
        do_sample=False,
    )
    for text in TOKENIZER.batch_decode(output[:, 3:], skip_special_tokens=True):
        assert re.fullmatch(PATTERN, text)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a(", "unclosed group"),
        ("(?=a)b", "look-around"),
        (r"(a)\1", "backreferences are not supported"),
        (r"\bab", "lookarounds not supported yet"),
        (r"[^\s\S]", "nothing matches"),
        ("", "pattern is empty"),
    ],
)
def test_wrong_patterns_are_told(pattern: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as told:
        Grammar.of_pattern(pattern)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "objec"}, "Invalid type: objec"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, "Unsatisfiable schema"),
        ({"$ref": "http://localhost/none"}, "does not fetch"),
    ],
)
def test_wrong_schemas_are_told(schema: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"s.json: .*{message}"):
        Grammar.of_schema(schema, "s.json")


def test_tokenizers_that_cannot_be_used() -> None:
    with pytest.raises(UserError, match=r"a grammar needs a fast tokenizer .*ByT5Tokenizer"):
        Grammar.of_pattern("a").limits(ByT5Tokenizer())
    inner = Tokenizer(models.BPE(vocab={"</s>": 0, "a": 1, "b": 2}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    poor = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>")
    assert left(Grammar.of_pattern("b|z").limits(poor).processor(2), "", width=3) == [{2}]
    with pytest.raises(UserError, match="no token of the tokenizer goes on with the grammar"):
        Grammar.of_pattern("z").limits(poor)


def test_the_package_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(UserError, match=r"pip install 'entrotune\[grammar\]'"):
        Grammar.of_pattern("a")
