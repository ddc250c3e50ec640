"""Power Fx, the expression language of rules: parsed, checked, compiled to closures, evaluated in bounds.

    rule = compile_expression("If(job.Escalated = true, 10, 5)", ["job"])
    rule.evaluate({"job": {"Escalated": True}})

`compile_expression` raises PowerFxSyntaxError (with `position`) for whatever Power Fx refuses before it
evaluates; `Compiled.evaluate` and `evaluate` raise PowerFxError (with `kind` and `kinds`) for a runtime
error, and with the kind "BudgetExceeded" for going over one of the `Limits`. Nothing else comes out, and
an expression reaches nothing but the context that it is given.

The package stands alone. From the text to the value:

    lexer, grammar (lark) -> nodes -> compiler, operators, functions (checked, with types) -> closures

`values` and `dynamic` convert values, `decimals` and `arithmetic` compute as .NET does, `reading` is text
to values, `formats` and `digits` are the way back, `utf16` counts text, `collation` orders it, `patterns` are
regular expressions for RE2. docs/powerfx.md says what of the language there is, how labels behave, and where
the answers differ from Microsoft's.
"""

from __future__ import annotations

from router.rules.powerfx.errors import PowerFxError, PowerFxSyntaxError
from router.rules.powerfx.evaluator import Compiled, compile_expression, evaluate, is_compiled
from router.rules.powerfx.limits import Limits

__all__ = ["Compiled", "Limits", "PowerFxError", "PowerFxSyntaxError", "compile_expression", "evaluate", "is_compiled"]
