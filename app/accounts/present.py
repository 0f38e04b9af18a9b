"""Users as JSON says them; what is secret is not among it."""

from typing import Any

from app.accounts.models import User


def user_as_dict(user: User) -> dict[str, Any]:
    """One user."""
    seen = user.last_sign_in_at
    return {
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "role": str(user.role),
        "is_active": user.is_active,
        "invited": user.is_invited,
        "date_joined": user.date_joined.isoformat(),
        "last_sign_in_at": seen.isoformat() if seen else None,
    }
