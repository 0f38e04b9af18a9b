"""Links by which a user sets his password: valid once, for a while, for the account as it is now.

Nothing is stored. The link is signed over the password hash and the address, so that it dies with
either of them: by its own use, too.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.accounts.models import User
from app.accounts.people import set_hash
from app.core.text import N_, RequestError

RESET_FOR = timedelta(hours=1)
INVITED_FOR = timedelta(days=3)
_FORM = re.compile(r"([0-9a-f]{32})-([0-9]{1,12})-([A-Za-z0-9_-]{43})")


def token_of(user: User, secret_key: str, expires: datetime) -> str:
    """What the link ends with."""
    until = int(expires.timestamp())
    return f"{user.id.replace('-', '')}-{until}-{_signature(user, secret_key, until)}"


def owner(session: Session, token: str, secret_key: str, at: datetime) -> User:
    """Whose link it is. RequestError when it is no longer, or never was, good."""
    parts = _FORM.fullmatch(token)
    user = session.get(User, _uuid(parts[1]), with_for_update=True) if parts else None
    if parts is None or user is None or not user.is_active:
        raise _dead()
    until = int(parts[2])
    right = hmac.compare_digest(parts[3], _signature(user, secret_key, until))
    if not right or until < at.timestamp():
        raise _dead()
    return user


def use(session: Session, token: str, secret_key: str, password_hash: str, at: datetime) -> User:
    """Set the password by a link. RequestError as `owner`; of two at once only one succeeds."""
    return set_hash(session, owner(session, token, secret_key, at).id, password_hash)


def _uuid(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _signature(user: User, secret_key: str, until: int) -> str:
    signed = "\0".join(("password link", user.id, str(until), user.email or "", user.password_hash))
    digest = hmac.new(secret_key.encode(), signed.encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def _dead() -> RequestError:
    return RequestError(N_("This link is not valid any more. Ask for a new one."))
