"""Secrets at rest: unreadable without SECRET_KEY, which is not in the database."""

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def locked(text: str, secret_key: str) -> str:
    """The text, encrypted."""
    return _fernet(secret_key).encrypt(text.encode()).decode()


def opened(text: str, secret_key: str) -> str | None:
    """What `locked` was given; None when it was another key, or something else altogether."""
    try:
        return _fernet(secret_key).decrypt(text.encode()).decode()
    except (InvalidToken, ValueError):
        return None


def _fernet(secret_key: str) -> Fernet:
    derived = HKDF(SHA256(), 32, salt=None, info=b"fikstur stored settings")
    return Fernet(base64.urlsafe_b64encode(derived.derive(secret_key.encode())))
