"""A search over programs for ``attention/<framework>-evolvable``, in which a language model rewrites the attention.

| module | what it does |
|---|---|
| ``settings`` | reads a configuration in OpenEvolve's format; ``configs/`` has one for each framework |
| ``program`` | puts a candidate's block into the framework's program, and rejects one that breaks the rules |
| ``evaluator`` | trains a candidate in a process with limits; its ``evaluate`` is what OpenEvolve calls |
| ``client`` | sends requests to any OpenAI-compatible endpoint |
| ``runner`` | the search: choose a parent, ask, check, evaluate, keep the best |
| ``validation`` | trains the best and the shipped variants with ten new seeds, for the report |

``openevolve`` is neither needed nor installed. Configurations, programs and the evaluator have its format, so
that it can run them; ``runner`` is a small search of its own that uses the same files. See ``python -m
optibench.studies.attention_search --help``.
"""
