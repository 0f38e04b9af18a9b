"""Handing a letter over: to a mail server, a folder or the terminal."""

import smtplib
import socket
import ssl
import sys
import uuid
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from pathlib import Path

from app.core.text import N_, Sentence
from app.sources.base import Code
from config import Config, MailSettings

PATIENCE_S = 20.0  # for each step of the conversation


class NotSentError(Exception):
    """The letter did not leave: a code of the taxonomy, and a sentence for people."""

    def __init__(self, code: Code, message: str, **values: object) -> None:
        self.code = code
        self.sentence = Sentence(message, values)
        super().__init__(str(self.sentence))


def deliver(config: Config, message: EmailMessage) -> None:
    """Send it the way that is set. NotSentError says why not."""
    _BACKENDS[config.mail.backend](config, message)


def _to_terminal(_config: Config, message: EmailMessage) -> None:
    sys.stdout.write(f"{message.as_string()}\n")
    sys.stdout.flush()


def _to_folder(config: Config, message: EmailMessage) -> None:
    folder: Path = config.data_dir / "mail"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / f"{uuid.uuid4().hex}.eml").write_bytes(message.as_bytes())
    except OSError as error:
        raise NotSentError(
            Code.INTERNAL,
            N_("The folder %(folder)s cannot be written (%(reason)s)."),
            folder=folder,
            reason=error.strerror,
        ) from error


def _to_server(config: Config, message: EmailMessage) -> None:
    mail = config.mail
    if not mail.host:
        raise NotSentError(
            Code.BAD_REQUEST,
            N_("No mail server is set. Set one on the page Settings, or SMTP_HOST."),
        )
    try:
        with _connected(mail, mail.host) as server:
            if mail.user:
                server.login(mail.user, mail.password or "")
            server.send_message(message)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        # The socket's own errors are OSErrors; ValueErrors come of unfit names and headers.
        raise _reason(mail, error) from error


def _connected(mail: MailSettings, host: str) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if mail.tls == "tls":
        return smtplib.SMTP_SSL(host, mail.port, timeout=PATIENCE_S, context=context)
    server = smtplib.SMTP(host, mail.port, timeout=PATIENCE_S)
    if mail.tls == "starttls":
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server


_BACKENDS: Mapping[str, Callable[[Config, EmailMessage], None]] = {
    "smtp": _to_server,
    "console": _to_terminal,
    "file": _to_folder,
}


# --- what went wrong ------------------------------------------------------------------------------

# The first row that fits counts.
_REASONS: tuple[tuple[tuple[type[Exception], ...], Code, str], ...] = (
    (
        (smtplib.SMTPAuthenticationError,),
        Code.AUTH_INVALID,
        N_("The mail server %(host)s refused name or password: %(detail)s"),
    ),
    (
        (smtplib.SMTPNotSupportedError,),
        Code.TLS,
        N_("The mail server %(host)s cannot do what is set: %(detail)s"),
    ),
    (
        (ssl.SSLError,),
        Code.TLS,
        N_("No safe connection to the mail server %(host)s: %(detail)s"),
    ),
    (
        (socket.gaierror,),
        Code.DNS,
        N_("There is no mail server called %(host)s."),
    ),
    (
        (TimeoutError,),
        Code.TIMEOUT_CONNECT,
        N_("The mail server %(host)s does not answer."),
    ),
    (
        (ConnectionError, smtplib.SMTPServerDisconnected),
        Code.CONN_RESET,
        N_("The mail server %(host)s closed the connection, or nobody listens there."),
    ),
    (
        (ValueError,),
        Code.BAD_REQUEST,
        N_("The letter cannot be sent as it is set: %(detail)s"),
    ),
)
_REFUSED = N_("The mail server %(host)s did not take the letter: %(detail)s")
_AWAY = N_("The mail server %(host)s cannot be used now: %(detail)s")


def _reason(mail: MailSettings, error: Exception) -> NotSentError:
    values = {"host": f"{mail.host}:{mail.port}", "detail": _detail(error)}
    for kinds, code, message in _REASONS:
        if isinstance(error, kinds):
            return NotSentError(code, message, **values)
    if 500 <= _status(error) < 600:
        return NotSentError(Code.BAD_REQUEST, _REFUSED, **values)
    return NotSentError(Code.SERVER_ERROR, _AWAY, **values)


def _status(error: Exception) -> int:
    """The server's answer; of several recipients the first one's."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return next((status for status, _text in error.recipients.values()), 0)
    return error.smtp_code if isinstance(error, smtplib.SMTPResponseException) else 0


def _detail(error: Exception) -> str:
    """The server's own words, one line."""
    said: object = getattr(error, "smtp_error", None) or getattr(error, "strerror", None)
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        said = next((text for _status, text in error.recipients.values()), b"")
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said or error)
    return " ".join(text.split())[:200]
