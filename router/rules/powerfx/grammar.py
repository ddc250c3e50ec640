"""The grammar, as lark reads it (LALR), and the making of the syntax tree while parsing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from router.rules.powerfx import nodes
from router.rules.powerfx.errors import PowerFxSyntaxError
from router.rules.powerfx.lexer import tokenise
from router.rules.powerfx.limits import Limits

GRAMMAR: Final = r"""
    start: _expr
    _expr: as_expr | _or
    as_expr: _or AS IDENT
    _or: or_expr | _and
    or_expr: _or OR _and
    _and: and_expr | _in
    and_expr: _and AND _in
    _in: in_expr | _compare
    in_expr: _in IN _compare
    _compare: compare_expr | _concat
    compare_expr: _compare COMPARE _concat
    _concat: concat_expr | _sum
    concat_expr: _concat AMP _sum
    _sum: sum_expr | _product
    sum_expr: _sum (PLUS | MINUS) _product
    _product: product_expr | _prefix
    product_expr: _product (STAR | SLASH) _prefix
    _prefix: prefix_expr | _power
    prefix_expr: (MINUS | NOT) _prefix
    _power: power_expr | _postfix
    power_expr: _postfix CARET _prefix
    _postfix: percent_expr | _primary
    percent_expr: _postfix PERCENT
    _primary: dot_expr | call | number | text | boolean | name | record | table | interpolated | group
    dot_expr: _primary DOT (IDENT | TRUE | FALSE)
    call: IDENT LPAR [_expr (COMMA _expr)*] RPAR
    number: NUMBER
    text: TEXT
    boolean: TRUE | FALSE
    name: IDENT
    group: LPAR _expr RPAR
    record: LBRACE [pair (COMMA pair)*] RBRACE
    pair: IDENT COLON _expr
    table: LSQB [_expr (COMMA _expr)* COMMA?] RSQB
    interpolated: ISTART (island_text | IOPEN _expr ICLOSE)* IEND
    island_text: ITEXT
    %declare AS IDENT OR AND IN COMPARE AMP PLUS MINUS STAR SLASH NOT CARET PERCENT DOT LPAR RPAR COMMA
    %declare NUMBER TEXT TRUE FALSE LBRACE RBRACE COLON LSQB RSQB ISTART IEND ITEXT IOPEN ICLOSE
"""


def _deeper(*children: nodes.Node) -> dict[str, int]:
    depth = size = 0
    for child in children:
        depth = max(depth, child.depth)
        size += child.size
    return {"depth": depth + 1, "size": size + 1}


def _chain(operator: str, left: nodes.Node, right: nodes.Node) -> nodes.Chain:
    if isinstance(left, nodes.Chain) and left.operator == operator:
        left.operands.append(right)
        left.depth = max(left.depth, right.depth + 1)
        left.size += right.size
        return left
    return nodes.Chain(left.start, operator, [left, right], **_deeper(left, right))


@lru_cache(maxsize=1)
def _parser() -> Any:
    """The lark parser. Built on first use, since importing lark and making its tables takes a while."""
    import lark
    from lark.lexer import Lexer

    token = lark.Token

    class Adapter(Lexer):
        def __init__(self, lexer_conf: Any) -> None:
            pass

        def lex(self, text: str) -> Iterator[Any]:  # type: ignore[override]
            for kind, value, start, end in tokenise(text):
                yield token(kind, value, start, end_pos=end)

    class Builder(lark.Transformer[Any, Any]):
        def start(self, c: list[Any]) -> nodes.Node:
            return c[0]  # type: ignore[no-any-return]

        def as_expr(self, c: list[Any]) -> nodes.Node:
            return nodes.As(c[0].start, c[0], str(c[2]), **_deeper(c[0]))

        def or_expr(self, c: list[Any]) -> nodes.Node:
            return _chain("Or", c[0], c[2])

        def and_expr(self, c: list[Any]) -> nodes.Node:
            return _chain("And", c[0], c[2])

        def concat_expr(self, c: list[Any]) -> nodes.Node:
            return _chain("&", c[0], c[2])

        def in_expr(self, c: list[Any]) -> nodes.Node:
            return nodes.Binary(c[1].start_pos, str(c[1]), c[0], c[2], **_deeper(c[0], c[2]))

        compare_expr = sum_expr = product_expr = power_expr = in_expr

        def prefix_expr(self, c: list[Any]) -> nodes.Node:
            operator = "-" if c[0].type == "MINUS" else "Not"
            return nodes.Unary(c[0].start_pos, operator, c[1], **_deeper(c[1]))

        def percent_expr(self, c: list[Any]) -> nodes.Node:
            return nodes.Unary(c[1].start_pos, "%", c[0], **_deeper(c[0]))

        def dot_expr(self, c: list[Any]) -> nodes.Node:
            return nodes.Dot(c[2].start_pos, c[0], str(c[2]), **_deeper(c[0]))

        def call(self, c: list[Any]) -> nodes.Node:
            args = [child for child in c[1:] if isinstance(child, nodes.Node)]
            return nodes.Call(c[0].start_pos, str(c[0]), args, **_deeper(*args))

        def number(self, c: list[Any]) -> nodes.Node:
            return nodes.Number(c[0].start_pos, str(c[0]))

        def text(self, c: list[Any]) -> nodes.Node:
            return nodes.Text(c[0].start_pos, str(c[0]))

        island_text = text

        def boolean(self, c: list[Any]) -> nodes.Node:
            return nodes.Boolean(c[0].start_pos, c[0].type == "TRUE")

        def group(self, c: list[Any]) -> nodes.Node:
            return c[1]  # type: ignore[no-any-return]

        def name(self, c: list[Any]) -> nodes.Node:
            return nodes.Name(c[0].start_pos, str(c[0]))

        def pair(self, c: list[Any]) -> tuple[str, nodes.Node]:
            return str(c[0]), c[2]

        def record(self, c: list[Any]) -> nodes.Node:
            fields = [child for child in c if isinstance(child, tuple)]
            return nodes.Record(c[0].start_pos, fields, **_deeper(*(value for _, value in fields)))

        def table(self, c: list[Any]) -> nodes.Node:
            items = [child for child in c if isinstance(child, nodes.Node)]
            return nodes.Table(c[0].start_pos, items, **_deeper(*items))

        def interpolated(self, c: list[Any]) -> nodes.Node:
            parts = [child for child in c if isinstance(child, nodes.Node)]
            return nodes.Interpolated(c[0].start_pos, parts, **_deeper(*parts))

    return lark.Lark(GRAMMAR, parser="lalr", lexer=Adapter, transformer=Builder(), maybe_placeholders=False)


def parse(text: str, limits: Limits) -> nodes.Node:
    """The syntax tree of an expression, or PowerFxSyntaxError."""
    if len(text) > limits.expression_length:
        raise PowerFxSyntaxError("the expression is too long", 0, text)
    if next(tokenise(text), None) is None:
        return nodes.Call(0, "Blank", [])
    parser = _parser()
    import lark

    try:
        tree: nodes.Node = parser.parse(text)
    except lark.exceptions.VisitError as problem:
        raise problem.orig_exc from None
    except lark.exceptions.UnexpectedToken as problem:
        found = problem.token
        if found.type == "$END":
            raise PowerFxSyntaxError("the expression ends too early", len(text), text) from None
        raise PowerFxSyntaxError(f"unexpected '{found}'", found.start_pos or 0, text) from None
    except lark.exceptions.LarkError as problem:
        raise PowerFxSyntaxError(str(problem).splitlines()[0], 0, text) from None
    if tree.depth > limits.depth:
        raise PowerFxSyntaxError("the expression is nested too deeply", tree.start, text)
    return tree
