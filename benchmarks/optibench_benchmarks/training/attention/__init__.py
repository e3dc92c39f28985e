"""Language models that differ in their attention only: ``attention/<framework>-<variant>``.

| module | what is in it |
|---|---|
| ``tasks`` | the tasks, their spaces, their text; imports no torch |
| ``network`` | the transformer, the same for all, around an attention's ``mix`` |
| ``training`` | one training |
| ``coefficient_dynamics``, ``test_time_regression``, ``matrix_mixer`` | ``standard``, ``evolvable`` |
"""
