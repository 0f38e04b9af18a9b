"""The recovery kit: what somebody needs on paper to open backups without this machine."""

from dataclasses import dataclass
from datetime import datetime

from app.backups.keyring import Key
from app.backups.keys import install_id
from app.core.text import N_, Sentence


@dataclass(frozen=True, slots=True)
class Kit:
    """What stands on it. The secret half is in here and nowhere else."""

    identity: str
    recipient: str
    short: str
    installation: str
    at: datetime

    def __repr__(self) -> str:
        return f"Kit({self.short})"


def kit_of(identity: str, key: Key, public: str, at: datetime) -> Kit:
    """The kit of a key that was made this moment; `public` is the installation's own."""
    return Kit(identity, key.recipient, key.short, install_id(public), at)


INTRODUCTION = N_(
    "With this key, and only with it, the encrypted backups can be opened. It is shown this once "
    "and kept nowhere: print this page, or write the key down, and keep it where a fire that takes "
    "the server does not take it too. Who has it can read everything in the backups."
)
# What to do, and the command for it.
STEPS = (
    (
        N_("Write the key into a file identity.txt. With Fikstür, on any machine:"),
        "flask --app wsgi backup restore NAME.zip --identity identity.txt",
    ),
    (
        N_("Without it, with unzip, age and zstd, one member of an archive after the other:"),
        "unzip NAME.zip\n"
        "age --decrypt -i identity.txt -o part.zst db/logical/TABLE/00000.jsonl.zst.age\n"
        "zstd --decompress part.zst",
    ),
    (
        N_("To see whether the key opens a backup, without changing anything:"),
        "flask --app wsgi backup drill NAME.zip --identity identity.txt",
    ),
)


def as_text(kit: Kit, language: str) -> str:
    """For a terminal or a file."""
    heading = Sentence(N_("Recovery kit of Fikstür")).to(language)
    facts = (
        (N_("Recovery key"), kit.identity),
        (N_("Fingerprint"), kit.short),
        (N_("Public half"), kit.recipient),
        (N_("Installation"), kit.installation),
        (N_("Made on"), Sentence("%(at)s", {"at": kit.at}).to(language)),
    )
    lines = [heading, "=" * len(heading), "", Sentence(INTRODUCTION).to(language), ""]
    lines += [f"{Sentence(name).to(language)}: {value}" for name, value in facts]
    for told, command in STEPS:
        lines += ["", Sentence(told).to(language), *(f"    {one}" for one in command.split("\n"))]
    return "\n".join(lines) + "\n"
