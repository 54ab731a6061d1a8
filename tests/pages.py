# SPDX-License-Identifier: Apache-2.0
"""A page as tests look at it."""

from html.parser import HTMLParser

__all__ = ["Page"]

VOID = {"meta", "br", "img"}


class Page(HTMLParser):
    """Texts by cell, and whether every element is closed where it must be."""

    def __init__(self, text):
        super().__init__()
        self.open, self.rows, self.svg, self.classes = [], [], 0, set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        self.svg += tag == "svg"
        self.classes |= {value for name, value in attributes if name == "class" and value}
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.classes |= {value for name, value in attributes if name == "class"}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] in (["td"], ["th"]):
            self.rows[-1][-1] += data
