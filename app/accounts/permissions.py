"""What each role may do: one table, asked by the panel, the commands and the API alike."""

from collections.abc import Mapping
from enum import StrEnum

from app.accounts.models import Role, User
from app.core.text import N_


class Permission(StrEnum):
    """Something that not everybody may do."""

    SEE = "see"
    FETCH = "fetch"  # fetch, retry, cancel and pause jobs
    PAUSE_SOURCES = "pause_sources"
    MANAGE_USERS = "manage_users"
    MANAGE_SETTINGS = "manage_settings"
    SEE_AUDIT = "see_audit"
    BACKUP = "backup"  # make, verify and try out backups
    RESTORE = "restore"  # restore, delete, fetch and send them, and say when they are made
    SHARE_VIEWS = "share_views"  # show everybody one's own views of a list
    MANAGE_VIEWS = "manage_views"  # rename and delete the shared ones of others
    DRILL = "drill"  # keep a machine busy with workers that are killed


_ALLOWED = {
    Role.VIEWER: {Permission.SEE},
    Role.OPERATOR: {
        Permission.SEE,
        Permission.FETCH,
        Permission.PAUSE_SOURCES,
        Permission.BACKUP,
        Permission.SHARE_VIEWS,
    },
    Role.ADMINISTRATOR: set(Permission),
}
TOLD: Mapping[Permission, str] = {
    Permission.SEE: N_("See matches, jobs, errors and sources"),
    Permission.FETCH: N_("Fetch, retry, and pause or cancel jobs"),
    Permission.PAUSE_SOURCES: N_("Pause and resume sources"),
    Permission.MANAGE_USERS: N_("Invite, change and delete users"),
    Permission.MANAGE_SETTINGS: N_("Change settings, among them the keys of the sources"),
    Permission.SEE_AUDIT: N_("See who changed what"),
    Permission.BACKUP: N_("Make, verify and try out backups"),
    Permission.RESTORE: N_("Restore, schedule, download, upload and delete backups"),
    Permission.SHARE_VIEWS: N_("Share views of lists with everybody"),
    Permission.MANAGE_VIEWS: N_("Rename and delete shared views of others"),
    Permission.DRILL: N_("Start a drill in which workers are killed"),
}
ROLES: Mapping[Role, str] = {
    Role.VIEWER: N_("Viewer"),
    Role.OPERATOR: N_("Operator"),
    Role.ADMINISTRATOR: N_("Administrator"),
}


def may(user: User, permission: Permission) -> bool:
    """Whether the user's role allows it; an inactive user may nothing."""
    return user.is_active and allows(Role(user.role), permission)


def allows(role: Role, permission: Permission) -> bool:
    """Whether a role allows it."""
    return permission in _ALLOWED[role]
