#!/bin/sh
# Leaves of an environment what runs: no stubs, headers, sources of extensions, tests or symbols.
set -eu
root=$1
find "$root" -type d \( -name tests -o -name include -o -name f2py \) \
    -path '*/site-packages/*' ! -path '*/sidecar/*' -prune -exec rm -r {} +
find "$root" -type f -path '*/site-packages/*' \( -name '*.pyi' -o -name '*.pxd' -o -name '*.pyx' \
    -o -name '*.pxi' -o -name '*.h' -o -name '*.c' -o -name '*.cpp' -o -name '*.a' -o -name '*.proto' \) \
    ! -path '*/sidecar/*' -delete
# rich colours Python only; nobody asks for pydantic's first version; _simd is for numpy's tests.
find "$root" -path '*/pygments/lexers/*.py' ! -name '__init__.py' ! -name '_mapping.py' \
    ! -name 'python.py' ! -name 'special.py' -delete
find "$root" -path '*/pydantic/v1' -prune -exec rm -r {} +
find "$root" -path '*/numpy/_core/_simd.*' -delete
# What others wrote is there as bytecode only, beside its licence; ours in words, too, for tracebacks.
python=$(ls -d "$root"/lib/python3.*)
find "$root" -type d -name __pycache__ -prune -exec rm -r {} +
for each in "$python"/site-packages/*; do
    [ "$(basename "$each")" != sidecar ] || continue
    "$root/bin/python" -m compileall -q -b -j 0 "$each"
    if [ -d "$each" ]; then find "$each" -name '*.py' -delete; else case $each in *.py) rm "$each" ;; esac; fi
done
"$root/bin/python" -m compileall -q -j 0 "$python/site-packages/sidecar"
# Not those whose names were patched into them (NAME.libs): stripped, they cannot be loaded.
find "$root" -type f -name '*.so*' ! -path '*.libs/*' -exec strip --strip-unneeded {} + 2>/dev/null || true
