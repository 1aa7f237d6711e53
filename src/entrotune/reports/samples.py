"""Sampled answers as the page shows them: side by side, equal ones told once with their count."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from entrotune.reports.numbers import read_number
from entrotune.reports.palette import SeriesStyle
from entrotune.reports.views import Variant, temperature_text

# Control characters are shown as their pictures (U+2400…): browsers drop or reinterpret the bare ones.
_PICTURES = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"} | {0x7F: 0x2421}


@dataclass(frozen=True)
class Output:
    """The answers of one variant to one prompt at one temperature: (text, how often), most frequent first."""

    label: str
    style: SeriesStyle | None
    temperature: str
    texts: tuple[tuple[str, int], ...]

    @property
    def count(self) -> int:
        """How many answers were drawn."""
        return sum(times for _, times in self.texts)


@dataclass(frozen=True)
class Sample:
    """One prompt, its reference answers and what each variant wrote, by temperature."""

    prompt_id: str
    prompt: str
    references: tuple[str, ...]
    outputs: tuple[tuple[str, tuple[Output, ...]], ...]


def read_samples(record: Mapping[str, Any], variants: Sequence[Variant]) -> list[Sample]:
    """The record's samples; outputs grouped by temperature, within it in the order of the variants."""
    return [_sample(entry, variants) for entry in record.get("samples") or [] if isinstance(entry, Mapping)]


def temperatures_of(samples: Sequence[Sample]) -> list[str]:
    """All temperatures that any sample was drawn at, ascending."""
    texts = {temperature for sample in samples for temperature, _ in sample.outputs}
    return sorted(texts, key=_by_value)


def visible(value: Any) -> str:
    """Text as UTF-8 can hold it: lone surrogates replaced, control characters shown as their pictures."""
    text = str(value).replace("\r\n", "\n")
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").translate(_PICTURES)


def _sample(entry: Mapping[str, Any], variants: Sequence[Variant]) -> Sample:
    known = {variant.name: (position, variant) for position, variant in enumerate(variants)}
    grouped: dict[str, list[tuple[int, Output]]] = {}
    for output in entry.get("outputs") or []:
        name = output.get("variant") or (variants[0].name if len(variants) == 1 else "")
        position, variant = known.get(name, (len(known), None))
        temperature = temperature_text(read_number(output.get("temperature")))
        counted = Counter(visible(text) for text in output.get("texts") or [])
        label, style = (variant.label, variant.style) if variant else (str(name), None)
        read = Output(label, style, temperature, tuple(counted.most_common()))
        grouped.setdefault(temperature, []).append((position, read))
    ordered = [
        (temperature, tuple(output for _, output in sorted(grouped[temperature], key=lambda pair: pair[0])))
        for temperature in sorted(grouped, key=_by_value)
    ]
    references = entry.get("references") or ()
    return Sample(
        prompt_id=visible(entry.get("prompt_id") or ""),
        prompt=visible(entry.get("prompt") or ""),
        references=tuple(visible(reference) for reference in references),
        outputs=tuple(ordered),
    )


def _by_value(temperature: str) -> float:
    return -1.0 if temperature == "–" else float(temperature)
