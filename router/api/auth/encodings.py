"""The request targets that a client may have signed for the target that the router sees.

The clients sign what they send, with two exceptions: JavaScript signs the query re-encoded as a form, and a
platform that rebuilds the URL from decoded parts leaves only the clients' own encodings of the path to try.
Every alternative decodes to the same path and the same query parameters as the target itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl, quote, quote_plus, unquote_to_bytes

# Characters, beside letters, digits and `_.-~`, that a client leaves as they are in a path segment.
# Python's sync client quotes all others; its aio client sends what yarl makes of that; JavaScript uses
# encodeURIComponent.
LEFT_BY_CLIENTS = ("", "!$&'()*,:;=@", "!'()*")


def signed_targets(method: str, target: str, raw_target_known: bool, sent_paths: Sequence[str] = ()) -> Iterator[str]:
    """The targets to try, the likeliest first; each once. `sent_paths`, where the raw target is not known: what the
    route values say that was sent (route.py)."""
    yield target
    path, mark, query = target.partition("?")
    form = _as_form(query)
    seen = {target}
    paths = [path]
    if not raw_target_known:
        paths += sent_paths or [_encode_path(method, path, left) for left in LEFT_BY_CLIENTS]
    for candidate_path in paths:
        # `path?` with nothing behind: what JavaScript 2.2.0 signs for a URL without a query.
        for candidate in (f"{candidate_path}{mark}{query}", f"{candidate_path}?{form}"):
            if candidate not in seen:
                seen.add(candidate)
                yield candidate


def _as_form(query: str) -> str:
    """`query` as URLSearchParams writes it: decoded, then encoded as application/x-www-form-urlencoded."""
    pairs = parse_qsl(query, keep_blank_values=True, errors="replace")
    return "&".join(f"{_form_word(name)}={_form_word(value)}" for name, value in pairs)


def _form_word(text: str) -> str:
    return quote_plus(text, safe="*").replace("~", "%7E")


def _encode_path(method: str, path: str, left: str) -> str:
    """`path`, decoded and encoded again segment by segment, with the characters of `left` as they are.

    In a POST the last colon sets off the action; every client sends that one as it is.
    """
    action = ""
    if method == "POST":
        head, colon, tail = path.rpartition(":")
        if colon and "/" not in tail:
            path, action = head, ":" + tail
    return "/".join(quote(unquote_to_bytes(segment), safe=left) for segment in path.split("/")) + action
