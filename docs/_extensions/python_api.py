"""Pages on the Python interface, from the docstrings.

The code is read by griffe and never imported, so that the site builds without torch and ROS 2.
Docstrings are Markdown with sections in Google's style. There is one page for the public names and
one for each subpackage; a page lists what the modules' ``__all__`` name.
"""

from __future__ import annotations

import inspect
import re
import shutil
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import griffe
from sphinx.application import Sphinx

_LONGEST_DEFAULT = 40

_SECTION = re.compile(
    r"^(Args|Attributes|Returns|Yields|Raises|Examples?|Notes?|References?):[ ]*$", re.MULTILINE
)
_TITLES = {"Args": "Arguments", "Example": "Example"}
_ITEM = re.compile(r"^(\*{0,2}[\w.]+(?:, \*{0,2}[\w.]+)*)(?: \([^)]*\))?: ?(.*)$", re.DOTALL)
_NAME = re.compile(r"(?<![`\w}])`([A-Za-z_][\w.]*)`(?!`)")

_INDEX = """\
# Python interface

The core library `sdfpose_core` needs no ROS. The names below are its public interface. Most can be
imported from `sdfpose_core` itself; it loads a name when it is first used.

{names}

```{{toctree}}
:hidden:

public
{pages}
```

## All packages
Names that are not in the list above may change between versions.

{packages}
"""


class _Writer:
    """Renders objects as MyST Markdown.

    Args:
        modules: all modules that have a place in the pages.
        public: full names of the objects on the page of public names.
    """

    def __init__(self, modules: Iterable[griffe.Module], public: list[str]) -> None:
        self.public = public
        self.members = {x.path: list(_exported(x)) for x in modules}
        names: dict[str, set[str]] = {}
        for path, members in self.members.items():
            names.setdefault(path, set()).add(path)
            for member in members:
                for name in (member.path, member.name):
                    names.setdefault(name, set()).add(member.path)
        self.targets = {k: v.pop() for k, v in names.items() if len(v) == 1}

    def page_of_public_names(self, objects: list[griffe.Object]) -> str:
        text = ["# Public names", ""]
        for x in objects:
            text += [f"## {x.name}", "", *self._object(x)]
        return "\n".join(text)

    def page_of_package(self, modules: list[griffe.Module]) -> str:
        package = modules[0]
        text = [f"# {package.path}", "", *self._docstring(package)]
        for module in modules:
            members = self.members[module.path]
            if module is not package:
                if not members:
                    continue
                text += [f"## {module.name}", "", f"`{module.path}`", ""]
                text += self._docstring(module)
            for x in members:
                if x.path in self.public:
                    text += [f"{{py:obj}}`~{x.path}`: see [public names](public.md).", ""]
                else:
                    text += self._object(x)
        return "\n".join(text)

    def _object(self, x: griffe.Object, colons: int = 5) -> Iterator[str]:
        """A directive of the Python domain, with the members of a class in it."""
        inner = colons < 5
        if isinstance(x, griffe.Class):
            kind, head = "class", x.name + _signature(x)
        elif isinstance(x, griffe.Function):
            kind, head = "method" if inner else "function", x.name + _signature(x)
        elif inner:
            kind, head = "property" if "property" in x.labels else "attribute", x.name
        else:
            kind, head = "data", x.name
        yield f"{':' * colons}{{py:{kind}}} {head}"
        if not inner:
            yield f":module: {x.module.path}"
        if isinstance(x, griffe.Attribute) and x.annotation is not None:
            yield f":type: {_annotation(x.annotation)}"
        for label in ("staticmethod", "classmethod"):
            if label in x.labels:
                yield f":{label}:"
        yield ""
        yield from self._docstring(x)
        if isinstance(x, griffe.Class):
            for member in x.members.values():
                if _is_documented_member(member):
                    yield from self._object(member, colons - 1)
        yield ":" * colons
        yield ""

    def _docstring(self, x: griffe.Object) -> Iterator[str]:
        if x.docstring is None:
            return
        text = inspect.cleandoc(x.docstring.value)
        pieces = _SECTION.split(text)
        yield from self._prose(pieces[0])
        for title, body in zip(pieces[1::2], pieces[2::2], strict=True):
            lines = body.strip("\n").split("\n")
            end = next((i for i, y in enumerate(lines) if y and y[0] != " "), len(lines))
            body = textwrap.dedent("\n".join(lines[:end])).strip("\n")
            yield f"**{_TITLES.get(title, title)}**"
            yield ""
            if title in ("Args", "Attributes", "Raises"):
                yield from self._items(body)
            elif title.startswith("Example"):
                yield from ("```python", re.sub(r" *# doctest: .*", "", body), "```", "")
            else:
                yield from self._prose(body)
            yield from self._prose("\n".join(lines[end:]))

    def _items(self, body: str) -> Iterator[str]:
        """The entries of a section of names, as a list."""
        for entry in re.split(r"\n(?=\S)", body):
            match = _ITEM.match(entry)
            if match is None:
                yield from (f"- {self._linked(' '.join(entry.split()))}", "")
                continue
            description = self._linked(" ".join(match[2].split()))
            names = ", ".join(f"`{x}`" for x in match[1].split(", "))
            yield f"- {self._linked(names)}: {description}"
        yield ""

    def _prose(self, text: str) -> Iterator[str]:
        """Paragraphs; indented ones that belong to no list are code."""
        in_list = False
        for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
            if not paragraph.strip():
                continue
            indented = all(x.startswith("  ") for x in paragraph.split("\n"))
            if indented and not in_list:
                yield from ("```text", textwrap.dedent(paragraph), "```", "")
                continue
            in_list = bool(re.match(r"\s*([-*]|\d+\.) ", paragraph))
            if paragraph.endswith("::"):
                paragraph = paragraph[:-1]
            yield from (self._linked(paragraph), "")

    def _linked(self, text: str) -> str:
        """Text in which names of documented objects lead to them."""

        def link(match: re.Match[str]) -> str:
            name = match[1]
            if name in self.targets and ("." in name or "_" in name or name[0].isupper()):
                return f"{{py:obj}}`{name} <{self.targets[name]}>`"
            return match[0]

        return _NAME.sub(link, _escaped(text))


def _escaped(text: str) -> str:
    """Text without raw HTML: less-than signs outside code are escaped."""
    pieces = re.split(r"(`+[^`]*`+)", text)
    return "".join(x if x.startswith("`") else x.replace("<", "\\<") for x in pieces)


def _exported(module: griffe.Module) -> Iterator[griffe.Object]:
    """The objects of ``__all__`` that the module defines itself, in the order of the source."""
    names = {str(x) for x in module.exports or ()}
    own = [x for x in module.members.values() if x.name in names and not x.is_alias]
    yield from sorted(
        (x for x in own if not isinstance(x, griffe.Module)), key=lambda x: x.lineno or 0
    )


def _is_documented_member(member: griffe.Object | griffe.Alias) -> bool:
    return (
        not member.is_alias
        and (member.name == "__call__" or not member.name.startswith("_"))
        and member.docstring is not None
        and (isinstance(member, (griffe.Function, griffe.Attribute)))
    )


def _signature(x: griffe.Class | griffe.Function) -> str:
    """Parameters with annotations and short defaults, and what is returned."""
    parts: list[str] = []
    keyword_only = False
    parameters = [p for p in x.parameters if p.name not in ("self", "cls")]
    for i, p in enumerate(parameters):
        if p.kind is griffe.ParameterKind.keyword_only and not keyword_only:
            keyword_only = True
            if not any(y.kind is griffe.ParameterKind.var_positional for y in parameters):
                parts.append("*")
        stars = {
            griffe.ParameterKind.var_positional: "*",
            griffe.ParameterKind.var_keyword: "**",
        }.get(p.kind, "")
        text = stars + p.name
        if p.annotation is not None:
            text += f": {_annotation(p.annotation)}"
        if p.default is not None and not stars:
            default = str(p.default)
            text += f" = {default if len(default) <= _LONGEST_DEFAULT else '...'}"
        parts.append(text)
        following = parameters[i + 1].kind if i + 1 < len(parameters) else None
        positional = griffe.ParameterKind.positional_only
        if p.kind is positional and following is not positional:
            parts.append("/")
    signature = f"({', '.join(parts)})"
    if isinstance(x, griffe.Function) and x.returns is not None:
        signature += f" -> {_annotation(x.returns)}"
    elif isinstance(x, griffe.Class) and not parts:
        return ""
    return signature


def _annotation(annotation: str | griffe.Expr) -> str:
    """A type; our own by their full names, which Sphinx links and shortens."""
    if isinstance(annotation, str):
        return annotation
    return "".join(
        x.canonical_path
        if isinstance(x, griffe.ExprName) and x.canonical_path.startswith("sdfpose_")
        else str(x)
        for x in annotation.iterate(flat=True)
    )


def _modules(package: griffe.Module) -> Iterator[griffe.Module]:
    """A package and all modules below it, sorted by name."""
    yield package
    for name in sorted(package.modules):
        yield from _modules(package.modules[name])


def _resolved(x: griffe.Object | griffe.Alias) -> griffe.Object:
    """The object itself where a module only imports it."""
    return x.final_target if isinstance(x, griffe.Alias) else x


def _summary(module: griffe.Object) -> str:
    text = inspect.cleandoc(module.docstring.value) if module.docstring else ""
    return " ".join(text.split("\n\n")[0].split())


def write_pages(app: Sphinx) -> None:
    """Write the pages into the source folder; Sphinx reads them like the others."""
    settings = app.config.python_api
    folder = Path(app.srcdir) / settings["folder"]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subpackages: dict[str, list[griffe.Module]] = {}
    loader = griffe.GriffeLoader(search_paths=[settings["root"]])
    for name in settings["packages"]:
        package = loader.load(name)
        for subpackage in sorted(package.modules):
            if package.modules[subpackage].path not in settings["without"]:
                subpackages[package.modules[subpackage].path] = list(
                    _modules(package.modules[subpackage])
                )
    objects = [_resolved(loader.modules_collection[x]) for x in settings["public"]]
    public = [x.path for x in objects]
    writer = _Writer((x for modules in subpackages.values() for x in modules), public)
    files = {"public": writer.page_of_public_names(objects)}
    files |= {path: writer.page_of_package(modules) for path, modules in subpackages.items()}
    names = [f"- {{py:obj}}`~{x}`: {_summary(y)}" for x, y in zip(public, objects, strict=True)]
    packages = [f"- [{path}]({path}.md): {_summary(x[0])}" for path, x in subpackages.items()]
    files["index"] = _INDEX.format(
        names="\n".join(names), pages="\n".join(subpackages), packages="\n".join(packages)
    )
    for name, text in files.items():
        (folder / f"{name}.md").write_text(text, "utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages before Sphinx looks for sources."""
    app.add_config_value("python_api", {}, "env", types=[dict])
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
