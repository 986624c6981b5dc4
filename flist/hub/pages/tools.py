"""The forms at 0-hub's addresses: what they ask for, by the names that its clients send."""

from typing import NamedTuple

MULTIPART = "multipart/form-data"


class Field(NamedTuple):
    """One input."""

    name: str
    label: str
    kind: str = "text"
    accept: str = ""


class Tool(NamedTuple):
    """A form. Without fields it is only a text."""

    title: str
    lead: str
    action: str = ""
    fields: tuple[Field, ...] = ()
    button: str = ""
    method: str = "post"
    enctype: str = ""


UPLOAD = Tool(
    "Upload an archive",
    "A .tar.gz becomes a flist of the same name in your repository.",
    "upload",
    (Field("file", "Archive, a file that ends in .tar.gz", "file", ".gz"),),
    "Upload",
    enctype=MULTIPART,
)
UPLOAD_FLIST = Tool(
    "Upload a flist",
    "The hub takes a flist if it has all the blocks that the flist names.",
    "upload-flist",
    (Field("file", "Flist, a file that ends in .flist or .fl", "file", ".flist,.fl"),),
    "Upload",
    enctype=MULTIPART,
)
MERGE = Tool(
    "Merge flists",
    "Of each path, the first flist that has it wins.",
    "merge",
    (
        Field("flists[]", "First flist, as USER/FLIST"),
        Field("flists[]", "Second flist"),
        Field("flists[]", "Third flist"),
        Field("name", "Name of the result"),
    ),
    "Merge",
)
DOCKER = Tool(
    "Convert a container image",
    "An image of a registry becomes a flist in your repository.",
    "docker-convert",
    (Field("docker-input", "Image, such as library/redis:7"),),
    "Convert",
)
SEARCH = Tool(
    "Search", "Flists with these letters in their name.", "search",
    (Field("search", "Part of a name", "search"),), "Search", "get",
)  # fmt: skip
LOGIN_METHOD = Tool("Sign in first", "Sign in with your name and password, then go on.")
LOGOUT = Tool("Sign out", "The button at the top of the page ends your session.")
READ_ONLY = Tool("Read only", "This hub takes no changes at the moment. Everything can be read.")
