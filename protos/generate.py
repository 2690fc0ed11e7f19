"""Generates `sidecar/pb/` from the .proto files beside this script: `python protos/generate.py`.

Rule: everything below `sidecar/pb/` comes from here and is committed; a test generates it again and
compares. `protos/a/b.proto` becomes `sidecar.pb.a.b_pb2` with its .pyi, and a file that declares a
service also `sidecar.pb.a.b_pb2_grpc`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PROTOS = Path(__file__).resolve().parent
PACKAGE = "sidecar.pb"
OUTPUT = PROTOS.parent / "sidecar" / "pb"

# protoc writes imports as if the output directory were on sys.path.
IMPORT = re.compile(r"^(?:from (?P<package>[\w.]+) )?import (?P<module>\w+_pb2)\b", re.MULTILINE)

# The compiler lets its code run on its own major version of protobuf and the next one only. What it
# writes for our files is the same for 6 and 7 (a serialized descriptor, handed to the builder), so
# that check is left out, and the installed grpcio need only be as new as `pyproject.toml` says.
RUNTIME_CHECK = re.compile(
    r"^from google\.protobuf import runtime_version as _runtime_version\n"
    r"|^_runtime_version\.ValidateProtobufRuntimeVersion\([^)]*\)\n",
    re.MULTILINE,
)
GRPC_CHECK = re.compile(r"^GRPC_GENERATED_VERSION = '[^']*'$", re.MULTILINE)
LEAST_GRPC = "1.80.0"


def generate(output: Path) -> None:
    """Write the generated package into the directory `output`, which need not exist.

    Raises:
        subprocess.CalledProcessError: protoc refused; it has said why on stderr.
    """
    sources = sorted(path.relative_to(PROTOS) for path in PROTOS.rglob("*.proto"))
    output.mkdir(parents=True, exist_ok=True)
    _protoc([f"--python_out={output}", f"--pyi_out={output}"], sources)
    services = [path for path in sources if _declares_service(PROTOS / path)]
    if services:
        _protoc([f"--grpc_python_out={output}"], services)
    packages = {Path(), *(parent for path in sources for parent in path.parents)}
    for package in packages:
        (output / package / "__init__.py").write_text(
            '"""Generated from protos/ by protos/generate.py."""\n', encoding="utf-8"
        )
    ours = {".".join(path.parent.parts) for path in sources}
    for path in [*output.rglob("*_pb2*.py"), *output.rglob("*_pb2.pyi")]:
        text = _absolute(path.read_text(encoding="utf-8"), ours)
        text = RUNTIME_CHECK.sub("", text)
        text = GRPC_CHECK.sub(f"GRPC_GENERATED_VERSION = '{LEAST_GRPC}'", text)
        path.write_text(text, encoding="utf-8")


def _declares_service(path: Path) -> bool:
    return re.search(r"^service\s", path.read_text(encoding="utf-8"), re.MULTILINE) is not None


def _protoc(outputs: list[str], sources: list[Path]) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={PROTOS}", *outputs]
    subprocess.run([*command, *map(str, sources)], check=True)


def _absolute(text: str, ours: set[str]) -> str:
    def replace(match: re.Match[str]) -> str:
        package = match["package"] or ""
        if package not in ours:
            return match[0]  # google.protobuf
        parent = f"{PACKAGE}.{package}" if package else PACKAGE
        return f"from {parent} import {match['module']}"

    return IMPORT.sub(replace, text)


if __name__ == "__main__":
    generate(OUTPUT)
    sys.stdout.write(f"{OUTPUT}\n")
