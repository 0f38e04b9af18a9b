"""Every sentence the sandbox says to a person, in Turkish and English."""

import os

_HELP_TR = """\
Deneme amaçlı futbol API'si: uydurma ama her seferinde aynı maçlar, isteğe bağlı hatalar.

  python -m app.sandbox [seçenekler]

  --port N            dinlenecek port (8899)
  --host ADRES        dinlenecek adres (127.0.0.1: yalnızca bu bilgisayar)
  --latency-ms N      her yanıttan önce beklenecek süre, milisaniye (0)
  --log DOSYA         her istek için bir JSON satırı eklenecek dosya
  --faults DOSYA      hata planı (JSON listesi); gösteri hatalarının yerini alır
  --no-demo           gösteri hataları olmasın
  --seed N            başka bir sezon için başka bir sayı (1)
  --today YYYY-AA-GG  saat o günün 18:00'inde (UTC) durur
  --quiet             açılışta bir şey yazma
  --help              bu metin

LANGUAGE=en: English."""

_HELP_EN = """\
A pretend football API: made-up matches, the same every time, with faults on demand.

  python -m app.sandbox [options]

  --port N            port to listen on (8899)
  --host ADDRESS      address to listen on (127.0.0.1: this computer only)
  --latency-ms N      wait before every answer, in milliseconds (0)
  --log FILE          file that gets one JSON line per request
  --faults FILE       fault plan (a JSON list); takes the place of the demo faults
  --no-demo           no demo faults
  --seed N            another number for another season (1)
  --today YYYY-MM-DD  the clock stands still at 18:00 UTC of that day
  --quiet             say nothing at start
  --help              this text

LANGUAGE=tr: Türkçe."""

_TEXTS = {
    "help": (_HELP_TR, _HELP_EN),
    "ready": (
        "Deneme API'si hazır: {address}  (durdurmak için Ctrl-C)",
        "The sandbox API is ready: {address}  (Ctrl-C stops it)",
    ),
    "demo": (
        "Gösteri hataları açık: bazı günler ilk istekte hata verir, sonra düzelir. "
        "--no-demo kapatır.",
        "Demo faults are on: some days fail at the first request, then heal. "
        "--no-demo turns them off.",
    ),
    "about": (
        "Fikstür'ün deneme amaçlı futbol API'si. Maçlar uydurmadır.",
        "Fikstür's pretend football API. The matches are made up.",
    ),
    "port_taken": (
        "{port} portu kullanımda: orada başka bir program dinliyor. Onu kapatın ya da --port ile "
        "başka bir sayı verin.",
        "Port {port} is in use: another program listens there. Stop it, or give another number "
        "with --port.",
    ),
    "cannot_listen": (
        "{host}:{port} adresinde dinlenemiyor: {why}.",
        "Cannot listen on {host}:{port}: {why}.",
    ),
    "bad_option": (
        "{option} için değer eksik ya da geçersiz; --help seçenekleri gösterir.",
        "{option} needs a value, or the one given is not valid; --help lists the options.",
    ),
    "unknown_option": (
        "{option} diye bir seçenek yok; --help seçenekleri gösterir.",
        "There is no option {option}; --help lists the options.",
    ),
    "cannot_open": (
        "{path} açılamıyor: {why}.",
        "Cannot open {path}: {why}.",
    ),
    "plan_not_json": (
        "Hata planı geçerli bir JSON değil: {why}.",
        "The fault plan is not valid JSON: {why}.",
    ),
    "plan_not_list": (
        "Hata planı kurallardan oluşan bir JSON listesi olmalı.",
        "The fault plan must be a JSON list of rules.",
    ),
    "rule_not_object": (
        "Hata planının {rule}. kuralı bir JSON nesnesi olmalı.",
        "Rule {rule} of the fault plan must be a JSON object.",
    ),
    "rule_unknown_key": (
        "Hata planının {rule}. kuralında bilinmeyen anahtar: {key}. Bilinenler: {known}.",
        "Rule {rule} of the fault plan has an unknown key: {key}. Known are: {known}.",
    ),
    "rule_no_match": (
        'Hata planının {rule}. kuralında "match" yok.',
        'Rule {rule} of the fault plan has no "match".',
    ),
    "rule_bad_regex": (
        "Hata planının {rule}. kuralında geçersiz düzenli ifade {value}: {why}.",
        "Rule {rule} of the fault plan has a bad regular expression {value}: {why}.",
    ),
    "rule_bad_value": (
        "Hata planının {rule}. kuralında {key} için geçersiz değer: {value}.",
        "Rule {rule} of the fault plan has a bad value for {key}: {value}.",
    ),
    "rule_no_file": (
        "Hata planının {rule}. kuralındaki body_file okunamıyor: {value}.",
        "Rule {rule} of the fault plan names a body_file that cannot be read: {value}.",
    ),
}


def say(key: str, /, **values: object) -> str:
    turkish, english = _TEXTS[key]
    text = english if os.environ.get("LANGUAGE", "tr").lower().startswith("en") else turkish
    return text.format(**values)
