"""Probabilistic segmentation models, one file each.

A file `<method>.py` has one entry function and one constant:

    build(data: DataStatistics, backbone: Backbone, *, <options>) -> nn.Module
    WORK = {"training": {...}, "image": {...}, "sample": {...}}

or is a wrapper, described at the end.

The keyword-only arguments of `build` are the method's options in the config.

The module that `build` returns has

    loss(images, masks, annotated, generator) -> float scalar, finite, with a gradient
        images: float32 (B, C, H, W) in [0, 1], of any size that the backbone can halve
        masks: float32 {0, 1} (B, A, H, W)
        annotated: bool (B, A), which of the A masks exist, at least one per image
    sample(images, n, generator) -> float32 (S, B, H, W)
        Foreground probabilities in [0, 1] of S samples. Each sample is coherent: one opinion about the whole image, not
        pixels sampled one by one.
    draws: "independent" or "exact"
        "independent": S = n new samples. "exact": the S outcomes of the model, each once, whatever n; they are equally
        probable, so estimators need no correction.
    features(images) -> float32 (B, F), only models that strategies with NEEDS = "features" may use
        A vector per image; similar images have similar ones. The config looks for a method of this name in the text of
        the file.
    divergence(images, masks, annotated, generator) -> float32 (B, latent), only models with a latent space
        KL(posterior || prior) in nats per image and latent dimension; arguments as those of `loss`. The posterior sees
        one existing annotator per image, sampled as in training. `history.csv` reports its mean over the validation
        images.

All randomness comes from the generator, which is on the device of the images: equal generators give equal losses and
samples. `loss` is called in training mode, the others in evaluation mode without gradients, and `sample` changes
neither the mode nor parameters and buffers. Models need nothing else.

Each model is tried on two images before its training starts (`segunc.learning.contract`): a broken contract ends the
job with one sentence.

WORK is a literal: how often the model uses which part of a network for one image, in three phases.

    "training"  forward pass of a training step; the model has weights of its own for each part counted here
    "image"     what `sample` does once per image
    "sample"    what `sample` does for each sample

Parts are "unet", a whole U-Net; "encoder", its encoder; "shallow" and "deep", what `UNet.shallow` and `UNet.deep` do;
"pointwise", a 1x1 convolution of as many channels as the finest level; and "flow", the small U-Net of a flow
(`segunc.networks.shape.flow_network`). A count is a number or the name of an option, such as {"unet": "members"}. The
plan's hours and the requested memory and time depend on WORK (`segunc.networks.work`), results do not.

A wrapper has no training of its own: it samples from the trained network of another model. Its file has

    wrap(trained: nn.Module, *, <options>) -> nn.Module
    WORK = {"image": {...}, "sample": {...}}

In the config it has one option more, `of`: the id of the other model, of any method with a training. `trained` is its
network as above, in evaluation mode. What `wrap` returns has `sample` and `draws` as above, but no `loss`. It is tried
on two images before it samples. The parts in its WORK are "image" and "sample": what `sample` of the other model does
once per image and for each sample. Active learning, which trains in each round, refuses wrappers.

A model that segunc neither trains nor samples has `read` instead, whose keyword-only arguments are its options; its
predictions are files. There is one such model, `predictions`.
"""
