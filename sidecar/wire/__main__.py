"""`python -m sidecar.wire`: see `cli`."""

from __future__ import annotations

import sys

# asyncio loads OpenSSL where it is to be had, a fifth of what this process would hold; nothing here
# speaks TLS. None says that it is not to be had (Python's reference, "The import system", 5.3.1).
sys.modules["ssl"] = None  # type: ignore[assignment]

from sidecar.wire.cli import main  # noqa: E402 - after that

sys.exit(main())
