import contextlib
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import config
import dev

WAIT = "import time; time.sleep(60)"
posix_only = pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")


@pytest.fixture(autouse=True)
def english(monkeypatch):
    monkeypatch.setenv("LANGUAGE", "en")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A project folder of its own, so that nothing here touches the real .venv."""
    monkeypatch.setattr(dev, "HOME", tmp_path)
    monkeypatch.setattr(dev, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(dev, "STAMP", tmp_path / ".venv" / "stamp.json")
    (tmp_path / "constraints.txt").write_text("", encoding="utf-8")
    (tmp_path / "requirements.txt").write_text("-c constraints.txt\nflask\n", encoding="utf-8")
    text = "# comment\n-r requirements.txt\npytest\n"
    (tmp_path / "requirements-dev.txt").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def taken_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def dev_py(*arguments, **environ):
    """`python dev.py …` as a person calls it."""
    return subprocess.run(
        [sys.executable, str(config.HOME / "dev.py"), *arguments],
        env={**os.environ, "PYTHONUTF8": "1", **environ},
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )


def is_alive(pid):
    """A process that has ended and is not yet collected counts as ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        if Path("/proc/self").exists():
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 0)
            return True
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_until(condition, seconds=8):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


# --- the command line ---


@pytest.mark.parametrize("arguments", [[], ["--help"], ["run", "--help"], ["test", "--help"]])
def test_help_names_every_verb_in_both_languages(arguments):
    english, turkish = (dev_py(*arguments, LANGUAGE=language) for language in ("en", "tr"))
    assert english.returncode == turkish.returncode == 0
    assert "usage: python dev.py" in english.stdout
    assert "kullanım: python dev.py" in turkish.stdout
    for verb in ("run", "test", "check", "bench", "clean"):
        assert f"\n  {verb} " in english.stdout
        assert f"\n  {verb} " in turkish.stdout


@pytest.mark.parametrize("arguments", [["rum"], ["run", "--prt", "1"], ["check", "x"]])
def test_what_is_not_understood_is_a_sentence_and_2(arguments):
    done = dev_py(*arguments)
    assert done.returncode == 2
    assert f'"{" ".join(arguments)}" was not understood.' in done.stderr
    assert "Traceback" not in done.stderr


def test_arguments_after_test_go_to_pytest_as_they_are(monkeypatch):
    started = []
    monkeypatch.setattr(dev, "set_up", lambda requirements: Path("python"))
    monkeypatch.setattr(dev, "foreground", lambda command: started.append(command) or 5)
    assert dev.main(["test", "-k", "a or b", "--port", "-x", "tests/unit"]) == 5
    assert started == [["python", "-m", "pytest", "-k", "a or b", "--port", "-x", "tests/unit"]]


@pytest.mark.parametrize("version", [(2, 7), (3, 6), (3, 10, 14)])
def test_an_old_python_is_named_with_what_is_needed(version):
    sentence = dev.too_old(version)
    assert f"Python {version[0]}.{version[1]};" in sentence
    assert "3.11 or newer" in sentence


@pytest.mark.parametrize("version", [(3, 11), (3, 13, 1), (4, 0)])
def test_a_newer_python_will_do(version):
    assert dev.too_old(version) is None


def test_an_old_python_ends_the_program_with_2(monkeypatch, capsys):
    monkeypatch.setattr(dev, "OLDEST", (9, 0))
    assert dev.main(["run"]) == 2
    assert "needs 9.0 or newer" in capsys.readouterr().err


def test_an_old_python_could_read_the_file():
    """No syntax younger than 3.8 (as far back as ast can look) and no future import of 3.7."""
    import ast

    text = (config.HOME / "dev.py").read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 6))
    assert "from __future__" not in text
    too_young = (ast.NamedExpr, ast.Match)
    assert not [node for node in ast.walk(tree) if isinstance(node, too_young)]
    annotated = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    places = [a.annotation for f in annotated for a in [*f.args.args, *f.args.kwonlyargs]]
    places += [f.returns for f in annotated]
    evaluated = [node for node in places if isinstance(node, ast.Subscript | ast.BinOp)]
    assert not evaluated


@pytest.mark.parametrize("shell", ["", "en", "tr", "tr_TR:en", "de:en_GB.UTF-8", "C", "EN_us"])
@pytest.mark.parametrize("text", ["", "LANGUAGE=en", "export LANGUAGE='tr' # mine", "LANGUAGE="])
def test_the_language_is_the_one_the_application_speaks(home, monkeypatch, shell, text):
    monkeypatch.setenv("LANGUAGE", shell)
    (home / ".env").write_text(f"PORT=1\n{text}\n", encoding="utf-8")
    settings = config.Config.from_env(
        {"LANGUAGE": shell, "DATA_DIR": str(home / "data")}, home / ".env"
    )
    assert dev.language() == settings.language


# --- ports ---


def test_a_taken_port_ends_run_before_anything_starts(taken_port):
    done = dev_py("run", "--port", str(taken_port))
    assert done.returncode == 2
    assert f"Port {taken_port} is taken" in done.stderr
    assert done.stdout == ""


def test_a_taken_sandbox_port_names_its_variable(taken_port):
    with pytest.raises(dev.Stop, match="set SANDBOX_PORT to another number") as caught:
        dev.ensure_free("127.0.0.1", taken_port, "SANDBOX_PORT")
    assert caught.value.code == 2


def test_a_port_taken_on_one_address_is_taken_for_all(taken_port):
    with pytest.raises(dev.Stop, match="is taken"):
        dev.ensure_free("0.0.0.0", taken_port, "PORT")


def test_a_free_port_passes(free_port):
    dev.ensure_free("127.0.0.1", free_port, "PORT")
    dev.ensure_free("localhost", free_port, "PORT")


def test_an_address_of_another_machine_is_a_sentence(free_port):
    with pytest.raises(dev.Stop, match=r"Nothing can listen on 192\.0\.2\.1"):
        dev.ensure_free("192.0.2.1", free_port, "PORT")


# --- set-up ---


def test_the_stamp_changes_with_the_files_and_the_python(home):
    before = dev.fingerprint(home / "requirements-dev.txt", "3.11.1")
    assert dev.fingerprint(home / "requirements-dev.txt", "3.11.1") == before
    assert dev.fingerprint(home / "requirements-dev.txt", "3.12.0") != before
    (home / "constraints.txt").write_text("jinja2==3\n", encoding="utf-8")
    assert dev.fingerprint(home / "requirements-dev.txt", "3.11.1") != before


@pytest.fixture
def installed(home):
    """As after an installation of requirements-dev.txt."""
    packages = home / ".venv" / "lib" / "python3" / "site-packages"
    (packages / "flask").mkdir(parents=True)
    dev.write_stamp("requirements-dev.txt", "3.11.1")
    return packages


def test_what_is_installed_is_not_installed_again(installed):
    assert dev.is_installed("requirements-dev.txt", "3.11.1")
    assert not dev.is_installed("requirements-dev.txt", "3.12.0")


def test_the_requirements_of_development_include_those_of_running(installed):
    assert dev.is_installed("requirements.txt", "3.11.1")


def test_a_package_that_has_gone_is_noticed(installed):
    (installed / "flask").rmdir()
    assert not dev.is_installed("requirements.txt", "3.11.1")


@pytest.mark.parametrize("content", ["", "[]", '{"installed": 3}', "\x00"])
def test_a_broken_stamp_counts_as_none(installed, content):
    dev.STAMP.write_text(content, encoding="utf-8")
    assert not dev.is_installed("requirements.txt", "3.11.1")


@pytest.fixture
def steps(home, monkeypatch):
    """What set_up does, in order, without doing it."""
    done = []
    monkeypatch.setattr(dev, "version_of", lambda python: "3.11.1" if dev.VENV.exists() else "")
    monkeypatch.setattr(dev, "has_pip", lambda python: (dev.VENV / "pip").exists())
    monkeypatch.setattr(
        dev, "make_venv", lambda: done.append("venv") or dev.VENV.mkdir(exist_ok=True)
    )
    monkeypatch.setattr(dev, "install", lambda python, name: done.append(name))
    return done


def test_the_first_time_makes_the_environment_and_the_second_does_nothing(steps):
    dev.set_up("requirements.txt")
    assert steps == ["venv", "requirements.txt"]
    dev.set_up("requirements.txt")
    assert steps == ["venv", "requirements.txt"]


def test_a_changed_file_installs_into_the_environment_that_is_there(steps, home):
    dev.set_up("requirements.txt")
    (dev.VENV / "pip").touch()
    (home / "requirements.txt").write_text("flask==9\n", encoding="utf-8")
    dev.set_up("requirements.txt")
    assert steps == ["venv", "requirements.txt", "requirements.txt"]


def test_an_environment_without_pip_is_made_anew(steps):
    dev.VENV.mkdir()
    dev.set_up("requirements.txt")
    assert steps == ["venv", "requirements.txt"]


def test_an_installation_that_was_interrupted_does_not_count(steps, home, monkeypatch):
    dev.set_up("requirements.txt")
    (home / "requirements.txt").write_text("flask==9\n", encoding="utf-8")

    def interrupted(python, name):
        raise KeyboardInterrupt

    monkeypatch.setattr(dev, "install", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dev.set_up("requirements.txt")
    (home / "requirements.txt").write_text("-c constraints.txt\nflask\n", encoding="utf-8")
    assert not dev.is_installed("requirements.txt", "3.11.1")


def test_a_python_without_venv_names_the_package_of_debian(home, monkeypatch):
    monkeypatch.setattr(dev.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(dev.Stop, match=r"sudo apt install python3\.\d+-venv"):
        dev.make_venv()


def test_a_folder_that_cannot_be_written_is_a_sentence(home):
    (home / ".venv").touch()
    with pytest.raises(dev.Stop, match="may write in the folder"):
        dev.make_venv()


def test_only_the_failing_lines_of_pip_are_shown(home, monkeypatch):
    code = "print('Collecting a'); print('ERROR: No matching distribution'); raise SystemExit(1)"
    (home / "pip.py").write_text(code, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(home))
    with pytest.raises(dev.Stop, match="connection to the internet") as caught:
        dev.install(Path(sys.executable), "requirements.txt")
    assert "ERROR: No matching distribution" in str(caught.value)
    assert "Collecting" not in str(caught.value)


def test_the_settings_come_from_the_application(tmp_path):
    env = {**os.environ, "DATA_DIR": str(tmp_path), "PORT": "8123", "SOURCES": "sandbox"}
    settings = dev.read_settings(Path(sys.executable), env)
    assert (settings["port"], settings["local_sandbox"]) == (8123, True)
    assert "sandbox" in dev.commands(Path("python"), settings)
    assert "sandbox" not in dev.commands(Path("python"), {**settings, "local_sandbox": False})


def test_wrong_settings_end_with_their_sentences(tmp_path):
    env = {**os.environ, "DATA_DIR": str(tmp_path), "PORT": "x", "PROXY_HOPS": "y"}
    with pytest.raises(dev.Stop, match=r"(?s)PORT is .*PROXY_HOPS is") as caught:
        dev.read_settings(Path(sys.executable), env)
    assert caught.value.code == 2


# --- children ---

SERVING = """
import json, sys
sys.path.insert(0, {home!r})
import dev
dev.PATIENCE_S = {patience}
sys.exit(dev.serve(json.loads({commands!r}), dev.environment({{}}), "127.0.0.1", {port}))
"""


def python(code):
    return [sys.executable, "-c", code]


@pytest.fixture
def serve(tmp_path, free_port):
    """Start dev.serve() with pretend children in a process of its own; each writes down its pid."""
    started = []

    def serving(children, patience=5, port=free_port):
        marked = {
            name: python(
                f"open({str(tmp_path / name)!r}, 'w').write(str(__import__('os').getpid()))\n{code}"
            )
            for name, code in children.items()
        }
        code = SERVING.format(
            home=str(config.HOME), patience=patience, commands=json.dumps(marked), port=port
        )
        process = subprocess.Popen(
            python(code), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
        )
        started.append(process)
        wait_until(lambda: all(written(tmp_path / name) for name in children))
        return process, {name: int(written(tmp_path / name)) for name in children}

    yield serving
    for process in started:
        process.kill()
        process.communicate()
    for path in tmp_path.iterdir():
        with contextlib.suppress(ValueError, ProcessLookupError):
            os.kill(int(written(path)), getattr(signal, "SIGKILL", signal.SIGTERM))


def written(path):
    return path.read_text(encoding="ascii") if path.is_file() else ""


@posix_only
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", 1)])
def test_a_signal_stops_all_children_and_ends_with_0(serve, number):
    process, pids = serve({"web": WAIT, "worker": WAIT, "sandbox": WAIT})
    process.send_signal(number)
    output, _ = process.communicate(timeout=8)
    assert process.returncode == 0
    assert "Stopping" in output
    assert not [name for name, pid in pids.items() if is_alive(pid)]


@posix_only
def test_a_child_gets_the_chance_to_tidy_up(serve, tmp_path):
    note = tmp_path / "note"
    tidy = f"""
import signal, sys, time
def end(*_):
    open({str(note)!r}, 'w').write('tidy')
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
open({str(tmp_path / "ready")!r}, 'w').close()
time.sleep(60)
"""
    process, _ = serve({"worker": tidy})
    wait_until((tmp_path / "ready").exists)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=8)
    assert process.returncode == 0
    assert written(note) == "tidy"


DEAF = f"""
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('deaf', flush=True)
{WAIT}
"""


@posix_only
def test_a_child_that_does_not_listen_is_killed_when_patience_ends(serve):
    process, pids = serve({"worker": DEAF}, patience=0.5)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=8)
    assert process.returncode == 0
    assert not is_alive(pids["worker"])


@posix_only
def test_a_second_ctrl_c_kills_at_once(serve):
    process, pids = serve({"worker": DEAF}, patience=60)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert "Stopping" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=8)
    assert process.returncode == 0
    assert not is_alive(pids["worker"])


def test_a_child_that_ends_by_itself_is_named_and_ends_all(serve):
    process, pids = serve(
        {"web": WAIT, "worker": "import time; time.sleep(0.3); raise SystemExit(7)"}
    )
    output, _ = process.communicate(timeout=8)
    assert process.returncode == 1
    assert "worker ended by itself with exit code 7" in output
    assert not is_alive(pids["web"])


@posix_only
def test_what_a_child_started_and_left_is_ended_too(serve, tmp_path):
    left = tmp_path / "left"
    starts = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {WAIT!r}])
open({str(left)!r}, "w").write(str(child.pid))
{WAIT}
"""
    process, _ = serve({"worker": starts})
    wait_until(lambda: written(left))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=8)
    wait_until(lambda: not is_alive(int(written(left))), 2)


def test_a_program_that_cannot_start_leaves_no_other_behind(monkeypatch):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    hangup = getattr(signal, "SIGHUP", None)
    kept = signal.getsignal(hangup) if hangup else None
    started = []
    real = subprocess.Popen

    def popen(command, **options):
        started.append(real(command, **options))
        return started[-1]

    monkeypatch.setattr(dev.subprocess, "Popen", popen)
    try:
        with pytest.raises(FileNotFoundError):
            dev.serve({"web": python(WAIT), "worker": ["no-such-program"]}, dict(os.environ), "", 1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if hangup:
            signal.signal(hangup, kept)
    assert [child.poll() is not None for child in started] == [True]


@posix_only
def test_children_end_when_the_one_that_started_them_is_killed(tmp_path):
    (tmp_path / "sleeper.py").write_text(
        f"import os\nopen('pid', 'w').write(str(os.getpid()))\n{WAIT}", encoding="utf-8"
    )
    command = [sys.executable, str(config.HOME / "dev.py"), "as-child", "sleeper"]
    child = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    wait_until(lambda: written(tmp_path / "pid"))
    child.stdin.close()  # what the system does for a killed parent
    assert child.wait(8) == -signal.SIGTERM


def test_a_child_sees_its_module_as_python_m_would_show_it(tmp_path):
    (tmp_path / "shower.py").write_text(
        "import sys; print(__name__, sys.argv[1:], sys.modules['__main__'].__spec__.name)",
        encoding="utf-8",
    )
    command = [sys.executable, str(config.HOME / "dev.py"), "as-child", "shower", "--app", "wsgi"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as child:
        assert child.stdout.readline().strip() == "__main__ ['--app', 'wsgi'] shower"


class Web(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self):
        self.send_response(self.status if self.path == "/healthz" else 500)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def web():
    with http.server.HTTPServer(("127.0.0.1", 0), Web) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@posix_only
def test_the_address_is_printed_when_the_web_answers(serve, web):
    process, _ = serve({"worker": WAIT}, port=web)
    assert process.stdout.readline() == "\n"
    assert process.stdout.readline().strip() == f"Fikstür is running: http://127.0.0.1:{web}/"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=8)
    assert process.returncode == 0


def test_the_web_is_asked_directly_and_not_through_a_proxy(web, monkeypatch, free_port):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port}")
    assert dev.answers("127.0.0.1", web)
    assert not dev.answers("127.0.0.1", free_port)


def test_a_web_that_answers_with_an_error_is_not_ready(web, monkeypatch):
    monkeypatch.setattr(Web, "status", 503)
    assert not dev.answers("127.0.0.1", web)


# --- check, bench, clean ---


def test_check_runs_every_tool_and_shows_what_the_failing_ones_said(home, monkeypatch, capsys):
    fake = home / "bin"
    fake.mkdir()
    monkeypatch.setattr(dev, "set_up", lambda requirements: fake / "python")
    real = dev.passes

    def passes(name, command):
        codes = {"mypy": 1, "advisories": 3}
        return real(name, python(f"print('said {name}'); exit({codes.get(name, 0)})"))

    monkeypatch.setattr(dev, "passes", passes)
    assert dev.check() == 1
    lines = capsys.readouterr().out.splitlines()
    assert [re.split(r"\s{2,}", line) for line in lines if line] == [
        ["ruff", "ok"],
        ["ruff format", "ok"],
        ["mypy", "failed"],
        ["said mypy"],
        ["lint-imports", "ok"],
        ["advisories", "not asked"],
        ["said advisories"],
    ]


@pytest.mark.parametrize(("code", "failures"), [(0, 0), (1, 1), (3, 0)])
def test_what_could_not_be_asked_is_said_and_is_no_failure(code, failures, capsys):
    assert dev.passes("advisories", python(f"exit({code})")) == failures
    assert capsys.readouterr().out.startswith("advisories")


def test_bench_without_benchmarks_is_a_sentence(home, capsys):
    assert dev.main(["bench"]) == 2
    assert "no folder benchmarks" in capsys.readouterr().err


@pytest.fixture
def littered(home):
    for name in (".venv/bin", ".mypy_cache", "__pycache__", "app/core/__pycache__", "data/media"):
        (home / name).mkdir(parents=True)
    (home / "app" / "core" / "db.py").touch()
    return home


def test_clean_removes_what_can_be_made_again_and_no_data(littered):
    assert dev.main(["clean"]) == 0
    left = {str(path.relative_to(littered).as_posix()) for path in littered.rglob("*")}
    assert left == {
        *("app", "app/core", "app/core/db.py", "data", "data/media"),
        *("constraints.txt", "requirements.txt", "requirements-dev.txt"),
    }


def test_clean_data_asks_for_the_name_and_takes_no_for_an_answer(littered, monkeypatch, capsys):
    for answer in ("", "y\n", "evet\n"):
        monkeypatch.setattr(dev.sys, "stdin", _Terminal(answer))
        assert dev.main(["clean", "--data"]) == 1
        assert (littered / "data").is_dir()
        assert (littered / ".venv").is_dir()
    assert "Type data to go on" in capsys.readouterr().out


def test_clean_data_removes_it_when_the_name_is_typed_or_yes_was_said(littered, monkeypatch):
    monkeypatch.setattr(dev.sys, "stdin", _Terminal("data\n"))
    assert dev.main(["clean", "--data"]) == 0
    assert not (littered / "data").exists()
    (littered / "data").mkdir()
    assert dev.main(["clean", "--data", "--yes"]) == 0
    assert not (littered / "data").exists()


def test_clean_removes_a_link_and_not_what_it_leads_to(littered, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "kept").touch()
    try:
        (littered / ".ruff_cache").symlink_to(elsewhere, target_is_directory=True)
    except OSError:
        pytest.skip("links need a right that this user has not")
    assert dev.main(["clean"]) == 0
    assert not (littered / ".ruff_cache").is_symlink()
    assert (elsewhere / "kept").exists()


class _Terminal:
    def __init__(self, line):
        self.line = line

    def readline(self):
        return self.line
