"""What the variants of a comparison and the settings of a sweep are measured on."""

import dataclasses

from entrotune.evaluation import HeldOut, hold_out
from entrotune.experiments.compare_config import CompareConfig
from entrotune.experiments.measurable import check_measures
from entrotune.experiments.sweep_config import SweepConfig
from entrotune.models import ModelDescription
from entrotune.training import TrainingRows, read_rows
from entrotune.training.plan import check_context


def held_out_rows(config: CompareConfig | SweepConfig, described: ModelDescription) -> tuple[TrainingRows, HeldOut]:
    """The rows of the recipe, and of its validation rows those to score and prompts to sample from.

    Raises:
        UserError: input that cannot be used, or that does not allow the measures of quality and diversity.
    """
    check_context(config.train, described.config)
    rows = read_rows(config.train, described.tokenizer)
    held = hold_out(
        rows.validation_rows,
        described.tokenizer,
        prompts=config.prompts,
        seed=config.sampling_seed,
        max_new_tokens=config.max_new_tokens,
        context=described.context,
        system=config.train.system,
    )
    check_measures(config.quality, config.diversity, held, samples=config.samples)
    # The very sequences that training validates on, whatever it supervises.
    return rows, dataclasses.replace(held, examples=rows.validation)
