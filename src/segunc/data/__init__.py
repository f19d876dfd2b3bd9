"""From raw files to one HDF5 store per dataset: images of one size, their masks, and a split by patient.

Here belongs what reads raw data (`archive`, `decode`, `dicom`, ...; one file per raw format in `formats`, computed
images in `phantoms`), what writes and reads the store (`preparation`, `store`, `overview`), and what changes images on
their way into a network (`augment`). Nothing here knows a model or a metric.
"""
