"""Moving average and mixed precision as callbacks; what they save is what was validated."""

import keras


class AveragedWeights(keras.callbacks.SwapEMAWeights):
    """Has the average in the model from each validation to the next epoch's first step, if it is
    made with `swap_on_epoch=True`.

    So files and the end of training get it, and the weights that steps go on from are in the
    optimizer meanwhile, and in every checkpoint.
    """

    kept = ("_ema_weights_in_model",)
    # For TensorFlow, Keras swaps by adding and subtracting, which rounds.
    _tf_swap_variables = keras.callbacks.SwapEMAWeights._backend_swap_variables

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch)
        self.model.optimizer.use_ema = True

    def on_test_end(self, logs=None):
        pass

    def on_epoch_end(self, epoch, logs=None):
        self.model.optimizer.use_ema = False  # `fit` would end by swapping once more


def mixed_precision(network: keras.Model) -> keras.callbacks.Callback:
    """Traces steps and validation in bfloat16, and leaves the layers in float32 for their files,
    which any machine can then use. The last layer stays in float32.

    Args:
        network: not traced yet.
    """
    *layers, _ = network._flatten_layers(include_self=False)

    def compute_in(policy: str) -> None:
        for layer in layers:
            layer.dtype_policy = policy

    return keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: compute_in("mixed_bfloat16"),
        on_epoch_end=lambda epoch, logs: compute_in("float32"),
    )
