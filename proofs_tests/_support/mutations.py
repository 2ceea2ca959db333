"""Mutants: the slips that one could make in one place of a source file, one at a time.

    a + b -> a - b        a * b -> a / b        -a -> a            0.5 -> 1, 1 -> 0 and 2, 2 -> 1 (axes and indices too)
    a < b -> a <= b       a and b -> a or b     if c -> if not c   i -> j and other names that belong together
    log1p -> log          transpose, mask or frame not applied     a check, or a term of a sum, left out
    x[:d] -> x[:d + 1]    return y -> return the first argument    dtype= left out

Only bodies of functions are mutated, and in them neither docstrings, annotations nor messages of errors. An edit is a span
of the source and its new text, so what is reported is what one would have typed.
"""

from __future__ import annotations

import ast
import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OPERATORS = {ast.Add: "+-", ast.Sub: "-+", ast.Mult: "*/", ast.Div: "/*"}
COMPARISONS = {
    **{ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"), ast.Eq: ("==", "!=")},
    **{ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"), ast.In: ("in", "not in")},
    **{ast.NotIn: ("not in", "in")},
}
CONSTANTS = {"0": "1", "1": "02", "2": "1", "0.0": ["1.0"], "0.5": ["1.0"], "1.0": ["2.0"], "2.0": ["1.0"]}
FUNCTIONS = {
    **{"log1p": "log", "log": "log1p", "expm1": "exp", "exp": "expm1", "tanh": "sinh", "sinh": "tanh"},
    **{"max": "min", "min": "max", "maximum": "minimum", "any": "all", "all": "any", "zeros": "ones", "ones": "zeros"},
    **{"zeros_like": "ones_like", "isfinite": "isnan"},
}
# Calls that are replaced by the argument at this position.
UNWRAPPED = {"matrix_transpose": [0], "sqrt": [0], "abs": [0], "rotate": [0], "expand": [1], "keep": [2], "where": [1, 2]}
# Names that are easily taken for each other, where both are bound in a function.
SIBLINGS = [
    *["i j", "left right", "low high", "a_i a_j", "means log_vars", "mean log_var", "mu log_var", "m v", "n d", "n1 n2"],
    *["I1 I2", "D1 D2", "C Ct", "minus plus", "apart along", "first second", "a rest", "es hs", "U V", "S_ho S_hh"],
    *["o h", "seen hidden", "j k", "i k", "latents clean", "size n", "own e", "own drawn", "x s", "loadings logits"],
]


@dataclass(frozen=True)
class Mutant:
    """One edit of one file: where it stands, the lines before and after (blanks squeezed), and the whole new source."""

    file: str
    function: str  # the qualified name of the outermost function around it: what is compiled anew
    line: int
    lines: range  # of the statement's head: a test that runs one of them can meet the mutant
    before: str
    after: str
    source: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What stays the same when other lines move."""
        return self.file, self.function, self.before, self.after

    @property
    def places(self) -> tuple[str, str]:
        """The file, and the function in it: mutants beside each other are killed by the same tests."""
        return self.file, f"{self.file}:{self.function}"


class Source:
    """One file, its functions, and its mutants. Offsets count bytes, as the positions in an ast do."""

    def __init__(self, path: Path) -> None:
        self.file, self.text = path.name, path.read_bytes()
        self.starts = [0, *itertools.accumulate(len(line) for line in self.text.splitlines(keepends=True))]
        self.functions = dict(_functions(ast.parse(self.text)))

    def mutants(self) -> Iterator[Mutant]:
        """Every mutant of every function, in the order of the source."""
        for function in self.functions.values():
            for node, inner in _nodes(function, function):
                for start, end, new in self._edits(node, inner, _bound(function)):
                    yield self.mutant(start, end, new)

    def replaced(self, old: str, new: str) -> Mutant:
        """The mutant with ``new`` in place of the only occurrence of ``old``; ValueError where there is not exactly one."""
        if (count := self.text.count(old.encode())) != 1:
            raise ValueError(f"{self.file} holds {old!r} {count} times; expected once")
        start = self.text.index(old.encode())
        return self.mutant(start, start + len(old.encode()), new)

    def mutant(self, start: int, end: int, new: str) -> Mutant:
        """The mutant with ``new`` in place of the bytes from start to end, which lie in one function."""
        source = self.text[:start] + new.encode() + self.text[end:]
        first, last = self.text.rindex(b"\n", 0, start) + 1, self.text.index(b"\n", end)
        before, after = self.text[first:last], source[first : last + len(source) - len(self.text)]
        name, function = next((n, f) for n, f in self.functions.items() if self._at(f)[0] <= start < self._at(f)[1])
        heads = (_head(s) for s in ast.walk(function) if isinstance(s, ast.stmt) and s is not function)
        line = self.text.count(b"\n", 0, start) + 1
        lines = min((head for head in heads if line in head), key=len)
        return Mutant(self.file, name, line, lines, _squeezed(before), _squeezed(after), source.decode())

    def _at(self, node: ast.AST) -> tuple[int, int]:
        return self.starts[node.lineno - 1] + node.col_offset, self.starts[node.end_lineno - 1] + node.end_col_offset

    def _of(self, node: ast.AST) -> str:
        start, end = self._at(node)
        return self.text[start:end].decode()

    def _between(self, left: ast.AST, right: ast.AST, old: str, new: str) -> tuple[int, int, str]:
        """``new`` for the operator ``old`` between two operands."""
        start = self.text.index(old.encode(), self._at(left)[1], self._at(right)[0])
        return start, start + len(old), new

    def _edits(self, node: ast.AST, function: ast.FunctionDef, bound: set[str]) -> Iterator[tuple[int, int, str]]:
        """(start, end, new text) of every slip at this node."""
        match node:
            case ast.BinOp(left, op, right) if type(op) in OPERATORS:
                yield self._between(left, right, *OPERATORS[type(op)])
            case ast.UnaryOp(ast.USub(), operand):
                yield *self._at(node), self._of(operand)
            case ast.Compare(left, ops, comparators):
                for a, op, b in zip([left, *comparators], ops, comparators, strict=False):
                    yield self._between(a, b, *COMPARISONS[type(op)])
            case ast.BoolOp(op, values):
                for a, b in itertools.pairwise(values):
                    yield self._between(a, b, *(("and", "or") if isinstance(op, ast.And) else ("or", "and")))
            case ast.Constant():
                yield from ((*self._at(node), new) for new in CONSTANTS.get(self._of(node), ()))
            case ast.Name(name, ast.Load()):
                for pair in map(str.split, SIBLINGS):
                    if name in pair and bound.issuperset(pair):
                        yield *self._at(node), pair[1 - pair.index(name)]
            case ast.If(test) | ast.IfExp(test) | ast.comprehension(ifs=[test]):
                yield *self._at(test), f"not ({self._of(test)})"
            case ast.Slice():
                yield from ((*self._at(b), f"{self._of(b)} + 1") for b in (node.lower, node.upper) if isinstance(b, ast.Name))
            case ast.Return(ast.expr() as value) if (first := _first_argument(function)) not in (None, self._of(value)):
                yield *self._at(value), first
            case ast.Expr() | ast.AugAssign():
                yield *self._at(node), "pass"
            case ast.Assign([ast.Name(name)], value) if any(isinstance(x, ast.Name) and x.id == name for x in ast.walk(value)):
                yield *self._at(node), "pass"
            case ast.Call(ast.Name(name) | ast.Attribute(attr=name) as called, args, keywords):
                end, starred = self._at(called)[1], any(isinstance(x, ast.Starred) for x in args)
                if name in FUNCTIONS:
                    yield end - len(name), end, FUNCTIONS[name]
                yield from (
                    (*self._at(node), f"({self._of(args[k])})")
                    for k in UNWRAPPED.get(name, ())
                    if k < len(args) and not starred
                )
                for before, keyword in itertools.pairwise([*args, *keywords]):
                    if getattr(keyword, "arg", None) == "dtype" and isinstance(keyword, ast.keyword):
                        yield self._at(before)[1], self._at(keyword)[1], ""


def _functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """The functions and methods of a module by qualified name; functions inside functions belong to the outer one."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield prefix + node.name, node


def _nodes(node: ast.AST, function: ast.FunctionDef) -> Iterator[tuple[ast.AST, ast.FunctionDef]]:
    """All nodes that are computed, each with its innermost function."""
    if isinstance(node, ast.Raise | ast.JoinedStr) or _is_docstring(node):
        return
    yield node, function
    if isinstance(node, ast.FunctionDef):
        children, function = node.body, node
    elif isinstance(node, ast.AnnAssign):
        children = [node.value] if node.value else []
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        yield from _nodes(child, function)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@functools.cache
def _bound(function: ast.FunctionDef) -> set[str]:
    """The arguments and variables of a function."""
    names = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return names | {n.arg for n in ast.walk(function) if isinstance(n, ast.arg)}


def _first_argument(function: ast.FunctionDef) -> str | None:
    return next((a.arg for a in function.args.args if a.arg not in ("self", "xp")), None)


def _head(statement: ast.stmt) -> range:
    """A statement's lines, of a compound one those before its body."""
    body = getattr(statement, "body", None)
    return range(statement.lineno, max(body[0].lineno, statement.lineno + 1) if body else statement.end_lineno + 1)


def _squeezed(source: bytes) -> str:
    return " ".join(source.decode().split())
