"""What the environment and .env decide; every wrong value is reported at once, none is guessed."""

import io
import ipaddress
import json
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from dotenv.parser import parse_stream

HOME = Path(__file__).resolve().parent
ENV_FILE = HOME / ".env"
KNOWN_SOURCES = (
    "sandbox",
    "sofascore",
    "football_data",
    "api_football",
    "thesportsdb",
    "openligadb",
    "openfootball",
    "espn",
)
LANGUAGES = ("tr", "en")
MAIL_BACKENDS = ("smtp", "console", "file")
MAIL_TLS = ("starttls", "tls", "none")
BACKUP_MAIL = ("all", "failures", "off")
SCHEDULES = {  # name -> variable, crontab when nothing is set
    "fetch_upcoming": ("FETCH_UPCOMING_CRON", "0 * * * *"),
    "fetch_results": ("FETCH_RESULTS_CRON", "0 6 * * *"),
    "retry_errors": ("RETRY_ERRORS_CRON", "*/5 * * * *"),
    "prune": ("PRUNE_CRON", "30 3 * * *"),
    "backup_digest": ("BACKUP_DIGEST_CRON", "0 8 * * 1"),
}
SHORTEST_SECRET = 32
FEWEST_CHARACTERS = 10
PLACEHOLDERS = (
    "changeme",
    "replaceme",
    "placeholder",
    "example",
    "yoursecret",
    "secretkey",
    "degistir",
)

_LIMIT = r"([0-9]{1,6})/([0-9]{1,7}(?:\.[0-9]{1,3})?)"  # requests/seconds

Schedules = Mapping[str, str | None]  # name -> crontab of five fields, None when switched off


class Problem(NamedTuple):
    """One wrong value, as a sentence in each language; a secret's value is in neither."""

    english: str
    turkish: str

    def told_in(self, language: str) -> str:
        return self.english if language == "en" else self.turkish


class ConfigError(Exception):
    """Everything that is wrong with the configuration; its text is one sentence a line."""

    def __init__(self, problems: Sequence[Problem], language: str = "tr") -> None:
        super().__init__("\n".join(problem.told_in(language) for problem in problems))
        self.problems = tuple(problems)
        self.language = language


@dataclass(frozen=True, slots=True)
class SourceSettings:
    base_url: str | None  # None: the address the adapter knows
    token: str | None = field(repr=False)
    limits: tuple[tuple[int, float], ...] | None = None  # requests, seconds; None: the known ones


@dataclass(frozen=True, slots=True)
class BackupSettings:
    folder: Path
    media: Path  # the files of other people that are backed up with the rows; need not exist
    identity_file: Path | None  # opens encrypted archives on this machine
    undo_days: int  # how long the data that a restore replaced are kept
    keep: int  # of the newest good backups of each type; then one of each day, week, month, year
    daily: int
    weekly: int
    monthly: int
    yearly: int
    upload_mb: int  # of an archive that is sent to the panel
    mail: str  # what administrators are told: "all" with a weekly digest | "failures" | "off"


@dataclass(frozen=True, slots=True)
class OffsiteSettings:
    """Where finished backups are copied to: a folder or a bucket; neither: nowhere."""

    folder: Path | None  # on another disk
    bucket: str | None  # of an S3-compatible store
    endpoint: str | None  # its address; None: Amazon's of the region
    region: str
    prefix: str  # what names in the bucket begin with
    key_id: str | None
    secret: str | None = field(repr=False)
    keep: int  # how many of each type stay there

    @property
    def on(self) -> bool:
        return self.folder is not None or self.bucket is not None


@dataclass(frozen=True, slots=True)
class MailSettings:
    backend: str  # "smtp" | "console" | "file"
    sender: str
    host: str | None
    port: int
    tls: str  # "starttls" | "tls" | "none"
    user: str | None
    password: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of this process. What each variable means: docs/configuration.md."""

    environment: str  # "development" | "production"
    secret_key: str = field(repr=False)
    database_url: str = field(repr=False)  # holds a password
    redis_url: str | None = field(repr=False)  # None: the queue is a SQLite file in data_dir
    redis_namespace: str  # what our keys there are named after
    data_dir: Path
    host: str
    port: int
    sources: tuple[
        str, ...
    ]  # those switched on; whether sofascore may be used is the app's question
    failover: tuple[str, ...]  # of them, asked one after the other by the schedules; () for each
    source_settings: Mapping[str, SourceSettings]  # one for each known source
    sandbox_port: int
    sofascore_permitted: bool
    time_zone: str  # the zone people read times in; everything is kept in UTC
    language: str  # "tr" | "en"
    worker_threads: int
    worker_processes: int
    lease_s: float
    debug: bool
    log_level: str
    log_format: str  # "text" | "json"
    connect_timeout_s: float
    read_timeout_s: float
    max_answer_bytes: int
    schedules: Schedules
    keep_history_days: int
    keep_requests_days: int
    keep_audit_days: int
    fresh_hours: int  # what the forms propose to skip; 0: nothing
    public_url: str  # where users reach the panel: what links in mails begin with
    mail: MailSettings
    backup: BackupSettings
    offsite: OffsiteSettings
    proxy_hops: int  # how many reverse proxies' X-Forwarded headers are believed
    # Every variable as it was given: what stored settings are laid over. Holds secrets.
    given: Mapping[str, str] = field(repr=False, compare=False, default_factory=dict)

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] | None = None, env_file: Path | None = ENV_FILE
    ) -> "Config":
        """Read the environment over .env; makes the data folder and, in development, the key in it.

        Raises ConfigError with every problem there is, not the first one.
        """
        real = os.environ if environ is None else environ
        reader = _Reader()
        written = _env_file(reader, env_file)
        reader.values = _merged(real, written)
        reader.language = _language(reader, real, written)
        config = _read(reader)
        return _without_problems(reader, config)

    def with_stored(self, stored: Mapping[str, str]) -> "Config":
        """The same with other values of some variables. Raises ConfigError as `from_env`."""
        reader = _Reader()
        reader.values = _merged(stored, self.given)
        reader.language = reader.choice("LANGUAGE", self.language, LANGUAGES)
        return _without_problems(reader, _read(reader))

    @property
    def production(self) -> bool:
        return self.environment == "production"

    @property
    def local_sandbox(self) -> bool:
        """Whether the pretend API is on and awaited at our own port, so that `dev.py` starts it."""
        address = _parts(self.source_settings["sandbox"].base_url or "")
        here = (
            address and address.port == self.sandbox_port and _is_loopback(address.hostname or "")
        )
        return "sandbox" in self.sources and bool(here)


class _Reader:
    """Reads one variable at a time and gathers what is wrong instead of stopping at the first."""

    def __init__(self) -> None:
        self.values: Mapping[str, str] = {}
        self.problems: list[Problem] = []
        self.language = LANGUAGES[0]

    def wrong(self, english: str, turkish: str) -> None:
        self.problems.append(Problem(english, turkish))

    def text(self, name: str) -> str | None:
        return self.values.get(name)

    def number(self, name: str, default: int, low: int, high: int) -> int:
        return int(self._number(name, default, low, high, whole=True))

    def seconds(self, name: str, default: float, low: int, high: int) -> float:
        return self._number(name, default, low, high, whole=False)

    def _number(self, name: str, default: float, low: int, high: int, *, whole: bool) -> float:
        value = self.text(name)
        if value is None:
            return default
        if re.fullmatch(r"[0-9]+" if whole else r"[0-9]+(\.[0-9]+)?", value):
            number = float(value)
            if low <= number <= high:
                return number
        self.wrong(
            f'{name} is "{value}": set it to a {"whole " * whole}number from {low} to {high}.',
            f'{name} değeri "{value}": {low} ile {high} arasında bir {"tam " * whole}sayı yazın.',
        )
        return default

    def choice(self, name: str, default: str, choices: Sequence[str]) -> str:
        value = (self.text(name) or default).lower()
        if value in choices:
            return value
        self.wrong(
            f'{name} is "{value}": set it to one of {", ".join(choices)}.',
            f'{name} değeri "{value}": şunlardan birini yazın: {", ".join(choices)}.',
        )
        return default

    def flag(self, name: str) -> bool | None:
        """True or False as written, None when nothing is."""
        value = self.text(name)
        if value is None:
            return None
        if value.lower() in ("1", "true", "yes", "on", "evet"):
            return True
        if value.lower() not in ("0", "false", "no", "off", "hayır", "hayir"):
            self.wrong(
                f'{name} is "{value}": set it to 1 for yes or 0 for no.',
                f'{name} değeri "{value}": evet için 1, hayır için 0 yazın.',
            )
        return False

    def secret(self, name: str) -> str | None:
        """The value of NAME, or what the file named by NAME_FILE holds (as Docker secrets need)."""
        value, path = self.text(name), self.text(f"{name}_FILE")
        if path is None:
            return value
        if value is not None:
            self.wrong(
                f"{name} and {name}_FILE are both set: remove one of them.",
                f"Hem {name} hem {name}_FILE verilmiş: birini kaldırın.",
            )
            return value
        return self._content(f"{name}_FILE", path)

    def _content(self, name: str, path: str) -> str | None:
        try:
            content = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            self.wrong(
                f"{name}: the file {path} cannot be read ({why}): check path and permissions.",
                f"{name}: {path} dosyası okunamıyor ({why}): yolu ve izinlerini denetleyin.",
            )
            return None
        if not content:
            self.wrong(
                f"{name}: the file {path} is empty: write the value into it.",
                f"{name}: {path} dosyası boş: değeri içine yazın.",
            )
        return content or None


def _without_problems(reader: _Reader, config: Config) -> Config:
    _refuse_what_does_not_fit(reader, config)
    if reader.problems:
        raise ConfigError(reader.problems, reader.language)
    return config


def _read(reader: _Reader) -> Config:
    environment = reader.choice("FIKSTUR_ENV", "development", ("development", "production"))
    kept_in = _data_dir(reader)
    data_dir = kept_in or HOME
    sandbox_port = reader.number("SANDBOX_PORT", 8899, 1, 65535)
    source_settings = _source_settings(reader, sandbox_port)
    return Config(
        environment=environment,
        secret_key=_secret_key(reader, environment, kept_in),
        database_url=_database_url(reader, data_dir),
        redis_url=_redis_url(reader),
        redis_namespace=_redis_namespace(reader),
        data_dir=data_dir,
        host=_host(reader),
        port=reader.number("PORT", 8000, 1, 65535),
        sources=_sources(reader),
        failover=_failover(reader),
        source_settings=source_settings,
        sandbox_port=sandbox_port,
        sofascore_permitted=bool(reader.flag("SOFASCORE_PERMITTED")),
        time_zone=_time_zone(reader),
        language=reader.language,
        worker_threads=reader.number("WORKER_THREADS", 8, 1, 128),
        worker_processes=reader.number("WORKER_PROCESSES", 1, 1, 64),
        lease_s=reader.seconds("LEASE_SECONDS", 45, 3, 3600),
        debug=_debug(reader),
        log_level=reader.choice("LOG_LEVEL", "info", ("debug", "info", "warning", "error")),
        log_format=reader.choice("LOG_FORMAT", "text", ("text", "json")),
        connect_timeout_s=reader.seconds("HTTP_CONNECT_TIMEOUT", 5, 1, 120),
        read_timeout_s=reader.seconds("HTTP_READ_TIMEOUT", 30, 1, 600),
        max_answer_bytes=reader.number("HTTP_MAX_MEGABYTES", 25, 1, 1024) * 1024 * 1024,
        schedules={name: _crontab(reader, *pair) for name, pair in SCHEDULES.items()},
        keep_history_days=reader.number("KEEP_HISTORY_DAYS", 90, 1, 3650),
        keep_requests_days=reader.number("KEEP_REQUESTS_DAYS", 30, 1, 3650),
        keep_audit_days=reader.number("KEEP_AUDIT_DAYS", 365, 1, 3650),
        fresh_hours=reader.number("FRESH_HOURS", 0, 0, 8760),
        public_url=_web_address(reader, "PUBLIC_URL") or _own_address(reader),
        mail=_mail(reader, environment),
        backup=_backup(reader, data_dir),
        offsite=_offsite(reader),
        proxy_hops=reader.number("PROXY_HOPS", 0, 0, 10),
        given={**reader.values, "LANGUAGE": reader.language},
    )


# --- where values come from ---


def _env_file(reader: _Reader, path: Path | None) -> dict[str, str]:
    """What .env says, word for word: ${NAME} stays as it is, because passwords hold such things."""
    try:
        text = path.read_text(encoding="utf-8-sig") if path else ""
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        reader.wrong(
            f"The file {path} cannot be read: save it as UTF-8 text and check its permissions.",
            f"{path} dosyası okunamıyor: UTF-8 metin olarak kaydedin ve izinlerini denetleyin.",
        )
        return {}
    written = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            line = binding.original.line
            reader.wrong(
                f"Line {line} of {path} is not NAME=value: correct it or put a # before it.",
                f"{path}, {line}. satır AD=değer biçiminde değil: düzeltin ya da başına # koyun.",
            )
        elif binding.key and binding.value and binding.value.strip():
            written[binding.key] = binding.value.strip()
    return written


def _merged(real: Mapping[str, str], written: Mapping[str, str]) -> dict[str, str]:
    """The environment wins, also where it says NAME_FILE and .env says NAME; empty is not set."""
    given = {name: value.strip() for name, value in real.items() if value.strip()}
    kept = {name: value for name, value in written.items() if _twin(name) not in given}
    return {**kept, **given}


def _twin(name: str) -> str:
    return name.removesuffix("_FILE") if name.endswith("_FILE") else f"{name}_FILE"


def _language(reader: _Reader, real: Mapping[str, str], written: Mapping[str, str]) -> str:
    """The shell's own LANGUAGE ("tr_TR:en") is a hint; "tr" or "en" by itself is a decision."""
    ours, shells = written.get("LANGUAGE", "").lower(), real.get("LANGUAGE", "").strip().lower()
    if ours and ours not in LANGUAGES:
        reader.wrong(
            f'LANGUAGE in .env is "{ours}": set it to tr or en.',
            f'.env içindeki LANGUAGE değeri "{ours}": tr ya da en yazın.',
        )
    if shells in LANGUAGES:
        return shells
    return ours if ours in LANGUAGES else first_language(shells)


def first_language(value: str) -> str:
    """The first language of a gettext-like list that we speak, else Turkish."""
    spoken = (re.split(r"[_.@-]", part)[0].lower() for part in value.split(":"))
    return next((part for part in spoken if part in LANGUAGES), LANGUAGES[0])


# --- places and secrets ---


def _data_dir(reader: _Reader) -> Path | None:
    """The folder, made and tried; None when nothing can be written there."""
    path = HOME / Path(reader.text("DATA_DIR") or "data").expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):  # permission bits lie on Windows: try it
            pass
    except OSError as error:
        reader.wrong(
            f"DATA_DIR: the folder {path} cannot be written ({error.strerror}): "
            "give this user the right to write there or name another folder.",
            f"DATA_DIR: {path} klasörüne yazılamıyor ({error.strerror}): "
            "bu kullanıcıya yazma izni verin ya da başka bir klasör yazın.",
        )
        return None
    return path


def _secret_key(reader: _Reader, environment: str, data_dir: Path | None) -> str:
    key = reader.secret("SECRET_KEY")
    if environment == "development":
        return key or (_kept_key(reader, data_dir / "secret_key") if data_dir else "")
    if reason := _weakness(key or ""):
        how = 'python -c "import secrets; print(secrets.token_hex(32))"'
        reader.wrong(
            f"SECRET_KEY {reason.english}: in production make one with {how}",
            f"SECRET_KEY {reason.turkish}: üretimde şu komutla bir tane üretin: {how}",
        )
    return key or ""


def _weakness(key: str) -> Problem | None:
    """Why nobody should trust sessions signed with this key, None when they may."""
    plain = re.sub(r"[^a-z]", "", key.lower())
    if not key:
        return Problem("is missing", "verilmemiş")
    if len(key) < SHORTEST_SECRET:
        return Problem(
            f"is shorter than {SHORTEST_SECRET} characters", f"{SHORTEST_SECRET} karakterden kısa"
        )
    if any(word in plain for word in PLACEHOLDERS):
        return Problem("is a placeholder", "bir örnek değer")
    if len(set(key)) < FEWEST_CHARACTERS:
        return Problem("repeats a few characters", "birkaç karakterin yinelenmesinden oluşuyor")
    return None


def _kept_key(reader: _Reader, path: Path) -> str:
    """The key of this data folder, made once; web and worker may start together and must agree."""
    try:
        if len(_text_of(path)) < SHORTEST_SECRET:
            _write_once(path, secrets.token_hex(32))
        return _text_of(path)
    except (OSError, ValueError) as error:
        reader.wrong(
            f"The key in {path} cannot be read or made ({error}): "
            "correct its permissions or set SECRET_KEY.",
            f"{path} içindeki anahtar okunamıyor ya da üretilemiyor ({error}): "
            "izinlerini düzeltin ya da SECRET_KEY verin.",
        )
        return ""


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""


def _write_once(path: Path, text: str) -> None:
    """Write a 0600 file that is seen whole or not at all; of two writers the first one wins."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    made = Path(name)
    try:
        path.hardlink_to(made)
    except FileExistsError:
        if len(_text_of(path)) < SHORTEST_SECRET:  # no winner but a write that was cut off
            made.replace(path)
    except OSError:  # a file system without hard links
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


# --- addresses ---


def _database_url(reader: _Reader, data_dir: Path) -> str:
    url = reader.secret("DATABASE_URL")
    if url is None:
        return f"sqlite:///{(data_dir / 'fikstur.db').as_posix()}"
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest[:1] in ("", "/"):
        return _sqlite_url(reader, rest)
    if scheme in ("postgres", "postgresql", "postgresql+psycopg") and _parts(url):
        return f"postgresql+psycopg://{rest}"
    reader.wrong(
        "DATABASE_URL is not an address of SQLite or PostgreSQL: write sqlite:///data/fikstur.db "
        "or postgresql://user:password@host:5432/name, special characters of the password "
        "percent-encoded.",
        "DATABASE_URL bir SQLite ya da PostgreSQL adresi değil: sqlite:///data/fikstur.db ya da "
        "postgresql://kullanici:parola@sunucu:5432/ad yazın; paroladaki özel karakterleri yüzde "
        "kodlamasıyla yazın.",
    )
    return ""


def _sqlite_url(reader: _Reader, rest: str) -> str:
    """A path that means the same file whatever folder a process starts in."""
    path, mark, options = rest.removeprefix("/").partition("?")
    if path.startswith("file:"):
        return f"sqlite://{rest}"
    if path in ("", ":memory:"):
        reader.wrong(
            "DATABASE_URL is a SQLite database in memory, which web and worker cannot share: "
            "name a file.",
            "DATABASE_URL bellekte duran bir SQLite veritabanı; web ve işçi onu paylaşamaz: "
            "bir dosya yazın.",
        )
    elif not (HOME / path).parent.is_dir():
        reader.wrong(
            f"DATABASE_URL: the folder of {path} does not exist: make it or name another file.",
            f"DATABASE_URL: {path} dosyasının klasörü yok: oluşturun ya da başka bir dosya yazın.",
        )
    return f"sqlite:///{(HOME / path).as_posix()}{mark}{options}"


def _redis_url(reader: _Reader) -> str | None:
    url = reader.secret("REDIS_URL")
    parts = _parts(url or "")
    if url is None or url.startswith("unix://"):
        return url
    if parts is None or parts.scheme not in ("redis", "rediss") or not parts.hostname:
        reader.wrong(
            "REDIS_URL is not an address of Redis: write redis://host:6379/0 (rediss:// for TLS).",
            "REDIS_URL bir Redis adresi değil: redis://sunucu:6379/0 yazın (TLS için rediss://).",
        )
    return url


def _redis_namespace(reader: _Reader) -> str:
    name = reader.text("REDIS_NAMESPACE") or "fikstur"
    if not re.fullmatch(r"[a-z0-9_]{1,60}", name):
        reader.wrong(
            f'REDIS_NAMESPACE is "{name}": write up to 60 of a-z, 0-9 and _.',
            f'REDIS_NAMESPACE değeri "{name}": a-z, 0-9 ve _ ile en çok 60 karakter yazın.',
        )
    return name


def _source_settings(reader: _Reader, sandbox_port: int) -> dict[str, SourceSettings]:
    defaults = {"sandbox": f"http://127.0.0.1:{sandbox_port}"}
    return {
        source: SourceSettings(
            base_url=_web_address(reader, f"{source.upper()}_BASE_URL") or defaults.get(source),
            token=reader.secret(f"{source.upper()}_TOKEN"),
            limits=_limits(reader, f"{source.upper()}_LIMITS"),
        )
        for source in KNOWN_SOURCES
    }


def _limits(reader: _Reader, name: str) -> tuple[tuple[int, float], ...] | None:
    """Requests and seconds, () for none at all, None when nothing is said."""
    value = reader.text(name)
    if value is None:
        return None
    if value.lower() == "none":
        return ()
    parts = [re.fullmatch(_LIMIT, part.strip()) for part in value.split(",")]
    limits = tuple((int(part[1]), float(part[2])) for part in parts if part)
    if len(limits) < len(parts) or not all(n >= 1 and 0.1 <= s <= 31 * 86_400 for n, s in limits):
        reader.wrong(
            f'{name} is "{value}": write requests/seconds such as "9/60" or "9/60, 95/86400", '
            "or none; the seconds from 0.1 to 2678400.",
            f'{name} değeri "{value}": "9/60" ya da "9/60, 95/86400" gibi istek/saniye yazın '
            "ya da none; saniye 0.1 ile 2678400 arasında olsun.",
        )
    return limits


def _web_address(reader: _Reader, name: str) -> str | None:
    url = reader.text(name)
    if url is None:
        return None
    parts = _parts(url)
    plain = parts and parts.hostname and not (parts.username or parts.query or parts.fragment)
    if not parts or parts.scheme not in ("http", "https") or not plain:
        shown = url if re.fullmatch(r"[^@?#]*", url) else "…"  # the rest may hold a password
        reader.wrong(
            f'{name} is "{shown}": write http:// or https:// with a host and nothing secret in it.',
            f'{name} değeri "{shown}": http:// ya da https:// ile başlayan, sunucu adı olan ve '
            "içinde gizli bir şey bulunmayan bir adres yazın.",
        )
    return url.rstrip("/")


def _parts(url: str) -> SplitResult | None:
    """The parts of an address, None when it is none: a port that is no number, a broken bracket."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _host(reader: _Reader) -> str:
    host = reader.text("HOST") or "127.0.0.1"
    if not (re.fullmatch(r"[\w.-]+", host) or _is_address(host)):
        reader.wrong(
            f'HOST is "{host}": write a name or an IP address alone, such as 127.0.0.1 or 0.0.0.0.',
            f'HOST değeri "{host}": 127.0.0.1 ya da 0.0.0.0 gibi yalnız bir ad ya da IP yazın.',
        )
    return host


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _own_address(reader: _Reader) -> str:
    """Where the panel is on this machine, when nobody says where others reach it."""
    host, port = reader.text("HOST") or "127.0.0.1", reader.text("PORT") or "8000"
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104  compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _mail(reader: _Reader, environment: str) -> MailSettings:
    production = environment == "production"
    backend = reader.choice("MAIL_BACKEND", "smtp" if production else "file", MAIL_BACKENDS)
    if production and backend != "smtp":
        reader.wrong(
            f'MAIL_BACKEND is "{backend}": in production only smtp, the others would leave '
            "links that open accounts lying about.",
            f'MAIL_BACKEND değeri "{backend}": üretimde yalnız smtp olur, ötekiler hesap açan '
            "bağlantıları ortada bırakır.",
        )
    tls = reader.choice("SMTP_TLS", "starttls", MAIL_TLS)
    return MailSettings(
        backend=backend,
        sender=_one_line(reader, "MAIL_FROM") or "Fikstür <fikstur@localhost>",
        host=_one_line(reader, "SMTP_HOST"),
        port=reader.number("SMTP_PORT", 465 if tls == "tls" else 587, 1, 65535),
        tls=tls,
        user=_one_line(reader, "SMTP_USER"),
        password=reader.secret("SMTP_PASSWORD"),
    )


def _one_line(reader: _Reader, name: str) -> str | None:
    value = reader.text(name)
    if value is not None and not (value.isprintable() and len(value) <= 254):
        reader.wrong(
            f"{name} cannot be used: write one line of at most 254 characters.",
            f"{name} kullanılamıyor: en çok 254 karakterlik tek satır yazın.",
        )
        return None
    return value


def _backup(reader: _Reader, data_dir: Path) -> BackupSettings:
    identity = reader.text("BACKUP_IDENTITY_FILE")
    return BackupSettings(
        folder=HOME / Path(reader.text("BACKUP_DIR") or data_dir / "backups").expanduser(),
        media=HOME / Path(reader.text("MEDIA_DIR") or data_dir / "media").expanduser(),
        identity_file=HOME / Path(identity).expanduser() if identity else None,
        undo_days=reader.number("BACKUP_UNDO_DAYS", 7, 1, 365),
        keep=reader.number("BACKUP_KEEP", 7, 0, 1000),
        daily=reader.number("BACKUP_KEEP_DAILY", 7, 0, 1000),
        weekly=reader.number("BACKUP_KEEP_WEEKLY", 4, 0, 1000),
        monthly=reader.number("BACKUP_KEEP_MONTHLY", 12, 0, 1000),
        yearly=reader.number("BACKUP_KEEP_YEARLY", 0, 0, 1000),
        upload_mb=reader.number("BACKUP_UPLOAD_MB", 1024, 1, 1_000_000),
        mail=reader.choice("BACKUP_MAIL", "all", BACKUP_MAIL),
    )


def _offsite(reader: _Reader) -> OffsiteSettings:
    folder = reader.text("OFFSITE_FOLDER")
    return OffsiteSettings(
        folder=HOME / Path(folder).expanduser() if folder else None,
        bucket=_named(reader, "OFFSITE_BUCKET", r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "backups-1"),
        endpoint=_web_address(reader, "OFFSITE_ENDPOINT"),
        region=_named(reader, "OFFSITE_REGION", r"[a-z0-9-]{1,40}", "eu-central-1") or "us-east-1",
        prefix=_named(reader, "OFFSITE_PREFIX", r"[A-Za-z0-9_.-]{1,60}", "fikstur") or "fikstur",
        key_id=_one_line(reader, "OFFSITE_KEY_ID"),
        secret=reader.secret("OFFSITE_SECRET"),
        keep=reader.number("OFFSITE_KEEP", 30, 1, 1000),
    )


def _named(reader: _Reader, name: str, pattern: str, example: str) -> str | None:
    value = reader.text(name)
    if value is None or (re.fullmatch(pattern, value) and ".." not in value):
        return value
    reader.wrong(
        f'{name} is "{value}": write a name such as {example}.',
        f'{name} değeri "{value}": {example} gibi bir ad yazın.',
    )
    return None


# --- single values with a rule of their own ---


def _sources(reader: _Reader) -> tuple[str, ...]:
    value = reader.text("SOURCES")
    if value is None:
        # Who has set up a real source does not want invented matches among its own.
        real = [name for name in KNOWN_SOURCES if name != "sandbox" and _is_set_up(reader, name)]
        return tuple(real or ["sandbox"])
    names = [name.strip().lower() for name in value.split(",") if name.strip()]
    if not names or not set(names) <= set(KNOWN_SOURCES):
        known = ", ".join(KNOWN_SOURCES)
        reader.wrong(
            f'SOURCES is "{value}": write names out of {known}, separated by commas.',
            f'SOURCES değeri "{value}": {known} adlarından, virgülle ayırarak yazın.',
        )
    return tuple(dict.fromkeys(names))


def _failover(reader: _Reader) -> tuple[str, ...]:
    value = reader.text("FAILOVER")
    if value is None:
        return ()
    names = [name.strip().lower() for name in value.split(",")]
    if len(names) > 1 and len(set(names)) == len(names) and set(names) <= set(KNOWN_SOURCES):
        return tuple(names)
    known = ", ".join(KNOWN_SOURCES)
    reader.wrong(
        f'FAILOVER is "{value}": write two or more different names out of {known}, separated by '
        "commas, in the order in which they are to be asked.",
        f'FAILOVER değeri "{value}": {known} adlarından iki ya da daha çok farklı ad, virgülle '
        "ayırarak, sorulacakları sırayla yazın.",
    )
    return ()


def _is_set_up(reader: _Reader, source: str) -> bool:
    return any(
        reader.text(f"{source.upper()}_{what}") for what in ("BASE_URL", "TOKEN", "TOKEN_FILE")
    )


def _time_zone(reader: _Reader) -> str:
    name = reader.text("TIME_ZONE") or "Europe/Istanbul"
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: the name of a folder of zones
        reader.wrong(
            f'TIME_ZONE is "{name}": write an IANA name such as Europe/Istanbul.',
            f'TIME_ZONE değeri "{name}": Europe/Istanbul gibi bir IANA adı yazın.',
        )
    return name


def _debug(reader: _Reader) -> bool:
    flask, general = reader.flag("FLASK_DEBUG"), reader.flag("DEBUG")
    return bool(general if flask is None else flask)


def _crontab(reader: _Reader, variable: str, default: str) -> str | None:
    value = " ".join((reader.text(variable) or default).split())
    if value.lower() == "off":
        return None
    if reason := _crontab_fault(value):
        reader.wrong(
            f'{variable} is "{value}" ({reason}): '
            f'write a crontab of five fields such as "{default}", or off.',
            f'{variable} değeri "{value}" ({reason}): '
            f'"{default}" gibi beş alanlı bir crontab ya da off yazın.',
        )
    return value


def _crontab_fault(value: str) -> str | None:
    if len(value.split(" ")) != 5:
        return f"{len(value.split(' '))} ≠ 5"
    try:
        from cronsim import CronSim, CronSimError
    except ImportError:  # before the requirements are installed
        return None
    try:
        CronSim(value, datetime.now(UTC))
    except CronSimError as error:
        return str(error)
    return None


def _refuse_what_does_not_fit(reader: _Reader, config: Config) -> None:
    """What is right by itself and wrong together."""
    if config.local_sandbox and config.port == config.sandbox_port:
        reader.wrong(
            f"PORT and SANDBOX_PORT are both {config.port}: give them different numbers.",
            f"PORT ve SANDBOX_PORT aynı, {config.port}: farklı sayılar verin.",
        )
    if missing := [name for name in config.failover if name not in config.sources]:
        reader.wrong(
            f"FAILOVER names {', '.join(missing)}, which SOURCES does not: "
            "add it there or take it out here.",
            f"FAILOVER içinde {', '.join(missing)} var, SOURCES içinde yok: "
            "oraya ekleyin ya da buradan çıkarın.",
        )
    _refuse_unfit_offsite(reader, config)
    _refuse_unfit_media(reader, config)
    if config.production and config.debug:
        reader.wrong(
            "Debug is on in production, where it lets strangers run code: "
            "remove FLASK_DEBUG and DEBUG.",
            "Üretimde hata ayıklama açık ve yabancılara kod çalıştırma yolu açıyor: "
            "FLASK_DEBUG ve DEBUG değişkenlerini kaldırın.",
        )
    on_sqlite = config.database_url.startswith("sqlite")
    if config.production and on_sqlite and config.worker_processes > 1:
        reader.wrong(
            f"WORKER_PROCESSES is {config.worker_processes}, but SQLite takes one writer at a "
            "time: set it to 1 or set DATABASE_URL to PostgreSQL.",
            f"WORKER_PROCESSES değeri {config.worker_processes}, ama SQLite aynı anda tek yazıcı "
            "alır: 1 yapın ya da DATABASE_URL için PostgreSQL verin.",
        )


def _refuse_unfit_media(reader: _Reader, config: Config) -> None:
    """A backup of the media folder must not be of backups, keys or a database at work."""
    media = config.backup.media
    for name, other in (("BACKUP_DIR", config.backup.folder), ("DATA_DIR", config.data_dir)):
        if media == other or media in other.parents:
            reader.wrong(
                f"MEDIA_DIR is {media}, and {name} ({other}) is in it: name a folder that holds "
                "nothing else.",
                f"MEDIA_DIR değeri {media}; {name} ({other}) onun içinde: başka bir şey "
                "barındırmayan bir klasör verin.",
            )
    if config.backup.folder in media.parents:
        reader.wrong(
            f"MEDIA_DIR is {media}, inside BACKUP_DIR: name a folder outside of it.",
            f"MEDIA_DIR değeri {media}, BACKUP_DIR içinde: onun dışında bir klasör verin.",
        )


def _refuse_unfit_offsite(reader: _Reader, config: Config) -> None:
    there, here = config.offsite, config.backup.folder
    if there.folder and there.bucket:
        reader.wrong(
            "OFFSITE_FOLDER and OFFSITE_BUCKET are both set: backups are copied to one place. "
            "Remove one of them.",
            "Hem OFFSITE_FOLDER hem OFFSITE_BUCKET verilmiş: yedekler tek yere kopyalanır. "
            "Birini kaldırın.",
        )
    if there.folder and (there.folder == here or here in there.folder.parents):
        reader.wrong(
            f"OFFSITE_FOLDER is {there.folder}, where the backups are anyway (BACKUP_DIR): name a "
            "folder on another disk.",
            f"OFFSITE_FOLDER değeri {there.folder}; yedekler zaten orada (BACKUP_DIR): başka bir "
            "diskte bir klasör verin.",
        )
    if there.bucket and not (there.key_id and there.secret):
        reader.wrong(
            "OFFSITE_BUCKET needs OFFSITE_KEY_ID and OFFSITE_SECRET: set them first, or together.",
            "OFFSITE_BUCKET için OFFSITE_KEY_ID ve OFFSITE_SECRET gerekir: önce onları, ya da "
            "hepsini birlikte verin.",
        )


def public(config: Config) -> dict[str, object]:
    """What may be shown to anybody who may see the machine: no key, no token, no password."""
    return {
        "environment": config.environment,
        "database": config.database_url.partition(":")[0],
        "queue": "redis" if config.redis_url else "sqlite",
        "data_dir": str(config.data_dir),
        "host": config.host,
        "port": config.port,
        "sources": config.sources,
        "failover": config.failover,
        "sandbox_port": config.sandbox_port,
        "local_sandbox": config.local_sandbox,
        "time_zone": config.time_zone,
        "language": config.language,
        "debug": config.debug,
        "schedules": config.schedules,
    }


def main() -> int:
    """`python config.py`: show the settings as JSON, or say what is wrong with them."""
    config = load()
    sys.stdout.write(json.dumps(public(config), ensure_ascii=True) + "\n")
    return 0


def load() -> Config:
    """The configuration of this process; what is wrong with it goes to stderr, with exit code 2.

    FIKSTUR_ENV_FILE names another file than .env; the null device means none.
    """
    other = os.environ.get("FIKSTUR_ENV_FILE")
    try:
        return Config.from_env(env_file=Path(other) if other else ENV_FILE)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None


if __name__ == "__main__":
    sys.exit(main())
