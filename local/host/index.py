"""Reads the functions and bindings of a function app, with the checks that the platform's Python worker makes."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from azure.functions import FunctionRegister, meta

HTTP_TRIGGER: Final = "httpTrigger"
EVENT_GRID_TRIGGER: Final = "eventGridTrigger"
TIMER_TRIGGER: Final = "timerTrigger"
_TRIGGERS: Final = frozenset({HTTP_TRIGGER, EVENT_GRID_TRIGGER, TIMER_TRIGGER})
_OUT: Final = 1
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_\-]{0,127}")


class IndexingError(Exception):
    """The app cannot be loaded: the platform would refuse it, or this host does not support what it uses."""


@dataclass(frozen=True, slots=True)
class HostedFunction:
    """A function with its trigger's settings, as function.json would hold them."""

    name: str
    call: Callable[..., Any]
    is_async: bool
    trigger: str
    parameter: str
    wants_context: bool
    settings: dict[str, Any]
    directory: str


def converter(binding_type: str) -> Any:
    """The library's converter between a binding's data and the Python types of its parameters."""
    registry: Any = meta.get_binding_registry()  # type: ignore[no-untyped-call]  # the library has no annotation here
    return registry.get(binding_type)


def load_functions(app_dir: Path, module_name: str = "function_app") -> list[HostedFunction]:
    """Imports the app's module and returns its functions; the app object must be the only one at the top level."""
    if not (app_dir / f"{module_name}.py").is_file():
        raise IndexingError(f"there is no {module_name}.py in {app_dir}")
    if str(app_dir) not in sys.path:
        sys.path.insert(0, str(app_dir))
    module = importlib.import_module(module_name)
    apps = [value for value in vars(module).values() if isinstance(value, FunctionRegister)]
    if len(apps) != 1:
        raise IndexingError(f"{module_name}.py has {len(apps)} function apps at its top level; exactly one is expected")
    functions = [_read_function(function, app_dir) for function in apps[0].get_functions()]
    if not functions:
        raise IndexingError(f"{module_name}.py registers no functions")
    return functions


def _read_function(function: Any, app_dir: Path) -> HostedFunction:
    name: str = function.get_function_name()
    if not _NAME.fullmatch(name):
        raise IndexingError(f"function {name!r}: the name must match {_NAME.pattern}")
    trigger = function.get_trigger()
    if trigger is None or trigger.type not in _TRIGGERS:
        kind = trigger.type if trigger is not None else None
        raise IndexingError(f"function {name}: this host does not serve a trigger of type {kind!r}")
    bindings = function.get_bindings()
    for binding in bindings:
        if binding is not trigger and not (binding.type == "http" and binding.direction == _OUT):
            raise IndexingError(f"function {name}: this host does not serve the binding {binding.type!r}")
    call = function.get_user_function()
    return HostedFunction(
        name=name,
        call=call,
        is_async=inspect.iscoroutinefunction(call),
        trigger=trigger.type,
        parameter=trigger.name,
        wants_context=_check_signature(name, call, trigger.name, bindings),
        settings=trigger.get_dict_repr(),
        directory=str(app_dir),
    )


def _check_signature(name: str, call: Callable[..., Any], parameter: str, bindings: Sequence[Any]) -> bool:
    """The worker's rules for parameters and annotations; True if the function asks for its context."""
    parameters = set(inspect.signature(call).parameters)
    bound = {binding.name for binding in bindings if binding.name != "$return"}
    wants_context = "context" in parameters and "context" not in bound
    if wants_context:
        parameters.discard("context")
    if parameters != bound:
        raise IndexingError(
            f"function {name}: its parameters {sorted(parameters)} are not its bindings {sorted(bound)}"
        )
    try:
        annotations = typing.get_type_hints(call)
    except NameError as error:
        raise IndexingError(f"function {name}: an annotation cannot be resolved: {error}") from error
    trigger_type = next(binding.type for binding in bindings if binding.name == parameter)
    wanted = annotations.get(parameter)
    if wanted is not None and not converter(trigger_type).check_input_type_annotation(wanted):
        raise IndexingError(f"function {name}: {parameter}: {wanted} does not fit {trigger_type}")
    if any(binding.name == "$return" for binding in bindings):
        returned = annotations.get("return")
        if returned is not None and (
            not isinstance(returned, type) or not converter("http").check_output_type_annotation(returned)
        ):
            raise IndexingError(f"function {name}: it must return HttpResponse or str, not {returned}")
    return wants_context
