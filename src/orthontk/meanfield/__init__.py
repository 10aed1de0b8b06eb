"""What a deep network does at infinite width: fixed points, the critical line, and its Jacobian."""

from orthontk.meanfield.critical import chi_1, critical_bias_var, critical_point
from orthontk.meanfield.fixed_point import fixed_point, length_map, length_map_slope
from orthontk.meanfield.gaussian import Activation, expectation

__all__ = [
    "Activation",
    "chi_1",
    "critical_bias_var",
    "critical_point",
    "expectation",
    "fixed_point",
    "length_map",
    "length_map_slope",
]
