"""wavemend repairs recordings: it finds what is damaged, repairs that and nothing else, and proves it.

import wavemend

result = wavemend.restore("old.wav")
result.save("new.wav")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from wavemend.core.hook import Event, Hook
    from wavemend.core.params import Choice, Param
    from wavemend.core.types import (
        Finding,
        Format,
        Plan,
        Recording,
        Region,
        Report,
        Step,
        Verdict,
    )
    from wavemend.damage import Damage, Detector
    from wavemend.engine.stream import Stream
    from wavemend.errors import DeviceError, InputError, MediaError, PlanError, WavemendError
    from wavemend.repairs import Repair
    from wavemend.restoration.api import Result, diagnose, plan, repair, restore
    from wavemend.restoration.plan import load_plan, save_plan

_HOMES = {
    "core.hook": ("Event", "Hook"),
    "core.params": ("Choice", "Param"),
    "core.types": ("Finding", "Format", "Plan", "Recording", "Region", "Report", "Step", "Verdict"),
    "damage": ("Damage", "Detector"),
    "engine.stream": ("Stream",),
    "errors": ("DeviceError", "InputError", "MediaError", "PlanError", "WavemendError"),
    "repairs": ("Repair",),
    "restoration.api": ("Result", "diagnose", "plan", "repair", "restore"),
    "restoration.plan": ("load_plan", "save_plan"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: PLE0604 - one table serves the lazy imports and the public list
    "__version__",
    *_HOME_OF,
]


def __getattr__(name: str) -> Any:
    # Lazy, so that `wavemend --help` need not wait for numpy and scipy.
    if name not in _HOME_OF:
        raise AttributeError(f"module 'wavemend' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"wavemend.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
