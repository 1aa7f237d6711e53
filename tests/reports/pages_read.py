"""Read a page as a browser would, with the standard library's parser."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

_VOID = {"meta", "input", "br", "img", "link", "hr", "path", "line"}
_BOXES = {"td", "th", "dt", "dd", "li", "small", "button"}


class Page(HTMLParser):
    """Tags with their attributes, visible text, scripts, and whether every opened element was closed."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.misnested: list[str] = []
        self._open: list[str] = []
        self._text: list[str] = []
        self.feed(markup)
        self.close()
        self.misnested += self._open

    @property
    def text(self) -> str:
        """The text outside scripts and styles."""
        return "".join(self._text)

    @property
    def words(self) -> str:
        """The text with runs of white space as single spaces."""
        return " ".join(self.text.split())

    @property
    def figures(self) -> dict[str, Any]:
        """The figures that the page's script draws."""
        return next(json.loads(body) for attributes, body in self.scripts if attributes.get("id") == "figures")

    @property
    def policy(self) -> str:
        """The content security policy."""
        return self.one("meta", **{"http-equiv": "Content-Security-Policy"})["content"] or ""

    def all(self, name: str, /, **wanted: str) -> list[dict[str, str | None]]:
        """Attributes of all elements of this name that have these attribute values."""
        found = [attributes for tag, attributes in self.tags if tag == name]
        return [attributes for attributes in found if all(attributes.get(k) == v for k, v in wanted.items())]

    def one(self, name: str, /, **wanted: str) -> dict[str, str | None]:
        """The only such element."""
        (attributes,) = self.all(name, **wanted)
        return attributes

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag in _BOXES:
            self._text.append(" ")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.misnested.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            attributes, body = self.scripts[-1]
            self.scripts[-1] = (attributes, body + data)
        elif not self._open or self._open[-1] != "style":
            self._text.append(data)


def hash_source(script: str) -> str:
    """A script's name in a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def allowed_scripts(policy: str) -> set[str]:
    """The script sources of a content security policy."""
    directive = re.search(r"script-src ([^;]*)", policy)
    assert directive is not None
    return set(directive.group(1).split())
