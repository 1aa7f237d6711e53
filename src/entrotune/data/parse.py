"""From the columns of one record to a checked `Row`."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from entrotune.data.formats import number_text
from entrotune.data.records import is_unicode
from entrotune.data.rejects import RowError
from entrotune.data.rows import Message
from entrotune.measures import last_number

ROLES = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "tool": "tool",
}
_TYPES = {str: "text", bool: "true/false", int: "a number", float: "a number", list: "a list", dict: "an object"}
Fields = Mapping[str, Any]


def parse_fields(format: str, fields: Fields) -> dict[str, Any]:
    """Return the arguments of `Row` that a format's columns give.

    Raises:
        RowError: a column is missing, empty, null or of the wrong type, or nothing in the row could be supervised.
    """
    parsed = _PARSERS[format](fields)
    return parsed | {"references": _references(fields.get("references")), "checker": _checker(fields.get("checker"))}


def parse_id(value: Any) -> str | None:
    """Return the id as text; `None` where the row has none of its own."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise RowError(f"wrong type: id is {_type_of(value)}, expected text or a whole number")
    return _unicode(str(value), "id")


def _messages(fields: Fields) -> dict[str, Any]:
    return {"messages": _conversation(fields, "messages")}


def _sharegpt(fields: Fields) -> dict[str, Any]:
    return {"messages": _conversation(fields, "conversations")}


def _conversation(fields: Fields, name: str) -> tuple[Message, ...]:
    messages = _turns(_given(fields, name), name)
    if messages[-1]["role"] != "assistant":
        raise RowError(
            f"last turn not from the assistant: {name} ends with {messages[-1]['role']}, so there is nothing to learn"
        )
    return messages


def _prompt_completion(fields: Fields) -> dict[str, Any]:
    completion = _given(fields, "completion")
    if isinstance(completion, list):
        turns = _turns(completion, "completion")
        if len(turns) > 1 or turns[0]["role"] != "assistant":
            raise RowError("wrong completion: expected text or one message of the assistant")
        completion = turns[0]["content"]
    return {"prompt": _prompt(fields, "prompt"), "answers": (_text(completion, "completion"),)}


def _alpaca(fields: Fields) -> dict[str, Any]:
    instruction = _text(_given(fields, "instruction"), "instruction")
    about = fields.get("input")
    if about is not None and not isinstance(about, str):
        raise RowError(f"wrong type: input is {_type_of(about)}, expected text")
    prompt = f"{instruction}\n\n{_unicode(about, 'input')}" if about and about.strip() else instruction
    return {"prompt": prompt, "answers": (_text(_given(fields, "output"), "output"),)}


def _plain_text(fields: Fields) -> dict[str, Any]:
    return {"text": _text(_given(fields, "text"), "text")}


def _prompt_only(fields: Fields) -> dict[str, Any]:
    return {"prompt": _prompt(fields, "prompt")}


def _answers(fields: Fields) -> dict[str, Any]:
    name = next((name for name in ("prompt", "messages", "conversations") if fields.get(name) is not None), "prompt")
    answers = _given(fields, "answers")
    if isinstance(answers, str):
        answers = [answers]
    if not isinstance(answers, list):
        raise RowError(f"wrong type: answers is {_type_of(answers)}, expected a list of texts")
    if not answers:
        raise RowError("empty: answers is an empty list, so there is nothing to learn")
    texts = tuple(_text(_answer_text(answer), f"answers[{index}]") for index, answer in enumerate(answers))
    return {"prompt": _prompt(fields, name), "answers": texts}


def _answer_text(answer: Any) -> Any:
    return answer.get("text", answer.get("content")) if isinstance(answer, dict) else answer


def _prompt(fields: Fields, name: str) -> str | tuple[Message, ...]:
    value = _given(fields, name)
    if not isinstance(value, list):
        return _text(value, name)
    turns = _turns(value, name)
    if turns[-1]["role"] == "assistant":
        raise RowError(f"wrong prompt: {name} ends with a turn of the assistant, expected the turn to answer")
    return turns


def _pretokenised(fields: Fields) -> dict[str, Any]:
    input_ids = _integers(_given(fields, "input_ids"), "input_ids")
    labels = _integers(input_ids if fields.get("labels") is None else fields["labels"], "labels")
    mask = [1] * len(input_ids) if fields.get("attention_mask") is None else fields["attention_mask"]
    mask = _integers(mask, "attention_mask")
    if not len(input_ids) == len(labels) == len(mask):
        raise RowError(
            f"lengths differ: {len(input_ids)} input_ids, {len(labels)} labels, {len(mask)} in attention_mask"
        )
    if min(input_ids) < 0 or any(label < 0 and label != -100 for label in labels) or not set(mask) <= {0, 1}:
        raise RowError("out of range: expected input_ids from 0, labels from 0 or -100, attention_mask of 0 and 1")
    kept = [(token, label) for token, label, seen in zip(input_ids, labels, mask, strict=True) if seen]
    # The first token is predicted by nothing, so its label never counts.
    if all(label == -100 for _, label in kept[1:]):
        raise RowError("no supervised token: every label after the first is -100")
    return {"input_ids": tuple(token for token, _ in kept), "labels": tuple(label for _, label in kept)}


def _turns(value: Any, name: str) -> tuple[Message, ...]:
    if not isinstance(value, list):
        raise RowError(f"wrong type: {name} is {_type_of(value)}, expected a list of messages")
    if not value:
        raise RowError(f"empty: {name} is an empty list")
    return tuple(_turn(message, f"{name}[{index}]") for index, message in enumerate(value))


def _turn(message: Any, name: str) -> Message:
    if not isinstance(message, dict):
        raise RowError(f"wrong type: {name} is {_type_of(message)}, expected an object with role and content")
    role = message.get("role", message.get("from"))
    content = message.get("content", message.get("value"))
    if not isinstance(role, str) or role not in ROLES:
        raise RowError(f"unknown role: {name} has the role {role!r}, expected one of {', '.join(ROLES)}")
    if message.get("tool_calls") or message.get("function_call"):
        raise RowError(f"not supported: {name} calls a tool, of which only the text would be learnt")
    if ROLES[role] == "system" and content == "":
        return {"role": "system", "content": ""}
    return {"role": ROLES[role], "content": _text(content, f"{name}'s content")}


def _references(value: Any) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    values = value if isinstance(value, list) else [value]
    return tuple(_reference(item, f"references[{index}]") for index, item in enumerate(values))


def _reference(value: Any, name: str) -> str:
    if isinstance(value, dict) and _answer_text(value) is not None:
        value = _answer_text(value)
    return number_text(value) if _is_number(value) else _text(value, name)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _checker(value: Any) -> Mapping[str, Any] | None:
    """A checker as it stands; a number, or a text that holds one, stands for the numeric checker of this number."""
    if value is None or value == "":
        return None
    if isinstance(value, dict):
        return value
    if _is_number(value):
        return {"kind": "numeric", "answer": value}
    number = last_number(value) if isinstance(value, str) else None
    if number is not None:
        return {"kind": "numeric", "answer": str(number)}
    raise RowError(f"wrong type: checker is {_type_of(value)}, expected an object, a number or a text with a number")


def _given(fields: Fields, name: str) -> Any:
    if name not in fields:
        raise RowError(f"missing column: {name}")
    if fields[name] is None:
        raise RowError(f"null: {name} has no value")
    return fields[name]


def _text(value: Any, name: str) -> str:
    if value is None:
        raise RowError(f"null: {name} has no value")
    if not isinstance(value, str):
        raise RowError(f"wrong type: {name} is {_type_of(value)}, expected text")
    if not value.strip():
        raise RowError(f"empty: {name} holds no text")
    return _unicode(value, name)


def _unicode(value: str, name: str) -> str:
    if not is_unicode(value):
        raise RowError(f"not UTF-8: {name} holds bytes or escapes that are no character")
    return value


def _integers(value: Any, name: str) -> list[int]:
    if not isinstance(value, list) or any(isinstance(item, bool) or not isinstance(item, int) for item in value):
        raise RowError(f"wrong type: {name} is not a list of whole numbers")
    if not value:
        raise RowError(f"empty: {name} is an empty list")
    return value


def _type_of(value: Any) -> str:
    return "null" if value is None else _TYPES.get(type(value), type(value).__name__)


_PARSERS: dict[str, Callable[[Fields], dict[str, Any]]] = {
    "messages": _messages,
    "sharegpt": _sharegpt,
    "prompt_completion": _prompt_completion,
    "alpaca": _alpaca,
    "text": _plain_text,
    "prompt": _prompt_only,
    "answers": _answers,
    "pretokenised": _pretokenised,
}
