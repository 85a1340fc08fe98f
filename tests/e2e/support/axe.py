"""axe-core on a page: WCAG 2.2 AA, with the offending element in the message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from playwright.async_api import Page

from tests.fixtures.requirements import REPOSITORY, missing

AXE: Final = REPOSITORY / "node_modules" / "axe-core" / "axe.min.js"
RULES: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


async def violations(page: Page, tags: Sequence[str] = RULES) -> list[str]:
    """Run axe on `page` as it is now and give one line per violation: rule, impact, element, what is wrong.

    The script is run through the debugger's isolated evaluation, so that the page's CSP stays as it is.
    """
    if not AXE.is_file():
        missing("axe-core is not there: run `npm ci`")
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    result: dict[str, Any] = await page.evaluate(
        "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']})", list(tags)
    )
    return [
        f"{found['id']} ({found['impact']}): {node['html'][:160]} -- {' '.join(node['failureSummary'].split())[:300]}"
        for found in result["violations"]
        for node in found["nodes"]
    ]


async def check(page: Page, tags: Sequence[str] = RULES) -> None:
    """Raise AssertionError if `page` breaks any rule of `tags`."""
    found = await violations(page, tags)
    assert not found, f"{page.url} is not accessible:\n  " + "\n  ".join(found)
