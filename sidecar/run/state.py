"""Where this machine's sidecar keeps its state, and what is wrong with it.

Rule: a directory that was named must be good, or nothing starts; one that was chosen by default is
used if it can be, and that it cannot is told while the sidecar runs. What is of another version is
refused either way. Counterparts: `store.folder`, `store.keeper`; `run.experiment`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from sidecar.experiment.keeping import Keeping
from sidecar.fields import ConfigError
from sidecar.log import Log
from sidecar.settings.settings import Settings
from sidecar.store.database import ForeignError, attach
from sidecar.store.evidence import SCHEMA
from sidecar.store.folder import NoRoomError, StoreError, own
from sidecar.store.keeper import Keeper
from sidecar.store.settings import AUTO, NONE


def base(environ: Mapping[str, str]) -> Path | None:
    """The folder that holds a directory for each listening address, by the XDG rules."""
    given, home = environ.get("XDG_STATE_HOME", ""), environ.get("HOME", "")
    if Path(given).is_absolute():
        return Path(given) / "shadow-sidecar"
    return Path(home) / ".local/state/shadow-sidecar" if Path(home).is_absolute() else None


def place(settings: Settings, environ: Mapping[str, str]) -> Path | None:
    """The directory of a configuration; None: nothing is kept."""
    chosen = settings.state.dir
    if chosen == NONE:
        return None
    if chosen != AUTO:
        return Path(chosen)
    routes, folder = settings.wire.routes, base(environ)
    if routes and folder is not None and not routes[0].listen.endswith(":0"):
        return folder / re.sub(r"[^A-Za-z0-9.]+", "-", routes[0].listen).strip("-")
    # Nobody knows the address before it is bound, but the tap is this sidecar's alone.
    return settings.wire.tap.with_name(f"{settings.wire.tap.name}.state")


def state_errors(settings: Settings, environ: Mapping[str, str] = os.environ) -> list[str]:
    """What would keep the observer from starting, found before anything does."""
    folder = place(settings, environ)
    if folder is None:
        return []
    named = settings.state.dir != AUTO
    try:
        if named or folder.exists():
            own(folder)
        files = sorted(folder.glob("evidence-*.db")) if folder.is_dir() else []
    except NoRoomError:
        return []
    except (StoreError, OSError) as error:
        return [f"state.dir: {error}"] if named else []
    for file in files:
        try:
            if file.stat().st_size:
                attach(file, SCHEMA).close()
        except ForeignError as error:
            return [f"state.dir: {error}"]
        except (StoreError, OSError):
            pass  # what is damaged is set aside, and told, by who opens it
    return []


def open_keeping(
    settings: Settings, instance: str, log: Log, environ: Mapping[str, str] = os.environ
) -> Keeping:
    """Open the store of a configuration.

    Args:
        settings: the whole configuration.
        instance: names the machine among all pods.
        log: told of what is wrong.
        environ: where the default place is read from.

    Raises:
        ConfigError: the directory was named and cannot be used, or is of another version.
    """
    folder = place(settings, environ)
    if folder is None:
        return Keeping(None)
    try:
        names = frozenset(shadow.name for shadow in settings.shadows)
        keeper = Keeper(folder, log, places=settings.observer.processes, beside=names)
    except StoreError as error:
        named = settings.state.dir != AUTO
        if isinstance(error, ForeignError) or (named and not isinstance(error, NoRoomError)):
            raise ConfigError([f"state.dir: {error}"]) from None
        log.error("state_not_kept", error=str(error), effect="a killed observer forgets")
        return Keeping(None, why_not=str(error), is_full=isinstance(error, NoRoomError))
    log.info("state", file=keeper.state.file)
    return Keeping(keeper, instance)
