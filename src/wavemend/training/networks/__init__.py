"""Networks, one file each.

A file `networks/KIND.py` has a frozen dataclass `Config` with at least `bins` and
`frame_rate`, and a `Learner` named `Network(config)`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from wavemend.core.params import suggest
from wavemend.errors import InputError
from wavemend.training.network import Learner
from wavemend.training.tables import read_table


def kinds() -> list[str]:
    """The kinds of networks that there are."""
    return sorted(info.name for info in pkgutil.iter_modules(__path__))


def build(table: Mapping[str, Any], bins: int, frame_rate: float) -> Learner:
    """The network of a recipe's table [network]. InputError for what is unknown or does not fit."""
    given = dict(table)
    kind = given.pop("kind", None)
    if kind not in kinds():
        raise InputError(f"network: there is no kind '{kind}'{suggest(str(kind), kinds())}")
    module = importlib.import_module(f"{__name__}.{kind}")
    config = read_table(module.Config, given | {"bins": bins, "frame_rate": frame_rate}, "network")
    try:
        made: Learner = module.Network(config)
    except ValueError as error:
        raise InputError(f"network: {error}") from None
    return made
