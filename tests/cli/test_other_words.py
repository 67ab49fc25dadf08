"""Other words for commands: those that work, and those that are explained."""

from __future__ import annotations

import re

import pytest

from cbox_init.cli.app import commands, run
from cbox_init.cli.group import ALIASES
from cbox_init.cli.other_words import WORDS, OtherWord, unknown_word

KNOWN = (*commands.commands, *ALIASES)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("update", "'update' of supervisorctl is here: `cbox-init reload-config`"),
        ("UPDATE", "'update' of supervisorctl is here: `cbox-init reload-config`"),
        ("jlist", "'jlist' of pm2 is here: `cbox-init list --json`"),
        ("s6-svstat", "'s6-svstat' of s6 is here: `cbox-init status NAME`"),
        ("daemon-reload", "'daemon-reload' of systemctl is here: `cbox-init reload-config`"),
        ("journlctl", "'journalctl' of systemd is here: `cbox-init logs NAME`, `cbox-init logs -f NAME`"),
        ("pm2", ": leave this word out, as in `cbox-init restart NAME`"),
        ("restrat", "did you mean 'restart'?"),
        ("statsu", "did you mean 'status'?"),  # nearer to the 'stats' of docker
        (
            "rm",
            "'rm' of docker and circusctl is here: edit the configuration file, then `cbox-init reload-",
        ),
        ("\x1b[2J", "no command is called '\\x1b[2J'"),
    ],
)
def test_an_unknown_word(word: str, said: str) -> None:
    line = unknown_word(word, KNOWN)
    assert line.startswith("no command is called ")
    assert said in line


def test_a_word_like_none() -> None:
    assert unknown_word("qqqqqqqq", KNOWN) == "no command is called 'qqqqqqqq'"


def test_no_word_is_a_command() -> None:
    words = [one.word for one in WORDS]
    assert sorted(set(words)) == sorted(words)
    assert not set(words) & set(KNOWN)
    assert set(ALIASES.values()) <= set(commands.commands)
    assert not set(ALIASES) & set(commands.commands)


@pytest.mark.parametrize("other", WORDS, ids=lambda one: one.word)
def test_what_is_named_exists(other: OtherWord) -> None:
    """Each text in backquotes that begins with the name of a command has options that the command knows."""
    for words in (text.split() for text in re.findall("`([^`]+)`", other.here)):
        if words[0] not in commands.commands:
            continue
        known = {flag for option in commands.commands[words[0]].params for flag in option.opts}
        assert [word for word in words[1:] if re.match("--?[a-z]", word) and word not in known] == []


@pytest.mark.parametrize("word", ALIASES)
def test_an_alias_is_its_command(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([word, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: cbox-init {ALIASES[word]} ")
