"""What stands before every page: sign-in by default, CSRF tokens, cookies and headers."""

import secrets

from flask import Flask, current_app, g, redirect, request, url_for
from flask_login import current_user
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response

from config import Config

# Everything else needs a sign-in. Whoever adds a line here opens a page to the world.
OPEN_ENDPOINTS = frozenset(
    {
        "account.sign_in",
        "account.forgot",
        "account.reset",
        "account.language",
        "static",
        "admin.static",
    }
)
OPEN_PATHS = frozenset({"/healthz"})
# The API has a guard of its own: it asks for the same two things and answers in JSON.
API = "/api/"

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Our own pages must get it: over https the CSRF check compares it.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# No script runs that this page did not name itself, not even a file of ours; no style stands in a
# page. Tabler's sheet holds small pictures as data.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'nonce-{nonce}'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
YEAR_S = 365 * 24 * 3600
FILES = frozenset({"static", "admin.static"})

csrf = CSRFProtect()


def init_app(app: Flask, config: Config) -> None:
    """Put the guard before every request; must come before anything that adds its own."""
    app.config.update(
        SESSION_COOKIE_NAME="fikstur",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=config.production,
        WTF_CSRF_TIME_LIMIT=None,  # a tab left open overnight still works
        WTF_CSRF_CHECK_DEFAULT=False,  # `guard` does it, after the sign-in
        MAX_CONTENT_LENGTH=2 * 1024 * 1024,  # a page that takes files says so itself
    )
    csrf.init_app(app)
    app.before_request(guard)
    app.after_request(add_headers)
    app.jinja_env.globals["csp_nonce"] = nonce
    if hops := config.proxy_hops:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops, x_prefix=hops
        )


def guard() -> Response | None:
    """Nobody passes who has not signed in, and nothing that changes without a CSRF token."""
    if request.path.startswith(API) or request.routing_exception is not None:
        return None
    if not (is_open() or current_user.is_authenticated):
        return to_sign_in()
    csrf.protect()
    return None


def is_open() -> bool:
    """Whether the page asked for is on the list."""
    return request.endpoint in OPEN_ENDPOINTS or request.path in OPEN_PATHS


def to_sign_in() -> Response:
    """Ask who it is, and come back here afterwards if that makes sense."""
    again = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("account.sign_in", next=again))


def add_headers(response: Response) -> Response:
    """On every answer."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", POLICY.format(nonce=nonce()))
    if current_app.config["FIKSTUR"].production and request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", f"max-age={YEAR_S}")
    if request.endpoint not in FILES:
        # After a sign-out the back button must not show what was there.
        response.headers.setdefault("Cache-Control", "no-store")
    elif "v" in request.args and response.status_code == 200:
        # Its address changes with its contents.
        response.headers["Cache-Control"] = f"public, max-age={YEAR_S}, immutable"
    return response


def nonce() -> str:
    """What the scripts of this answer must carry to run."""
    if "nonce" not in g:
        g.nonce = secrets.token_urlsafe(16)
    return str(g.nonce)
