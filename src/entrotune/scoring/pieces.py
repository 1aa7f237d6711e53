"""Tokens as a reader sees them: what each stands for, also where several make one character."""

import codecs
import functools
from collections.abc import Iterable
from typing import Any

import regex

_BYTE_TOKEN = regex.compile(r"<0x([0-9A-Fa-f]{2})>")


class Pieces:
    """Readable pieces of a tokenizer's tokens.

    A token that holds no whole character is shown as its bytes, `⟨F0 9F⟩`; within a text, the token that completes the
    character is shown as the character. Special tokens are shown as they are written.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[int, str] = {}

    def of(self, id: int) -> str:
        """One token, wherever it stands."""
        if id not in self._known:
            self._known[id] = self._alone(id)
        return self._known[id]

    def of_text(self, ids: Iterable[int]) -> list[str]:
        """Tokens that follow each other."""
        found = []
        decoder = codecs.getincrementaldecoder("utf-8")()
        for id in ids:
            raw = self._raw(id) if "\N{REPLACEMENT CHARACTER}" in self._decoded([id]) else None
            if raw is None:
                decoder.reset()
                found.append(self.of(id))
                continue
            try:
                done = decoder.decode(raw)
            except UnicodeDecodeError:
                decoder.reset()
                found.append(_hex(raw))
                continue
            waiting = decoder.getstate()[0][-len(raw) :] if raw else b""
            found.append(done + _hex(waiting))
        return found

    def _alone(self, id: int) -> str:
        written = self._written(id)
        if written is None:
            return f"⟨token {id}⟩"
        # Twice, as some tokenizers leave out the space that begins a text.
        once, twice = self._decoded([id]), self._decoded([id, id])
        piece = twice[len(once) :] if twice.startswith(once) else once
        if "\N{REPLACEMENT CHARACTER}" not in piece:
            return piece or written
        raw = self._raw(id)
        return piece if raw is None else _hex_of_incomplete(raw)

    def _decoded(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def _written(self, id: int) -> str | None:
        """The token in the vocabulary's own spelling; None for a row of the head that no token has."""
        return self._tokenizer.convert_ids_to_tokens(id) if id < len(self._tokenizer) else None

    def _raw(self, id: int) -> bytes | None:
        """The bytes of a token of a byte-level vocabulary, or of a byte token; None for another."""
        written = self._written(id) or ""
        if match := _BYTE_TOKEN.fullmatch(written):
            return bytes([int(match[1], 16)])
        alphabet = _byte_alphabet()
        return bytes(alphabet[c] for c in written) if written and all(c in alphabet for c in written) else None


@functools.cache
def _byte_alphabet() -> dict[str, int]:
    """The characters that byte-level vocabularies write bytes as: printable ones as they are, others from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}


def _hex(raw: bytes) -> str:
    return f"⟨{raw.hex(' ').upper()}⟩" if raw else ""


def _hex_of_incomplete(raw: bytes) -> str:
    """Whole characters as they are, a beginning or an end of one as bytes."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            return raw[: error.start].decode() + _hex(raw[error.start :])
        return _hex(raw)
