"""Carries out the call of one connection: who asks, may they, do it, write it down."""

import asyncio
import contextlib
import datetime
import json
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from common.ipc.errors import IpcError
from core.api.console import show
from core.api.errors import RefusedError
from core.api.http import Exchange, refusal_of
from core.api.node import Node
from core.api.openapi import describe
from core.api.routes import (
    ARCHIVE,
    JSON,
    TOP,
    Route,
    check_values,
    choose_method,
    find_routes,
    from_text,
)
from core.certificates.check import check_certificate
from core.certificates.names import CertificateError, Holder
from core.errors import CoreError

DESCRIPTION = f"{TOP}/openapi.json"
STREAMS_MAX = 8


@dataclass(frozen=True)
class Caller:
    """The other side of a connection, as TLS knows it."""

    address: str
    certificate: bytes


class Calls:
    """Answers calls for a node of a farm."""

    def __init__(self, node: Node, farm: int, executor: Executor) -> None:
        self.node = node
        self.farm = farm
        self.farm_key: bytes | None = None
        self._executor = executor
        self._streams = asyncio.Semaphore(STREAMS_MAX)

    async def handle(self, exchange: Exchange, caller: Caller) -> None:
        """Answer one call; write it down before it is carried out, and what came of a change."""
        holder: Holder | None = None
        try:
            await exchange.read()
            holder = self.holder_of(caller)
            await self.carry_out(exchange, holder, caller)
        except (CoreError, IpcError) as error:
            refusal = refusal_of(error)
            self.note(exchange, caller, holder, "refused", refusal.status)
            if not exchange.is_begun:
                await exchange.refuse(refusal)

    def holder_of(self, caller: Caller) -> Holder:
        """Return who calls. Raises `RefusedError`."""
        if self.farm_key is None:
            raise RefusedError(403, "this node does not know its farm's key")
        now = datetime.datetime.now(datetime.UTC)
        try:
            return check_certificate(caller.certificate, self.farm, self.farm_key, now)
        except CertificateError as error:
            raise RefusedError(403, error.message, hint=error.hint) from error

    async def carry_out(self, exchange: Exchange, holder: Holder, caller: Caller) -> None:
        """Do what is asked, if the caller may."""
        request = exchange.request
        if request.path == DESCRIPTION and request.method in ("GET", "HEAD"):
            self.note(exchange, caller, holder, "called")
            await exchange.answer(200, describe(), JSON)
            return
        routes, named = find_routes(request.path)
        route = choose_method(routes, request.method)
        if holder.role < route.role:
            raise RefusedError(
                403,
                f"a {holder.role.word} may not do this: it takes a {route.role.word}",
                hint="zos node certificate --role makes a certificate with another role",
            )
        is_change = route.method == "POST"
        given = request.content() if is_change else from_text(route, request.pairs())
        if (is_change and request.query) or (not is_change and request.body):
            raise RefusedError(422, "parameters of GET are in the query, of POST in the body")
        values = check_values(route, {**given, **named})
        self.note(exchange, caller, holder, "called")
        if request.method == "HEAD":
            await exchange.begin(200, route.kind)
            await exchange.end()
        elif route.kind == JSON:
            value = await self.run(lambda: route.function(self.node, values))
            await exchange.answer(200, value, JSON)
            if is_change:
                self.note(exchange, caller, holder, "done", 200)
        else:
            await self.send_stream(exchange, route, values)

    async def send_stream(
        self, exchange: Exchange, route: Route, values: Mapping[str, Any]
    ) -> None:
        """Send what a call yields, until it ends or the caller goes."""
        if self._streams.locked():
            raise RefusedError(503, "too many streams are open", hint="try again later")
        async with self._streams:
            items: Generator[Any] = route.function(self.node, values)
            watch = asyncio.ensure_future(exchange.gone())
            try:
                await self.send_items(exchange, route, items, watch)
            finally:
                watch.cancel()
                with contextlib.suppress(ValueError):  # it runs: this process ends
                    await self.run(items.close)

    async def send_items(
        self, exchange: Exchange, route: Route, items: Generator[Any], watch: "asyncio.Future[None]"
    ) -> None:
        """Send the items; the first one before the header, so that a refusal can be told."""
        while True:
            step = asyncio.ensure_future(self.run(lambda: next(items, None)))
            await asyncio.wait((step, watch), return_when=asyncio.FIRST_COMPLETED)
            item = await step  # also if the caller has gone: a thread is still at it
            if watch.done():
                return
            if not exchange.is_begun:
                await exchange.begin(200, route.kind)
            if item is None:
                await exchange.end()
                return
            is_bytes = route.kind == ARCHIVE
            await exchange.write(item if is_bytes else json.dumps(item).encode() + b"\n")

    async def run(self, function: Callable[[], Any]) -> Any:
        """Run what blocks beside the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    def note(
        self,
        exchange: Exchange,
        caller: Caller,
        holder: Holder | None,
        event: str,
        status: int | None = None,
    ) -> None:
        """Write a line into the audit log, and to the console."""
        request = exchange.request
        entry = self.node.audit.write(
            event=event,
            caller=holder.name if holder else None,
            role=holder.role.word if holder else None,
            address=caller.address,
            method=request.method,
            path=request.path,
            status=status,
        )
        show(entry)
