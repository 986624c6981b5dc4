"""The kinds of what is built: a release, whose initramfs boots a node, and the flist `zos-core`.

Both are Debian's Python with wheels and packages of this project; the tables here say how they
differ. "*" in a path also matches slashes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from image.model import Device
from image.recipe import plan, python

# path = module, function, arguments
Programs = Mapping[str, tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind; `extras` are those of pyproject.toml, whose requirements become wheels.

    `libraries` are loaded by name at run time. Of this project, the packages `project` are
    included, except for the files `without`, and the folder `etc`, as /etc. `tools` are the
    programs that a build runs.
    """

    name: str
    packages: tuple[str, ...]
    extras: tuple[str, ...]
    has_kernel: bool
    system_files: tuple[str, ...]
    libraries: tuple[str, ...]
    symlinks: Mapping[str, str]
    directories: Mapping[str, int]
    devices: Mapping[str, Device]
    small_files: Mapping[str, str]
    project: tuple[str, ...]
    without: tuple[str, ...]
    etc: str
    programs: Programs
    hidden: Mapping[str, tuple[str, ...]]
    barred: tuple[str, ...]
    tools: tuple[str, ...]


RELEASE = Kind(
    name="release",
    packages=plan.PACKAGES,
    extras=(),
    has_kernel=True,
    system_files=plan.SYSTEM_FILES,
    libraries=plan.LOADED_LIBRARIES,
    symlinks=plan.SYMLINKS,
    directories=plan.DIRECTORIES,
    devices=plan.DEVICES,
    small_files=plan.SMALL_FILES,
    project=python.NODE_PACKAGES,
    without=python.NODE_WITHOUT,
    etc="node/etc",
    programs={
        "init": (
            "zinit.boot",
            "main",
            f'last_file="/{plan.LAST_FILE}", needs_mib={plan.MEMORY_MIB}',
        ),
        "usr/bin/rfs": ("flist.cli", "entry", ""),
        "usr/bin/zinit": ("zinit.client.cli", "entry", ""),
        "usr/bin/zos": ("zero_os.cli", "main", ""),
    },
    hidden=python.HIDDEN,
    barred=python.BARRED,
    tools=(plan.PYTHON, "usr/bin/kmod"),
)

# The daemons have a read-only root, in which a node puts its own /dev, /proc, /run and /sys. There
# is no shell in it. `core/etc` has the users and the services.
CORE = Kind(
    name="core",
    packages=(
        *("ca-certificates", "libgcc-s1", "libpython3.13-stdlib", "libseccomp2"),
        *("libtss2-tcti-device0t64", "python3-cryptography", "python3-zstandard"),
        *("python3.13-minimal", "tpm2-tools"),
    ),
    extras=("core",),
    has_kernel=False,
    system_files=(plan.PYTHON, "usr/bin/tpm2"),
    libraries=("libgcc_s.so.1", "libseccomp.so.2", "libtss2-tcti-device.so.0"),
    symlinks={
        **{path: plan.SYMLINKS[path] for path in plan.SYMLINKS if path != "etc/mtab"},
        "etc/resolv.conf": "/run/zero-os/resolv.conf",
    },
    directories={
        path: mode
        for path, mode in plan.DIRECTORIES.items()
        if path.partition("/")[0] not in ("home", "mnt", "root", "var")
    },
    devices={},
    small_files={
        path: text
        for path, text in plan.SMALL_FILES.items()
        if path not in ("etc/passwd", "etc/group")
    },
    project=("common", "core", "flist", "zero_os", "zinit"),
    without=(
        *(pattern for pattern in python.NODE_WITHOUT if pattern != "common/efi/*"),
        *("core/etc/*", "core/remote/*"),
    ),
    etc="core/etc",
    programs={"usr/bin/zos": ("zero_os.cli", "main", "")},
    hidden=python.HIDDEN | {"core.cli": ("core.*",), "zero_os.cli": ("core.cli",)},
    barred=(
        *(name for name in python.BARRED if name != "pyroute2"),
        *("psutil._psaix", "psutil._psbsd", "psutil._psosx", "psutil._pssunos"),
        "psutil._pswindows",
        "ifaddr._win32",
    ),
    tools=(plan.PYTHON,),
)

KINDS: Mapping[str, Kind] = {one.name: one for one in (RELEASE, CORE)}
