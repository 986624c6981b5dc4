"""What only a debug profile may have: ways into a node beside the network protocols of its
workloads.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from image.errors import ImageError
from image.recipe.recipe import Recipe

# Files by which somebody could log in or run a program of their own.
WAYS_IN = (
    "*/authorized_keys*", "etc/passwd*", "etc/shadow*", "etc/group*", "etc/gshadow*", "etc/pam.d/*",
    "etc/ssh/*", "etc/sudoers*", "etc/inittab", "init", "sbin/*", "bin/*", "usr/lib/zero-os-debug*",
)  # fmt: skip
SHELLS = ("ash", "bash", "busybox", "dash", "ksh*", "mksh", "sh", "zsh*")
LOGINS = (
    "agetty", "dropbear*", "getty", "login", "rlogind", "rshd", "sshd*", "su", "sudo", "telnetd",
)  # fmt: skip
PROGRAMS = (*SHELLS, *LOGINS, "nc", "nc.*", "ncat", "socat", "tcpsvd")
PROGRAM_FOLDERS = ("bin/", "sbin/", "libexec/", "lib/")
# Kernel parameters that start another program, or weaken the kernel.
PARAMETERS = (
    "init=*", "rdinit=*", "systemd.debug*", "kgdb*", "kgdboc=*", "mitigations=off",
    "module.sig_enforce=0", "nokaslr", "sysrq_always_enabled*",
)  # fmt: skip


def check_production(recipe: Recipe) -> None:
    """Raise `ImageError` if a profile that is not for debugging has a way in."""
    paths = [item.path for item in (*recipe.files, *recipe.services)]
    check_paths(recipe, [*paths, *recipe.package_files])
    _refuse(
        recipe,
        [word for word in recipe.parameters if any(fnmatchcase(word, one) for one in PARAMETERS)],
    )


def check_paths(recipe: Recipe, paths: Iterable[str]) -> None:
    """Raise `ImageError` if one of `paths` is a way in, unless the profile is for debugging."""
    _refuse(recipe, [f"/{path}" for path in paths if is_way_in(path)])


def is_way_in(path: str) -> bool:
    """Return whether a path, or a glob of paths, names a login, a shell or an account."""
    if any(fnmatchcase(path, pattern) for pattern in WAYS_IN):
        return True
    folder, _, name = path.rpartition("/")
    is_program = any(part in f"{folder}/" for part in PROGRAM_FOLDERS)
    return is_program and any(fnmatchcase(name, one) or fnmatchcase(one, name) for one in PROGRAMS)


def _refuse(recipe: Recipe, ways: list[str]) -> None:
    if ways and not recipe.debug:
        raise ImageError(
            f"cannot use the profile {recipe.name}: it has a way into a node: {', '.join(ways)}",
            hint="remove it, or mark the release as one for debugging: debug = true",
        )
