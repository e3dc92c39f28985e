"""HPO-B's recorded evaluations: ``hpob/<space>/<task>``, a choice among the rows of a table (:mod:`.tasks`)."""
