"""Only the first of the copies is counted.

exercise: var
caught-by: var_broadcasting
told: only the first of the copies was counted
"""


class Var(Var):
    def _result(self, data, *edges):
        def first(var, pull_back):
            def pull(g):
                share = pull_back(g)
                while share.ndim > var.data.ndim:
                    share = share[0]
                return share

            return pull

        return super()._result(data, *((var, first(var, pull_back)) for var, pull_back in edges))
