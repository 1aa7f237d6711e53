"""One-file HTML pages: Jinja templates, plotly inlined once, and a policy that lets nothing else run or load."""

import base64
import functools
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import plotly.offline
import yaml
from markupsafe import Markup

from entrotune.files import atomic_write_text
from entrotune.reports import numbers, palette
from entrotune.reports.samples import visible


def write_page(path: str | Path, template: str, **context: Any) -> None:
    """Render `template` with `context` into one HTML file that needs nothing outside itself.

    Values are escaped by Jinja. Scripts run only if their hash is in the page's content security policy, so text that
    slipped through would still not run; nothing can be loaded from anywhere. Plotly sets style attributes, hence
    `style-src 'unsafe-inline'`.
    """
    atomic_write_text(path, render(template, **context))


def render(template: str, *, own_scripts: Sequence[str] = (), css: str | None = None, **context: Any) -> str:
    """The page as text, with scripts and styles of its own where it names files of them among the templates."""
    has_figures = bool(context.get("figures"))
    scripts = [_plotly_script(), _script("report.js")] if has_figures else [_script("report.js")]
    scripts += [_script(name) for name in own_scripts]
    hashes = " ".join(f"'sha256-{_sha256(one)}'" for one in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    page = _environment().get_template(template)
    style = _style() + Markup(_template_text(css) if css else "")
    return page.render(policy=policy, scripts=[Markup(one) for one in scripts], style=style, **context)


def as_yaml(value: Any) -> str:
    """A resolved recipe as YAML, keys in their own order."""
    return yaml.safe_dump(_plain_types(value), sort_keys=False, allow_unicode=True, width=100)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("entrotune.reports", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
    # The policy applies to `tojson`, which writes <, >, & and ' as escapes; all that is not ASCII is escaped too.
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.filters["count"] = numbers.format_count
    return environment


@functools.cache
def _plotly_script() -> str:
    return _as_parsed(plotly.offline.get_plotlyjs())


@functools.cache
def _script(name: str) -> str:
    return _as_parsed(_template_text(name))


def _style() -> Markup:
    light, dark = palette.css_variables(dark=False), palette.css_variables(dark=True)
    return Markup(_template_text("report.css").replace("/*light-palette*/", light).replace("/*dark-palette*/", dark))


def _template_text(name: str) -> str:
    return (files("entrotune.reports") / "templates" / name).read_text(encoding="utf-8")


def _as_parsed(script: str) -> str:
    """A script as the browser hashes it: line ends are newlines."""
    return script.replace("\r\n", "\n").replace("\r", "\n")


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


def _plain_types(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain_types(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain_types(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)
