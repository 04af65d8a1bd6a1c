"""The tables of "Coming from Optax", made from the names and signatures: `python tests/optax_table.py` writes them."""

import inspect
from pathlib import Path

import gradtx as gx
import gradtx.optax as facade
from gradtx._base.optax_names import OPTAX

PAGE = Path(__file__).parent.parent / "docs" / "coming_from_optax.md"
STATES, NOTHING = "state_dict(tx, state), which names every array of a state", "nothing: it has to do with no optimizer"


def names():
    """What has another name."""
    rows = (f"| `{name}` | {text} |" for name, text in OPTAX.items() if text not in (STATES, NOTHING))
    return ["| Optax | gradtx |", "|---|---|", *rows]


def arguments():
    """What has the same name and other arguments or defaults."""
    rows = ["| | only in Optax | only in gradtx | other defaults: Optax's, gradtx's |", "|---|---|---|---|"]
    found = {name: getattr(module, name) for module in (facade, facade.contrib) for name in module.__all__}
    for name, theirs in sorted(found.items()):
        ours = getattr(gx, name, None)
        if not inspect.isfunction(theirs) or not inspect.isfunction(ours):
            continue
        there, here = (inspect.signature(function).parameters for function in (theirs, ours))
        gone, new = (listed(p for p in a if p not in b) for a, b in ((there, here), (here, there)))
        changed = [
            f"`{p}` {_default(there[p])}, {_default(here[p])}"
            for p in there
            if p in here and there[p].default != here[p].default and there[p].default is not inspect.Parameter.empty
        ]
        if gone or new or changed:
            rows.append(f"| `{name}` | {gone} | {new} | {'; '.join(changed)} |")
    return rows


def listed(names):
    return ", ".join(f"`{name}`" for name in names)


def _default(parameter):
    return "needed" if parameter.default is parameter.empty else f"`{parameter.default}`"


TABLES = {"names": names, "arguments": arguments}


def rewritten(text):
    """The page with the tables as they should be."""
    for key, table in TABLES.items():
        begin, end = f"<!-- {key} -->\n", f"<!-- end of {key} -->"
        before, rest = text.split(begin)
        text = before + begin + "".join(f"{line}\n" for line in table()) + end + rest.split(end)[1]
    return text


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text()))
