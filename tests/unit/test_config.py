import contextlib
import os
import re
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import config
from config import Config, ConfigError

STRONG = "0123456789abcdef0123456789abcdef"
PRODUCTION = {"FIKSTUR_ENV": "production", "SECRET_KEY": STRONG}


@pytest.fixture
def read(tmp_path):
    def reading(env_file=None, **environ):
        return Config.from_env({"DATA_DIR": str(tmp_path), **environ}, env_file)

    return reading


@pytest.fixture
def problems(read):
    """The English sentences about these values; none when they are all right."""

    def reading(env_file=None, **environ):
        try:
            read(env_file, **environ)
        except ConfigError as error:
            return [problem.english for problem in error.problems]
        return []

    return reading


@pytest.fixture
def env_file(tmp_path):
    def writing(text, encoding="utf-8"):
        path = tmp_path / ".env"
        path.write_bytes(text.encode(encoding))
        return path

    return writing


# --- defaults ---


def test_with_nothing_set_everything_runs_on_one_machine(read, tmp_path):
    settings = read()
    assert settings.environment == "development"
    assert settings.database_url == f"sqlite:///{(tmp_path / 'fikstur.db').as_posix()}"
    assert settings.redis_url is None
    assert (settings.host, settings.port, settings.sandbox_port) == ("127.0.0.1", 8000, 8899)
    assert settings.sources == ("sandbox",)
    assert settings.source_settings["sandbox"].base_url == "http://127.0.0.1:8899"
    assert settings.local_sandbox
    assert settings.schedules["retry_errors"] == "*/5 * * * *"
    assert settings.max_answer_bytes == 25 * 1024 * 1024


def test_empty_values_count_as_not_set(read, tmp_path):
    bare = read()
    names = [name for name in documented_variables() if name not in ("DATA_DIR", "SECRET_KEY")]
    assert read(**dict.fromkeys(names, "  ")) == bare


def test_the_example_file_states_the_defaults(read, tmp_path, env_file):
    lines = (config.HOME / ".env.example").read_text(encoding="utf-8").splitlines()
    uncommented = [line[2:] for line in lines if re.match(r"# [A-Z_]+=", line)]
    kept = [line for line in uncommented if not line.startswith(("DATA_DIR", "DATABASE_URL"))]
    assert read(env_file("\n".join(kept))) == read()


# --- the environment and .env ---


def test_the_environment_wins_over_the_file(read, env_file):
    assert read(env_file("PORT=8100\nHOST=0.0.0.0"), PORT="8200").port == 8200
    assert read(env_file("PORT=8100")).port == 8100


def test_the_file_is_not_required(read, tmp_path):
    assert read(tmp_path / "nothing").port == 8000


def test_a_dollar_in_a_password_stays(read, env_file):
    written = env_file("DATABASE_URL=postgresql://u:a${b}c@db/f")
    assert read(written).database_url == "postgresql+psycopg://u:a${b}c@db/f"


def test_a_byte_order_mark_of_an_editor_does_no_harm(read, env_file):
    assert read(env_file("PORT=8100", "utf-8-sig")).port == 8100


def test_a_file_in_another_encoding_is_a_sentence(problems, env_file):
    assert "save it as UTF-8" in problems(env_file("PORT=8100", "utf-16"))[0]


def test_a_line_that_is_no_assignment_is_named_by_its_number(problems, env_file):
    (sentence,) = problems(env_file("PORT=8100\n'oops\nHOST=127.0.0.1\n"))
    assert sentence.startswith("Line 2 of")


def test_the_environment_of_the_process_is_the_default(monkeypatch, tmp_path):
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PORT", "8123")
    assert Config.from_env(env_file=None).port == 8123


# --- problems ---

WRONG = {
    "FIKSTUR_ENV": "staging",
    "PORT": "80.5",
    "SANDBOX_PORT": "0",
    "HOST": "http://127.0.0.1",
    "SOURCES": "sandbox,bbc",
    "FAILOVER": "sandbox",
    "SANDBOX_BASE_URL": "127.0.0.1:8899",
    "SOFASCORE_PERMITTED": "maybe",
    "TIME_ZONE": "Europe",
    "WORKER_THREADS": "many",
    "WORKER_PROCESSES": "-1",
    "LEASE_SECONDS": "nan",
    "REDIS_NAMESPACE": "a:b",
    "FLASK_DEBUG": "app:*",
    "LOG_LEVEL": "loud",
    "LOG_FORMAT": "xml",
    "HTTP_CONNECT_TIMEOUT": "0",
    "HTTP_READ_TIMEOUT": "inf",
    "HTTP_MAX_MEGABYTES": "1_0",
    "FETCH_UPCOMING_CRON": "61 * * * *",
    "FETCH_RESULTS_CRON": "* * * * * *",
    "PRUNE_CRON": "@daily",
    "KEEP_HISTORY_DAYS": "0",
    "KEEP_REQUESTS_DAYS": "9" * 400,
    "PROXY_HOPS": "11",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_named_with_its_value(problems, name):
    (sentence,) = problems(**{name: WRONG[name]})
    assert sentence.startswith(f'{name} is "{WRONG[name]}"')


def test_all_wrong_values_are_reported_at_once_in_both_languages(read):
    with pytest.raises(ConfigError) as caught:
        read(**WRONG)
    assert len(caught.value.problems) == len(WRONG)
    for problem, language in [
        (p, language) for p in caught.value.problems for language in ("tr", "en")
    ]:
        assert problem.told_in(language).endswith((".", "))"))
    assert str(caught.value).count("\n") == len(WRONG) - 1
    assert "değeri" in str(caught.value)


def test_the_report_is_in_the_configured_language(read):
    with pytest.raises(ConfigError, match="whole number from 1 to 65535"):
        read(PORT="x", LANGUAGE="en")
    with pytest.raises(ConfigError, match="bir tam sayı yazın"):
        read(PORT="x", LANGUAGE="tr")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://u:hidden@h/d"),
        ("DATABASE_URL", "postgresql://u:hid/den@h:x/d"),
        ("REDIS_URL", "http://:hidden@h:6379"),
        ("FOOTBALL_DATA_BASE_URL", "https://u:hidden@h"),
        ("FOOTBALL_DATA_BASE_URL", "https://h/?token=hidden"),
        ("SOFASCORE_BASE_URL", "https://u:hidden@[h"),
    ],
)
def test_no_secret_is_in_a_problem(read, name, value):
    with pytest.raises(ConfigError) as caught:
        read(**{name: value})
    (problem,) = caught.value.problems
    assert name in problem.english
    assert name in problem.turkish
    assert "hid" not in problem.english + problem.turkish


def test_no_secret_is_in_the_repr(read):
    settings = read(
        SECRET_KEY="hidden-key",
        DATABASE_URL="postgresql://u:hidden@h/d",
        REDIS_URL="redis://:hidden@h",
        FOOTBALL_DATA_TOKEN="hidden",
    )
    assert "hidden" not in repr(settings)
    assert "hidden" not in str(config.public(settings))


def test_a_data_folder_that_is_a_file_is_one_sentence(problems, tmp_path):
    (tmp_path / "file").touch()
    (sentence,) = problems(DATA_DIR=str(tmp_path / "file"))
    assert sentence.startswith("DATA_DIR: the folder")


# --- failover ---


def test_an_order_of_sources_is_kept_as_it_was_written(read):
    settings = read(SOURCES="espn,sandbox,football_data", FAILOVER=" Football_Data , espn ")
    assert settings.failover == ("football_data", "espn")
    assert config.public(settings)["failover"] == ("football_data", "espn")
    assert read().failover == ()


@pytest.mark.parametrize("value", ["espn,espn", "espn,", "espn,bbc", ","])
def test_what_is_no_order_is_one_sentence(problems, value):
    (sentence,) = problems(SOURCES="espn,sandbox", FAILOVER=value)
    assert sentence.startswith(f'FAILOVER is "{value}": write two or more different names')


def test_an_order_with_a_source_that_is_off_is_a_sentence(problems):
    (sentence,) = problems(SOURCES="sandbox", FAILOVER="espn,sandbox")
    assert sentence.startswith("FAILOVER names espn, which SOURCES does not")


# --- production ---


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "is missing"),
        ("hidden", "shorter than 32"),
        ("ab" * 20, "repeats a few characters"),
        ("change-me-0123456789-abcdefghijklm", "placeholder"),
        ("your_secret_key_0123456789_abcdef", "placeholder"),
    ],
)
def test_production_refuses_a_weak_key(problems, key, reason):
    (sentence,) = problems(**{**PRODUCTION, "SECRET_KEY": key})
    assert reason in sentence
    assert not key or key not in sentence


def test_production_takes_a_strong_key_and_needs_no_redis(read):
    settings = read(**PRODUCTION)
    assert settings.secret_key == STRONG
    assert settings.production
    assert settings.redis_url is None


def test_production_refuses_debug(problems):
    assert "Debug is on" in problems(**PRODUCTION, DEBUG="1")[0]
    assert problems(**PRODUCTION, DEBUG="1", FLASK_DEBUG="0") == []


def test_production_refuses_many_processes_on_sqlite_only(problems):
    many = {**PRODUCTION, "WORKER_PROCESSES": "4"}
    assert "SQLite takes one writer" in problems(**many)[0]
    assert problems(**many, DATABASE_URL="postgresql://u@h/d") == []


# --- the key of a laptop ---


def test_the_key_is_made_once_and_kept_from_others(read, tmp_path):
    first, second = read().secret_key, read().secret_key
    assert first == second
    assert len(first) == 64
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600 or os.name == "nt"
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]


def test_processes_that_start_together_agree_on_the_key(read):
    keys = []
    threads = [threading.Thread(target=lambda: keys.append(read().secret_key)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 16
    assert len(set(keys)) == 1


def test_a_key_file_that_was_cut_off_is_written_anew(read, tmp_path):
    (tmp_path / "secret_key").write_text("abc", encoding="ascii")
    assert len(read().secret_key) == 64
    assert len(read().secret_key) == 64


def test_a_key_file_that_is_a_folder_is_a_sentence(problems, tmp_path):
    (tmp_path / "secret_key").mkdir()
    assert "The key in" in problems()[0]


# --- secrets from files ---


def test_a_secret_can_come_from_a_file(read, tmp_path):
    (tmp_path / "token").write_text("t0ken\n", encoding="utf-8")
    settings = read(FOOTBALL_DATA_TOKEN_FILE=str(tmp_path / "token"))
    assert settings.source_settings["football_data"].token == "t0ken"
    assert settings.sources == ("football_data",)


def test_a_secret_given_twice_is_a_sentence(problems):
    (sentence,) = problems(SECRET_KEY=STRONG, SECRET_KEY_FILE="/run/secrets/key")
    assert "both set" in sentence


def test_a_secret_file_in_the_environment_beats_the_value_in_the_file(read, env_file, tmp_path):
    (tmp_path / "key").write_text(STRONG, encoding="utf-8")
    assert (
        read(env_file("SECRET_KEY=other"), SECRET_KEY_FILE=str(tmp_path / "key")).secret_key
        == STRONG
    )


def test_a_secret_file_that_is_missing_or_empty_is_a_sentence(problems, tmp_path):
    (tmp_path / "empty").touch()
    assert "cannot be read" in problems(REDIS_URL_FILE=str(tmp_path / "none"))[0]
    assert "is empty" in problems(DATABASE_URL_FILE=str(tmp_path / "empty"))[0]


# --- addresses ---


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_is_reached_through_psycopg(read, scheme):
    url = read(DATABASE_URL=f"{scheme}://u:p@h:5432/d?sslmode=require").database_url
    assert url == "postgresql+psycopg://u:p@h:5432/d?sslmode=require"


def test_a_relative_sqlite_path_is_the_same_file_from_every_folder(read, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    url = read(DATABASE_URL="sqlite:///docs/x.db?timeout=5").database_url
    assert url == f"sqlite:///{(config.HOME / 'docs/x.db').as_posix()}?timeout=5"


def test_an_absolute_sqlite_path_stays(read, tmp_path):
    url = f"sqlite:///{(tmp_path / 'x.db').as_posix()}"
    assert read(DATABASE_URL=url).database_url == url


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(problems, url):
    assert "cannot share" in problems(DATABASE_URL=url)[0]


def test_a_sqlite_file_in_no_folder_is_a_sentence(problems):
    assert "does not exist" in problems(DATABASE_URL="sqlite:///no/such/x.db")[0]


@pytest.mark.parametrize("url", ["redis://h:6379/0", "rediss://u:p@h/1", "unix:///run/redis.sock"])
def test_redis_addresses_are_taken_as_they_are(read, url):
    assert read(REDIS_URL=url).redis_url == url


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "localhost", "db.example.org"])
def test_a_host_is_a_name_or_an_address(problems, host):
    assert problems(HOST=host) == []


def test_a_sandbox_elsewhere_is_not_ours_to_start(read):
    assert not read(SANDBOX_BASE_URL="http://sandbox:8899").local_sandbox
    assert not read(SANDBOX_BASE_URL="http://127.0.0.1:9999").local_sandbox
    assert not read(SOURCES="football_data").local_sandbox
    assert read(SANDBOX_PORT="9001").source_settings["sandbox"].base_url.endswith(":9001")


def test_web_and_sandbox_cannot_share_a_port(problems):
    assert "both 8899" in problems(PORT="8899")[0]
    assert problems(PORT="8899", SOURCES="football_data") == []


# --- values with a rule of their own ---


def test_sources_are_named_or_follow_from_what_is_set_up(read):
    assert read(FOOTBALL_DATA_TOKEN="t").sources == ("football_data",)
    assert read(SOFASCORE_BASE_URL="https://h/").sources == ("sofascore",)
    assert read(SOURCES=" football_data , sandbox,football_data").sources == (
        "football_data",
        "sandbox",
    )


def test_sofascore_without_permission_is_no_configuration_error(read):
    settings = read(SOURCES="sofascore")
    assert settings.sources == ("sofascore",)
    assert not settings.sofascore_permitted
    assert read(SOFASCORE_PERMITTED="evet").sofascore_permitted


def test_a_schedule_can_be_switched_off(read):
    settings = read(PRUNE_CRON="OFF", FETCH_RESULTS_CRON=" 5  4 * *  MON ")
    assert settings.schedules["prune"] is None
    assert settings.schedules["fetch_results"] == "5 4 * * MON"


@pytest.mark.parametrize(
    ("shell", "written", "language"),
    [
        ("", "", "tr"),
        ("en", "", "en"),
        ("en", "tr", "en"),
        ("tr_TR:en", "", "tr"),
        ("en_US.UTF-8", "", "en"),
        ("de_DE:fr:en_GB:tr", "", "en"),
        ("de", "", "tr"),
        ("C", "", "tr"),
        ("en_US:en", "tr", "tr"),
        ("de", "en", "en"),
    ],
)
def test_the_language_of_the_shell_is_a_hint_and_ours_a_decision(
    read, env_file, shell, written, language
):
    assert read(env_file(f"LANGUAGE={written}"), LANGUAGE=shell).language == language


def test_an_unknown_language_is_a_problem_only_in_the_file(problems, env_file):
    assert problems(LANGUAGE="klingon") == []
    assert 'LANGUAGE in .env is "de"' in problems(env_file("LANGUAGE=de"))[0]


@given(
    st.dictionaries(st.sampled_from([*WRONG, "DATABASE_URL", "REDIS_URL", "LANGUAGE"]), st.text())
)
def test_no_text_whatsoever_breaks_the_reader(tmp_path_factory, values):
    values["DATA_DIR"] = str(tmp_path_factory.getbasetemp())
    with contextlib.suppress(ConfigError):
        assert 1 <= Config.from_env(values, None).port <= 65535


# --- the documents ---


def documented_variables():
    """Every variable that config.py reads, by its text."""
    text = Path(config.__file__).read_text(encoding="utf-8")
    plain = set(re.findall(r'"([A-Z][A-Z_]{3,})"', text))
    sources = [name.upper() for name in config.KNOWN_SOURCES]
    made = {f"{name}_{what}" for name in sources for what in ("BASE_URL", "TOKEN", "LIMITS")}
    plain_secrets = ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "SMTP_PASSWORD")
    secret = {*plain_secrets, *(n for n in made if n.endswith("TOKEN"))}
    return sorted(
        (plain - {"TOKEN", "BASE_URL", "TOKEN_FILE"}) | made | {f"{n}_FILE" for n in secret}
    )


def test_the_list_of_variables_is_not_empty_by_mistake():
    assert {"HOST", "PORT", "PRUNE_CRON", "SANDBOX_TOKEN_FILE"} <= set(documented_variables())
    assert len(documented_variables()) > 40


@pytest.mark.parametrize("name", documented_variables())
def test_every_variable_is_documented(name):
    assert f"| `{name}` |" in (config.HOME / "docs/configuration.md").read_text(encoding="utf-8")
    assert f"\n# {name}=" in (config.HOME / ".env.example").read_text(encoding="utf-8")


def test_every_setting_that_an_operator_may_change_reaches_the_containers():
    compose = (config.HOME / "docker-compose.yml").read_text(encoding="utf-8")
    passed = set(re.findall(r"(?m)^    ([A-Z_]+):", compose))
    inside = {
        "FIKSTUR_ENV_FILE",
        "FLASK_DEBUG",
        "DEBUG",
        "SANDBOX_PORT",
        "SANDBOX_TOKEN",
    }  # of no use there
    files = {name for name in documented_variables() if name.endswith("_FILE")}
    assert set(documented_variables()) - inside - files <= passed
