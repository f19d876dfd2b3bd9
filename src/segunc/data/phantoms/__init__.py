"""Phantoms: computed images, with annotators whose disagreement is known in closed form.

Here belongs what paints them: a canvas, lesions and their annotators, and one file per kind of image. The raw format
`phantom` makes a dataset of them. All lengths are in 64ths of the image's width, so that a phantom looks the same at
any size.
"""
