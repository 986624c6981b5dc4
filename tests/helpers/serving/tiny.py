"""A tiny server on the kit: `python -m tests.helpers.serving.tiny --folder DIR`."""

import argparse
import contextlib
import logging
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import Field
from pydantic_settings import SettingsConfigDict
from starlette.responses import Response

from common.ending import leave
from common.errors import run_command
from serving import kit
from serving.bodies import read_body
from serving.content import FileOpener
from serving.fast.cycle import Found
from serving.fast.head import Head
from serving.listen import open_listener, own_url, parse_address
from serving.rates import RateLimit
from serving.respond import send_content
from serving.run import run
from serving.settings import ServerSettings, add_flags, load_settings

BODY_MAX_BYTES = 8 << 20
HOT = {"Cache-Control": "immutable", "X-Own": "1"}


class TinySettings(ServerSettings):
    """Settings of the tiny server."""

    model_config = SettingsConfigDict(env_prefix="ZOS_TINY_")

    listen: str = Field(default="127.0.0.1:0", description="address and port")
    is_alone: bool = Field(default=False, description="whether only one process can serve")
    fails: bool = Field(default=False, description="whether the application refuses to start")
    folder: Path = Field(default=Path(), description="folder whose files are served")
    is_ready: bool = Field(default=True, description="whether /ready says so")


@contextlib.asynccontextmanager
async def refuse(_app: FastAPI) -> AsyncIterator[None]:
    """Refuse to start."""
    raise RuntimeError("it is told so")
    yield


def add_hot_files(app: FastAPI, folder: Path) -> None:
    """Add files that are answered below ASGI, if their requests are plain."""
    opener = FileOpener()

    @app.api_route("/hot/{name}", methods=["GET", "HEAD"])
    def give_hot_file(request: Request, name: str) -> Response:
        try:
            content = opener.open(folder / name, f'"{name}"')
        except FileNotFoundError:
            raise HTTPException(404, "there is no such file") from None
        return send_content(request, content, "application/octet-stream", HOT)

    def find_hot(head: Head) -> Found | None:
        top, _, name = head.path[1:].partition("/")
        if top != "hot" or "/" in name:
            return None
        try:
            content = opener.open(folder / name, f'"{name}"')
        except OSError:
            return None
        return Found(content, "/hot/{name}", "application/octet-stream", HOT)

    app.state.kit.find = find_hot


def create_app(settings: TinySettings) -> FastAPI:
    """Return the application."""

    app = FastAPI(openapi_url=None, lifespan=refuse if settings.fails else None)
    shared = kit.install(app, settings)
    shared.readiness.checks["flag"] = lambda: None if settings.is_ready else "the flag is down"
    shared.alone = ("it is told so", "one worker") if settings.is_alone else None
    opener = FileOpener()

    @app.api_route("/file/{name}", methods=["GET", "HEAD"])
    def give_file(request: Request, name: str) -> Response:
        content = opener.open(settings.folder / name, f'"{name}"')
        return send_content(request, content, "application/octet-stream", {})

    add_hot_files(app, settings.folder)

    @app.post("/body")
    async def take_body(request: Request) -> dict[str, int]:
        return {"bytes": len(await read_body(request, BODY_MAX_BYTES))}

    @app.get("/number/{value}")
    async def show_number(value: int) -> dict[str, int]:
        logging.getLogger("library").warning("a library's line")
        return {"value": value}

    @app.get("/broken")
    async def break_down() -> None:
        raise RuntimeError("the secret is 42")

    @app.get("/stuck")
    def wait_for_nothing() -> None:
        threading.Event().wait()

    limit = RateLimit(60, 3)

    @app.get("/limited")
    async def count_down(_: Annotated[None, Depends(limit)]) -> dict[str, str]:
        return {}

    return app


def main() -> int:
    """Serve until a signal."""
    parser = argparse.ArgumentParser()
    add_flags(parser, TinySettings)
    flags = vars(parser.parse_args())
    settings = load_settings(TinySettings, flags, flags.pop("config"))
    listener = open_listener(*parse_address(settings.listen))
    url = own_url(listener, is_tls=settings.tls_cert is not None)
    run(create_app(settings), listener, lambda: print(url, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(leave(run_command(lambda _: main(), [], "tiny")))
