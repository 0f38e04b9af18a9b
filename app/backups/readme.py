"""What stands in every archive for somebody who has nothing but unzip, zstd and age."""

_TEXT = """\
Fikstür backup {id}

Recovery by hand, without Fikstür (unzip, sha256sum, zstd, age, openssl, jq; sqlite3 for the last).
Elle kurtarma, Fikstür olmadan: aşağıdaki komutlar yeter.

1. Unpack / aç
     unzip ARCHIVE.zip -d backup && cd backup

2. Check / denetle: every member's sha256 stands in MANIFEST.json
     jq -r '.members[] | .sha256 + "  " + .name' MANIFEST.json | sha256sum --check
   The manifest is signed (Ed25519) with the key of the installation that made it:
     printf 302a300506032b6570032100{public} | xxd -r -p > key.der
     openssl pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin -in MANIFEST.json \\
       -sigfile MANIFEST.sig

3. {decrypt}

4. A table / bir tablo: one JSON array per row, in the order of its primary key
     {cat}db/logical/match/*.jsonl.zst{end}
   The names of its columns, in the same order / sütun adları:
     {one}db/schema.json.zst{one_end} | jq -r '.tables[] | select(.name=="match").columns[][0]'

5. Into a spreadsheet or a database / tabloya ya da veritabanına
     … | jq -r '@csv' > match.csv
     sqlite3 found.db '.import --csv match.csv match'

Times are UTC. Binary values are base64. Parts of a table follow each other by number.
Hash of a whole table (db/schema.json: sha256) = sha256sum of all its lines, on any engine.
"""


def readme(backup_id: str, public: str, *, encrypted: bool) -> bytes:
    """README.txt of one archive."""
    if encrypted:
        decrypt = (
            "Encrypted with age: the identity (AGE-SECRET-KEY-1…) opens it / kimlik dosyası gerekir"
        )
        words = {
            "cat": "for f in ",
            "end": ".age; do age -d -i IDENTITY.txt $f | zstd -d; done",
            "one": "age -d -i IDENTITY.txt ",
            "one_end": ".age | zstd -d",
        }
    else:
        decrypt = "Not encrypted / şifreli değil"
        words = {"cat": "zstd -dc ", "end": "", "one": "zstd -dc ", "one_end": ""}
    return _TEXT.format(id=backup_id, public=public, decrypt=decrypt, **words).encode()
