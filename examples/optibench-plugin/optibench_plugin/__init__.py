"""What optibench reads when it lists: names, summaries and capabilities. The code is imported when it is used."""

from optibench_benchmarks import Family
from optibench_optimizers import Capabilities, Entry

HILL_CLIMBER = Entry(
    name="hill-climber",
    summary="Change one parameter of the best configuration so far.",
    target="optibench_plugin.hill_climber:HillClimber",
    capabilities=Capabilities(conditional="native", failed="left out"),
    packages=("optibench-plugin", "ConfigSpace", "numpy"),  # their versions are part of a cell's key
    install="pip install optibench-plugin",
)

BITS = Family("bits", "patterns of bits to find, exact optima", "optibench_plugin.bits:provider")
