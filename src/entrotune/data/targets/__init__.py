"""Target sets: the outputs wanted for a request with their probabilities, checked and encoded as trees of tokens."""

from entrotune.data.targets.encode import Conflicts, EncodedTargets, Fix, encode_targets, fixed
from entrotune.data.targets.readers import read_target_sets
from entrotune.data.targets.sets import TargetSet, entropy_of, select, split_targets
from entrotune.data.targets.trie import TokenTrie, build_trie, split_sequences

__all__ = [
    "Conflicts",
    "EncodedTargets",
    "Fix",
    "TargetSet",
    "TokenTrie",
    "build_trie",
    "encode_targets",
    "entropy_of",
    "fixed",
    "read_target_sets",
    "select",
    "split_sequences",
    "split_targets",
]
