"""The token that changing anything asks for where there is no mutual TLS: a file of one user's.

Rule: who can read the file may change things, and only its owner can. Reading what the sidecar
shows needs none on loopback. Counterparts: `grpc`, which asks for it; `client`, which sends it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

NAME = "admin.token"
FILE = "SHADOW_SIDECAR_ADMIN__TOKEN_FILE"  # as the setting is called in the environment
POD = Path("/run/shadow-sidecar") / NAME  # beside the tap, in a pod
HEADER = "authorization"
SCHEME = "Bearer "
_BYTES = 32
_MOST = 256


def places(environ: Mapping[str, str], given: Path | None = None) -> list[Path]:
    """Where the token may be, best first; the one that was given is the only one."""
    named = environ.get(FILE)
    if given is not None or named:
        return [given or Path(named or "")]
    runtime, home = environ.get("XDG_RUNTIME_DIR"), environ.get("HOME")
    found = [Path(runtime) / "shadow-sidecar" / NAME] if runtime else []
    found += [Path(home) / ".cache" / "shadow-sidecar" / NAME] if home else []
    return [*found, POD]


def made(where: Iterable[Path]) -> tuple[str, Path]:
    """The token and its file: as it is, else made in the first place where that can be.

    Raises:
        OSError: there is no such place; says why of the last.
    """
    problem: OSError = FileNotFoundError("no place for it")
    for path in where:
        try:
            with contextlib.suppress(FileNotFoundError):
                return read(path), path
            _make(path)
            return read(path), path
        except OSError as error:
            problem = error
    raise problem


def found(where: Iterable[Path]) -> str:
    """The token, as far as there is one that can be read; else ""."""
    for path in where:
        with contextlib.suppress(OSError):
            return read(path)
    return ""


def read(path: Path) -> str:
    """The token in a file.

    Raises:
        OSError: it cannot be read, or others can read or write it.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        about = os.fstat(file.fileno())
        ours = about.st_uid == os.geteuid() and not about.st_mode & 0o077
        if not (stat.S_ISREG(about.st_mode) and ours):
            raise PermissionError(f"{path}: must be a file of yours that nobody else can read")
        token = file.read(_MOST).decode("ascii", "replace").strip()
    if len(token) < _BYTES:
        raise PermissionError(f"{path}: not a token")
    return token


def _make(path: Path) -> None:
    """Make the file whole at once: whoever starts beside us reads it, or makes it first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=path.parent, prefix=NAME)  # mode 0600
    try:
        with open(number, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_BYTES) + "\n")
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)
