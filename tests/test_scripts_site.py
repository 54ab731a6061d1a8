# SPDX-License-Identifier: Apache-2.0
"""The site holds all documents, leads nowhere outside itself, and loads nothing."""

import errno
import html.parser
import os
import posixpath
import re
import shutil
from pathlib import Path

import pytest

from model.cost import report as cost_report
from scripts import site


class Links(html.parser.HTMLParser):
    """What a page refers to, and the anchors that it has."""

    def __init__(self, text):
        super().__init__()
        self.to, self.loaded, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found["id"]} if "id" in found else set()
        self.to += [found["href"]] if tag == "a" else []
        self.loaded += [found[key] for key in ("href", "src") if key in found and tag != "a"]


@pytest.fixture(scope="module")
def files():
    return site.build()


@pytest.fixture
def tree(tmp_path):
    """The documents alone, to be changed."""
    for name in ("docs", "fpga/protocol.md", "README.md", "CONTRIBUTING.md"):
        source, target = site.ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    return tmp_path


def test_every_link_of_the_site_has_its_file_and_its_anchor(files):
    pages = {name: Links(data.decode()) for name, data in files.items() if name.endswith(".html")}
    assert len(pages) == sum(map(len, site.PAGES.values()))
    followed = 0
    for name, page in pages.items():
        for link in page.to + page.loaded:
            if link.startswith("https://"):
                assert link in page.to  # followed by people only: nothing is loaded from elsewhere
                continue
            path, _, anchor = link.partition("#")
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path or name))
            target = target if path else name
            assert target in files, (name, link)
            assert not anchor or anchor in pages[target].anchors, (name, link)
            followed += 1
    assert followed > 400


def test_the_style_loads_nothing(files):
    assert b"url(" not in files["style.css"]
    assert b"@import" not in files["style.css"]


def test_what_is_wider_than_its_place_shows_that_it_scrolls(files):
    shown = files["docs/cost.html"].decode()
    assert shown.count('<div class="wide"><table>') == shown.count("<table>") > 0
    wide = re.findall(r"\.wide \{[^}]*\}", files["style.css"].decode())
    assert sum("overflow-x: auto" in rule and "var(--shade)" in rule for rule in wide) == 1
    assert "".join(wide[:1]) in cost_report.style()  # one rule for both


def test_the_same_documents_give_the_same_bytes(files, tree):
    assert site.build(tree) == files


def test_each_page_lists_all_and_its_own_headings(files):
    page = files["docs/tile.html"].decode()
    assert '<a href="../index.html">shiftbar</a>' in page
    assert '<a href="tile.html" aria-current="page">The crossbar tile</a>' in page
    assert '<li class="level2"><a href="#masks">Masks</a></li>' in page
    assert page.count('aria-current="page"') == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[a](none.md)", "docs/fpga.md: none.md must be a page or a file of the repository"),
        ("[a](tile.md#none)", "docs/fpga.md: tile.md#none must be a heading of docs/tile.md"),
        ("[a](#none)", "docs/fpga.md: #none must be a heading of docs/fpga.md"),
        ("![a](results/none.svg)",
         "docs/fpga.md: results/none.svg must be a page or a file of the repository"),
        ("[a](../../x)", "docs/fpga.md: ../../x must be a page or a file of the repository"),
        ("# Another", "docs/fpga.md must have one heading of the first level, not 2"),
    ],
)  # fmt: skip
def test_what_leads_nowhere_fails_the_build(tree, line, message):
    with (tree / "docs/fpga.md").open("a") as page:
        page.write(f"\n{line}\n")
    with pytest.raises(site.SiteError) as error:
        site.build(tree)
    assert str(error.value) == message


def test_a_page_that_is_not_listed_fails_the_build(tree):
    (tree / "docs/new.md").write_text("# New\n")
    with pytest.raises(
        site.SiteError, match=r"^docs/new\.md must be in PAGES of scripts/site\.py$"
    ):
        site.build(tree)


def test_anchors_are_those_of_github(tree):
    heading = "## Gates: `a -b c.d`, Übung\n\n## One\n\n## One\n"
    with (tree / "docs/fpga.md").open("a") as page:
        page.write(f"\n{heading}\n[a](#gates-a--b-cd-übung), [b](#one), [c](#one-1)\n")
    assert b'<h2 id="gates-a--b-cd-\xc3\xbcbung">' in site.build(tree)["docs/fpga.html"]


def test_a_full_disk_leaves_no_folder(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(site, "build", lambda: {"index.html": b"1", "docs/tile.html": b"2"})
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SystemExit, match="^2$"):
        site.main(["--out", str(tmp_path / "site")])
    told = f"the output folder must be writable: {tmp_path / 'site'}: No space left on device"
    assert capsys.readouterr().err == f"{site.PROGRAM}: error: {told}\n"
    assert not any(tmp_path.iterdir())


def test_the_command(tmp_path, capsys, monkeypatch):
    out = tmp_path / "site"
    assert site.main(["--out", str(out)]) == 0
    assert capsys.readouterr().out.startswith(f"{out}/index.html: 18 pages, ")
    assert (out / "docs/tile.html").is_file()
    monkeypatch.setitem(site.PAGES, "Begin", ("README.md",))
    assert site.main(["--out", str(out)]) == 1
    assert capsys.readouterr().err == (
        "python -m scripts.site: error: docs/glossary.md must be in PAGES of scripts/site.py\n"
    )
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    monkeypatch.undo()
    with pytest.raises(SystemExit, match="2"):
        site.main(["--out", str(tmp_path / "other")])
    assert capsys.readouterr().err == (
        "python -m scripts.site: error: the output folder must be new, empty or hold an earlier "
        f"index.html, not other files: {tmp_path}/other\n"
    )
