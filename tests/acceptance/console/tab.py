"""The console as somebody in front of a browser has it: signed in, with what the page asks for and complains of."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tests.acceptance.chromium import Browser, Page
from tests.local_router import LocalRouter

_AXE = Path(__file__).parents[3] / "node_modules" / "axe-core" / "axe.min.js"
_WATCH = """
window.broken = [];
document.addEventListener("securitypolicyviolation", (event) => window.broken.push(`${event.violatedDirective} ${event.blockedURI}`));
new MutationObserver((changes, watch) => {
  if (document.querySelector("main h1")) { window.shownAt = performance.now(); watch.disconnect(); }
}).observe(document, { childList: true, subtree: true });
"""

_SPOIL = """
{
const real = window.fetch;
window.fetch = async (url, options) => {
  const how = window.spoil && new URL(url, location).pathname.includes(window.spoil[0]) ? window.spoil[1] : null;
  if (how !== null) window.spoiled = (window.spoiled ?? 0) + 1;
  const refused = (status) => new Response(JSON.stringify({error: {code: "Odd", message: "Not now"}}), {status, headers: {"Retry-After": "1"}});
  if (typeof how === "number") return refused(how);
  if (how === "breaks off") return new Response(new ReadableStream({start: (one) => one.error(new TypeError("network error"))}));
  if (how === "is cut") return new Response('{"value": [');
  if (how === "is late") options = {...options, signal: undefined};
  const answer = await real(url, options);
  if (how === "is late") {
    // After what has been asked since; what comes of it is done a moment later.
    while (!window.letCome) await new Promise((go) => setTimeout(go, 20));
    setTimeout(() => (window.hasCome = true), 100);
  }
  return answer;
};
}
"""


#: What the page does again after a second or more it does four times as often: for who waits in front of it, that is.
_QUICK = """
((real) => {
  window.setTimeout = (then, ms = 0, ...more) => real(then, ms >= 1000 && ms <= 5000 ? ms / 4 : ms, ...more);
})(window.setTimeout);
"""


@dataclass
class Console:
    """A tab with the console in it."""

    page: Page
    router: LocalRouter
    #: Every address that was asked for.
    asked: list[str] = field(default_factory=list)
    #: Requests that are not answered yet.
    under_way: set[str] = field(default_factory=set)
    #: Whom the page may ask beside its router.
    others: tuple[str, ...] = ()
    #: Bytes over the wire, heads included.
    received: float = 0
    #: Whether it is shown anew, which is a reason to ask, when what is waited for does not come soon. Not where it
    #: matters how often the page asks by itself.
    hurries: bool = True
    _spoils: bool = False
    _spoiled: str = ""

    async def open(self, query: str = "", fragment: str = "") -> None:
        await self.page.open("about:blank")
        await self.page.open(f"{self.router.endpoint}/console{query}{fragment and '#' + fragment}")

    async def enter(self, view: str = "/now", *, query: str = "", key: str | None = None) -> None:
        """Signed in by the key in the link, at a view."""
        await self.open(query, f"key={quote(key or self.router.key, safe='')}")
        await self.sees("main:not(.signin)")
        if not query:
            await self.go(view)

    async def spoil(self, path: str = "", how: int | str = "") -> None:
        """From now on, in this page and in those that are opened later: answers with the path in their address are
        refused with a status, break off, are cut, or late: until `letCome`. Without a path they are as they come."""
        if not self._spoils:
            self._spoils = True
            await self.page.send("Page.addScriptToEvaluateOnNewDocument", source=_SPOIL)
            await self.page.run(_SPOIL)
        value = json.dumps([path, how] if path else None)
        if self._spoiled:
            await self.page.send("Page.removeScriptToEvaluateOnNewDocument", identifier=self._spoiled)
        script = await self.page.send("Page.addScriptToEvaluateOnNewDocument", source=f"window.spoil = {value}")
        self._spoiled = str(script["identifier"])
        await self.page.run(f"window.spoiled = 0; window.spoil = {value}")

    async def go(self, view: str) -> None:
        await self.page.run(f"location.hash = {json.dumps('#' + view)}")

    async def job(self, id: str) -> None:
        await self.go(f"/job/{quote(id, safe='')}")
        await self.reads("main h1", id)

    async def worker(self, id: str) -> None:
        await self.go(f"/worker/{quote(id, safe='')}")
        await self.reads("main h1", id)

    async def sees(self, selector: str, seconds: float = 15) -> None:
        await self._until(f"!!document.querySelector({json.dumps(selector)})", seconds)

    async def misses(self, selector: str, seconds: float = 15) -> None:
        await self._until(f"!document.querySelector({json.dumps(selector)})", seconds)

    async def reads(self, selector: str, text: str, seconds: float = 15) -> None:
        """Until an element that the selector finds has the text in it."""
        await self._until(
            f"[...document.querySelectorAll({json.dumps(selector)})].some((one) => one.textContent.includes({json.dumps(text)}))",
            seconds,
        )

    async def _until(self, expression: str, seconds: float) -> None:
        await self.page.until(expression, seconds, self._hurry if self.hurries else None)

    async def _hurry(self) -> None:
        await self.page.run("document.dispatchEvent(new Event('visibilitychange'))")

    async def text(self, selector: str) -> str:
        return str(await self.page.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    async def act(self, name: str, **values: Any) -> None:
        """Opens the act's dialog by a click, and fills it in."""
        await self.sees(f"main [data-act={name}]")
        await self.page.click(f"main [data-act={name}]")
        await self.sees("dialog[open]")
        for field_name, value in values.items():
            await self.fill(f"#field-{field_name}", value)

    async def confirm(self, *, done: bool = True) -> None:
        await self.page.click("dialog button[type=submit]")
        if done:
            await self.misses("dialog")

    async def fill(self, selector: str, value: Any) -> None:
        """A choice is made when there is one: what was made just now comes with the next picture."""
        chosen = f"[...field.options].some((one) => one.value === {json.dumps(str(value))})"
        await self.page.until(
            f"((field) => field.tagName !== 'SELECT' || {chosen})(document.querySelector({json.dumps(selector)}))"
        )
        await self.page.run(
            f"(() => {{ const field = document.querySelector({json.dumps(selector)}); field.focus();"
            f" if (field.tagName === 'SELECT') {{ field.value = {json.dumps(str(value))}; field.dispatchEvent(new Event('change', {{bubbles: true}})); }}"
            " else field.select(); })()"
        )
        if await self.page.run(f"document.querySelector({json.dumps(selector)}).tagName") == "INPUT":
            await self.page.type(str(value))

    async def tab_to(self, reached: str, most: int = 300) -> None:
        """Press the Tab key until the element that has the focus matches a selector."""
        for _ in range(most):
            if await self.page.run(f"document.activeElement.matches({json.dumps(reached)})"):
                return
            await self.page.press("Tab")
        raise AssertionError(f"the Tab key never reached {reached}")

    async def offered_acts(self) -> list[str]:
        found: list[str] = await self.page.run(
            "[...document.querySelectorAll('main [data-act]')].map((one) => one.dataset.act)"
        )
        return found

    async def faults(self, *, colours_alone: bool = False) -> list[str]:
        """What axe finds serious or critical in what is shown."""
        if not await self.page.run("Boolean(window.axe)"):
            await self.page.run(f"(() => {{ {_AXE.read_text('utf-8')} }})()")
        rules = ", runOnly: ['color-contrast', 'link-in-text-block']" if colours_alone else ""
        found = await self.page.run(
            f"axe.run(document, {{preload: false, resultTypes: ['violations'] {rules}}}).then((found) => found.violations"
            ".filter((one) => ['serious', 'critical'].includes(one.impact))"
            ".map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' ')}`))"
        )
        return list(found)

    async def check(self) -> None:
        """The page has kept to its own origin and to its policy, and the key is in no address, storage or title."""
        allowed = tuple(f"{origin}/" for origin in (self.router.endpoint, *self.others))
        assert [url for url in self.asked if url.startswith("http") and not url.startswith(allowed)] == []
        assert await self.page.run("window.broken") == []
        # A request that is refused is in the browser's log too: that is no fault of the page.
        complaints = [one for one in self.page.complaints if "'source': 'network'" not in one]
        assert complaints == [], "\n".join(complaints)
        kept = await self.page.run(
            "JSON.stringify([location.href, document.title, {...localStorage}, {...sessionStorage}, document.cookie,"
            " history.state])"
        )
        # What begins like this is a token of Entra; its codes are good for one.
        assert "eyJ" not in kept
        assert [url for url in self.asked if "eyJ" in url or "code=" in urlsplit(url).query] == []
        for secret in (self.router.key, quote(self.router.key, safe="")):
            assert secret not in kept
            assert [url for url in self.asked if secret in f"{urlsplit(url).path}?{urlsplit(url).query}"] == []
            assert [one for one in self.page.complaints if secret in one] == []


@asynccontextmanager
async def console(
    browser: Browser,
    router: LocalRouter,
    width: int = 1280,
    height: int = 900,
    *,
    always_seen: bool = True,
    quick: bool = False,
) -> AsyncIterator[Console]:
    """A tab that counts as seen, whatever other tabs there are; otherwise it is seen while it is in front. `quick`: its
    rhythm is half a second instead of two."""
    async with browser.tab(width, height) as page:
        opened = Console(page, router)

        def received(event: dict[str, Any]) -> None:
            opened.received += event["encodedDataLength"]
            opened.under_way.discard(event["requestId"])

        def said(event: dict[str, Any]) -> None:
            if event["type"] in ("error", "assert"):
                page.complaints.append(str([one.get("description", one.get("value")) for one in event["args"]]))

        page.on("Runtime.consoleAPICalled", said)

        def asks(event: dict[str, Any]) -> None:
            opened.asked.append(event["request"]["url"])
            opened.under_way.add(event["requestId"])

        page.on("Network.requestWillBeSent", asks)
        page.on("Network.loadingFinished", received)
        page.on("Network.loadingFailed", lambda event: opened.under_way.discard(event["requestId"]))
        await page.send("Network.enable")
        await page.send("Emulation.setFocusEmulationEnabled", enabled=always_seen)
        await page.send("Page.addScriptToEvaluateOnNewDocument", source=_WATCH + (_QUICK if quick else ""))
        yield opened
        await opened.check()
