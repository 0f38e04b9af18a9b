"""Tables as files: XLSX with typed cells and CSV that no spreadsheet takes for formulas.

Both are written to a temporary file, a row at a time: neither the rows nor the file need fit into
memory, and no database transaction waits for somebody's slow line.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from itertools import chain, islice
from tempfile import TemporaryFile
from typing import IO, Any
from zoneinfo import ZoneInfo

from flask import current_app
from werkzeug.wrappers import Response

Value = int | float | datetime | date | str | None
Write = Callable[[IO[bytes], Sequence[str], Iterable[Sequence[Value]], str], None]

MOST_IN_TITLE = 28  # Excel takes 31; a second sheet of the name gets a number
ROWS_PER_SHEET = 1_000_000  # Excel ends at 1,048,576
MOST_CHARACTERS = 32_767  # of a cell
CHUNK = 64 * 1024
MEASURED = 200  # rows that say how wide a column is
WIDTHS = (8, 60)  # characters: at least, at most
TIME_WIDTH = 19
_NOT_IN_TITLE = re.compile(r"[\[\]:*?/\\']")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_xlsx(
    file: IO[bytes], header: Sequence[str], rows: Iterable[Sequence[Value]], title: str = ""
) -> None:
    """Numbers are numbers, times are times in the reader's zone, text is never a formula."""
    from openpyxl import Workbook  # here: it would cost every worker six megabytes

    book = Workbook(write_only=True)
    left = iter(rows)
    while True:
        some = islice(left, ROWS_PER_SHEET)
        first = next(some, None)
        if first is None and book.worksheets:
            break
        sheet = book.create_sheet(_NOT_IN_TITLE.sub(" ", title)[:MOST_IN_TITLE] or None)
        _fill(sheet, header, _and(first, some))
    book.save(file)
    book.close()


def _fill(sheet: Any, header: Sequence[str], rows: Iterator[Sequence[Value]]) -> None:
    from openpyxl.utils import get_column_letter

    measured = list(islice(rows, MEASURED))
    for at, name in enumerate(header):
        width = max([len(name) + 3, *(_width(row[at]) for row in measured)])
        sheet.column_dimensions[get_column_letter(at + 1)].width = sorted((width, *WIDTHS))[1]
    sheet.freeze_panes = "A2"
    sheet.append(list(_cells(sheet, header)))
    count = 1
    for count, row in enumerate(chain(measured, rows), start=2):  # noqa: B007  the last one counts
        sheet.append(list(_cells(sheet, row)))
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(header))}{count}"


def _width(value: Value) -> int:
    return TIME_WIDTH if isinstance(value, datetime) else len(str(value))


def _and(
    first: Sequence[Value] | None, rest: Iterable[Sequence[Value]]
) -> Iterator[Sequence[Value]]:
    if first is not None:
        yield first
    yield from rest


def _cells(sheet: Any, row: Sequence[Value]) -> Iterator[Any]:
    zone = _zone()
    for value in row:
        if isinstance(value, datetime):
            yield _local(value, zone)
        elif isinstance(value, str):
            yield _text(sheet, value)
        else:
            yield value


def _text(sheet: Any, value: str) -> Any:
    """As it is. What looks like a formula is marked as text, and stays so when it is edited."""
    value = _NOT_IN_XML.sub("", value)[:MOST_CHARACTERS]
    if not value.startswith(_FORMULA):
        return value
    from openpyxl.cell import WriteOnlyCell

    cell = WriteOnlyCell(sheet, value)
    cell.data_type = "s"
    cell.quotePrefix = True
    return cell


def write_csv(
    file: IO[bytes], header: Sequence[str], rows: Iterable[Sequence[Value]], _title: str = ""
) -> None:
    """UTF-8 with a mark that Excel wants; text like a formula gets an apostrophe before it."""
    zone = _zone()
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    for row in rows:
        writer.writerow([_plain(value, zone) for value in row])
    text.detach()  # flushes; the file stays open


def _plain(value: Value, zone: ZoneInfo) -> Value:
    if isinstance(value, datetime):
        return f"{_local(value, zone):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _zone() -> ZoneInfo:
    return ZoneInfo(current_app.config["FIKSTUR"].time_zone)


def _local(value: datetime, zone: ZoneInfo) -> datetime:
    """To the second, without a zone: a spreadsheet knows none."""
    return value.astimezone(zone).replace(tzinfo=None, microsecond=0)


FORMATS: dict[str, tuple[Write, str]] = {
    "xlsx": (write_xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "csv": (write_csv, "text/csv"),
}


def download(
    name: str, form: str, header: Sequence[str], rows: Iterable[Sequence[Value]], title: str
) -> Response:
    """The table as a file called `name`, in one of FORMATS; a sheet of it is called `title`."""
    write, mimetype = FORMATS[form]
    file = TemporaryFile()  # noqa: SIM115  closed when it is sent
    try:
        write(file, header, rows, title)
    except BaseException:
        file.close()
        raise
    size = file.seek(0, io.SEEK_END)
    answer = Response(_sent(file), mimetype=mimetype)
    answer.content_length = size
    answer.headers.set("Content-Disposition", "attachment", filename=f"{name}.{form}")
    answer.call_on_close(file.close)  # also when whoever asked has gone away
    return answer


def _sent(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while chunk := file.read(CHUNK):
            yield chunk
