"""Values in the grammar of Hydra's overrides."""

import re
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString


def quoted(value: Any) -> str:
    r"""A path or another text as an override takes it, whatever characters it has; in quotes where it needs them.

    >>> quoted("/data/runs"), quoted("/it's, here")
    ('/data/runs', "'/it\\'s, here'")
    """
    text = str(value)
    if re.fullmatch(r"[\w/.:+@-]*/[\w/.:+@-]*", text, re.ASCII):  # a slash, so not a number or null
        return text
    return QuotedString(text, Quote.single).with_quotes()
