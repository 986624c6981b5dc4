"""Sizes and targets as 0-hub writes them."""

KIB = 1024


def size_text(size: int) -> str:
    """Return a size as listings show it: "1.05 KB"."""
    return f"{size / KIB:.2f} KB"


def split_target(target: str) -> tuple[str, str]:
    """Return repository and name of a link's stored target."""
    repo, _, name = target.partition("/")
    return repo, name


def listed_target(repo: str, target: str, *, in_tag: bool = False) -> str:
    """Return a link's target as listings show it: without the repository if it is the same."""
    place, name = split_target(target)
    return name if place == repo and not in_tag else target


def relative_target(repo: str, target: str) -> str:
    """Return a link's target as `light` shows it: relative to the repository's folder."""
    place, name = split_target(target)
    return name if place == repo else f"../{target}"


def tag_target(target: str) -> str:
    """Return a tag link's target as clients read it: USER/tags/TAG."""
    repo, tag = split_target(target)
    return f"{repo}/tags/{tag}"
