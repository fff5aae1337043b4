"""The error tree. The class says whose fault it is.

    WavemendError
    ├── InputError      the caller: an unknown option, a value out of range, a wrong shape
    │   └── PlanError   the plan: not JSON, not a plan, or made for another recording
    ├── MediaError      the file: missing, damaged beyond reading, not sound, not supported
    └── DeviceError     the machine: no space left, no permission, a missing extra

Every message is one line that says what is wrong and what to do about it. The
command line prints it and exits with 2; anything else that escapes is our own
fault and exits with 1.
"""


class WavemendError(Exception):
    """Base of all errors that wavemend raises on purpose."""


class InputError(WavemendError, ValueError):
    """The caller asked for something that cannot be."""


class PlanError(InputError):
    """The plan cannot be read, or does not fit the recording."""


class MediaError(WavemendError):
    """The file cannot be read as sound, or cannot be written in that form."""


class DeviceError(WavemendError):
    """The machine cannot do it: disk full, no permission, package missing."""
