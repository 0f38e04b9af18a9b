"""The recovery keys: shown once, in force after a proof, several, exchanged, and never kept."""

import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
from commands import SQLITE_ONLY, run, run_json
from flask import Flask

from app.backups import catalogue
from app.backups.keyring import SHOW_AGAIN_AFTER, Ring, short_of
from app.backups.models import State
from app.core.clock import now
from app.core.text import RequestError

on_sqlite = pytest.mark.parametrize(*SQLITE_ONLY)


@pytest.fixture
def ring(tmp_path: Path) -> Ring:
    return Ring(tmp_path / "keys")


def in_force(ring: Ring) -> list[str]:
    return [key.recipient for key in ring.known() if key.in_force]


def opened(challenge: str, identity: str) -> str:
    """As `age --decrypt` does."""
    key = pyrage.x25519.Identity.from_str(identity)
    return pyrage.decrypt(challenge.encode(), [key]).decode().strip()


# --- the ring, without an app ---------------------------------------------------------------------


def test_a_key_is_in_force_only_after_somebody_showed_it(ring: Ring) -> None:
    identity, key = ring.generate()
    assert in_force(ring) == []
    for wrong in ("", "AGE-SECRET-KEY-1WRONG", str(pyrage.x25519.Identity.generate()), "0" * 20):
        with pytest.raises(RequestError, match="belongs to no key"):
            ring.prove(wrong)
    assert in_force(ring) == []
    assert ring.prove(f" {identity.lower()}\n").recipient == key.recipient
    assert in_force(ring) == [key.recipient]


def test_the_other_half_may_stay_elsewhere(ring: Ring) -> None:
    identity = pyrage.x25519.Identity.generate()
    key = ring.propose(str(identity.to_public()))
    ring.prove(opened(key.challenge, str(identity)))
    assert in_force(ring) == [str(identity.to_public())]


def test_no_file_holds_the_secret_half(ring: Ring) -> None:
    identity, _key = ring.generate()
    ring.prove(identity)
    written = b"".join(path.read_bytes() for path in ring.folder.iterdir())
    assert identity.encode() not in written
    assert b"AGE-SECRET-KEY" not in written
    assert all(path.stat().st_mode & 0o077 == 0 for path in ring.folder.glob("[!.]*"))


def test_keys_are_exchanged_and_the_last_one_stays_unless_that_is_meant(ring: Ring) -> None:
    first, second = ring.generate(), ring.generate()
    ring.prove(first[0])
    with pytest.raises(RequestError, match="is the last key in force"):
        ring.retire(first[1].short)
    ring.prove(second[0])
    assert in_force(ring) == [first[1].recipient, second[1].recipient]
    ring.retire(first[1].recipient)
    assert in_force(ring) == [second[1].recipient]
    with pytest.raises(RequestError, match="No key in force"):
        ring.retire(first[1].short)
    ring.retire(second[1].short, last_too=True)
    assert in_force(ring) == []
    ring.prove(first[0])  # what was retired comes back by showing it
    assert in_force(ring) == [first[1].recipient]


def test_keys_that_nobody_showed_lately_are_doubted(ring: Ring) -> None:
    identity, key = ring.generate()
    assert ring.doubts(now()) == []
    ring.prove(identity)
    assert ring.doubts(now()) == []
    (told,) = ring.doubts(now() + SHOW_AGAIN_AFTER)
    assert key.short in str(told)
    ring.prove(identity)
    by_hand = str(pyrage.x25519.Identity.generate().to_public())
    with (ring.folder / "recipients.txt").open("a") as file:
        file.write(f"{by_hand}\n")
    (told,) = ring.doubts(now() + timedelta(days=1))
    assert short_of(by_hand) in str(told)
    ring.generate()  # what was written by hand outlives a change
    assert in_force(ring) == [key.recipient, by_hand]


def test_what_is_no_key_is_refused_and_a_broken_file_named(ring: Ring) -> None:
    with pytest.raises(RequestError, match="is no age recipient"):
        ring.propose("age1nonsense")
    ring.generate()
    (ring.folder / "keyring.json").write_text("{")
    with pytest.raises(RequestError, match="cannot be read: put back"):
        ring.known()


# --- by command -----------------------------------------------------------------------------------


def made(app: Flask, *options: str) -> dict[str, Any]:
    return run_json(app, "backup", "create", *options)


@on_sqlite
def test_backups_are_encrypted_from_the_proof_on_and_say_whose_key_opens_them(
    app: Flask, tmp_path: Path
) -> None:
    kits = [tmp_path / f"kit{number}.txt" for number in (1, 2)]
    first = run_json(app, "backup", "keys", "new", "--to", kits[0])
    assert "identity" not in first
    assert made(app)["encrypted"] is False
    assert kits[0].stat().st_mode & 0o077 == 0
    secret = next(word for word in kits[0].read_text().split() if word.startswith("AGE-SECRET-KEY"))
    assert run(app, "backup", "keys", "prove", typed=f"{secret}\n").exit_code == 0
    old = made(app)
    assert old["encrypted"] is True
    assert run_json(app, "backup", "status")["key_confirmed"] is True

    second = run_json(app, "backup", "keys", "new")
    assert run(app, "backup", "keys", "prove", "--answer", second["identity"]).exit_code == 0
    assert run(app, "backup", "keys", "retire", first["fingerprint"]).exit_code == 0
    new = made(app)
    assert catalogue.find(old["id"]).recipients == first["recipient"]
    assert catalogue.find(new["id"]).recipients == second["recipient"]
    listed = run_json(app, "backup", "keys", "list")
    told = {one["fingerprint"]: (one["opens"], one["in_force"]) for one in listed}
    assert told[first["fingerprint"]] == (1, False)
    assert told[second["fingerprint"]] == (1, True)

    keyfile = tmp_path / "identity.txt"
    keyfile.write_text(f"{secret}\n")
    assert run(app, "backup", "drill", old["id"], "--identity", keyfile).exit_code == 0
    assert catalogue.find(old["id"]).state == State.DRILLED
    assert run(app, "backup", "drill", new["id"], "--identity", keyfile).exit_code != 0
    last = run(app, "backup", "keys", "retire", second["recipient"])
    assert (last.exit_code, "is the last key" in last.output) == (1, True)
    assert run(app, "backup", "keys", "new", "--to", kits[0]).exit_code == 2  # nothing is replaced


@on_sqlite
def test_a_key_made_elsewhere_is_proved_by_its_challenge(app: Flask) -> None:
    identity = pyrage.x25519.Identity.generate()
    key = run_json(app, "backup", "keys", "add", str(identity.to_public()))
    text = opened(key["challenge"], str(identity))
    assert run(app, "backup", "keys", "prove", "--answer", text).exit_code == 0
    assert made(app)["encrypted"] is True


@on_sqlite
def test_the_steps_of_the_kit_open_a_backup_by_hand(app: Flask, tmp_path: Path) -> None:
    """With age where it is installed, else by its library: the commands are the kit's."""
    key = run_json(app, "backup", "keys", "new")
    run(app, "backup", "keys", "prove", "--answer", key["identity"])
    archive = app.config["FIKSTUR"].backup.folder / made(app)["file"]
    subprocess.run(["python3", "-m", "zipfile", "-e", archive, tmp_path], check=True)
    member = tmp_path / "settings" / "settings.json.zst.age"
    identity = pyrage.x25519.Identity.from_str(key["identity"])
    import zstandard

    packed = pyrage.decrypt(member.read_bytes(), [identity])
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    assert b'"language"' in plain
