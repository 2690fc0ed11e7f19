"""Where evidence, decisions and labels are kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sidecar.fields import Section

AUTO, NONE = "auto", "none"


class StateSettings(Section):
    """What outlives the process."""

    # A directory that is ours alone, made if it is not there. auto: of the user's state folder, one
    # for each listening address, or beside the tap; none: a killed observer forgets.
    dir: Annotated[str, Field(min_length=1)] = AUTO
