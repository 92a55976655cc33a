"""Reads a page strictly: what is wrong with its structure comes out as sentences."""

import base64
import hashlib
import html.parser
import itertools
import re
from dataclasses import dataclass, field

_VOID = {"meta", "link", "br", "img", "hr", "input", "wbr", "source"}
_LOADING = {"src", "srcset", "data", "poster", "action", "formaction", "background", "xlink:href"}


@dataclass
class Node:
    """An element with its children in order; texts are strings."""

    tag: str
    attributes: dict[str, str]
    children: list["Node | str"] = field(default_factory=list)

    def every(self, tag: str) -> list["Node"]:
        """Return all elements of a tag below this one, in the order of the page."""
        found = []
        for child in self.children:
            if isinstance(child, Node):
                found += [child] if child.tag == tag else []
                found += child.every(tag)
        return found

    def all(self) -> list["Node"]:
        """Return this element and all below it."""
        found = [self]
        for child in self.children:
            found += child.all() if isinstance(child, Node) else []
        return found

    @property
    def text(self) -> str:
        """Return the whole text, white space collapsed."""
        parts = [c if isinstance(c, str) else c.text for c in self.children]
        return " ".join(" ".join(parts).split()).replace("\xa0", " ")


class _Reader(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("#document", {})
        self.open = [self.root]
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)):
            self.faults.append(f"<{tag}> has an attribute twice")
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in _VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if self.open[-1].tag != tag:
            self.faults.append(f"</{tag}> closes <{self.open[-1].tag}>")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read_page(page: str) -> tuple[Node, list[str]]:
    """Return the document and every fault of its structure."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    faults = reader.faults + [f"<{n.tag}> is never closed" for n in reader.open[1:]]
    root = reader.root
    faults += _references(root) + _loads(root) + _labels(root) + _headings(root) + _policy(root)
    return root, faults


def _references(root: Node) -> list[str]:
    ids = [n.attributes["id"] for n in root.all() if "id" in n.attributes]
    faults = [f"id {i!r} stands twice" for i in set(ids) if ids.count(i) > 1]
    for node in root.all():
        for name in ("aria-labelledby", "aria-describedby", "aria-controls"):
            faults += [
                f"{name} names {i!r}, which is not there"
                for i in node.attributes.get(name, "").split()
                if i not in ids
            ]
        href = node.attributes.get("href", "")
        if href.startswith("#") and href[1:] not in ids:
            faults.append(f"link to {href}, which is not there")
    return faults


def _loads(root: Node) -> list[str]:
    faults = []
    for node in root.all():
        if node.tag in ("script", "iframe", "object", "embed", "base", "form"):
            faults.append(f"<{node.tag}> has no place here")
        for name, value in node.attributes.items():
            if name.startswith("on") or name == "style":
                faults.append(f"<{node.tag} {name}> would not pass the policy")
            if name in _LOADING and not value.startswith("data:"):
                faults.append(f"<{node.tag}> loads {value}")
            if name == "href" and not _harmless(node, value):
                faults.append(f"<{node.tag}> leads to {value[:40]}")
    sheets = [s.text for s in root.every("style")]
    found = [re.findall(r"url\([^)]*|@import|https?:[^;]*", sheet) for sheet in sheets]
    return faults + [f"the style sheet loads {what}" for sheet in found for what in sheet]


def _harmless(node: Node, address: str) -> bool:
    if node.tag == "link":
        return address == "data:,"
    if "download" in node.attributes:
        return address.startswith(("data:application/json,", "data:application/gzip;base64,"))
    return address.startswith(("#", "https://", "http://"))


def _labels(root: Node) -> list[str]:
    faults = []
    for svg in root.every("svg"):
        if svg.attributes.get("aria-hidden") == "true":
            continue
        direct = {c.tag: c for c in svg.children if isinstance(c, Node)}
        named = all(name in direct and direct[name].text for name in ("title", "desc"))
        if svg.attributes.get("role") != "img" or not named:
            faults.append("a drawing without role, title or description")
    faults += ["a picture without alt" for i in root.every("img") if "alt" not in i.attributes]
    for table in root.every("table"):
        if not table.every("caption"):
            faults.append("a table without caption")
        faults += ["a <th> without scope" for h in table.every("th") if "scope" not in h.attributes]
        widths = {len(r.every("td")) + len(r.every("th")) for r in table.every("tr")}
        if len(widths) != 1:
            faults.append(f"a table with rows of {sorted(widths)} cells")
    for region in (n for n in root.all() if n.attributes.get("role") == "region"):
        if not {"aria-label", "aria-labelledby"} & set(region.attributes):
            faults.append("a region without a name")
    return faults


def _headings(root: Node) -> list[str]:
    levels = [int(n.tag[1]) for n in root.all() if re.fullmatch("h[1-6]", n.tag)]
    faults = [] if levels[:1] == [1] and levels.count(1) == 1 else [f"headings begin {levels[:2]}"]
    jumps = [(a, b) for a, b in itertools.pairwise(levels) if b > a + 1]
    faults += [f"a heading of level {b} follows one of level {a}" for a, b in jumps]
    wanted = ("header", "nav", "main", "footer", "title")
    counts = {tag: len(root.every(tag)) for tag in wanted if tag != "title"}
    faults += [f"{count} <{tag}>" for tag, count in counts.items() if count != 1]
    return faults


def _policy(root: Node) -> list[str]:
    (policy,) = (
        n.attributes["content"]
        for n in root.every("meta")
        if n.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    (style,) = root.every("style")
    content = "".join(c for c in style.children if isinstance(c, str))
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    expected = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return [] if policy == expected else [f"policy: {policy}"]
