"""The embedded chats: the Chit-Chat Challenge conversations of the package chitchat-dataset (MIT)."""

import importlib.util
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from entrotune.data.records import Record
from entrotune.errors import UserError

CHITCHAT_SOURCES = ("chitchat", "chitchat:pairs", "chitchat:openers")


class _Conversation(NamedTuple):
    number: int
    id: str
    turns: list[str]


def chitchat_records(source: str) -> Iterator[Record]:
    """Yield the chats as `source` asks.

    chitchat: whole conversations as messages, the one who opened as user, the other as assistant.
    chitchat:pairs: every turn with the turn that answers it; turns that are equal but for case and white space are
        one prompt, with all that people answered to it, in the order of first appearance.
    chitchat:openers: the same of the first two turns only.

    A turn is what one person sent until the other wrote, a line a message. Conversations nobody answered hold no
    example. A conversation ends before its first turn without text and, as messages, with its last answer.

    Raises:
        UserError: the package is not installed.
    """
    conversations = _conversations()
    if source == "chitchat":
        yield from _whole(conversations)
    else:
        yield from _pairs(conversations, openers=source == "chitchat:openers")


def _conversations() -> Iterator[_Conversation]:
    spec = importlib.util.find_spec("chitchat_dataset")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("the embedded chats need the package chitchat-dataset; run: pip install chitchat-dataset")
    content = json.loads((Path(spec.submodule_search_locations[0]) / "dataset.json").read_text(encoding="utf-8"))
    for number, (id, conversation) in enumerate(content.items(), start=1):
        yield _Conversation(number, id, list(_turns(conversation["messages"])))


def _turns(messages: Iterable[Iterable[dict[str, str]]]) -> Iterator[str]:
    for sent in messages:
        turn = "\n".join(text for message in sent if (text := message["text"].strip()))
        if not turn:
            return
        yield turn


def _whole(conversations: Iterable[_Conversation]) -> Iterator[Record]:
    for number, id, turns in conversations:
        answered = turns[: len(turns) // 2 * 2]
        if answered:
            roles = ("user", "assistant") * (len(answered) // 2)
            messages = [{"role": role, "content": turn} for role, turn in zip(roles, answered, strict=True)]
            yield Record("chitchat", number, {"id": id, "messages": messages})


def _pairs(conversations: Iterable[_Conversation], *, openers: bool) -> Iterator[Record]:
    source = "chitchat:openers" if openers else "chitchat:pairs"
    merged: dict[str, Record] = {}
    for number, id, turns in conversations:
        for turn, (prompt, answer) in enumerate(itertools.pairwise(turns[:2] if openers else turns)):
            new = Record(source, number, {"id": f"{id}:{turn}", "prompt": prompt, "answers": []})
            merged.setdefault(" ".join(prompt.casefold().split()), new).content["answers"].append(answer)
    yield from merged.values()
