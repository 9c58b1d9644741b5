"""Moving average and mixed precision as callbacks; what they save is what was validated."""

import keras


class AveragedWeights(keras.callbacks.SwapEMAWeights):
    """Has the average in the model from each validation to the next epoch's first step.

    So files and the end of training get it, and the weights that steps go on from are in the
    optimizer meanwhile, and in every checkpoint.
    """

    kept = ("_ema_weights_in_model",)
    # For TensorFlow, Keras swaps by adding and subtracting, which rounds.
    _tf_swap_variables = keras.callbacks.SwapEMAWeights._backend_swap_variables

    def __init__(self):
        super().__init__(swap_on_epoch=True)

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch)
        self.model.optimizer.use_ema = True

    def on_test_end(self, logs=None):
        pass

    def on_epoch_end(self, epoch, logs=None):
        self.model.optimizer.use_ema = False  # `fit` would end by swapping once more


class MixedPrecision(keras.callbacks.Callback):
    """Traces steps and validation in bfloat16, and leaves the layers in float32 for their files,
    which any machine can then use. The last layer stays in float32.

    Args:
        network: not traced yet.
    """

    def __init__(self, network: keras.Model):
        super().__init__()
        *self.layers, _ = network._flatten_layers(include_self=False)

    def on_epoch_begin(self, epoch, logs=None):
        self._set("mixed_bfloat16")

    def on_epoch_end(self, epoch, logs=None):
        self._set("float32")

    def _set(self, policy: str) -> None:
        for layer in self.layers:
            layer.dtype_policy = policy
