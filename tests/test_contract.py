"""The contract, on every repair and every kind of damage that is installed."""

from __future__ import annotations

from dataclasses import replace

import pytest

import contract
from wavemend.core.types import Format
from wavemend.damage import damages
from wavemend.repairs import Repair, repairs

QUICK = {"declip": {"iterations": 30}, "desaturate": {"iterations": 30}, "denoise": {"model": "classic"}}
"""Other defaults, where what is promised does not depend on the effort; test_masking has the networks."""


def quick(repair: Repair) -> Repair:
    """The repair with the defaults of QUICK."""
    own = {
        name: replace(param, default=QUICK.get(repair.name, {}).get(name, param.default))
        for name, param in repair.own_params.items()
    }
    return replace(repair, own_params=own)


REPAIRS = {repair.name: quick(repair) for repair in repairs.values()}


# all checks of a repair in one format come together: they share what went through it once
@pytest.mark.parametrize("check", contract.ALL, ids=lambda check: check.__name__)
@pytest.mark.parametrize("format", contract.FORMATS, ids=lambda f: f"{f.sample_rate}x{f.channels}")
@pytest.mark.parametrize("name", list(repairs))
def test_repair(name: str, check: contract.Check, format: Format) -> None:
    repair = REPAIRS[name]
    check(repair, damages[repair.treats[0]], format)


@pytest.mark.parametrize(
    ("name", "format"),
    [(d.name, f) for d in damages.values() for f in contract.FORMATS if f.channels >= d.min_channels],
    ids=str,
)
def test_damage(name: str, format: Format) -> None:
    contract.check_damage(damages[name], format)
