"""The site of docs/: every page is in its navigation, and every link between pages leads somewhere."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
CONFIG = DOCS / "site" / "mkdocs.yml"


def anchors(page):
    """The headings of a page, as addresses."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        words = re.sub(r"[^\w\s-]", "", heading.lower()).strip()
        yield re.sub(r"[\s-]+", "-", words)


def test_the_navigation_has_every_page_once():
    assert sorted(re.findall(r": (\S+\.md)$", CONFIG.read_text(), re.MULTILINE)) == PAGES


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    file = DOCS / page
    text = re.sub(r"^```.*?^```", "", file.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", text):
        other = (file.parent / target).resolve() if target else file
        assert other.is_file() and other.is_relative_to(DOCS), f"{page} links to {target}"
        assert not anchor or anchor in anchors(other), f"{page} links to {target}#{anchor}"
