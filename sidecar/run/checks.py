"""What can be wrong with the files that a configuration names: found before anything starts.

Rule: one line for each thing that is wrong, with the key, the file and what is expected; never a
traceback, and no process that starts only to end. Counterpart: `settings.sources`, which finds what
is wrong with the configuration itself.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from sidecar.judge.settings import untrusted
from sidecar.settings.settings import Settings


def untrusted_latency(settings: Settings) -> list[str]:
    """Required latencies that nothing here makes trustworthy."""
    return untrusted(settings.judge, any(s.role == "control" for s in settings.shadows))


def file_errors(settings: Settings) -> list[str]:
    """Read every file that the settings name, as it will be read."""
    errors = _descriptors(settings.compare.descriptors)
    for i, shadow in enumerate(settings.shadows):
        if shadow.tls is not None:
            tls = shadow.tls
            errors += _tls(f"shadows.{i}.tls", tls.ca, tls.cert, tls.key)
    if settings.admin.tls is not None:
        own = settings.admin.tls
        errors += _tls("admin.tls", own.ca, own.cert, own.key)
    return errors


def _descriptors(file: Path | None) -> list[str]:
    if file is None:
        return []
    from sidecar.compare.readers.descriptors import readers

    made = "protoc --descriptor_set_out=FILE --include_imports your.proto"
    try:
        data = file.read_bytes()
        if not data:
            return [f"compare.descriptors: {file}: the file is empty; make one with: {made}"]
        found = readers(data)
    except OSError as error:
        return [f"compare.descriptors: {file}: {error.strerror}"]
    except ValueError as error:
        return [f"compare.descriptors: {file}: {error}; make one with: {made}"]
    if not found:
        return [f"compare.descriptors: {file}: it declares no service"]
    return []


def _tls(key: str, ca: Path | None, cert: Path | None, private: Path | None) -> list[str]:
    errors = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is not None:
        try:
            context.load_verify_locations(ca)
        except (OSError, ssl.SSLError) as error:
            errors.append(f"{key}.ca: {ca}: not certificates in PEM: {_words(error)}")
    if cert is not None and private is not None:
        try:
            context.load_cert_chain(cert, private, password="")
        except (OSError, ssl.SSLError) as error:
            both = f"{cert} and {private}"
            errors.append(f"{key}.cert and key: {both} are no pair in PEM: {_words(error)}")
    return errors


def _words(error: OSError) -> str:
    return str(error.strerror or error).split(" (_ssl", 1)[0]
