"""Multi-head self-attention, taken apart into the operations that its parameters enter.

PyTorch computes it in one function, which lays positions first and, before the last product, examples and positions on
one axis: what a parameter meets there is no batch of examples.
"""

import inspect
import math
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor


def _self_attention(recorder, func, *args, **kwargs):
    """Of `nn.MultiheadAttention` on (P positions, N, features), with a mask (P, P) that is added to scores, or none."""
    call = inspect.signature(func).bind(*args, **kwargs)
    call.apply_defaults()
    given = call.arguments
    h, mask = given["query"], given["attn_mask"]
    extras = ("bias_k", "bias_v", "static_k", "static_v", "key_padding_mask")
    extended = given["add_zero_attn"] or any(given[name] is not None for name in extras)
    attends_to_itself = h is given["key"] is given["value"] and not given["use_separate_proj_weight"] and h.dim() == 3
    known_mask = not given["is_causal"] if mask is None else mask.dim() == 2 and mask.is_floating_point()
    if extended or not (attends_to_itself and known_mask) or (given["training"] and given["dropout_p"] > 0):
        return NotImplemented
    with recorder:
        joint = F.linear(h.transpose(0, 1), given["in_proj_weight"], given["in_proj_bias"])
        q, k, v = joint.unflatten(2, (3, given["num_heads"], -1)).permute(2, 0, 3, 1, 4)  # each (N, heads, P, features)
        weights = _weights(q, k, mask) if given["need_weights"] else None
        mixed = F.scaled_dot_product_attention(q, k, v, mask) if weights is None else weights @ v
        z = F.linear(mixed.transpose(1, 2).flatten(2), given["out_proj_weight"], given["out_proj_bias"])
        averages = weights is not None and given["average_attn_weights"]
        return z.transpose(0, 1), weights.mean(1) if averages else weights


def _weights(q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:  # (N, heads, P, P)
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    return (scores if mask is None else scores + mask).softmax(-1)


HANDLERS: dict[Callable, Callable] = {F.multi_head_attention_forward: _self_attention}
