"""The target sets of a run: read, mended, encoded, and what of them is trained on."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from entrotune.data.targets import (
    EncodedTargets,
    TargetSet,
    build_trie,
    encode_targets,
    fixed,
    read_target_sets,
    select,
    split_sequences,
    split_targets,
)
from entrotune.errors import UserError
from entrotune.training.distribution import DiffuseConfig


@dataclass(frozen=True)
class DiffuseSets:
    """What a run is about.

    Attributes:
        whole: each set with all its targets, encoded with each response prefix: what is measured.
        trained: those that are trained on, with the targets that are not held out.
        kept: name of a trained set → indices of the targets that are trained on.
    """

    whole: list[list[EncodedTargets]]
    trained: list[list[EncodedTargets]]
    kept: dict[str, tuple[int, ...]]

    @property
    def measured(self) -> list[EncodedTargets]:
        """Every set with every prefix."""
        return [one for prefixes in self.whole for one in prefixes]

    @property
    def groups(self) -> list[str]:
        """The groups, in order."""
        return list(dict.fromkeys(prefixes[0].of.group for prefixes in self.whole))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what is trained on and measured, as tokens with weights."""
        told = hashlib.sha256()
        for kind in (self.whole, self.trained):
            for prefixes in kind:
                for one in prefixes:
                    parts = [one.label, one.prompt.input_ids, one.sequences, one.of.weights, one.of.mixture]
                    told.update(json.dumps(parts).encode() + b"\n")
        return told.hexdigest()

    def counts(self, rows_per_part: int) -> dict[str, Any]:
        """The `data` part of a record: sets, targets, and tokens with and without the tree."""
        trained = [one for prefixes in self.trained for one in prefixes]
        trees = [build_trie(one.sequences, one.of.weights) for one in trained]
        return {
            "source": ", ".join(dict.fromkeys(one.of.source.partition(", set ")[0] for one in self.measured)),
            "format": "target sets",
            "sets": len(self.whole),
            "trained_sets": len(self.trained),
            "groups": self.groups,
            "targets": sum(len(prefixes[0].of.targets) for prefixes in self.whole),
            "trained_targets": sum(len(prefixes[0].of.targets) for prefixes in self.trained),
            "duplicates_merged": sum(prefixes[0].of.merged for prefixes in self.whole),
            "prompt_tokens": sum(len(one.prompt.input_ids) for one in trained),
            "target_tokens": sum(len(sequence) for one in trained for sequence in one.sequences),
            "tree_nodes": sum(len(tree.children) for tree in trees),
            "tree_rows": sum(tree.row_count for tree in trees),
            "parts": sum(len(split_sequences(one.sequences, rows_per_part)) for one in trained),
            "fingerprint": self.fingerprint,
        }


def read_sets(config: DiffuseConfig) -> list[TargetSet]:
    """Read the sets of a recipe, mended as it says.

    Raises:
        UserError: see `read_target_sets`.
    """
    read = read_target_sets(config.targets, request=config.request, eos=config.eos, mixture=config.mixture)
    return [fixed(one, config.fix) for one in read]


def prepare_sets(
    config: DiffuseConfig, sets: Sequence[TargetSet], tokenizer: Any, *, context: int | None
) -> DiffuseSets:
    """Encode the sets, and set aside what the recipe leaves out.

    Raises:
        UserError: see `encode_targets`; or nothing is left to train on.
    """
    names = {one.name for one in sets} | {one.group for one in sets}
    if unknown := [name for name in config.leave_out if name not in names]:
        raise UserError(
            f"leave_out names {unknown[0]!r}, which is no set or group; there are {', '.join(sorted(names))}"
        )
    whole = encode_targets(sets, tokenizer, system=config.system, conflicts=config.conflicts, context=context)
    left = {one.name for one in sets if one.name in config.leave_out or one.group in config.leave_out}
    trained, kept = [], {}
    for prefixes in whole:
        one = prefixes[0].of
        if one.name in left:
            continue
        indices = tuple(range(len(one.targets)))
        if config.hold_out_targets is not None:
            indices = split_targets(one, config.hold_out_targets, config.seed)
        kept[one.name] = indices
        trained.append([_selected(prefix, indices) for prefix in prefixes])
    if not trained:
        raise UserError("leave_out leaves no set to train on; name fewer of them")
    return DiffuseSets(whole, trained, kept)


def _selected(one: EncodedTargets, indices: Sequence[int]) -> EncodedTargets:
    """The encoding of some of the targets."""
    if len(indices) == len(one.sequences):
        return one
    return EncodedTargets(
        of=select(one.of, indices),
        prefix=one.prefix,
        label=one.label,
        prompt=one.prompt,
        sequences=tuple(one.sequences[at] for at in indices),
    )


def groups_of(sets: Sequence[TargetSet]) -> list[str]:
    """The groups of which a study leaves each out, in order.

    Raises:
        UserError: there is one, or two would share a folder.
    """
    groups = list(dict.fromkeys(one.group for one in sets))
    if len(groups) < 2:
        raise UserError(f"there is one group, {groups[0]!r}, so none to leave out; give sets of two groups or more")
    if len({group_folder(group) for group in groups}) < len(groups):
        raise UserError("two groups have names that make one folder; rename one with the field group")
    return groups


def group_folder(group: str) -> str:
    """A group's name as that of a folder."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in group).strip(".") or "_"
