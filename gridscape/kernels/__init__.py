"""Native CPU code of the hot layers, behind the functions that models call anyway.

The library is compiled when Gridscape is installed, if there is a C++17 compiler. Where it is
missing, on other devices than CPUs and for other numbers than float32, the plain JAX path runs.
"""

from gridscape.kernels.library import available as available
from gridscape.kernels.library import plain as plain
from gridscape.kernels.library import target as target
from gridscape.kernels.library import targets as targets
from gridscape.kernels.library import trouble as trouble
from gridscape.kernels.library import use as use
