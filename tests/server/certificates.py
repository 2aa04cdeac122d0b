"""Certificates for tests that speak TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.components import require


def self_signed(directory: Path) -> Path:
    """One file with a fresh key and its certificate for "localhost"."""
    pem = directory / "server.pem"
    subprocess.run(
        [require("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(pem), "-out", str(pem) + ".c"],
        check=True, capture_output=True,
    )  # fmt: skip
    pem.write_text(pem.read_text() + Path(f"{pem}.c").read_text())
    return pem
