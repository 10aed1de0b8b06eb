"""The autograd graph behind a result."""

from collections.abc import Iterator

from torch.autograd.graph import Node


def leaves_of(node: Node | None) -> set[int]:
    """Identities of the tensors without a history that a result depends on."""
    return {id(node.variable) for node in graph_nodes(node) if hasattr(node, "variable")}


def graph_nodes(start: Node | None) -> Iterator[Node]:
    """The nodes of the autograd graph from `start` on, each once."""
    waiting, seen = [start], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            waiting.extend(parent for parent, _ in node.next_functions)
