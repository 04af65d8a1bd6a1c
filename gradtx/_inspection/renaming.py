"""Names of the arrays in saved states that are other ones now: which renaming helps, and the message."""

import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from gradtx import codecs
from gradtx._values.registry import REGISTRY


def renamed(d: Mapping[str, Any], rename: Mapping[str, str]) -> dict[str, Any]:
    """The arrays by other names; a key of `rename` is the beginning of a name, or a part of it, of whole words."""
    elsewhere = [key for key in rename if not any(begins(name, key) for name in d)]
    found = {}
    for name, array in d.items():
        first = max((key for key in rename if begins(name, key)), key=len, default=None)
        inside = max((key for key in elsewhere if has_inside(name, key)), key=len, default=None)
        if first is not None:
            rest = name.removeprefix(first.rstrip("/")).strip("/")
            name = "/".join(filter(None, (rename[first].strip("/"), rest)))
        elif inside is not None:
            words = re.split(f"(?<=/){re.escape(inside.strip('/'))}(?=/)", f"/{name}/")
            name = rename[inside].strip("/").join(words).strip("/")
        found[name] = array
    return found


def recoded(d: Mapping[str, Any], named: list[str]) -> Mapping[str, Any]:
    """The arrays, encoded by `codecs.float8` where the state has codes and `d` an array, and decoded in reverse."""
    wanted, found = set(named), dict(d)
    codec, fields = codecs.float8, codecs.Float8._fields
    last = f"/{fields[0]}"
    for name in {name.removesuffix(last) for name in [*named, *d] if name.endswith(last)}:
        entries = [f"{name}/{field}" for field in fields]
        if wanted.issuperset(entries) and name in d and name not in wanted:
            found |= zip(entries, codec.encode(jnp.asarray(found.pop(name)), jnp.int32(0)), strict=True)
        elif name in wanted and d.keys() >= set(entries) and not wanted.issuperset(entries):
            found[name] = codec.decode(codecs.Float8(*(jnp.asarray(found.pop(entry)) for entry in entries)))
    return found


def begins(name: str, key: str) -> bool:
    return not key or f"{name}/".startswith(f"{key.rstrip('/')}/")


def has_inside(name: str, key: str) -> bool:
    return bool(key.strip("/")) and f"/{key.strip('/')}/" in f"/{name}/"


def mismatch(optimizer: str, missing: list[str], extra: list[str], expected: int) -> str:
    """The message for entries that are missing or unexpected, of the number that is expected, with the remedy."""
    lines = [f"the entries do not match the state of {optimizer}"]
    for kind, entries in (("missing", missing), ("unexpected", extra)):
        if entries:
            more = [f"... ({len(entries) - 8} more)"] if len(entries) > 8 else []
            lines.append("\n    ".join([f"{kind} entries:", *entries[:8], *more]))
    change = _change_of_beginning(missing, extra) if missing and extra else None
    counts = _counts_of_schedules(missing)
    if change is not None:
        rest = ", strict=False" if len(missing) > len(extra) else ""
        lines.append(f"names begin in another way now: load_state_dict(..., rename={change!r}{rest})")
    elif missing and len(missing) == expected and len(counts) == 0:
        lines.append("this is the state of another optimizer, or of parameters with other names")
    if change is None and len(missing) == len(extra):
        lines.append("where names have changed: load_state_dict(..., rename={'old/beginning': 'new/beginning'})")
    if counts:
        lines.append(f"a new schedule starts at step 0; to start it at step n: {{**d, {counts[0]!r}: n}} in place of d")
    if len(missing) < expected or counts:
        lines.append("strict=False initializes missing entries and ignores unexpected ones")
    return "\n  ".join(lines)


def _counts_of_schedules(missing: list[str]) -> list[str]:
    """The step counts among the entries that are missing because hyperparameters follow schedules now."""
    found = []
    for name in missing:
        owner, _, field = name.rpartition("/")
        spec = REGISTRY.get(re.sub(r"\[\d+\]$", "", owner.split("/")[-1]))
        if field == "count" and spec is not None and any(f"{owner}/{number}" in missing for number in spec.numbers):
            found.append(name)
    return found


def _change_of_beginning(missing: list[str], extra: list[str]) -> dict[str, str] | None:
    """The argument `rename` with which all unexpected entries, or the one that is missing, are found; or None."""
    pairs = [(extra[0], name) for name in missing] if len(missing) > 1 else [(name, missing[0]) for name in extra]
    pairs = [pair for pair in pairs if not _are_of_other_parts(*pair)]
    split = [(old.split("/"), new.split("/")) for old, new in pairs]
    for old, new in sorted(split, key=lambda pair: _common_end(*pair), reverse=True)[:20]:
        for same in range(_common_end(old, new), -1, -1):
            change = {"/".join(old[: len(old) - same]): "/".join(new[: len(new) - same])}
            found = renamed(dict.fromkeys(extra), change).keys()
            if (found <= set(missing) and same) or (len(missing) == 1 and missing[0] in found):
                return change
    return None


def _are_of_other_parts(old: str, new: str) -> bool:
    """Whether the arrays are those of two different factories, so that one does not say what the other does."""
    last = [[word for word in name.split("/") if word in REGISTRY] for name in (old, new)]
    return all(last) and last[0][-1] != last[1][-1]


def _common_end(x: list[str], y: list[str]) -> int:
    """The number of words that two names have in common at their ends."""
    return next(
        (n for n, (a, b) in enumerate(zip(reversed(x), reversed(y), strict=False)) if a != b), min(len(x), len(y))
    )
