"""The contract, on every repair and every kind of damage that is installed."""

from __future__ import annotations

import pytest

import contract
from wavemend.core.types import Format
from wavemend.damage import damages
from wavemend.repairs import repairs


@pytest.mark.parametrize("format", contract.FORMATS, ids=lambda f: f"{f.sample_rate}x{f.channels}")
@pytest.mark.parametrize("check", contract.ALL, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", list(repairs))
def test_repair(name: str, check: contract.Check, format: Format) -> None:
    repair = repairs[name]
    check(repair, damages[repair.treats[0]], format)


@pytest.mark.parametrize("format", contract.FORMATS, ids=lambda f: f"{f.sample_rate}x{f.channels}")
@pytest.mark.parametrize("name", list(damages))
def test_damage(name: str, format: Format) -> None:
    contract.check_damage(damages[name], format)
