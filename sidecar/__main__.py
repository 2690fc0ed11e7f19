"""`python -m sidecar` is `shadow-sidecar`."""

from sidecar.run.cli import main

main()
