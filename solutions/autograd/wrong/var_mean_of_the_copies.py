"""The gradients of the copies are averaged.

exercise: var
caught-by: var_broadcasting
told: the gradients of the copies were averaged; they add up
"""


class Var(Var):
    def _result(self, data, *edges):
        def averaged(var, pull_back):
            def pull(g):
                share = pull_back(g)
                return share * var.data.numel() / share.numel()

            return pull

        return super()._result(data, *((var, averaged(var, pull_back)) for var, pull_back in edges))
