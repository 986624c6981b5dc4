"""Which Python modules go into a release: those that the node's programs reach, by these tables.

A test imports every module of a release with its own Python, and compares.
"""

from image.recipe.plan import PROJECT, STDLIB

# Modules of Debian packages that a node imports beside its wheels. They use the OpenSSL that Python
# uses, and the libzstd that OpenSSL uses; the wheels have their own.
DEBIAN_FOLDER = "usr/lib/python3/dist-packages"
DEBIAN_MODULES = ("_cffi_backend.*", "cryptography/*", "zstandard/*")

DEBUG_FOLDER = "usr/lib/zero-os-debug"
ROOTS = (f"{STDLIB}/lib-dynload", STDLIB, PROJECT, DEBUG_FOLDER)

# Modules that no import names: for "python3 FILE", for text encodings, and for C code.
STARTS = (
    "_strptime",
    "encodings.aliases",
    "encodings.ascii",
    "encodings.charmap",
    "encodings.cp437",
    "encodings.idna",
    "encodings.iso8859_1",
    "encodings.latin_1",
    "encodings.punycode",
    "encodings.raw_unicode_escape",
    "encodings.unicode_escape",
    "encodings.utf_16*",
    "encodings.utf_8*",
    "runpy",
)

# Modules that a module imports by a computed name, or from C code.
HIDDEN = {
    "cryptography.hazmat.bindings._rust": ("_cffi_backend", "cryptography.hazmat.*"),
    "flist.cli": ("flist.commands.*",),
    "flist.store.base": ("flist.store.*",),
    "pyroute2.netlink.rtnl.ifinfmsg": ("pyroute2.netlink.rtnl.ifinfmsg.plugins.*",),
    "zero_os.cli": ("flist.cli", "zero_os.node", "zinit.client.cli"),
    "zinit.control.late": ("zinit.*",),
}

# Modules that no node needs although something imports them: for other systems, for people at a
# terminal, for tests. `pyroute2` is the package itself: `node.network.netlink` replaces it.
BARRED = (
    "_aix_support", "_android_support", "_apple_support", "_codecs_*", "_ctypes_test*", "_curses*",
    "_dbm", "_decimal", "_gdbm", "_ios_support", "_lsprof", "_osx_support", "_py_abc",
    "_pydatetime", "_pydecimal", "_pyrepl*", "_sysconfigdata*", "_test*", "_tkinter",
    "_xxtestfuzz*", "antigravity", "asyncio.__main__", "asyncio.windows_*", "bdb", "cProfile",
    "code", "codeop", "colorsys", "ctypes._aix", "ctypes.macholib*", "curses*", "dbm*", "decimal",
    "doctest", "encodings.mbcs", "encodings.oem", "ensurepip*", "fractions", "idlelib*", "mailbox",
    "modulefinder", "multiprocessing.dummy*", "multiprocessing.heap", "multiprocessing.managers",
    "multiprocessing.pool", "multiprocessing.popen_spawn_win32", "multiprocessing.shared*",
    "nturl2path", "pdb", "pickletools", "plistlib", "profile", "pstats", "pyclbr", "pydoc*",
    "pyroute2", "pyroute2.bsd*", "pyroute2.iproute.bsd", "pyroute2.iproute.windows", "readline",
    "rlcompleter", "setuptools*", "site", "sitecustomize", "statistics", "tabnanny", "test*",
    "tkinter*", "trace", "turtle*", "urllib3.contrib.emscripten*",
    "urllib3.contrib.pyopenssl", "venv*", "webbrowser", "xmlrpc*", "zstandard.backend_cffi",
    "zstandard._cffi",
)  # fmt: skip

# Files of wheels that no node uses; paths inside the wheel.
WHEELS_WITHOUT = ("*.dist-info/*", "*.pxd", "*.pyi", "*.pyx", "*/py.typed")

# The project's own packages on a node, and the files left out of them.
NODE_PACKAGES = ("common", "flist", "node", "zero_os", "zinit")
NODE_WITHOUT = (
    "*/__pycache__/*",
    "common/debian/*",
    "common/efi/*",
    "common/scratch*",
    "common/sealed*",
    "flist/hub/*",
    "node/etc/*",
    "zero_os/boot/*",
    "zero_os/develop*",
    "zero_os/shell/*",
)
