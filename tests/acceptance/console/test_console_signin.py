"""The way in: by key and by Microsoft Entra ID, and what is shown where it leads nowhere."""

from __future__ import annotations

import asyncio

import pytest

from tests.acceptance.console.floor import Floor
from tests.acceptance.console.tab import Console
from tests.acceptance.console.tenant import Tenant
from tests.acceptance.desk import Desk

pytestmark = [
    pytest.mark.ours,
    pytest.mark.timeout(600),  # a fresh machine installs the browser first
    pytest.mark.asyncio(loop_scope="session"),
]

MICROSOFT = ".ways button[type=button]"
RIGHTS = "/routing/rights"
#: Before the page has cleared up, it is told that it is time to ask.
_ASKS_WHEN_SIGNED_OUT = """
new MutationObserver(() => {
  if (document.querySelector(".signin")) document.dispatchEvent(new Event("visibilitychange"));
}).observe(document, { childList: true, subtree: true });
"""
_PRESSES_AT_ONCE = f"""
window.open = () => null;
new MutationObserver((changes, watch) => {{
  const way = document.querySelector("{MICROSOFT}");
  if (way) watch.disconnect(), way.click();
}}).observe(document, {{ childList: true, subtree: true }});
"""
_A_MOMENT = "new Promise((go) => setTimeout(go, 200))"


async def with_microsoft(tab: Console, tenant: Tenant, hash: str = "") -> None:
    tab.others = (tenant.authority,)
    await tab.open(fragment=hash)
    await tab.sees(MICROSOFT)
    await tab.page.until("!!window.msal")
    await tab.page.click(MICROSOFT)


async def readable(tab: Console) -> None:
    for scheme in ("light", "dark"):
        await tab.page.scheme(scheme)
        assert await tab.faults(colours_alone=scheme == "dark") == [], scheme


async def test_a_router_that_does_not_answer_has_not_refused_the_key(tab: Console) -> None:
    """It is asked again, and the sign-in goes on by itself; who does not want to wait goes back."""
    for how in (503, 429):
        await tab.spoil(RIGHTS, how)
        await tab.open()
        await tab.sees("#key")
        await tab.fill("#key", tab.router.key)
        await tab.page.press("Enter")
        await tab.reads(".patience", "The page asks again")
        assert await tab.text(".trouble") == "", how
        if how == 503:
            await readable(tab)
        await tab.spoil()
        await tab.reads(".who", "Administrator")
    # A link with a key is no other way.
    await tab.spoil(RIGHTS, "breaks off")
    await tab.open(fragment=f"key={tab.router.key}")
    await tab.reads(".patience", "The router does not answer.")
    await tab.page.until("document.activeElement.id === 'begin-again'")
    await tab.page.press("Enter")
    await tab.page.until("document.activeElement.matches('.ways button')")
    asked = len(tab.asked)
    await tab.spoil()
    await asyncio.sleep(0.8)  # longer than it pauses
    assert not any(RIGHTS in url for url in tab.asked[asked:])
    # What it does refuse it says.
    await tab.spoil(RIGHTS, 403)
    await tab.fill("#key", tab.router.key)
    await tab.page.press("Enter")
    await tab.reads(".trouble", "Not now")


async def test_a_key_that_is_none_is_told_apart(tab: Console) -> None:
    await tab.open()
    for key, told in (("no key", "base64"), ("c2hvcnQ=", "too short")):
        await tab.sees("#key")
        await tab.fill("#key", key)
        await tab.page.press("Enter")
        await tab.reads(".trouble", told)
    await tab.fill("#key", "A" * 86 + "==")
    await tab.page.press("Enter")
    await tab.reads(".trouble", "The router does not take this")


async def test_nothing_moves_under_who_is_about_to_press(tab: Console) -> None:
    """All ways in come at once, however late it is known which there are."""
    await tab.spoil("/console/settings.json", 503)
    await tab.page.send(
        "Page.addScriptToEvaluateOnNewDocument",
        source="new MutationObserver(() => { const key = document.querySelector('#key'); if (key) (window.placesOfKey ??="
        " new Set()).add(key.getBoundingClientRect().y); }).observe(document, {childList: true, subtree: true});",
    )
    await tab.open()
    # The first time that it does not answer is shown, however soon that is known.
    await tab.page.until(
        "document.querySelector('.patience').textContent.includes('The router does not answer.') && window.spoiled === 1"
    )
    await tab.misses("#key")
    await readable(tab)
    await tab.spoil()
    await tab.sees(MICROSOFT)
    await tab.page.until("!!window.msal")
    assert await tab.page.run("window.placesOfKey.size") == 1


async def test_sign_in_with_entra(floor: Floor, tab: Console, tenant: Tenant, desk: Desk) -> None:
    """By a code with a proof, in a window of its own; the token is in no storage, no address and no log."""
    tenant.person = "5d0b2ad0-0d3c-4c60-9f42-0d7a3f7a0002"
    queue = desk.queue(name="For Entra")
    # A token that ends soon is renewed by the one that renews it, without a window.
    tenant.lasts = 200
    await with_microsoft(tab, tenant)
    await tab.reads(".who", "Supervisor")
    await tab.reads(f"tr[data-id='{queue}']", "For Entra")
    assert tenant.proofs == [True]
    assert tenant.renewed > 0
    assert tenant.refused == []
    kept = await tab.page.run("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert kept == '[{},{},""]'
    assert "eyJ" not in floor.router.output()


async def test_who_presses_before_all_is_loaded_signs_in_once(tab: Console, tenant: Tenant) -> None:
    """By the client that is being prepared: another one would not have its tokens."""
    tab.others = (tenant.authority,)
    await tab.page.send("Page.addScriptToEvaluateOnNewDocument", source=_PRESSES_AT_ONCE)
    await tab.open()
    await tab.reads(".trouble", "Allow this page to open windows")
    assert await tab.page.run("document.querySelectorAll('script[src*=msal]').length") == 1


async def test_a_sign_in_that_has_ended_is_asked_for_again(tab: Console, tenant: Tenant, desk: Desk) -> None:
    """A tenant that does not answer has ended nothing."""
    tenant.person, tenant.lasts = "5d0b2ad0-0d3c-4c60-9f42-0d7a3f7a0003", 200
    job = desk.queued(desk.queue())
    await with_microsoft(tab, tenant)
    await tab.reads(".who", "Supervisor")
    await tab.job(job)
    tenant.is_down = True
    await tab.page.until("document.querySelector('.contact').dataset.state !== 'live'")
    await tab.reads("main h1", job)
    tenant.is_down = False
    await tab.reads(".contact", "Live", 30)
    tenant.has_ended = True
    await tab.reads(".signin .trouble", "Your sign-in has ended. Sign in again (AADSTS700084).", 30)
    await readable(tab)
    # Whoever does goes on where it was.
    tenant.has_ended = False
    await tab.page.click(MICROSOFT)
    await tab.reads("main h1", job)


async def test_who_is_signed_out_is_told_why_and_nothing_else(tab: Console) -> None:
    """What the page was about to ask at that moment says no more than that nobody is signed in."""
    await tab.page.send("Page.addScriptToEvaluateOnNewDocument", source=_ASKS_WHEN_SIGNED_OUT)
    await tab.spoil()
    await tab.enter()
    await tab.spoil("/routing/live", 401)
    await tab.reads(".trouble", "Signed out: Not now")
    await tab.page.run(_A_MOMENT)
    assert await tab.text(".trouble") == "Signed out: Not now"
    # Who signs out needs no reason.
    await tab.spoil()
    await tab.enter()
    await tab.page.click("header button")
    await tab.sees("#key")
    await tab.page.run(_A_MOMENT)
    assert await tab.text(".trouble") == ""


@pytest.mark.parametrize(
    ("role", "who", "acts"),
    [
        ("Read", "May read", []),
        ("Supervise", "Supervisor", ["assignWork", "logOut", "takeBack"]),
        ("Agent", "Agent", ["accept", "decline", "logOut"]),
    ],
)
async def test_roles_show_and_hide_acts(
    tab: Console, tenant: Tenant, desk: Desk, role: str, who: str, acts: list[str]
) -> None:
    queue = desk.queue(expires=300)
    tenant.person, tenant.roles = desk.id("person"), (f"Router.{role}",)
    worker = desk.worker(queue, tags={"entraObjectId": tenant.person})
    job = desk.job(queue)
    desk.offer(worker, job)
    await with_microsoft(tab, tenant, f"/worker/{worker}")
    await tab.reads(".who", who)
    await tab.sees(f"[data-offer='{job}']")
    assert sorted(await tab.offered_acts()) == acts


async def test_a_sign_in_that_comes_to_nothing_says_why(floor: Floor, tab: Console, tenant: Tenant) -> None:
    tenant.person, tenant.person_refuses = "5d0b2ad0-0d3c-4c60-9f42-0d7a3f7a0004", True
    await with_microsoft(tab, tenant)
    await tab.reads(".trouble", "it was cancelled, or consent was declined")
    await tab.reads(".trouble", "User declined to consent (AADSTS65004)")
    await readable(tab)
    tenant.person_refuses = False

    # Its window is closed, of which nobody is told.
    tenant.dawdles = True
    await tab.page.click(MICROSOFT)
    await tab.reads(".underway", "Go on in the window")
    await tab.page.until("'msal.interaction.status' in sessionStorage")
    # Meanwhile it stands in the tab's storage that somebody signs in, and nothing that helps to do so.
    kept = await tab.page.run("[Object.keys({...localStorage}), Object.keys({...sessionStorage}), document.cookie]")
    assert kept == [[], ["msal.interaction.status"], ""]
    await floor.browser.close(tenant.authority)
    await tab.page.until("document.activeElement.id === 'begin-again'")
    await readable(tab)
    await tab.page.press("Enter")
    tenant.dawdles = False

    # No window comes.
    await tab.sees(MICROSOFT)
    await tab.page.run("window.realOpen = window.open; window.open = () => null")
    await tab.page.click(MICROSOFT)
    await tab.reads(".trouble", "Allow this page to open windows")
    await tab.page.run("window.open = window.realOpen")

    tenant.is_down = True
    await tab.page.click(MICROSOFT)
    await tab.reads(".trouble", "Microsoft Entra ID does not answer")
    tenant.is_down = False

    # The tenant knows it, and the router does not let it in.
    await tab.spoil(RIGHTS, 403)
    await tab.page.click(MICROSOFT)
    await tab.reads(".trouble", "Not now")
    await tab.spoil()
    await tab.page.click(MICROSOFT)
    await tab.reads(".who", "Supervisor")
