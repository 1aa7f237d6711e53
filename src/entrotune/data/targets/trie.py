"""Token sequences as a tree: what they begin with in common stands in it once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

ROOT = 0


@dataclass(frozen=True)
class TokenTrie:
    """The tree of some token sequences with weights.

    A node that has children predicts them: it is a row. Row 0 is the last token of the prompt. Nodes without children
    predict nothing, so no model reads them.

    Attributes:
        tokens: of rows 1, 2, …; row r's token is `tokens[r − 1]`.
        parents: the row that each of them follows; always a lower one.
        depths: tokens between the prompt and the row, its own included.
        rows: of each edge, the row that predicts; ascending.
        children: of each edge, the predicted token.
        masses: of each edge, the summed weight of the sequences that run through it.
        paths: of each sequence, its edges in order.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    depths: tuple[int, ...]
    rows: tuple[int, ...]
    children: tuple[int, ...]
    masses: tuple[float, ...]
    paths: tuple[tuple[int, ...], ...]

    @property
    def row_count(self) -> int:
        """Positions that predict, the prompt's last one included."""
        return 1 + len(self.tokens)


def build_trie(sequences: Sequence[Sequence[int]], weights: Sequence[float]) -> TokenTrie:
    """Build the tree. Sequences must not be empty; one may be the beginning of another."""
    # Node 0 is the root. A node: token, parent, children by token, mass, depth.
    tokens, parents, masses, depths = [-1], [-1], [0.0], [0]
    children: list[dict[int, int]] = [{}]
    ends = []
    for sequence, weight in zip(sequences, weights, strict=True):
        node = ROOT
        for token in sequence:
            if token not in children[node]:
                children[node][token] = len(tokens)
                tokens.append(token)
                parents.append(node)
                masses.append(0.0)
                depths.append(depths[node] + 1)
                children.append({})
            node = children[node][token]
            masses[node] += weight
        ends.append(node)
    inner = [node for node in range(len(tokens)) if children[node] or node == ROOT]
    row_of = {node: row for row, node in enumerate(inner)}
    edges = [child for node in inner for child in children[node].values()]
    edge_of = {node: edge for edge, node in enumerate(edges)}
    return TokenTrie(
        tokens=tuple(tokens[node] for node in inner[1:]),
        parents=tuple(row_of[parents[node]] for node in inner[1:]),
        depths=tuple(depths[node] for node in inner[1:]),
        rows=tuple(row_of[parents[node]] for node in edges),
        children=tuple(tokens[node] for node in edges),
        masses=tuple(masses[node] for node in edges),
        paths=tuple(tuple(reversed([edge_of[node] for node in _upwards(end, parents)])) for end in ends),
    )


def split_sequences(sequences: Sequence[Sequence[int]], most_rows: int) -> list[list[int]]:
    """Indices of the sequences, in parts whose trees have at most `most_rows` rows.

    A sequence that alone has more is a part of its own. Sequences that begin alike stay together, so that few rows
    stand in several parts.
    """
    order = sorted(range(len(sequences)), key=lambda at: tuple(sequences[at]))
    parts: list[list[int]] = []
    rows = 0
    before: tuple[int, ...] = ()
    for at in order:
        sequence = tuple(sequences[at])
        new = len(sequence) - 1 - min(_shared(before, sequence), len(sequence) - 1)
        # Where the sequence before goes on, its last token becomes a row.
        new += bool(before) and _shared(before, sequence) == len(before)
        if not parts or rows + new > most_rows:
            parts.append([])
            rows, new = 1, len(sequence) - 1
        parts[-1].append(at)
        rows, before = rows + new, sequence
    return parts


def prefix_pairs(sequences: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
    """Pairs (a, b) of indices where sequence a is the beginning of sequence b, or equal to it."""
    order = sorted(range(len(sequences)), key=lambda at: tuple(sequences[at]))
    open_ones: list[int] = []
    for at in order:
        sequence = tuple(sequences[at])
        while open_ones and tuple(sequences[open_ones[-1]]) != sequence[: len(sequences[open_ones[-1]])]:
            open_ones.pop()
        for shorter in open_ones:
            yield shorter, at
        open_ones.append(at)


def _upwards(node: int, parents: Sequence[int]) -> Iterator[int]:
    while node != ROOT:
        yield node
        node = parents[node]


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
