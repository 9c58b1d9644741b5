"""Classify: which class is on an image. The default mode."""

from foldernet import networks
from foldernet.options import ClassifyOptions
from foldernet.tasks.task import Task


class Classify(Task):
    """Learn the classes of a folder of images, one folder per class."""

    Options = ClassifyOptions
    monitors = ("val_accuracy", "-val_loss")
    predictor = "foldernet.inference.classifier:Classifier"

    def __init__(self, options):
        super().__init__(options)
        self.network_name = networks.check_name(options.model)

    @property
    def rule(self):
        names = ("color_mode", "background", "keep_aspect_ratio")
        own = {name: getattr(self.options, name) for name in names}
        return super().rule | own | {"white_level": self.options.white_level or 65_535}

    def augmentation(self):
        return self.options.augmentation()

    def network(self, dataset):
        options, size = self.options, self.options.image_size
        shape = (size, size, 1 if options.color_mode == "grayscale" else 3)
        return networks.build(options.model, shape, len(dataset.classes), options.model_options)

    def compile_arguments(self, steps_per_epoch, options):
        arguments, schedule = super().compile_arguments(steps_per_epoch, options)
        return arguments | {"loss": self._loss(), "metrics": ["accuracy"]}, schedule

    def class_weight(self, dataset):
        if self.options.class_weights == "none":
            return None
        counts = dataset.splits["training"].counts
        return (counts.mean() / counts).astype("float32")

    def metadata(self, dataset):
        return super().metadata(dataset) | {"classes": list(dataset.classes)}

    def report(self, dataset, batches, model, run):
        from foldernet.evaluation.scores import classification_scores

        found, of_all = {}, (dataset.classes, self._loss())
        for split in ("validation", "test"):
            if split in batches and len(dataset.splits[split]):
                shares = self.outputs[split] = model.predict(batches[split], verbose=0)
                found[split] = classification_scores(batches[split].classes, shares, *of_all)
        return found.pop("validation") | found

    def _loss(self):
        from keras import losses

        options, named = self.options, {"focal": losses.CategoricalFocalCrossentropy}
        kind = named.get(options.loss, losses.CategoricalCrossentropy)
        return kind(label_smoothing=options.label_smoothing)
