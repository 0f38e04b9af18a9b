import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from app.core.text import RequestError
from app.fixtures.ids import MOST_IDS, from_file, from_text


def workbook(*rows: tuple[object, ...]) -> bytes:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    kept = io.BytesIO()
    book.save(kept)
    return kept.getvalue()


@given(st.lists(st.integers(0, 10**12)))
def test_every_id_is_found_once_in_its_order(numbers: list[int]) -> None:
    found = from_text("\n".join(map(str, numbers)))
    assert list(found.ids) == list(dict.fromkeys(map(str, numbers)))
    assert found.repeated == len(numbers) - len(found.ids)
    assert found.bad == 0


@given(st.text(max_size=60))
def test_any_text_is_ids_and_named_lines(text: str) -> None:
    found = from_text(text)
    assert all(number.isascii() and number.isdigit() for number in found.ids)
    assert (found.bad == 0) == (found.problems == ())


def test_ids_may_be_separated_by_anything_usual_and_be_ranges() -> None:
    found = from_text("\ufeff12, 13;14\t15\n 20-23 \n30 – 31")
    assert found.ids == ("12", "13", "14", "15", "20", "21", "22", "23", "30", "31")


def test_a_line_that_is_no_id_is_named_with_its_number() -> None:
    found = from_text("1\nabc\n3x\n9-2\n12345678901234567890123")
    assert found.ids == ("1",)
    assert [str(problem) for problem in found.problems] == [
        "Line 2: “abc” is not a match id; ids are whole numbers.",
        "Line 3: “3x” is not a match id; ids are whole numbers.",
        "Line 4: the range “9-2” runs backwards; give the lower id first.",
        "Line 5: “12345678901234567890123” is too long for a match id; 19 digits are the most.",
    ]


def test_leading_zeros_do_not_make_two_ids_of_one() -> None:
    assert from_text("007 7").ids == ("7",)


def test_too_many_ids_are_a_sentence_before_they_fill_the_memory() -> None:
    with pytest.raises(RequestError, match="more than 200000 ids"):
        from_text("1-999999999999")
    assert len(from_text(f"1-{MOST_IDS}").ids) == MOST_IDS


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_csv_is_read_by_its_id_column_whatever_separates_it(separator: str) -> None:
    rows = [("takım", "match_id", "x"), ("İğdır", "5", ""), ("Göztepe", "6", ""), ("", "", "")]
    text = "\n".join(separator.join(row) for row in rows)
    assert from_file("maçlar.CSV", text.encode("cp1254")).ids == ("5", "6")


def test_a_csv_without_a_header_is_read_by_its_first_column() -> None:
    assert from_file("a.csv", b"5,x\n6,y\n").ids == ("5", "6")


def test_a_workbook_is_read_by_its_id_column_and_whole_numbers_are_ids() -> None:
    content = workbook(("ev", "ID"), ("A", 5), ("B", 6.0), ("C", "7"), ("D", None), ("E", "x"))
    found = from_file("ids.xlsx", content)
    assert found.ids == ("5", "6", "7")
    assert "Line 6" in str(found.problems[0])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("lock.xlsx", b"\x05user" + b" " * 160, "cannot be read as an Excel workbook"),
        ("old.xls", b"\xd0\xcf\x11\xe0\0\0\0\0", "is not a text file"),
        ("huge.txt", b"1\n" * 11_000_000, "is too large: 20 MB"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_sentence_that_names_it(
    name: str, content: bytes, words: str
) -> None:
    with pytest.raises(RequestError, match=words) as refused:
        from_file(name, content)
    assert name in str(refused.value)


def test_a_text_file_of_windows_is_read() -> None:
    assert from_file("ids.txt", "5\r\n6\r\n".encode("utf-16")).ids == ("5", "6")


@pytest.mark.parametrize(
    "heading", ["Key", "Anahtar", "ANAHTAR", "Maç Numarası", "MAÇ NUMARASI", "match id", "Match-ID"]
)
def test_the_number_of_an_item_is_never_taken_for_a_match(heading: str) -> None:
    """As the files of a job once were: its items' numbers first, the ids behind them."""
    content = workbook(("Numara", heading, "Kaynak"), (1, "100001002", "sandbox"))
    found = from_file("job-5.xlsx", content)
    assert found.ids == ("100001002",)
    assert str(found.read) == f"Sheet read: Sheet; column: {heading}. First ids: 100001002"


def test_a_table_with_several_columns_and_none_of_ids_is_refused_with_their_names() -> None:
    with pytest.raises(RequestError) as refused:
        from_file("a.csv", "Numara,Takım\n1,İğdır\n".encode())
    assert "There are: Numara, Takım." in str(refused.value)
    assert "match_id" in str(refused.value)


def test_a_single_column_may_be_headed_anyhow() -> None:
    found = from_file("a.csv", b"wanted\n1\n2\n3\n4\n")
    assert found.ids == ("1", "2", "3", "4")
    assert str(found.read) == "Column read: wanted. First ids: 1, 2, 3, …"


def test_the_first_sheet_that_holds_something_is_read() -> None:
    book = Workbook()
    sheet = book.create_sheet("Maçlar")
    for cell in ("Key", 7):
        sheet.append([cell])
    kept = io.BytesIO()
    book.save(kept)
    found = from_file("a.xlsx", kept.getvalue())
    assert (found.ids, found.problems) == (("7",), ())
    assert "Sheet read: Maçlar" in str(found.read)


def test_an_empty_workbook_holds_no_ids() -> None:
    assert from_file("a.xlsx", workbook()).ids == ()


def test_a_whole_number_may_be_written_with_a_point_in_a_csv() -> None:
    assert from_file("a.csv", b"id\n100001002.0\n7.00\n").ids == ("100001002", "7")
