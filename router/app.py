"""The composition root: settings, clients and stores, built once, on first use."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import azure.functions as func

from router import settings as settings_module
from router.api.console import Console, sign_in_of
from router.api.functions import http_functions
from router.api.triggers import triggers
from router.outages import Health, Surroundings, WrongClock, is_told
from router.settings import Settings, SettingsError
from router.storage.port import StorageUnavailable

if TYPE_CHECKING:
    from router.api.gate import Gate
    from router.commit.parts import Parts
    from router.storage.port import Tables
    from router.upkeep.deadlines import DeadlineRunner

_log = logging.getLogger(__name__)

#: Who asks for health gives up soon, and restarts what does not answer.
_HEALTH_SECONDS: Final = 3.0


@dataclass(frozen=True)
class _Built:
    parts: Parts
    gate: Gate
    runner: DeadlineRunner
    #: Looks after the timer as long as the process lives.
    standby: asyncio.Task[None]


class RouterApp:
    """One router process. Nothing is read or connected before the first call."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings
        self._building: asyncio.Task[_Built] | None = None
        self._built: _Built | None = None
        self._around = Surroundings()
        self._console: Console | None = None

    async def parts(self) -> Parts:
        return (await self._ready()).parts

    async def gate(self) -> Gate:
        return (await self._ready()).gate

    async def deadlines(self) -> DeadlineRunner:
        return (await self._ready()).runner

    async def health(self) -> Health:
        """Whether storage answers and the app is ready; the message names what is wrong, never a value. It takes a few
        seconds at most."""
        around = self._around
        began = False
        try:
            async with asyncio.timeout(_HEALTH_SECONDS):
                parts = (await self._ready()).parts
                began = True
                await parts.tables.ready()
            around.clock.check()
        except SettingsError as error:
            _log.error("The router is not ready: %s", error)
            return Health(False, str(error))
        except TimeoutError:
            if not began and around.storage.seconds is None:
                return Health(False, "The router is starting.")
            if began:
                around.storage.failed(f"no answer within {_HEALTH_SECONDS:.0f} s")
            return Health(False, "Storage does not answer.", around.silent())
        except StorageUnavailable as error:
            if not is_told(error):
                _log.warning("The router is not ready: %s", error)
            return Health(False, "Storage does not answer.", around.silent())
        except WrongClock as error:
            return Health(False, str(error), around.silent())
        except Exception:
            _log.exception("The router could not start")
            return Health(False, "The router could not start; its log says why.")
        silent = around.silent()
        if silent:
            return Health(True, "It serves, but not everything answers: events wait in their rows.", silent)
        return Health(True, "ready")

    def console(self) -> Console:
        """The console's page, which needs no storage. Raises SettingsError."""
        if self._console is None:
            settings = self._settings or settings_module.load()
            self._console = Console(
                sign_in_of(settings), local=not settings.on_app_service, history=settings.history_days > 0
            )
        return self._console

    async def _ready(self) -> _Built:
        if self._built is not None:
            return self._built
        # All who wait share the try that is under way, and its failure: none waits for the tries of others first.
        if self._building is None:
            self._building = asyncio.create_task(self._build(), name="put the app together")
            self._building.add_done_callback(self._put_together)
        return await asyncio.shield(self._building)

    def _put_together(self, building: asyncio.Task[_Built]) -> None:
        self._building = None
        if not building.cancelled() and building.exception() is None:
            self._built = building.result()

    async def _build(self) -> _Built:
        # Imported here: indexing the functions must stay cheap.
        from router.api.auth.authenticate import Authenticator
        from router.api.auth.entra import EntraTokens
        from router.api.auth.hmac import AccessKeys
        from router.api.auth.ratelimit import RateLimiter
        from router.api.auth.target import TargetReader
        from router.api.cors import Cors
        from router.api.gate import Gate
        from router.clock import PROCESS_CLOCK, SystemClock
        from router.collector import collect_seldom
        from router.commit.parts import Parts
        from router.engine.facts import Thresholds
        from router.events.envelope import EventSchema
        from router.events.publisher import EventPublisher
        from router.events.topic import Topic
        from router.ids import Ids
        from router.rules.engine import RuleEngine
        from router.rules.http.client import RuleHttpClient
        from router.rules.secrets import SecretBox
        from router.telemetry.setup import configure
        from router.upkeep.deadlines import DeadlineRunner
        from router.upkeep.procedures import PROCEDURES
        from router.upkeep.standby import Standby

        settings = self._settings or settings_module.load()
        configure(settings.applicationinsights_connection_string)
        ids = Ids()
        topic = Topic(settings.eventgrid_endpoint, key=settings.eventgrid_key, client_id=settings.client_id)
        schema = EventSchema.CLOUD_EVENTS if settings.eventgrid_schema == "CloudEvents" else EventSchema.EVENT_GRID
        secrets = SecretBox(settings.secrets_key) if settings.secrets_key else None
        http = RuleHttpClient(
            allow_private_networks=settings.rules_allow_private_networks,
            allow_http_loopback=settings.rules_allow_http_loopback,
            jitter=ids.fraction,
        )
        parts = Parts(
            tables=_tables(settings, self._around),
            clock=PROCESS_CLOCK,
            ids=ids,
            publisher=EventPublisher(topic, schema=schema, jitter=ids.fraction, around=self._around),
            rules=RuleEngine(http, secrets),
            procedures=PROCEDURES,
            around=self._around,
            history_days=settings.history_days,
            thresholds=Thresholds(settings.service_level_seconds, settings.short_abandon_seconds),
            report_zone=settings.report_zone,
        )
        try:
            await parts.tables.ready()
        except BaseException:
            await parts.tables.close()  # the next request tries with new ones
            raise
        entra = (
            EntraTokens(settings.entra_tenant_id, settings.entra_audiences, authority=settings.entra_authority)
            if settings.entra_tenant_id
            else None
        )
        has_keys = settings.access_keys or settings.read_keys
        keys = AccessKeys(settings.access_keys, settings.read_keys) if has_keys else None
        gate = Gate(
            parts=parts,
            clock=SystemClock(),
            authenticator=Authenticator(keys, entra, roles_required=settings.entra_roles_required),
            limiter=RateLimiter(settings.rate_limit),
            targets=TargetReader(on_app_service=settings.on_app_service),
            token_keys=settings.access_keys or (settings.secrets_key or settings.entra_tenant_id or "",),
            secrets=secrets,
            http_on_loopback=settings.rules_allow_http_loopback,
            cors=Cors(frozenset(settings.cors_origins)),
            on_app_service=settings.on_app_service,
        )
        collect_seldom()
        runner = DeadlineRunner(parts)
        standby = asyncio.create_task(Standby(parts, runner).run(), name="stand by for the timer")
        return _Built(parts, gate, runner, standby)


def _tables(settings: Settings, around: Surroundings) -> Tables:
    from router.storage.azure import AzureTables
    from router.telemetry import tracing

    traced = tracing.active()
    if settings.tables_connection_string:
        return AzureTables.from_connection_string(
            settings.tables_connection_string, settings.tables_prefix, traced=traced, around=around
        )
    from azure.identity.aio import DefaultAzureCredential

    credential = DefaultAzureCredential(managed_identity_client_id=settings.client_id)
    assert settings.tables_endpoint is not None
    return AzureTables.from_endpoint(
        settings.tables_endpoint, credential, settings.tables_prefix, traced=traced, around=around
    )


def create_app(settings: Settings | None = None) -> func.FunctionApp:
    """The function app with all its functions."""
    router = RouterApp(settings)
    app = func.FunctionApp()
    app.register_functions(http_functions(router))
    app.register_functions(triggers(router))
    return app
