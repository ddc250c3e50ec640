"""Completion scripts for shells, made of the command's own parser."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Final

SHELLS: Final = ("bash", "zsh", "fish")

_BASH: Final = """\
_jobrouter() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" words
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    else
        case "${{COMP_WORDS[1]}}" in
{cases}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    [ ${{#COMPREPLY[@]}} -gt 0 ] || COMPREPLY=($(compgen -f -- "$word"))
}}
complete -o filenames -F _jobrouter jobrouter
"""


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """What `eval "$(jobrouter completion bash)"` takes."""
    by_command = words(parser)
    if shell == "fish":
        lines = [f"complete -c jobrouter -n __fish_use_subcommand -f -a '{' '.join(by_command)}'"]
        lines += [
            f"complete -c jobrouter -n '__fish_seen_subcommand_from {name}' -a '{' '.join(more)}'"
            for name, more in by_command.items()
        ]
        return "\n".join(lines) + "\n"
    cases = "\n".join(f'        {name}) words="{" ".join(more)}" ;;' for name, more in by_command.items())
    text = _BASH.format(commands=" ".join(by_command), cases=cases)
    start = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    return start + text


def words(parser: argparse.ArgumentParser) -> Mapping[str, list[str]]:
    """By subcommand: its options, and the words of its choices."""
    (commands,) = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    found: dict[str, list[str]] = {}
    for name, command in commands.choices.items():
        words: list[str] = []
        for action in command._actions:
            words += [option for option in action.option_strings if option.startswith("--")]
            if not action.option_strings and action.choices:
                words += [str(choice) for choice in action.choices]
        found[name] = words
    return found
