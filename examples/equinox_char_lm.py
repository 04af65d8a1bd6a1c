"""Equinox: a small transformer learns Python, letter by letter, from the source of Python's own library.

    python examples/equinox_char_lm.py

Gradients of several small batches make one update, `accumulate_gradients`, as if they were of one large batch: the
memory for activations is that of the small one. Prints how many bits each letter costs on text that was held out, for
the transformer and for simpler models, and a text that it writes.
"""

import argparse
import importlib.util
import sys
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from tqdm import trange

import gradtx as gx
from gradtx import schedules

ALPHABET, CONTEXT, WIDTH, HEADS, LAYERS = 128, 128, 96, 4, 2  # the letters are those of ASCII


class Block(eqx.Module):
    """Attention to the letters before, and a perceptron, each added to what comes in."""

    norm1: eqx.nn.LayerNorm
    turn: eqx.nn.RotaryPositionalEmbedding
    attention: eqx.nn.MultiheadAttention
    norm2: eqx.nn.LayerNorm
    mlp: eqx.nn.MLP

    def __init__(self, key):
        first, last = jax.random.split(key)
        self.norm1, self.norm2 = eqx.nn.LayerNorm(WIDTH), eqx.nn.LayerNorm(WIDTH)
        self.attention = eqx.nn.MultiheadAttention(HEADS, WIDTH, key=first)
        self.turn = eqx.nn.RotaryPositionalEmbedding(WIDTH // HEADS)
        self.mlp = eqx.nn.MLP(WIDTH, WIDTH, 4 * WIDTH, 1, activation=jax.nn.gelu, key=last)

    def __call__(self, x):
        turn = jax.vmap(self.turn, in_axes=1, out_axes=1)  # in each head, by an angle that grows with the place
        y, before = jax.vmap(self.norm1)(x), jnp.tril(jnp.ones((len(x), len(x)), bool))
        x = x + self.attention(y, y, y, mask=before, process_heads=lambda q, k, v: (turn(q), turn(k), v))
        return x + jax.vmap(self.mlp)(jax.vmap(self.norm2)(x))


class Transformer(eqx.Module):
    """From the letters of a text, as numbers, to the scores of the letter after each of them."""

    letters: eqx.nn.Embedding
    blocks: list[Block]
    head: eqx.nn.Sequential

    def __init__(self, key):
        first, last, *keys = jax.random.split(key, 2 + LAYERS)
        self.letters = eqx.nn.Embedding(weight=0.02 * jax.random.normal(first, (ALPHABET, WIDTH)))
        self.blocks = [Block(key) for key in keys]
        self.head = eqx.nn.Sequential([eqx.nn.LayerNorm(WIDTH), eqx.nn.Linear(WIDTH, ALPHABET, key=last)])

    def __call__(self, text):
        x = jax.vmap(self.letters)(text)
        for block in self.blocks:
            x = block(x)
        return jax.vmap(self.head)(x)


def library():
    """The source of each public module of Python's library that is a single file."""
    specs = [importlib.util.find_spec(name) for name in sorted(sys.stdlib_module_names) if not name.startswith("_")]
    origins = [spec.origin for spec in specs if spec and spec.origin and not spec.submodule_search_locations]
    return [Path(origin).read_text("utf-8", "ignore") for origin in origins if origin.endswith(".py")]


def optimizer(steps, every):
    warmup = steps // 10
    rate = schedules.warmup(warmup, schedules.cosine_decay(5e-3, steps - warmup))  # it counts updates, not batches
    decayed = gx.by_path({"**/norm*/*": False, "head/layers/0/*": False, "**/bias": False, "**": True})
    adamw = gx.adamw(rate, b2=0.98, weight_decay=0.05, mask=decayed)
    return gx.accumulate_gradients(gx.chain(gx.clip_by_global_norm(1.0), adamw), every)


def bits(model, windows):
    """The mean cost of a letter: the negative logarithm, to base 2, of the probability it is given."""
    scores = jax.nn.log_softmax(jax.vmap(model)(windows[:, :-1]))
    return -jnp.mean(jnp.take_along_axis(scores, windows[:, 1:, None], axis=-1)) / jnp.log(2)


@eqx.filter_jit
def train_step(model, state, tx, windows):
    loss, grads = eqx.filter_value_and_grad(bits)(model, windows)
    updates, state = tx.update(grads, state, eqx.filter(model, eqx.is_inexact_array))
    return eqx.apply_updates(model, updates), state, loss


@eqx.filter_jit
def write(model, window, key, count, temperature=0.6):
    """Continues a text of CONTEXT letters."""

    def letter(window, key):
        new = jax.random.categorical(key, model(window)[-1] / temperature)
        return jnp.append(window[1:], new.astype(window.dtype)), new

    return jax.lax.scan(letter, window, jax.random.split(key, count))[1]


def main():
    arguments = argparse.ArgumentParser(description="A transformer that learns to write Python.")
    arguments.add_argument("--steps", type=int, default=1000, help="updates of the parameters")
    arguments.add_argument("--every", type=int, default=4, help="small batches to an update")
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()

    coded = [np.frombuffer(source.encode("ascii", "ignore"), np.uint8).astype(np.int32) for source in library()]
    train = np.concatenate([text[: len(text) * 19 // 20] for text in coded])  # the end of each module is held out
    test = np.concatenate([text[len(text) * 19 // 20 :] for text in coded])
    held_out = jnp.asarray(test[np.arange(0, len(test) - CONTEXT, 4 * CONTEXT)[:, None] + np.arange(CONTEXT + 1)])

    grow, speak = jax.random.split(jax.random.key(options.seed))
    untrained, tx = Transformer(grow), optimizer(options.steps, options.every)
    params = eqx.filter(untrained, eqx.is_inexact_array)
    print(f"{len(train):,} letters to learn from, {len(test):,} held out, {gx.tree.size(params):,} parameters")

    model, state, random, began = untrained, tx.init(params), np.random.default_rng(options.seed), time.perf_counter()
    for batch in (bar := trange(options.steps * options.every, desc="training", unit="batch")):
        starts = random.integers(len(train) - CONTEXT, size=4)
        windows = jnp.asarray(train[starts[:, None] + np.arange(CONTEXT + 1)])
        model, state, loss = train_step(model, state, tx, windows)
        if batch % 50 == 49:
            bar.set_postfix(bits=f"{loss:.2f}", rate=f"{gx.get_hyperparams(state)['learning_rate']:.2g}")

    pairs = np.ones((ALPHABET, ALPHABET))
    np.add.at(pairs, (train[:-1], train[1:]), 1)
    after = pairs / pairs.sum(axis=1, keepdims=True)
    print("\nbits per letter of held-out text")
    print(f"all letters alike       {np.log2(ALPHABET):.2f}")
    print(f"frequencies of pairs    {-np.mean(np.log2(after[test[:-1], test[1:]])):.2f}")
    print(f"untrained transformer   {eqx.filter_jit(bits)(untrained, held_out):.2f}")
    print(f"trained for {time.perf_counter() - began:4.0f} s      {eqx.filter_jit(bits)(model, held_out):.2f}")
    prompt = held_out[0, :CONTEXT]
    for title, numbers in ("after", prompt), ("it writes", write(model, prompt, speak, 400)):
        print(f"{title:-^80}\n{bytes(numbers.tolist()).decode()}")


if __name__ == "__main__":
    main()
