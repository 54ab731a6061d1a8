# SPDX-License-Identifier: Apache-2.0
"""The documents as a small static site: ``python -m scripts.site``, or ``make docs``.

The site has the repository's tree, so that a link is right in both: ``README.md`` becomes
``index.html``, each other page its ``.html``, and what pages link to is copied beside them. It
loads nothing from elsewhere. A link, an anchor or a picture that leads nowhere fails the build.
"""

from __future__ import annotations

import dataclasses
import itertools
import posixpath
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from hw import cli, disk

__all__ = ["PAGES", "SiteError", "build", "main"]

PROGRAM = "python -m scripts.site"
ROOT = Path(__file__).parent.parent
_TEMPLATE = Path(__file__).with_suffix(".html")
_STYLES = (ROOT / "model/cost/wide.css", Path(__file__).with_suffix(".css"))

PAGES = {
    "Begin": ("README.md", "docs/tutorial.md", "docs/results.md", "docs/glossary.md"),
    "Hardware": (
        "docs/architecture.md", "docs/shift-ip.md", "docs/tile.md", "docs/accelerator.md",
        "docs/fpga.md", "fpga/protocol.md",
    ),
    "Networks": ("docs/training.md", "docs/intnet.md", "docs/compression.md"),
    "Cost": ("docs/cost.md", "docs/cost-model.md", "docs/cost-example.md"),
    "Checks": ("docs/verification.md", "CONTRIBUTING.md"),
}  # fmt: skip
"""What is listed beside each page, and in which order."""


class SiteError(Exception):
    """The documents are no whole site; the message is one line."""


@dataclasses.dataclass(frozen=True)
class _Page:
    tokens: list[Token]
    title: str
    headings: tuple[tuple[int, str, str], ...]
    """Level, anchor and text of each."""

    @property
    def anchors(self) -> set[str]:
        return {anchor for _, anchor, _ in self.headings}


def _coloured(code: str, language: str, _attributes: str) -> str:
    """Return a block of code with its words marked; empty leaves it to markdown-it."""
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        return ""
    words = highlight(code, lexer, HtmlFormatter(nowrap=True))
    return f'<pre class="code {escape(language)}"><code>{words}</code></pre>\n'


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True, "highlight": _coloured}).enable("table")
    # A wide table scrolls by itself.
    parser.add_render_rule("table_open", lambda *_: '<div class="wide"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return parser


def _anchor(text: str, taken: Sequence[str]) -> str:
    """Return a heading's anchor, as GitHub makes it."""
    plain = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
    count = sum(re.fullmatch(rf"{re.escape(plain)}(-\d+)?", each) is not None for each in taken)
    return f"{plain}-{count}" if count else plain


def _read(parser: MarkdownIt, root: Path, name: str) -> _Page:
    try:
        tokens = parser.parse((root / name).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SiteError(f"{name} must be a readable page: {error}") from None
    headings: list[tuple[int, str, str]] = []
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(each.content for each in inline.children or ())
            anchor = _anchor(text, [anchor for _, anchor, _ in headings])
            opening.attrSet("id", anchor)
            headings.append((int(opening.tag[1:]), anchor, text))
    titles = [text for level, _, text in headings if level == 1]
    if len(titles) != 1:
        raise SiteError(f"{name} must have one heading of the first level, not {len(titles)}")
    return _Page(tokens, titles[0], tuple(headings))


def _place(name: str) -> str:
    """Return where a page lies in the site."""
    return "index.html" if name == "README.md" else f"{name.removesuffix('.md')}.html"


def _relative(target: str, name: str) -> str:
    return posixpath.relpath(target, posixpath.dirname(name) or ".")


def _lead(name: str, link: str, pages: Mapping[str, _Page], root: Path) -> tuple[str, str | None]:
    """Return where a page's link leads in the site, and which file it needs there.

    Raises
    ------
    SiteError
        If it leads nowhere.
    """
    parts = urlsplit(link)
    if parts.scheme:
        return link, None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(parts.path)))
    target = path if parts.path else name
    if target in pages:
        if parts.fragment and unquote(parts.fragment) not in pages[target].anchors:
            raise SiteError(f"{name}: {link} must be a heading of {target}")
        anchor = f"#{parts.fragment}" if parts.fragment else ""
        return (_relative(_place(target), name) if parts.path else "") + anchor, None
    if target.startswith("..") or not (root / target).is_file():
        raise SiteError(f"{name}: {link} must be a page or a file of the repository")
    return parts.path, target


def _links(name: str, pages: Mapping[str, _Page], root: Path) -> set[str]:
    """Let a page's links lead into the site; return the files that it needs."""
    needed = set()
    for token in pages[name].tokens:
        for child in token.children or ():
            key = {"link_open": "href", "image": "src"}.get(child.type)
            if key:
                link, file = _lead(name, str(child.attrs[key]), pages, root)
                child.attrs[key] = link
                needed |= {file} - {None}
    return {file for file in needed if file is not None}


def _contents(name: str, pages: Mapping[str, _Page]) -> str:
    """Return the list of pages, with the headings of the one that is shown."""
    lines = []
    for group, names in PAGES.items():
        lines.append(f"<h2>{group}</h2>\n<ul>")
        for each in names:
            here = ' aria-current="page"' if each == name else ""
            link = escape(_relative(_place(each), name))
            lines.append(f'<li><a href="{link}"{here}>{escape(pages[each].title)}</a>')
            if each == name:
                inner = [
                    f'<li class="level{level}"><a href="#{escape(anchor)}">{escape(text)}</a></li>'
                    for level, anchor, text in pages[name].headings
                    if level in (2, 3)
                ]
                lines += ["<ul>", *inner, "</ul>"] if inner else []
            lines.append("</li>")
        lines.append("</ul>")
    return "\n".join(lines)


def _style() -> str:
    """Return the style, and the colours of code on light and on dark."""

    def code(style: str) -> str:
        return str(HtmlFormatter(style=style, nobackground=True).get_style_defs(".code"))

    styles = "".join(file.read_text("utf-8") for file in _STYLES)
    return (
        f"{styles}{code('friendly')}\n"
        f"@media (prefers-color-scheme: dark) {{\n{code('github-dark')}\n}}\n"
    )


def build(root: Path = ROOT) -> dict[str, bytes]:
    """Return the site's files by name; the same for the same documents.

    Raises
    ------
    SiteError
        If a page is not listed, or a link, an anchor or a picture leads nowhere.
    """
    listed = [name for names in PAGES.values() for name in names]
    for file in sorted((root / "docs").glob("*.md")):
        if f"docs/{file.name}" not in listed:
            raise SiteError(f"docs/{file.name} must be in PAGES of scripts/site.py")
    parser = _parser()
    pages = {name: _read(parser, root, name) for name in listed}
    template = Template(_TEMPLATE.read_text("utf-8"))
    files = {"style.css": _style().encode()}
    for name, page in pages.items():
        for needed in sorted(_links(name, pages, root)):
            files[needed] = (root / needed).read_bytes()
        text = template.substitute(
            title=escape(page.title),
            style=_relative("style.css", name),
            home=_relative("index.html", name),
            body=parser.renderer.render(page.tokens, parser.options, {}),
            contents=_contents(name, pages),
        )
        files[_place(name)] = text.encode()
    return files


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Make a static site of the documents.")
    out = Path("build", "docs")
    parser.add_argument("--out", type=Path, default=out, metavar="DIR", help="folder to write")
    options = parser.parse_args(arguments)
    try:
        files = build()
        disk.write_files(options.out, dict(sorted(files.items())), owner="index.html")
    except SiteError as error:
        return cli.failed(PROGRAM, error)
    except disk.OutputError as error:
        cli.bad_input(PROGRAM, error)
    pages = sum(name.endswith(".html") for name in files)
    print(f"{options.out / 'index.html'}: {pages} pages, {len(files) - pages} other files")
    return 0


if __name__ == "__main__":
    cli.run(main)
