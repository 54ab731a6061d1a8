# SPDX-License-Identifier: Apache-2.0
"""Single faults in Python code: the changes that `scripts.mutate_python` seeds, and an importer.

Operators, comparisons, conditions, constants (numbers one more and one less), calls whose result
nobody uses, what is returned and what is raised. Annotations, docstrings, ``__all__`` and the code
under ``if __name__ == "__main__"`` stay as they are: no test in the process runs them.
"""

from __future__ import annotations

import ast
import collections
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import types
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["FaultyImporter", "list_faults", "seed"]

_SYMBOLS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.FloorDiv: "//", ast.Div: "/", ast.Mod: "%",
    ast.Pow: "**", ast.LShift: "<<", ast.RShift: ">>", ast.BitAnd: "&", ast.BitOr: "|",
    ast.BitXor: "^", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==",
    ast.NotEq: "!=", ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
    ast.And: "and", ast.Or: "or", ast.Continue: "continue", ast.Break: "break", ast.USub: "-",
    ast.Not: "not", ast.Invert: "~",
}  # fmt: skip

_REPLACED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And, ast.Continue: ast.Break, ast.Break: ast.Continue,
}  # fmt: skip

_STAYS = {"annotation", "returns", "ctx", "type_comment"}


def seed(source: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Make one fault in the tree after another; each is taken back when the next is asked for.

    Parameters
    ----------
    source : str
    tree : ast.Module
        Of the source.

    Yields
    ------
    function : str
        Which the fault is in, by its dotted name; ``module`` outside of all.
    fault : str
        The code around, and what is changed; faults of the same text are numbered.
    """
    seen: collections.Counter[tuple[str, str]] = collections.Counter()
    for function, around, change in _seed(tree, tree, "module"):
        text = ast.get_source_segment(source, around) or ""
        if isinstance(around, ast.stmt):
            text = text.split("\n")[0]
        fault = f"{' '.join(text.split())}: {change}"
        seen[function, fault] += 1
        number = seen[function, fault]
        yield function, f"{fault} ({number})" if number > 1 else fault


def list_faults(source: str) -> list[tuple[str, str]]:
    """Return function and text of every fault of a file, in its order."""
    return list(seed(source, ast.parse(source)))


def _seed(node: ast.AST, shown: ast.AST, function: str) -> Iterator[tuple[str, ast.AST, str]]:
    """Go through a node's fields; ``shown`` is the code around that a fault's text shows."""
    for name, value in ast.iter_fields(node):
        if name in _STAYS:
            continue
        for index, child in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(child, ast.AST) or _is_left_alone(child):
                continue
            around = child if _is_shown(child) and not isinstance(shown, ast.JoinedStr) else shown
            for change, new in _changes(child):
                _put(node, name, index, new)
                yield function, around, change
                _put(node, name, index, child)
            inner = function
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                inner = child.name if function == "module" else f"{function}.{child.name}"
            yield from _seed(child, around, inner)


def _put(node: ast.AST, name: str, index: int, child: ast.AST) -> None:
    value = getattr(node, name)
    if isinstance(value, list):
        value[index] = child
    else:
        setattr(node, name, child)


def _is_shown(node: ast.AST) -> bool:
    """Whether a node says enough on its own."""
    small = isinstance(node, ast.Constant | ast.Name | ast.Slice)
    return isinstance(node, ast.stmt | ast.expr | ast.keyword) and not small


def _is_left_alone(node: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Constant()):  # a docstring
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            return True
    return isinstance(node, ast.Import | ast.ImportFrom)


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield what may be changed of a node, for people, and what then stands in its place."""
    if new := _REPLACED.get(type(node)):
        yield f"{_SYMBOLS[type(node)]} → {_SYMBOLS[new]}", new()
    match node:
        case ast.Constant(value=bool() | int() | str() | bytes() as value):
            others: tuple[bool | int | str | bytes, ...]
            match value:
                case bool():
                    others = (not value,)
                case int():
                    others = (value + 1, value - 1)
                case str():
                    others = (f"X{value}",)
                case bytes():
                    others = (b"X" + value,)
            for other in others:
                yield f"{value!r} → {other!r}", ast.Constant(other)
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert() as op, operand=operand):
            yield f"without {_SYMBOLS[type(op)]}", operand
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise():
            yield "removed", ast.Pass()
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield "returns None", ast.Return(ast.Constant(None))
        case ast.If(test=test, body=body, orelse=orelse):
            yield "negated", ast.If(_negated(test), body, orelse)
        case ast.While(test=test, body=body, orelse=orelse):
            yield "negated", ast.While(_negated(test), body, orelse)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield "negated", ast.IfExp(_negated(test), body, orelse)
        case ast.comprehension(target=target, iter=of, ifs=[_, *_], is_async=is_async):
            yield "without its if", ast.comprehension(target, of, [], is_async)


def _negated(test: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), test)


class FaultyImporter(importlib.abc.MetaPathFinder):
    """Imports one module with a fault; first in ``sys.meta_path``.

    Parameters
    ----------
    module : str
        Dotted name.
    file : Path
    number : int
        Of the fault, in the order of `list_faults`.
    """

    def __init__(self, module: str, file: Path, number: int) -> None:
        self.module, self.file, self.number = module, file, number

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find that module only."""
        if fullname != self.module:
            return None
        loader = _Loader(fullname, str(self.file), self.number)
        return importlib.util.spec_from_file_location(fullname, self.file, loader=loader)


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, number: int) -> None:
        super().__init__(fullname, path)
        self.number = number

    def get_code(self, fullname: str) -> types.CodeType:
        source = Path(self.path).read_text(encoding="utf-8")
        tree = ast.parse(source)
        faults = seed(source, tree)  # held: the fault is there as long as the next is not asked for
        next(itertools.islice(faults, self.number, None))
        code: types.CodeType = compile(ast.fix_missing_locations(tree), self.path, "exec")
        return code
