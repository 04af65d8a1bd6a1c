"""How the same work is executed by XLA's CPU backend. Imports `_base` only.

    outputs       which outputs of the work on one array are computed together
    norms         sums of squares in float64
    rescaling     a factor of the whole tree is left to what follows it
    single_pass   the option of the backend that fuses the loops over one array

Everything here gives the same numbers as the plain program, to rounding, and on other platforms is the plain program.
Each trick says what it gains, on which jaxlib that was measured, and which test fails once XLA no longer needs it.
"""

from gradtx._cpu.norms import norms as norms
from gradtx._cpu.norms import norms_along as norms_along
from gradtx._cpu.norms import sums as sums
from gradtx._cpu.outputs import AlreadyStored as AlreadyStored
from gradtx._cpu.outputs import by_output as by_output
from gradtx._cpu.outputs import by_platform as by_platform
from gradtx._cpu.outputs import isolated as isolated
from gradtx._cpu.rescaling import factors_deferred as factors_deferred
from gradtx._cpu.single_pass import single_pass_cpu as single_pass_cpu
