"""Checks the services that a profile adds, by `zinit check` of this project."""

import sys
from pathlib import Path

from common.run import CommandError, run
from common.scratch import scratch
from image.errors import ImageError
from image.parts.project import TOP, collect_sources
from image.recipe.load import SERVICES_FOLDER
from image.recipe.recipe import Recipe

DEADLINE_S = 60


def check_services(recipe: Recipe) -> None:
    """Raise `ImageError` if a service has a mistake, or names one that is not there.

    The node's own services stand beside those of the profile. Programs are not looked up, since
    they are in the image and not on this machine.
    """
    if not recipe.services:
        return
    with scratch("services") as folder:
        own = {
            p: f.content
            for p, f in collect_sources(recipe.kind).files()
            if p.startswith(SERVICES_FOLDER)
        }
        added = {item.path: item.content for item in recipe.services}
        for path, content in (own | added).items():
            (folder / Path(path).name).write_bytes(content)
        try:
            run(
                [sys.executable, "-m", "zero_os", "zinit", "check", folder],
                timeout_s=DEADLINE_S,
                cwd=TOP,
            )
        except CommandError as error:
            text = error.message.replace(f"{folder}/", "")
            raise ImageError(f"cannot use the services of the profile {recipe.name}: {text}") from (
                error
            )
