"""Kill a training run at a random step, resume it from its last checkpoint, and end with the same bits.

    python examples/resume_after_crash.py

Each run is a process of its own. One is left in peace; the other is killed twice, without warning, and started again.
Parameters and the whole state of the optimizer (moments, averages, the count of the schedule) go through Orbax, and
which images a step sees follows from its number alone: so nothing tells the resumed run from the other.
"""

import argparse
import hashlib
import logging
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from sklearn.datasets import load_digits
from tqdm import tqdm

import gradtx as gx
from gradtx import schedules

logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax warns of what a crash leaves half written; here it is meant


def optimizer(steps):
    rate = schedules.cosine_decay(3e-3, steps)
    return gx.chain(gx.clip_by_global_norm(1.0), gx.average_params(gx.adamw(rate, weight_decay=0.01), decay=0.99))


def loss_fn(params, images, labels):
    hidden = jax.nn.relu(images @ params["hidden"]["kernel"] + params["hidden"]["bias"])
    scores = jax.nn.log_softmax(hidden @ params["head"]["kernel"] + params["head"]["bias"])
    return -jnp.mean(jnp.take_along_axis(scores, labels[:, None], axis=1))


def initial_params(key):
    first, last = jax.random.split(key)
    return {
        "hidden": {"kernel": jax.random.normal(first, (64, 128)) / 8, "bias": jnp.zeros(128)},
        "head": {"kernel": jax.random.normal(last, (128, 10)) / 12, "bias": jnp.zeros(10)},
    }


def train(directory, steps, every, seed):
    """One run, from its last checkpoint if there is one; says where it is after each step."""
    pixels, targets = load_digits(return_X_y=True)
    images, labels = jnp.asarray(pixels / 16, jnp.float32), jnp.asarray(targets)
    tx, key = optimizer(steps), jax.random.key(seed)
    train_step = gx.make_train_step(loss_fn, tx)

    params = initial_params(key)
    carry = {"params": params, "state": tx.init(params)}
    # A crash may leave a checkpoint half written; it is under another name until it is whole, and is cleared away.
    options = ocp.CheckpointManagerOptions(save_interval_steps=every, max_to_keep=2, cleanup_tmp_directories=True)
    with ocp.CheckpointManager(directory, options=options) as checkpoints:
        begin = checkpoints.latest_step() or 0
        if begin:
            carry = checkpoints.restore(begin, args=ocp.args.StandardRestore(carry))
        print("from", begin, flush=True)
        loss = jnp.nan
        for step in range(begin + 1, steps + 1):
            batch = jax.random.choice(jax.random.fold_in(key, step), len(labels), (128,))
            params, state, loss = train_step(carry["params"], carry["state"], images[batch], labels[batch])
            carry = {"params": params, "state": state}
            print("step", step, flush=True)
            checkpoints.save(step, args=ocp.args.StandardSave(carry))  # written while the next steps are taken
    averages = gx.eval_params(carry["state"], carry["params"])
    print("result", digest(carry["params"]), digest(carry["state"]), digest(averages), f"{loss:.6f}", flush=True)


def digest(tree):
    """The first letters of a hash of every bit in the tree."""
    return hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree))).hexdigest()[:12]


def run(name, directory, options, kill_at=None):
    """Trains in another process, and kills it at a step if asked; returns its first and last step, and the result."""
    flags = {"--worker": directory, "--steps": options.steps, "--every": options.every, "--seed": options.seed}
    command = [sys.executable, __file__, *(str(word) for flag in flags.items() for word in flag)]
    begin, result = 0, []
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
        tqdm(total=options.steps, desc=name, unit="step") as bar,
    ):
        assert process.stdout is not None
        for line in process.stdout:  # to the last one that it wrote
            kind, *words = line.split()
            if kind == "from":
                begin = int(words[0])
                bar.update(begin)
            elif kind == "step":
                bar.update()
                if int(words[0]) == kill_at:
                    process.kill()
            elif kind == "result":
                result = words
    if not result and kill_at is None:
        raise SystemExit(f"the run ended with code {process.returncode} and no result")
    return begin, bar.n, result


def main():
    arguments = argparse.ArgumentParser(description="Kill, resume, and compare the bits.")
    arguments.add_argument("--steps", type=int, default=1000)
    arguments.add_argument("--every", type=int, default=50, help="steps from one checkpoint to the next")
    arguments.add_argument("--seed", type=int, default=0, help="of the training; the crashes are random all the same")
    arguments.add_argument("--worker", type=Path, help="train, with the checkpoints there; for use by this script")
    options = arguments.parse_args()
    if options.worker:
        train(options.worker, options.steps, options.every, options.seed)
        return
    if options.steps < 3:
        arguments.error("two crashes and an end need at least 3 steps")

    middle = options.steps // 2
    crashes = [random.randint(1, middle), random.randint(middle + 1, options.steps * 3 // 4)]
    with tempfile.TemporaryDirectory() as directory:
        *_, expected = run("undisturbed", Path(directory, "undisturbed"), options)
        runs = [run("killed", Path(directory, "killed"), options, crash) for crash in crashes]
        runs.append(run("resumed", Path(directory, "killed"), options))
    actual = runs[-1][-1]

    print("\nbegan at step  ended")
    for begin, end, result in runs:
        print(f"{begin:13}  {'at' if result else 'killed at'} step {end}")
    print("\nhash of       undisturbed   resumed")
    for what, one, other in zip(("parameters", "state", "averages", "last loss"), expected, actual, strict=True):
        print(f"{what:12}  {one:12}  {other:12}  {'the same' if one == other else 'DIFFERENT'}")
    if actual != expected:
        sys.exit(1)


if __name__ == "__main__":
    main()
