"""Tables and a figure of measurements: JSON lines in, Markdown and SVG out.

python benchmarks/plots.py benchmarks/h100.jsonl --svg benchmarks/h100.svg > tables.md
"""

import argparse
import html
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from measurements import Record, read_records

WHOLE = "forward and backward"
OBJECTIVES = ("ce", "ce - 0.1*entropy", "gem(beta=0.7)")
MIB = 1 << 20
WIDTH, LABELS, BAR, GAP = 860, 250, 15, 5
OURS_COLOUR, PEER_COLOUR, FLOOR_COLOUR = "#1f6f8b", "#b8b8b8", "#c0392b"


class Measurements:
    """The last record of each thing that was measured."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = list(records)

    def last(self, part: str, *keys: str) -> dict[tuple[str, ...], Record]:
        """Records of a part by the values of these keys; a later one replaces an earlier."""
        return {tuple(str(r.get(k, "")) for k in keys): r for r in self.records if r["part"] == part}

    @property
    def shapes(self) -> list[str]:
        """In the order of measurement."""
        return list(dict.fromkeys(r["shape"] for r in self.records if r["part"] in ("time", "case") and "shape" in r))

    def times(self, shape: str) -> list[Record]:
        """Whole calls of ours and of peers at a shape, without the floors."""
        found = self.last("time", "job", "shape", "backend", "objective", "calls")
        return [
            r
            for r in found.values()
            if r["shape"] == shape and r["calls"] == WHOLE and r["backend"] != "floor" and "ratio_to_floor" in r
        ]

    def memory(self, time: Record) -> Record | None:
        """The memory record that belongs to a time."""
        mine = time["backend"] if time["job"] == "ours" else ""
        found = self.last("memory", "job", "shape", "backend", "objective")
        return found.get((time["job"], time["shape"], mine, time["objective"]))


def name_of(time: Record) -> str:
    """What a row is called."""
    return f"entrotune, {time['backend']}" if time["job"].startswith("ours") else time["job"]


def table(head: list[str], rows: Iterable[list[Any]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join("" if cell is None else str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def timing_table(found: Measurements, shape: str) -> str:
    """Ours and peers at a shape, by objective, fastest first."""
    rows = []
    for objective in OBJECTIVES:
        mine = [t for t in found.times(shape) if t["objective"] == objective]
        for time in sorted(mine, key=lambda t: t["ratio_to_floor"]):
            ms, memory = time["ms"], found.memory(time)
            extra = None if memory is None else memory["bytes"].get("extra")
            row = [f"`{objective}`", name_of(time), f"{ms['median']:.2f}", f"{ms['min']:.2f} to {ms['max']:.2f}"]
            rows.append([*row, f"{time['ratio_to_floor']:.3f}", None if extra is None else f"{extra / MIB:,.0f}"])
    head = ["objective", "way", "ms (median)", "ms (range)", "over the floor", "extra memory, MiB"]
    return table(head, rows)


def other_calls_table(found: Measurements) -> str:
    """What is measured over other floors, or over our own ce."""
    rows = []
    for record in found.last("time", "job", "shape", "backend", "objective", "calls").values():
        if record["job"] in ("ours: reference, frozen head, no gradient", "ours: other terms"):
            over_floor, over_ce = record.get("ratio_to_floor"), record.get("ratio_to_ce")
            if record["backend"] != "floor":
                count = record["products"]
                floor = "1 product" if count == 1 else f"{count} products"
                products = floor if over_floor is not None else "our `ce`"
                over = over_floor if over_floor is not None else over_ce
                cells = [record["shape"], f"`{record['objective']}`", record["calls"], products]
                rows.append([*cells, f"{record['ms']['median']:.2f}", f"{over:.3f}"])
    return table(["shape", "objective", "calls", "compared with", "ms (median)", "ratio"], rows)


def accuracy_table(found: Measurements) -> str:
    """Relative errors of gradients."""
    records = found.last("accuracy", "job", "shape", "backend", "logits", "objective").values()
    rows = []
    for r in sorted(records, key=lambda r: (r["shape"], OBJECTIVES.index(r["objective"]))):
        way = f"entrotune, {r['backend']}" if "backend" in r else r["job"]
        way += ", float32 logits" if "logits" in r else ""
        errors = [_scientific(r["relative_error"][which]) for which in ("hidden", "weight")]
        rows.append([r["shape"], f"`{r['objective']}`", way, *errors])
    return table(["shape", "objective", "way", "dHidden", "dWeight"], rows)


def _scientific(value: float | None) -> str:
    return "none" if value is None else f"{value:.2e}"


def training_table(found: Measurements) -> str:
    """Trainers by model, medians over rounds."""
    rounds: dict[tuple[str, str, bool], list[Record]] = {}
    for (_,), r in found.last("training", "case").items():
        rounds.setdefault((r["model"], r["way"], r["checkpointing"]), []).append(r)
    speed = {key: statistics.median(r["tokens_per_second"] for r in group) for key, group in rounds.items()}
    rows = []
    for (model, way, checkpointing), group in rounds.items():
        base = speed.get((model, "trl", checkpointing))
        peak = group[-1]["peak_bytes"]
        key = (model, way, checkpointing)
        cells = [model, "on" if checkpointing else "off", group[0]["trainer"], f"`{group[0]['objective']}`"]
        cells += [f"{speed[key]:,.0f}", "" if base is None else f"{speed[key] / base:.3f}"]
        rows.append([*cells, "" if peak is None else f"{peak / MIB:,.0f}"])
    head = ["model", "checkpointing", "trainer", "objective", "tokens a second", "against TRL", "peak memory, MiB"]
    return table(head, rows)


def failures(found: Measurements) -> str:
    """What was not measured, and why."""
    records = found.last("case", "case").values()
    rows = [
        [r["case"], r["status"], r["message"].strip().splitlines()[-1][:160] if r["message"].strip() else ""]
        for r in records
        if r["status"] != "ok"
    ]
    return table(["case", "outcome", "why"], rows)


def figure(found: Measurements) -> str:
    """Bars of time over the floor, a panel a shape; the line is the floor."""
    panels = [(shape, _bars(found, shape)) for shape in found.shapes]
    longest = max((value for _, bars in panels for _, value, _ in bars), default=1.0)
    longest = min(longest, 6.0)
    scale = (WIDTH - LABELS - 60) / longest
    parts, y = [], 20
    for shape, bars in panels:
        parts.append(_text(8, y, f"{shape.replace('x', ' × ')} (tokens × width × vocabulary)", "bold"))
        y += 10
        top = y
        for name, value, colour in bars:
            length = min(value, longest) * scale
            parts.append(_text(LABELS - 6, y + BAR - 4, name, anchor="end"))
            parts.append(f'<rect x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>')
            parts.append(_text(LABELS + length + 4, y + BAR - 4, f"{value:.2f}"))
            y += BAR + GAP
        line = LABELS + scale
        parts.append(f'<line x1="{line:.1f}" x2="{line:.1f}" y1="{top - 2}" y2="{y}" stroke="{FLOOR_COLOUR}"/>')
        y += 26
    parts.append(_text(LABELS, y, "time of forward and backward over that of the matrix products alone (red line)"))
    size = f'width="{WIDTH}" height="{y + 14}" viewBox="0 0 {WIDTH} {y + 14}"'
    style = 'font-family="sans-serif" font-size="12"'
    background = '<rect width="100%" height="100%" fill="white"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{background}\n' + "\n".join(parts) + "\n</svg>\n"


def _bars(found: Measurements, shape: str) -> list[tuple[str, float, str]]:
    bars = []
    for time in found.times(shape):
        ours = time["job"] == "ours"
        if time["objective"] in OBJECTIVES and not (ours and time["backend"] == "torch"):
            name = f"entrotune: {time['objective']}" if ours else time["job"]
            bars.append((name, time["ratio_to_floor"], OURS_COLOUR if ours else PEER_COLOUR))
    return sorted(bars, key=lambda bar: bar[1])


def _text(x: float, y: float, text: str, weight: str = "normal", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y}" font-weight="{weight}" text-anchor="{anchor}">{html.escape(text)}</text>'


def markdown(found: Measurements) -> str:
    """Every table that the measurements fill."""
    tables = {shape.replace("x", " × "): timing_table(found, shape) for shape in found.shapes}
    tables |= {"Other calls": other_calls_table(found), "Accuracy": accuracy_table(found)}
    tables |= {"Training steps": training_table(found), "Not measured": failures(found)}
    filled = {title: text for title, text in tables.items() if text.count("\n") > 1}
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in filled.items()) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="JSON lines; later files replace what earlier ones say")
    parser.add_argument("--svg", type=Path, help="also write the figure here")
    options = parser.parse_args()
    found = Measurements(record for path in options.files for record in read_records(path))
    if options.svg:
        options.svg.write_text(figure(found), encoding="utf-8")
    print(markdown(found), end="")


if __name__ == "__main__":
    main()
