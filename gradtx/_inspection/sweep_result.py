"""The results of a sweep: the losses, and a table of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradtx._base.errors import GradtxValueError
from gradtx._core.hyperparams import with_numbers
from gradtx._core.protocol import GradientTransformation
from gradtx.inspect import _table

_ROWS = 40
"""The maximum number of rows; a longer table shows only the best rows."""


@dataclass(frozen=True, eq=False, repr=False)
class SweepResult:
    """The losses of a sweep. `str` and notebooks show a table; `gradtx.plot.sweep` plots it.

    A run has diverged if its loss is not finite. Diverged runs are excluded from all statistics over the seeds.

    Attributes:
        tx: the transform that was swept.
        grid: the values per swept hyperparameter, by name.
        seeds: the seeds of the random keys.
        losses: the loss of each run: one axis per swept hyperparameter, then one axis for the seeds.
        aux: the auxiliary output of `train`: a pytree of arrays whose leading axes are those of `losses`; None without
            `has_aux`.
    """

    tx: GradientTransformation
    grid: dict[str, np.ndarray]
    seeds: tuple[int, ...]
    losses: np.ndarray
    aux: Any = None

    @property
    def diverged(self) -> np.ndarray:
        """Whether the loss of each run is not finite: a boolean array with the shape of `losses`."""
        return ~np.isfinite(self.losses)

    @property
    def mean(self) -> np.ndarray:
        """The mean loss over the seeds: float64, with the shape of the grid; NaN where every run diverged."""
        return self._mean(np.asarray(self.losses, float))

    @property
    def spread(self) -> np.ndarray:
        """The standard deviation of the loss over the seeds: float64; NaN where every run diverged."""
        deviations = np.where(self.diverged, 0.0, self.losses) - self.mean[..., None]
        return np.sqrt(self._mean(deviations**2))

    @property
    def lowest(self) -> np.ndarray:
        """The lowest loss over the seeds: float64, with the shape of the grid; NaN where every run diverged."""
        return self._extreme(np.min, np.inf)

    @property
    def highest(self) -> np.ndarray:
        """The highest loss over the seeds: float64, with the shape of the grid; NaN where every run diverged."""
        return self._extreme(np.max, -np.inf)

    @property
    def best_numbers(self) -> dict[str, float]:
        """The hyperparameter values with the lowest mean loss, by name. Points with a diverged run are excluded.

        Raises:
            GradtxValueError: every point has a diverged run.
        """
        index = self._best_index()
        if index is None:
            raise GradtxValueError(
                "sweep: there is no best point, because every point has a diverged run; try other values"
            )
        return self._numbers(index)

    @property
    def best(self) -> GradientTransformation:
        """The transform with the best hyperparameter values.

        Raises:
            GradtxValueError: every point has a diverged run.
        """
        return with_numbers(self.tx, self.best_numbers)

    def _mean(self, x: np.ndarray) -> np.ndarray:
        counts = np.sum(~self.diverged, axis=-1)
        sums = np.sum(np.where(self.diverged, 0.0, x), axis=-1)
        return np.where(counts == 0, np.nan, sums / np.maximum(counts, 1))

    def _extreme(self, reduce: Callable[..., np.ndarray], rest: float) -> np.ndarray:
        found = reduce(np.where(self.diverged, rest, np.asarray(self.losses, float)), axis=-1)
        return np.where(self.diverged.all(axis=-1), np.nan, found)

    def _best_index(self) -> tuple[int, ...] | None:
        sound = ~self.diverged.any(axis=-1)
        if not sound.any():
            return None
        lowest = np.argmin(np.where(sound, self.mean, np.inf))
        return tuple(int(i) for i in np.unravel_index(lowest, sound.shape))

    def _numbers(self, index: tuple[int, ...]) -> dict[str, float]:
        return {name: float(values[i]) for (name, values), i in zip(self.grid.items(), index, strict=True)}

    def _cells(self) -> list[list[str]]:
        """The header and one row per point: the values, the loss or its mean and range over the seeds, a remark."""
        several, best, diverged = len(self.seeds) > 1, self._best_index(), self.diverged.sum(axis=-1)
        points = list(np.ndindex(self.mean.shape))
        if len(points) > _ROWS:
            points = [points[i] for i in np.argsort(np.where(diverged > 0, np.inf, self.mean), axis=None)[:_ROWS]]
        lines = [[*self.grid, *(["mean", "lowest", "highest"] if several else ["loss"]), ""]]
        columns = [self.mean, self.lowest, self.highest] if several else [self.mean]
        for index in points:
            numbers = [f"{number:.4g}" for number in self._numbers(index).values()]
            found = [column[index] for column in columns]
            gone = "diverged" if not several else f"{diverged[index]} of {len(self.seeds)} diverged"
            remark = "← best" if index == best else gone if diverged[index] else ""
            lines.append([*numbers, *("–" if np.isnan(x) else f"{x:.4g}" for x in found), remark])
        return lines

    def _footer(self) -> str:
        points, seeds = self.mean.size, len(self.seeds)
        text = f"{self.tx.factory_name}: {points} points, " + (
            f"{seeds} seeds each: mean, lowest and highest loss" if seeds > 1 else f"seed {self.seeds[0]}"
        )
        return f"{text}; the {_ROWS} best are shown" if points > _ROWS else text

    def __str__(self) -> str:
        lines = self._cells()
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = ["  ".join([*map(str.rjust, line[:-1], widths[:-1]), line[-1]]).rstrip() for line in lines]
        return "\n".join([text[0], "─" * max(map(len, text)), *text[1:], "", self._footer()])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        header, *rows = self._cells()
        return _table(header, rows) + f"<p>{self._footer()}</p>"
