"""What each role may do: one table, asked by the panel, the commands and the API alike."""

from enum import StrEnum

from app.accounts.models import Role, User


class Permission(StrEnum):
    """Something that not everybody may do."""

    SEE = "see"
    FETCH = "fetch"  # fetch, retry, cancel and pause jobs
    PAUSE_SOURCES = "pause_sources"
    MANAGE_USERS = "manage_users"


_ALLOWED = {
    Role.VIEWER: {Permission.SEE},
    Role.OPERATOR: {Permission.SEE, Permission.FETCH, Permission.PAUSE_SOURCES},
    Role.ADMINISTRATOR: set(Permission),
}


def may(user: User, permission: Permission) -> bool:
    """Whether the user's role allows it; an inactive user may nothing."""
    return user.is_active and permission in _ALLOWED[Role(user.role)]
