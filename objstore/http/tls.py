"""TLS: the certificate of a server."""

from __future__ import annotations

import ssl

from objstore.core.errors import ConfigError


def server_context(cert_file: str, key_file: str = "") -> ssl.SSLContext:
    """Return the context of a server; key_file: '' if the key is in cert_file. Raises ConfigError if a file is bad."""
    certificate = _content("cert_file", cert_file)
    key = _content("key_file", key_file) if key_file else certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without a function OpenSSL would ask for a password on the terminal.
        context.load_cert_chain(cert_file, key_file or None, password=lambda: "")
    except (OSError, ValueError) as error:
        names = f"cert_file = {cert_file}" + (f", key_file = {key_file}" if key_file else "")
        raise ConfigError(f"{names}: {_reason(certificate, key, error)}") from None
    return context


def _content(name: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"{name} = {path}: {error.strerror}") from None


def _reason(certificate: bytes, key: bytes, error: Exception) -> str:
    """Return the reason for the error. OpenSSL's own is "PEM lib" for most of these."""
    if b"-----BEGIN CERTIFICATE" not in certificate:
        return "there is no certificate in PEM format"
    if b"PRIVATE KEY-----" not in key:
        return "there is no private key in PEM format"
    if b"ENCRYPTED" in key:
        return "the key is encrypted"
    if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate"
    return f"certificate and key are not usable: {error}"
