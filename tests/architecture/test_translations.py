"""Every sentence exists in Turkish, and what is compiled is what is written."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "app" / "translations" / "tr" / "LC_MESSAGES"
METHODS = [("app/**.py", "python"), ("tasks.py", "python"), ("app/templates/**.html", "jinja2")]
KEYWORDS = {
    "_": None,
    "gettext": None,
    "lazy_gettext": None,
    "ngettext": (1, 2),
    "N_": None,
    "NN_": (1, 2),
}
PLACE = re.compile(r"%\((\w+)\)[sd]|\{(\w+)[^}]*\}")


def catalogue(name: str) -> Catalog:
    with (FOLDER / f"{name}.po").open("rb") as file:
        return read_po(file, locale="tr")


def in_the_code() -> Iterator[tuple[str, str]]:
    """Every message the code marks, with the file it stands in."""
    found = extract_from_dir(
        ROOT, METHODS, {}, keywords=KEYWORDS, directory_filter=lambda path: "sandbox" not in path
    )
    for file, _line, message, _comments, _context in found:
        yield (message[0] if isinstance(message, tuple) else message), file


def test_every_message_of_the_code_has_its_turkish() -> None:
    turkish = catalogue("messages")
    missing = {
        f"{file}: {message}"
        for message, file in in_the_code()
        if not (entry := turkish.get(message)) or not entry.string or entry.fuzzy
    }
    assert missing == set()


def test_no_entry_is_left_over_from_a_message_that_is_gone() -> None:
    used = {message for message, _file in in_the_code()}
    ids = {m.id[0] if isinstance(m.id, tuple) else m.id for m in catalogue("messages") if m.id}
    assert ids - used == set()


def test_every_plural_has_both_its_forms() -> None:
    for name in ("messages", "admin"):
        assert catalogue(name).num_plurals == 2
        for entry in catalogue(name):
            if isinstance(entry.id, tuple) and entry.id:
                assert len(entry.string) == 2, entry.id
                assert all(entry.string), entry.id


def test_the_turkish_has_the_same_places_as_the_english() -> None:
    for entry in catalogue("messages"):
        if not entry.id:
            continue
        english = entry.id if isinstance(entry.id, tuple) else (entry.id,)
        turkish = entry.string if isinstance(entry.string, tuple) else (entry.string,)
        places = set(PLACE.findall(" ".join(english)))
        for text in turkish:
            assert set(PLACE.findall(text)) <= places, entry.id
        assert places == set(PLACE.findall(" ".join(turkish))), entry.id


@pytest.mark.parametrize("name", ["messages", "admin"])
def test_what_is_compiled_is_what_is_written(name: str) -> None:
    compiled = io.BytesIO()
    write_mo(compiled, catalogue(name))
    assert (FOLDER / f"{name}.mo").read_bytes() == compiled.getvalue(), "run: pybabel compile"
