"""A bigram language model with an EasyLM-like optimizer factory: bfloat16 moments, MultiSteps, apply_if_finite."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax


@dataclass
class AdamWConfig:
    init_lr: float = 0.0
    end_lr: float = 2e-3
    lr: float = 3e-2
    lr_warmup_steps: int = 2
    lr_decay_steps: int = 10
    b1: float = 0.9
    b2: float = 0.95
    clip_gradient: float = 1.0
    weight_decay: float = 0.05
    bf16_momentum: bool = True
    multiply_by_parameter_scale: bool = False
    accumulate_gradient_steps: int = 2
    max_nonfinite: int = 3


def build(config: AdamWConfig, weight_decay_mask=None):
    learning_rate_schedule = optax.warmup_cosine_decay_schedule(
        init_value=config.init_lr,
        peak_value=config.lr,
        warmup_steps=config.lr_warmup_steps,
        decay_steps=config.lr_decay_steps,
        end_value=config.end_lr,
    )
    optimizer_info = {"learning_rate_schedule": learning_rate_schedule}
    if config.multiply_by_parameter_scale:
        optimizer = optax.chain(
            optax.clip_by_global_norm(config.clip_gradient),
            optax.adafactor(learning_rate=learning_rate_schedule, multiply_by_parameter_scale=True),
        )
    else:
        optimizer = optax.chain(
            optax.clip_by_global_norm(config.clip_gradient),
            optax.adamw(
                learning_rate=learning_rate_schedule,
                weight_decay=config.weight_decay,
                b1=config.b1,
                b2=config.b2,
                mask=weight_decay_mask,
                mu_dtype=jnp.bfloat16 if config.bf16_momentum else jnp.float32,
            ),
        )
    optimizer = optax.apply_if_finite(optimizer, config.max_nonfinite)
    if config.accumulate_gradient_steps > 1:
        optimizer = optax.MultiSteps(optimizer, config.accumulate_gradient_steps)
    return optimizer, optimizer_info


def main() -> list[float]:
    rng = np.random.default_rng(37)
    transitions = rng.dirichlet(np.full(8, 0.2), size=8)
    tokens = [0]
    for _ in range(320):
        tokens.append(int(rng.choice(8, p=transitions[tokens[-1]])))
    tokens = np.array(tokens, np.int32)

    params = {
        "embedding": jnp.asarray(0.3 * rng.normal(size=(8, 6)), jnp.float32),
        "head": {"kernel": jnp.asarray(0.3 * rng.normal(size=(6, 8)), jnp.float32), "bias": jnp.zeros(8, jnp.float32)},
    }
    optimizer, info = build(AdamWConfig(), lambda tree: jax.tree_util.tree_map(lambda p: p.ndim != 1, tree))
    opt_state = optimizer.init(params)

    @jax.jit
    def train_step(params, opt_state, inputs, targets):
        def loss_fn(params):
            logits = params["embedding"][inputs] @ params["head"]["kernel"] + params["head"]["bias"][None, :]
            return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()

        loss, grads = jax.value_and_grad(loss_fn)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    results = []
    for step in range(20):
        window = slice(16 * step, 16 * step + 16)
        params, opt_state, loss = train_step(params, opt_state, tokens[:-1][window], tokens[1:][window])
        results.append(float(loss))
        if optimizer.has_updated(opt_state):
            results.append(float(info["learning_rate_schedule"](opt_state.gradient_step)))
    adam_state = opt_state.inner_opt_state.inner_state[1][0]
    assert adam_state.mu["embedding"].dtype == jnp.bfloat16
    assert adam_state.nu["embedding"].dtype == jnp.float32
    results += [float(adam_state.count), float(opt_state.inner_opt_state.total_notfinite)]
    return results
