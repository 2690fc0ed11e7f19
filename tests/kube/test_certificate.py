"""The certificate on disk, changing under a real TLS handshake."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

import pytest

from sidecar.kube.certificate import Certificate, CertificateError
from tests.kube.certificates import make_certificate


def served(certificate: Certificate, name: str | None = "localhost") -> str:
    """The common name of the certificate that a client gets; `name` is what it asks for."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server, server_hostname=name)
    server = certificate.context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    found = client.getpeercert(binary_form=True)
    assert found is not None
    pem = ssl.DER_cert_to_PEM_cert(found)
    return next(n for n in ("first", "second") if pem in pems[n])


pems: dict[str, str] = {}


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """The files that are watched, holding the certificate "first"; "second" lies beside them."""
    for name in ("first", "second"):
        cert, _ = make_certificate(tmp_path, name)
        pems[name] = cert.read_text()
    files = tmp_path / "tls.crt", tmp_path / "tls.key"
    put(tmp_path, "first", files)
    return files


def put(directory: Path, name: str, files: tuple[Path, ...]) -> None:
    for source, target in zip((f"{name}.crt", f"{name}.key"), files, strict=False):
        shutil.copy(directory / source, target)


@pytest.mark.parametrize("name", ["localhost", None])
def test_a_changed_pair_is_served_with_and_without_a_server_name(
    pair: tuple[Path, Path], name: str | None
) -> None:
    certificate = Certificate(*pair)
    assert served(certificate, name) == "first"
    assert certificate.look() is False
    put(pair[0].parent, "second", pair)
    assert certificate.look() is True
    assert served(certificate, name) == "second"
    assert certificate.reloads == 1


def test_half_a_rotation_serves_the_old_pair_until_the_other_half_comes(
    pair: tuple[Path, Path],
) -> None:
    certificate = Certificate(*pair)
    put(pair[0].parent, "second", pair[:1])
    with pytest.raises(CertificateError):
        certificate.look()
    assert served(certificate) == "first"
    put(pair[0].parent, "second", pair)
    assert certificate.look() is True
    assert served(certificate) == "second"


def test_files_that_vanish_or_hold_nonsense_leave_the_old_pair(pair: tuple[Path, Path]) -> None:
    certificate = Certificate(*pair)
    pair[0].write_text("not a certificate")
    with pytest.raises(CertificateError):
        certificate.look()
    pair[0].unlink()
    with pytest.raises(CertificateError, match="No such file"):
        certificate.look()
    assert served(certificate) == "first"


def test_a_first_pair_that_is_not_good_is_told(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match="No such file"):
        Certificate(tmp_path / "tls.crt", tmp_path / "tls.key")
