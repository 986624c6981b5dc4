"""What a report costs at least: `python -m bench.registry_nodes.plain --file FILE`.

A server on the same kit that verifies a report's signature and inserts one row, and nothing else:
no order, no account of time, no log.
"""

import argparse
import sys
from pathlib import Path

from fastapi import FastAPI, Request
from pydantic import Field
from pydantic_settings import SettingsConfigDict
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, insert
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from common.ending import leave
from common.errors import run_command
from common.nodes.envelope import MAX_BYTES, open_envelope
from serving import kit
from serving.bodies import read_body
from serving.database import create_tables, open_file
from serving.listen import open_listener, own_url, parse_address
from serving.run import run
from serving.settings import ServerSettings, add_flags, load_settings

METADATA = MetaData()
REPORTS = Table(
    "reports",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)


class PlainSettings(ServerSettings):
    """Settings of the plain server."""

    model_config = SettingsConfigDict(env_prefix="ZOS_PLAIN_")

    listen: str = Field(default="127.0.0.1:0", description="address and port")
    file: Path = Field(description="the database")


def create_app(settings: PlainSettings) -> FastAPI:
    """Return the application."""
    app = FastAPI()
    kit.install(app, settings)
    database = open_file(settings.file)
    create_tables(database, METADATA)

    def write(data: bytes) -> None:
        with database.writing() as connection:
            connection.execute(insert(REPORTS).values(data=data))

    @app.post("/api/v1/nodes/{node}/reports")
    async def take(request: Request, node: str) -> JSONResponse:
        envelope = open_envelope(await read_body(request, MAX_BYTES), "report")
        await run_in_threadpool(write, envelope.signed)
        return JSONResponse({"node": node})

    return app


def main() -> int:
    """Serve until a signal."""
    parser = argparse.ArgumentParser()
    add_flags(parser, PlainSettings)
    flags = vars(parser.parse_args())
    settings = load_settings(PlainSettings, flags, flags.pop("config"))
    listener = open_listener(*parse_address(settings.listen))
    url = own_url(listener, is_tls=False)
    run(create_app(settings), listener, lambda: print(url, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(leave(run_command(lambda _: main(), [], "plain")))
