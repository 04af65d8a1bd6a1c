"""The tables of "Coming from Optax", made from the names and signatures: `python tests/optax_table.py` writes them."""

import inspect
from pathlib import Path

import gradtx as gx
import gradtx.optax as facade
from gradtx._base.optax_names import OPTAX

PAGE = Path(__file__).parent.parent / "docs" / "coming_from_optax.md"
STATES, NOTHING = "state_dict(tx, state), which names every array of a state", "nothing: it has to do with no optimizer"


# What has the same name and other numbers at equal arguments: names, where, in Optax, in gradtx, and what has Optax's.
# `test_other_numbers.py` measures that all such names are here, and that the last column is right.
FACADE, NOT = "`gradtx.optax`", "nothing"
NUMBERS = [
    (
        "rmsprop, scale_by_rms, scale_by_stddev",
        "",
        "`eps` inside the root",
        "outside; `eps_root` inside",
        "`eps=0.0, eps_root=1e-8`",
    ),
    ("rmsprop", "`momentum`, and a rate that changes", "momentum after the learning rate", "before it", FACADE),
    ("adagrad, scale_by_rss", "", "`eps` inside the root", "outside; `eps_root` inside", "`eps=0.0, eps_root=1e-7`"),
    ("adafactor", "`learning_rate=None`", "no learning rate", "the relative step of the paper", "`learning_rate=1.0`"),
    ("adafactor, scale_by_factored_rms", "float64", "the decay in float32", "in float64", FACADE),
    ("adamax, adamaxw, scale_by_adamax", "", "`eps` added to each magnitude", "to the maximum", FACADE),
    ("adan, scale_by_adan", "", "changes weighted by `1 - b2`", "by `b2`, as in the paper", FACADE),
    ("scale_by_ademamix", "", "`alpha=6.0`", "`alpha=5.0`, as `ademamix` has it", "`alpha=6.0`"),
    (
        "adabelief, scale_by_belief",
        "",
        "`eps_root` added to the stored moment at each step",
        "to the corrected one",
        FACADE,
    ),
    ("acprop", "", "deviations from the average of the step before", "from that of this step", FACADE),
    ("yogi, scale_by_yogi", "", "both moments start at 1e-6", "the second only", FACADE),
    ("rprop", "", "one step late: the sign of the gradient before", "at once", FACADE),
    ("madgrad", "", "`eps` added to the learning rate too", "to the root only", FACADE),
    (
        "optimistic_gradient_descent",
        "",
        "the change is 0 at the first step",
        "the first gradient is a change too",
        FACADE,
    ),
    (
        "optimistic_adam",
        "",
        "the change is 0 at the first step; Nadam's direction by default",
        "the first direction is a change too; Adam's direction",
        FACADE,
    ),
    (
        "muon",
        "",
        "Jordan's polynomials and shape factor, a corrected momentum, no decay",
        "a narrower band, the scale of AdamW, a plain momentum, decay 0.1",
        FACADE,
    ),
    (
        "lbfgs",
        "",
        "a first step of at most the gradient's length, and another line search",
        "a first trial of the whole step",
        NOT,
    ),
    (
        "sophia",
        "",
        "the mean is corrected for its start; an estimate counts one step later",
        "neither, as in the paper",
        FACADE,
    ),
    ("polyak_sgd", "`scaling`", "multiplies the gradient, and so its norm", "multiplies the step", FACADE),
    (
        "scale_by_polyak, polyak_sgd",
        "a tiny gradient",
        "0 where the squared norm is below 2e-16",
        "the step of the formula",
        NOT,
    ),
    (
        "schedule_free_sgd, schedule_free_adamw",
        "`warmup_steps`",
        "the first rate is 0",
        "it is `1 / warmup_steps` of the whole",
        FACADE,
    ),
    (
        "dowg",
        "`eps`",
        "`eps` is the first squared distance too",
        "`init_distance` is apart",
        "`init_distance=eps**0.5`",
    ),
    ("add_noise, noisy_sgd", "", "noise of `key`, and steps counted from 1", "of `seed`, from 0", FACADE),
    ("dpsgd", "", "noise of `seed`, by Optax's keys", "of `seed`, by gradtx's keys", FACADE),
    ("centralize", "", "keeps the first axis", "keeps the last, the outputs of a Flax kernel", FACADE),
    (
        "reduce_on_plateau",
        "a metric below 0",
        "counts as improved while it stays the same",
        "has to become smaller",
        NOT,
    ),
]


def numbers():
    """What has the same name and other numbers."""
    rows = ["| name | in Optax | in gradtx |", "|---|---|---|"]
    for names, where, theirs, ours, way in NUMBERS:
        cell = listed(names.split(", ")) + (f": {where}" if where else "")
        how = "" if way == FACADE else f". Optax's: {way}"
        rows.append(f"| {cell} | {theirs} | {ours}{how} |")
    return rows


def with_other_numbers():
    """The names in that table."""
    return {name for names, *_ in NUMBERS for name in names.split(", ")}


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


TABLES = {"numbers": numbers, "names": names, "arguments": arguments}


def rewritten(text):
    """The page with the tables as they should be."""
    for key, table in TABLES.items():
        begin, end = f"<!-- {key} -->\n", f"<!-- end of {key} -->"
        before, rest = text.split(begin)
        text = before + begin + "".join(f"{line}\n" for line in table()) + end + rest.split(end)[1]
    return text


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text()))
