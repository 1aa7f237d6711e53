"""The pages name what exists, and all of it."""

import dataclasses
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import entrotune
from docs.pages import PAGES, ROOT, name
from entrotune import CompareConfig, CurriculumConfig, DiffuseConfig, SweepConfig
from entrotune.cli.words import SUMMARIES
from entrotune.data import FORMAT_NAMES
from entrotune.experiments.analyze import analyze_correctness, analyze_models
from entrotune.experiments.evaluate import evaluate
from entrotune.experiments.evidence import evidence
from entrotune.experiments.merge import merge
from entrotune.experiments.new_model import new_model
from entrotune.experiments.perplexity import perplexity
from entrotune.experiments.play.running import play
from entrotune.measures import METRICS
from entrotune.objectives import TERMS, Objective
from entrotune.objectives.term import signature
from entrotune.scoring.folder import schema
from entrotune.scoring.order import order
from entrotune.scoring.score import score
from entrotune.training import TrainConfig

DOCS = ROOT / "docs"


def read(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """The text of a `## title` section, its subsections included."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def table_fields(text: str) -> set[str]:
    """The names in code spans of the first column of tables."""
    cells = re.findall(r"^\| (`[^|]*?) \|", text, re.MULTILINE)
    return {code for cell in cells for code in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("term", sorted(TERMS))
def test_every_term_is_described(term: str) -> None:
    assert f"`{term}`" in read("objectives.md") or f"`{term}(" in read("objectives.md")
    assert re.search(rf"`{term}\b", (ROOT / "README.md").read_text(encoding="utf-8"))


def test_terms_are_written_as_they_read() -> None:
    """The table of coefficients has each term with its defaults, and nothing that is not a term."""
    shown = table_fields(section(read("objectives.md"), "The terms"))
    for text in shown:
        assert Objective(text).parts
    assert {signature(cls) for cls in TERMS.values()} <= shown


@pytest.mark.parametrize("command", SUMMARIES)
def test_every_command_has_a_section(command: str) -> None:
    assert section(read("commands.md"), command)


@pytest.mark.parametrize(
    ("title", "fields"),
    [
        ("train", {field.name for field in dataclasses.fields(TrainConfig)}),
        ("compare", {field.name for field in dataclasses.fields(CompareConfig)}),
        ("sweep", {field.name for field in dataclasses.fields(SweepConfig)}),
        ("order", set(inspect.signature(order).parameters) - {"dry_run"}),
        ("curriculum", {field.name for field in dataclasses.fields(CurriculumConfig)}),
        ("diffuse", {field.name for field in dataclasses.fields(DiffuseConfig)}),
        ("evaluate", set(inspect.signature(evaluate).parameters) - {"dry_run", "progress"}),
        ("new-model", set(inspect.signature(new_model).parameters)),
        ("merge", set(inspect.signature(merge).parameters) - {"dry_run", "progress"}),
        ("evidence", set(inspect.signature(evidence).parameters)),
        ("play", set(inspect.signature(play).parameters) - {"progress"}),
    ],
)
def test_every_field_is_described(title: str, fields: set[str]) -> None:
    text = section(read("commands.md"), title).split("### ")[0]
    assert table_fields(text) == fields


@pytest.mark.parametrize(("title", "function"), [("Models", analyze_models), ("Correctness", analyze_correctness)])
def test_every_option_of_an_analysis_is_described(title: str, function: Callable[..., object]) -> None:
    text = section(read("analysis.md"), title).split("### ")[0]
    assert table_fields(text) == set(inspect.signature(function).parameters) - {"dry_run", "progress"}


def test_every_option_and_column_of_scores_is_described() -> None:
    text = read("scoring.md")
    options = table_fields(section(text, "Options").replace("(#", ""))
    # The data itself is given without a name.
    assert options == set(inspect.signature(score).parameters) - {"data", "dry_run", "progress"}
    described = table_fields(section(text, "The score folder"))
    assert set(schema(per_token=True, top_k=5).names) <= described


def test_every_option_of_perplexity_is_described() -> None:
    options = table_fields(section(read("perplexity.md"), "Options"))
    assert options == set(inspect.signature(perplexity).parameters) - {"data", "dry_run", "progress"}


@pytest.mark.parametrize("metric", [metric for metric in METRICS if not metric.startswith("distinct_")])
def test_every_metric_is_defined(metric: str) -> None:
    assert f"`{metric}`" in read("evaluation.md")


@pytest.mark.parametrize("form", FORMAT_NAMES)
def test_every_format_is_shown(form: str) -> None:
    assert f"| `{form}` |" in read("data.md")


def test_the_public_api_is_listed() -> None:
    listed = {line.rsplit(".", 1)[-1] for line in read("api.md").splitlines() if line.startswith("::: ")}
    assert set(entrotune.__all__) <= listed


def test_tables_name_real_parts_of_the_tree() -> None:
    tree = (ROOT / "README.md").read_text(encoding="utf-8").split("## What is where")[1]
    for folder in re.findall(r"^  (\w+)/ ", tree, re.MULTILINE):
        assert (ROOT / "src" / "entrotune" / folder).is_dir(), folder
    rooms = {path.name for path in (ROOT / "src" / "entrotune").iterdir() if (path / "__init__.py").exists()}
    assert rooms == set(re.findall(r"^  (\w+)/ ", tree, re.MULTILINE))
    assert rooms == set(re.findall(r"^\*\*(\w+)/\*\*", (ROOT / "ARCHITECTURE.md").read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("page", [*PAGES, ROOT / "ARCHITECTURE.md"], ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text(encoding="utf-8")):
        other = page.parent / target if target else page
        assert other.exists(), target
        if anchor and other.suffix == ".md":
            titles = re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in slugs, anchor
