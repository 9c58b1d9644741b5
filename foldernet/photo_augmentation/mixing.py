"""MixUp and CutMix: images of a batch mixed with each other, and their targets likewise.

Zhang et al. (2018), "mixup: Beyond Empirical Risk Minimization", arXiv:1710.09412; Yun et al.
(2019), "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features",
arXiv:1905.04899. Each image has a partner and a share of its own.
"""

import numpy as np

from foldernet.photo_augmentation import boxes


def mix(generator, batch, random):
    """Mix each image of a batch with another, and their targets and weights by the same shares.

    The loss of a mixed image is the mean of both images' losses by share and weight: targets are
    mixed by share times weight, and weights by share. That is exact for crossentropy, which is
    linear in the targets, with label smoothing or not.

    Args:
        generator: has `mixup` and `cutmix`, parameters of Beta distributions; 0 is off.
        batch: images, of the generator's `data_format`; targets (n, classes), 0..1; and perhaps
            weights (n,).
        random: a `numpy.random.Generator`.

    Returns:
        A batch of new arrays, the targets of which sum to what they did.

    Raises:
        ValueError: the images are of several inputs, or the targets are no rows of classes.
    """
    import cv2

    images, targets, *weights = batch if isinstance(batch, tuple) else (batch, None)
    if not isinstance(images, np.ndarray) or np.ndim(targets) != 2:
        raise ValueError(
            "mixup and cutmix need one array of images and one-hot targets, (n, classes). Use"
            " class_mode='categorical', or set both to 0."
        )
    partners = random.permutation(len(images))
    both = bool(generator.mixup) + bool(generator.cutmix)
    cut = random.random(len(images)) < bool(generator.cutmix) / both
    alpha = np.where(cut, generator.cutmix, generator.mixup)
    kept = random.beta(alpha, alpha)  # an image's share of itself
    pieces = boxes.draw(1 - kept, 1.0, random)
    mixed, channels = images.copy(), 1 if generator.data_format == "channels_first" else 3
    # Views of both: with the channels last, and of images as rows.
    seen, made = (np.moveaxis(each, channels, 3) for each in (images, mixed))
    flat, blended = (each.reshape(len(images), -1) for each in (images, mixed))
    for at, partner in enumerate(partners):
        if cut[at]:
            box = boxes.region(pieces[at], seen.shape[1:3])
            made[at][box] = seen[partner][box]
            kept[at] = 1 - seen[at][box].size / seen[at].size
        else:
            cv2.addWeighted(flat[at], kept[at], flat[partner], 1 - kept[at], 0, blended[at])
    given = weights[0] if weights else np.ones(len(images))
    own, other = kept * given, (1 - kept) * given[partners]
    total = np.maximum(own + other, np.finfo("float32").tiny)  # 0 where both weigh nothing
    targets = (own * targets.T + other * targets[partners].T).T / total[:, None]
    return mixed, targets.astype("float32"), *((total.astype("float32"),) if weights else ())
