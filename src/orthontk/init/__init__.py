"""Gaussian and orthogonal initializations, each a map from a Gaussian draw to unit-variance weights."""

from orthontk.init.initializer import SCHEMES, initialize
from orthontk.init.schemes import delta_orthogonal, flat_orthogonal, gaussian, orthogonal

__all__ = ["SCHEMES", "delta_orthogonal", "flat_orthogonal", "gaussian", "initialize", "orthogonal"]
