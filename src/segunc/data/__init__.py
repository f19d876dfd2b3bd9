"""From raw files to one HDF5 store per dataset."""
