"""The operations whose use of a parameter has a known structure.

A handler gets the recorder, the torch function and its arguments, by the function's own names for them. It returns the
function's result after recording the use, or NotImplemented where this call is nothing it knows; then the function runs
on the parameter itself.
"""

from collections.abc import Callable

from orthontk.kernels import attention, elementwise_operations, normalizations, weight_operations

HANDLERS: dict[Callable, Callable] = {
    **weight_operations.HANDLERS,
    **normalizations.HANDLERS,
    **elementwise_operations.HANDLERS,
    **attention.HANDLERS,
}
