"""Completion for bash, zsh and fish as text. Pure.

Bash and zsh share one function: it finds the command in the words that were typed, and offers its
subcommands and options, the choices of an option, or files.
"""

import shlex
from collections.abc import Sequence

from zero_os.shell.commands import Command, Option

BASH = """\
_zos_words() {{
    case "$1" in
{words}    esac
}}

_zos_choices() {{
    case "$1" in
{choices}    *) return 1 ;;
    esac
}}

_zos() {{
    local word command=zos at current="${{COMP_WORDS[COMP_CWORD]}}" offered
    for ((at = 1; at < COMP_CWORD; at++)); do
        word="${{COMP_WORDS[at]}}"
        case " $(_zos_words "$command") " in
            *" $word "*) [[ $word == -* ]] || command="$command $word" ;;
        esac
    done
    if ! offered="$(_zos_choices "$command ${{COMP_WORDS[COMP_CWORD-1]}}")"; then
        offered="$(_zos_words "$command")"
    fi
    COMPREPLY=($(compgen -W "$offered" -- "$current"))
    if [[ ${{#COMPREPLY[@]}} -eq 0 || $offered == "" ]]; then
        COMPREPLY+=($(compgen -f -- "$current"))
    fi
}}

complete -o filenames -F _zos zos
"""
ZSH_HEAD = "#compdef zos\nautoload -U +X bashcompinit && bashcompinit\n\n"


def bash(commands: Sequence[Command]) -> str:
    """Return the script for bash."""
    words, choices = [], []
    for command in commands:
        name = " ".join(command.words)
        offered = [*command.subcommands, *(flag for o in command.options for flag in o.flags)]
        words.append(f"    {shlex.quote(name)}) echo {shlex.quote(' '.join(offered))} ;;\n")
        for option in command.options:
            for flag in option.flags if option.choices else ():
                text = shlex.quote(" ".join(option.choices))
                choices.append(f"    {shlex.quote(f'{name} {flag}')}) echo {text} ;;\n")
    return BASH.format(words="".join(words), choices="".join(choices))


def zsh(commands: Sequence[Command]) -> str:
    """Return the script for zsh, to be sourced or put into `fpath` as `_zos`."""
    return ZSH_HEAD + bash(commands)


def fish(commands: Sequence[Command]) -> str:
    """Return the script for fish."""
    summaries = {command.words: command.summary for command in commands}
    lines = []
    for command in commands:
        seen = [f"__fish_seen_subcommand_from {word}" for word in command.words[1:]]
        unseen = [f"not __fish_seen_subcommand_from {' '.join(command.subcommands)}"]
        here = "; and ".join([*seen, *(unseen if command.subcommands else [])])
        for name in command.subcommands:
            text = shlex.quote(summaries.get((*command.words, name), ""))
            lines.append(f"complete -c zos -f -n {shlex.quote(here)} -a {name} -d {text}\n")
        lines += [fish_option(option, here) for option in command.options if option.flags]
    return "".join(lines)


def fish_option(option: Option, condition: str) -> str:
    """Return the line of one option."""
    words = ["complete -c zos", "-n", shlex.quote(condition)]
    for flag in option.flags:
        words += ["-l", flag[2:]] if flag.startswith("--") else ["-s", flag[1:]]
    words += ["-r"] if option.argument else []
    words += ["-f", "-a", shlex.quote(" ".join(option.choices))] if option.choices else []
    words += ["-d", shlex.quote(option.help)] if option.help else []
    return " ".join(words) + "\n"


SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}
