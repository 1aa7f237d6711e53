"""How far a front of plain `ce` lies from what its other temperatures predict, over the kept records of evidence.

    python benchmarks/bent_fronts.py docs/evidence

Each temperature but the first and the last is left out in turn, and predicted from the others by the line between its
neighbours and by cubic splines over T, log T and 1/T. Printed: least and greatest prediction less measurement.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.interpolate import CubicSpline

FEWEST = 5
METRICS = ("nll", "distinct_2", "slots", "chrf")
AXES = {"T": lambda t: t, "log T": np.log, "1/T": lambda t: -1 / t}


def main() -> None:
    """Print a table in Markdown."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for path in sorted(Path(sys.argv[1]).glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        plain = next(variant for variant in record["variants"] if variant["name"] == "ce")
        settings = sorted(plain["settings"], key=lambda one: one["temperature"])
        places = np.array([one["temperature"] for one in settings])
        for metric in METRICS:
            values = np.array([one["metrics"].get(metric, {}).get("value", np.nan) for one in settings])
            if len(places) < FEWEST or np.isnan(values).any():
                continue
            for out in range(1, len(places) - 1):
                kept = np.arange(len(places)) != out
                line = np.interp(places[out], places[kept], values[kept])
                found["line", metric].append(line - values[out])
                for name, axis in AXES.items():
                    spline = CubicSpline(axis(places[kept]), values[kept])(axis(places[out]))
                    found[f"spline over {name}", metric].append(float(spline) - values[out])
    print("| predicted by | " + " | ".join(METRICS) + " |\n" + "|---" * (1 + len(METRICS)) + "|")
    for way in dict.fromkeys(way for way, _ in found):
        cells = [f"{min(found[way, metric]):+.3f} to {max(found[way, metric]):+.3f}" for metric in METRICS]
        print(f"| {way} | " + " | ".join(cells) + " |")
    print(f"\n{len(found['line', METRICS[0]])} places")


if __name__ == "__main__":
    main()
