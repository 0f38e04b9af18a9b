"""What each verdict on an answer is called before people: one sentence for each code."""

from collections.abc import Mapping

from app.core.text import N_
from app.sources.base import Code

EMPTY = N_(
    "%(source)s answered without any match, but had %(last_good)s here before. "
    "The earlier list stays; it is asked again."
)
SHRUNKEN = N_(
    "%(source)s answered with only %(count)s of the %(last_good)s matches it had here before. "
    "The earlier list stays; it is asked again."
)
SINGLE = N_(
    "%(source)s answered with a single row, which is its way of saying that there are no matches."
)
ALL_REJECTED = N_(
    "None of the %(count)s rows from %(source)s could be read (%(detail)s). "
    "The provider seems to have changed its answers; nothing stored was touched."
)
MOST_REJECTED = N_(
    "%(rejected)s of the %(count)s rows from %(source)s could not be read (first: %(detail)s), "
    "too many to replace the %(last_good)s matches it had here before. The earlier list stays."
)
REDIRECT = N_(
    "%(source)s redirects to %(detail)s (HTTP %(status)s), which is not followed. "
    "It is asked again; if this lasts, its address in the settings is out of date."
)
STRANGER = N_(
    "%(source)s answered with another match (%(detail)s) than the one asked for. "
    "Nothing stored was touched."
)

MESSAGES: Mapping[Code, str] = {
    Code.OK: N_("%(source)s answered; rows: %(count)s."),
    Code.OK_UNCHANGED: N_("%(source)s has nothing new (HTTP %(status)s). What is stored stays."),
    Code.NO_DATA: N_("%(source)s says that there are no matches here (HTTP %(status)s)."),
    Code.SUSPECT_EMPTY: SHRUNKEN,
    Code.RATE_LIMITED: N_(
        "%(source)s asks for fewer requests (HTTP %(status)s: %(detail)s). "
        "All requests to it wait %(seconds)s s, then go on by themselves."
    ),
    Code.QUOTA_EXHAUSTED: N_(
        "The allowance of %(source)s is used up (HTTP %(status)s: %(detail)s). "
        "Requests to it go on by themselves when the provider counts anew."
    ),
    Code.AUTH_INVALID: N_(
        "%(source)s does not accept the key (HTTP %(status)s: %(detail)s). "
        "It is paused: put in a valid key, then resume the source."
    ),
    Code.FORBIDDEN_PLAN: N_(
        "%(source)s does not give this with the present plan (HTTP %(status)s: %(detail)s). "
        "It is not asked again by itself; the plan would have to be changed at the provider."
    ),
    Code.BLOCKED: N_(
        "%(source)s refused the request (HTTP %(status)s: %(detail)s). "
        "It is paused; nothing stored was touched."
    ),
    Code.NOT_FOUND: N_(
        "%(source)s does not know this (HTTP %(status)s: %(detail)s). "
        "It is asked once more in a day."
    ),
    Code.GONE: N_(
        "%(source)s does not know this, a day later still (HTTP %(status)s: %(detail)s). "
        "It is not asked again by itself."
    ),
    Code.BAD_REQUEST: N_(
        "%(source)s calls the request wrong (HTTP %(status)s: %(detail)s). "
        "It is not asked again by itself; this is an error of the program or of the address."
    ),
    Code.SERVER_ERROR: N_(
        "%(source)s has trouble of its own (HTTP %(status)s: %(detail)s). "
        "It is asked again by itself."
    ),
    Code.TIMEOUT_CONNECT: N_(
        "%(source)s could not be reached in time (%(detail)s). It is asked again by itself."
    ),
    Code.TIMEOUT_READ: N_(
        "%(source)s did not answer in time (%(detail)s). It is asked again by itself."
    ),
    Code.CONN_RESET: N_(
        "The connection to %(source)s failed (%(detail)s). It is asked again by itself."
    ),
    Code.DNS: N_(
        "The name of %(source)s was not found (%(detail)s). It is asked again by itself; "
        "if this lasts, check the internet connection and the address in the settings."
    ),
    Code.TLS: N_(
        "The connection to %(source)s is not safe (%(detail)s). It is not asked again by itself; "
        "check this machine's clock and the address in the settings."
    ),
    Code.TRUNCATED: N_(
        "The answer of %(source)s broke off after %(bytes)s bytes (%(detail)s). "
        "It is asked again by itself; nothing stored was touched."
    ),
    Code.TOO_LARGE: N_(
        "The answer of %(source)s is too large (%(detail)s). "
        "It was not kept and is not asked again by itself."
    ),
    Code.INVALID_JSON: N_(
        "The answer of %(source)s is not JSON (%(detail)s). "
        "It is asked again by itself; nothing stored was touched."
    ),
    Code.SCHEMA_MISSING_KEY: N_(
        "The answer of %(source)s is not in the expected form: %(detail)s. "
        "The provider seems to have changed it; nothing stored was touched."
    ),
    Code.ROW_REJECTED: N_(
        "%(rejected)s of %(count)s rows from %(source)s could not be read (first: %(detail)s). "
        "The others are stored."
    ),
}
