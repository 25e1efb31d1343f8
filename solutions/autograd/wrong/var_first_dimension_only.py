"""At most one dimension is summed away.

exercise: var
caught-by: var_broadcast_pairs
"""


class Var(Var):
    def _result(self, data, *edges):
        def once(var, pull_back):
            def pull(g):
                share = pull_back(g)
                if share.shape == var.data.shape:
                    return share
                if share.ndim > var.data.ndim:
                    share = share.sum(0)
                    if share.shape != var.data.shape:
                        raise ValueError("shapes do not fit")
                return share.sum_to_size(var.data.shape)

            return pull

        return super()._result(data, *((var, once(var, pull_back)) for var, pull_back in edges))
