"""Intermediate results get a .grad as well.

exercise: var
caught-by: var_constants
"""


class Var(Var):
    def _result(self, data, *edges):
        result = super()._result(data, *edges)

        def noted(pull_back):
            def pull(g):
                result.grad = g.clone()
                return pull_back(g)

            return pull

        result._edges = tuple((var, noted(pull_back)) for var, pull_back in result._edges)
        return result
