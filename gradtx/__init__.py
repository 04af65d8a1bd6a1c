"""gradtx: composable gradient transformations for JAX."""

# Layer 1: the protocol, and what transforms are made with.
from gradtx import schedules as schedules
from gradtx import tree as tree
from gradtx._config import from_config as from_config
from gradtx._config import to_config as to_config
from gradtx._constructors import clocked as clocked
from gradtx._constructors import elementwise as elementwise
from gradtx._constructors import memory as memory
from gradtx._constructors import treewise as treewise
from gradtx._core import GradientTransformation as GradientTransformation
from gradtx._core import apply_updates as apply_updates
from gradtx._core import transformation as transformation
from gradtx._errors import GradtxError as GradtxError
from gradtx._errors import GradtxTypeError as GradtxTypeError
from gradtx._errors import GradtxValueError as GradtxValueError
from gradtx._factory import schedule as schedule
from gradtx._identity import identity as identity
from gradtx._identity import set_to_zero as set_to_zero
from gradtx._labels import by_path as by_path
from gradtx._labels import where as where
from gradtx._schedule import Decay as Decay
from gradtx._schedule import NonNegative as NonNegative
from gradtx._schedule import Positive as Positive
from gradtx._schedule import PositiveDecay as PositiveDecay
from gradtx._schedule import Scalar as Scalar
from gradtx._schedule import Schedule as Schedule

# Layer 3a: primitives.
from gradtx._primitives.accumulate import add_momentum as add_momentum
from gradtx._primitives.accumulate import bias_correction as bias_correction
from gradtx._primitives.accumulate import bias_correction_ahead as bias_correction_ahead
from gradtx._primitives.accumulate import previous as previous
from gradtx._primitives.accumulate import running_max as running_max
from gradtx._primitives.accumulate import running_sum as running_sum
from gradtx._primitives.accumulate import scale_by_additive_ema as scale_by_additive_ema
from gradtx._primitives.accumulate import scale_by_ema as scale_by_ema
from gradtx._primitives.accumulate import scale_by_own_rms as scale_by_own_rms
from gradtx._primitives.add import add_decayed_weights as add_decayed_weights
from gradtx._primitives.clip import clip as clip
from gradtx._primitives.clip import clip_by_global_norm as clip_by_global_norm
from gradtx._primitives.elementwise import absolute as absolute
from gradtx._primitives.elementwise import power as power
from gradtx._primitives.elementwise import reciprocal as reciprocal
from gradtx._primitives.elementwise import sign as sign
from gradtx._primitives.elementwise import sqrt as sqrt
from gradtx._primitives.elementwise import square as square
from gradtx._primitives.scale import scale as scale
from gradtx._primitives.scale import scale_by_learning_rate as scale_by_learning_rate

# Layer 3b: combinators.
from gradtx._combinators.chain import chain as chain
from gradtx._combinators.inject import get_hyperparams as get_hyperparams
from gradtx._combinators.inject import inject as inject
from gradtx._combinators.inject import set_hyperparams as set_hyperparams
from gradtx._combinators.parallel import average as average
from gradtx._combinators.parallel import difference as difference
from gradtx._combinators.parallel import interpolate as interpolate
from gradtx._combinators.parallel import parallel as parallel
from gradtx._combinators.parallel import ratio as ratio
from gradtx._combinators.partition import masked as masked
from gradtx._combinators.partition import partition as partition

# Layer 5: named optimizers, and their directions.
from gradtx._optimizers.adagrad import adadelta as adadelta
from gradtx._optimizers.adagrad import adagrad as adagrad
from gradtx._optimizers.adagrad import scale_by_rss as scale_by_rss
from gradtx._optimizers.adam import adam as adam
from gradtx._optimizers.adam import adamax as adamax
from gradtx._optimizers.adam import adamaxw as adamaxw
from gradtx._optimizers.adam import adamw as adamw
from gradtx._optimizers.adam import scale_by_adam as scale_by_adam
from gradtx._optimizers.adam import scale_by_adamax as scale_by_adamax
from gradtx._optimizers.amsgrad import amsgrad as amsgrad
from gradtx._optimizers.amsgrad import padam as padam
from gradtx._optimizers.amsgrad import scale_by_amsgrad as scale_by_amsgrad
from gradtx._optimizers.amsgrad import scale_by_yogi as scale_by_yogi
from gradtx._optimizers.amsgrad import yogi as yogi
from gradtx._optimizers.gradient_descent import aggmo as aggmo
from gradtx._optimizers.gradient_descent import nesterov as nesterov
from gradtx._optimizers.gradient_descent import optimistic_gradient_descent as optimistic_gradient_descent
from gradtx._optimizers.gradient_descent import qhm as qhm
from gradtx._optimizers.gradient_descent import sgd as sgd
from gradtx._optimizers.laprop import laprop as laprop
from gradtx._optimizers.laprop import qhadam as qhadam
from gradtx._optimizers.nadam import nadam as nadam
from gradtx._optimizers.nadam import nadamw as nadamw
from gradtx._optimizers.nadam import scale_by_nadam as scale_by_nadam
from gradtx._optimizers.rmsprop import rmsprop as rmsprop
from gradtx._optimizers.rmsprop import scale_by_rms as scale_by_rms
from gradtx._optimizers.rmsprop import scale_by_stddev as scale_by_stddev
from gradtx._optimizers.sign import lion as lion
from gradtx._optimizers.sign import scale_by_lion as scale_by_lion
from gradtx._optimizers.sign import sign_sgd as sign_sgd
from gradtx._optimizers.sign import signum as signum
from gradtx._optimizers.sign import tiger as tiger

# Layer 6: training and looking inside.
from gradtx._version import __version__ as __version__
from gradtx.inspect import describe as describe
from gradtx.inspect import summary as summary
from gradtx.training import make_train_step as make_train_step
