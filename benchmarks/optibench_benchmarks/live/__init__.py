"""Real tuning tasks: ``live/<learner>/<data set>``, scikit-learn pipelines with the usual search spaces.

The value is a cross-validated score, accuracy or R2, of a pipeline of preprocessing and a learner; the model is then
refitted, and its score on held-out rows is in ``info``. Spaces have categories that interact, conditions,
integers and logarithmic scales; a configuration that scikit-learn rejects is a failed trial. Everything random is
fixed, so a task is deterministic. ``docs/reference/live-tasks.md`` lists their costs.

Importing this package, or building a task, does not import scikit-learn; the first evaluation does.
"""

from optibench_benchmarks.live.tasks import LiveTask, provider

__all__ = ["LiveTask", "provider"]
