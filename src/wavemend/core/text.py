"""Text files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from wavemend.errors import DeviceError


def write_text(path: Path, text: str) -> Path:
    """Write UTF-8 beside and rename; DeviceError where that cannot be."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        try:
            temporary.write_text(text, encoding="utf-8", errors="replace")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DeviceError(f"{path}: cannot be written ({error.strerror})") from None
    return path
