#!/bin/sh
# Leaves of an environment what runs: no stubs, headers, sources of extensions, tests or symbols.
set -eu
root=$1
find "$root" -type d \( -name tests -o -name include -o -name f2py \) \
    -path '*/site-packages/*' ! -path '*/sidecar/*' -prune -exec rm -r {} +
find "$root" -type f -path '*/site-packages/*' \( -name '*.pyi' -o -name '*.pxd' -o -name '*.pyx' \
    -o -name '*.pxi' -o -name '*.h' -o -name '*.c' -o -name '*.cpp' -o -name '*.a' -o -name '*.proto' \) \
    ! -path '*/sidecar/*' -delete
find "$root" -type f -name '*.so*' -exec strip --strip-unneeded {} + 2>/dev/null || true
