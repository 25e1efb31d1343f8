"""All samples in one batch when none is asked for.

exercise: model
caught-by: model_short_batch
"""


class SoftmaxRegression(SoftmaxRegression):
    def fit(self, X, y, *, epochs, lr, batch_size=None, weight_decay=0.0, generator=None):
        return super().fit(
            X,
            y,
            epochs=epochs,
            lr=lr,
            batch_size=batch_size or len(X),
            weight_decay=weight_decay,
            generator=generator,
        )
