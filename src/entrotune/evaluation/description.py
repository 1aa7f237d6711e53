"""Parts of a record that tell of the model, the rows and the samples."""

from collections.abc import Mapping, Sequence
from typing import Any

from entrotune.data import RowSet, describe_examples, fingerprint
from entrotune.data.rejects import first_reasons
from entrotune.evaluation.held_out import HeldOut
from entrotune.evaluation.records import SettingRecord
from entrotune.models import ModelSource, count_parameters

_SHOWN_PROMPTS = 8


def describe_model(source: ModelSource, model: Any) -> dict[str, Any]:
    """The `model` part of a record."""
    return {
        "name": source.name,
        "source": source.kind if source.revision is None else f"{source.kind} at {source.revision}",
        "fingerprint": source.fingerprint,
        "parameters": count_parameters(model)[0],
    }


def describe_data(rows: RowSet, held: HeldOut) -> dict[str, Any]:
    """The `data` part of a record: what was read, and how much of it is scored and sampled from."""
    counted = describe_examples(held.examples)
    # A row with several answers may have several rejects, and is used where one of them is.
    used = {example.row_id for example in held.examples}
    rejected = {(reject.source, reject.line) for reject in held.rejects}
    encoded_badly = rejected - {(row.source, row.line) for row in rows.rows if row.id in used}
    return {
        "source": rows.source,
        "format": rows.format,
        "rows_read": rows.read,
        "rows_rejected": len(rows.rejects) + len(encoded_badly),
        "validation_rows": len(rows.rows) - len(encoded_badly),
        "rejected_for": first_reasons([*rows.rejects, *held.rejects], count=1),
        "prompts": len(held.prompts),
        "supervised_tokens": counted.supervised_tokens,
        "fingerprint": fingerprint(rows.rows),
    }


def show_samples(
    held: HeldOut, variants: Mapping[str, Sequence[SettingRecord]], *, prompts: int = _SHOWN_PROMPTS
) -> list[dict[str, Any]]:
    """The `samples` part of a record: what each variant wrote for the first few prompts, at each temperature."""
    return [
        {
            "prompt_id": prompt.id,
            "prompt": prompt.messages[-1]["content"] if prompt.messages else prompt.text,
            "references": list(prompt.references),
            "outputs": [
                {
                    "variant": name,
                    "temperature": setting.temperature,
                    "texts": [sample.text for sample in setting.samples if sample.prompt_id == prompt.id],
                }
                for name, settings in variants.items()
                for setting in settings
            ],
        }
        for prompt in held.prompts[:prompts]
    ]
