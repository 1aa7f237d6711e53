"""Token sequences: exactly the answer and its end are learnt."""

import copy
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from entrotune.data import Row, describe_examples, encode_rows, prompts_of, to_dataset
from entrotune.data.examples import Example
from entrotune.errors import UserError

Tokenizer = PreTrainedTokenizerBase
CHAT = ("hi", "yo", "how are you?", "fine\n\nreally  fine")
DEFAULT_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


def pair(prompt: Any, *answers: str) -> Row:
    return Row(id="r", source="f.jsonl", line=3, prompt=prompt, answers=answers)


def chat(*contents: str) -> Row:
    turns = tuple({"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(contents))
    return Row(id="r", source="f.jsonl", line=3, messages=turns)


def spans(tokenizer: Tokenizer, example: Example) -> list[str]:
    """Decode each unbroken run of supervised tokens."""
    runs: list[list[int]] = [[]]
    for token, label in zip(example.input_ids, example.labels, strict=True):
        assert label in (-100, token)
        if label == -100:
            runs.append([])
        else:
            runs[-1].append(token)
    return [tokenizer.decode(run, clean_up_tokenization_spaces=False) for run in runs if run]


def only(encoded: Any) -> Example:
    assert encoded.rejects == []
    (example,) = encoded.examples
    return example


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("row", "supervise", "expected"),
    [
        (pair("What?", "That."), "auto", ["That.<|im_end|>"]),
        (pair("What?", " 42 \n"), "auto", [" 42 \n<|im_end|>"]),
        (pair("0", ">"), "auto", ["><|im_end|>"]),
        (pair("What?", "😀 née 東京"), "auto", ["😀 née 東京<|im_end|>"]),
        (chat(*CHAT), "auto", ["yo<|im_end|>", "fine\n\nreally  fine<|im_end|>"]),
        (chat(*CHAT), "assistant", ["yo<|im_end|>", "fine\n\nreally  fine<|im_end|>"]),
        (chat(*CHAT), "completion", ["fine\n\nreally  fine<|im_end|>"]),
        (pair(chat(*CHAT[:3]).messages, "ok"), "auto", ["ok<|im_end|>"]),
        (pair(chat(*CHAT[:3]).messages, "ok"), "assistant", ["yo<|im_end|>", "ok<|im_end|>"]),
        (Row(id="r", source="s", text="Once upon a time"), "auto", [" upon a time<|im_end|>"]),
        (Row(id="r", source="s", text="Once upon a time"), "all", [" upon a time<|im_end|>"]),
    ],
)
def test_supervised_tokens_are_the_answer_and_its_end(
    tokenizer: Tokenizer, row: Row, supervise: str, expected: list[str]
) -> None:
    example = only(encode_rows([row], tokenizer, max_length=512, supervise=supervise))
    assert spans(tokenizer, example) == expected


@pytest.mark.embedded
def test_the_whole_chat_can_be_supervised_but_never_the_first_token(tokenizer: Tokenizer) -> None:
    example = only(encode_rows([chat("hi", "yo")], tokenizer, max_length=99, supervise="all", system=""))
    assert example.labels[0] == -100
    text = tokenizer.decode(example.input_ids)
    assert (
        text == "<|im_start|>system\n<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nyo<|im_end|>\n"
    )
    assert spans(tokenizer, example) == [text.removeprefix("<|im_start|>")]


@pytest.mark.embedded
@given(prompt=st.text(min_size=1).filter(str.strip), answer=st.text(min_size=1).filter(str.strip))
@settings(deadline=None, max_examples=200)
def test_any_answer_is_learnt_whole(tokenizer: Tokenizer, prompt: str, answer: str) -> None:
    # This vocabulary has no token for some control characters and leaves them out.
    assume(tokenizer.decode(tokenizer(answer)["input_ids"], clean_up_tokenization_spaces=False) == answer)
    example = only(encode_rows([pair(prompt, answer)], tokenizer, max_length=100_000))
    (learnt,) = spans(tokenizer, example)
    # The new line that ends the header may share its token with white space that begins the answer.
    shared = "\n" if answer[0].isspace() and learnt != f"{answer}<|im_end|>" else ""
    assert learnt == f"{shared}{answer}<|im_end|>"


@pytest.mark.embedded
@pytest.mark.parametrize("system", [None, "", "Be brief."])
def test_a_prompt_is_the_beginning_of_its_example(tokenizer: Tokenizer, system: str | None) -> None:
    row = pair("What?", "That.")
    example = only(encode_rows([row], tokenizer, max_length=512, system=system))
    (prompt,) = prompts_of([row], tokenizer, system=system)
    length = len(prompt.input_ids)
    assert example.input_ids[:length] == prompt.input_ids
    assert [label == -100 for label in example.labels] == [
        *[True] * length,
        *[False] * (len(example.labels) - length - 1),
        True,
    ]
    expected = DEFAULT_SYSTEM if system is None else system
    assert prompt.text.startswith(f"<|im_start|>system\n{expected}<|im_end|>\n<|im_start|>user\nWhat?")
    assert prompt.text.endswith("<|im_start|>assistant\n")


@pytest.mark.embedded
def test_a_system_message_of_the_row_stays(tokenizer: Tokenizer) -> None:
    messages = ({"role": "system", "content": "Rhyme."}, *(chat("hi", "yo").messages or ()))
    row = Row(id="r", source="s", messages=messages)
    text = tokenizer.decode(only(encode_rows([row], tokenizer, max_length=512, system="Be brief.")).input_ids)
    assert text.startswith("<|im_start|>system\nRhyme.<|im_end|>\n<|im_start|>user")


@pytest.mark.embedded
def test_each_answer_is_an_example(tokenizer: Tokenizer) -> None:
    encoded = encode_rows([pair("hi", "yo", "hey"), chat("a", "b")], tokenizer, max_length=512)
    assert [example.id for example in encoded.examples] == ["r#0", "r#1", "r"]
    assert [spans(tokenizer, example) for example in encoded.examples] == [
        ["yo<|im_end|>"],
        ["hey<|im_end|>"],
        ["b<|im_end|>"],
    ]


@pytest.mark.embedded
def test_without_a_template_prompt_and_answer_are_joined_and_closed(plain_tokenizer: Tokenizer) -> None:
    row = pair("Q: what?\nA:", " that")
    example = only(encode_rows([row], plain_tokenizer, max_length=512))
    assert plain_tokenizer.decode(example.input_ids) == "Q: what?\nA: that<|im_end|>"
    assert spans(plain_tokenizer, example) == [" that<|im_end|>"]
    (prompt,) = prompts_of([row], plain_tokenizer)
    assert example.input_ids[: len(prompt.input_ids)] == prompt.input_ids
    encoded = encode_rows([chat("hi", "yo")], plain_tokenizer, max_length=512)
    assert encoded.examples == []
    assert "messages need a chat template" in encoded.rejects[0].reason
    with pytest.raises(UserError, match="no chat template to put it in"):
        encode_rows([row], plain_tokenizer, max_length=512, system="Be brief.")


@pytest.mark.parametrize("text", ["the sky is blue", "<s> the sky is blue", "the sky is blue </s>"])
def test_bos_and_eos_are_never_doubled(bos_tokenizer: Tokenizer, text: str) -> None:
    assert bos_tokenizer("the sky")["input_ids"] == [1, 3, 4, 2]
    row = Row(id="r", source="s", text=text)
    example = only(encode_rows([row], bos_tokenizer, max_length=20))
    assert example.input_ids == (1, 3, 4, 5, 6, 2)
    assert example.labels == (-100, 3, 4, 5, 6, 2)
    prompt, answer = "the sky ", "is blue"
    example = only(encode_rows([pair(prompt, answer)], bos_tokenizer, max_length=20))
    assert (example.input_ids, example.labels) == ((1, 3, 4, 5, 6, 2), (-100, -100, -100, 5, 6, 2))
    assert prompts_of([pair(prompt, answer)], bos_tokenizer)[0].input_ids == (1, 3, 4)


def test_a_template_brings_its_own_bos_and_eos_is_added_where_it_ends_no_turn(bos_tokenizer: Tokenizer) -> None:
    bos_tokenizer.chat_template = (
        "<s>{% for m in messages %} {{ m['role'] }}: {{ m['content'] | trim }}{% endfor %}"
        "{% if add_generation_prompt %} assistant:{% endif %}"
    )
    example = only(encode_rows([pair("the sky", " is blue ")], bos_tokenizer, max_length=20))
    assert (example.input_ids, example.labels) == ((1, 7, 3, 4, 8, 5, 6, 2), (*[-100] * 5, 5, 6, 2))
    assert prompts_of([pair("the sky", "x")], bos_tokenizer)[0].input_ids == (1, 7, 3, 4, 8)
    bos_tokenizer.chat_template = bos_tokenizer.chat_template.removeprefix("<s>")
    assert prompts_of([pair("the sky", "x")], bos_tokenizer)[0].input_ids == (7, 3, 4, 8)


@pytest.mark.embedded
def test_a_template_that_rewrites_earlier_turns_is_told(tokenizer: Tokenizer) -> None:
    rewriting = copy.deepcopy(tokenizer)
    rewriting.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }} of {{ messages | length }}\n"
        "{{ m['content'] }}<|im_end|>\n{% endfor %}"
    )
    refusing = copy.deepcopy(tokenizer)
    refusing.chat_template = "{{ raise_exception('roles must alternate') }}"
    for other, reason in [(rewriting, "not renderable turn by turn"), (refusing, "refuses the row: roles must alter")]:
        encoded = encode_rows([chat(*CHAT)], other, max_length=512)
        (reject,) = encoded.rejects
        assert reason in reject.reason
        assert (reject.source, reject.line, reject.id) == ("f.jsonl", 3, "r")
        with pytest.raises(UserError, match=rf"no example is left: f.jsonl:3 \(id r\): .*{reason}"):
            encoded.check_usable()


@pytest.mark.embedded
def test_too_long_is_rejected_with_its_length_or_cut_when_asked(tokenizer: Tokenizer) -> None:
    rows = [pair("hi", "word " * 50 + "end"), pair("hi", "yo")]
    full = encode_rows(rows, tokenizer, max_length=1000, system="")
    length = len(full.examples[0].input_ids)
    assert len(encode_rows(rows, tokenizer, max_length=length, system="").examples) == 2
    encoded = encode_rows(rows, tokenizer, max_length=length - 1, system="")
    assert [reject.reason for reject in encoded.rejects] == [f"longer than the limit: {length} tokens > {length - 1}"]
    assert [example.input_ids for example in encoded.examples] == [full.examples[1].input_ids]
    with pytest.raises(UserError, match=rf"f\.jsonl:3 .*: longer than the limit: {length} tokens"):
        encode_rows(rows, tokenizer, max_length=length - 1, system="", on_bad_row="stop")

    cut = encode_rows(rows, tokenizer, max_length=30, system="", truncate=True)
    assert (cut.truncated, cut.rejects) == (1, [])
    assert cut.examples[0].input_ids == full.examples[0].input_ids[:30]
    assert cut.examples[0].labels == full.examples[0].labels[:30]
    none_left = encode_rows(rows[:1], tokenizer, max_length=10, system="", truncate=True)
    assert none_left.truncated == 0
    assert none_left.rejects[0].reason == f"no supervised token: nothing to learn among the first 10 of {length}"


@pytest.mark.embedded
def test_a_batch_encodes_like_its_rows_one_by_one(tokenizer: Tokenizer) -> None:
    rows = [
        pair("hi", "yo", "hey"),
        Row(id="t", source="s", text="plain text"),
        Row(id="p", source="s", input_ids=(5, 6, 7), labels=(5, -100, 7)),
        chat(*CHAT),
        pair("only asked"),
    ] * 100
    together = encode_rows(rows, tokenizer, max_length=64)
    single = [encode_rows([row], tokenizer, max_length=64) for row in rows[:5]]
    assert together.examples == [example for encoded in single for example in encoded.examples] * 100
    assert together.rejects == [reject for encoded in single for reject in encoded.rejects] * 100
    assert together.examples[3] == Example("p", (5, 6, 7), (-100, -100, 7))


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("row", "arguments", "reason"),
    [
        (pair("asked"), {}, "no supervised token: the row has a prompt but no answer"),
        (Row(id="r", source="s", text="x"), {}, None),
        (Row(id="r", source="s", text="a text"), {"supervise": "completion"}, "no supervised token: plain text has no"),
        (Row(id="r", source="s", input_ids=(1, 49152)), {}, "out of range: token 49152, .* ends at 49151"),
        (Row(id="r", source="s", input_ids=(1, 2), labels=(1, 60000)), {}, "out of range: token 60000"),
        (Row(id="r", source="s", input_ids=(1, 2), labels=(1, -100)), {}, "no supervised token: nothing to learn"),
        (Row(id="r", source="s", messages=({"role": "assistant", "content": "x"},)), {}, "starts with the assistant"),
    ],
)
def test_rows_that_hold_nothing_to_learn(
    tokenizer: Tokenizer, row: Row, arguments: dict[str, Any], reason: str | None
) -> None:
    encoded = encode_rows([row], tokenizer, max_length=9, **arguments)
    if reason is None:
        assert len(encoded.examples) == 1
        return
    assert encoded.examples == []
    with pytest.raises(UserError, match=reason):
        encoded.check_usable()


@pytest.mark.embedded
def test_wrong_arguments_are_told(tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="supervise is 'answers'; expected one of auto, completion"):
        encode_rows([], tokenizer, max_length=9, supervise="answers")
    with pytest.raises(UserError, match="max_length is 1"):
        encode_rows([], tokenizer, max_length=1)
    with pytest.raises(UserError, match="no rows"):
        encode_rows([], tokenizer, max_length=9).check_usable()


@pytest.mark.embedded
def test_prompts_carry_what_checks_their_answers(tokenizer: Tokenizer) -> None:
    rows = [
        pair("hi", "yo", "hey"),
        Row(id="c", source="s", prompt="2+2?", references=("4",), checker={"kind": "exact"}),
        chat(*CHAT),
    ]
    first, second, third = prompts_of(rows, tokenizer, system="")
    assert (first.references, first.checker, first.messages) == (
        ("yo", "hey"),
        None,
        ({"role": "user", "content": "hi"},),
    )
    assert (second.references, second.checker) == (("4",), {"kind": "exact"})
    assert third.references == (CHAT[-1],)
    assert third.messages == (rows[2].messages or ())[:-1]
    assert tokenizer.decode(third.input_ids) == third.text


@pytest.mark.embedded
def test_prompts_that_cannot_be_asked_name_their_row(tokenizer: Tokenizer) -> None:
    length = len(prompts_of([pair("hi", "yo")], tokenizer)[0].input_ids)
    assert prompts_of([pair("hi", "yo")], tokenizer, max_length=length)
    with pytest.raises(
        UserError, match=rf"f\.jsonl:3 \(id r\): the prompt has {length} tokens, more than the {length - 1}"
    ):
        prompts_of([pair("hi", "yo")], tokenizer, max_length=length - 1)
    with pytest.raises(UserError, match=r"id t.*no prompt to answer"):
        prompts_of([Row(id="t", source="s", text="x")], tokenizer)


def test_statistics_and_dataset_hold_the_examples() -> None:
    examples = [Example("a", (1, 2, 3), (-100, 2, 3)), Example("b", (4, 5), (-100, 5))]
    told = describe_examples(examples)
    assert (told.examples, told.tokens, told.supervised_tokens, told.longest) == (2, 5, 3, 3)
    assert told.describe() == "2 examples, 5 tokens (3 supervised), longest 3"
    assert describe_examples([]).longest == 0
    dataset = to_dataset(examples)
    assert dataset.column_names == ["input_ids", "labels"]
    assert dataset[:] == {"input_ids": [[1, 2, 3], [4, 5]], "labels": [[-100, 2, 3], [-100, 5]]}
    assert to_dataset([]).column_names == ["input_ids", "labels"]
