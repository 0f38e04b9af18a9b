"""Set up, run, test and check Fikstür with one command; needs nothing but Python itself."""

# An old Python must be able to read this file far enough to say that it is too old: no syntax
# younger than 3.6, annotations that it cannot evaluate are quoted.

import _thread
import argparse
import contextlib
import errno
import hashlib
import http.client
import importlib.util
import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn, TextIO

HOME = Path(__file__).resolve().parent
VENV = HOME / ".venv"
STAMP = VENV / "fikstur-stamp.json"
OLDEST = (3, 11)
PATIENCE_S = 10.0  # how long children may take to stop before they are killed
START_S = 60.0  # how long the web may take until it answers
CACHES = (
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".import_linter_cache",
    ".hypothesis",
)
SIDE_BY_SIDE = ["-n", "auto", "--maxprocesses", "4", "--dist", "loadgroup"]  # the whole suite
NOT_ASKED = 3  # what tools/advisories.py ends with when nobody answers it
HELP_ENGLISH = """usage: python dev.py VERB

  run [--port N]            set up, migrate, start web, worker and sandbox; Ctrl-C stops them
  test [pytest arguments]   set up and run the tests
  check                     ruff, format, mypy, import rules, known faults of packages
  bench [arguments]         run the benchmarks
  vendor [--check]          fetch the browser's libraries again, or check those that are here
  screenshots [folder]      pictures of every page into docs/screenshots
  clean [--data [--yes]]    remove .venv and caches; the data too, only with --data

Settings come from the environment and .env: see docs/configuration.md
"""
HELP_TURKISH = """kullanım: python dev.py EYLEM

  run [--port N]            kurar, veritabanını hazırlar, web, işçi ve deneme API'sini başlatır; Ctrl-C durdurur
  test [pytest seçenekleri] kurar ve testleri çalıştırır
  check                     ruff, biçim, mypy, içe aktarma kuralları, paketlerin bilinen açıkları
  bench [seçenekler]        başarım ölçümlerini çalıştırır
  vendor [--check]          tarayıcı kitaplıklarını yeniden indirir ya da buradakileri denetler
  screenshots [klasör]      her sayfanın resmini docs/screenshots içine koyar
  clean [--data [--yes]]    .venv ve önbellekleri siler; verileri yalnız --data ile siler

Ayarlar ortamdan ve .env dosyasından okunur: docs/configuration.md
"""  # noqa: E501 - a line of a table


class Stop(Exception):  # noqa: N818 - it ends the program, and not always in error
    """Ends the program with a sentence, and with the exit code the shell sees."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


# --- speaking ---


def told(english: str, turkish: str) -> str:
    return english if language() == "en" else turkish


def language() -> str:
    """As config.py decides it, which cannot be asked before the packages are there."""
    shells = os.environ.get("LANGUAGE", "").strip().lower()
    for value in (shells, written("LANGUAGE").lower()):
        if value in ("tr", "en"):
            return value
    known = [re.split("[_.@-]", part)[0] for part in shells.split(":")]
    return next((part for part in known if part in ("tr", "en")), "tr")


def written(name: str) -> str:
    """What .env says about one plain variable, empty when it says nothing."""
    try:
        text = (HOME / ".env").read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return ""
    found = re.findall(rf"(?m)^\s*(?:export\s+)?{name}\s*=\s*['\"]?([^'\"#\s]*)", text)
    return str(found[-1]) if found else ""


def say(sentence: str, stream: "TextIO | None" = None) -> None:
    """Print, also where the terminal knows no Turkish letters."""
    stream = stream or sys.stdout
    encoding = stream.encoding or "ascii"
    print(sentence.encode(encoding, "replace").decode(encoding), file=stream, flush=True)


def too_old(version: "tuple[int, ...]") -> "str | None":
    """Why this Python will not do, None when it will."""
    if tuple(version[:2]) >= OLDEST:
        return None
    has, needs = (".".join(map(str, numbers)) for numbers in (version[:2], OLDEST))
    return told(
        f"This is Python {has}; Fikstür needs {needs} or newer: install it from python.org "
        f"and start dev.py with it.",
        f"Bu Python {has}; Fikstür için {needs} ya da yenisi gerekir: python.org adresinden kurun "
        f"ve dev.py dosyasını onunla başlatın.",
    )


# --- the virtual environment ---


def set_up(requirements: str) -> Path:
    """The Python of .venv with these requirements in it; costs next to nothing when they are."""
    python = venv_python()
    version = version_of(python)
    if version and is_installed(requirements, version):
        return python
    if not version or not has_pip(python) or lacks_packages():
        make_venv()
        version = version_of(python)
    STAMP.unlink(missing_ok=True)  # what is interrupted from here on is not installed
    install(python, requirements)
    write_stamp(requirements, version)
    return python


def venv_python() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def version_of(python: Path) -> str:
    """The version this interpreter reports, empty when it is missing or broken."""
    code = "import sys; print(sys.version)"
    try:
        done = subprocess.run(
            [str(python), "-I", "-S", "-c", code], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def has_pip(python: Path) -> bool:
    done = subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True, check=False)
    return done.returncode == 0


def is_installed(requirements: str, version: str) -> bool:
    stamped = read_stamp()["installed"].get(requirements)
    return stamped == fingerprint(HOME / requirements, version) and not lacks_packages()


def lacks_packages() -> bool:
    """Whether something that was installed has gone: pip would believe its notes and not see it."""
    folder = site_packages()
    return any(not (folder / name).exists() for name in read_stamp()["names"])


def read_stamp() -> "dict[str, dict[str, str]]":
    """What was installed when, by the file of requirements, and the names it put into .venv."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
        return {"installed": dict(stamp["installed"]), "names": dict(stamp["names"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"installed": {}, "names": {}}


def write_stamp(requirements: str, version: str) -> None:
    files = [HOME / requirements, *included(HOME / requirements)]
    stamp = {
        "installed": {file.name: fingerprint(file, version) for file in files},
        "names": {path.name: "" for path in site_packages().glob("[A-Za-z]*")},
    }
    STAMP.write_text(json.dumps(stamp, indent=1), encoding="utf-8")


def site_packages() -> Path:
    found = sorted(VENV.glob("[Ll]ib/**/site-packages")) or [VENV / "site-packages"]
    return found[-1]


def fingerprint(requirements: Path, version: str) -> str:
    """Changes when the file, one that it includes, or the Python changes."""
    digest = hashlib.sha256(version.encode())
    for file in [requirements, *included(requirements)]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def included(requirements: Path) -> "list[Path]":
    """The files it names with -r or -c, and those that they name."""
    text = requirements.read_text(encoding="utf-8")
    files = [requirements.parent / name for name in re.findall(r"(?m)^-[rc]\s*(\S+)", text)]
    return files + [deeper for file in files for deeper in included(file)]


def make_venv() -> None:
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            package = "python{}.{}-venv".format(*sys.version_info[:2])
            raise Stop(
                2,
                told(
                    f"This Python cannot make virtual environments ({module} is missing): "
                    f"on Debian and Ubuntu run: sudo apt install {package}",
                    f"Bu Python sanal ortam oluşturamıyor ({module} eksik): "
                    f"Debian ve Ubuntu'da çalıştırın: sudo apt install {package}",
                ),
            )
    say(told("Making the virtual environment in .venv …", "Sanal ortam .venv oluşturuluyor …"))
    try:
        VENV.mkdir(exist_ok=True)
    except OSError as error:
        raise Stop(2, unwritable(error)) from error
    base = getattr(sys, "_base_executable", None) or sys.executable  # not the one being cleared
    command = [str(base), "-m", "venv", "--clear", str(VENV)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Stop(2, unwritable(last_lines(done.stdout + done.stderr)))


def unwritable(reason: object) -> str:
    return told(
        f"The virtual environment {VENV} cannot be made: check that this user may write in the "
        f"folder and that the disk is not full.\n{reason}",
        f"Sanal ortam {VENV} oluşturulamıyor: bu kullanıcının klasöre yazabildiğini ve diskin dolu "
        f"olmadığını denetleyin.\n{reason}",
    )


def install(python: Path, requirements: str) -> None:
    say(
        told(
            f"Installing {requirements} (the first time takes a minute or two) …",
            f"{requirements} kuruluyor (ilk kez bir iki dakika sürer) …",
        )
    )
    command = [str(python), "-m", "pip", "install", "--no-input", "-r", requirements]
    settings = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_USER": "0"}
    with subprocess.Popen(
        command,
        cwd=str(HOME),
        env=environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as pip:
        lines = show_progress(pip)
    if pip.returncode:
        raise Stop(2, install_failure(lines))


def show_progress(pip: "subprocess.Popen[str]") -> "list[str]":
    """All that pip says, while a counter moves for whoever waits at a terminal."""
    lines: list[str] = []
    packages = 0
    for line in pip.stdout or ():
        lines.append(line.rstrip())
        packages += line.startswith("Collecting ")
        if sys.stdout.isatty():
            print(f"\r  {packages} ", end="", flush=True)
    if sys.stdout.isatty():
        print("\r", end="", flush=True)
    return lines


def install_failure(lines: "list[str]") -> str:
    errors = [line for line in lines if "error" in line.lower()] or lines
    return told(
        "The packages could not be installed: check the connection to the internet and the disk, "
        "then start again. What pip said:\n",
        "Paketler kurulamadı: internet bağlantısını ve diski denetleyip yeniden başlatın. "
        "pip şunu söyledi:\n",
    ) + last_lines("\n".join(errors))


def last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-15:])


def environment(more: "dict[str, str]") -> "dict[str, str]":
    """Ours for children: UTF-8 everywhere, and .env read by config.py alone."""
    unwanted = ("PYTHONHOME", "PYTHONSAFEPATH", "__PYVENV_LAUNCHER__")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    ours = {"PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "FLASK_SKIP_DOTENV": "1"}
    return {**kept, **ours, **more}


# --- run ---


def run(port: "str | None") -> int:
    env = environment({"PORT": port} if port else {})
    early = env.get("PORT") or written("PORT") or "8000"
    if early.isdigit() and int(early) < 65536:  # said now rather than after minutes of installing
        ensure_free("127.0.0.1", int(early), "PORT")
    python = set_up("requirements.txt")
    settings = read_settings(python, env)
    ensure_free(settings["host"], settings["port"], "PORT")
    if settings["local_sandbox"]:
        ensure_free("127.0.0.1", settings["sandbox_port"], "SANDBOX_PORT")
    prepare(python, env)
    return serve(commands(python, settings), env, reachable(settings["host"]), settings["port"])


def read_settings(python: Path, env: "dict[str, str]") -> "dict[str, Any]":
    command = [str(python), "config.py"]
    done = subprocess.run(
        command, cwd=str(HOME), env=env, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        raise Stop(2, done.stderr.strip())
    settings: dict[str, Any] = json.loads(done.stdout)
    return settings


def ensure_free(host: str, port: int, variable: str) -> None:
    """Stop with a sentence unless a server could listen there now."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as caller:
            caller.settimeout(1)  # some systems let two listen on one port: ask who is there first
            taken = caller.connect_ex((reachable(host), port)) == 0
        with socket.socket(family, kind, protocol) as listener:
            if os.name != "nt":  # where it would let us share the port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        raise Stop(2, cannot_listen(host, port, variable, error)) from error
    if taken:
        raise Stop(2, cannot_listen(host, port, variable, None))


def cannot_listen(host: str, port: int, variable: str, error: "OSError | None") -> str:
    if error is None or error.errno == errno.EADDRINUSE:
        return told(
            f"Port {port} is taken by another program, perhaps by a Fikstür that already runs: "
            f"stop it, or set {variable} to another number{option(variable)}.",
            f"{port} numaralı port başka bir programda, belki zaten çalışan bir Fikstür'de: "
            f"onu durdurun ya da {variable} için başka bir sayı verin{option(variable)}.",
        )
    return told(
        f"Nothing can listen on {host}, port {port} ({error}): correct HOST or {variable}.",
        f"{host} adresinde {port} numaralı port dinlenemiyor ({error}): HOST ya da {variable} "
        f"değerini düzeltin.",
    )


def option(variable: str) -> str:
    return " (dev.py run --port 8001)" if variable == "PORT" else ""


def reachable(host: str) -> str:
    """Where a server that listens on this host can be asked from this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound


def prepare(python: Path, env: "dict[str, str]") -> None:
    """Migrate and see to an administrator; a new one's password is printed by that command."""
    command = [str(python), "-m", "flask", "--app", "wsgi", "setup"]
    if subprocess.run(command, cwd=str(HOME), env=env, check=False).returncode:
        raise Stop(
            1,
            told(
                "The database could not be prepared: the reason is above. If a package is missing, "
                "run python dev.py clean and start again.",
                "Veritabanı hazırlanamadı: nedeni yukarıda. Bir paket eksikse python dev.py clean "
                "çalıştırıp yeniden başlatın.",
            ),
        )


def commands(python: Path, settings: "dict[str, Any]") -> "dict[str, list[str]]":
    """What runs: name -> command. Each is run by as_child(), so that none outlives us."""
    here = [str(python), str(HOME / "dev.py"), "as-child"]
    sandbox = [*here, "app.sandbox", "--port", str(settings["sandbox_port"])]
    return {
        **({"sandbox": sandbox} if settings["local_sandbox"] else {}),
        "worker": [*here, "flask", "--app", "wsgi", "worker"],
        "web": [*here, "flask", "--app", "wsgi", "web"],
    }


def serve(commands: "dict[str, list[str]]", env: "dict[str, str]", host: str, port: int) -> int:
    """Run until somebody says stop (0) or a child ends by itself or never answers (1)."""
    children = Children(env)
    try:
        for name, command in commands.items():
            children.start(name, command)
        return watch(children, host, port)
    finally:
        children.stop()


def watch(children: "Children", host: str, port: int) -> int:
    give_up_at, ready = time.monotonic() + START_S, False
    while not children.stops:
        trouble = children.died()
        if not ready and answers(host, port):
            ready = True
            announce(host, port)
        if not ready and time.monotonic() > give_up_at:
            trouble = told("The web does not answer.", "Web yanıt vermiyor.")
        if trouble:
            say(trouble, sys.stderr)
            return 1
        time.sleep(0.1)
    say(told("Stopping …", "Durduruluyor …"))
    return 0


def announce(host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}/"
    say("")
    say(told(f"  Fikstür is running: {address}", f"  Fikstür çalışıyor: {address}"))
    say(told("  Ctrl-C stops it.", "  Ctrl-C ile durur."))
    say("")


def answers(host: str, port: int) -> bool:
    """Whether the web says that it is there; asked directly, never through a proxy."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Children:
    """The processes of one run. They start in groups of their own, so that Ctrl-C reaches us alone
    and we end them in order; each holds a pipe from us and ends itself when we are gone."""

    def __init__(self, env: "dict[str, str]") -> None:
        self.env = env
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.stops = 0  # how often we were asked to stop: twice means at once
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._asked_to_stop)

    def _asked_to_stop(self, *_: object) -> None:
        self.stops += 1

    def start(self, name: str, command: "list[str]") -> None:
        alone: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            alone = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        self.running[name] = subprocess.Popen(
            command, cwd=str(HOME), env=self.env, stdin=subprocess.PIPE, **alone
        )

    def died(self) -> "str | None":
        """The sentence about a child that ended by itself, None while all run."""
        for name, child in self.running.items():
            code = child.poll()
            if code is not None:
                return told(
                    f"{name} ended by itself with exit code {code}: the reason is above. "
                    f"The others are stopped.",
                    f"{name} kendiliğinden {code} koduyla sona erdi: nedeni yukarıda. "
                    f"Ötekiler durduruluyor.",
                )
        return None

    def stop(self) -> None:
        """Ask all, wait, then kill what is left, and what their groups have left."""
        for child in self.running.values():
            if child.poll() is None:
                ask_to_end(child)
        kill_at = time.monotonic() + PATIENCE_S
        while self._any_alive() and self.stops < 2 and time.monotonic() < kill_at:
            time.sleep(0.05)
        for child in self.running.values():
            kill_group(child)
            child.wait()
            if child.stdin:
                child.stdin.close()

    def _any_alive(self) -> bool:
        return any(child.poll() is None for child in self.running.values())


def ask_to_end(child: "subprocess.Popen[bytes]") -> None:
    try:
        if sys.platform == "win32":
            child.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            child.terminate()
    except OSError:  # no console to send it through
        child.terminate()


def kill_group(child: "subprocess.Popen[bytes]") -> None:
    """Kill it with whatever it started and left; harmless when all have gone."""
    if sys.platform == "win32":
        if child.poll() is None:
            command = ["taskkill", "/F", "/T", "/PID", str(child.pid)]
            subprocess.run(command, capture_output=True, check=False)
            child.kill()
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)


def as_child(module: str, arguments: "list[str]") -> int:
    """What `python -m module arguments` does, ended when the one that started us is gone."""
    if sys.platform == "win32":  # how Children.stop asks; make it the Ctrl-C everybody understands
        signal.signal(signal.SIGBREAK, signal.default_int_handler)
    threading.Thread(target=end_with_parent, daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


def end_with_parent() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1024):  # returns nothing only when the parent's end of the pipe closes
            pass
    if sys.platform == "win32":
        _thread.interrupt_main()
        time.sleep(PATIENCE_S)
        os._exit(1)
    else:
        if os.getpgrp() == os.getpid():  # a group of our own: end also what we started
            last = f"sleep {PATIENCE_S:.0f}; kill -KILL -{os.getpid()}"
            command = ["/bin/sh", "-c", last]
            subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        os.kill(os.getpid(), signal.SIGTERM)


# --- test, check, bench, clean ---


def test(arguments: "list[str]") -> int:
    python = set_up("requirements-dev.txt")
    return foreground([str(python), "-m", "pytest", *(arguments or SIDE_BY_SIDE)])


def bench(arguments: "list[str]") -> int:
    if not (HOME / "benchmarks").is_dir():
        raise Stop(
            2,
            told(
                "There is no folder benchmarks here: nothing to run.",
                "Burada benchmarks klasörü yok: çalıştırılacak bir şey bulunmuyor.",
            ),
        )
    python = set_up("requirements-bench.txt")
    return foreground([str(python), "-m", "benchmarks", *arguments])


def vendor(arguments: "list[str]") -> int:
    return foreground([sys.executable, str(HOME / "tools" / "vendor.py"), *arguments])


def screenshots(arguments: "list[str]") -> int:
    python = set_up("requirements-dev.txt")
    return foreground([str(python), str(HOME / "tools" / "screenshots.py"), *arguments])


def foreground(command: "list[str]") -> int:
    """Run it at the terminal and pass its exit code on."""
    return subprocess.run(command, cwd=str(HOME), env=environment({}), check=False).returncode


def check() -> int:
    python = set_up("requirements-dev.txt")
    tools = {
        "ruff": [str(python), "-m", "ruff", "check", "."],
        "ruff format": [str(python), "-m", "ruff", "format", "--check", "."],
        "mypy": [str(python), "-m", "mypy"],
        "lint-imports": [str(python.parent / "lint-imports"), "--no-logo"],
        "advisories": [str(python), str(HOME / "tools" / "advisories.py")],
    }
    return max([passes(name, command) for name, command in tools.items()])


def passes(name: str, command: "list[str]") -> int:
    """0 when the tool has nothing to say, else 1, after showing what it said.

    What it could not find out, as without a network, is said too and is no failure.
    """
    done = subprocess.run(
        command,
        cwd=str(HOME),
        env=environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        say(f"{name:<14}{told('ok', 'tamam')}")
        return 0
    asked = done.returncode != NOT_ASKED
    say(f"{name:<14}{told('failed', 'başarısız') if asked else told('not asked', 'sorulamadı')}")
    say(done.stdout)
    return int(asked)


def clean(*, data: bool, yes: bool) -> int:
    if data and not yes and not is_confirmed(HOME / "data"):
        raise Stop(1, told("Nothing was removed.", "Hiçbir şey silinmedi."))
    folders = [VENV, *(HOME / name for name in CACHES), *compiled()]
    for folder in [*folders, *([HOME / "data"] if data else [])]:
        if folder.is_dir():
            remove(folder)
    say(told("Clean.", "Temizlendi."))
    return 0


def compiled() -> "list[Path]":
    """The __pycache__ folders of our own code, not those of the data or of hidden folders."""
    ours = (path for path in HOME.iterdir() if path.name != "data" and path.name[0] != ".")
    inside = [found for path in ours if path.is_dir() for found in path.glob("**/__pycache__")]
    return [HOME / "__pycache__", *inside]


def is_confirmed(folder: Path) -> bool:
    say(
        told(
            f"This removes {folder} with every match, answer and key in it, for good. "
            f"Type {folder.name} to go on:",
            f"Bu işlem {folder} klasörünü içindeki bütün maçlar, yanıtlar ve anahtarla geri "
            f"dönülmez biçimde siler. Sürdürmek için {folder.name} yazın:",
        )
    )
    return sys.stdin.readline().strip() == folder.name


def remove(folder: Path) -> None:
    try:
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(str(folder))
    except OSError as error:
        raise Stop(
            1,
            told(
                f"{folder} could not be removed ({error}): stop what uses it and try again.",
                f"{folder} silinemedi ({error}): onu kullananı durdurup yeniden deneyin.",
            ),
        ) from error


# --- the command line ---


class Parser(argparse.ArgumentParser):
    """Says what it did not understand in our words."""

    def error(self, message: str) -> "NoReturn":
        given = " ".join(sys.argv[1:])
        sentence = told(f'"{given}" was not understood.', f'"{given}" anlaşılamadı.')
        raise Stop(2, f"{sentence}\n\n{help_text()}")

    def format_help(self) -> str:
        return help_text()


def help_text() -> str:
    return told(HELP_ENGLISH, HELP_TURKISH)


def parser() -> Parser:
    top = Parser(allow_abbrev=False)
    verbs = top.add_subparsers(dest="verb", parser_class=Parser)
    verbs.add_parser("run", allow_abbrev=False).add_argument("--port")
    verbs.add_parser("check", allow_abbrev=False)
    cleaning = verbs.add_parser("clean", allow_abbrev=False)
    cleaning.add_argument("--data", action="store_true")
    cleaning.add_argument("--yes", action="store_true")
    return top


def act(arguments: "list[str]") -> int:
    verb, rest = (arguments or [""])[0], arguments[1:]
    if verb == "as-child":  # ours alone: see commands()
        return as_child(rest[0], rest[1:])
    passing_on = {"test": test, "bench": bench, "vendor": vendor, "screenshots": screenshots}
    if verb in passing_on and rest not in (["-h"], ["--help"]):
        return passing_on[verb](rest)
    if not verb or verb in passing_on:
        say(help_text())
        return 0
    given = parser().parse_args(arguments)
    if given.verb == "run":
        return run(given.port)
    return clean(data=given.data, yes=given.yes) if given.verb == "clean" else check()


def main(arguments: "list[str]") -> int:
    sentence = too_old(sys.version_info[:2])
    if sentence:
        say(sentence, sys.stderr)
        return 2
    try:
        return act(arguments)
    except Stop as stop:
        say(str(stop), sys.stderr)
        return stop.code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
