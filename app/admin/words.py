"""What people read instead of the codes, states and fields the tables hold."""

from app.core.text import N_
from app.fixtures.changes import ChangeKind
from app.jobs.models import ItemOutcome, ItemState, JobState, Trigger
from app.sources.base import Code, MatchStatus
from app.sources.details import IncidentKind

ITEM_STATES: dict[str, str] = {
    ItemState.WAITING: N_("waiting"),
    ItemState.RUNNING: N_("running"),
    ItemState.DONE: N_("done"),
    ItemState.FAILED: N_("failed"),
    ItemState.CANCELLED: N_("cancelled"),
    ItemState.QUARANTINED: N_("quarantined"),
}
JOB_STATES: dict[str, str] = {
    JobState.PENDING: N_("waiting"),
    JobState.PROCESSING: N_("running"),
    JobState.DONE: N_("done"),
    JobState.FAILED: N_("failed"),
    JobState.CANCELLED: N_("cancelled"),
}
OUTCOMES: dict[str, str] = {
    ItemOutcome.STORED: N_("stored"),
    ItemOutcome.UNCHANGED: N_("unchanged"),
    ItemOutcome.NO_DATA: N_("no data"),
}
KINDS: dict[str, str] = {
    "fetch_day": N_("Fetch a day"),
    "fetch_range": N_("Fetch a range"),
    "fetch_details": N_("Fetch details"),
    "detail_event": N_("Details: the match"),
    "detail_match": N_("Details: the match"),
    "detail_fixture": N_("Details: everything"),
    "detail_summary": N_("Details: everything"),
    "detail_statistics": N_("Details: statistics"),
    "detail_incidents": N_("Details: incidents"),
    "detail_lineups": N_("Details: line-ups"),
    "detail_head2head": N_("Details: earlier encounters"),
    "retry_errors": N_("Retry errors"),
    "prune_history": N_("Forget old history"),
    "send_mail": N_("Send a mail"),
    "drill_chaos": N_("Chaos drill"),
    "create_backup": N_("Make a backup"),
    "verify_backup": N_("Verify a backup"),
    "drill_backup": N_("Restore a backup on trial"),
    "restore_backup": N_("Restore a backup"),
    "undo_restore": N_("Undo a restore"),
    "prune_backups": N_("Remove old backups"),
}
LETTERS: dict[str, str] = {
    "invite": N_("invitation"),
    "reset": N_("link for a new password"),
    "test": N_("test mail"),
}
# What a source can be asked of a match, and the parts that an answer has or lacks.
DETAILS: dict[str, str] = {
    "event": N_("the match"),
    "match": N_("the match"),
    "fixture": N_("everything"),
    "summary": N_("everything"),
    "statistics": N_("statistics"),
    "incidents": N_("incidents"),
    "lineups": N_("line-ups"),
    "head2head": N_("earlier encounters"),
}
PERIODS: dict[str, str] = {
    "ALL": N_("whole match"),
    "1ST": N_("first half"),
    "2ND": N_("second half"),
    "ET1": N_("extra time, first half"),
    "ET2": N_("extra time, second half"),
    "HEAD2HEAD": N_("earlier encounters"),
}
INCIDENTS: dict[str, str] = {
    IncidentKind.GOAL: N_("goal"),
    IncidentKind.CARD: N_("card"),
    IncidentKind.SUBSTITUTION: N_("substitution"),
    IncidentKind.VAR: N_("video referee"),
    IncidentKind.PERIOD: N_("end of a period"),
    IncidentKind.INJURY_TIME: N_("injury time"),
    IncidentKind.PENALTY: N_("penalty kick"),
    IncidentKind.OTHER: N_("other"),
}
CHANGE_KINDS: dict[str, str] = {
    ChangeKind.STATUS_BACK: N_("Status turned back"),
    ChangeKind.SCORE: N_("Score corrected"),
    ChangeKind.TEAMS: N_("Teams changed"),
    ChangeKind.KICKOFF: N_("Kick-off moved"),
    ChangeKind.OTHER: N_("Other"),
    ChangeKind.PROGRESS: N_("Was played"),
}
TRIGGERS: dict[str, str] = {
    Trigger.PANEL: N_("panel"),
    Trigger.API: N_("API"),
    Trigger.CLI: N_("command line"),
    Trigger.SCHEDULE: N_("schedule"),
}
EVENTS: dict[str, str] = {
    "submitted": N_("submitted"),
    "claimed": N_("taken by a worker"),
    "done": N_("done"),
    "failed": N_("failed"),
    "retry": N_("to be tried again"),
    "failed_over": N_("passed on to the next source"),
    "cancelled": N_("cancelled"),
    "gave_back": N_("given back by a worker that stops"),
    "crashed": N_("lost with its worker"),
    "cancel_requested": N_("cancel requested"),
    "paused": N_("paused"),
    "resumed": N_("resumed"),
    "ended": N_("ended"),
}
STATUSES: dict[str, str] = {
    MatchStatus.SCHEDULED: N_("scheduled"),
    MatchStatus.TIME_TBD: N_("time not set"),
    MatchStatus.DELAYED: N_("delayed"),
    MatchStatus.LIVE: N_("live"),
    MatchStatus.PAUSED: N_("break"),
    MatchStatus.SUSPENDED: N_("suspended"),
    MatchStatus.FINISHED: N_("finished"),
    MatchStatus.POSTPONED: N_("postponed"),
    MatchStatus.CANCELLED: N_("called off"),
    MatchStatus.ABANDONED: N_("abandoned"),
    MatchStatus.UNKNOWN: N_("unknown"),
}
CODES: dict[str, str] = {
    Code.OK: N_("fine"),
    Code.OK_UNCHANGED: N_("fine, nothing changed"),
    Code.NO_DATA: N_("the source has nothing for it"),
    Code.SUSPECT_EMPTY: N_("suspiciously few matches"),
    Code.RATE_LIMITED: N_("too many requests"),
    Code.QUOTA_EXHAUSTED: N_("the allowance is used up"),
    Code.AUTH_INVALID: N_("the key is not accepted"),
    Code.FORBIDDEN_PLAN: N_("not part of the subscription"),
    Code.BLOCKED: N_("blocked by the source"),
    Code.NOT_FOUND: N_("not found"),
    Code.BAD_REQUEST: N_("request refused"),
    Code.SERVER_ERROR: N_("error at the source"),
    Code.TIMEOUT_CONNECT: N_("no connection in time"),
    Code.TIMEOUT_READ: N_("no answer in time"),
    Code.CONN_RESET: N_("connection broken off"),
    Code.DNS: N_("address not found"),
    Code.TLS: N_("no secure connection"),
    Code.TRUNCATED: N_("answer cut off"),
    Code.INVALID_JSON: N_("answer cannot be read"),
    Code.SCHEMA_MISSING_KEY: N_("answer has another shape"),
    Code.ROW_REJECTED: N_("some rows cannot be read"),
    Code.TOO_LARGE: N_("answer too large"),
    Code.GONE: N_("gone"),
    Code.CANCELLED: N_("cancelled"),
    Code.PAUSED: N_("paused"),
    Code.BREAKER_OPEN: N_("left alone after many failures"),
    Code.INTERNAL: N_("mistake inside Fikstür"),
    "EXPIRED": N_("waited too long"),
}
MATCH_FIELDS: dict[str, str] = {
    "kickoff": N_("Kick-off"),
    "status": N_("Status"),
    "raw_status": N_("Status as told"),
    "home": N_("Home"),
    "away": N_("Away"),
    "home_id": N_("Home id"),
    "away_id": N_("Away id"),
    "home_score": N_("Home score"),
    "away_score": N_("Away score"),
    "home_half_time": N_("Home, half time"),
    "away_half_time": N_("Away, half time"),
    "home_regular": N_("Home, 90 minutes"),
    "away_regular": N_("Away, 90 minutes"),
    "home_extra": N_("Home, extra time"),
    "away_extra": N_("Away, extra time"),
    "home_penalties": N_("Home, penalties"),
    "away_penalties": N_("Away, penalties"),
    "home_aggregate": N_("Home, both legs"),
    "away_aggregate": N_("Away, both legs"),
    "winner": N_("Winner"),
    "decided_by": N_("Decided by"),
    "competition": N_("Competition"),
    "competition_id": N_("Competition id"),
    "season": N_("Season"),
    "round": N_("Round"),
    "country": N_("Country"),
    "women": N_("Women"),
    "custom_id": N_("Second id"),
    "source": N_("Source"),
    "source_id": N_("Id at the source"),
    "first_seen_at": N_("First seen"),
    "last_seen_at": N_("Last seen"),
    "changed_at": N_("Last change"),
}
DECIDED: dict[str, str] = {
    "REGULAR": N_("in 90 minutes"),
    "AET": N_("after extra time"),
    "PENS": N_("on penalties"),
    "AWARDED": N_("awarded"),
}
