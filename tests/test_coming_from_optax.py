"""The page for those who come from Optax names everything, and its code runs."""

import re
from pathlib import Path

import jax
import pytest
from optax_table import rewritten

import gradtx as gx
import gradtx.optax as facade
from gradtx._base.optax_names import OPTAX

PAGE = (Path(__file__).parent.parent / "docs" / "coming_from_optax.md").read_text()
NAMES = sorted({name for module in (facade, facade.schedules, facade.transforms) for name in module.__all__})


def test_its_code_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
    with jax.numpy_dtype_promotion("standard"):
        for block in blocks:
            exec(block, {})
    assert capsys.readouterr().out == "1 (3, 2)\n"


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_each_name_is_in_gradtx(name):
    if name in OPTAX:
        assert f"`{name}`" in PAGE
    elif name not in ("StatefulSchedule", "transforms", "schedules", "tree"):
        assert hasattr(gx, name), "neither here nor in gradtx/_base/optax_names.py"
        assert f"`{name}`" in PAGE


def test_its_tables_are_as_they_are_made():
    assert rewritten(PAGE) == PAGE, "run `python tests/optax_table.py`"


def test_optimizers_of_contrib_are_named():
    optimizers = [name for name in facade.contrib.__all__ if name.islower() and "scale_by" not in name]
    for name in optimizers:
        assert hasattr(gx, name) == (f"`{name}`" in PAGE.split("At the root instead of")[1].split("###")[0]), name


def test_the_differences_are_as_the_page_says():
    params = {"w": jax.numpy.ones(2)}
    with pytest.raises(gx.GradtxValueError, match="scale_init_precond"):
        facade.scale_by_lbfgs(scale_init_precond=False)
    with pytest.raises(gx.GradtxValueError, match="b2"):
        facade.scale_by_sm3(b2=0.9)
    with pytest.raises(gx.GradtxValueError, match=r"\[0, 1\)"):
        facade.adam(0.1, b1=1.0)
    with pytest.raises(gx.GradtxValueError, match="init_step"):
        facade.contrib.dog(init_step=("learning_rate", 0.1))
    with pytest.raises(gx.GradtxTypeError, match="int32"):
        facade.adam(0.1).init({"w": jax.numpy.ones(2, jax.numpy.int32)})
    assert facade.trace(1.5).init(params).trace["w"].shape == (2,)
