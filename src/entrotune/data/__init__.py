"""Rows in, token sequences out: sources, formats, checks, splits, chat templates, supervised spans."""

from entrotune.data.encode import encode_rows
from entrotune.data.examples import EncodedSet, Example, TokenStatistics, describe_examples, to_dataset
from entrotune.data.formats import FORMAT_NAMES
from entrotune.data.load import load_rows
from entrotune.data.prompts import Prompt, prompt_room, prompts_of
from entrotune.data.rejects import Reject, write_rejects
from entrotune.data.rows import Message, Row, RowSet, answers_of, fingerprint, merge_answers, prompt_key
from entrotune.data.split import split_rows
from entrotune.data.stream import RowBlock, RowStream, source_files, stream_rows

__all__ = [
    "FORMAT_NAMES",
    "EncodedSet",
    "Example",
    "Message",
    "Prompt",
    "Reject",
    "Row",
    "RowBlock",
    "RowSet",
    "RowStream",
    "TokenStatistics",
    "answers_of",
    "describe_examples",
    "encode_rows",
    "fingerprint",
    "load_rows",
    "merge_answers",
    "prompt_key",
    "prompt_room",
    "prompts_of",
    "source_files",
    "split_rows",
    "stream_rows",
    "to_dataset",
    "write_rejects",
]
