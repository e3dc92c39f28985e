"""Attention that a language model rewrites: a search over programs for ``attention/<framework>-evolvable``.

| module | what it does |
|---|---|
| ``settings`` | reads a configuration in OpenEvolve's format; ``configs/`` has one for each framework |
| ``program`` | puts a candidate's block into the framework's program, and refuses one that breaks the rules |
| ``evaluator`` | trains a candidate in a process with limits; its ``evaluate`` is what OpenEvolve calls |
| ``client`` | asks any OpenAI-compatible endpoint |
| ``runner`` | the search: choose a parent, ask, check, evaluate, keep the best |
| ``validation`` | trains the best and the shipped variants with ten new seeds, for the report |

``openevolve`` itself is not needed and not installed: configurations, programs and evaluator are in its format, so
that it can run them, and ``runner`` is a small search of our own behind the same files. ``python -m
optibench.studies.attention_search --help``.
"""
