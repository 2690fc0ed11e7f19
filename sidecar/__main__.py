"""`python -m sidecar` is `shadow-sidecar`."""

from sidecar.cli import main

main()
