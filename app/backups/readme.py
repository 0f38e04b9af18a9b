"""What stands in every archive for somebody who has nothing but unzip, zstd and age."""

_TEXT = """\
Fikstür backup {id}

Recovery by hand, without Fikstür: 1 and 4 need unzip, zstd and age, the rest also sha256sum,
openssl, xxd, jq, sqlite3. Elle kurtarma, Fikstür olmadan: aşağıdaki komutlar yeter.

1. Unpack / aç
     unzip ARCHIVE.zip -d backup && cd backup{chain}

2. Check / denetle: every member's sha256 stands in MANIFEST.json
     jq -r '.members[], .borrowed[] | .sha256 + "  " + .name' MANIFEST.json | sha256sum --check
   The manifest is signed (Ed25519) with the key of the installation that made it:
     printf 302a300506032b6570032100{public} | xxd -r -p > key.der
     openssl pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin -in MANIFEST.json \\
       -sigfile MANIFEST.sig

3. {decrypt}

4. A table / bir tablo: one JSON array per row, in the order of its primary key
     {table}
   The names of its columns, in the same order / sütun adları ("match" → "columns"):
     {schema}

5. Into a spreadsheet or a database / tabloya ya da veritabanına
     jq -r '.tables[] | select(.name=="match").sha256 + "  match.jsonl"' schema.json \\
       | sha256sum --check
     jq -r '.tables[] | select(.name=="match") | [.columns[][0]] | @csv' schema.json > match.csv
     jq -r '@csv' match.jsonl >> match.csv
     sqlite3 found.db '.import --csv match.csv match'
{media}
Times are UTC. Binary values are base64. Parts of a table follow each other by number.
Hash of a whole table (db/schema.json: sha256) = sha256sum of all its lines, on any engine.
"""


_PLAIN = {
    "decrypt": "Not encrypted / şifreli değil",
    "table": "zstd -dc db/logical/match/*.jsonl.zst > match.jsonl",
    "schema": "zstd -dc db/schema.json.zst > schema.json",
}
_ENCRYPTED = {
    "decrypt": "Encrypted with age: the identity (AGE-SECRET-KEY-1…) opens it; here it is the file "
    "IDENTITY.txt\n   beside the archive / kimlik dosyası gerekir",
    "table": "for f in db/logical/match/*.jsonl.zst.age; do age -d -i ../IDENTITY.txt $f "
    "| zstd -dc; done > match.jsonl",
    "schema": "age -d -i ../IDENTITY.txt db/schema.json.zst.age | zstd -dc > schema.json",
}


_CHAIN = """
   It builds on earlier archives, named under "bases": put them beside it / yanına koyun
     jq -r '.bases[] | "unzip -qo ../" + .file + " -d ../" + .id' MANIFEST.json | sh
     jq -r '.borrowed[] | "mkdir -p $(dirname " + .name + ") && cp ../" + .held_by + "/" +
       .held_as + " " + .name' MANIFEST.json | sh"""
_MEDIA = """
6. The media folder / dosyalar, into "media-files"
     {list} > index.jsonl
     jq -r 'select(.lack == null) | (.content // .sha256) as $c | [$c[:2], $c, .path] | @tsv' \\
       index.jsonl | while IFS="$(printf '\\t')" read -r start blob path; do
     path="media-files/$(printf %b "$path")"
     mkdir -p "$(dirname "$path")"
     {blob} > "$path"
     done
"""
_PLAIN_MEDIA = {
    "list": "zstd -dc media/index.jsonl.zst",
    "blob": 'zstd -dc "media/blobs/$start/$blob.zst"',
}
_ENCRYPTED_MEDIA = {
    "list": "age -d -i ../IDENTITY.txt media/index.jsonl.zst.age | zstd -dc",
    "blob": 'age -d -i ../IDENTITY.txt "media/blobs/$start/$blob.zst.age" | zstd -dc',
}


def readme(
    backup_id: str, public: str, *, encrypted: bool, media: bool = False, chain: bool = False
) -> bytes:
    """README.txt of one archive: its commands do what they say as they stand there."""
    words = _ENCRYPTED if encrypted else _PLAIN
    files = _MEDIA.format(**(_ENCRYPTED_MEDIA if encrypted else _PLAIN_MEDIA)) if media else ""
    more = {"media": files, "chain": _CHAIN if chain else ""}
    return _TEXT.format(id=backup_id, public=public, **words, **more).encode()
