"""What people fill in: forms, JSON bodies and queries become pydantic models, and errors become plain words."""

from __future__ import annotations

import json
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, NoReturn, TypeVar

from aiohttp import web
from multidict import MultiDict, MultiMapping
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

M = TypeVar("M", bound=BaseModel)
CSRF_FIELD: Final = "csrf_token"
LANGUAGE: Final = "lang"


class Body(BaseModel):
    """Base of every body, form and query: spaces around text are dropped, unknown fields are an error."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault. `pointer` is a JSON pointer (RFC 6901) or a form field's name; `code` is pydantic's error type."""

    pointer: str
    code: str
    detail: str


class InvalidInput(Exception):
    """The body or query does not fit its model. Answered with 422."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__(f"{len(errors)} faults in the input")
        self.errors = errors


class UnsupportedBody(Exception):
    """The body is not of the media type that the route takes. Answered with 415."""


@dataclass(frozen=True, slots=True)
class Form(Generic[M]):
    """A filled-in form. `model` is None when `errors` (plain words by field name) is not empty.

    `values` are the texts as typed, for showing the form again. Fields whose name contains `password` or `pin` are left
    out of them.
    """

    values: Mapping[str, str]
    errors: Mapping[str, str]
    model: M | None

    def error(self, name: str, words: str) -> Form[M]:
        """The same form with one more fault, found by a service."""
        return Form(self.values, {**self.errors, name: words}, None)


EMPTY: Final[Form[Any]] = Form({}, {}, None)


def parse_form(data: MultiMapping[Any], model: type[M], _: Callable[[str], str]) -> Form[M]:
    """Check form data. Empty texts count as not filled in; files are left to the handler."""
    texts = {key: value for key in data if isinstance(value := data[key], str) and key != CSRF_FIELD}
    values = {key: value for key, value in texts.items() if not _secret(key)}
    try:
        for key in texts:
            for value in data.getall(key):
                if isinstance(value, str):
                    _check_text(value)
        fields = {
            key: [item for item in data.getall(key) if item] if _is_list(model, key) else value
            for key, value in texts.items()
            if value.strip()
        }
        return Form(values, {}, model.model_validate(fields))
    except ValidationError as error:
        errors = {str(e["loc"][0]) if e["loc"] else "": plain_words(e, _) for e in reversed(error.errors())}
        return Form(values, errors, None)
    except _BadText:
        return Form({}, {"": _("Some characters in the form cannot be used.")}, None)


def parse_query(data: MultiMapping[str], model: type[M], _: Callable[[str], str]) -> M:
    """Check a query string; InvalidInput when it does not fit. `lang`, which every page takes, need not be declared."""
    if LANGUAGE not in model.model_fields:
        data = MultiDict((key, value) for key, value in data.items() if key != LANGUAGE)
    form = parse_form(data, model, _)
    if form.model is None:
        raise InvalidInput([FieldError(name, "invalid", words) for name, words in form.errors.items()])
    return form.model


async def parse_json(request: web.Request, model: type[M], _: Callable[[str], str]) -> M:
    """Read and check a JSON body. Raises UnsupportedBody, InvalidInput; aiohttp's HTTPRequestEntityTooLarge."""
    if request.content_type != "application/json":
        raise UnsupportedBody
    try:
        data = json.loads(await request.read(), parse_constant=_no_constant)
        _check_text(data)
        return model.model_validate(data)
    except ValidationError as error:
        raise InvalidInput(
            [FieldError(_pointer(e["loc"]), str(e["type"]), plain_words(e, _)) for e in error.errors()]
        ) from None
    except (_BadText, ValueError, RecursionError):
        raise InvalidInput([FieldError("", "json", _("This is not a JSON document we can read."))]) from None


def plain_words(error: ErrorDetails, _: Callable[[str], str]) -> str:
    """A fault in words that a person can act on."""
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return _("Please fill this in.")
        case "string_too_short":
            return _("Please use at least {count} characters.").format(count=context.get("min_length"))
        case "string_too_long":
            return _("Please use at most {count} characters.").format(count=context.get("max_length"))
        case "extra_forbidden":
            return _("This field is not known.")
        case kind if kind.startswith(("date_", "datetime_", "time_")):
            return _("Please write the date as year-month-day, for example 1980-12-31.")
        case kind if kind.startswith(("int_", "float_", "decimal_")):
            return _("Please write a number.")
        case "enum" | "literal_error":
            return _("Please choose one of the answers.")
        case "value_error" | "assertion_error" if "error" in context:
            return _(str(context["error"]))
        case "value_error":
            return _("Please check this. An e-mail address looks like name@example.org.")
        case _other:
            return _("Please check this.")


class _BadText(ValueError):
    pass


def _check_text(value: object) -> None:
    """Refuse what no database can keep: NUL characters and lone surrogates."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise _BadText
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check_text(item)
    elif isinstance(value, list):
        for item in value:
            _check_text(item)


def storable(text: str) -> bool:
    """Whether a text can be kept and compared everywhere: no NUL, no lone surrogate."""
    try:
        _check_text(text)
    except _BadText:
        return False
    return True


def _no_constant(name: str) -> NoReturn:
    raise _BadText(name)  # NaN and Infinity are no JSON (RFC 8259 section 6)


def _secret(name: str) -> bool:
    return "password" in name or "pin" in name.split("_")


def _pointer(location: tuple[int | str, ...]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


def _is_list(model: type[BaseModel], name: str) -> bool:
    if name not in model.model_fields:
        return False
    annotation = model.model_fields[name].annotation
    # list[str] | None: look at each choice
    options = (annotation, *typing.get_args(annotation))
    return any(typing.get_origin(option) in (list, set, frozenset, tuple) for option in options)
