"""`entrotune demo`: the main job on the embedded model, in minutes on a laptop."""

from typing import Any

from rich.progress import Progress

from entrotune.experiments.compare_config import CompareConfig
from entrotune.training.config import TrainConfig

OUT = "runs/demo"


def demo_config() -> CompareConfig:
    """The comparison that the demo is."""
    return CompareConfig(
        title="What three objectives do to a small chat model",
        out=OUT,
        objectives=["ce", "ce - 0.1*entropy", "gem(beta=0.7)"],
        temperatures=[0.7, 1.0, 1.3, 1.6],
        samples=5,
        prompts=16,
        max_new_tokens=16,
        sampling_batch=80,
        diversity="distinct_1",
        match_diversity=False,  # a sixth of the samples more, for minutes that a first look does not have
        train=TrainConfig(
            data="chitchat:openers",
            model="smollm2-135m",
            system="",
            limit=100,
            max_answers=1,
            max_length=48,
            validation=0.4,
            epochs=6,
            batch_size=8,
            learning_rate=1e-3,
            schedule="constant",
            lora_rank=16,
            lora_alpha=32,
        ),
    )


def demo(
    *, out: str = OUT, resume: bool = False, overwrite: bool = True, progress: Progress | bool = True
) -> dict[str, Any]:
    """Tune SmolLM2-135M-Instruct on real chats with three objectives; show what each did to quality and diversity.

    Args:
        out: the folder to make.
        resume: go on with a demo that was stopped.
        overwrite: replace an earlier demo in `out`.
        progress: show a display, or the display to use.

    Returns:
        The content of `comparison.json`.
    """
    from entrotune.experiments.compare import compare  # brings torch, for which --help must not wait

    chosen = demo_config().replace(out=out, resume=resume, overwrite=overwrite and not resume)
    return compare(chosen, progress=progress)
