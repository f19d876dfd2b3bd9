"""segunc: is segmentation uncertainty useful? The study of Czolbe et al. (IPMI 2021) as a cached workflow."""
