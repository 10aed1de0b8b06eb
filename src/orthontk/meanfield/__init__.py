"""What a deep network does at infinite width: fixed points, the critical line, and its Jacobian."""

from orthontk.kernels.infinite.gaussian import Activation
from orthontk.kernels.infinite.quadrature import expectation
from orthontk.meanfield.correlation import CorrelationMap, correlation_fixed_point, correlation_length
from orthontk.meanfield.critical import chi_1, critical_bias_var, critical_point
from orthontk.meanfield.fixed_point import fixed_point, length_map, length_map_slope
from orthontk.meanfield.jacobian import SquaredSingularValues, hidden_jacobian, measured_spectrum, predicted_spectrum
from orthontk.meanfield.phase_diagram import PhaseDiagram, phase_diagram, plot_phase_diagram

__all__ = [
    "Activation",
    "CorrelationMap",
    "PhaseDiagram",
    "SquaredSingularValues",
    "chi_1",
    "correlation_fixed_point",
    "correlation_length",
    "critical_bias_var",
    "critical_point",
    "expectation",
    "fixed_point",
    "hidden_jacobian",
    "length_map",
    "length_map_slope",
    "measured_spectrum",
    "phase_diagram",
    "plot_phase_diagram",
    "predicted_spectrum",
]
