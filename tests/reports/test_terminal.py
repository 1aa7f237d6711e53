"""Tables for the terminal."""

import io

import pytest
from rich.console import Console

from entrotune.errors import UserError
from entrotune.reports import comparison_table, evaluation_table, unshown
from reports import records


def _printed(table: object, width: int = 110) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_table_shows_the_front_with_intervals() -> None:
    printed = _printed(comparison_table(records.comparison()))
    lines = printed.splitlines()
    row = next(i for i, line in enumerate(lines) if line.split()[:2] == ["ce", "0.7"])
    assert "1.130" in lines[row]
    assert "1.085–1.175" in lines[row + 1]
    for heading in ("Distinct-2", "Entropy", "Base-model"):
        assert heading in printed
    assert "untouched" in printed


def test_table_fits_eighty_columns_without_cutting_numbers() -> None:
    printed = _printed(comparison_table(records.comparison()), width=80)
    assert "…" not in printed
    for part in ("1.085–1.175", "base (untouched)", "ce - 0.1*entropy", "gem(beta=0.7)"):
        assert part in printed


@pytest.mark.parametrize(("width", "columns"), [(200, 5), (80, 4), (50, 2), (20, 2)])
def test_columns_that_do_not_fit_are_left_out_before_a_number_is_cut(width: int, columns: int) -> None:
    record = records.comparison()
    for variant in record["variants"]:
        for setting in variant["settings"]:
            setting["metrics"]["nll"] = records.estimate(123_456.0, 78_901.0)
    table = comparison_table(record, width=width)
    assert len(table.columns) == 2 + columns
    assert ("…" in _printed(table, width)) == (width == 20)
    left = unshown(record, table)
    assert len(left) == len(unshown(record, comparison_table(record))) + 5 - columns
    assert not {"base_nll", "distinct_2"} & set(left)  # the front is kept


def test_chosen_metrics_in_the_order_asked_for() -> None:
    table = comparison_table(records.comparison(), metrics=["vendi", "nll"])
    assert [str(column.header) for column in table.columns] == ["variant", "T", "Vendi score\n↑", "Validation\nNLL ↓"]
    assert table.row_count == 12
    with pytest.raises(UserError, match="No numbers for bleu in this record; it has"):
        comparison_table(records.comparison(), metrics=["bleu"])


def test_best_is_bold_only_when_clear() -> None:
    near = [records.variant("a", 0.0, [1.0]), records.variant("b", 0.1, [1.0])]
    assert "No value is clear" in str(comparison_table(records.comparison(variants=near)).caption)
    far = [records.variant("a", 0.0, [1.0]), records.variant("b", 3.0, [1.0])]
    table = comparison_table(records.comparison(variants=far), metrics=["distinct_2"])
    first, second = table.columns[2].cells
    assert (first.style, second.style) == ("", "bold")
    assert "Bold: best, and clear" in str(table.caption)


def test_markup_in_names_is_text() -> None:
    variants = [records.variant("[red]ce[/red]", 0.0, [1.0]), records.variant("[/]", 0.0, [1.0])]
    printed = _printed(comparison_table(records.comparison(variants=variants, title="[bold]")))
    assert "[red]ce[/red]" in printed
    assert "[bold]" in printed


def test_evaluation_and_missing_numbers() -> None:
    setting = {"temperature": 0.7, "metrics": {"nll": None, "distinct_2": records.estimate(0.5)}}
    printed = _printed(evaluation_table(records.evaluation(settings=[setting, records.setting(1.0)])))
    assert "SmolLM2-135M-" in printed
    assert "–" in printed
    assert _printed(evaluation_table({"schema_version": 1, "kind": "evaluation", "settings": []}))
    with pytest.raises(UserError, match="has kind null"):
        evaluation_table({})


def test_measures_of_the_task_come_before_perplexity() -> None:
    made = records.comparison()
    for variant in made["variants"]:
        for setting in variant["settings"]:
            setting["metrics"]["correct"] = records.estimate(0.4, 0.1)
    made["metrics"]["correct"] = {"label": "Correct samples", "better": "higher", "kind": "quality"}
    assert "Correct" in _printed(comparison_table(made), width=80)
    left = unshown(made, comparison_table(made))
    assert "correct" not in left
    assert left
    shown = [name for name in made["variants"][0]["settings"][0]["metrics"] if name not in left]
    assert len(shown) == 5
