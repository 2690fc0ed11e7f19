"""How many bytes of memory a byte of a descriptor set becomes: run with a KIND."""

from __future__ import annotations

import gc
import sys

from google.protobuf import descriptor_pb2

from sidecar.compare.readers.descriptors import readers_of

ITEMS = 20_000


def resident() -> int:
    """Bytes of this process."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmRSS"))


def made_of(kind: str) -> bytes:
    """A file with very many of one thing, as small as they can be."""
    file = descriptor_pb2.FileDescriptorProto(name="a.proto", syntax="proto3")
    file.message_type.add(name="M")
    service = file.service.add(name="S")
    service.method.add(name="M", input_type=".M", output_type=".M")
    if kind == "values":
        values = file.enum_type.add(name="E").value
        for i in range(ITEMS):
            values.add(name=f"v{i}", number=i)
    else:
        for i in range(ITEMS):
            file.message_type.add(name=f"N{i}")
            if kind == "methods":
                service.method.add(name=f"m{i}", input_type=f".N{i}", output_type=f".N{i}")
    return file.SerializeToString()


if __name__ == "__main__":
    serialized = made_of(sys.argv[1])
    gc.collect()
    before = resident()
    readers = readers_of([descriptor_pb2.FileDescriptorProto.FromString(serialized)])
    sys.stdout.write(f"{(resident() - before) / len(serialized)}\n")
