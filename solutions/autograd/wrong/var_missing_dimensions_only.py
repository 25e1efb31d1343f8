"""Missing dimensions are summed, those of size 1 are not.

exercise: var
caught-by: var_broadcast_pairs
"""


class Var(Var):
    def _result(self, data, *edges):
        def checked(var, pull_back):
            def pull(g):
                share = pull_back(g)
                while share.ndim > var.data.ndim:
                    share = share.sum(0)
                if share.shape != var.data.shape:
                    raise ValueError("shapes do not fit")
                return share

            return pull

        return super()._result(data, *((var, checked(var, pull_back)) for var, pull_back in edges))
