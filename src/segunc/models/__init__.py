"""Probabilistic segmentation models, one file each.

A file `<method>.py` has one entry function

    build(data: Data, backbone: Backbone, *, <options>) -> nn.Module

whose keyword-only arguments are the method's options in the config, and the module that it returns has

    loss(images, masks, annotated, generator) -> scalar
        images: float32 (B, C, H, W) in [0, 1]; masks: float32 {0, 1} (B, A, H, W); annotated: bool (B, A).
    sample(images, n, generator) -> (n, B, H, W)
        float32 foreground probabilities; each draw is coherent: one image-wide opinion, not pixels drawn one by one.
    draws: "independent" or "exact"
        "exact" says that n draws (n a multiple of 4) hold every outcome equally often, so that nothing is left to
        chance and no estimator needs a correction.

Randomness comes from the generator alone, which lives on the images' device. Nothing else is asked of a model.
"""
