"""Power Fx, the expression language of rules: parsed, checked, compiled to closures, evaluated in bounds."""

from __future__ import annotations

from router.rules.powerfx.errors import PowerFxError, PowerFxSyntaxError
from router.rules.powerfx.evaluator import Compiled, compile_expression, evaluate
from router.rules.powerfx.limits import Limits

__all__ = ["Compiled", "Limits", "PowerFxError", "PowerFxSyntaxError", "compile_expression", "evaluate"]
