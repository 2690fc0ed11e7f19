"""`python -m sidecar.wire`: see `cli`."""

from __future__ import annotations

import sys

from sidecar.wire.cli import main

sys.exit(main())
